"""From a request head to what serves it: worked out once per head, then found in `head.note`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any

from catenet.codec import Codec, Compression
from catenet.http.message import Fields, ResponseHead
from catenet.rpc.model.handlers import check_handler, wrong_answer
from catenet.rpc.model.interceptor import Chain
from catenet.rpc.model.method import Kind, ServiceDescriptor
from catenet.rpc.policy.guard import Gate, Guard
from catenet.rpc.protocols.protocol import AnyMethod, Plan
from catenet.rpc.server.watch import Watch

if TYPE_CHECKING:
    from catenet.rpc.server.call import ServerCall

__all__ = ["Binding", "Route", "bind_service"]

Invoke = Callable[[Any, "ServerCall"], Any]


class Binding:
    """A method and what implements it. `invoke(request or requests, call)` returns the coroutine that serves it.

    `gate`: what its calls pass before; `watch`: what is told how they end.
    """

    __slots__ = ("chain", "gate", "handler", "invoke", "method", "watch")

    def __init__(
        self,
        method: AnyMethod,
        handler: Callable[..., Any],
        chain: Chain,
        executor: Executor | None,
        gate: Gate | None = None,
    ) -> None:
        self.method = method
        self.gate = gate
        self.watch: Watch | None = None
        self.chain = chain
        self.handler = handler
        kind = method.kind
        if not (_is_async(handler)):
            handler = on_thread(handler, kind, executor)
        served = _sending(handler, self.handler) if kind.server_streams else handler
        self.invoke: Invoke = _enclosed(served, chain) if chain.around else served


def bind_service(
    implementation: Any, chain: Chain, executor: Executor | None, guard: Guard | None = None
) -> dict[str, Binding]:
    """Return bindings by path for all methods that `implementation` has.

    Raises `ValueError` if it names no service or implements nothing of it, or a method that takes other arguments.
    """
    service = getattr(type(implementation), "__service__", None)
    if not isinstance(service, ServiceDescriptor):
        raise ValueError(f"{type(implementation).__name__} has no __service__: derive it from a generated class")
    bindings = {}
    for method in service.methods:
        handler = getattr(implementation, method.attribute, None)
        if callable(handler) and not _only_declares(handler):
            check_handler(handler)
            gate = None if guard is None else guard.gate(method, implementation)
            bindings[method.path] = Binding(method, handler, chain, executor, gate)
    if service.methods and not bindings:
        raise ValueError(f"{type(implementation).__name__} implements no method of {service.name}")
    return bindings


def _only_declares(handler: Callable[..., Any]) -> bool:
    """Whether this is the method of a generated base class, whose body is `raise METHOD.unimplemented()`.

    Called, it would answer right, but from a thread.
    """
    code = getattr(handler, "__code__", None)
    return code is not None and code.co_names[-1:] == ("unimplemented",) and not _is_async(handler)


def _is_async(handler: Callable[..., Any]) -> bool:
    inner = handler if inspect.isroutine(handler) else type(handler).__call__
    return inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)


def _sending(handler: Callable[..., Any], written: Callable[..., Any]) -> Invoke:
    async def send(request: Any, call: ServerCall) -> None:
        responses = handler(request, call)
        # A coroutine that returns an iterator, rather than an async generator, is welcome too.
        if inspect.isawaitable(responses):
            responses = await responses
        if not hasattr(responses, "__aiter__"):
            raise wrong_answer(written, responses, "an asynchronous iterator of responses")
        await call.send_all(responses)

    return send


def _enclosed(served: Invoke, chain: Chain) -> Invoke:
    async def invoke(request: Any, call: ServerCall) -> Any:
        async def innermost() -> Any:
            return await served(request, call)

        return await chain.wrap(call, innermost)()

    return invoke


def on_thread(handler: Callable[..., Any], kind: Kind, executor: Executor | None) -> Callable[..., Any]:
    """Return an asynchronous handler that runs a plain one on a thread."""

    async def call_it(request: Any, call: ServerCall) -> Any:
        result = await _on_executor(call, executor, partial(handler, request, call))
        return await result if inspect.isawaitable(result) else result

    async def iterate(request: Any, call: ServerCall) -> AsyncIterator[Any]:
        responses = await call_it(request, call)
        if not hasattr(responses, "__iter__"):
            raise wrong_answer(handler, responses, "an iterator of responses")
        step = partial(next, iter(responses), _END)
        try:
            while (item := await _on_executor(call, executor, step)) is not _END:
                yield item
        finally:
            if inspect.isgenerator(responses):
                await _on_executor(call, executor, responses.close)

    return iterate if kind.server_streams else call_it


_END = object()


def _without_stop(work: Callable[[], Any]) -> Any:
    """Run it, and turn StopIteration into another error: no future takes it, so whoever waits would wait for ever."""
    try:
        return work()
    except StopIteration as error:
        raise RuntimeError("the handler raised StopIteration") from error


async def _on_executor(call: ServerCall, executor: Executor | None, work: Callable[[], Any]) -> Any:
    """Run a part of a plain handler on a thread; what it raises when nobody waits for it any more is reported.

    A thread cannot be cancelled: the call ends, and the handler goes on to its end, of which no future tells. The list
    is how the two agree on who reports: whoever takes the error out of it.
    """
    run = contextvars.copy_context().run  # what the call carries on goes along, as with asyncio.to_thread
    left: list[bool] = []
    raised: list[BaseException] = []

    def report() -> None:
        try:
            error = raised.pop()
        except IndexError:
            return
        call.report(error)

    def guarded() -> Any:
        try:
            return _without_stop(work)
        except BaseException as error:
            raised.append(
                error
            )  # a future would throw it into the task, and a GeneratorExit closes what it is thrown into
            if left:
                report()
            return None

    try:
        result = await call.loop.run_in_executor(executor, run, guarded)
    except asyncio.CancelledError:
        left.append(True)
        report()
        raise
    if raised:
        raise raised.pop()
    return result


class Route:
    """A plan with everything looked up that its codec, compression and method stand for.

    `quick` (in an envelope) and `quick_bare` (without): the request is a single message that nobody intercepts,
    which may be decoded straight from DATA. `constant_reply`: head and trailers of an uncompressed response without
    metadata that nobody intercepts, and whether its message has an envelope. `extra`: what all heads of responses get.
    """

    __slots__ = (
        "binding",
        "chain",
        "compress",
        "compression",
        "constant_reply",
        "decode",
        "decompress",
        "encode",
        "extra",
        "limit",
        "plan",
        "quick",
        "quick_bare",
        "request_class",
        "response_class",
        "send_limit",
        "streams_in",
        "streams_out",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        binding: Binding,
        codecs: Mapping[str, Codec],
        compressions: Mapping[str, Compression],
        limits: tuple[int, int],
        compression: str,
        extra: Fields = (),
    ) -> None:
        self.plan = plan
        self.extra = extra
        self.binding = binding
        self.chain = binding.chain
        codec = codecs[plan.codec]
        self.decode = codec.decode
        self.encode = codec.encode
        self.request_class = binding.method.request
        self.response_class = binding.method.response
        self.limit, self.send_limit = limits
        self.streams_in = binding.method.kind.client_streams
        self.streams_out = binding.method.kind.server_streams
        single = not self.streams_in and not self.chain.request and plan.message is None
        self.quick = single and plan.wire.name == "grpc"
        self.quick_bare = single and plan.buffered and plan.compression == "identity"
        self.decompress = None if plan.compression == "identity" else compressions[plan.compression].decompress
        self.compression = compression if compression in plan.accepts else "identity"
        self.constant_reply: tuple[ResponseHead, Fields | None, bool] | None = None
        if not self.streams_out and not self.chain.response and self.compression == "identity":
            self.constant_reply = self._constant_reply()

        def compress(name: str, payload: bytes) -> bytes:
            return compressions[name].compress(payload)

        self.compress = compress

    def shown(self, head: ResponseHead) -> ResponseHead:
        """Return the head of a response with what all of them get."""
        return ResponseHead(head.status, head.fields + self.extra) if self.extra else head

    def _constant_reply(self) -> tuple[ResponseHead, Fields | None, bool] | None:
        """Learn from the reply with an empty message what is the same in all; None if more than the message differs."""
        empty = self.plan.wire.whole(self.plan, (), b"", "identity", None, ())
        if empty.body not in (b"", bytes(5)):
            return None
        return self.shown(empty.head), empty.trailers, empty.body != b""
