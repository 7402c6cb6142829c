"""Channels of `grpc`, for threads: calls run on an event loop of the channel's own."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future as ThreadFuture
from typing import Any, ClassVar

from catenet.net.loop_thread import LoopThread
from catenet.rpc.grpc.call import MultiThreadedRendezvous
from catenet.rpc.grpc.callables import MakesCallables, MultiCallable
from catenet.rpc.grpc.credentials import CallCredentials, ChannelCredentials
from catenet.rpc.grpc.interfaces import (
    Channel as AbstractChannel,
)
from catenet.rpc.grpc.interfaces import (
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)
from catenet.rpc.grpc.raw import serialize
from catenet.rpc.grpc.shared import SharedChannel
from catenet.rpc.grpc.status import ChannelConnectivity, Compression, FutureCancelledError, FutureTimeoutError
from catenet.rpc.model.method import Kind

__all__ = ["Channel", "channel_ready_future", "insecure_channel", "secure_channel"]


class _MultiCallable(MultiCallable):
    """Calls one method."""

    def _begin(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
        *,
        blocks: bool = False,
    ) -> MultiThreadedRendezvous:
        shared = self._channel.shared
        if shared.closed:
            raise ValueError("Cannot invoke RPC on closed channel!")
        method, streams = self._method, self._kind.client_streams
        payload = None if streams else serialize(request, self._serializer)
        options = shared.call_options(timeout, metadata, wait_for_ready, compression)
        return MultiThreadedRendezvous(
            self._channel.thread,
            lambda: shared.exchange(method, options, payload, credentials),
            self._serializer,
            self._deserializer,
            not self._kind.server_streams,
            iter(request) if streams else None,
            blocks and self._kind is Kind.UNARY,
        )


class _WithOneResponse(_MultiCallable):
    """Calls a method with one response."""

    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response."""
        return self._begin(request, timeout, metadata, *args, **kwargs, blocks=True).wait()

    def with_call(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Call, and return the response and the call."""
        call = self._begin(request, timeout, metadata, *args, **kwargs, blocks=True)
        return call.wait(), call

    def future(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Begin to call, and return the call, a `Future` too."""
        return self._begin(request, timeout, metadata, *args, **kwargs)


class _WithManyResponses(_MultiCallable):
    """Calls a method with a stream of responses."""

    def __call__(self, request: Any, timeout: Any = None, metadata: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Begin to call, and return the call, an iterator over the responses."""
        return self._begin(request, timeout, metadata, *args, **kwargs)


class _UnaryUnary(_WithOneResponse, UnaryUnaryMultiCallable):
    _kind = Kind.UNARY


class _UnaryStream(_WithManyResponses, UnaryStreamMultiCallable):
    _kind = Kind.SERVER_STREAM


class _StreamUnary(_WithOneResponse, StreamUnaryMultiCallable):
    _kind = Kind.CLIENT_STREAM


class _StreamStream(_WithManyResponses, StreamStreamMultiCallable):
    _kind = Kind.BIDI


class Channel(MakesCallables, AbstractChannel):
    """Calls the methods of a server, from any thread."""

    callables: ClassVar[Mapping[Kind, type[MultiCallable]]] = {
        one._kind: one for one in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)
    }

    def __init__(
        self,
        target: str,
        options: Iterable[tuple[str, Any]] | None,
        credentials: ChannelCredentials | None,
        compression: Compression | None,
    ) -> None:
        self.shared = SharedChannel(target, options, credentials, compression)
        self.thread = LoopThread("grpc-channel")
        self._callbacks: list[Callable[[ChannelConnectivity], None]] = []
        self._watching: Any = None
        self._finalizer = weakref.finalize(self, self.thread.close)

    def subscribe(self, callback: Callable[[ChannelConnectivity], None], try_to_connect: bool | None = False) -> None:
        """Call `callback(connectivity)` now and at each change, on a thread of ours."""
        self.thread.run(self._subscribe(callback, bool(try_to_connect)))

    async def _subscribe(self, callback: Callable[[ChannelConnectivity], None], connect: bool) -> None:
        before = self.shared.state()
        self._callbacks.append(callback)
        asyncio.get_running_loop().call_soon(callback, before)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(before))
        self.shared.state(connect)

    async def _watch(self, state: ChannelConnectivity) -> None:
        while state is not ChannelConnectivity.SHUTDOWN:
            await self.shared.wait_for_change(state)
            state = self.shared.state()
            for callback in list(self._callbacks):
                callback(state)

    def unsubscribe(self, callback: Callable[[ChannelConnectivity], None]) -> None:
        """Call it no more."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def close(self) -> None:
        """End all calls and connections."""
        if not self.shared.closed:
            self.thread.run(self._close())
            self._finalizer()

    async def _close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self.shared.close()


def insecure_channel(
    target: str, options: Iterable[tuple[str, Any]] | None = None, compression: Compression | None = None
) -> Channel:
    """Return a channel without TLS."""
    return Channel(target, options, None, compression)


def secure_channel(
    target: str,
    credentials: ChannelCredentials,
    options: Iterable[tuple[str, Any]] | None = None,
    compression: Compression | None = None,
) -> Channel:
    """Return a channel with the credentials that `ssl_channel_credentials` and its like make."""
    return Channel(target, options, credentials, compression)


class _Ready:
    """A future that is done when a channel is connected."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._ready: ThreadFuture[None] = ThreadFuture()
        channel.subscribe(self._changed, try_to_connect=True)

    def _changed(self, state: ChannelConnectivity) -> None:
        if state is ChannelConnectivity.READY and not self._ready.done():
            self._ready.set_result(None)
            self._channel.unsubscribe(self._changed)

    def result(self, timeout: float | None = None) -> None:
        """Wait until the channel is connected. Raises the errors of futures."""
        try:
            self._ready.result(timeout)
        except TimeoutError:
            raise FutureTimeoutError from None
        except Exception:
            raise FutureCancelledError from None

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait as `result`; there is no other error."""
        self.result(timeout)
        return None

    def traceback(self, timeout: float | None = None) -> None:
        """Wait as `result`; there is no error."""
        self.result(timeout)

    def cancel(self) -> bool:
        """Wait no more."""
        self._channel.unsubscribe(self._changed)
        return self._ready.cancel()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._ready.cancelled()

    def running(self) -> bool:
        """Whether the channel is not connected yet."""
        return not self._ready.done()

    def done(self) -> bool:
        """Whether the channel has been connected."""
        return self._ready.done()

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call `fn(self)` when the channel is connected."""
        self._ready.add_done_callback(lambda _: fn(self))


def channel_ready_future(channel: AbstractChannel) -> _Ready:
    """Return a future that is done when the channel is connected."""
    return _Ready(channel)
