"""A connection that a server has accepted: which HTTP it speaks, and what its peer owes.

The peer is under the clock of `catenet.net.monitor` until its first head (or preface and SETTINGS) is complete;
from the first byte of a later head until its last; and, at a rate, while it has begun a frame, a chunk's framing, a
body or a message. While a response waits, it is to be read at a rate; a tunnel has time.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Protocol, Self

from catenet.compiled import mypyc_attr
from catenet.http.core import ConnectionValue
from catenet.http.driver import IGNORE, HttpProtocol
from catenet.http.errors import ErrorCode, HttpError, TooSlow
from catenet.http.events import Refusal, StreamReset
from catenet.http.h1.connection import THIS_IS_TLS, H1Connection
from catenet.http.h1.memo import H1Memo
from catenet.http.h2 import frames
from catenet.http.h2.blocks import Memos
from catenet.http.h2.connection import Connection
from catenet.http.h2.dormant import Dormant
from catenet.http.limits import Limits
from catenet.http.message import RequestHead
from catenet.http.stream import Stream
from catenet.http.tls_extension import tls_extension
from catenet.net import monitor
from catenet.net.accept import Slot
from catenet.net.eager_task import Runner
from catenet.net.limits import ServerLimits
from catenet.net.local_peer import LocalPeer, local_peer
from catenet.net.monitor import Late, PeerMonitor
from catenet.net.notice import Notice
from catenet.net.parking import ParkedConnection
from catenet.net.settled import Settled
from catenet.net.turns import FEW, Turns

__all__ = ["LOCAL_PEER", "Ends", "Keeper", "ParkedHttp", "ServingProtocol", "Shared"]


LOCAL_PEER = "catenet.local_peer"
"""What applications find the kernel's word on a caller under: an extension of ASGI's scope, a key of WSGI's environ."""
_PING = b"keepaliv"


