"""A zone from records that come one after another, as transfers bring them."""

from __future__ import annotations

from catenet.dns.master.gather import Gathering
from catenet.dns.zone.difference import Entry
from catenet.dns.zone.zone import Zone

__all__ = ["ZoneBuilder"]


class ZoneBuilder:
    """Gathers a zone. `add` and `finish` raise ValueError for what no zone can have."""

    def __init__(self, origin: bytes) -> None:
        self.zone = Zone(origin)
        self.file = "transfer"
        self.line = 0
        """Number of the record."""
        self._gathering = Gathering(self.zone, self, lambda message: None)

    def add(self, entry: Entry) -> None:
        """The next record."""
        self.line += 1
        self._gathering.add(entry.name, entry.type, entry.ttl, entry.data)

    def finish(self) -> None:
        """There are no more."""
        self._gathering.finish()
