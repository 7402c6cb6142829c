"""`local-zone:` and `local-data:` of unbound.conf(5)."""

from __future__ import annotations

from catenet.dns.resolver.config import LocalZone
from catenet.dns.rrset import rrsets_from_records
from catenet.testing.rpl.records import read_record
from catenet.testing.rpl.syntax import ScenarioError, Unsupported
from catenet.wire.dns.name import ROOT, fold, is_below, name_from_text
from catenet.wire.dns.numbers import IN
from catenet.wire.dns.record import Record

__all__ = ["LocalData"]

_UNSUPPORTED = frozenset(("ipset", "block_a", "inform_deny", "inform_redirect", "truncate"))


class LocalData:
    """Zones and records as they are met."""

    def __init__(self) -> None:
        self._kinds: dict[bytes, str] = {}
        self._records: list[Record] = []

    def zone(self, name: str, kind: str, line: int) -> None:
        """A zone of a kind. Raises ScenarioError."""
        if kind in _UNSUPPORTED:
            raise Unsupported(line, f"local-zone: of type {kind}")
        try:
            self._kinds[fold(name_from_text(name))] = kind
        except ValueError as error:
            raise ScenarioError(line, str(error)) from None

    def data(self, text: str, line: int) -> None:
        """A record. Raises ScenarioError."""
        record = read_record(text, line)
        if record.rclass != IN:
            raise Unsupported(line, "local-data: of another class than IN")
        self._records.append(record)

    def zones(self) -> tuple[LocalZone, ...]:
        """All zones with their data; data outside of them are in transparent ones of their own (unbound.conf(5))."""
        kinds = {name: kind for name, kind in self._kinds.items() if kind != "nodefault"}
        held: dict[bytes, list[Record]] = {name: [] for name in kinds}
        for record in self._records:
            name = fold(record.name)
            above = [zone for zone in kinds if (is_below(name, zone) and zone != ROOT) or zone == ROOT]
            zone = max(above, key=len, default=name)
            kinds.setdefault(zone, "transparent")
            held.setdefault(zone, []).append(record)
        return tuple(LocalZone(name, kinds[name], tuple(rrsets_from_records(held[name]))) for name in kinds)

    def unblocked(self) -> tuple[bytes, ...]:
        """Zones that are answered here by default, and not when a scenario says so."""
        return tuple(name for name, kind in self._kinds.items() if kind == "nodefault")
