"""Between an asyncio transport and a protocol core: what every driver does, whatever calls its core has.

`StreamDriver` looks after the transport: what a turn of the event loop made leaves in one write, what a peer
does not read has a limit and counts against a budget, and the last word reaches its reader. With it
`catenet.net.connection` drives a core of five verbs; HTTP, whose cores return events in lists, has a driver of its
own.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from catenet.compiled import mypyc_attr
from catenet.net.budget import Budget
from catenet.net.closing import EndWatch, Linger

__all__ = ["LINGER", "WRITE_LIMIT", "StreamDriver"]

LINGER = 2.0
"""Seconds for which what the peer still sends is read and dropped, so that it can read our last word,"""
LINGER_ON = 10.0
"""and how many they may become while it goes on sending what it had begun."""
WRITE_LIMIT = 4 << 20


@mypyc_attr(allow_interpreted_subclasses=True)
class StreamDriver:
    """One connection. `now`: when something came last; `received`: bytes that have ever come.

    `budget` is what all connections together may have queued for their peers; None: nothing is counted. `ended`:
    our direction is over; nothing may be written, and what comes is dropped; `lingers`: until the peer's is, too, or it
    has had time to read our last word. `write_limit`: bytes that may be written
    to a transport that is full. `in_turn`: what came is being handled, and what that makes will be written then.
    """

    __slots__ = (
        "_deferred",
        "_end_watch",
        "_gathers",
        "_piled",
        "_read_paused",
        "_resuming",
        "_scheduled",
        "budget",
        "charged",
        "ended",
        "in_turn",
        "lingers",
        "loop",
        "now",
        "received",
        "transport",
        "write_limit",
        "write_paused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, write_limit: int = WRITE_LIMIT) -> None:
        self.loop = loop
        self.now = 0.0
        self.received = 0
        self.write_limit = write_limit
        self.write_paused = False
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self.lingers = False
        self.budget: Budget[Any] | None = None
        self.charged = 0
        self.in_turn = False
        self._scheduled = False
        self._read_paused = False
        self._resuming = False
        self._gathers = False
        self._piled = 0
        self._deferred: list[bytes] = []
        self._end_watch: EndWatch | None = None

    # What depends on the core.

    @property
    def queued(self) -> int:
        """Bytes that wait in the core for the peer to take more."""
        return 0

    @property
    def ending(self) -> bool:
        """Whether nothing follows what is still to be sent."""
        return self.ended

    def flush(self) -> None:
        """Write what the core has."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Handle what waited for a call or for the transport; write what that makes."""
        self.flush()

    def on_resumed(self) -> None:
        """The transport can take more: go on."""
        self.go_on()

    def on_exceeded(self) -> None:
        """All connections together have more queued than they may."""

    # Called by asyncio.

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the core."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """The peer sends nothing more."""
        raise NotImplementedError

    def pause_writing(self) -> None:
        """The transport is full."""
        self.write_paused = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; a driver then sends what a connection begins with."""
        self.transport = cast(asyncio.Transport, transport)
        self.now = self.loop.time()
        # TLS would make a record of every piece.
        self._gathers = transport.get_extra_info("ssl_object") is None

    def resume_writing(self) -> None:
        """The transport can take more."""
        self.write_paused = False
        # A transport of asyncio that is closed while it calls this says twice that its connection is lost.
        self._resuming = True
        try:
            self.on_resumed()
        finally:
            self._resuming = False

    def connection_lost(self, error: Exception | None) -> None:
        """Forget what waits; a driver then tells whoever waits for the peer."""
        self.transport = None
        if self._end_watch is not None:
            self._end_watch.cancel()
            self._end_watch = None
        self._deferred.clear()
        self.charge(0)

    # Input while connections are being closed for what they hold: memory first, then more requests.

    def defer(self, data: bytes) -> None:
        """Keep what came for the next turn of the event loop."""
        self._deferred.append(data)
        if len(self._deferred) == 1:
            self.loop.call_soon(self._receive_deferred)

    def end_deferring(self) -> None:
        """Handle at once what was kept: the end of the stream must not overtake it."""
        if self.budget is not None and self._deferred:
            self.budget.shedding = False
            self._receive_deferred()

    def _receive_deferred(self) -> None:
        data = b"".join(self._deferred)
        self._deferred.clear()
        if self.transport is not None:
            self.data_received(data)

    # Output.

    def touch(self) -> None:
        """Something was sent: see to it that it leaves with the rest of this turn."""
        if not self.in_turn and not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush_scheduled)

    def send_now(self) -> None:
        """Let what was sent leave at once, because nothing else is likely to join it in this turn."""
        if not self.in_turn and not self._scheduled:
            self.flush()

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self.go_on()

    def write_behind(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write to a transport that is full; give the connection up if too much piles up there.

        What flow control does not hold back (heads, acknowledgements) has this limit.
        """
        self._piled += len(data)
        if self._piled > self.write_limit:
            self.abort()
            return
        transport.write(data)
        self.settle()

    def read_or_pause(self, transport: asyncio.Transport, pause: bool) -> None:
        """Stop reading, or go on with it."""
        self._read_paused = pause
        (transport.pause_reading if pause else transport.resume_reading)()

    def settle(self) -> None:
        """Tell the budget what waits here for the peer to read it."""
        transport = self.transport
        if self.budget is not None and transport is not None:
            # Below the mark at which it pauses us a transport is emptied by the kernel as a rule.
            waits = transport.get_write_buffer_size() if self.write_paused or self.ended else 0
            self.charge(self.queued + waits)

    def charge(self, amount: int) -> None:
        """From now on `amount` bytes wait here."""
        if self.budget is not None and amount != self.charged:
            self.charged = amount
            self.budget.charge(self, amount)
            if self.budget.exceeded:
                self.on_exceeded()

    async def wait_for_room(self) -> None:
        """Wait until more may be produced for this peer: it reads what it gets, or the budget has room for it."""
        budget = self.budget
        if budget is not None and budget.tight:
            self.settle()
            await budget.wait(self)

    # Ends.

    def close(self) -> None:
        """Write what is left and close."""
        if self.transport is not None:
            self.flush()
            self.close_transport()

    def close_transport(self) -> None:
        """Close when what was written has left; a peer that reads nothing, or does not end TLS, is not waited for."""
        if self._resuming:
            self.loop.call_soon(self.close_transport)
            return
        # In asyncio a TLS transport that is closed twice forgets what it has yet to write.
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
            self.watch_end()

    def watch_end(self) -> None:
        """Nothing more will come of this connection: give up a peer that does not let it end."""
        transport = self.transport
        if transport is None or self._end_watch is not None:
            return
        # A plain transport that has nothing to write closes by itself.
        if not self._gathers or transport.get_write_buffer_size():
            self._end_watch = EndWatch(self.loop, transport, self.abort)

    def abort(self) -> None:
        """Close at once, without another word to the peer."""
        if self.transport is not None:
            self.charge(0)
            self.ended = True
            if self._resuming:
                self.loop.call_soon(self.transport.abort)
            else:
                self.transport.abort()

    def _end_lingering(self) -> None:
        self.lingers = False
        self.close_transport()

    def linger(self, orderly: bool, midway: bool = False) -> None:
        """Close so that the peer can read our last word (RFC 9112 section 9.6); `orderly`: all of it, if it is long.

        To close with input unread makes TCP send a reset, which overtakes what was written. So end our direction, drop
        what still comes, and close when the peer does, or soon. TLS in asyncio, which has no direction to end, does the
        same in its own closing, for a second. `orderly`: more may be written than the peer reads in that time.
        `midway`: it is in the midst of a body, and may look for our word only when it has sent it.
        """
        if self._resuming:
            self.loop.call_soon(self.linger, orderly)
            return
        transport = self.transport
        if transport is None or self.ended:
            return
        self.flush()
        if self._read_paused:
            self.read_or_pause(transport, False)
        self.ended = True
        halves = transport.can_write_eof()
        if transport.is_closing() or not (halves or midway):
            self.close_transport()
            return
        try:
            if halves:
                transport.write_eof()
        except OSError:  # the peer has gone already
            self.close_transport()
            return
        self.lingers = True
        end, longest = self._end_lingering if orderly else transport.abort, LINGER_ON if midway else LINGER
        transport.set_protocol(Linger(self.loop, self, end, LINGER, max(LINGER, longest)))
