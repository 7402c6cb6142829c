"""One connection that is driven by a core of five verbs, as a client or a handler of a server holds it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from catenet.net.core import StreamCore
from catenet.net.deadlines import Deadlines, Entry
from catenet.net.driver import WRITE_LIMIT, StreamDriver

__all__ = ["Alarm", "Alarmed", "Connection", "EventQueue"]

E = TypeVar("E")

GATHERED = 64 << 10
"""Bytes of a core that one write takes, if the core gives them in pieces."""
MAX_EVENTS = 64
"""Events that wait to be asked for; beyond it nothing is read, so that the peer waits too."""


class Alarm:
    """Wakes a driver when its core has something to do. A deadline that moves later costs nothing: it fires early."""

    __slots__ = ("_deadlines", "_entry", "_own")

    def __init__(self, loop: asyncio.AbstractEventLoop, shared: Deadlines | None = None) -> None:
        self._own = shared is None
        self._deadlines = Deadlines(loop) if shared is None else shared
        self._entry: Entry | None = None

    def set(self, due: float | None, fire: Alarmed) -> None:
        """Call `fire.on_alarm(now)` at `due` or earlier; None: whenever was said before."""
        entry = self._entry
        if due is None or (entry is not None and entry[0] <= due):
            return
        self._cancel()
        self._entry = self._deadlines.add(due, lambda: self._expire(due, fire))

    def close(self) -> None:
        """Call nothing any more, and leave no timer behind."""
        self._cancel()
        if self._own:
            self._deadlines.close()

    def _cancel(self) -> None:
        if self._entry is not None:
            self._deadlines.remove(self._entry)
            self._entry = None

    def _expire(self, due: float, fire: Alarmed) -> None:
        self._entry = None
        fire.on_alarm(due)


class Alarmed:
    """Who is woken by an `Alarm`."""

    __slots__ = ()

    def on_alarm(self, due: float) -> None:
        """It is `due` now, or later."""
        raise NotImplementedError


class EventQueue(Generic[E]):
    """Events that wait to be asked for, and the one who waits for them."""

    __slots__ = ("_error", "_events", "_over", "_waiter")

    def __init__(self) -> None:
        self._events: deque[E] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._error: Exception | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more should be put in."""
        return len(self._events) >= MAX_EVENTS

    def put(self, event: E) -> None:
        """Add one."""
        self._events.append(event)
        self._wake()

    def end(self, error: Exception | None) -> None:
        """Nothing more will come; after what waits the reader gets None, or `error`."""
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    async def get(self) -> E | None:
        """Return the next event, or None when there will be no more."""
        while not self._events:
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._events.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(StreamDriver, Alarmed, Generic[E]):
    """A connection. After calls on `core` say `touch`, `flush` or `await` `drained`.

    `for` and `async for` end, and `next_event` returns None, when the core has closed or the peer has ended
    its stream; a connection that broke raises `ConnectionError`. One task at a time may ask for events.
    """

    __slots__ = ("_alarm", "_closing", "_eof", "_events", "_lost", "_reads_on", "_writable", "core", "flowed")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: StreamCore[E],
        deadlines: Deadlines | None = None,
        write_limit: int = WRITE_LIMIT,
        keep_events: bool = True,
    ) -> None:
        super().__init__(loop, write_limit)
        self.core = core
        self._alarm = Alarm(loop, deadlines)
        self._events: EventQueue[E] | None = EventQueue() if keep_events else None
        self._reads_on = bool(getattr(core, "reads_on", False))
        self._closing = False
        self._eof = False
        self._lost: asyncio.Future[None] = loop.create_future()
        self._writable: asyncio.Future[None] | None = None
        self.flowed = 0
        """Bytes that have left the core."""

    # For its user.

    async def next_event(self) -> E | None:
        """Return the next event, or None after the last. Raises `ConnectionError`."""
        assert self._events is not None, "nobody asked for events"
        event = await self._events.get()
        self._take_events()
        if self._read_paused:
            self.flush()
        return event

    async def __aiter__(self) -> AsyncIterator[E]:
        while (event := await self.next_event()) is not None:
            yield event

    async def drained(self) -> None:
        """Send what the core has, and wait until the peer can take more. Raises `ConnectionError`."""
        self.flush()
        while self.write_paused and self.transport is not None:
            if self._writable is None:
                self._writable = self.loop.create_future()
            await asyncio.shield(self._writable)
        if self.transport is None:
            raise ConnectionError("the connection is closed")
        await self.wait_for_room()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.shield(self._lost)

    async def __aenter__(self) -> Connection[E]:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.abort()
            raise

    @property
    def peername(self) -> object:
        """The address of the peer, as `socket` has it."""
        return None if self.transport is None else self.transport.get_extra_info("peername")

    @property
    def queued(self) -> int:
        """Bytes that wait in the core for the peer to take more, if the core counts them."""
        return int(getattr(self.core, "queued", 0))

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what a connection begins with."""
        super().connection_made(transport)
        self._go()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the core, and what it answers to the transport."""
        if self.budget is not None and self.budget.shedding:
            self.defer(data)
            return
        if self.ended or not data:
            return
        self.received += len(data)
        self.now = now = self.loop.time()
        self.core.receive(data, now)
        self._go()

    def eof_received(self) -> bool:
        """The peer sends nothing more; keep our direction open until the core has closed it, where that is possible."""
        self.end_deferring()
        transport = self.transport
        if transport is None or self.ended:
            return False
        self._eof = True
        self.core.receive(b"", self.loop.time())
        self._go()
        if self._events is not None:
            self._events.end(None)
        return transport.can_write_eof() and not transport.is_closing()

    def pause_writing(self) -> None:
        """The transport is full: what the core has to say waits in the core, and so does the peer."""
        self.write_paused = True
        self._piled = 0
        self.settle()

    def on_resumed(self) -> None:
        """The transport can take more: tell whoever waits, and go on."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        self._go()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(error)
        self._alarm.close()
        if self._events is not None:
            self._take_events()
            broken = None if error is None or self.core.closed else ConnectionError(str(error) or "connection lost")
            self._events.end(broken)
        for waiter in (self._writable, self._lost):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # The core.

    def on_alarm(self, due: float) -> None:
        """The core has something to do, unless its deadline has moved since."""
        if self.transport is None:
            return
        now = max(self.loop.time(), due)
        try:
            deadline = self.core.next_deadline()
            if deadline is not None and deadline <= now:
                self.core.handle_timeout(now)
            self._go()
        except Exception:
            self.abort()  # as event loops do when what they call fails
            raise

    def _go(self) -> None:
        """See to what a verb has led to: events, output, the end."""
        self.in_turn = True
        try:
            self._take_events()
        finally:
            self.in_turn = False
            self.flush()

    def _take_events(self) -> None:
        core, events = self.core, self._events
        if events is None:
            while core.next_event() is not None:
                pass
            return
        while not events.full and (event := core.next_event()) is not None:
            events.put(event)

    def flush(self) -> None:
        """Write what the core has; close if that was the last of it."""
        transport, core = self.transport, self.core
        if transport is None or self.ended:
            return
        self._transmit(transport)
        self._alarm.set(core.next_deadline(), self)
        pause = (
            (self.write_paused and not self._reads_on)
            or (self._events is not None and self._events.full)
            or self._core_is_full()
        )
        if pause is not self._read_paused and not transport.is_closing():
            self.read_or_pause(transport, pause)
        if self.write_paused or self.charged:
            self.settle()
        if not core.closed or self._closing:
            return
        if self.write_paused:
            self.watch_end()  # the core has more to say, which its peer may never read
        else:
            self._closing = True
            self.on_core_closed()
            if self._eof:
                self.close_transport()  # the peer has nothing more to say either
            else:
                self.linger(orderly=True)

    def _core_is_full(self) -> bool:
        return bool(getattr(self.core, "full", False))

    def _transmit(self, transport: asyncio.Transport) -> None:
        """Write what the core has, in few writes, until the transport is full or closes."""
        core, now = self.core, self.loop.time()
        while not self.write_paused and not transport.is_closing():
            pieces, size = [], 0
            while size < GATHERED and (data := core.transmit(now)):
                pieces.append(data)
                size += len(data)
            if not pieces:
                return
            self.flowed += size
            transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def on_core_closed(self) -> None:
        """The core has said its last word: there will be no more events."""
        if self._events is not None:
            self._take_events()
            self._events.end(None)
