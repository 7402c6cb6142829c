"""The synchronous face of a channel: the same calls, each driven by an event loop of the calling thread's own.

No thread is started, so it works wherever the program may block, after `fork`, and in a simulated world. What a loop
does between calls (keepalive, reading GOAWAY) waits for the next call, which is then repeated if it was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, TypeVar, Unpack

from catenet.net.blocking import LoopOfThread
from catenet.net.tls_source import TlsSource
from catenet.rpc.client.bidi import BidiCall
from catenet.rpc.client.call import CallOptions
from catenet.rpc.client.client import Channel
from catenet.rpc.client.options import ChannelOptions
from catenet.rpc.model.interceptor import Interceptor
from catenet.rpc.model.method import Method

__all__ = ["SyncBidiCall", "SyncChannel"]

Q = TypeVar("Q")
S = TypeVar("S")
T = TypeVar("T")


class SyncChannel:
    """As `Channel`, for programs without an event loop. Threads may share it; each has its own connections.

    `loop_factory` makes the loops, for example `uvloop.new_event_loop`.
    """

    def __init__(
        self,
        target: str,
        *,
        options: ChannelOptions | None = None,
        tls: TlsSource | None = None,
        interceptors: Iterable[Interceptor] = (),
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    ) -> None:
        chain = tuple(interceptors)

        def make() -> Channel:
            return Channel(target, options=options, tls=tls, interceptors=chain)

        make()  # a wrong argument should show here, not in the first call
        instead = "a SyncChannel would block the event loop that runs here: use Channel"
        self._loop = LoopOfThread(make, Channel.close, instead, loop_factory)

    def unary(self, method: Method[Q, S], request: Q, **options: Unpack[CallOptions]) -> S:
        """Send one message, return the one that answers it. Raises `RpcError`."""
        channel = self._channel()
        return self._run(channel.unary(method, request, **options))

    def server_stream(self, method: Method[Q, S], request: Q, **options: Unpack[CallOptions]) -> Iterator[S]:
        """Send one message; iterate over those that answer it."""
        stream = self._channel().server_stream(method, request, **options)
        try:
            while (response := self._run(_next(stream))) is not None:
                yield response
        finally:
            stream.cancel()
            self._run(asyncio.sleep(0))

    def client_stream(self, method: Method[Q, S], requests: Iterable[Q], **options: Unpack[CallOptions]) -> S:
        """Send messages, return the one that answers them all. Raises `RpcError`."""
        channel = self._channel()
        return self._run(channel.client_stream(method, requests, **options))

    def bidi(self, method: Method[Q, S], **options: Unpack[CallOptions]) -> SyncBidiCall[Q, S]:
        """Return a call that sends and receives; use it as a context manager."""
        return SyncBidiCall(self, self._channel().bidi(method, **options))

    def close(self) -> None:
        """Close this thread's connections and loop; other threads' go with the threads."""
        self._loop.close()

    def __enter__(self) -> SyncChannel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _channel(self) -> Channel:
        return self._loop.client()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)


class SyncBidiCall(Generic[Q, S]):
    """As `BidiCall`, without `await`."""

    def __init__(self, channel: SyncChannel, call: BidiCall[Q, S]) -> None:
        self._channel = channel
        self._call = call
        self.info = call.info

    def send(self, request: Q) -> None:
        """Send one message, and wait if the server does not take it yet."""
        self._channel._run(self._call.send(request))

    def done(self) -> None:
        """Say that no more messages follow."""
        self._channel._run(self._call.done())

    def receive(self) -> S | None:
        """Return the next response; None after the last."""
        return self._channel._run(self._call.receive())

    def cancel(self) -> None:
        """Break the call off."""
        self._call.cancel()
        self._channel._run(asyncio.sleep(0))

    def __iter__(self) -> Iterator[S]:
        while (response := self.receive()) is not None:
            yield response

    def __enter__(self) -> SyncBidiCall[Q, S]:
        self._channel._run(self._call.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()


async def _next(stream: Any) -> Any:
    return await anext(stream, None)
