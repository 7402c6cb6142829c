"""Names of the DNS: asking servers, as a program or from the command line, and resolving names from the root on.

What resolves needs `cryptography` (the extra `dns`), and is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catenet.dns.client import Reply, ask, lookup
from catenet.dns.config import system_config
from catenet.wire.dns.resolv_conf import parse_resolv_conf

if TYPE_CHECKING:
    from catenet.dns.resolver.cache import Cache
    from catenet.dns.resolver.config import ResolverConfig
    from catenet.dns.resolver.programs import Resolver, ResolverAnswer, SyncResolver

__all__ = [
    "Cache",
    "Reply",
    "Resolver",
    "ResolverAnswer",
    "ResolverConfig",
    "SyncResolver",
    "ask",
    "lookup",
    "parse_resolv_conf",
    "system_config",
]

_HOMES = {
    "Cache": "cache",
    "Resolver": "programs",
    "ResolverAnswer": "programs",
    "ResolverConfig": "config",
    "SyncResolver": "programs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.resolver.{_HOMES[name]}"), name)
