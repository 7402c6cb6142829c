"""A service of all four kinds on protobuf's own wrapper messages, and what tests need around it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import trustme
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue

from catenet.rpc import (
    Channel,
    ChannelOptions,
    Code,
    Idempotency,
    Kind,
    Method,
    RpcError,
    Server,
    ServiceDescriptor,
)

NAME = "test.Echo"
SAY = Method(NAME, "Say", Kind.UNARY, StringValue, StringValue)
BLOB = Method(NAME, "Blob", Kind.UNARY, BytesValue, BytesValue)
COUNT = Method(NAME, "Count", Kind.SERVER_STREAM, Int64Value, Int64Value)
SUM = Method(NAME, "Sum", Kind.CLIENT_STREAM, Int64Value, Int64Value)
CHAT = Method(NAME, "Chat", Kind.BIDI, StringValue, StringValue)
FLAKY = Method(NAME, "Flaky", Kind.UNARY, StringValue, StringValue, Idempotency.IDEMPOTENT)
SLEEP = Method(NAME, "Sleep", Kind.UNARY, StringValue, StringValue)
MISSING = Method(NAME, "Missing", Kind.UNARY, StringValue, StringValue)
SERVICE = ServiceDescriptor(NAME, (SAY, BLOB, COUNT, SUM, CHAT, FLAKY, SLEEP, MISSING))


def text(value: str) -> StringValue:
    return StringValue(value=value)


def number(value: int) -> Int64Value:
    return Int64Value(value=value)


class Echo:
    """`heard` records what happened to calls that wait."""

    __service__ = SERVICE

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.failures = 0
        self.started = asyncio.Event()

    async def say(self, request: Any, context: Any) -> Any:
        self.heard.append("say")
        command, _, rest = request.value.partition(":")
        if command == "fail":
            context.abort(Code[rest], "as you wish: 100 %\n", [StringValue(value="detail")])
        if command == "raise":
            raise KeyError("secret")
        if command == "wrong":
            return number(1)
        if command == "meta":
            context.set_initial_metadata([("x-first", "1"), ("x-bin", b"\0\xff")])
            context.set_trailing_metadata([("x-last", "2"), ("y-bin", b"")])
            return text(repr([pair for pair in context.metadata if pair[0].startswith("a-")]))
        if command == "deadline":
            return text("none" if context.deadline is None else f"{context.time_remaining():.1f}")
        if command == "peer":
            return text(context.peer.address)
        if command == "identity":
            return text(context.peer.identity.name)
        if command == "zip":
            context.compression = rest
            return text("z" * 5000)
        if command == "later":
            await asyncio.sleep(0.01)
        return text(request.value)

    async def blob(self, request: Any, context: Any) -> Any:
        return request

    async def count(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for value in range(abs(request.value)):
            yield number(value)
            if request.value < 0:
                await asyncio.sleep(0.001)
        if request.value == 13:
            context.set_trailing_metadata([("x-last", "13")])
            context.abort(Code.OUT_OF_RANGE, "unlucky")

    async def sum(self, requests: Any, context: Any) -> Any:
        total = 0
        async for request in requests:
            total += request.value
            if total > 10_000_000:
                context.abort(Code.OUT_OF_RANGE, "enough")
        return number(total)

    async def chat(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield text(request.value.upper())

    async def flaky(self, request: Any, context: Any) -> Any:
        self.failures += 1
        if self.failures < int(request.value):
            context.abort(Code.UNAVAILABLE, f"failure {self.failures}")
        return text(repr(context.get("grpc-previous-rpc-attempts")))

    async def sleep(self, request: Any, context: Any) -> Any:
        self.started.set()
        context.on_cancel(lambda: self.heard.append("on_cancel"))
        try:
            async with asyncio.timeout(20):
                await asyncio.sleep(float(request.value))
        except asyncio.CancelledError:
            self.heard.append("cancelled")
            raise
        return text("slept")


class Threaded:
    """The same methods as plain functions, which run on threads."""

    __service__ = SERVICE

    def say(self, request: Any, context: Any) -> Any:
        return text(request.value + "!")

    def count(self, request: Any, context: Any) -> Iterator[Any]:
        for value in range(request.value):
            yield number(value)

    def sum(self, requests: Any, context: Any) -> Any:
        return number(sum(request.value for request in requests))

    def chat(self, requests: Any, context: Any) -> Iterator[Any]:
        for request in requests:
            yield text(request.value.upper())


@asynccontextmanager
async def serving(
    url: str = "tcp://127.0.0.1:0", implementation: Any = None, tls: Any = None, **given: Any
) -> AsyncIterator[Any]:
    """Yield a server that listens, its implementation and its URL."""
    implementation = implementation or Echo()
    server = Server([implementation], **given)
    listener = await server.listen(url, tls=tls)
    try:
        yield server, implementation, listener.url
    finally:
        await server.close()


@asynccontextmanager
async def calling(
    channel_options: ChannelOptions | None = None, channel_tls: Any = None, interceptors: Any = (), **given: Any
) -> AsyncIterator[Any]:
    """Yield a channel to a server of its own, and the implementation."""
    async with serving(**given) as (server, implementation, url):
        async with Channel(url, options=channel_options, tls=channel_tls, interceptors=interceptors) as channel:
            channel.server = server  # type: ignore[attr-defined]
            yield channel, implementation


async def failure(awaitable: Any) -> RpcError:
    """Return the error that a call ends with."""
    try:
        result = await awaitable
    except RpcError as error:
        return error
    raise AssertionError(f"no error but {result!r}")


class Certificates:
    """An authority, and contexts for both sides; `mutual` asks clients for certificates too."""

    def __init__(self) -> None:
        self.authority = trustme.CA()

    def server(self, mutual: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            self.authority.configure_trust(context)
        return context

    def client(self, mutual: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if mutual:
            self.authority.issue_cert("client@example").configure_cert(context)
        return context


async def until(condition: Any) -> None:
    """Wait until something holds; the test's own time limit ends it if it never does."""
    while not condition():
        await asyncio.sleep(0.005)
