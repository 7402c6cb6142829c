"""Between an asyncio transport and a protocol machine: bytes in, events up, what a turn made out in one write.

Both sides of both protocols use it. A stream's ``owner`` is a :class:`StreamOwner`; what concerns the connection goes
to methods that the sides override.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from catenet.http import events as ev
from catenet.http.errors import ErrorCode, HttpError
from catenet.http.events import Event, StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.net.budget import Budget

# Bytes of one turn after which a producer that never waits should let others run.
TURN_BYTES = 64 << 10
LINGER = 2.0
"""Seconds for which what the peer still sends is read and dropped, so that it can read our last word."""


class StreamOwner(Protocol):
    """What the application keeps in ``stream.owner``."""

    def on_head(self, head: Any, end: bool) -> None:
        """A response has begun (client)."""

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of body has come."""

    def on_trailers(self, fields: Fields) -> None:
        """The trailers have come; nothing follows."""

    def on_reset(self, reset: StreamReset) -> None:
        """The stream broke off."""

    def on_drained(self) -> None:
        """Everything sent on this stream has left its queue."""


class Ignore:
    """The owner of a stream that has been answered: whatever still comes is dropped."""

    def on_head(self, head: Any, end: bool) -> None:
        """Drop it."""

    def on_data(self, data: bytes, end: bool) -> None:
        """Drop it."""

    def on_trailers(self, fields: Fields) -> None:
        """Drop it."""

    def on_reset(self, reset: StreamReset) -> None:
        """Drop it."""

    def on_drained(self) -> None:
        """Drop it."""

    def owes(self) -> bool:
        """Nobody waits for the rest."""
        return False


IGNORE = Ignore()


