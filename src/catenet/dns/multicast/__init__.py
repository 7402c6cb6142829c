"""Multicast DNS (RFC 6762), and services on the local network (RFC 6763)."""

from catenet.dns.multicast.browser import Change
from catenet.dns.multicast.client import browse, host_addresses, publish, resolve_service, service_types
from catenet.dns.multicast.services import Service

__all__ = ["Change", "Service", "browse", "host_addresses", "publish", "resolve_service", "service_types"]
