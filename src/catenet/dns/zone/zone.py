"""A zone, and the zones of a server."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from catenet.dns.response import Response
from catenet.dns.zone.contents import Contents
from catenet.dns.zone.lookup import answer
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, is_below, parent
from catenet.wire.dns.numbers import DS

__all__ = ["Zone", "ZoneSet"]


class Zone(Contents):
    """Authoritative data for a name and what is below it, down to its cuts."""

    __slots__ = ()

    @property
    def serial(self) -> int:
        """The version of the zone (RFC 1035 3.3.13). Raises ValueError in a zone without SOA."""
        soa = self.soa
        if soa is None:
            raise ValueError("the zone has no SOA record")
        number: int = struct.unpack_from("!I", soa.data[0], len(soa.data[0]) - 20)[0]
        return number

    def answer(self, question: Question, dnssec_ok: bool = False, *, every_type: bool = False) -> Response:
        """Answer as an authority for this zone alone; REFUSED for a name outside of it.

        Args:
            question: what is asked for.
            dnssec_ok: signatures are wanted (DO), and proofs of what is not there.
            every_type: ANY gets every set of the name, as over TCP, where it amplifies nothing; otherwise one
                (RFC 8482 4.1).
        """
        return answer(self._if_inside, question, dnssec_ok, every_type)

    def _if_inside(self, name: bytes, kind: int) -> Contents | None:
        return self if is_below(name, self.apex) else None


class ZoneSet:
    """Zones by name."""

    __slots__ = ("_zones",)

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self._zones = {zone.apex: zone for zone in zones}

    def __len__(self) -> int:
        return len(self._zones)

    def __iter__(self) -> Iterator[Zone]:
        return iter(self._zones.values())

    def put(self, zone: Zone) -> None:
        """Add a zone, or replace that of the same name."""
        self._zones[zone.apex] = zone

    def discard(self, origin: bytes) -> None:
        """Take a zone away, if it is there."""
        self._zones.pop(fold(origin), None)

    def get(self, origin: bytes) -> Zone | None:
        """The zone with this name (in any case)."""
        return self._zones.get(fold(origin))

    def find(self, name: bytes, kind: int = 0) -> Zone | None:
        """The zone that answers for a folded name: the nearest one above it.

        The DS set of a zone is its parent's; without the parent the zone itself says that it has none (RFC 4035
        3.1.4.1).
        """
        zones = self._zones
        own = zones.get(name) if kind == DS else None
        if own is not None:
            name = parent(name) if len(name) > 1 else name
        while True:
            found = zones.get(name)
            if found is not None:
                return found
            if len(name) == 1:
                return own
            name = name[1 + name[0] :]

    def answer(self, question: Question, dnssec_ok: bool = False, *, every_type: bool = False) -> Response:
        """Answer as an authority for all these zones, as `Zone.answer` does; aliases are followed across them."""
        return answer(self.find, question, dnssec_ok, every_type)
