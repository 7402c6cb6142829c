"""A client of HTTP/2 that is made of frames by hand, and a pair of our machines joined without a network."""

from __future__ import annotations

from typing import Any

from catenet.http import events as ev
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection
from catenet.http.h2.hpack import Encoder, Memo
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead

HEAD = RequestHead(b"POST", b"/s/m", ((b"content-type", b"application/grpc"),), b"host")
REPLY = ResponseHead(200, ((b"content-type", b"application/grpc"),))
OK = ((b"grpc-status", b"0"),)
FIELDS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/s/m"),
    (b":authority", b"host"),
    (b"content-type", b"application/grpc"),
)


class Raw:
    """A server machine and the bytes of a client that may do anything."""

    def __init__(self, limits: Limits | None = None, settings: dict[int, int] | None = None) -> None:
        self.server = Connection(False, limits)
        self.encoder = Encoder(Memo())
        self.now = 0.0
        self.events: list[tuple[Any, ...]] = []
        self.sent: list[tuple[int, int, int, bytes]] = []
        self.send(frames.PREFACE + frames.settings(settings or {}))
        self.sent.clear()

    def send(self, data: bytes) -> list[tuple[Any, ...]]:
        events = self.server.receive(data, self.now)
        self.events += events
        self.sent += cut(self.server.transmit())
        return events

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> list[tuple[Any, ...]]:
        return self.send(frames.frame(kind, flags, stream, payload))

    def headers(self, stream: int, fields: Any = FIELDS, end: bool = True) -> list[tuple[Any, ...]]:
        flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
        return self.frame(frames.HEADERS, flags, stream, self.encoder.encode(fields))

    def kinds(self) -> list[int]:
        return [kind for kind, *_ in self.sent]

    def goaway(self) -> int | None:
        """The error code with which the server gave up, or None."""
        codes = [int.from_bytes(payload[4:8], "big") for kind, _, _, payload in self.sent if kind == frames.GOAWAY]
        return codes[-1] if codes else None

    def resets(self) -> dict[int, int]:
        return {s: int.from_bytes(p, "big") for kind, _, s, p in self.sent if kind == frames.RST_STREAM}


def cut(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Return the frames in `data` as (kind, flags, stream, payload)."""
    found = []
    data = data.removeprefix(frames.PREFACE)
    while data:
        high, low, kind, flags, stream = frames.HEADER.unpack_from(data)
        size = high << 8 | low
        found.append((kind, flags, stream, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


class Pair:
    """A client and a server machine; `run` moves bytes until both are silent."""

    def __init__(self, client: Limits | None = None, server: Limits | None = None) -> None:
        self.client = Connection(True, client)
        self.server = Connection(False, server)
        self.at_client: list[tuple[Any, ...]] = []
        self.at_server: list[tuple[Any, ...]] = []
        self.run()

    def run(self) -> None:
        while True:
            up, down = self.client.transmit(), self.server.transmit()
            if not up and not down:
                return
            self.at_server += self.server.receive(up, 0.0)
            self.at_client += self.client.receive(down, 0.0)

    def request(self, head: RequestHead = HEAD, body: bytes = b"", end: bool = True) -> Any:
        """Send a request; return its stream at the client and at the server."""
        stream = self.client.open(head, end and not body)
        if body:
            self.client.send_data(stream, body, end)
        self.run()
        heads = [event for event in self.at_server if event[0] == ev.HEAD]
        return stream, heads[-1][1]


def body_of(events: list[tuple[Any, ...]], stream: Any) -> bytes:
    return b"".join(value for kind, at, value, _ in events if kind == ev.DATA and at is stream)
