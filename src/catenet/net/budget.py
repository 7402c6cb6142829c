"""What all connections of a server together may have queued for peers that do not read.

A limit for each connection is none for a thousand of them. Half of the budget is for anyone; from there on (`tight`)
a producer whose connection has something queued waits for room before it makes more, and one whose connection takes
what it is given goes on. What cannot wait (a response that is complete) may use the other half, and beyond that the
connections that hold most are given up until the rest fits, those first whose peers take nothing at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Budget"]

H = TypeVar("H", bound=Hashable)


class Budget(Generic[H]):
    """Bytes by holder (a connection), their sum, and who waits for room. Made and used on one event loop."""

    __slots__ = ("_held", "_waiting", "limit", "shedding", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.shedding = False
        """Holders are being closed, and what they held is not free before the event loop's next turn."""
        self._held: dict[H, int] = {}
        self._waiting: dict[H, dict[asyncio.Future[None], None]] = {}

    @property
    def tight(self) -> bool:
        """Whether more than half is used."""
        return self.used * 2 > self.limit

    @property
    def exceeded(self) -> bool:
        """Whether `victims` should go."""
        return self.used > self.limit

    def has_room(self, holder: H) -> bool:
        """Whether `holder` may produce: its peer takes what it gets, or there is room for what it does not take."""
        return holder not in self._held or not self.tight

    def charge(self, holder: H, amount: int) -> None:
        """From now on `holder` has `amount` bytes queued."""
        self.used += amount - self._held.pop(holder, 0)
        if amount:
            self._held[holder] = amount
        if self._waiting:
            self._pass_on(holder)

    def victims(self, target: int, stalled: Callable[[H], bool], only_stalled: bool = False) -> list[H]:
        """Return who must go so that at most `target` bytes stay; the caller closes them and charges them nothing.

        Those for whom `stalled` says yes come first, and of those the largest; with `only_stalled` no others.
        """
        excess = self.used - target
        if excess <= 0:
            return []
        ranked = sorted(((stalled(holder), amount, holder) for holder, amount in self._held.items()), key=_rank)
        found: list[H] = []
        while ranked and excess > 0:
            idle, amount, holder = ranked.pop()
            if only_stalled and not idle:
                break
            found.append(holder)
            excess -= amount
        return found

    async def wait(self, holder: H) -> None:
        """Wait until `holder` may produce. What it then produces must be charged before anything else is awaited."""
        while not self.has_room(holder):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiters = self._waiting.setdefault(holder, {})
            waiters[waiter] = None
            try:
                await waiter
            finally:
                waiters.pop(waiter, None)
                if not waiters and self._waiting.get(holder) is waiters:
                    del self._waiting[holder]
                self._pass_on(holder)

    def _pass_on(self, holder: H) -> None:
        """Let one go on of those that may, which then lets the next: the first may use up the room there is."""
        if holder not in self._held:
            self._wake(holder)
        if self._waiting and not self.tight:
            self._wake(next(iter(self._waiting)))

    def _wake(self, holder: H) -> None:
        waiters = self._waiting.pop(holder, None)
        if waiters is None:
            return
        self._waiting[holder] = waiters  # at the end: the next time it is another's turn
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
                return


def _rank(entry: tuple[bool, int, object]) -> tuple[bool, int]:
    return entry[0], entry[1]
