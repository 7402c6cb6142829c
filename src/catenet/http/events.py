"""The vocabulary in which HTTP/1.1 and HTTP/2 connections report what the peer did.

An event is a plain 4-tuple `(kind, stream, value, end)`: there are two or three per call, and a class instance costs
five times as much as a tuple. `end` says that nothing more will come on this stream from the peer.

==========  =========  =====================================  ========================================================
kind        stream     value                                  meaning
==========  =========  =====================================  ========================================================
HEAD        its own    RequestHead or ResponseHead            a request (at a server) or final response has begun
INTERIM     its own    ResponseHead                           a 1xx response
DATA        its own    bytes                                  a piece of body, not empty unless `end`
TRAILERS    its own    Fields                                 trailer section; `end` is True
RESET       its own    StreamReset                            the stream is over, broken off by either side
DRAINED     its own    None                                   all that was queued for this stream has been sent
PONG        None       bytes                                  the answer to a ping of ours
GOAWAY      None       GoAway                                 the peer takes no streams after `last_stream`
SETTINGS    None       None                                   the peer's settings have arrived (HTTP/2)
REFUSED     None       Refusal                                what never became a request was refused (server)
CLOSED      None       HttpError or None                      no more events; transmit what is left and close
==========  =========  =====================================  ========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catenet.http.errors import ErrorCode, HttpError, status_of
from catenet.http.message import RequestHead

__all__ = [
    "CLOSED",
    "DATA",
    "DRAINED",
    "GOAWAY",
    "HEAD",
    "INTERIM",
    "PONG",
    "REFUSED",
    "RESET",
    "SETTINGS",
    "TRAILERS",
    "Event",
    "GoAway",
    "Refusal",
    "StreamReset",
]

HEAD, INTERIM, DATA, TRAILERS, RESET, DRAINED, PONG, GOAWAY, SETTINGS, REFUSED, CLOSED = range(11)

Event = tuple[int, Any, Any, bool]


@dataclass(slots=True, frozen=True)
class StreamReset:
    """Why a stream broke off. `by_peer` False: our own protocol machine reset it for what the peer did.

    `unprocessed` says that the peer is known not to have acted on it, so that a repetition is safe (RFC 9113 8.7).
    `status`: with which a server has refused the rest of the request, or would have over HTTP/1.1; else 0.
    """

    code: int
    message: str = ""
    by_peer: bool = True
    status: int = 0

    @property
    def unprocessed(self) -> bool:
        """Whether the request may be repeated whatever it was."""
        return self.by_peer and self.code == ErrorCode.REFUSED_STREAM


@dataclass(slots=True, frozen=True)
class Refusal:
    """What was no request, or one too many: `status` is what was said, or would have been over HTTP/1.1.

    `head` is there if it could be read.
    """

    status: int
    message: str
    head: RequestHead | None = None

    @classmethod
    def of(cls, error: HttpError, head: RequestHead | None = None) -> Refusal:
        """Return it for what a peer did wrong."""
        return cls(status_of(error), str(error), head)


@dataclass(slots=True, frozen=True)
class GoAway:
    """The peer is closing: streams above `last_stream` were not and will not be processed (section 6.8)."""

    last_stream: int
    code: int
    debug: bytes = b""
