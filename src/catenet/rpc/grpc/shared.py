"""What asynchronous and synchronous channels have in common: arguments, credentials, calls, connectivity."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable
from typing import Any

from catenet.rpc.client.call import CallOptions
from catenet.rpc.client.channel import Connections
from catenet.rpc.client.client import Channel
from catenet.rpc.grpc.credentials import CallCredentials, ChannelCredentials, metadata_of
from catenet.rpc.grpc.exchange import Exchange
from catenet.rpc.grpc.options import Arguments, channel_options, channel_target
from catenet.rpc.grpc.status import COMPRESSIONS, ChannelConnectivity, Compression, Pairs, sendable
from catenet.rpc.model.method import Kind, Method

__all__ = ["SharedChannel"]

_STATES = {state.value[1]: state for state in ChannelConnectivity}


class SharedChannel:
    """A channel of ours for messages of bytes, which takes what `grpc` takes. Belongs to the loop of its first call."""

    def __init__(
        self,
        target: str,
        arguments: Iterable[tuple[str, Any]] | None,
        credentials: ChannelCredentials | None,
        compression: Compression | None,
    ) -> None:
        given = Arguments(arguments)
        self.target = target
        self._max_send = given.size("max_send_message_length", 1 << 31)
        options = channel_options(given, compression)
        make = None if credentials is None else credentials.make_context
        self._channel = Channel(channel_target(target), options=options, tls=None if make is None else make())
        self._calls = None if credentials is None else credentials.calls
        self._authority = options.authority or target.rpartition("/")[2]
        self._running: set[Exchange] = set()
        self._streaming: weakref.WeakSet[Exchange] = weakref.WeakSet()
        self._watched: Connections | None = None
        self._changed: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no calls can begin any more."""
        return self._closed

    # Calls.

    def call_options(
        self, timeout: float | None, metadata: Any, wait_for_ready: bool | None, compression: Compression | None
    ) -> CallOptions:
        """Return the options of a call. Raises `ValueError` for metadata that cannot be sent."""
        options = CallOptions(timeout=timeout)
        if metadata:
            options["metadata"] = sendable(metadata)
        if wait_for_ready is not None:
            options["wait_for_ready"] = wait_for_ready
        if compression is not None:
            options["compression"] = COMPRESSIONS[compression]
        return options

    def exchange(
        self,
        method: Method[bytes, bytes],
        options: CallOptions,
        request: bytes | None,
        credentials: CallCredentials | None = None,
    ) -> Exchange:
        """Begin a call, on the running loop."""
        plugins = [one for one in (self._calls, credentials) if one is not None]

        async def more() -> Pairs:
            return await metadata_of(plugins, self._authority, method.path)

        before = more if plugins else None
        exchange = Exchange(self._channel, method, options, request, before, self._max_send)
        if method.kind is Kind.UNARY:
            self._running.add(exchange)
            exchange.over = self._running.discard
        else:
            self._streaming.add(exchange)  # one that nobody holds any more is broken off
        return exchange

    # Connectivity.

    def _connections(self) -> Connections:
        connections = self._channel.connections()
        if connections is not self._watched:
            self._watched = connections
            connections.on_state = self._on_state
        return connections

    def _on_state(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    def state(self, try_to_connect: bool = False) -> ChannelConnectivity:
        """Return how the channel stands; connect, if asked to and idle."""
        if self._closed:
            return ChannelConnectivity.SHUTDOWN
        connections = self._connections()
        if try_to_connect and connections.state == "idle":
            connections.start_connecting()
        return _STATES[connections.state]

    async def wait_for_change(self, last: ChannelConnectivity) -> None:
        """Wait until the channel stands otherwise than `last`."""
        while self.state() is last:
            if self._changed is None:
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    # The end.

    async def close(self, grace: float | None = None) -> None:
        """End all calls, after `grace` seconds those that are left; begin no others."""
        if self._closed:
            return
        self._closed = True
        running = [one for one in (*self._running, *self._streaming) if not one.done]
        if grace and running:
            await asyncio.wait([asyncio.ensure_future(one.outcome()) for one in running], timeout=grace)
        for exchange in running:
            exchange.cancel("Channel closed!")
        await self._channel.close()
        self._on_state()
