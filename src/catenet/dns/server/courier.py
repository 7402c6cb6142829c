"""Between the process that owns zones which change, and the others that serve them: requests go there, news come back.

The kernel gives a request to any worker. Updates, notifications, signing and primaries are matters of the first one;
the others read from its files what it says has changed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Final

from catenet.dns.server.request import HTTPS, TCP, TLS, UDP, UNIX, Request, Transport
from catenet.wire.dns.name import skip_name

__all__ = ["MOST_WAITING", "Courier", "Helper", "Owner"]

LARGEST: Final = 1 << 17
MOST_WAITING: Final = 1_000
"""Requests of one worker whose answers have not come; the oldest give way, as their clients have."""
_HEAD: Final = struct.Struct("!IBHB")
_REPLY, _CHANGED = b"R", b"C"
_TRANSPORTS: Final = (UDP, TCP, TLS, HTTPS, UNIX)

Receive = Callable[[bytes, Transport, str, int, Callable[[bytes], None]], bytes | None]


class Courier:
    """The sockets, made before the fork; worker 0 owns zones."""

    def __init__(self, workers: int) -> None:
        self._pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(1, workers)]
        for pair in self._pairs:
            for sock in pair:
                sock.setblocking(False)

    def side(self, number: int) -> Owner | Helper | None:
        """What worker `number` has of it, None if there are no others. On its event loop."""
        if not self._pairs:
            return None
        if number:
            return Helper(self._pairs[number - 1][1])
        return Owner([pair[0] for pair in self._pairs])


class Owner:
    """In the process that owns zones. `receive` answers what others have got."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._untold: dict[socket.socket, dict[bytes, None]] = {sock: {} for sock in sockets}
        self.receive: Receive | None = None
        for sock in sockets:
            self._loop.add_reader(sock, self._read, sock)

    def tell(self, view: str, name: bytes) -> None:
        """A zone is another now, on disk too."""
        for sock in self._sockets:
            self._untold[sock][_CHANGED + name + view.encode()] = None
            self._flush(sock)

    def _flush(self, sock: socket.socket) -> None:
        untold = self._untold[sock]
        while untold:
            if not _send(sock, next(iter(untold))):
                self._loop.add_writer(sock, self._flush, sock)
                return
            del untold[next(iter(untold))]
        self._loop.remove_writer(sock)

    def _read(self, sock: socket.socket) -> None:
        data = _received(sock)
        if data is None or self.receive is None:
            return
        number, transport, port, size = _HEAD.unpack_from(data)
        address = data[_HEAD.size : _HEAD.size + size].decode()
        answer = partial(self._answer, sock, number)
        reply = self.receive(data[_HEAD.size + size :], _TRANSPORTS[transport], address, port, answer)
        if reply:
            answer(reply)

    def _answer(self, sock: socket.socket, number: int, reply: bytes) -> None:
        _send(sock, _REPLY + number.to_bytes(4, "big") + reply)

    def close(self) -> None:
        """Hear nobody any more."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)


class Helper:
    """In another process. `changed` is called with the view and the name of a zone that is another now."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._waiting: dict[int, Callable[[bytes], None]] = {}
        self._number = 0
        self.changed: Callable[[str, bytes], None] | None = None
        self._loop.add_reader(sock, self._read)

    def relay(self, request: Request) -> bool:
        """Let the owner answer; False: it takes no more."""
        self._number = self._number + 1 & 0xFFFFFFFF
        address = request.address.encode()
        head = _HEAD.pack(self._number, _TRANSPORTS.index(request.transport), request.port, len(address))
        if not _send(self._sock, head + address + request.message.data):
            return False
        self._waiting[self._number] = request.respond
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        return True

    def _read(self) -> None:
        data = _received(self._sock)
        if data is None:
            return
        if data[:1] == _REPLY:
            respond = self._waiting.pop(int.from_bytes(data[1:5], "big"), None)
            if respond is not None:
                respond(data[5:])
        elif self.changed is not None:
            end = skip_name(data, 1)
            self.changed(data[end:].decode(), data[1:end])

    def close(self) -> None:
        """Hear nobody any more."""
        self._loop.remove_reader(self._sock)


def _send(sock: socket.socket, data: bytes) -> bool:
    try:
        sock.send(data)
    except OSError:  # it is full, or nobody is there
        return False
    return True


def _received(sock: socket.socket) -> bytes | None:
    try:
        return sock.recv(LARGEST) or None
    except OSError:
        return None
