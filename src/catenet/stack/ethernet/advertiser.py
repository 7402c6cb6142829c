"""A router that advertises itself and the prefixes of its link (RFC 4861 6.2), without I/O.

A prefix that is taken back is advertised with lifetimes of 0, for as long as it could be in use somewhere: hosts
deprecate its addresses at once, and forget them as their own rules say (RFC 4862 5.5.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.timers import Timer
from catenet.wire import nd
from catenet.wire.address import Prefix

if TYPE_CHECKING:
    from catenet.stack.ethernet.port import LinkPort
    from catenet.stack.stack import Stack

__all__ = ["RouterAdvertiser"]

_LONGEST_INTERVAL: Final = 600.0
"""Seconds between advertisements, at most; at least a third of it (6.2.1)."""
_INITIAL_INTERVAL: Final = 16.0
_INITIAL: Final = 3
"""Advertisements that follow each other more closely, after the start and after every change (6.2.4)."""
_LIFETIME: Final = 1800
"""Seconds for which it is a default router: three times the interval (6.2.1)."""
_ANSWER_WITHIN: Final = 0.5
_APART: Final = 3.0
"""Seconds between two advertisements to all (6.2.6)."""
_HOP_LIMIT: Final = 64


class RouterAdvertiser:
    """Advertisements of one interface."""

    def __init__(
        self, stack: Stack, port: LinkPort, *, managed: bool = False, other: bool = False, default: bool = True
    ) -> None:
        """Make one; `managed` and `other` say what DHCPv6 gives, `default` whether it is a way to everywhere."""
        self._stack = stack
        self._port = port
        self._flags = managed, other
        self._lifetime = _LIFETIME if default else 0
        self._prefixes: dict[Prefix, tuple[int, int, bool]] = {}
        """Preferred and valid lifetimes, and whether addresses are made of it."""
        self._former: dict[Prefix, tuple[float, float]] = {}
        """Prefixes that were taken back: until when they are valid, and when they need not be mentioned any more."""
        self._initial = _INITIAL
        self._last = float("-inf")
        self._timer: Timer | None = None
        self._due = float("inf")
        port.advertiser = self

    def advertise(self, prefix: Prefix, preferred: int, valid: int, autonomous: bool) -> None:
        """Advertise a prefix from now on, with lifetimes in seconds."""
        self._former.pop(prefix, None)
        self._prefixes[prefix] = preferred, valid, autonomous
        self._changed()

    def withdraw(self, prefix: Prefix, keep: float = 0.0) -> None:
        """Have hosts deprecate the addresses of a prefix, which stays valid for `keep` seconds."""
        known = self._prefixes.pop(prefix, None)
        if known is not None:
            now = self._stack.now
            self._former[prefix] = now + keep, now + max(keep, known[1])
            self._changed()

    def receive_solicitation(self) -> None:
        """Answer a host that asks, to all (6.2.6)."""
        wait = self._stack.random.uniform(0, _ANSWER_WITHIN)
        self._schedule(max(self._stack.now + wait, self._last + _APART))

    def _changed(self) -> None:
        self._initial = _INITIAL
        self.receive_solicitation()

    def _schedule(self, due: float) -> None:
        """Advertise at `due`, unless that is to happen earlier anyway."""
        if due < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self._stack.timers.call_at(due, self._send)

    def _send(self) -> None:
        now, self._due = self._stack.now, float("inf")
        source = self._port.interface.link_local()
        if source is not None:
            self._port.advertise_router(source, self._message())
            self._last = now
        # Preferred lifetimes must not run out between two advertisements, of which one may be lost (6.2.7).
        longest = min([_LONGEST_INTERVAL, *(preferred / 3 for preferred, _, _ in self._prefixes.values())])
        interval = self._stack.random.uniform(longest / 3, longest)
        if self._initial:
            self._initial -= 1
            interval = min(interval, _INITIAL_INTERVAL)
        self._schedule(now + interval)

    def _message(self) -> nd.RouterAdvertisement:
        now = self._stack.now
        self._former = {prefix: ends for prefix, ends in self._former.items() if ends[1] > now}
        options: list[nd.Option] = [
            nd.PrefixInformation(prefix.address, prefix.length, True, autonomous, valid, preferred)
            for prefix, (preferred, valid, autonomous) in self._prefixes.items()
        ]
        options += [
            nd.PrefixInformation(prefix.address, prefix.length, True, True, max(0, round(until - now)), 0)
            for prefix, (until, _) in self._former.items()
        ]
        managed, other = self._flags
        return nd.RouterAdvertisement(_HOP_LIMIT, managed, other, 0, self._lifetime, options=tuple(options))
