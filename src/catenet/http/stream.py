"""One stream: in HTTP/2 as RFC 9113 section 5.1 has it, in HTTP/1.1 one request and its response."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from catenet.http.message import Fields

if TYPE_CHECKING:
    from catenet.http.core import StreamOwner

__all__ = ["Stream"]


class Stream:
    """State of one stream. `owner` belongs to the application, which finds its call there without a lookup.

    The states of section 5.1 are two bits: `local_open` and `remote_open` (both: open; one: half-closed). Idle
    streams do not exist yet and closed ones do not exist any more.
    """

    # Defaults in the class are of what a short call does not ask for; the others are found faster in the instance.
    unacknowledged: int = 0
    """Bytes consumed that no WINDOW_UPDATE has returned yet."""
    expected: int | None = None
    """What Content-Length still promises."""
    queued: int = 0
    ending: bool = False
    """END_STREAM follows the queue,"""
    trailers: Fields | None = None
    """or these do."""
    expects: bool = False
    """The client waits for 100 Continue before it sends the body (server; `HttpCore.invite`)."""

    def __init__(self, stream_id: int, send_window: int, recv_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.recv_window = recv_window
        self.owner: StreamOwner | None = None
        self.local_open = True
        self.remote_open = True
        self.head_seen = False
        self.held = 0
        """Bytes given to the application and not consumed."""
        self.queue: deque[bytes | memoryview] | None = None
        self.bodiless = False
        """The request is a HEAD: its response has no body, whatever its fields say."""
        self.connects = False
        """The request is a CONNECT: a 2xx response to it begins a tunnel."""
        self.tunnel = False
        """What comes and goes are the bytes of another protocol, until either direction ends."""

    def __repr__(self) -> str:
        return f"Stream({self.id}, local_open={self.local_open}, remote_open={self.remote_open})"
