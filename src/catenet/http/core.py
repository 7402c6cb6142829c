"""What both versions of HTTP have in common, as types: a core for the driver and for RPC, the owner of a stream.

`http/h1` and `http/h2` have one such core each. They differ from the cores of `catenet.net.core` in two ways,
because there are two or three events in a call: `receive` returns them in a list, and `transmit` needs no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from catenet.http.errors import ErrorCode, HttpError
from catenet.http.events import Event, GoAway, Refusal, StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.stream import Stream

__all__ = ["ConnectionValue", "HttpCore", "StreamOwner"]

ConnectionValue = bytes | GoAway | Refusal | None
"""What comes with an event of the connection: of PONG, GOAWAY, SETTINGS, REFUSED."""


class StreamOwner(Protocol):
    """What the application keeps in `stream.owner`."""

    def on_head(self, head: ResponseHead, end: bool) -> None:
        """A response has begun (client)."""

    def on_data(self, data: bytes, end: bool) -> None:
        """A piece of body has come."""

    def on_trailers(self, fields: Fields) -> None:
        """The trailers have come; nothing follows."""

    def on_reset(self, reset: StreamReset) -> None:
        """The stream broke off."""

    def on_drained(self) -> None:
        """Everything sent on this stream has left its queue."""

    def owes(self) -> bool:
        """Whether the client has begun something on this stream, and not finished it (server)."""


class HttpCore(Protocol):
    """One HTTP connection, client or server, without I/O."""

    # What it says of itself.

    streams: dict[int, Stream]
    """The exchanges that go on."""
    queued: int
    """Bytes that wait for windows or for the transport."""
    quiet: bool
    """Whether it is known without asking that nothing is `pending` and reading is not `paused`."""
    midway: bool
    """Whether the connection has ended, in order, while the client was in the midst of a body (server)."""

    @property
    def version(self) -> int:
        """1 or 2."""

    @property
    def minor(self) -> int:
        """Of HTTP/1: 0 if the request that goes on is one of HTTP/1.0, else 1 (server)."""

    @property
    def served(self) -> int:
        """How many have come to their end."""

    @property
    def failed(self) -> HttpError | None:
        """Why the connection has been given up."""

    @property
    def flowed(self) -> int:
        """Bytes that have ever waited and do not any more."""

    @property
    def can_open(self) -> bool:
        """Whether a client may begin a request now."""

    @property
    def settled(self) -> bool:
        """Whether the peer's first SETTINGS have come."""

    @property
    def closing(self) -> bool:
        """Whether no request can be begun any more."""

    @property
    def may_close(self) -> bool:
        """Whether nothing would be lost by closing now."""

    @property
    def begun(self) -> bool:
        """Whether a first head, or the preface of HTTP/2, has come (server)."""

    @property
    def head_since(self) -> float | None:
        """When the first byte came of a head that is not complete; None: there is none."""

    @property
    def unfinished(self) -> bool:
        """Whether there is part of a frame, of a chunk's framing, or of a request that has been answered already."""

    @property
    def pending(self) -> bool:
        """Whether `receive(b"", now)` has something to return."""

    @property
    def paused(self) -> bool:
        """Whether the driver should stop reading from the transport."""

    @property
    def bulky(self) -> bool:
        """Whether what is to be sent should not be joined."""

    @property
    def peer_max_streams(self) -> int:
        """How many requests may go on at once."""

    @property
    def peer_max_header_list(self) -> int:
        """The largest head or trailer section that may be sent, as the peer counts it."""

    def may_receive(self, stream: Stream) -> bool:
        """Whether the peer is free to send the rest of the stream."""

    @property
    def connect_protocol(self) -> bool:
        """Whether the peer takes requests with `:protocol` (RFC 8441; client, known once `settled`)."""

    @property
    def ends_output(self) -> bool:
        """Whether our direction of the transport is to end after what `transmit` returns: a tunnel's half-close."""

    @property
    def answers(self) -> bool:
        """Whether there is still something to send to a peer that has ended its direction."""

    # Bytes.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take the next bytes from the peer; return what they meant. Never raises for what the peer did."""

    def receive_eof(self) -> list[Event]:
        """The peer will send nothing more."""

    def transmit(self) -> bytes:
        """Return all bytes to be sent now."""

    def transmit_pieces(self) -> Sequence[bytes | memoryview]:
        """Return the same, not joined."""

    def hold(self) -> None:
        """The transport is full: keep data in the queues until `release`."""

    def release(self) -> list[Event]:
        """The transport can take more; returns `DRAINED` events."""

    # Calls down. Those that send fields raise PeerLimit, and then have sent nothing; or ValueError, for a line break in
    # them, and for a body that is not as long as its Content-Length.
    #
    # Tunnels: after a 2xx head that answers CONNECT (with or without `:protocol`), and in HTTP/1.1 after a 101, events
    # DATA and `send_data` carry the bytes of another protocol; `end` is a half-close. A client opens CONNECT with `end`
    # False, and a request with Upgrade as any other: its direction opens again with the 101.

    def open(self, head: RequestHead, end: bool) -> Stream:
        """Begin a request (client); the caller has checked `can_open`.

        A body whose Content-Length the head declares is sent with it; otherwise HTTP/1.1 sends one piece with its
        length, and several as chunks.
        """

    def send_request(self, head: RequestHead, body: bytes) -> Stream:
        """Send a whole request (client): head and body; the caller has checked `can_open`."""

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Send a response head (server); 1xx heads may come before the final one.

        A body whose Content-Length the head declares is sent with it, any other in chunks, or until the connection
        ends. After a head that has no body (HEAD, 204, 304) the response is complete, and data is dropped.
        """

    def invite(self, stream: Stream) -> None:
        """Let a client that waits for 100 Continue send its body; nothing if none does (server)."""

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool = False) -> bool:
        """Send a piece of body, or queue it; False if something is queued now (`DRAINED` will say when not)."""

    def skip(self, stream: Stream, count: int) -> None:
        """The driver has sent `count` bytes of the body itself: only of one with a declared length, in HTTP/1.1."""

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End the stream with a trailer section, after what is queued."""

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a whole response: head, body, trailers (None: the response ends with its body).

        HTTP/1.1 adds the Content-Length. The body of an answer to HEAD is not sent.
        """

    def consume(self, stream: Stream, count: int) -> None:
        """The application has taken `count` bytes of the stream's data: they may be replaced by others."""

    def expect(self, stream: Stream, count: int) -> None:
        """The application will take the next `count` bytes whatever they are: let them come without a pause."""

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the stream off; nothing more is reported about it."""

    def abandon(self, stream: Stream) -> None:
        """Send nothing more on a stream that the peer has ended."""

    def ping(self, payload: bytes) -> None:
        """Send a PING with eight bytes of payload, if there is one; `PONG` answers."""

    def drain(self) -> None:
        """Announce the end, then take no more streams."""

    def go_away(self) -> None:
        """Take no more streams from the peer; those it has are served."""

    def fail(self, error: HttpError) -> None:
        """Give the connection up."""
