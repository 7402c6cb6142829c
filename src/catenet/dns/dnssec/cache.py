"""Zones whose keys are known, and names that are known to begin no zone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from catenet.dns.dnssec.keys import Key
from catenet.dns.dnssec.proof import Proof
from catenet.dns.response import ExtendedError, Security

__all__ = ["Cut", "KeyCache", "ZoneState"]


@dataclass(frozen=True, slots=True)
class ZoneState:
    """What is known of a zone.

    Attributes:
        name: its apex, folded; of an insecure or bogus one, where its chain of trust ends.
        security: SECURE with `keys`, else what all of its records are.
        keys: keys that sign its records.
        expires: seconds since 1970.
        reason, errors: why it is not secure.
        proof: how that was found.
    """

    name: bytes
    security: Security
    expires: float
    keys: tuple[Key, ...] = ()
    reason: str = ""
    errors: tuple[ExtendedError, ...] = ()
    proof: Proof = field(default_factory=lambda: Proof("no zone"))


class Cut(NamedTuple):
    """What was found at a name on the way down.

    Attributes:
        expires: seconds since 1970.
        zone: the zone that the name is in; its apex is the name itself where there is a cut.
        is_last: nothing exists below, so that no cut can.
    """

    expires: float
    zone: ZoneState
    is_last: bool = False


class KeyCache:
    """What validation found at names, bad news included, for a bounded time.

    Args:
        size: entries that are kept; the least recently used goes first.
    """

    def __init__(self, size: int = 10_000) -> None:
        self.size = size
        self._cuts: OrderedDict[bytes, Cut] = OrderedDict()
        self._generation = -1

    def __len__(self) -> int:
        return len(self._cuts)

    def get(self, name: bytes, wall: float) -> Cut | None:
        """What was found at a folded name; None when nothing was, or it has expired by `wall` (seconds since 1970)."""
        cut = self._cuts.get(name)
        if cut is None:
            return None
        if min(cut.expires, cut.zone.expires) <= wall:
            del self._cuts[name]
            return None
        self._cuts.move_to_end(name)
        return cut

    def put(self, name: bytes, cut: Cut) -> None:
        """Keep what was found at a folded name."""
        self._cuts[name] = cut
        self._cuts.move_to_end(name)
        while len(self._cuts) > self.size:
            self._cuts.popitem(last=False)

    def update(self, other: KeyCache) -> None:
        """Take over what another one has found."""
        for name, cut in other._cuts.items():
            self.put(name, cut)

    def follow(self, generation: int) -> None:
        """Forget everything when trust anchors have changed since: all rests on them."""
        if generation != self._generation:
            self._cuts.clear()
            self._generation = generation

    def clear(self) -> None:
        """Forget everything."""
        self._cuts.clear()
