"""Walking up the tree of names."""

from __future__ import annotations

from collections.abc import Iterable

from catenet.wire.dns.name import ROOT

__all__ = ["ancestors"]


def ancestors(name: bytes) -> Iterable[bytes]:
    """The name, its parent, and so on to the root."""
    at = 0
    while name[at]:
        yield name[at:]
        at += 1 + name[at]
    yield ROOT
