"""Interceptors of `grpc.aio`'s clients, and calls through them."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any, NamedTuple

from catenet.rpc.grpc.aio.call import (
    FINISHED,
    HALF_CLOSED,
    STYLES,
    Call,
    StreamStreamCall,
    StreamUnaryCall,
    UnaryStreamCall,
    UnaryUnaryCall,
)
from catenet.rpc.grpc.aio.errors import EOF, AioRpcError, UsageError
from catenet.rpc.grpc.aio.metadata import Metadata
from catenet.rpc.grpc.interfaces import ClientCallDetails as AbstractDetails
from catenet.rpc.grpc.status import StatusCode

__all__ = [
    "ClientCallDetails",
    "ClientInterceptor",
    "InterceptedStreamStreamCall",
    "InterceptedStreamUnaryCall",
    "InterceptedUnaryStreamCall",
    "InterceptedUnaryUnaryCall",
    "RequestQueue",
    "StreamStreamClientInterceptor",
    "StreamUnaryClientInterceptor",
    "UnaryStreamClientInterceptor",
    "UnaryUnaryClientInterceptor",
    "chained",
]


class ClientCallDetails(
    NamedTuple(
        "ClientCallDetails",
        [
            ("method", str),
            ("timeout", float | None),
            ("metadata", Any),
            ("credentials", Any),
            ("wait_for_ready", bool | None),
        ],
    ),
    AbstractDetails,
):
    """What interceptors see of a call that begins."""


class ClientInterceptor(abc.ABC):
    """The base of the four kinds."""


class UnaryUnaryClientInterceptor(ClientInterceptor):
    """Encloses calls with one message each way."""

    @abc.abstractmethod
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Return the call that `continuation` made, another one, or a response."""


class UnaryStreamClientInterceptor(ClientInterceptor):
    """Encloses calls whose response is a stream."""

    @abc.abstractmethod
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Return the call that `continuation` made, or an asynchronous iterator over responses."""


class StreamUnaryClientInterceptor(ClientInterceptor):
    """Encloses calls whose request is a stream."""

    @abc.abstractmethod
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Return the call that `continuation` made, another one, or a response."""


class StreamStreamClientInterceptor(ClientInterceptor):
    """Encloses calls with a stream each way."""

    @abc.abstractmethod
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Return the call that `continuation` made, or an asynchronous iterator over responses."""


Begin = Callable[[Any, Any], Call]


def chained(interceptors: Sequence[Any], name: str, begin: Begin) -> Callable[[Any, Any], Any]:
    """Return a coroutine function of details and request that goes through all interceptors, then to `begin`."""

    async def innermost(details: Any, request: Any) -> Any:
        return begin(details, request)

    through: Any = innermost
    for interceptor in reversed(interceptors):
        through = _around(getattr(interceptor, name), through)
    return through  # type: ignore[no-any-return]


def _around(intercept: Any, continuation: Any) -> Any:
    async def proceed(details: Any, request: Any) -> Any:
        return await intercept(continuation, details, request)

    return proceed


class _Intercepted(Call):
    """A call that interceptors make: known when they have returned one. `begun` are those that were begun for it."""

    def __init__(self, entering: Any, begun: list[Call], timeout: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._deadline = None if timeout is None else loop.time() + timeout
        self._entering: asyncio.Task[Any] = loop.create_task(entering)
        self._callbacks: list[Callable[[Any], None]] = []
        self._begun = begun
        self._entering.add_done_callback(self._entered)

    def __del__(self) -> None:
        self.cancel()

    def _entered(self, task: asyncio.Task[Any]) -> None:
        for callback in self._callbacks:
            if task.cancelled() or task.exception() is not None:
                callback(self)
            else:
                self._inner().add_done_callback(lambda _, callback=callback: callback(self))
        self._callbacks.clear()

    def _inner(self) -> Any:
        """The call inside, or what stands for one."""
        result = self._entering.result()
        if hasattr(result, "done") and hasattr(result, "code"):
            return result
        if self._begun and hasattr(result, "__aiter__"):
            return _Iterated(self._begun[-1], result)
        return _Given(result)

    def _failed(self) -> bool:
        task = self._entering
        return task.done() and (task.cancelled() or task.exception() is not None)

    def cancel(self) -> bool:
        """Break the call off; False if it was over."""
        if not self._entering.done():
            return self._entering.cancel()
        return False if self._failed() else bool(self._inner().cancel())

    def cancelled(self) -> bool:
        """Whether the call ended by being broken off."""
        task = self._entering
        if not task.done():
            return False
        if task.cancelled():
            return True
        error = task.exception()
        if error is not None:
            return isinstance(error, AioRpcError) and error.code() is StatusCode.CANCELLED
        return bool(self._inner().cancelled())

    def done(self) -> bool:
        """Whether the call is over."""
        return self._entering.done() and (self._failed() or self._inner().done())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` when the call is over."""
        if not self._entering.done():
            self._callbacks.append(callback)
        elif self._failed():
            self._loop.call_soon(callback, self)
        else:
            self._inner().add_done_callback(lambda _: callback(self))

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - self._loop.time(), 0.0)

    async def _call(self) -> Any:
        await asyncio.shield(self._entering)
        return self._inner()

    async def _ask(self, name: str, of_error: Callable[[AioRpcError], Any], cancelled: Any) -> Any:
        try:
            call = await self._call()
        except AioRpcError as error:
            return of_error(error)
        except asyncio.CancelledError:
            if not self._entering.cancelled():
                raise
            return cancelled
        return await getattr(call, name)()

    async def initial_metadata(self) -> Any:
        """Return what came before the first message, when it has."""
        return await self._ask("initial_metadata", lambda error: error.initial_metadata(), None)

    async def trailing_metadata(self) -> Any:
        """Return what came with the status, when the call is over."""
        return await self._ask("trailing_metadata", lambda error: error.trailing_metadata(), None)

    async def code(self) -> Any:
        """Return the status, when the call is over."""
        return await self._ask("code", lambda error: error.code(), StatusCode.CANCELLED)

    async def details(self) -> Any:
        """Return the text of the status, when the call is over."""
        return await self._ask("details", lambda error: error.details(), "Locally cancelled by application!")

    async def debug_error_string(self) -> Any:
        """Return the status as one text, when the call is over."""
        return await self._ask("debug_error_string", lambda error: error.debug_error_string(), "")

    async def wait_for_connection(self) -> None:
        """Wait until the server has begun to answer."""
        await (await self._call()).wait_for_connection()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"


