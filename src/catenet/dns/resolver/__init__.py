"""Recursive resolution: cache, iteration from the root, server selection, limits on work. Pure but for its driver."""

from catenet.dns.resolver.cache import Cache, CacheLimits
from catenet.dns.resolver.client import Client
from catenet.dns.resolver.config import AuthZone, ForwardZone, LocalZone, ResolverConfig, StubZone
from catenet.dns.resolver.core import Answered, Exchange, Resolver

__all__ = [
    "Answered",
    "AuthZone",
    "Cache",
    "CacheLimits",
    "Client",
    "Exchange",
    "ForwardZone",
    "LocalZone",
    "Resolver",
    "ResolverConfig",
    "StubZone",
]
