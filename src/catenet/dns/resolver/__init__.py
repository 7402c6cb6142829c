"""Recursive resolution: cache, iteration from the root, server selection, limits on work. Pure but for its driver."""

from catenet.dns.resolver.cache import Cache, CacheLimits
from catenet.dns.resolver.client import Client
from catenet.dns.resolver.config import AuthZone, ForwardZone, LocalZone, PolicyZone, ResolverConfig, StubZone
from catenet.dns.resolver.core import Answered, Resolver
from catenet.dns.resolver.recursor import Recursor

__all__ = [
    "Answered",
    "AuthZone",
    "Cache",
    "CacheLimits",
    "Client",
    "ForwardZone",
    "LocalZone",
    "PolicyZone",
    "Recursor",
    "Resolver",
    "ResolverConfig",
    "StubZone",
]
