"""The floor: bytes of gRPC that are always the same, between two sockets on uvloop, and nothing of HTTP or protobuf.

Frames are looked at for their type and length, and the number of a stream is put into what was made before. So what a
call takes here is what the kernel, the event loop and its wake-ups take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ROOM = (1 << 30).to_bytes(4, "big")
WINDOW = 1 << 29
"""Bytes after which the window of the connection is opened again."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(name: bytes, value: bytes) -> bytes:
    """A field that no table keeps (RFC 7541 section 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def message(payload: bytes) -> bytes:
    return b"\0" + len(payload).to_bytes(4, "big") + payload


class Template:
    """Frames of one stream, whose number is put in."""

    def __init__(self, *frames: bytes) -> None:
        self._parts = [part for one in frames for part in (one[:5], None, one[9:])]

    def of(self, stream: int) -> bytes:
        number = stream.to_bytes(4, "big")
        return b"".join([number if part is None else part for part in self._parts])


class Bare(asyncio.Protocol):
    """One end; `on_frame` gets what is no one's but the program's."""

    def __init__(self, first: bytes, skip: int) -> None:
        self._first = first
        self._skip = skip
        self._rest = b""
        self._received = 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        window = (4).to_bytes(2, "big") + ROOM  # INITIAL_WINDOW_SIZE
        self.transport.write(self._first + frame(SETTINGS, 0, 0, window) + frame(WINDOW_UPDATE, 0, 0, ROOM))

    def data_received(self, data: bytes) -> None:
        out: list[bytes] = []
        self._received += len(data)
        if self._received > WINDOW:
            out.append(frame(WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        for kind, flags, stream, payload in self._frames(self._rest + data):
            if kind == SETTINGS and not flags & 1:
                out.append(frame(SETTINGS, 1, 0))
            elif kind == PING and not flags & 1:
                out.append(frame(PING, 1, 0, payload))
            elif flags & 1 and kind in (DATA, HEADERS):
                self.on_end(stream, out)
        if out:
            self.transport.write(b"".join(out))

    def _frames(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        position, self._skip = self._skip, 0
        while len(data) - position >= 9:
            end = position + 9 + int.from_bytes(data[position : position + 3], "big")
            if end > len(data):
                break
            stream = int.from_bytes(data[position + 5 : position + 9], "big")
            yield data[position + 3], data[position + 4], stream, data[position + 9 : end]
            position = end
        self._rest = data[position:]

    def on_end(self, stream: int, out: list[bytes]) -> None:
        raise NotImplementedError


class Server(Bare):
    """Answers every request alike."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(b"", len(PREFACE))
        head = b"\x88" + field(b"content-type", b"application/grpc")
        parts = frame(HEADERS, 4, 0, head), frame(DATA, 0, 0, message(payload))
        self._answer = Template(*parts, frame(HEADERS, 5, 0, field(b"grpc-status", b"0")))

    def on_end(self, stream: int, out: list[bytes]) -> None:
        out.append(self._answer.of(stream))


class Client(Bare):
    """Makes one request again and again."""

    def __init__(self, path: bytes, payload: bytes) -> None:
        super().__init__(PREFACE, 0)
        known = b"\x83\x86"  # :method POST, :scheme http
        fields = {b":authority": b"localhost", b":path": path, b"te": b"trailers", b"content-type": b"application/grpc"}
        head = known + b"".join(field(name, value) for name, value in fields.items())
        self._request = Template(frame(HEADERS, 4, 0, head), frame(DATA, 1, 0, message(payload)))
        self._next = 1
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()

    async def call(self) -> None:
        stream, self._next = self._next, self._next + 2
        answered = self._waiting[stream] = self._loop.create_future()
        self.transport.write(self._request.of(stream))
        await answered

    def on_end(self, stream: int, out: list[bytes]) -> None:
        self._waiting.pop(stream).set_result(None)


async def connect(host: str, port: int, path: bytes, payload: bytes) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(path, payload), host, port)
    return client