class _InterceptedUnaryResponse(_Intercepted):
    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            call = yield from self._call().__await__()
            return (yield from call.__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise


class _InterceptedStreamResponse(_Intercepted):
    _responses: Any = None

    async def _iterate(self) -> AsyncIterator[Any]:
        async for response in await self._call():
            yield response

    def __aiter__(self) -> AsyncIterator[Any]:
        if self._responses is None:
            self._responses = self._iterate()
        return self._responses  # type: ignore[no-any-return]

    async def read(self) -> Any:
        """Return the next message; `EOF` after the last. Raises `AioRpcError`."""
        return await anext(aiter(self), EOF)


_LAST = object()


class RequestQueue:
    """Requests that a program writes to a call that interceptors have not made yet: an iterator for them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)

    async def put(self, request: Any) -> None:
        """Add one, when the one before was taken."""
        await self._queue.put(request)

    async def end(self) -> None:
        """There are no more."""
        await self._queue.put(_LAST)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (request := await self._queue.get()) is not _LAST:
            yield request


class _InterceptedStreamRequest(_Intercepted):
    _written: RequestQueue | None = None
    _half_closed = False

    def write_to(self, queue: RequestQueue | None) -> None:
        """Where `write()` puts requests; None: the program gave an iterator."""
        self._written = queue

    async def write(self, request: Any) -> None:
        """Send one message, and wait if the one before has not been taken yet."""
        if self._written is None:
            raise UsageError(STYLES)
        if self._half_closed:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        await self._put(self._written.put(request))
        if self.done():
            raise asyncio.InvalidStateError(FINISHED)

    async def done_writing(self) -> None:
        """Say that no more messages follow."""
        if self._written is None:
            raise UsageError(STYLES)
        if not self._half_closed:
            self._half_closed = True
            await self._put(self._written.end())

    async def _put(self, putting: Any) -> None:
        """Wait until a request is taken or the call is over."""
        put = asyncio.ensure_future(putting)
        over = asyncio.ensure_future(self.code())
        try:
            await asyncio.wait([put, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            put.cancel()
            over.cancel()


class InterceptedUnaryUnaryCall(_InterceptedUnaryResponse, UnaryUnaryCall):
    """One message each way, through interceptors."""


class InterceptedUnaryStreamCall(_InterceptedStreamResponse, UnaryStreamCall):
    """A stream of responses, through interceptors."""


class InterceptedStreamUnaryCall(_InterceptedStreamRequest, _InterceptedUnaryResponse, StreamUnaryCall):
    """A stream of requests, through interceptors."""


class InterceptedStreamStreamCall(_InterceptedStreamRequest, _InterceptedStreamResponse, StreamStreamCall):
    """A stream each way, through interceptors."""


class _Iterated:
    """A call whose responses an interceptor iterates over in its own way."""

    def __init__(self, call: Call, responses: Any) -> None:
        self._call = call
        self._responses = responses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __aiter__(self) -> AsyncIterator[Any]:
        return aiter(self._responses)


class _Given(UnaryUnaryCall):
    """A response, or an iterator over some, that an interceptor returned instead of a call."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def __del__(self) -> None:
        return

    def cancel(self) -> bool:
        """It is over."""
        return False

    def cancelled(self) -> bool:
        """It was not broken off."""
        return False

    def done(self) -> bool:
        """It is over."""
        return True

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """It is over."""
        callback(self)

    def time_remaining(self) -> float | None:
        """There is no deadline."""
        return None

    async def initial_metadata(self) -> Metadata:
        """None came."""
        return Metadata()

    async def trailing_metadata(self) -> Metadata:
        """None came."""
        return Metadata()

    async def code(self) -> StatusCode:
        """Return OK."""
        return StatusCode.OK

    async def details(self) -> str:
        """Return no text."""
        return ""

    async def debug_error_string(self) -> str:
        """Return no text."""
        return ""

    async def wait_for_connection(self) -> None:
        """None is needed."""

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from ()
        return self._given

    def __aiter__(self) -> AsyncIterator[Any]:
        return aiter(self._given)

    def __repr__(self) -> str:
        return f"<given {self._given!r}>"
