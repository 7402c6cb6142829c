"""Calls of `grpc.aio`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import Any

from catenet.rpc.grpc.aio.errors import EOF, AioRpcError, UsageError
from catenet.rpc.grpc.aio.metadata import Metadata
from catenet.rpc.grpc.exchange import Exchange
from catenet.rpc.grpc.raw import serialize
from catenet.rpc.grpc.status import Outcome, StatusCode
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import RpcError as CallError

__all__ = [
    "FINISHED",
    "HALF_CLOSED",
    "STYLES",
    "Call",
    "RpcContext",
    "StreamStreamCall",
    "StreamUnaryCall",
    "UnaryStreamCall",
    "UnaryUnaryCall",
]

FINISHED = "RPC already finished."
HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
_NOTHING = object()
STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."


class RpcContext:
    """What both ends know of a call."""


class Call(RpcContext):
    """A call, as its client sees it. One that nobody holds any more is broken off."""

    def __init__(self, exchange: Exchange, serializer: Any = None, deserializer: Any = None) -> None:
        self._exchange = exchange
        self._serializer = serializer
        self._deserializer = deserializer

    def __del__(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is not None and not exchange.done and not exchange.loop.is_closed():
            exchange.loop.call_soon_threadsafe(exchange.cancel)

    def cancelled(self) -> bool:
        """Whether the call ended by being broken off."""
        ended = self._exchange.ended
        return ended is not None and ended.code is StatusCode.CANCELLED

    def done(self) -> bool:
        """Whether the call is over."""
        return self._exchange.done

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return self._exchange.remaining()

    def cancel(self) -> bool:
        """Break the call off; False if it was over."""
        return self._exchange.cancel()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback(self)` when the call is over."""
        self._exchange.on_done(lambda: callback(self))

    async def initial_metadata(self) -> Metadata:
        """Return what came before the first message, when it has."""
        return Metadata.from_tuple(await self._exchange.initial())

    async def trailing_metadata(self) -> Metadata:
        """Return what came with the status, when the call is over."""
        return Metadata.from_tuple((await self._exchange.outcome()).trailing)

    async def code(self) -> StatusCode:
        """Return the status, when the call is over."""
        return (await self._exchange.outcome()).code

    async def details(self) -> str:
        """Return the text of the status, when the call is over."""
        return (await self._exchange.outcome()).details

    async def debug_error_string(self) -> str:
        """Return the status as one text, when the call is over."""
        return (await self._exchange.outcome()).debug_string

    async def wait_for_connection(self) -> None:
        """Wait until the server has begun to answer. Raises `AioRpcError` if the call failed before."""
        await self._exchange.initial()
        ended = self._exchange.ended
        if ended is not None:
            await self._raise_for(ended)

    async def _raise_for(self, outcome: Outcome) -> None:
        if outcome.code is StatusCode.OK:
            return
        if self._exchange.was_cancelled:
            raise asyncio.CancelledError
        raise AioRpcError.of(outcome, await self._exchange.initial())

    def __repr__(self) -> str:
        ended = self._exchange.ended
        if ended is None:
            return f"<{type(self).__name__} object>"
        return ended.text(type(self).__name__, "terminated with")


class _UnaryResponse(Call):
    """A call whose response is one message: await it."""

    _receiving: asyncio.Future[Any] | None = None
    _response: Any = _NOTHING

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._exchange.method.kind is Kind.UNARY:
            return (yield from self._answer().__await__())
        if self._receiving is None:
            self._receiving = self._exchange.loop.create_task(self._receive())
        try:
            return (yield from asyncio.shield(self._receiving).__await__())
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _answer(self) -> Any:
        """Wait for the one answer of a unary call, which comes with its end."""
        try:
            outcome = await self._exchange.outcome()
        except asyncio.CancelledError:
            self.cancel()
            raise
        await self._raise_for(outcome)
        if self._response is _NOTHING:
            self._response = self._deserialized(self._exchange.response_now)
        return self._response

    async def _receive(self) -> Any:
        try:
            response = await self._exchange.response()
        except CallError as error:
            raise AioRpcError(StatusCode[error.code.name], details=error.message) from None
        await self._raise_for(await self._exchange.outcome())
        return self._deserialized(response)

    def _deserialized(self, response: bytes | None) -> Any:
        if self._deserializer is None:
            return response
        try:
            return self._deserializer(response)
        except Exception as error:
            raise AioRpcError(StatusCode.INTERNAL, details="Exception deserializing response!") from error


class _StreamResponse(Call):
    """A call whose response is a stream: iterate over it, or `read()`."""

    _reading = ""
    _iterator: AsyncIterator[Any] | None = None

    async def read(self) -> Any:
        """Return the next message; `EOF` after the last. Raises `AioRpcError`."""
        self._read_by("read")
        return await self._next()

    def __aiter__(self) -> AsyncIterator[Any]:
        self._read_by("iterator")
        if self._iterator is None:
            self._iterator = self._iterate()
        return self._iterator

    def _read_by(self, style: str) -> None:
        if self._reading not in ("", style):
            raise UsageError(STYLES)
        self._reading = style

    async def _iterate(self) -> AsyncIterator[Any]:
        while (message := await self._next()) is not EOF:
            yield message

    async def _next(self) -> Any:
        try:
            message = await self._exchange.read()
            if message is None:
                await self._raise_for(await self._exchange.outcome())
                return EOF
        except asyncio.CancelledError:
            self.cancel()
            raise
        return message if self._deserializer is None else self._deserializer(message)


class _StreamRequest(Call):
    """A call whose request is a stream: given as an iterator, or written with `write()` and `done_writing()`."""

    _given: asyncio.Task[None] | None = None
    _half_closed = False

    def take(self, requests: Iterable[Any] | AsyncIterable[Any] | None) -> None:
        """Send what an iterator yields; None: the program writes by itself."""
        if requests is not None:
            self._given = self._exchange.loop.create_task(self._send_all(requests))

    async def _send_all(self, requests: Any) -> None:
        exchange = self._exchange
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    if not await exchange.write(serialize(request, self._serializer)):
                        return
            else:
                for request in requests:
                    if not await exchange.write(serialize(request, self._serializer)):
                        return
            await exchange.writes_done()
        except asyncio.CancelledError:
            exchange.cancel()
        except Exception as error:
            exchange.fail(f"Error consuming request iterator: {error!r}")

    async def write(self, request: Any) -> None:
        """Send one message, and wait if the server does not take it yet."""
        if self._given is not None:
            raise UsageError(STYLES)
        if self._exchange.done:
            raise asyncio.InvalidStateError(FINISHED)
        if self._half_closed:
            raise asyncio.InvalidStateError(HALF_CLOSED)
        try:
            sent = await self._exchange.write(serialize(request, self._serializer))
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not sent:
            await self._raise_for(await self._exchange.outcome())
            raise asyncio.InvalidStateError(FINISHED)

    async def done_writing(self) -> None:
        """Say that no more messages follow."""
        if self._given is not None:
            raise UsageError(STYLES)
        if self._half_closed or self._exchange.done:
            return
        self._half_closed = True
        await self._exchange.writes_done()


class UnaryUnaryCall(_UnaryResponse):
    """One message each way."""


class UnaryStreamCall(_StreamResponse):
    """A stream of responses."""


class StreamUnaryCall(_StreamRequest, _UnaryResponse):
    """A stream of requests."""


class StreamStreamCall(_StreamRequest, _StreamResponse):
    """A stream each way."""
