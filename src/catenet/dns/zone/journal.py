"""The last changes of a zone, for those who have an older version (RFC 1995 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from catenet.dns.zone.difference import Difference

__all__ = ["Journal"]

MOST_BYTES: Final = 8 << 20
"""Of records, unless said otherwise."""


class Journal:
    """Differences in turn, each beginning where the one before ends; the oldest go when there are too many bytes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.size = 0
        """Bytes of its records, about."""
        self._changes: deque[Difference] = deque()

    def __len__(self) -> int:
        return len(self._changes)

    def __iter__(self) -> Iterator[Difference]:
        return iter(self._changes)

    def add(self, change: Difference) -> None:
        """Note a change. One that does not begin where the last ended begins a new journal."""
        if self._changes and self._changes[-1].after != change.before:
            self.clear()
        self._changes.append(change)
        self.size += change.size
        while self.size > self.most_bytes and self._changes:
            self.size -= self._changes.popleft().size

    def has_room(self, change: Difference) -> bool:
        """Whether a change can be noted without that the oldest go."""
        return self.size + change.size <= self.most_bytes

    def clear(self) -> None:
        """Forget all: the zone was replaced."""
        self._changes.clear()
        self.size = 0

    def since(self, serial: int) -> list[Difference] | None:
        """The changes since a version; None if they are not known any more."""
        changes = list(self._changes)
        for at, change in enumerate(changes):
            if change.before == serial:
                return changes[at:]
        return None
