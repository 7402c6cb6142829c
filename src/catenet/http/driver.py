"""Between an asyncio transport and a protocol machine: bytes in, events up, what a turn made out in one write.

Both sides of both protocols use it. A stream's `owner` is a `StreamOwner`; what concerns the connection goes
to methods that the sides override.
"""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from catenet.compiled import mypyc_attr
from catenet.http import events as ev
from catenet.http.core import ConnectionValue, HttpCore
from catenet.http.errors import ErrorCode, HttpError
from catenet.http.events import DATA, HEAD, Event, StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.stream import Stream
from catenet.net.driver import WRITE_LIMIT, StreamDriver

__all__ = ["IGNORE", "TURN_BYTES", "HttpProtocol", "Ignore"]

H = TypeVar("H", RequestHead, ResponseHead)

# Bytes of one turn after which a producer that never waits should let others run.
TURN_BYTES = 64 << 10


class Ignore:
    """The owner of a stream that has been answered: whatever still comes is dropped."""

    def on_head(self, head: ResponseHead, end: bool) -> None:
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


@mypyc_attr(allow_interpreted_subclasses=True)
class HttpProtocol(StreamDriver, Generic[H]):
    """One connection; `H` is the kind of head that comes. There is no `core` until it is
    known which version of HTTP is spoken (`version_known`).
    """

    __slots__ = ("core", "peer_ended", "version_known")

    core: HttpCore

    def __init__(
        self, loop: asyncio.AbstractEventLoop, core: HttpCore | None = None, write_limit: int = WRITE_LIMIT
    ) -> None:
        super().__init__(loop, write_limit)
        self.version_known = False
        self.peer_ended = False
        if core is not None:
            self.choose(core)

    def choose(self, core: HttpCore) -> None:
        """The version of HTTP is known."""
        self.core = core
        self.version_known = True
        if self.write_paused:
            core.hold()

    @property
    def queued(self) -> int:
        """Bytes that wait in streams for windows or for the transport."""
        return self.core.queued if self.version_known else 0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what a connection begins with."""
        super().connection_made(transport)
        if self.version_known:
            self.flush()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the machine, events to their owners, and the answers to the transport."""
        if self.budget is not None and self.budget.shedding:
            self.defer(data)
            return
        self.received += len(data)
        if not self.version_known:
            data = self.on_first(data)
            if not self._is_known():
                return
        core = self.core
        self.now = now = self.loop.time()
        self.in_turn = True
        try:
            self.dispatch(core.receive(data, now))
            while not core.quiet and core.pending:
                self.dispatch(core.receive(b"", now))
        finally:
            self.in_turn = False
            self.turn_over()

    def turn_over(self) -> None:
        """All that came is handled: a server may let what is to be written wait for other connections."""
        self.end_turn()

    def end_turn(self) -> None:
        """Write what a turn has made."""
        self._scheduled = False
        self.flush()
        if not self.core.quiet and self.core.pending and self.transport is not None:
            self.touch()  # of requests that came together: the first answers leave before more are made

    def _is_known(self) -> bool:
        return self.version_known

    def eof_received(self) -> bool:
        """The peer sends nothing more: in HTTP/1.1 that may be the end of a body, or of one direction of a tunnel.

        The transport closes, unless the peer can still be answered; over TLS it always does.
        """
        self.end_deferring()
        if not self.version_known or self.ended or self.transport is None:
            return False
        core = self.core
        if not self.peer_ended:
            self.peer_ended = True
            self.in_turn = True
            try:
                self.dispatch(core.receive_eof())
                while core.pending:
                    self.dispatch(core.receive(b"", self.loop.time()))
                if core.answers:
                    self.on_half_closed()
            finally:
                self.in_turn = False
                self.flush()
        return core.answers and not self.ended and self._gathers

    def pause_writing(self) -> None:
        """The transport is full: data waits in the streams' queues, where producers notice."""
        self.write_paused = True
        self._piled = 0
        if self.version_known:
            self.core.hold()
            self.settle()

    def on_resumed(self) -> None:
        """The transport can take more: streams go on."""
        if self.version_known:
            self.dispatch(self.core.release())
            self.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        """Every stream has ended."""
        self.transport = None
        if self.version_known:
            self._break_off(StreamReset(ErrorCode.CONNECT_ERROR, str(error or self.loss())))
        super().connection_lost(error)
        self.on_closed(error)

    def loss(self) -> str:
        """Return what is said of a connection that ended without an error."""
        return "the connection was lost"

    def _break_off(self, reset: StreamReset) -> None:
        core = self.core
        for stream in list(core.streams.values()):
            if stream.owner is not None:
                stream.owner.on_reset(reset)
            # Streams and their owners know each other: what waits to be sent must not wait for the collector.
            stream.queue, stream.queued = None, 0
        core.streams.clear()
        core.queued = 0

    # Called by owners.

    def flush(self) -> None:
        """Write what the machine has."""
        transport = self.transport
        if transport is None or self.ended:
            return
        core = self.core
        if core.bulky and self._gathers:
            transport.writelines(core.transmit_pieces())
        elif data := core.transmit():
            if self.write_paused:
                self.write_behind(transport, data)
                if self.ended:
                    return
            else:
                transport.write(data)
        if (self._read_paused or not core.quiet) and core.paused is not self._read_paused:
            self.read_or_pause(transport, core.paused)
        if core.queued or self.charged:
            self.settle()
        if core.ends_output:
            self._end_output(transport)

    def _end_output(self, transport: asyncio.Transport) -> None:
        """Our direction of a tunnel is over; TLS in asyncio can only close both."""
        if transport.can_write_eof():
            if not transport.is_closing():
                transport.write_eof()
        else:
            self.close_transport()

    def go_on(self) -> None:
        """Handle what waited for a call or for the transport; write what that makes."""
        if self.core.pending:
            self.data_received(b"")
        else:
            self.flush()

    def close(self) -> None:
        """Write what is left and close."""
        if self.version_known:
            super().close()
        elif self.transport is not None:
            self.transport.close()

    # Events.

    def dispatch(self, events: list[Event]) -> None:
        """Hand each event to the stream's owner, or to the connection."""
        for kind, stream, value, end in events:
            if kind == HEAD:
                self.on_head(stream, value, end)
            elif kind == DATA:
                stream.owner.on_data(value, end)
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
            elif kind == ev.INTERIM:
                self.on_interim(stream, value)
            else:
                self.on_connection_event(kind, value)

    def on_first(self, data: bytes) -> bytes:
        """Bytes have come while there is no machine: make one that is to have what this returns, or keep them."""
        return b""

    def on_head(self, stream: Stream, head: H, end: bool) -> None:
        """A request or a response has begun; a server overrides this, and gives the stream its owner."""
        stream.owner.on_head(head, end)  # type: ignore[union-attr, arg-type]

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        """A 1xx response has come."""

    def on_failed(self, error: HttpError | None) -> None:
        """The machine has given up, or is done: say the last word and close."""
        if error is None:
            self.close()
        else:
            self.linger(orderly=False)

    def on_connection_event(self, kind: int, value: ConnectionValue) -> None:
        """PONG, GOAWAY, SETTINGS, REFUSED."""

    def on_half_closed(self) -> None:
        """The peer has ended its direction while we still owe it something; as a rule it has gone altogether."""

    def on_closed(self, error: Exception | None) -> None:
        """The transport is gone; owners know already."""
