"""SPIFFE: certificates and trust from the Workload API, for servers and channels, as they change."""

from catenet.rpc.spiffe.endpoint import find_endpoint
from catenet.rpc.spiffe.material import Material, Svid
from catenet.rpc.spiffe.workload import NoIdentity, WorkloadIdentity

__all__ = ["Material", "NoIdentity", "Svid", "WorkloadIdentity", "find_endpoint"]
