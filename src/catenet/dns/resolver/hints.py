"""Where iteration begins: the servers of the root, from a file (RFC 9609)."""

from __future__ import annotations

from pathlib import Path

from catenet.dns.master.reader import read_records
from catenet.dns.master.tokens import ZoneError
from catenet.dns.resolver.config import Hints
from catenet.wire.dns.name import ROOT, fold
from catenet.wire.dns.numbers import AAAA, NS, A

__all__ = ["read_hints"]


def read_hints(path: Path) -> Hints:
    """The root's servers and their addresses. Raises ZoneError, also for a file without any."""
    sets = list(read_records(path))
    found: dict[bytes, list[bytes]] = {
        fold(name): [] for one in sets if one.type == NS and one.name == ROOT for name in one.data
    }
    for one in sets:
        if one.type in (A, AAAA) and fold(one.name) in found:
            found[fold(one.name)] += one.data
    if not any(found.values()):
        raise ZoneError(str(path), 0, "no NS record of the root with an address in it")
    return {name: tuple(addresses) for name, addresses in found.items()}
