"""One attempt at a call, on one stream of one connection: what the client does between request and status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catenet.codec import Codec, CodecError, Compression, Oversized
from catenet.http.driver import IGNORE
from catenet.http.errors import ErrorCode, PeerLimit
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead, list_size
from catenet.http.outlet import Outlet
from catenet.http.stream import Stream
from catenet.net.deadlines import Entry
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.framing import COMPRESSED, LARGE, Frame, MessageReader
from catenet.rpc.protocols.grpc import OK_TRAILERS
from catenet.rpc.protocols.inbox import Inbox
from catenet.rpc.protocols.protocol import ClientWire, Outgoing, Reply

if TYPE_CHECKING:
    from catenet.http.client.connection import ClientConnection

__all__ = ["Attempt", "CallParameters"]

_DEADLINE = "the deadline passed"
_PSEUDO_FIELDS = 256
_NO_STREAM = Stream(0, 0, 0)
"""Stands for the stream of an attempt that has not begun; never changed."""
_NO_STREAM.local_open = _NO_STREAM.remote_open = False


class CallParameters:
    """What the attempts of one call, and of equal calls, have in common: worked out once, kept by the channel."""

    __slots__ = (
        "codec", "compress", "compressions", "head", "limit", "most_sent", "outgoing", "plain", "quick", "size", "wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: ClientWire,
        outgoing: Outgoing,
        codec: Codec,
        compressions: dict[str, Compression],
        limit: int,
        head: RequestHead | None,
        most_sent: int | None = None,
    ) -> None:
        self.wire = wire
        self.outgoing = outgoing
        self.codec = codec
        self.compressions = compressions
        self.compress = None if outgoing.compression == "identity" else compressions[outgoing.compression].compress
        self.limit = limit
        self.most_sent = most_sent
        """Largest request message, uncompressed."""
        self.head = head
        """The request head, if it does not depend on the message."""
        self.size = (
            0 if head is None else list_size(head.fields) + _PSEUDO_FIELDS + len(head.path) + len(head.authority)
        )
        """What the head counts against the server's limit, or a little more."""
        self.quick = wire.name == "grpc"
        self.plain = self.quick and head is not None and self.compress is None and most_sent is None
        """Whether a request of one message is this head and that message in its envelope."""

    def encode(self, message: Any) -> bytes:
        """Return the message as it goes on the wire, compressed, without envelope. Raises `RpcError`."""
        try:
            payload = self.codec.encode(message)
        except (CodecError, AttributeError) as error:
            raise _unsendable(error) from None
        self.check_size(len(payload))
        return payload if self.compress is None else self.compress(payload)

    def check_size(self, size: int) -> None:
        """Raise `RpcError` for a request message that is larger than the service config admits."""
        if self.most_sent is not None and size > self.most_sent:
            text = f"the request has {size} bytes, the service config admits {self.most_sent}"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)

    def decode(self, frame: Frame, reply: Reply) -> Any:
        """Return the message in a frame. Raises `RpcError`."""
        flags, payload = frame
        try:
            if flags & COMPRESSED:
                if reply.compression == "identity":
                    raise RpcError(Code.INTERNAL, "a compressed message without a compression")
                payload = self.compressions[reply.compression].decompress(payload, self.limit)
            return self.codec.decode(self.outgoing.method.response, payload)
        except Oversized as error:
            raise RpcError(Code.RESOURCE_EXHAUSTED, str(error)) from None
        except CodecError as error:
            raise RpcError(Code.INTERNAL, f"the response cannot be decoded: {error}") from None


def _unsendable(error: Exception) -> RpcError:
    """Return how a call fails whose request is no message that can be encoded."""
    return RpcError(Code.INTERNAL, f"the request cannot be encoded: {error}")


