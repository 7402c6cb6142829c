"""What a call needs of whatever brought its request: a connection of ours, or a request of another server's."""

from __future__ import annotations

from typing import Protocol

from catenet.http.errors import ErrorCode
from catenet.http.message import Fields, ResponseHead
from catenet.http.producer import Outlet
from catenet.http.stream import Stream
from catenet.net.deadlines import Deadlines
from catenet.net.eager_task import Runner
from catenet.rpc.model.context import Peer
from catenet.rpc.protocols.inbox import Credit
from catenet.rpc.server.dispatch import Dispatch
from catenet.rpc.server.options import Counters, ServerOptions

__all__ = ["CallCore", "Carrier", "HasDeadlines"]


class CallCore(Credit, Protocol):
    """What a call sends by; each of these is as `catenet.http.core.HttpCore` says."""

    @property
    def peer_max_header_list(self) -> int:
        """The largest head or trailer section that may be sent."""

    def invite(self, stream: Stream) -> None:
        """Let a client that waits for 100 Continue send its body."""

    def expect(self, stream: Stream, count: int) -> None:
        """The next `count` bytes will be taken whatever they are."""

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Send a response head."""

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool = False) -> bool:
        """Send a piece of body, or queue it; False if something is queued now."""

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End the stream with a trailer section."""

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send a whole response."""

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the stream off."""


class HasDeadlines(Protocol):
    """What belongs to an event loop."""

    @property
    def deadlines(self) -> Deadlines:
        """One timer for all calls."""


class Carrier(Outlet, Protocol):
    """Brings a request to its call, and takes the response away."""

    assembling: int
    """Bytes of messages that are incomplete."""
    running: int
    """Handlers that have not ended."""

    @property
    def core(self) -> CallCore:
        """What the call sends by."""

    @property
    def shared(self) -> HasDeadlines:
        """What belongs to the event loop."""

    @property
    def runner(self) -> Runner:
        """Starts coroutines."""

    @property
    def server(self) -> Dispatch:
        """What found the method."""

    @property
    def options(self) -> ServerOptions:
        """Its options."""

    @property
    def counters(self) -> Counters:
        """What it counts."""

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""

    @property
    def now(self) -> float:
        """When the request came, in the time of the event loop."""

    @property
    def draining(self) -> bool:
        """Whether it is to end with what goes on now."""

    def touch(self) -> None:
        """Something was sent: see to it that it leaves."""

    def close_if_idle(self) -> None:
        """While draining: close once nothing is left to do."""