class Shared(monitor.Shared):
    """What the connections of one server have in common. Made on its event loop.

    `keepalive`: seconds of quiet after which a client of HTTP/2 gets a PING, and seconds that it has to answer; None:
    it gets none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: ServerLimits,
        http: Limits,
        keepalive: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(loop, limits)
        self.http = http
        self.keepalive = keepalive
        self.runner = Runner(loop)
        self.settled = Settled(loop)
        self.turns = Turns(loop)
        self.memos = Memos()
        self.h1_memo = H1Memo()
        self.plain = Notice()


class Keeper(Protocol):
    """The server of a connection: it holds the list."""

    def connection_opened(self, connection: Any) -> None:
        """Keep a connection."""

    def connection_resumed(self, connection: Any) -> None:
        """Keep a connection that has been parked."""

    def connection_closed(self, connection: Any) -> None:
        """Forget a connection."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a connection, as ASGI has them: address and port; of a Unix socket None, and its path and None.

    `extension` is what ASGI's TLS extension says, of a connection with TLS; `local` the kernel's word on who connected
    a Unix socket.
    """

    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    tls: bool
    extension: dict[str, Any] | None = None
    local: LocalPeer | None = None


def _ends_of(transport: asyncio.BaseTransport | None) -> Ends:
    if transport is None:
        return Ends(None, None, False)
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    tls = transport.get_extra_info("ssl_object")
    path = server.decode("utf-8", "surrogateescape") if isinstance(server, bytes) else server
    return Ends(
        (client[0], client[1]) if isinstance(client, tuple) else None,
        (server[0], server[1]) if isinstance(server, tuple) else (path, None) if path else None,
        tls is not None,
        None if tls is None else tls_extension(tls),
        None if isinstance(client, tuple) else _local(transport),
    )


def _local(transport: asyncio.BaseTransport) -> LocalPeer | None:
    sock = transport.get_extra_info("socket")
    return None if sock is None else local_peer(sock, lambda: not transport.is_closing())


class ParkedHttp:
    """A connection on which nothing happens. `now`: when something came last."""

    __slots__ = ("dormant", "due", "now", "slot")

    def __init__(self, dormant: Dormant, slot: Slot, now: float, due: float) -> None:
        self.dormant = dormant
        self.slot = slot
        self.now = now
        self.due = due

    def last_words(self) -> bytes:
        """A GOAWAY: the client may repeat what it has sent meanwhile."""
        return frames.go_away(self.dormant.numbers.last_peer_id, ErrorCode.NO_ERROR)


@mypyc_attr(allow_interpreted_subclasses=True)
class ServingProtocol(HttpProtocol[RequestHead]):
    """One accepted connection. What concerns requests is left to whoever derives from it.

    It can be asked everything before its first byte has come, when it has no `core` (`version_known`).
    `running` counts what works on requests and has not ended, also of streams that have. `note` belongs to what serves
    the requests, and may hold what it has derived from the connection.
    """

    __slots__ = (
        "_ends",
        "_keeper",
        "_pinged",
        "_served",
        "_sniffed",
        "draining",
        "monitor",
        "note",
        "runner",
        "running",
        "shared",
        "turns",
    )

    def __init__(self, keeper: Keeper, shared: Shared, slot: Slot) -> None:
        super().__init__(shared.loop, write_limit=shared.limits.write_limit)
        self._keeper = keeper
        self.shared = shared
        self.runner = shared.runner
        self.turns = shared.turns
        self.budget = shared.budget
        self.now = slot.accepted
        self.draining = False
        self.running = 0
        self.monitor = PeerMonitor(self, shared, slot)
        self._sniffed = b""
        self._served = 0
        self._pinged: float | None = None
        self._ends: Ends | None = None
        self.note: Any = None

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS has chosen a protocol already; without it the first bytes will tell."""
        super().connection_made(transport)
        self.turns.members += 1
        if self.version_known:  # it has been parked
            self.now = self.monitor.idle_since
            self._keeper.connection_resumed(self)
            return
        self.monitor.start()
        if self.negotiates(transport):
            self._choose(transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2")
        self._keeper.connection_opened(self)

    def negotiates(self, transport: asyncio.BaseTransport) -> bool:
        """Whether TLS has chosen what is spoken (ALPN)."""
        return transport.get_extra_info("ssl_object") is not None

    def on_first(self, data: bytes) -> bytes:
        """The first bytes in clear text decide on the version (RFC 9113 section 3.3)."""
        data = self._sniffed + data
        if len(data) < 3 and frames.PREFACE.startswith(data):
            self._sniffed = data
            return b""
        self._sniffed = b""
        self._choose(data.startswith(b"PRI"))
        return data

    def connection_lost(self, error: Exception | None) -> None:
        """The place is free for another connection."""
        self.monitor.stop()
        if self.transport is not None:
            self.turns.members -= 1
        super().connection_lost(error)

    def on_closed(self, error: Exception | None) -> None:
        """Tell the server, which holds the list."""
        self._keeper.connection_closed(self)

    def turn_over(self) -> None:
        """Write together with the other connections of this turn."""
        turns = self.turns
        if turns.members <= FEW:
            self.end_turn()
        elif not self._scheduled:
            self._scheduled = True
            turns.join(self)  # which may end the turn, and take it back

    def _choose(self, http2: bool) -> None:
        shared = self.shared
        if http2:
            self.choose(Connection(False, shared.http, shared.memos))
        else:
            self.choose(H1Connection(False, shared.http, shared.h1_memo))

    def on_failed(self, error: HttpError | None) -> None:
        """End our direction. In HTTP/1.1 a client may still be sending when its answer is complete."""
        if error is None and self.core.version < 2 and not self.peer_ended:
            self.linger(orderly=True, midway=self.core.midway)
        else:
            super().on_failed(error)

    def on_connection_event(self, kind: int, value: ConnectionValue) -> None:
        """After a drain's pong the last stream is known."""
        if isinstance(value, Refusal):
            if value.message == THIS_IS_TLS:
                self.shared.plain.warn(self.loop.time(), "a client speaks TLS where this server does not")
            self.on_refused(value)
        self.close_if_idle()

    def on_refused(self, refusal: Refusal) -> None:
        """What the client has sent has been refused, and never becomes a request."""

    @property
    def ends(self) -> Ends:
        """Who is at the ends of the connection."""
        ends = self._ends
        if ends is None:
            ends = self._ends = _ends_of(self.transport)
        return ends

    def is_crowded(self, stream: Stream, head: RequestHead) -> bool:
        """Refuse a request while as many run as a client may have: streams that were reset leave work behind."""
        if self.running < self.shared.http.max_streams:
            return False
        stream.owner = IGNORE
        self.core.reset(stream, ErrorCode.REFUSED_STREAM)
        self.on_refused(Refusal(503, "requests that run are over the limit", head))
        return True

    # The end.

    def make_room(self) -> None:
        """Close an idle connection because others wait for its place; the client can begin again."""
        if self.version_known:
            self.core.go_away()
        self.close()

    def drain(self) -> None:
        """Take no new requests; close when those that run have ended."""
        self.draining = True
        if not self.version_known:
            self.close()
            return
        self.core.drain()
        self.flush()
        self.close_if_idle()

    def close_if_idle(self) -> None:
        """While draining: close once nothing is left to do."""
        if not self.draining or self.transport is None or self.running:
            return
        if not self.version_known or self.core.may_close:
            self.loop.call_soon(self.close)

    # The clock, and what waits to be read.

    def check(self, now: float) -> None:
        """Look after the connection now and then: it may be too slow, too quiet, too old, or gone without a word."""
        self.watch(now)
        if self.shared.keepalive is not None and self.version_known and self.core.version >= 2:
            self._keep_alive(now, *self.shared.keepalive)

    def _keep_alive(self, now: float, quiet: float, timeout: float) -> None:
        """Ping a peer that is quiet, close if it stays so (gRFC A9). Any sign of life answers a ping."""
        if self._pinged is not None and self._pinged > self.now:
            if now - self._pinged > timeout:
                self.abort()
        elif now - self.now > quiet:
            self._pinged = now
            self.core.ping(_PING)
            self.flush()

    def watch(self, now: float) -> None:
        """Look whether the peer keeps up, and whether the connection is too idle or too old."""
        if self.version_known:
            self.monitor.watch(now)
            self.monitor.watch_age(now)

    # While nothing happens.

    def rest(self, now: float) -> ParkedHttp | None:
        """Return what is to be kept of a connection of HTTP/2 that has been quiet for `park_after` seconds."""
        limits = self.shared.limits
        quiet = limits.park_after is not None and now - self.now > limits.park_after and not self._is_pinged()
        resting = (
            quiet and self.may_rest() and self._gathers and self.version_known and not (self.running or self.draining)
        )
        stirring = self.ended or self.lingers or self.peer_ended or self._scheduled or self.write_paused or self.charged
        core = self.core if resting and not stirring else None
        dormant = core.dormant() if isinstance(core, Connection) else None
        if dormant is None:
            return None
        ends = [self.now + limits.max_idle] if limits.max_idle is not None else []
        ends += [self.monitor.opened + limits.max_age] if limits.max_age is not None else []
        ends += [self.now + self.shared.keepalive[0]] if self.shared.keepalive is not None else []
        return ParkedHttp(dormant, self.monitor.rest(), self.now, min(ends, default=math.inf))

    def may_rest(self) -> bool:
        """Whether the connection can be parked: whoever derives from this keeps nothing that would be lost."""
        return False

    def leave(self) -> None:
        """The connection is parked."""
        self.transport = None
        self.turns.members -= 1
        self.monitor.leave()

    def resume(self, parked: ParkedConnection) -> Self:
        """Go on from what was kept; return this connection."""
        assert isinstance(parked, ParkedHttp)
        core = Connection(False, self.shared.http, self.shared.memos)
        core.resume(parked.dormant)
        self._served = core.served
        self.choose(core)
        self.monitor.resume(parked.now)
        return self

    def _is_pinged(self) -> bool:
        return self._pinged is not None and self._pinged > self.now

    @property
    def begun(self) -> bool:
        """Whether the first head, or the preface, is complete."""
        return self.version_known and self.core.begun

    @property
    def busy(self) -> bool:
        """Whether there is any request, or work on one."""
        return self.running > 0 or (self.version_known and bool(self.core.streams))

    @property
    def failed(self) -> bool:
        """Whether the connection has been given up already."""
        return self.version_known and self.core.failed is not None

    @property
    def unit_since(self) -> float | None:
        """When the first byte came of a head that is not complete."""
        return self.core.head_since if self.version_known else None

    @property
    def flowed(self) -> int:
        """Bytes that have ever waited in streams and do not any more."""
        return self.core.flowed if self.version_known else 0

    def was_active(self) -> bool:
        """Whether there was any request since this was last asked."""
        if not self.version_known:
            return False
        core = self.core
        active = bool(core.streams) or core.served != self._served or not core.begun
        self._served = core.served
        return active

    def owes(self) -> bool:
        """Whether the client has begun a frame, a request or a message, and not finished it."""
        if not self.version_known:
            return False
        core = self.core
        return core.unfinished or any(
            stream.remote_open and stream.owner is not None and stream.owner.owes() and core.may_receive(stream)
            for stream in core.streams.values()
        )

    def may_wait(self, stream: Stream) -> bool:
        """Whether what is sent on a stream has no hurry: its peer may read when it likes."""
        return stream.tunnel

    def must_read(self, full: bool) -> bool:
        """Whether a response waits; in a transport that is `full` it may be one whose stream has ended."""
        streams = self.core.streams.values() if self.version_known else ()
        if full:
            return not streams or any(not self.may_wait(stream) for stream in streams)
        return any(stream.queued and not self.may_wait(stream) for stream in streams)

    def _break_off_unread(self) -> None:
        """Reset streams whose windows their client does not open; one that reads nothing at all can be told nothing."""
        transport = self.transport
        if not self.version_known or self.core.version < 2 or transport is None or transport.get_write_buffer_size():
            self.abort()
            return
        for stream in list(self.core.streams.values()):
            if stream.queued and not self.may_wait(stream):
                owner, stream.owner = stream.owner, IGNORE
                self.core.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
                if owner is not None:
                    owner.on_reset(StreamReset(ErrorCode.ENHANCE_YOUR_CALM, "the client does not read the response"))
        self.touch()

    def on_late(self, what: Late) -> None:
        """Tell the peer that it took too long, if it has said anything that can be answered."""
        if what is Late.READING:
            self._break_off_unread()
            return
        if not self.version_known or not self.received:
            self.abort()
            return
        if what is Late.BEGINNING:
            name = "the first request" if self.core.version < 2 else "the preface of HTTP/2"
        else:
            name = "a request head" if what is Late.UNIT else "a request"
        self.core.fail(TooSlow(f"{name} took too long"))
        self.touch()

    def on_exceeded(self) -> None:
        """Close those that hold most until the rest is within the budget."""
        self.shared.shed()
