"""Path MTU discovery for both versions (RFC 1191, RFC 8201): what ICMP said, kept for a while and within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.endpoint import Address
from catenet.stack.units import Seconds

if TYPE_CHECKING:
    from catenet.stack.settings import Settings

__all__ = ["PathMtu", "PathMtuCache"]

_PLATEAUS: Final = (65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)
"""Common MTUs, for routers that do not tell theirs (RFC 1191 7.1)."""

_MAX_ENTRIES: Final = 4096


class PathMtu(NamedTuple):
    """Path MTU to one destination."""

    mtu: int
    expires: float
    locked: bool
    """Whether the path is narrower than the least path MTU accepted: packets are then sent without DF."""


class PathMtuCache:
    """Path MTUs by destination; at most 4,096, the oldest is forgotten first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._entries: dict[Address, PathMtu] = {}

    def get(self, destination: Address, now: Seconds) -> PathMtu | None:
        """Return what is known of the path, None when nothing is, or no longer."""
        entry = self._entries.get(destination)
        if entry is None:
            return None
        if entry.expires <= now:
            # Believing the larger MTU again is the probe for an increase (RFC 1191 6.3, RFC 8201 4).
            del self._entries[destination]
            return None
        return entry

    def reduce(self, destination: Address, told: int, quoted_length: int, current: int, now: Seconds) -> int | None:
        """Note that a router reported `told` as its MTU; returns the new path MTU, or None when it is nothing new.

        Args:
            destination: of the packet that was too big.
            told: next-hop MTU in the message, 0 from routers older than RFC 1191.
            quoted_length: total length in the quoted IP header.
            current: path MTU believed until now.
            now: time in seconds.
        """
        if not told:
            if len(destination) == 16:
                return None
            told = next((plateau for plateau in _PLATEAUS if plateau < quoted_length), 68)
        if told >= current:
            return None
        locked = False
        if len(destination) == 16:
            if told < 1280:
                return None  # RFC 8201 4: no link has less, so the message is wrong or forged
        elif told < self._settings.min_pmtu:
            told, locked = self._settings.min_pmtu, True
            if told > current:
                told = current
        self._entries.pop(destination, None)
        if len(self._entries) >= _MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[destination] = PathMtu(told, now + self._settings.mtu_expires, locked)
        return told

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget all paths."""
        self._entries.clear()
