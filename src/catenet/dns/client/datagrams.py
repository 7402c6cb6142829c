"""One query over UDP, from a socket of its own whose port the kernel draws (RFC 5452 9.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from catenet.dns.client.schemes import SCHEMES
from catenet.net import DatagramCore, DatagramEndpoint, Peer, PlainDatagramCore, connect_datagrams

__all__ = ["MOST_WAITING", "DatagramQuery", "connect_query"]

MOST_WAITING: Final = 64
"""Datagrams that wait to be looked at; more are dropped, as a kernel does."""


class DatagramQuery(PlainDatagramCore):
    """A query to one server; events are the datagrams that come, and what the network says of ours."""

    def __init__(self, peer: Peer, query: bytes) -> None:
        self._peer = peer
        self._output = [query]
        self._input: deque[bytes] = deque()
        self.error: OSError | None = None

    def send(self, query: bytes) -> None:
        """Send it (again)."""
        self._output.append(query)

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram, which came from the server's address: the socket is connected."""
        if len(self._input) < MOST_WAITING:
            self._input.append(data)

    def transmit(self, now: float) -> Sequence[tuple[bytes, Peer]]:
        """Return what is to be sent."""
        output, self._output = self._output, []
        return [(query, self._peer) for query in output]

    def next_event(self) -> bytes | OSError | None:
        """Return a datagram, or what the network says of ours."""
        if self.error is not None:
            error, self.error = self.error, None
            return error
        return self._input.popleft() if self._input else None

    def handle_error(self, error: OSError, now: float) -> None:
        """The server's port is closed, or there is no way to it."""
        self.error = error


async def connect_query(
    url: str, query: bytes, source: tuple[str, int] | None = None
) -> DatagramEndpoint[bytes | OSError]:
    """Send a query from a new socket. Raises `catenet.net.ConnectError`."""

    def core(peer: Peer) -> DatagramCore[bytes | OSError]:
        return DatagramQuery(peer, query)

    return await connect_datagrams(core, url, schemes=SCHEMES, source=source)
