"""One request that another server has taken: what a call reads and writes, with nothing of a connection below.

A call begins outside of any task, as on a connection of ours: its handler's first step runs in a task of its own
(`net/eager_task.py`), and the application that carries it is one already. So whatever reaches the call goes through the
event loop's queue (`soon`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from catenet.http.errors import ErrorCode, PeerLimit
from catenet.http.events import StreamReset
from catenet.http.message import Fields, RequestHead, ResponseHead, list_size
from catenet.http.stream import Stream
from catenet.net.deadlines import Deadlines
from catenet.net.eager_task import Runner
from catenet.rpc.model.context import Peer
from catenet.rpc.protocols.protocol import Answer
from catenet.rpc.server.begin import begin_call
from catenet.rpc.server.dispatch import Dispatch
from catenet.rpc.server.options import Counters, ServerOptions
from catenet.rpc.server.route import Route

__all__ = ["Loops", "MountedRequest", "Output", "complete", "with_trailers"]

_QUEUED: Final = 64 << 10
"""Bytes of a response that may wait for the other server to take them before the handler waits."""
_HEAD_OF_GRPC: Final = frozenset((b"content-type", b"grpc-accept-encoding", b"grpc-encoding"))

Output = tuple[ResponseHead | None, list[bytes], Fields | None, bool]
"""A head if it is due, pieces of the body, trailers, and whether that is all."""


class _Loop:
    """What the requests on one event loop have in common."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.deadlines = Deadlines(loop)
        self.runner = Runner(loop)


