"""Walking up the tree of names."""

from __future__ import annotations

from functools import lru_cache

from catenet.wire.dns.name import ROOT

__all__ = ["ancestors"]


@lru_cache(1024)
def ancestors(name: bytes) -> tuple[bytes, ...]:
    """The name, its parent, and so on to the root. Each question goes up from the same names several times."""
    found, at = [], 0
    while name[at]:
        found.append(name[at:])
        at += 1 + name[at]
    found.append(ROOT)
    return tuple(found)
