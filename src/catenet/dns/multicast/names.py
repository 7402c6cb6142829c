"""Names that a host claims (RFC 6762 8, 9): what it says about them, and what they become after a conflict."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from catenet.dns.multicast.packets import Item
from catenet.dns.multicast.timers import Timer
from catenet.wire.dns.bitmap import pack_types
from catenet.wire.dns.name import LONGEST_LABEL, fold
from catenet.wire.dns.numbers import IN, NSEC

__all__ = ["Claim", "State", "next_label"]

MOST_CONFLICTS: Final = 15
CONFLICT_WINDOW: Final = 10.0
PAUSE: Final = 5.0
"""After 15 conflicts in ten seconds, this long between attempts (RFC 6762 8.1)."""

_SERVICE: Final = re.compile(rb"(.*) \((\d{1,9})\)", re.DOTALL)
_HOST: Final = re.compile(rb"(.*)-(\d{1,9})", re.DOTALL)


class State(Enum):
    """How far a claim is."""

    PROBING = "probing"
    ANNOUNCING = "announcing"
    READY = "ready"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Claim:
    """A name that only one host may have, and the records that come with it.

    Attributes:
        label: the first label, which a conflict changes.
        suffix: the rest of the name.
        is_service: whether the next label is `name (2)`, otherwise `name-2`.
        unique: the records of the name, made anew when it or a name that they mention has changed.
        shared: records of other names that point to it.
    """

    label: bytes
    suffix: bytes
    is_service: bool
    unique: Callable[[bytes], list[Item]]
    shared: Callable[[bytes], list[Item]] = lambda name: []
    state: State = State.PROBING
    count: int = 0
    timer: Timer | None = None
    renamed: bool = False
    conflicts: list[float] = field(default_factory=list)

    @property
    def name(self) -> bytes:
        """The name as it is claimed now."""
        return bytes((len(self.label),)) + self.label + self.suffix

    @property
    def items(self) -> list[Item]:
        """All records: those of the name, then those that point to it."""
        return self.unique(self.name) + self.shared(self.name)

    @property
    def is_held(self) -> bool:
        """Whether it is ours, as far as we know."""
        return self.state in (State.ANNOUNCING, State.READY)

    def absence(self) -> Item:
        """Says which types the name has, and so that it has no others (RFC 6762 6.1)."""
        items = self.unique(self.name)
        kinds = pack_types({item.type for item in items})
        return Item(self.name, NSEC, items[0].ttl, self.name + kinds, True)

    def contradicts(self, items: Iterable[Item]) -> bool:
        """Whether somebody else says of the name what we do not.

        While it is held, only about types that we have too: others may add what we say nothing about.
        """
        ours = self.unique(self.name)
        identities = {item.identity for item in ours}
        kinds = {item.type for item in ours}
        name = fold(self.name)
        return any(
            item.ttl and fold(item.name) == name and item.type != NSEC and item.identity not in identities
            for item in items
            if not self.is_held or item.type in kinds
        )

    def loses_to(self, items: Iterable[Item]) -> bool:
        """Whether another probe for the name wins (RFC 6762 8.2): its records are later, compared one by one."""
        name = fold(self.name)
        theirs = sorted((IN, item.type, item.data) for item in items if fold(item.name) == name)
        return sorted((IN, item.type, item.data) for item in self.unique(self.name)) < theirs

    def rename(self, now: float) -> float:
        """Take the next label; returns how long to wait before probing for it."""
        self.label, self.renamed = next_label(self.label, self.is_service), True
        self.conflicts = [when for when in self.conflicts if when > now - CONFLICT_WINDOW] + [now]
        if len(self.conflicts) < MOST_CONFLICTS:
            return 0.0
        del self.conflicts[0]
        return PAUSE


def next_label(label: bytes, is_service: bool) -> bytes:
    """`name (2)` for the label of a service, then `name (3)`; `name-2` for a host (RFC 6762 9, RFC 6763 D)."""
    found = (_SERVICE if is_service else _HOST).fullmatch(label)
    stem, number = (found[1], int(found[2]) + 1) if found else (label, 2)
    end = b" (%d)" % number if is_service else b"-%d" % number
    # Within 63 bytes, and not in the midst of a character.
    stem = stem[: LONGEST_LABEL - len(end)].decode("utf-8", "ignore").encode()
    return stem + end
