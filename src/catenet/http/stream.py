"""One stream: in HTTP/2 as RFC 9113 section 5.1 has it, in HTTP/1.1 one request and its response."""

from __future__ import annotations

from collections import deque
from typing import Any

from catenet.http.message import Fields


class Stream:
    """State of one stream. ``owner`` belongs to the application, which finds its call there without a lookup.

    The states of section 5.1 are two bits: ``local_open`` and ``remote_open`` (both: open; one: half-closed). Idle
    streams do not exist yet and closed ones do not exist any more.
    """

    __slots__ = (
        "ending", "expected", "head_seen", "held", "id", "local_open", "owner", "queue", "queued", "recv_window",
        "remote_open", "send_window", "trailers", "unacknowledged",
    )  # fmt: skip

    def __init__(self, stream_id: int, send_window: int, recv_window: int) -> None:
        self.id = stream_id
        self.owner: Any = None
        self.local_open = True
        self.remote_open = True
        self.head_seen = False
        self.send_window = send_window
        self.recv_window = recv_window
        self.held = 0  # bytes given to the application and not consumed
        self.unacknowledged = 0  # bytes consumed that no WINDOW_UPDATE has returned yet
        self.expected: int | None = None  # what Content-Length still promises
        self.queue: deque[bytes | memoryview] | None = None
        self.queued = 0
        self.ending = False  # END_STREAM follows the queue
        self.trailers: Fields | None = None  # or these do

    def __repr__(self) -> str:
        return f"Stream({self.id}, local_open={self.local_open}, remote_open={self.remote_open})"
