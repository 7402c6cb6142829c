"""What has been heard of devices, for as long as they said; bounded. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from catenet.ssdp.message import Advertisement

__all__ = ["Cache", "Change", "Entry"]

MOST: Final = 1024
"""Entries of all devices."""
MOST_OF_ONE: Final = 64
"""Entries that one address can fill."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One target of one device: who said so, and until when it holds."""

    advertisement: Advertisement
    source: str
    interface: str
    expires: float


@dataclass(frozen=True, slots=True)
class Change:
    """A device has come, changed or gone (`what`: "found", "changed", "gone")."""

    what: str
    entry: Entry


class Cache:
    """Entries by USN. What is full takes nothing new: who floods it may not push out what is known."""

    def __init__(self, interface: str = "") -> None:
        self._interface = interface
        self._entries: dict[str, Entry] = {}
        self._sources: Counter[str] = Counter()
        self.refused = 0
        """Advertisements for which there was no room."""

    @property
    def entries(self) -> list[Entry]:
        """What is known."""
        return list(self._entries.values())

    @property
    def deadline(self) -> float | None:
        """When the next entry expires."""
        return min((entry.expires for entry in self._entries.values()), default=None)

    def hear(self, heard: Advertisement, source: str, now: float) -> list[Change]:
        """Take an advertisement; return what it has changed."""
        known = self._entries.get(heard.usn)
        if heard.kind == "byebye":
            # Only who has said that it is there can say that it is gone: anybody on the link can name any device.
            return [] if known is None or known.source != source else [self._drop(known)]
        if known is None and (len(self._entries) >= MOST or self._sources[source] >= MOST_OF_ONE):
            self.refused += 1
            return []
        entry = Entry(heard, source, self._interface, now + heard.max_age)
        if known is not None and known.source != source and self._sources[source] >= MOST_OF_ONE:
            self.refused += 1
            return []
        if known is not None:
            self._sources[known.source] -= 1
        self._sources[source] += 1
        self._entries[heard.usn] = entry
        if known is None:
            return [Change("found", entry)]
        before = known.advertisement
        same = (before.location, before.boot_id, before.config_id) == (heard.location, heard.boot_id, heard.config_id)
        return (
            [] if same or (heard.kind == "update" and before.location == heard.location) else [Change("changed", entry)]
        )

    def expire(self, now: float) -> list[Change]:
        """Drop what no longer holds."""
        return [self._drop(entry) for entry in self.entries if entry.expires <= now]

    def _drop(self, entry: Entry) -> Change:
        del self._entries[entry.advertisement.usn]
        self._sources[entry.source] -= 1
        if not self._sources[entry.source]:
            del self._sources[entry.source]
        return Change("gone", entry)
