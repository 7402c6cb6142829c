"""A call on the server: from the head of the request to the status.

A unary call whose request is one piece and whose handler does not wait goes through `on_data`, `_invoke`,
`_finished` and `_reply` in one turn, without a task, a timer, a reader or a queue. Everything else is made when it
is first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from catenet.codec import CodecError, Oversized
from catenet.http.driver import IGNORE, TURN_BYTES
from catenet.http.errors import ErrorCode, PeerLimit
from catenet.http.events import StreamReset
from catenet.http.message import Fields, ResponseHead, list_size
from catenet.http.producer import Producer
from catenet.http.stream import Stream
from catenet.net.deadlines import Entry
from catenet.net.failures import Mistake
from catenet.net.interrupts import is_interrupt
from catenet.rpc.model.context import SERVED_UNTIL, Context, Pairs, Peer
from catenet.rpc.model.failures import logger
from catenet.rpc.model.handlers import wrong_answer
from catenet.rpc.model.metadata import Metadata, check_metadata, encode_metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.framing import COMPRESSED, LARGE, Frame, MessageReader
from catenet.rpc.protocols.inbox import Inbox
from catenet.rpc.protocols.protocol import Answer, AnyMethod
from catenet.rpc.server.header_limit import brief, shorter, too_much
from catenet.rpc.server.requests import END, Requests

if TYPE_CHECKING:
    from catenet.rpc.server.carrier import Carrier
    from catenet.rpc.server.route import Route

__all__ = ["ServerCall"]

_ENDINGS = 8
"""How often an ending that does not fit is replaced by another; four times are known to be enough."""


class ServerCall(Context, Producer):
    """One call, and the context that its handler sees."""

    _connection: Carrier
    _task: asyncio.Task[None] | None = None
    _timer: Entry | None = None
    _reader: MessageReader | None = None
    _inbox: Inbox | None = None
    _request: Frame | None = None
    _assembling: int = 0
    _over: bool = False

    quick_size: int = 0
    """Bytes of the response's message, if it has been sent in the shortest way."""

    def __init__(self, connection: Carrier, stream: Stream, route: Route) -> None:
        self._connection = connection
        self._stream = stream
        self._route = route
        if route.plan.timeout is not None:
            self.deadline = connection.now + route.plan.timeout
            if stream.remote_open and not route.streams_in:  # what came in one turn needs no timer for its request
                self._timer = connection.shared.deadlines.add(self.deadline, self._expire)

    @property
    def outlet(self) -> Carrier:
        """What carries the call."""
        return self._connection

    # What the handler sees.

    @property
    def method(self) -> AnyMethod:
        """The method that was called."""
        return self._route.plan.method

    @property
    def metadata(self) -> Metadata:
        """What the caller sent beside its messages."""
        return self._route.plan.metadata

    @property
    def peer(self) -> Peer:
        """Who called."""
        return self._connection.peer

    @property
    def protocol(self) -> str:
        """The wire in use."""
        return self._route.plan.wire.name

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves the call."""
        return self._connection.loop

    def send_initial_metadata(self, metadata: Pairs | None = None) -> None:
        """Send the head of the response now; on wires whose reply is one piece, with the reply."""
        if metadata is not None:
            self.set_initial_metadata(metadata)
        if not self._head_sent and not self._over and not self._route.plan.buffered:
            self._begin_response()
            self._connection.touch()

    @property
    def streams_in(self) -> bool:
        """Whether the request is a stream of messages."""
        return self._route.streams_in

    # Input, called by the driver.

    def open(self, end: bool) -> None:
        """Take the request: nothing keeps the call from beginning."""
        if self._stream.expects:
            self._connection.core.invite(self._stream)
        if end or self._route.streams_in:
            self.begin(end)

    def begin(self, end: bool) -> None:
        """The head has come; `end`: and nothing else will."""
        route = self._route
        if route.streams_in:
            connection = self._connection
            self._inbox = Inbox(connection.loop, connection.core, self._stream)
            self._run(Requests(self))
        if end:
            self._request_ended()

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of the request body has come."""
        route = self._route
        size = len(data) - 5
        if (
            end
            and route.quick
            and self._reader is None
            and 0 <= size <= route.limit
            and data[0] == 0
            and int.from_bytes(data[1:5], "big") == size
        ):
            payload = data[5:]
        elif end and route.quick_bare and self._reader is None and len(data) <= route.limit:
            payload = data
        else:
            self._read(data, end)
            return
        try:
            request = route.decode(route.request_class, payload)
        except CodecError as error:
            self._fail_request(RpcError(Code.INVALID_ARGUMENT, str(error)))
        else:
            self._run(request)

    def on_trailers(self, fields: Fields) -> None:
        """The request has ended with trailers, which mean nothing in RPC."""
        self._request_ended()

    def on_reset(self, reset: StreamReset) -> None:
        """The caller has gone, or has broken the protocol."""
        self._over = True
        self._connection.counters.cancelled += 1
        self._cancel(RpcError(Code.CANCELLED, reset.message or "the caller cancelled"))

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """Servers get no responses."""

    def owes(self) -> bool:
        """Whether the caller has begun a request that is one message, or a message of many, and not finished it."""
        if self._over:
            return False
        reader = self._reader
        return not self._route.streams_in or (reader is not None and reader.buffered > 0)

    def _read(self, data: bytes, end: bool) -> None:
        if self._over:
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = self._route.plan.wire.reader(self._route.plan, self._route.limit)
        try:
            frames = reader.feed(data)
            self._count_assembly(reader.buffered)
        except RpcError as error:
            self._fail_request(error)
            return
        self._take(frames, len(data))
        if reader.missing:
            self._connection.core.expect(self._stream, reader.missing)
        if end:
            self._request_ended()

    def _take(self, frames: list[Frame], received: int) -> None:
        """Keep the one message of a request, or queue those of a stream."""
        if self._inbox is not None:
            self._inbox.put(frames, received)
        elif frames:
            if self._request is not None or len(frames) > 1:
                self._fail_request(RpcError(Code.UNIMPLEMENTED, "the method takes one message, more came"))
                return
            self._request = frames[0]
        if self._inbox is None and received:
            self._connection.core.consume(self._stream, received)

    def _count_assembly(self, buffered: int) -> None:
        """Parts of messages cost memory that flow control cannot hold back; so they have limits."""
        connection = self._connection
        options = connection.options
        connection.assembling += buffered - self._assembling
        connection.server.assembling += buffered - self._assembling
        self._assembling = buffered
        if connection.assembling > options.max_assembly:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "too many large messages at once on one connection")
        if connection.server.assembling > options.max_assembly_total:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "the server receives too many large messages at once")

    def _request_ended(self) -> None:
        if self._over:
            return
        plan = self._route.plan
        if plan.message is None:
            reader = self._reader or plan.wire.reader(plan, self._route.limit)
            try:
                self._take(reader.finish(), 0)
            except RpcError as error:
                self._fail_request(error)
                return
        else:
            self._request = plan.message
        self._release_request()
        if self._failed():
            return
        if self._inbox is not None:
            self._inbox.end()
        elif self._request is None:
            self._fail_request(RpcError(Code.UNIMPLEMENTED, "the method takes one message, none came"))
        else:
            request, self._request = self._request, None
            self._invoke(request)

    def _failed(self) -> bool:
        return self._over

    def _fail_request(self, error: RpcError) -> None:
        """The request itself is at fault: a handler that is running is stopped."""
        if not self._over:
            self._end(error)
            self._cancel(error)

    # The handler.

    def _invoke(self, frame: Frame) -> None:
        try:
            request = self._decode(frame)
        except BaseException as error:  # of the interceptors too
            self._finished(None, error)
            return
        self._run(request)

    def _run(self, request: Any) -> None:
        """Call the handler with the request, or with what iterates over the requests, if there is time left."""
        connection = self._connection
        if self.deadline is not None:
            if self._timer is not None:
                self._stop_timer()
            if self.deadline <= connection.loop.time():  # the loop was late for the timer, or with this request
                self._exceed("the handler could start")
                return
        try:
            work = self._route.binding.invoke(request, self)
        except BaseException as error:  # it takes other arguments, or is no coroutine function after all
            self._finished(None, error)
            return
        if self.deadline is None:
            task = connection.runner.run(work, self._finished)
        else:
            token = SERVED_UNTIL.set(self.deadline)
            task = connection.runner.run(work, self._finished)  # in a copy of the context as it is now
            SERVED_UNTIL.reset(token)
        if task is None:
            return
        self._task = task
        connection.running += 1
        if self.deadline is not None:
            self._timer = connection.shared.deadlines.add(self.deadline, self._expire)
        if self._over:  # it ended its own call in its first step, then went on
            task.cancel()

    def _finished(self, value: Any, error: BaseException | None) -> None:
        connection = self._connection
        if error is None and self._task is None and self._reply_quickly(value):
            return
        if self._task is not None:
            self._task = None
            connection.running -= 1
            self._stop_timer()
        if error is not None:
            self.report(error)
        if not self._over:
            if error is None and not self._route.streams_out:
                self._reply(value)
            else:
                self._end(None if error is None else self._explain(error))
        connection.touch()
        if connection.draining:
            connection.close_if_idle()

    def report(self, error: BaseException, what: str = "") -> None:
        """Log what the handler, or `what` of it, has raised; nobody else may hear of it. Threads may call it.

        Raises `error` again if it is none of the handler's: Ctrl-C, and what other signals raise, is for the program.
        """
        if is_interrupt(error):
            raise error
        method = self.method.full_name
        where = f"{what} of {method}" if what else method
        connection = self._connection
        connection.server.failures.report(where, self.peer.address, error, connection.loop.time())

    def _explain(self, error: BaseException) -> RpcError:
        if isinstance(error, RpcError):
            return self._checked(error)
        if isinstance(error, asyncio.CancelledError):
            return RpcError(Code.CANCELLED, "the server cancelled the call")
        # The text of an exception may hold what a caller must not see; its type is enough to find it in the log.
        if isinstance(error, NotImplementedError):
            return self.method.unimplemented()
        kind = TypeError if isinstance(error, Mistake) else type(error)
        return RpcError(Code.UNKNOWN, f"{kind.__name__} in the handler")

    def _checked(self, error: RpcError) -> RpcError:
        """A handler may raise an error that it got from a call of its own, metadata of any kind included."""
        metadata: Metadata = ()
        for pair in error.metadata:
            try:
                metadata += check_metadata((pair,))
            except (ValueError, TypeError):
                logger.warning("%s: not sent: metadata %.100r", self.method.full_name, pair)
        try:
            return RpcError(error.code, error.message, error.details, metadata)
        except ValueError:  # somebody has written into the error: into its code, most likely
            return RpcError(Code.UNKNOWN, error.message, error.details, metadata)

    def _expire(self) -> None:
        self._timer = None
        self._exceed("the request was complete" if self._task is None else "the handler had finished")

    def _exceed(self, goal: str) -> None:
        error = RpcError(Code.DEADLINE_EXCEEDED, f"the deadline passed before {goal}")
        if not self._over:
            self._end(error)
            self._connection.touch()
        self._cancel(error)

    def _cancel(self, error: RpcError) -> None:
        self.cancelled = True
        callbacks, self._on_cancel = self._on_cancel, ()
        for callback in callbacks:
            try:
                callback()
            except BaseException as failure:
                self.report(failure, "on_cancel")
        if self._inbox is not None:
            self._inbox.fail(error)
        if self._task is not None:
            self._task.cancel()
        self._release_request()
        if self._connection.draining:
            self._connection.close_if_idle()

    def _release_request(self) -> None:
        """Give back what an incomplete request holds: the timer, unless it is a handler's, and the memory's count."""
        if self._task is None:
            self._stop_timer()
        if self._assembling:
            self._connection.assembling -= self._assembling
            self._connection.server.assembling -= self._assembling
            self._assembling = 0

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._connection.shared.deadlines.remove(self._timer)
            self._timer = None

    async def next_request(self) -> Any:
        """Return the next message of a request stream, or `END`."""
        inbox = self._inbox
        assert inbox is not None
        frame = await inbox.get()
        self._connection.touch()  # taking it may have given back credit
        return END if frame is None else self._decode(frame)

    def _decode(self, frame: Frame) -> Any:
        route = self._route
        flags, payload = frame
        try:
            if flags & COMPRESSED:
                if route.decompress is None:
                    raise RpcError(Code.INTERNAL, "a compressed message without a compression")
                payload = route.decompress(payload, route.limit)
            message = route.decode(route.request_class, payload)
        except Oversized as error:
            raise RpcError(Code.RESOURCE_EXHAUSTED, str(error)) from None
        except CodecError as error:
            raise RpcError(Code.INVALID_ARGUMENT, str(error)) from None
        return route.chain.on_request(self, message) if route.chain.request else message

    # Output.

    def _reply_quickly(self, response: Any) -> bool:
        """Send the response if nothing about it is out of the ordinary; False if something is."""
        route = self._route
        usual = route.constant_reply
        if usual is None or self._over or self._initial or self._trailing or self._head_sent or self.compression:
            return False
        if type(response) is not route.response_class:
            return False
        try:
            payload = route.encode(response)
        except BaseException as error:
            if is_interrupt(error):
                raise
            return False  # it will fail again where that is explained
        size = len(payload)
        if size > route.send_limit:
            return False
        self._over = True
        self.quick_size = size
        connection = self._connection
        connection.counters.succeeded += 1
        core = connection.core
        if usual[2] and size >= LARGE:
            core.send_head(self._stream, usual[0])
            core.send_data(self._stream, b"\0" + size.to_bytes(4, "big"))
            core.send_data(self._stream, payload, usual[1] is None)
            if usual[1] is not None:
                core.send_trailers(self._stream, usual[1])
        else:
            body = b"\0" + size.to_bytes(4, "big") + payload if usual[2] else payload
            core.send_reply(self._stream, usual[0], body, usual[1])
        self._stream.owner = IGNORE  # both know each other, and would wait for the collector
        connection.touch()
        if connection.draining:
            connection.close_if_idle()
        return True

    def _reply(self, response: Any) -> None:
        """Send the one response and OK."""
        route = self._route
        try:
            payload, compression = self._encode(response)
        except BaseException as error:  # of the interceptors too
            self.report(error)
            self._end(self._explain(error))
            return
        if self._head_sent:
            self._connection.core.send_data(
                self._stream, route.plan.wire.frame(route.plan, payload, compression != "identity")
            )
            self._end(None)
            return
        answer = route.plan.wire.whole(route.plan, self._initial, payload, compression, None, self._trailing)
        try:
            self._send_answer(answer)
        except PeerLimit as excess:
            self._initial, self._trailing = (), ()
            self._end(too_much(excess, "response's"))
            return
        self._over = True
        self._connection.counters.succeeded += 1

    def _encode(self, response: Any) -> tuple[bytes, str]:
        route = self._route
        if route.chain.response:
            response = route.chain.on_response(self, response)
        try:
            if not isinstance(response, route.response_class):
                verb = "yielded" if route.streams_out else "returned"
                raise wrong_answer(route.binding.handler, response, route.response_class.__name__, verb)
            payload: bytes = route.encode(response)
        except BaseException as error:
            self.report(error, "the response")
            expected = route.response_class.__name__
            raise RpcError(Code.INTERNAL, f"the handler returned no {expected} that can be encoded") from None
        if len(payload) > route.send_limit:
            raise RpcError(
                Code.RESOURCE_EXHAUSTED, f"response of {len(payload)} bytes is over the limit of {route.send_limit}"
            )
        compression = self._compression_name() if self.compression or route.compression != "identity" else "identity"
        if compression != "identity":
            payload = route.compress(compression, payload)
        return payload, compression

    def _compression_name(self) -> str:
        wanted = self.compression or self._route.compression
        return wanted if wanted in self._route.plan.accepts else "identity"

    def _send_answer(self, answer: Answer) -> None:
        stream = self._stream
        self._connection.core.send_reply(stream, self._route.shown(answer.head), answer.body, answer.trailers)
        stream.owner = IGNORE

    def _send_head(self) -> None:
        route = self._route
        head = route.plan.wire.start(route.plan, self._initial, self._compression_name())
        self._connection.core.send_head(self._stream, route.shown(head))
        self._head_sent = True

    def _begin_response(self) -> None:
        """Send the head. Raises `RpcError` if there is too much initial metadata."""
        try:
            self._send_head()
        except PeerLimit as excess:
            self._initial = ()
            raise too_much(excess, "initial") from None

    def _end(self, error: RpcError | None) -> None:
        """Send the status; the call is over."""
        self._over = True
        self._release_request()
        trailing = self._trailing
        if error is None:
            self._connection.counters.succeeded += 1
        else:
            self._connection.counters.failed += 1
            trailing += error.metadata
        self._send_some_end(error, trailing)

    def _send_some_end(self, error: RpcError | None, trailing: Metadata) -> None:
        """Send the status, or as much of it as the caller takes."""
        in_fields = self._route.plan.wire.name == "grpc"
        for _ in range(_ENDINGS):
            try:
                if error is not None and in_fields:
                    error = brief(error, trailing, self._connection.core.peer_max_header_list)
                self._send_end(error, trailing)
                return
            except PeerLimit as excess:
                error, trailing = self._shorter(error, trailing, excess)
            except Exception as broken:
                # What a handler puts into an error (details above all) must not be able to take the connection down.
                logger.error("%s ended with an error that cannot be sent", self.method.full_name, exc_info=broken)
                error, trailing = RpcError(Code.INTERNAL, "the handler's error cannot be sent"), ()
        self._connection.core.reset(self._stream, ErrorCode.INTERNAL_ERROR)

    def _shorter(
        self, error: RpcError | None, trailing: Metadata, excess: PeerLimit
    ) -> tuple[RpcError | None, Metadata]:
        """Return an ending that the caller takes, or that is nearer to it."""
        if self._head_sent or not self._initial:
            return shorter(error, trailing, excess)
        initial, self._initial = self._initial, ()
        if list_size(tuple(encode_metadata(initial))) * 2 > excess.limit or not (trailing or error):
            return too_much(excess, "initial", error), ()
        self._initial = initial
        return shorter(error, trailing, excess)

    def _send_end(self, error: RpcError | None, trailing: Metadata) -> None:
        """Send the status as it is. Raises `PeerLimit` if it is too much for the caller."""
        route, core = self._route, self._connection.core
        if not self._head_sent and (error is not None or route.plan.buffered):
            self._send_answer(route.plan.wire.whole(route.plan, self._initial, None, "identity", error, trailing))
            return
        if not self._head_sent:
            self._send_head()
        self._stream.owner = IGNORE
        ending = route.plan.wire.end(route.plan, error, trailing)
        if ending.body or ending.trailers is None:
            core.send_data(self._stream, ending.body, ending.trailers is None)
        if ending.trailers is not None:
            core.send_trailers(self._stream, ending.trailers)

    async def send_all(self, responses: AsyncIterator[Any]) -> None:
        """Send the messages that a streaming handler yields, as fast as the caller takes them."""
        connection = self._connection
        try:
            await connection.wait_for_room()
            async for response in responses:
                if self._over:
                    raise asyncio.CancelledError
                sent = self._send(response)
                del response  # what waits, waits in the queue, where it is counted
                if not sent:
                    await self.room()
        finally:
            # Cancelled between two messages, the handler's own clean-up must run now, not when garbage is collected.
            close = getattr(responses, "aclose", None)
            if close is not None:
                await close()

    def break_off(self) -> None:
        """End the call as if its caller had gone; the caller hears of it."""
        error = RpcError(Code.CANCELLED, "the server cancelled the call")
        if not self._over:
            self._end(error)
            self._cancel(error)
            self._connection.touch()

    async def write(self, response: Any) -> None:
        """Send one message from a handler that does not yield them, and wait if the caller does not take it yet."""
        if self._over:
            raise asyncio.CancelledError
        await self._connection.wait_for_room()
        if not self._send(response):
            await self.room()

    def _send(self, response: Any) -> bool:
        """Send one message; False if the producer should wait."""
        payload, compression = self._encode(response)
        if not self._head_sent:
            self._begin_response()
        connection, plan = self._connection, self._route.plan
        data = plan.wire.frame(plan, payload, compression != "identity")
        room = connection.core.send_data(self._stream, data)
        connection.touch()
        self._unwritten += len(data)
        return room and self._unwritten < TURN_BYTES
