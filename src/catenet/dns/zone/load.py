"""A zone from its master file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from catenet.dns.master.reader import origin_of, read_into, source_of_path, source_of_text
from catenet.dns.master.tokens import ZoneError
from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Node, set_of
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.name import fold, is_below, name_to_text
from catenet.wire.dns.numbers import CNAME, NSEC, NSEC3, RRSIG, SOA, type_to_text

__all__ = ["read_zone"]

_WITH_ALIAS: Final = frozenset((CNAME, RRSIG, NSEC, NSEC3, 25))
"""What may stand beside CNAME (RFC 4034 2.5, 3, 4; KEY: RFC 2181 10.1 as RFC 3007 changes it)."""


class _Loading:
    """A store that becomes the zone: without a name from outside, that of the first SOA record."""

    def __init__(self, origin: bytes | None, outside: Callable[[RRset], None]) -> None:
        self.zone: Zone | None = None if origin is None else Zone(origin)
        self.before: list[RRset] = []
        """What comes before the SOA record of a zone whose name it says."""
        self._outside = outside

    def get(self, name: bytes, kind: int) -> RRset | None:
        """The set of a name (in any case) and type."""
        if self.zone is not None:
            return self.zone.get(name, kind)
        key = fold(name), kind
        return next((one for one in self.before if one.key == key), None)

    def put(self, rrset: RRset) -> None:
        """Add a set, or replace that of the same name and type."""
        zone = self.zone
        if zone is None:
            if rrset.type != SOA:
                self.before = [one for one in self.before if one.key != rrset.key] + [rrset]
                return
            zone = self.zone = Zone(rrset.name)
            for one in self.before:
                self._put(zone, one)
        self._put(zone, rrset)

    def _put(self, zone: Zone, rrset: RRset) -> None:
        name, kind = fold(rrset.name), rrset.type
        node = zone.node(name)
        if node is None and not is_below(name, zone.apex):
            self._outside(rrset)
            return
        if kind == SOA and name != zone.apex:
            raise ValueError(f"SOA record of {name_to_text(name)} in the zone {name_to_text(zone.origin)}")
        if (node and kind not in _WITH_ALIAS) or kind == CNAME:
            self._check_alias(node or (), rrset)
        zone.put(rrset)

    @staticmethod
    def _check_alias(node: Node, rrset: RRset) -> None:
        """Beside CNAME there is nothing else (RFC 2181 10.1)."""
        if rrset.type == CNAME or set_of(node, CNAME):
            other = next((one.type for one in (*node, rrset) if one.type not in _WITH_ALIAS), None)
            if other is not None:
                kinds = f"CNAME and {type_to_text(other)}"
                raise ValueError(f"{name_to_text(rrset.name)} has {kinds}; beside CNAME there is no other data")


def read_zone(
    source: Path | str, origin: bytes | None = None, *, warn: Callable[[ZoneError], None] | None = None
) -> Zone:
    """Read a zone from a master file (RFC 1035 5, with BIND's `$GENERATE` and units of time).

    Args:
        source: a path; or, as `str`, the text itself, which can include no files.
        origin: name of the zone. Without one it is the owner of the SOA record, and names before the first `$ORIGIN`
            are relative to the name that the file's name says (`example.org.zone`, `db.example.org`).
        warn: called with what is odd but no error: data outside of the zone, which are left out; TTLs that differ
            within a set.

    Raises:
        ZoneError: the first mistake; its text is `FILE:LINE: what is wrong; the nearest valid choice`.
    """
    where = source_of_path(source) if isinstance(source, Path) else source_of_text(source)
    warnings: list[ZoneError] = []

    def outside(rrset: RRset) -> None:
        text = f"{name_to_text(rrset.name)} {type_to_text(rrset.type)} is outside of the zone, and is left out"
        warnings.append(ZoneError(where.file, 0, text))

    start = origin_of(where.path) if origin is None and where.path is not None else origin
    loading = _Loading(origin, outside)
    warnings += read_into(loading, where, start)
    zone = loading.zone
    if zone is None or zone.soa is None:
        raise ZoneError(where.file, 0, "no SOA record" + (f" of {name_to_text(origin)}" if origin else ""))
    for one in warnings:
        if warn is not None:
            warn(one)
    return zone
