"""Our server with handlers of `grpc`'s kind: found when a call comes, run on the loop or on threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from typing import Any

from catenet.http.message import RequestHead
from catenet.rpc.grpc.context import ServicerContext
from catenet.rpc.grpc.handlers import HandlerCallDetails, Handlers
from catenet.rpc.grpc.raw import method_of, serialize
from catenet.rpc.grpc.status import RpcError, pairs_of
from catenet.rpc.model.interceptor import Chain
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code
from catenet.rpc.model.status import RpcError as CallError
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.options import ServerOptions
from catenet.rpc.server.requests import END
from catenet.rpc.server.route import Binding
from catenet.rpc.server.server import Server

__all__ = [
    "CallServer",
    "Reading",
    "chained",
    "details_of",
    "handle",
    "is_plain",
    "no_handler",
    "run_handler",
    "serialized",
]

_PATHS_LIMIT = 4096


class CallServer(Server):
    """Serves whatever `handlers` find. A subclass says how a handler runs, by `perform`."""

    def __init__(self, handlers: Handlers, options: ServerOptions, limit: int | None) -> None:
        super().__init__(options=options)
        self._handlers = handlers
        self._limit = limit
        self._running = 0

    def is_call(self, head: RequestHead) -> bool:
        """All are calls: there is no application beside them."""
        return True

    def binding(self, path: str) -> Binding | None:
        """Return what serves a path: found once for how many messages go which way, and then again for each call."""
        binding = self._bindings.get(path)
        if binding is not None:
            return binding
        handler = self._handlers.find(HandlerCallDetails(path, ()))
        # What is not there, an interceptor may serve: whichever way, so both are left open.
        kind = Kind.BIDI if handler is None else Kind((handler.request_streaming, handler.response_streaming))
        try:
            binding = Binding(method_of(path, kind), self._serving(), Chain(()), None)
        except ValueError:
            return None
        if handler is not None and len(self._bindings) < _PATHS_LIMIT:
            self._bindings[path] = binding
        return binding

    def _serving(self) -> Any:
        async def serve(request: Any, call: ServerCall) -> Any:
            if self._limit is not None and self._running >= self._limit:
                raise CallError(Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
            self._running += 1
            try:
                response = await self.perform(request, call)
            finally:
                self._running -= 1
            return _nothing() if call.method.kind.server_streams else response

        return serve

    async def perform(self, request: Any, call: ServerCall) -> Any:
        """Serve a call: return the response of one that has one, write those of one that has many."""
        raise NotImplementedError


async def _nothing() -> AsyncIterator[Any]:
    """All responses have been written."""
    nothing: tuple[Any, ...] = ()
    for each in nothing:
        yield each


def details_of(call: ServerCall) -> HandlerCallDetails:
    """Return what interceptors and generic handlers see."""
    return HandlerCallDetails(call.method.path, pairs_of(call.metadata))


def no_handler(call: ServerCall) -> CallError:
    """Return the error of a method that nobody serves."""
    return CallError(Code.UNIMPLEMENTED, "Method not found!")


def behaviour_of(handler: Any) -> Any:
    """Return the function that a handler has."""
    names = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    return getattr(handler, names[2 * bool(handler.request_streaming) + bool(handler.response_streaming)])


class Reading:
    """The requests of a call, one after the other, as messages."""

    def __init__(self, request: Any, call: ServerCall, deserializer: Any) -> None:
        self._one: list[bytes] | None = None if call.method.kind.client_streams else [request]
        self._call = call
        self._deserializer = deserializer

    async def next(self) -> Any:
        """Return the next message; `END` after the last. Raises our `RpcError`."""
        if self._one is not None:
            payload: Any = self._one.pop() if self._one else END
        else:
            payload = await self._call.next_request()
        return END if payload is END else self.deserialize(payload)

    async def only(self) -> Any:
        """Return the one message of a call that has one."""
        message = await self.next()
        if message is END:
            raise CallError(Code.UNIMPLEMENTED, "the method takes one message, none came")
        return message

    def deserialize(self, payload: bytes) -> Any:
        """Return the message that the bytes are."""
        if self._deserializer is None:
            return payload
        try:
            return self._deserializer(payload)
        except Exception as error:
            raise CallError(Code.INTERNAL, "Exception deserializing request!") from error

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (message := await self.next()) is not END:
            yield message


def serialized(message: Any, serializer: Any) -> bytes:
    """Return a response as bytes. Raises our `RpcError` if it cannot be."""
    try:
        return serialize(message, serializer)
    except Exception as error:
        raise CallError(Code.INTERNAL, "Failed to serialize response!") from error


# Handlers on threads.


class _RequestsOnThread:
    """The requests of a stream, for a handler on a thread."""

    def __init__(self, reading: Reading, context: ServicerContext) -> None:
        self._reading = reading
        self._context = context

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            message = self._context.on_loop(self._reading.next)
        except CallError as error:
            raise RpcError(str(error)) from error  # what programs catch; the cause ends the call
        if message is END:
            raise StopIteration
        return message


async def run_handler(
    find: Any, request: Any, call: ServerCall, executor: Executor | None, context: ServicerContext
) -> Any:
    """Serve a call by a plain handler, on one thread from its interceptors to its last response.

    On one thread, as what a generator keeps in thread-local or context variables must be there at its next step.
    """
    loop = asyncio.get_running_loop()
    inside = contextvars.copy_context()

    def work() -> Any:
        try:
            return True, inside.run(_serve_on_thread, find, request, call, context)
        except BaseException as error:  # a future takes not every exception
            return False, error

    try:
        fine, result = await loop.run_in_executor(executor, work)
    finally:
        context.over()
    if fine:
        return result
    if isinstance(result, RpcError) and isinstance(result.__cause__, CallError):
        result = result.__cause__
    if isinstance(result, CallError):
        raise result
    if not context.aborted:
        call.report(result)
        raise context.failed(f"Exception calling application: {result}") from None
    raise context.failed("")


def _serve_on_thread(find: Any, request: Any, call: ServerCall, context: ServicerContext) -> Any:
    handler = find(details_of(call))
    if handler is None:
        raise no_handler(call)
    reading = Reading(request, call, handler.request_deserializer)
    argument: Any
    if handler.request_streaming:
        argument = _RequestsOnThread(reading, context)
    elif call.method.kind.client_streams:
        argument = context.on_loop(reading.only)
    else:
        argument = reading.deserialize(request)
    result = behaviour_of(handler)(argument, context)
    if not handler.response_streaming:
        return _ended_with(result, handler, call, context)
    streams = call.method.kind.server_streams
    payload: Any = None
    for message in result:
        if not context.is_active():
            close = getattr(result, "close", None)
            if close is not None:
                close()
            raise CallError(Code.CANCELLED, "the caller has gone")
        payload = serialized(message, handler.response_serializer)
        if streams:
            context.on_loop(call.write, payload)
    error = context.ending()
    if error is not None:
        raise error
    return payload


def _ended_with(result: Any, handler: Any, call: ServerCall, context: ServicerContext) -> Any:
    error = context.ending()
    if error is not None:
        raise error
    payload = serialized(result, handler.response_serializer)
    if call.method.kind.server_streams:
        context.on_loop(call.write, payload)
    return payload


# Handlers on the loop.


async def handle(handler: Any, request: Any, call: ServerCall, context: Any) -> Any:
    """Serve a call by an asynchronous handler. `context` is a `CallState` of `grpc.aio`."""
    reading = Reading(request, call, handler.request_deserializer)
    context.reads_from(reading, handler.response_serializer)
    argument = aiter(reading) if handler.request_streaming else await reading.only()
    result = behaviour_of(handler)(argument, context)
    streams = call.method.kind.server_streams
    payload: Any = None
    if hasattr(result, "__aiter__"):
        async for message in result:
            payload = serialized(message, handler.response_serializer)
            if streams:
                await call.write(payload)
    elif inspect.isawaitable(result):
        message = await result
        error = context.ending()
        if error is not None:
            raise error
        if handler.response_streaming:  # it has written them
            return context.last_written
        payload = serialized(message, handler.response_serializer)
        if streams:
            await call.write(payload)
    error = context.ending()
    if error is not None:
        raise error
    return payload


def chained(interceptors: Sequence[Any], find: Any) -> Any:
    """Return a function of details that goes through all interceptors, then to `find`."""
    through = find
    for interceptor in reversed(interceptors):
        through = _around(interceptor.intercept_service, through)
    return through


def _around(intercept: Any, continuation: Any) -> Any:
    def proceed(details: Any) -> Any:
        return intercept(continuation, details)

    return proceed


def is_plain(handler: Any) -> bool:
    """Whether a handler wants a thread."""
    behaviour = behaviour_of(handler)
    inner = behaviour if inspect.isroutine(behaviour) or inspect.isfunction(behaviour) else type(behaviour).__call__
    while hasattr(inner, "func"):
        inner = inner.func
    return not (inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner))