class Attempt:
    """Owner of a stream. Calls with one response wait for `result`, those with many read `inbox`.

    `refused`: the server is known not to have seen it. `committed`: a response has begun, so that nothing may be
    repeated. `error` and `trailing` are set at the end.
    """

    stream: Stream = _NO_STREAM
    reply: Reply | None = None
    initial: Metadata = ()
    inbox: Inbox | None = None
    error: RpcError | None = None
    trailing: Metadata = ()
    refused: bool = False
    committed: bool = False
    over: bool = False
    on_begun: Callable[[], None] | None = None
    """Called when the response has begun and nothing may be repeated any more."""
    on_over: Callable[[], None] | None = None
    """Called at the end."""
    observer: Callable[[Attempt], None] | None = None
    """Called at the end too, with the attempt: load balancing counts it."""
    _empty: bool = True
    _reader: MessageReader | None = None
    _frame: Frame | None = None
    _final: Frame | None = None
    _deadline: Entry | None = None
    _outlet: Outlet | None = None

    def __init__(self, connection: ClientConnection, parameters: CallParameters, streaming: bool) -> None:
        self.connection = connection
        self.parameters = parameters
        self.result: asyncio.Future[None] | None = None
        self._streaming = streaming

    # Sending.

    def start_whole(self, message: Any, deadline: float | None) -> None:
        """Send a request that is one message. Raises `RpcError` if it cannot be encoded."""
        connection = self.connection
        try:
            self._send_whole(message)
        except BaseException:
            connection.has_room()
            raise
        if self._streaming or deadline is not None:
            self._begin(self.stream, deadline)
        else:
            self.stream.owner = self
            self.result = connection.loop.create_future()
        if len(connection.core.streams) == 1:
            connection.send_now()
        else:
            connection.touch()

    def _send_whole(self, message: Any) -> None:
        parameters, core = self.parameters, self.connection.core
        try:
            payload = parameters.codec.encode(message)
        except (CodecError, AttributeError) as error:
            raise _unsendable(error) from None
        size, prefix = len(payload), b""
        if parameters.plain and parameters.head is not None:
            head, body, prefix = parameters.head, payload, b"\0" + size.to_bytes(4, "big")
            if size < LARGE:
                body, prefix = prefix + payload, b""
        else:
            parameters.check_size(size)
            if parameters.compress is not None:
                payload = parameters.compress(payload)
            head, body = parameters.wire.whole_request(parameters.outgoing, payload, parameters.compress is not None)
        try:
            if prefix:
                self.stream = stream = core.open(head, False)
                core.send_data(stream, prefix)
                core.send_data(stream, body, True)
            else:
                self.stream = core.send_request(head, body)
        except PeerLimit as excess:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"the request's {excess}") from None

    def start(self, deadline: float | None) -> None:
        """Send the head of a request whose messages follow."""
        head = self.parameters.head or self.parameters.wire.request(self.parameters.outgoing)
        try:
            self.stream = stream = self.connection.core.open(head, False)
        except PeerLimit as excess:
            self.connection.has_room()
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"the request's {excess}") from None
        self._begin(stream, deadline)
        self._outlet = Outlet(self.connection, stream)
        self.connection.touch()

    def _begin(self, stream: Stream, deadline: float | None) -> None:
        stream.owner = self
        connection = self.connection
        if self._streaming:
            self.inbox = Inbox(connection.loop, connection.core, stream)
        else:
            self.result = connection.loop.create_future()
        if deadline is not None:
            self._deadline = connection.deadlines.add(deadline, self._expire)

    async def send(self, payload: bytes) -> None:
        """Send one message of a request stream, which is encoded, and wait if the server does not take it yet.

        After the call has ended nothing is sent; the reader of responses learns how it ended.
        """
        outlet = self._outlet
        if self.over or outlet is None:
            return
        parameters = self.parameters
        room = outlet.put(parameters.wire.frame(parameters.outgoing, payload, parameters.compress is not None))
        self.connection.touch()
        if not room:
            await outlet.room()

    def end_requests(self) -> None:
        """Say that no more messages follow."""
        if not self.over:
            self.connection.core.send_data(self.stream, b"", True)
            self.connection.touch()

    def cancel(self, error: RpcError | None = None) -> None:
        """Break the call off."""
        if not self.over:
            if self.stream is not _NO_STREAM:
                self.stream.owner = IGNORE
                self.connection.core.reset(self.stream, ErrorCode.CANCEL)
                self.connection.touch()
            self._finish(error or RpcError(Code.CANCELLED, "the call was cancelled"))

    def _expire(self) -> None:
        self._deadline = None
        self.cancel(RpcError(Code.DEADLINE_EXCEEDED, _DEADLINE))

    # Receiving, called by the driver.

    def owes(self) -> bool:
        """A server has the time that the deadline gives it."""
        return False

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """The response has begun."""
        parameters = self.parameters
        noted = head.note
        if noted is not None and noted[0] is parameters:
            reply = noted[1]
        else:
            reply = parameters.wire.reply(parameters.outgoing, head)
            head.note = (parameters, reply)
        self.reply = reply
        self.initial = reply.metadata
        if reply.error is not None:
            self._refuse(reply.error)
            return
        self.committed = not end
        if end:
            self._complete(())
        elif self.on_begun is not None:
            self.on_begun()

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the response body has come."""
        size = len(data) - 5
        if data:
            self._empty = False
        if (
            self.parameters.quick
            and self._reader is None
            and self._frame is None
            and size >= 0
            and data[0] == 0
            and int.from_bytes(data[1:5], "big") == size
            and size <= self.parameters.limit
        ):
            frame = (0, data[5:])
            if self.inbox is not None:
                self.inbox.put([frame], size + 5)
            else:
                self._frame = frame
                # The window is given back with the end of the stream, which is due: see Connection._close.
        else:
            self._read(data)
        if end and not self.over:
            self._complete(())

    def on_trailers(self, fields: Fields) -> None:
        """The response has ended with trailers."""
        if fields == OK_TRAILERS and self.parameters.quick and self._reader is None and self.reply is not None:
            self._finish(None)
        else:
            self._complete(fields)

    def on_reset(self, reset: StreamReset) -> None:
        """The stream or the connection broke off before the end."""
        if self.over:
            return
        self.refused = reset.unprocessed
        if reset.code == ErrorCode.CONNECT_ERROR:
            error = RpcError(Code.UNAVAILABLE, reset.message)
        elif self.connection.broke_protocol and not self.connection.core.settled:  # no HTTP/2 at all: none has read it
            error = RpcError(Code.UNAVAILABLE, f"cannot use the server: {reset.message}")
        elif self._deadline is not None and self.connection.loop.time() >= self._deadline[0]:
            # The server has the same deadline, and its word came first.
            error = RpcError(Code.DEADLINE_EXCEEDED, _DEADLINE)
        elif reset.by_peer:
            error = RpcError(Code.from_reset(reset.code), reset.message or f"the server reset the call ({reset.code})")
        elif reset.code == ErrorCode.ENHANCE_YOUR_CALM:
            error = RpcError(Code.RESOURCE_EXHAUSTED, f"the response is too much: {reset.message}")
        else:
            error = RpcError(Code.INTERNAL, f"protocol error: {reset.message}")
        self._finish(error)

    def on_drained(self) -> None:
        """What was queued has been sent."""
        if self._outlet is not None:
            self._outlet.drained()

    def _read(self, data: bytes) -> None:
        """Cut messages out of the body, whatever the wire."""
        if self.over or self.reply is None:
            return
        parameters, reader = self.parameters, self._reader
        if reader is None:
            reader = self._reader = parameters.wire.reader(parameters.outgoing, self.reply, parameters.limit)
        try:
            self._take(reader.feed(data), len(data))
        except RpcError as error:
            self._refuse(error)
        else:
            if reader.missing:
                self.connection.core.expect(self.stream, reader.missing)

    def _take(self, frames: list[Frame], received: int) -> None:
        final_flags = self.parameters.wire.final_flags
        failed = self.reply is not None and self.reply.failed
        messages = []
        for frame in frames:
            if self._final is not None:
                raise RpcError(Code.INTERNAL, "data after the end of the stream")
            if failed or frame[0] & final_flags:
                self._final = frame
            else:
                messages.append(frame)
        if self.inbox is not None:
            self.inbox.put(messages, received)
            return
        if messages:
            if self._frame is not None or len(messages) > 1:
                raise RpcError(Code.UNIMPLEMENTED, "the method returns one message, more came")
            self._frame = messages[0]
        if received:
            self.connection.core.consume(self.stream, received)

    def _complete(self, fields: Fields) -> None:
        """The response has ended: find out how."""
        parameters, reply = self.parameters, self.reply
        if self.over or reply is None:
            return
        try:
            if self._reader is None and not parameters.quick:
                self._reader = parameters.wire.reader(parameters.outgoing, reply, parameters.limit)
            if self._reader is not None:
                self._take(self._reader.finish(), 0)
            final = self._decompressed(self._final, reply)
        except RpcError as error:
            self._finish(self._status_before(error, fields))
            return
        outcome = parameters.wire.outcome(parameters.outgoing, reply, final, fields, self._empty)
        self.trailing = outcome.metadata
        if outcome.alone:
            self.initial = ()
        self._finish(outcome.error)

    def _status_before(self, error: RpcError, fields: Fields) -> RpcError:
        """A stream that was cut inside a message may still say why in its status: that is the better answer."""
        assert self.reply is not None
        call = self.parameters
        outcome = call.wire.outcome(call.outgoing, self.reply, None, fields, False) if fields else None
        return error if outcome is None or outcome.error is None else outcome.error

    def _decompressed(self, frame: Frame | None, reply: Reply) -> Frame | None:
        if frame is None or not frame[0] & COMPRESSED or reply.compression == "identity":
            return frame
        try:
            data = self.parameters.compressions[reply.compression].decompress(frame[1], self.parameters.limit)
        except CodecError as error:
            raise RpcError(Code.INTERNAL, str(error)) from None
        return frame[0] & ~COMPRESSED, data

    def _refuse(self, error: RpcError) -> None:
        """The response cannot be used: stop it."""
        self.cancel(error)

    def _finish(self, error: RpcError | None) -> None:
        self.over = True
        self.error = error
        stream = self.stream
        stream.owner = IGNORE  # both know each other, and would wait for the collector
        if stream.local_open and not stream.remote_open:
            self.connection.core.abandon(stream)  # the response was complete before the request
            self.connection.touch()
        if self._deadline is not None:
            self.connection.deadlines.remove(self._deadline)
            self._deadline = None
        if self.inbox is not None:
            self.inbox.end(error)
        elif self.result is not None and not self.result.done():
            self.result.set_result(None)
        if self._outlet is not None:
            self._outlet.drained()
        if self.on_over is not None:
            self.on_over()
        if self.observer is not None:
            self.observer(self)

    def response(self) -> Any:
        """Return the one response of a call that has ended; raise `RpcError`."""
        if self.error is not None:
            raise self.error
        frame, parameters = self._frame, self.parameters
        if frame is None:
            raise RpcError(Code.UNIMPLEMENTED, "the method returns one message, none came")
        if not frame[0] & COMPRESSED:
            try:
                return parameters.codec.decode(parameters.outgoing.method.response, frame[1])
            except CodecError:
                pass  # it is said below why
        assert self.reply is not None
        return parameters.decode(frame, self.reply)
