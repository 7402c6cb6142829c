"""Messages to other servers on an event loop: a socket and a random port for each datagram, shared connections.

Connections (RFC 7766, RFC 7858) carry many questions at a time, whose answers come in any order, and are closed when
they have been idle for a while.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Final

from catenet.dns.client import SCHEMES
from catenet.dns.config import server_host
from catenet.dns.exchange import Exchange
from catenet.dns.options import KEEPALIVE
from catenet.dns.stream import StreamQueries
from catenet.net import Connection, client_context, connect
from catenet.net.target import host_and_port
from catenet.wire.dns.message import Message
from catenet.wire.dns.stub import Server
from catenet.wire.errors import Malformed

__all__ = ["Upstream"]

LARGEST: Final = 65_535
BATCH: Final = 8
"""Datagrams that are taken from a socket in one turn: there should be one."""
IDLE: Final = 10.0
"""Seconds after which a connection without questions is closed, unless its server says otherwise (RFC 7828)."""
LONGEST_IDLE: Final = 120.0
MARGIN: Final = 1.0
"""Seconds by which we close before the server does, so that no question meets a connection that is closing."""
MOST_SOCKETS: Final = 2_000
MOST_CONNECTIONS: Final = 200

_KEEPALIVE_HEAD: Final = KEEPALIVE.to_bytes(2, "big") + b"\0\2"

Received = Callable[[int, bytes], None]
Failed = Callable[[int], None]


class Upstream:
    """Carries exchanges out, and says what comes of them.

    Args:
        received: called with a token and a message.
        failed: called with the token of an exchange of which nothing will come.
        names: what the certificates of servers must name; of those that are not here anything is accepted.
        tls: trusted authorities; those of the system without it.
    """

    def __init__(
        self,
        received: Received,
        failed: Failed,
        names: Mapping[Server, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = received
        self._failed = failed
        self._names = names or {}
        self._tls = tls
        self._any_certificate: ssl.SSLContext | None = None
        self._sockets: dict[int, socket.socket] = {}
        self._connections: dict[tuple[Server, str], _Shared] = {}
        """The newest to each server."""
        self._open: set[_Shared] = set()
        """All of them: of two messages with one id the second has a connection of its own."""
        self._carriers: dict[int, _Shared] = {}

    def begin(self, exchange: Exchange) -> None:
        """Send a message."""
        if exchange.transport == "udp":
            self._begin_datagram(exchange)
        else:
            self._begin_stream(exchange)

    def end(self, token: int) -> None:
        """Nothing more is wanted of an exchange."""
        sock = self._sockets.pop(token, None)
        if sock is not None:
            self._loop.remove_reader(sock)
            sock.close()
        carrier = self._carriers.pop(token, None)
        if carrier is not None:
            carrier.forget(token)

    async def close(self) -> None:
        """Close all sockets and connections."""
        for token in list(self._sockets):
            self.end(token)
        connections = list(self._open)
        self._connections.clear()
        self._open.clear()
        self._carriers.clear()
        for one in connections:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in connections), return_exceptions=True)

    # Datagrams.

    def _begin_datagram(self, exchange: Exchange) -> None:
        """Send from a socket that hears this server only; the kernel draws its port (RFC 5452 9.2)."""
        token, server = exchange.token, exchange.server
        family = socket.AF_INET if len(server.address) == 4 else socket.AF_INET6
        if len(self._sockets) >= MOST_SOCKETS:
            self._fail_soon(token)
            return
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            self._fail_soon(token)
            return
        host = socket.inet_ntop(family, server.address)
        try:
            sock.connect((host, server.port) if family == socket.AF_INET else (host, server.port, 0, server.scope))
            sock.send(exchange.data)
        except OSError:
            sock.close()
            self._fail_soon(token)
            return
        self._sockets[token] = sock
        self._loop.add_reader(sock, self._readable, token, sock)

    def _readable(self, token: int, sock: socket.socket) -> None:
        for _ in range(BATCH):
            if token not in self._sockets:
                return
            try:
                data = sock.recv(LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # ICMP: nobody listens there
                self._failed(token)
                return
            self._received(token, data)

    def _fail_soon(self, token: int) -> None:
        self._loop.call_soon(self._failed, token)

    # Connections.

    def _begin_stream(self, exchange: Exchange) -> None:
        key = exchange.server, exchange.transport
        shared = self._connections.get(key)
        if shared is None or not shared.takes(exchange.data):
            if len(self._open) >= MOST_CONNECTIONS:
                self._fail_soon(exchange.token)
                return
            shared = self._connections[key] = _Shared(self, *key)
            self._open.add(shared)
        self._carriers[exchange.token] = shared
        shared.send(exchange.token, exchange.data)

    async def dial(self, core: StreamQueries, server: Server, transport: str) -> Connection[bytes]:
        """Connect to a server."""
        url = f"{transport}://{host_and_port(server_host(server), server.port)}"
        if transport != "tls":
            return await connect(core, url, schemes=SCHEMES)
        name = self._names.get(server, "")
        if name:
            return await connect(core, url, schemes=SCHEMES, tls=self._tls, server_name=name)
        if self._any_certificate is None:
            self._any_certificate = client_context(verify=False)
        return await connect(core, url, schemes=SCHEMES, tls=self._any_certificate)

    def deliver(self, token: int, data: bytes) -> None:
        """A message has come over a connection."""
        self._received(token, data)

    def lose(self, shared: _Shared, tokens: list[int]) -> None:
        """A connection has ended, with these exchanges on it."""
        self._open.discard(shared)
        for key, one in list(self._connections.items()):
            if one is shared:
                del self._connections[key]
        for token in tokens:
            if self._carriers.pop(token, None) is not None:
                self._failed(token)


class _Shared:
    """A connection, and the exchanges on it by the ids of their messages."""

    def __init__(self, upstream: Upstream, server: Server, transport: str) -> None:
        self._upstream = upstream
        self._core = StreamQueries()
        self._connection: Connection[bytes] | None = None
        self._tokens: dict[bytes, int] = {}
        self._ended = False
        self._is_full = False
        self._idle: asyncio.TimerHandle | None = None
        self._patience = IDLE
        self.task = asyncio.get_running_loop().create_task(self._run(server, transport))

    def takes(self, data: bytes) -> bool:
        """Whether another message can go over it: its id must differ from those of the others."""
        return not self._ended and not self._is_full and data[:2] not in self._tokens

    def send(self, token: int, data: bytes) -> None:
        """Send a message, when there is a connection."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._tokens[data[:2]] = token
        self._core.send(data)
        if self._connection is not None:
            self._connection.flush()

    def forget(self, token: int) -> None:
        """Nobody waits for this answer any more."""
        self._tokens = {number: one for number, one in self._tokens.items() if one != token}
        if not self._tokens and self._idle is None and not self._ended:
            self._idle = asyncio.get_running_loop().call_later(self._patience, self.task.cancel)

    def _note_patience(self, data: bytes) -> None:
        """Keep the connection as long as the server says; with 0 it takes no more questions (RFC 7828 3.3.2)."""
        seconds = _keepalive(data)
        if seconds is None:
            return
        self._patience = min(max(seconds - MARGIN, seconds / 2), LONGEST_IDLE)
        self._is_full = not seconds

    async def _run(self, server: Server, transport: str) -> None:
        try:
            async with await self._upstream.dial(self._core, server, transport) as connection:
                self._connection = connection
                connection.flush()
                async for data in connection:
                    self._note_patience(data)
                    token = self._tokens.get(data[:2])
                    if token is not None:
                        self._upstream.deliver(token, data)
        except (OSError, ValueError):
            pass
        finally:
            self._ended = True
            if self._idle is not None:
                self._idle.cancel()
            self._upstream.lose(self, list(self._tokens.values()))


def _keepalive(data: bytes) -> float | None:
    """How long a server keeps a connection that is idle, in seconds; None if it does not say (RFC 7828 3.1)."""
    if _KEEPALIVE_HEAD not in data:
        return None
    try:
        edns = Message(data).edns
    except Malformed:
        return None
    told = None if edns is None else next((one for code, one in edns.options if code == KEEPALIVE), None)
    return None if told is None or len(told) != 2 else int.from_bytes(told, "big") / 10