class HttpProtocol(asyncio.Protocol):
    """One connection. ``core`` is None until it is known which version of HTTP is spoken.

    ``budget`` is what all connections together may have queued for their peers; None: nothing is counted.
    """

    __slots__ = (
        "_charged",
        "_deferred",
        "_ended",
        "_gathers",
        "_in_turn",
        "_piled",
        "_read_paused",
        "_scheduled",
        "budget",
        "core",
        "loop",
        "now",
        "received",
        "transport",
        "write_limit",
        "write_paused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, core: Any = None, write_limit: int = 4 << 20) -> None:
        self.loop = loop
        self.core = core
        self.now = 0.0
        self.received = 0
        self.write_limit = write_limit
        self.write_paused = False
        self.transport: asyncio.Transport | None = None
        self._in_turn = False
        self._scheduled = False
        self._read_paused = False
        self._gathers = False
        self._piled = 0
        self._ended = False  # our direction: nothing may be written, and what comes is dropped
        self.budget: Budget[Any] | None = None
        self._charged = 0
        self._deferred: list[bytes] = []

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what a connection begins with."""
        self.transport = cast(asyncio.Transport, transport)
        self.now = self.loop.time()
        # TLS would make a record of every piece.
        self._gathers = transport.get_extra_info("ssl_object") is None
        if self.core is not None:
            self.flush()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the machine, events to their owners, and the answers to the transport."""
        if self.budget is not None and self.budget.shedding:
            self._defer(data)
            return
        self.received += len(data)
        core = self.core
        if core is None:
            data = self.on_first(data)
            core = self.core
            if core is None:
                return
        self.now = now = self.loop.time()
        self._in_turn = True
        try:
            self.dispatch(core.receive(data, now))
            while core.pending:
                self.dispatch(core.receive(b"", now))
        finally:
            self._in_turn = False
            self.flush()
        if core.pending and self.transport is not None:
            self.touch()  # of requests that came together: the first answers leave before more are made

    def _defer(self, data: bytes) -> None:
        """Connections are being closed for what they hold: memory first, then more requests."""
        self._deferred.append(data)
        if len(self._deferred) == 1:
            self.loop.call_soon(self._receive_deferred)

    def _receive_deferred(self) -> None:
        data = b"".join(self._deferred)
        self._deferred.clear()
        if self.transport is not None:
            self.data_received(data)

    def eof_received(self) -> None:
        """The peer sends nothing more: in HTTP/1.1 that may be the end of a body. The transport closes."""
        if self.budget is not None and self._deferred:
            self.budget.shedding = False
            self._receive_deferred()
        if self.core is not None and not self._ended:
            self.dispatch(self.core.receive_eof())

    def pause_writing(self) -> None:
        """The transport is full: data waits in the streams' queues, where producers notice."""
        self.write_paused = True
        self._piled = 0
        if self.core is not None:
            self.core.hold()
            self.settle()

    def resume_writing(self) -> None:
        """The transport can take more."""
        self.write_paused = False
        if self.core is not None:
            self.dispatch(self.core.release())
            self._go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """Every stream has ended."""
        core, self.transport = self.core, None
        if core is not None:
            reset = StreamReset(ErrorCode.CONNECT_ERROR, str(error or "the connection was lost"))
            for stream in list(core.streams.values()):
                if stream.owner is not None:
                    stream.owner.on_reset(reset)
                # Streams and their owners know each other: what waits to be sent must not wait for the collector.
                stream.queue, stream.queued = None, 0
            core.streams.clear()
            core.queued = 0
        self._deferred.clear()
        self._charge(0)
        self.on_closed(error)

    # Called by owners.

    def touch(self) -> None:
        """Something was sent: see to it that it leaves with the rest of this turn."""
        if not self._in_turn and not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._flush_scheduled)

    def send_now(self) -> None:
        """Let what was sent leave at once, because nothing else is likely to join it in this turn."""
        if not self._in_turn and not self._scheduled:
            self.flush()

    def flush(self) -> None:
        """Write what the machine has."""
        transport = self.transport
        if transport is None or self._ended:
            return
        core = self.core
        if core.bulky and self._gathers:
            transport.writelines(core.transmit_pieces())
        elif data := core.transmit():
            # What flow control does not hold back (heads, acknowledgements) must not pile up behind a full transport.
            if self.write_paused:
                self._piled += len(data)
                if self._piled > self.write_limit:
                    self.abort()
                    return
                transport.write(data)
                self.settle()
            else:
                transport.write(data)
        if core.paused is not self._read_paused:
            self._read_paused = not self._read_paused
            (transport.pause_reading if self._read_paused else transport.resume_reading)()
        if core.queued or self._charged:
            self.settle()

    def settle(self) -> None:
        """Tell the budget what waits here for the peer to read it."""
        transport = self.transport
        if self.budget is not None and transport is not None:
            # Below the mark at which it pauses us a transport is emptied by the kernel as a rule.
            waits = transport.get_write_buffer_size() if self.write_paused or self._ended else 0
            self._charge(self.core.queued + waits)

    def _charge(self, amount: int) -> None:
        if self.budget is not None and amount != self._charged:
            self._charged = amount
            self.budget.charge(self, amount)
            if self.budget.exceeded:
                self.on_exceeded()

    def close(self) -> None:
        """Write what is left and close."""
        if self.transport is not None:
            if self.core is not None:
                self.flush()
            self.transport.close()

    def abort(self) -> None:
        """Close at once, without another word to the peer."""
        if self.transport is not None:
            self._charge(0)
            self._ended = True
            self.transport.abort()

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self._go_on()

    def _go_on(self) -> None:
        """Handle what waited for a call or for the transport; write what that makes."""
        if self.core.pending:
            self.data_received(b"")
        else:
            self.flush()

    # Events.

    def dispatch(self, events: list[Event]) -> None:
        """Hand each event to the stream's owner, or to the connection."""
        for kind, stream, value, end in events:
            if kind == ev.DATA:
                stream.owner.on_data(value, end)
            elif kind == ev.HEAD:
                self.on_head(stream, value, end)
            elif kind == ev.TRAILERS:
                stream.owner.on_trailers(value)
            elif kind == ev.RESET:
                if stream.owner is not None:
                    stream.owner.on_reset(value)
            elif kind == ev.DRAINED:
                if stream.owner is not None:
                    stream.owner.on_drained()
            elif kind == ev.CLOSED:
                self.on_failed(value)
            else:
                self.on_connection_event(kind, value)

    def on_first(self, data: bytes) -> bytes:
        """Bytes have come while there is no machine: make one that is to have what this returns, or keep them."""
        return b""

    def on_head(self, stream: Any, head: RequestHead | ResponseHead, end: bool) -> None:
        """A request or a response has begun."""
        stream.owner.on_head(head, end)

    def on_failed(self, error: HttpError | None) -> None:
        """The machine has given up, or is done: say the last word and close."""
        if error is None:
            self.close()
        else:
            self.linger(orderly=False)

    def linger(self, orderly: bool) -> None:
        """Close so that the peer can read our last word (RFC 9112 section 9.6); ``orderly``: all of it, if it is long.

        To close with input unread makes TCP send a reset, which overtakes what was written. So end our direction, drop
        what still comes, and close when the peer does, or soon. TLS does the same in its own closing.
        """
        transport = self.transport
        if transport is None or self._ended:
            return
        self.flush()
        if self._read_paused:
            self._read_paused = False
            transport.resume_reading()
        self._ended = True
        if transport.can_write_eof() and not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:  # the peer has gone already
                transport.close()
            else:
                self.loop.call_later(LINGER, transport.close if orderly else transport.abort)
        else:
            transport.close()

    def on_exceeded(self) -> None:
        """All connections together have more queued than they may."""

    def on_connection_event(self, kind: int, value: Any) -> None:
        """PONG, GOAWAY, SETTINGS, INTERIM."""

    def on_closed(self, error: Exception | None) -> None:
        """The transport is gone; owners know already."""
