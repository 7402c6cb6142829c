"""Frames by hand, and a core that is driven through them."""

from __future__ import annotations

from catenet.http.websocket.connection import WebSocket
from catenet.http.websocket.deflate import Deflate
from catenet.http.websocket.events import Event
from catenet.http.websocket.limits import WebSocketLimits

QUIET = WebSocketLimits(ping_interval=None)
KEY = b"\x37\xfa\x21\x3d"


def frame(first: int, payload: bytes = b"", key: bytes = KEY, length: bytes | None = None) -> bytes:
    """A frame of a client (or, with an empty key, of a server), byte by byte; `length`: as it is said, not as it is."""
    masked = 0x80 if key else 0
    size = len(payload)
    if length is None:
        if size < 126:
            length = bytes([size])
        elif size < 65536:
            length = bytes([126]) + size.to_bytes(2)
        else:
            length = bytes([127]) + size.to_bytes(8)
    head = bytes([first, masked | length[0]]) + length[1:] + key
    return head + bytes(byte ^ key[place % 4] for place, byte in enumerate(payload)) if key else head + payload


def server(limits: WebSocketLimits = QUIET, deflate: Deflate | None = None) -> WebSocket:
    return WebSocket(False, limits=limits, deflate=deflate)


def client(limits: WebSocketLimits = QUIET, deflate: Deflate | None = None) -> WebSocket:
    return WebSocket(True, limits=limits, deflate=deflate, entropy=lambda count: (KEY * count)[:count])


def events(socket: WebSocket) -> list[Event]:
    found = []
    while (event := socket.next_event()) is not None:
        found.append(event)
    return found


def sent(socket: WebSocket, now: float = 0.0) -> bytes:
    pieces = []
    while data := socket.transmit(now):
        pieces.append(data)
    return b"".join(pieces)


def feed(socket: WebSocket, data: bytes, step: int = 0) -> list[Event]:
    """Receive in pieces of `step` bytes (0: in one)."""
    found: list[Event] = []
    for start in range(0, len(data), step or max(len(data), 1)):
        socket.receive(data[start : start + step] if step else data, 0.0)
        found += events(socket)
    return found
