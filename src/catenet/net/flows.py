"""Ends of a relay that are datagrams: the one peer of a client, each peer of a server, a multicast group.

All use `catenet.net.datagram`, so that answers leave from the address that was asked and ICMP messages are heard.
What comes faster than it is taken is dropped and counted, as it would be in the kernel.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from catenet.net.core import Peer, PlainDatagramCore
from catenet.net.datagram import DatagramEndpoint, DatagramPeer
from catenet.net.relay import Piece

__all__ = ["DATAGRAM_SIZE", "Flow", "Flows"]

DATAGRAM_SIZE: Final = 8192
"""Bytes of a stream that make one datagram, at most."""
MOST_HELD: Final = 1 << 20
MOST_WAITING: Final = 64
MOST_FLOWS: Final = 10_000


class Flow:
    """What one peer sends, or all of a group. `dropped`: datagrams that nobody took in time.

    `whole`: what is written are datagrams, which stay as they are; a stream is cut into such of `size`.
    """

    datagrams = True
    last_words: float | None = 1.0
    afterlife: float | None = None

    def __init__(self, flows: Flows, peer: DatagramPeer, name: str, size: int) -> None:
        self.name = name
        self.peer = peer
        self.dropped = 0
        self.whole = False
        self._flows = flows
        self._size = size
        self._queue: deque[bytes] = deque()
        self._held = 0
        self._error: OSError | None = None
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    # For the core.

    def put(self, data: bytes) -> None:
        """A datagram has come."""
        if self._held + len(data) > MOST_HELD:
            self.dropped += 1
            return
        self._queue.append(data)
        self._held += len(data) + 64  # an empty one takes room too
        self._wake()

    def fail(self, error: OSError) -> None:
        """An ICMP message says that nobody is there."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # For the relay.

    async def read(self, most: int) -> Piece | None:
        """Return the next datagram. Raises `OSError`."""
        while not self._queue:
            if self._closed:
                return None
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._queue.popleft()
        self._held -= len(data) + 64
        return data

    async def write(self, data: Piece) -> None:
        """Send a datagram, or several if what is written is part of a stream. Raises `OSError`."""
        if self.whole:
            await self._flows.send(bytes(data), self.peer)
            return
        for start in range(0, len(data), self._size) or [0]:
            await self._flows.send(bytes(data[start : start + self._size]), self.peer)

    async def end(self) -> None:
        """Datagrams have no end."""

    def close(self) -> None:
        """Forget the peer."""
        if not self._closed:
            self._closed = True
            self._wake()
            self._flows.forget(self)

    abort = close


class Flows(PlainDatagramCore):
    """Sorts datagrams by peers. `arrived` is told each new flow; without it there is one, of `peer` or of a group.

    A core for `catenet.net.datagram`. `size`: the largest datagram that is made of a stream.
    """

    def __init__(self, arrived: Callable[[Flow], bool] | None = None, size: int = DATAGRAM_SIZE) -> None:
        self._arrived = arrived
        self._size = size
        self._flows: dict[object, Flow] = {}
        self._only: Flow | None = None
        self._out: deque[tuple[bytes, Peer]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._endpoint: DatagramEndpoint[None] | None = None
        self._own: frozenset[object] = frozenset()

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        urls: Sequence[str],
        *,
        connected: bool = False,
        own: frozenset[object] = frozenset(),
    ) -> None:
        """Begin to receive. `own`: addresses that datagrams of ours come from, when a group sends them back."""
        self._own = own
        self._endpoint = DatagramEndpoint(loop, self, sockets, urls, keep_events=False, connected=connected)

    def only(self, peer: DatagramPeer, name: str) -> Flow:
        """Return the flow that takes everything, and whose datagrams go to `peer`."""
        self._only = Flow(self, peer, name, self._size)
        return self._only

    @property
    def urls(self) -> list[str]:
        """Where it listens."""
        return [] if self._endpoint is None else self._endpoint.urls

    def close(self) -> None:
        """Close the sockets; flows end."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            endpoint.close()
        for flow in list(self._flows.values()):
            flow.close()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def stop_listening(self) -> None:
        """Take no new peers."""
        self._arrived = None

    def forget(self, flow: Flow) -> None:
        """A flow is closed; the socket of the only one is its own."""
        self._flows.pop(_key(flow.peer), None)
        if flow is self._only or (self._arrived is None and not self._flows):
            self.close()

    async def send(self, data: bytes, peer: DatagramPeer) -> None:
        """Send a datagram when those before it have left."""
        if self._endpoint is None:
            raise ConnectionResetError("the socket is closed")
        self._out.append((data, peer))
        self._endpoint.flush()
        while len(self._out) > MOST_WAITING:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    # The verbs.

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Give a datagram to its flow."""
        assert isinstance(peer, DatagramPeer)
        if self._only is not None:
            if peer.address not in self._own:
                self._only.put(data)
            return
        key = _key(peer)
        flow = self._flows.get(key)
        if flow is None:
            if self._arrived is None or len(self._flows) >= MOST_FLOWS:
                return
            flow = Flow(self, peer, peer_name(peer), self._size)
            self._flows[key] = flow
            flow.put(data)
            if not self._arrived(flow):
                del self._flows[key]
            return
        flow.peer = peer  # its way back may be another one now
        flow.put(data)

    def transmit(self, now: float) -> Sequence[tuple[bytes, Peer]]:
        """Return what is to be sent."""
        if not self._out:
            return ()
        batch = list(self._out)
        self._out.clear()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
        return batch

    def next_event(self) -> None:
        """There are none."""

    def handle_error(self, error: OSError, now: float) -> None:
        """Only a client's socket says whose error it is."""
        if self._only is not None:
            self._only.fail(error)


def _key(peer: DatagramPeer) -> object:
    return peer.address, peer.index


def peer_name(peer: DatagramPeer) -> str:
    """`host:port`, or the path of a Unix socket."""
    address: object = peer.address
    if isinstance(address, bytes):
        return "@" + address[1:].decode(errors="backslashreplace")
    return peer.name or "a peer without a name"