class Loops:
    """What belongs to each event loop that an application is called on; tests have many, servers one."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()

    def of(self, loop: asyncio.AbstractEventLoop) -> _Loop:
        """Return what belongs to the loop that runs."""
        found = self._known.get(loop)
        if found is None:
            found = self._known[loop] = _Loop(loop)
        return found


class MountedRequest:
    """Carries one call; it is its own core, as there is but one stream.

    `trails`: the response ends with trailers, which the other server can send. `now`: when the request came.
    """

    transport: asyncio.Transport | None = None
    draining = False
    assembling = 0
    running = 0

    def __init__(
        self, dispatch: Dispatch, shared: _Loop, loop: asyncio.AbstractEventLoop, peer: Callable[[], Peer], now: float
    ) -> None:
        self.server = dispatch
        self.options: ServerOptions = dispatch.options
        self.counters: Counters = dispatch.counters
        self.shared = shared
        self.runner = shared.runner
        self.loop = loop
        self.now = now
        self.trails = False
        self.over = False
        """Whether the response is complete, or will never be."""
        self.broken = False
        """Whether it will never be."""
        self.whole = False
        """Whether the whole request has come."""
        self.stream = Stream(1, 0, 0)
        self.peer_max_header_list = self.options.limits.max_header_list
        self._find_peer = peer
        self._peer: Peer | None = None
        self._head: ResponseHead | None = None
        self._pieces: deque[bytes] = deque()
        self._queued = 0
        self._trailers: Fields | None = None
        self._held = 0
        self._window = self.options.limits.stream_window
        self._invited = False
        self._whole: asyncio.Future[None] | None = None
        self._output: asyncio.Future[None] | None = None
        self._input: asyncio.Future[None] | None = None

    # As the other server sees it.

    def begin(self, route: Route, head: RequestHead, end: bool) -> None:
        """Begin the call; `end`: no body follows."""
        self.stream.remote_open = not end
        self.whole = end
        self.trails = route.plan.wire.name == "grpc"
        self.soon(begin_call, self, self.stream, route, head, end)

    def soon(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function of the call outside of any task, after what has been said before."""
        self.loop.call_soon(self._call, function, arguments)

    def _call(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            function(*arguments)
        except BaseException:
            self.reset(self.stream)
            raise

    async def settled(self, patience: float) -> None:
        """Wait until the whole request has come, for so many seconds at most."""
        self._whole = self.loop.create_future()
        await asyncio.wait([self._whole], timeout=patience)

    async def feed(self, data: bytes, end: bool) -> None:
        """Give the call a piece of the request's body, and wait until it takes more."""
        if end:
            self.whole = True
            if self._whole is not None and not self._whole.done():
                self._whole.set_result(None)
        self.soon(self._feed, data, end)
        await asyncio.sleep(0)
        while self._held >= self._window and not self.over and not end:
            await self._changed_input()

    def _feed(self, data: bytes, end: bool) -> None:
        owner = self.stream.owner
        if owner is None or self.over or not self.stream.remote_open:
            return
        self.stream.remote_open = not end
        self._held += len(data)
        if data or end:
            owner.on_data(data, end)

    @property
    def awaited(self) -> bool:
        """Whether the rest of the request is on its way: its client does not wait for 100 Continue, or was asked."""
        return not self.whole and (self._invited or not self.stream.expects)

    async def invited(self) -> None:
        """Wait until the call takes a body whose client waits for 100 Continue, or is over."""
        while self.stream.expects and not self._invited and not self.over:
            await self._changed_input()

    async def _changed_input(self) -> None:
        self._input = self.loop.create_future()
        await self._input

    def lost(self, cause: str = "the client has gone") -> None:
        """The client has gone: end the call, if it has not."""
        if not self.over:
            self._break()
            self.soon(self._lose, cause)

    def _lose(self, cause: str) -> None:
        owner = self.stream.owner
        if owner is not None:
            owner.on_reset(StreamReset(ErrorCode.CANCEL, cause))
            owner.on_drained()

    async def output(self) -> Output:
        """Wait for the next part of the response; with nothing in it and the end: it will never be complete."""
        while not (self._head or self._pieces or self.over):
            self._output = self.loop.create_future()
            await self._output
        if self.broken:
            return None, [], None, True
        head, self._head = self._head, None
        pieces = list(self._pieces)
        self._pieces.clear()
        self._queued = 0
        return head, pieces, self._trailers, self.over

    def taken(self) -> None:
        """What `output` returned has gone to the client."""
        if not self._pieces and self.stream.queue is not None:
            self.stream.queue = None
            owner = self.stream.owner
            if owner is not None:
                owner.on_drained()

    # As a call sees its connection.

    @property
    def core(self) -> MountedRequest:
        """What the call sends by."""
        return self

    @property
    def peer(self) -> Peer:
        """Who is at the other end."""
        if self._peer is None:
            self._peer = self._find_peer()
        return self._peer

    def touch(self) -> None:
        """Wake whoever waits for output."""
        if self._output is not None and not self._output.done():
            self._output.set_result(None)

    def flush(self) -> None:
        """Wake whoever waits for output."""
        self.touch()

    async def wait_for_room(self) -> None:
        """Each handler waits for its own client; there is no budget for all."""

    def close_if_idle(self) -> None:
        """The connection is somebody else's."""

    # As a call sees its core.

    def invite(self, stream: Stream) -> None:
        """Let the body be asked for."""
        self._invited = True
        self._wake_input()

    def consume(self, stream: Stream, count: int) -> None:
        """Let as much follow."""
        self._held -= count
        self._wake_input()

    def expect(self, stream: Stream, count: int) -> None:
        """Let the rest of a message come, however much its call holds."""
        self._window = max(self._window, self._held + count)
        self._wake_input()

    def send_head(self, stream: Stream, head: ResponseHead, end: bool = False) -> None:
        """Begin the response. Raises `PeerLimit`."""
        self._check(head.fields)
        self._head = head
        self._end(end)

    def send_data(self, stream: Stream, data: bytes | memoryview, end: bool = False) -> bool:
        """Send a piece of the body; False: the handler should wait."""
        if data and not self.over:
            self._pieces.append(bytes(data))
            self._queued += len(data)
            if self._queued >= _QUEUED:
                stream.queue = deque()
        self._end(end)
        return stream.queue is None

    def send_trailers(self, stream: Stream, fields: Fields) -> None:
        """End with trailers. Raises `PeerLimit`."""
        self._check(fields)
        self._trailers = fields
        self._end(True)

    def send_reply(self, stream: Stream, head: ResponseHead, body: bytes, trailers: Fields | None) -> None:
        """Send the whole response. Raises `PeerLimit`."""
        self._check(head.fields)
        self._check(trailers or ())
        if trailers is None and self.trails:
            head, trailers = with_trailers(head)
        if trailers is None:
            head = with_length(head, len(body))
        self._head, self._trailers = head, trailers
        if body:
            self._pieces.append(body)
        self._end(True)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Break the response off."""
        if not self.over:
            self._break()

    def _check(self, fields: Fields) -> None:
        size = list_size(fields)
        if size > self.peer_max_header_list:
            raise PeerLimit(size, self.peer_max_header_list)

    def _end(self, end: bool) -> None:
        if end:
            self.over = True
            self._wake_input()
        self.touch()

    def _break(self) -> None:
        self.broken = self.over = True
        self._pieces.clear()
        self._wake_input()
        self.touch()

    def _wake_input(self) -> None:
        if self._input is not None and not self._input.done():
            self._input.set_result(None)


def with_trailers(head: ResponseHead) -> tuple[ResponseHead, Fields]:
    """Return a Trailers-Only head of gRPC as head and trailers: an application cannot end a response with its head."""
    first = tuple(field for field in head.fields if field[0] in _HEAD_OF_GRPC)
    return ResponseHead(head.status, first), tuple(field for field in head.fields if field[0] not in _HEAD_OF_GRPC)


def with_length(head: ResponseHead, length: int) -> ResponseHead:
    """Return a head that says how long the body is."""
    if head.get(b"content-length") is not None:
        return head
    return ResponseHead(head.status, (*head.fields, (b"content-length", b"%d" % length)))


def complete(answer: Answer, method: bytes) -> tuple[ResponseHead, bytes]:
    """Return what is sent of an answer that is no call's."""
    return with_length(answer.head, len(answer.body)), b"" if method == b"HEAD" else answer.body
