"""A pool of connections on an event loop: carries out what `catenet.net.pool` decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic

from catenet.net.alarm import Alarm
from catenet.net.pool import NEVER, C, K, Pool, PoolLimits, Slot, Ticket

__all__ = ["AcquireTimeout", "AsyncPool"]


class AcquireTimeout(TimeoutError):
    """No connection became free in time."""


class AsyncPool(Generic[K, C]):
    """A pool on an event loop. Made and used on that loop.

    `dial` makes a connection; what it raises goes to `failed`, which fails the callers who wait (`fail`) or
    pauses (`pause`). `close` closes a connection that is idle. Whoever sees that a connection has room again,
    or is gone, says so (`changed`, `lost`).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: PoolLimits,
        dial: Callable[[K], Awaitable[C]],
        close: Callable[[C], None],
        failed: Callable[[K, Exception], None],
    ) -> None:
        self._loop = loop
        self._limits = limits
        self._core: Pool[K, C] = Pool(limits)
        self._dial = dial
        self._close = close
        self._failed = failed
        self._slots: dict[C, Slot[K, C]] = {}
        self._dialling: dict[asyncio.Task[None], None] = {}
        self._alarm = Alarm(loop, self._fire)

    @property
    def outstanding(self) -> int:
        """Callers that wait, or have been let go on and have not yet."""
        return self._core.outstanding

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        limit = self._limits.max_connections
        return limit is not None and self._core.count >= limit

    def waiting(self, key: K) -> bool:
        """Whether callers wait for a connection to `key`."""
        return self._core.waiting(key)

    def members(self, key: K) -> Iterator[C]:
        """Return the open connections to `key`."""
        return self._core.members(key)

    def pick(self, key: K) -> C | None:
        """Return a connection that can take an exchange at once; None if there is none, or if others wait already."""
        member = self._core.pick(key, self._loop.time())
        if self._core.undecided:
            self._act()
        return member

    async def acquire(
        self,
        key: K,
        deadline: float | None = None,
        patient: bool = False,
        check: Callable[[], None] | None = None,
    ) -> C:
        """Return a connection as soon as there is one, in the order of the callers; begin the exchange at once.

        A caller whose connection breaks before it goes on was not among those whom `fail` lets fail. `check` is
        called before it waits once more, and raises if it should not. Raises `AcquireTimeout`, and what
        `fail` was given.
        """
        ends = [] if deadline is None else [deadline]
        if self._limits.acquire_timeout is not None:
            ends.append(self._loop.time() + self._limits.acquire_timeout)
        ticket = self._core.wait(key, patient=patient)
        while True:
            member = await self._granted(ticket, min(ends, default=None))
            if member.room > 0:
                return member
            if check is not None:
                check()
            ticket = self._core.wait(key, first=True, patient=patient)  # it broke in between

    async def _granted(self, ticket: Ticket[K, C], end: float | None) -> C:
        ticket.waiter = self._loop.create_future()
        self._act()
        try:
            async with asyncio.timeout_at(end):
                await ticket.waiter
        except BaseException as error:
            self._core.forget(ticket)
            self._act()
            if isinstance(error, TimeoutError):
                raise AcquireTimeout("no connection became free in time") from None
            raise
        self._core.begun(ticket)
        assert ticket.slot is not None and ticket.slot.member is not None
        return ticket.slot.member

    def add(self, key: K, member: C) -> None:
        """Take a connection that was made elsewhere."""
        self._slots[member] = self._core.add(key, member)
        self._act()

    def changed(self, member: C) -> None:
        """The connection may have room again."""
        slot = self._slots.get(member)
        if slot is not None and self._core.changed(slot):
            self._act()
        elif not self._alarm.armed:
            self._arm()

    def lost(self, member: C) -> None:
        """The connection is gone, or takes nothing more."""
        slot = self._slots.pop(member, None)
        if slot is not None:
            self._core.lost(slot)
            self._act()

    def pause(self, key: K, until: float = NEVER) -> None:
        """Open nothing more to `key` for a while."""
        self._core.pause(key, until)
        self._arm()

    def resume(self, key: K) -> None:
        """Open again what is needed."""
        self._core.resume(key)
        self._act()

    def fail(self, key: K, error: Callable[[], Exception]) -> None:
        """Let the callers that are not patient fail."""
        for ticket in self._core.impatient(key):
            self._core.forget(ticket)  # at once: what still waits is dialled for again
            _refuse(ticket, error())

    async def shut(self, error: Callable[[], Exception]) -> None:
        """Open nothing more, let all callers fail. The connections are left as they are."""
        for ticket in self._core.all_waiting():
            _refuse(ticket, error())
        self._alarm.cancel()
        tasks = list(self._dialling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _act(self) -> None:
        """Do what the core decides."""
        decisions = self._core.decide(self._loop.time())
        for member in decisions.close:
            self._slots.pop(member, None)
            self._close(member)
        for slot in decisions.open:
            self._dialling[self._loop.create_task(self._open(slot))] = None
        for ticket in decisions.grant:
            if ticket.waiter is not None and not ticket.waiter.done():
                ticket.waiter.set_result(None)
        self._arm()

    async def _open(self, slot: Slot[K, C]) -> None:
        task = asyncio.current_task()
        try:
            member = await self._dial(slot.key)
        except asyncio.CancelledError:
            self._core.failed(slot)
            raise
        except Exception as error:
            self._core.failed(slot)
            self._failed(slot.key, error)
        else:
            self._slots[member] = slot
            self._core.connected(slot, member)
        finally:
            if task is not None:
                self._dialling.pop(task, None)
        self._act()

    def _arm(self) -> None:
        """Wake up when the core has something to do by itself."""
        self._alarm.arm(self._core.next_deadline())

    def _fire(self, now: float) -> None:
        self._core.handle_timeout(now)
        self._act()


def _refuse(ticket: Ticket[K, C], error: Exception) -> None:
    if ticket.waiter is not None and not ticket.waiter.done():
        ticket.waiter.set_exception(error)
