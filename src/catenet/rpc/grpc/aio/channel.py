"""Channels of `grpc.aio`."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from catenet.rpc.grpc.aio.call import Call, StreamStreamCall, StreamUnaryCall, UnaryStreamCall, UnaryUnaryCall
from catenet.rpc.grpc.aio.errors import UsageError
from catenet.rpc.grpc.aio.interceptor import (
    ClientCallDetails,
    InterceptedStreamStreamCall,
    InterceptedStreamUnaryCall,
    InterceptedUnaryStreamCall,
    InterceptedUnaryUnaryCall,
    RequestQueue,
    StreamStreamClientInterceptor,
    StreamUnaryClientInterceptor,
    UnaryStreamClientInterceptor,
    UnaryUnaryClientInterceptor,
    chained,
)
from catenet.rpc.grpc.aio.metadata import Metadata
from catenet.rpc.grpc.callables import MakesCallables, MultiCallable
from catenet.rpc.grpc.credentials import CallCredentials, ChannelCredentials
from catenet.rpc.grpc.exchange import Exchange
from catenet.rpc.grpc.raw import method_of, serialize
from catenet.rpc.grpc.shared import SharedChannel
from catenet.rpc.grpc.status import ChannelConnectivity, Compression
from catenet.rpc.model.method import Kind, Method

__all__ = [
    "Channel",
    "StreamStreamMultiCallable",
    "StreamUnaryMultiCallable",
    "UnaryStreamMultiCallable",
    "UnaryUnaryMultiCallable",
    "insecure_channel",
    "secure_channel",
]

_KINDS: dict[Kind, tuple[type[Call], type[Any], type[Any], str]] = {
    Kind.UNARY: (UnaryUnaryCall, InterceptedUnaryUnaryCall, UnaryUnaryClientInterceptor, "intercept_unary_unary"),
    Kind.SERVER_STREAM: (
        UnaryStreamCall, InterceptedUnaryStreamCall, UnaryStreamClientInterceptor, "intercept_unary_stream",
    ),
    Kind.CLIENT_STREAM: (
        StreamUnaryCall, InterceptedStreamUnaryCall, StreamUnaryClientInterceptor, "intercept_stream_unary",
    ),
    Kind.BIDI: (
        StreamStreamCall, InterceptedStreamStreamCall, StreamStreamClientInterceptor, "intercept_stream_stream",
    ),
}  # fmt: skip


class _MultiCallable(MultiCallable):
    """Calls one method."""

    def _start(
        self,
        request: Any,
        timeout: float | None,
        metadata: Any,
        credentials: CallCredentials | None,
        wait_for_ready: bool | None,
        compression: Compression | None,
    ) -> Any:
        if self._channel.shared.closed:
            raise UsageError("Channel is closed.")
        _, intercepted, _, name = _KINDS[self._kind]
        interceptors = self._channel.interceptors(self._kind)
        path = self._method.path
        if not interceptors:
            return self._begin(
                ClientCallDetails(path, timeout, metadata, credentials, wait_for_ready), request, compression
            )
        known = metadata if isinstance(metadata, Metadata) else Metadata.from_tuple(metadata)
        details = ClientCallDetails(path, timeout, known, credentials, wait_for_ready)
        begun: list[Call] = []

        def begin(changed: Any, request: Any) -> Call:
            begun.append(self._begin(changed, request, compression))
            return begun[-1]

        queue = RequestQueue() if self._kind.client_streams and request is None else None
        through = chained(interceptors, name, begin)
        call = intercepted(through(details, request if queue is None else queue), begun, timeout)
        if self._kind.client_streams:
            call.write_to(queue)
        return call

    def _begin(self, details: Any, request: Any, compression: Compression | None) -> Call:
        """Make the call itself, with details that interceptors may have made up."""
        path = details.method.decode() if isinstance(details.method, bytes) else details.method
        method: Method[bytes, bytes] = self._method
        if path != method.path:
            method = method_of(path, self._kind)
        payload = None if self._kind.client_streams else serialize(request, self._serializer)
        shared = self._channel.shared
        options = shared.call_options(details.timeout, details.metadata, details.wait_for_ready, compression)
        exchange: Exchange = shared.exchange(method, options, payload, details.credentials)
        call = _KINDS[self._kind][0](exchange, self._serializer, self._deserializer)
        if isinstance(call, StreamUnaryCall | StreamStreamCall):
            call.take(request)
        return call


class _OfOneRequest(_MultiCallable):
    """Calls a method with one request."""

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> Any:
        """Begin to call, and return the call: await it, or iterate over it."""
        return self._start(request, timeout, metadata, credentials, wait_for_ready, compression)


class _OfRequests(_MultiCallable):
    """Calls a method with a stream of requests."""

    def __call__(
        self,
        request_iterator: Iterable[Any] | AsyncIterable[Any] | None = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: Compression | None = None,
    ) -> Any:
        """Begin to call, and return the call; without an iterator the program writes."""
        return self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)


class UnaryUnaryMultiCallable(_OfOneRequest):
    """Calls a method with one message each way."""

    _kind = Kind.UNARY


class UnaryStreamMultiCallable(_OfOneRequest):
    """Calls a method whose response is a stream."""

    _kind = Kind.SERVER_STREAM


class StreamUnaryMultiCallable(_OfRequests):
    """Calls a method whose request is a stream."""

    _kind = Kind.CLIENT_STREAM


class StreamStreamMultiCallable(_OfRequests):
    """Calls a method with a stream each way."""

    _kind = Kind.BIDI


class Channel(MakesCallables):
    """Calls the methods of a server, on the event loop of its first call."""

    callables: ClassVar[Mapping[Kind, type[MultiCallable]]] = {
        one._kind: one
        for one in (
            UnaryUnaryMultiCallable,
            UnaryStreamMultiCallable,
            StreamUnaryMultiCallable,
            StreamStreamMultiCallable,
        )
    }

    def __init__(
        self,
        target: str,
        options: Iterable[tuple[str, Any]] | None,
        credentials: ChannelCredentials | None,
        compression: Compression | None,
        interceptors: Sequence[Any] | None,
    ) -> None:
        self.shared = SharedChannel(target, options, credentials, compression)
        self._interceptors: dict[Kind, list[Any]] = {kind: [] for kind in _KINDS}
        for interceptor in interceptors or ():
            kinds = [kind for kind, (_, _, base, _) in _KINDS.items() if isinstance(interceptor, base)]
            if not kinds:
                names = ", ".join(base.__name__ for _, _, base, _ in _KINDS.values())
                raise ValueError(f"Interceptor {interceptor} must be one of: {names}")
            for kind in kinds:
                self._interceptors[kind].append(interceptor)

    def interceptors(self, kind: Kind) -> list[Any]:
        """Return those of calls of that kind."""
        return self._interceptors[kind]

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """End all calls, after `grace` seconds those that are left."""
        await self.shared.close(grace)

    def get_state(self, try_to_connect: bool = False) -> ChannelConnectivity:
        """Return how the channel stands; connect, if asked to and idle."""
        return self.shared.state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: ChannelConnectivity) -> None:
        """Wait until the channel stands otherwise."""
        await self.shared.wait_for_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        while (state := self.shared.state(True)) is not ChannelConnectivity.READY:
            if state is ChannelConnectivity.SHUTDOWN:
                raise UsageError("Channel is closed.")
            await self.shared.wait_for_change(state)


def insecure_channel(
    target: str,
    options: Iterable[tuple[str, Any]] | None = None,
    compression: Compression | None = None,
    interceptors: Sequence[Any] | None = None,
) -> Channel:
    """Return a channel without TLS."""
    return Channel(target, options, None, compression, interceptors)


def secure_channel(
    target: str,
    credentials: ChannelCredentials,
    options: Iterable[tuple[str, Any]] | None = None,
    compression: Compression | None = None,
    interceptors: Sequence[Any] | None = None,
) -> Channel:
    """Return a channel with the credentials that `ssl_channel_credentials` and its like make."""
    return Channel(target, options, credentials, compression, interceptors)
