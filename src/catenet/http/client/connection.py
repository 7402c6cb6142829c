"""One connection of a client: which HTTP it speaks, which requests it carries, as a member of a pool."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from dataclasses import dataclass

from catenet.http import events as ev
from catenet.http.core import ConnectionValue
from catenet.http.driver import HttpProtocol
from catenet.http.errors import ErrorCode
from catenet.http.events import GoAway
from catenet.http.h1.connection import H1Connection
from catenet.http.h1.memo import H1Memo
from catenet.http.h2.blocks import Memos
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead
from catenet.net.deadlines import Deadlines
from catenet.net.dial import ClientTls, Endpoint
from catenet.net.sockopts import watch_peer

__all__ = ["ClientConnection", "Dial"]

_PING = b"keepaliv"
_TOO_MANY_PINGS = b"too_many_pings"
_HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)
SILENT = "the server closed the connection at once, as one does that expects TLS"
_FRESH = 0.01
"""Seconds for which a connection that was just in use is taken to be still open."""


@dataclass(slots=True)
class Dial:
    """How to connect: everything but the address. `http1`: speak HTTP/1.1 where nothing else is negotiated.

    `peer_timeout`: seconds after which TCP gives up a server that does not acknowledge anything.
    """

    limits: Limits
    memos: Memos
    h1_memo: H1Memo
    tls: ClientTls | None = None
    http1: bool = False
    keepalive_time: float | None = None
    keepalive_timeout: float = 20.0
    keepalive_without_calls: bool = False
    peer_timeout: float | None = None


class ClientConnection(HttpProtocol[ResponseHead]):
    """Carries requests; tells `on_change` that its state has changed, `on_room`, if set, that one may be over."""

    __slots__ = (
        "_dial", "_pinged", "_plain", "_poll", "_retired", "_settled", "deadlines", "endpoint", "error", "kept",
        "on_change", "on_room",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, dial: Dial) -> None:
        super().__init__(loop)
        self._dial = dial
        self.error = ""
        self.deadlines = Deadlines(loop)
        self.endpoint: Endpoint | None = None
        self.kept = False
        self.on_change: Callable[[ClientConnection], None] | None = None
        self.on_room: Callable[[ClientConnection], None] | None = None
        self._pinged: float | None = None
        self._plain = False
        self._retired = False
        self._poll: select.poll | None = None
        self._settled: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS has chosen a protocol; without it whoever dialled has."""
        dial = self._dial
        self._plain = transport.get_extra_info("ssl_object") is None
        if self.speaks_http1(transport):
            self.choose(H1Connection(True, dial.limits, dial.h1_memo))
        else:
            self.choose(Connection(True, dial.limits, dial.memos))
        super().connection_made(transport)
        if dial.peer_timeout is not None:
            watch_peer(transport, dial.peer_timeout)
        if dial.keepalive_time is not None and self.core.version > 1:  # HTTP/1.1 has no pings, and so no answers
            self._wait_to_ping(dial.keepalive_time)

    def speaks_http1(self, transport: asyncio.BaseTransport) -> bool:
        """Whether HTTP/1.1 is spoken, by TLS's choice (ALPN) or as whoever dialled wants it."""
        tls = transport.get_extra_info("ssl_object")
        return self._dial.http1 if tls is None else tls.selected_alpn_protocol() != "h2"

    def data_received(self, data: bytes) -> None:
        """Handle bytes; then tell those that wait if there is room for requests again."""
        self._pinged = None
        super().data_received(data)
        if self.on_room is not None:
            self.on_room(self)
        if self.core.closing or self._retired:
            self._changed()

    def on_resumed(self) -> None:
        """What was queued may have been the rest of a request whose response is complete."""
        super().on_resumed()
        self.has_room()

    def on_connection_event(self, kind: int, value: ConnectionValue) -> None:
        """After GOAWAY the requests that run go on, and no others come."""
        if isinstance(value, GoAway):
            if value.code == ErrorCode.ENHANCE_YOUR_CALM and value.debug == _TOO_MANY_PINGS:
                self._ping_less()
            self.error = f"the server is going away: {value.debug.decode('latin-1')}" if value.debug else ""
            self._changed()
        elif kind == ev.SETTINGS:
            self._end_settling()
            self._changed()

    def on_closed(self, error: Exception | None) -> None:
        """Nothing goes through here any more."""
        if not self.error:
            self.error = str(error) if error is not None else "" if self._has_spoken() else SILENT
        self.deadlines.close()
        self._end_settling()
        self._changed()

    def eof_received(self) -> bool:
        """A server that has said nothing will not answer any more: the transport closes."""
        return self._has_spoken() and super().eof_received()

    def loss(self) -> str:
        """Return what is said of a connection that ended without an error."""
        return super().loss() if self._has_spoken() else SILENT

    def _has_spoken(self) -> bool:
        """Whether anything has come, TLS included."""
        return self.received > 0 or not self._plain

    async def wait_for_settings(self, deadline: float | None) -> None:
        """Wait for the server's first SETTINGS, or for the end of the connection. Raises `TimeoutError`."""
        if self._settled is None:
            self._settled = self.loop.create_future()
        async with asyncio.timeout_at(deadline):
            await asyncio.shield(self._settled)

    def _end_settling(self) -> None:
        if self._settled is not None and not self._settled.done():
            self._settled.set_result(None)

    # As a member of a pool.

    @property
    def alive(self) -> bool:
        """Whether requests can be begun now or later."""
        return self.transport is not None and not self.core.closing and not self._retired

    @property
    def room(self) -> int:
        """How many more requests it can take now."""
        core, transport = self.core, self.transport
        if transport is None or transport.is_closing() or self._retired or not core.can_open:
            return 0
        return core.peer_max_streams - len(core.streams)

    @property
    def broke_protocol(self) -> bool:
        """Whether it ended because the server broke HTTP, rather than broke off."""
        failed = self.core.failed
        return failed is not None and failed.code != ErrorCode.CONNECT_ERROR

    @property
    def busy(self) -> bool:
        """Whether it carries requests."""
        return bool(self.core.streams)

    @property
    def idle_since(self) -> float:
        """When something came last."""
        return self.now

    @property
    def shared(self) -> bool:
        """Whether it carries several requests at once."""
        return self.core.version >= 2

    @property
    def lasting(self) -> bool:
        """Whether it is kept however long it is idle."""
        return self.kept or self.core.version >= 2

    def retire(self) -> None:
        """Take no more requests, and close when those that run have ended."""
        self._retired = True
        self._changed()

    def has_room(self) -> None:
        """Tell the pool: a request has ended, or one that was to use this connection does not."""
        if self.on_room is not None:
            self.on_room(self)

    def is_stale(self, expiry: float | None) -> bool:
        """Whether the server has closed or spoken while the connection was idle, and the event loop has not seen it.

        A loop that runs sees it at once; that of a synchronous client stands still between calls, and so do the
        timers that end a connection which was idle for longer than `expiry` seconds. A request that is sent
        nevertheless may or may not be lost, so that it could not be repeated safely.
        """
        quiet = self.loop.time() - self.now
        if quiet < _FRESH or self.core.version >= 2 or self.transport is None:
            return False
        if expiry is not None and quiet > expiry and not self.kept:
            return True
        if self._poll is None:
            sock = self.transport.get_extra_info("socket")
            if sock is None:
                return False
            self._poll = select.poll()
            # TLS speaks by itself: a ticket for the next session that nobody has read yet ends nothing.
            self._poll.register(sock.fileno(), select.POLLIN if self._gathers else _HANGUP)
        return bool(self._poll.poll(0))

    def _changed(self) -> None:
        if not self.version_known:
            return
        core = self.core
        failed = core.failed is not None
        if failed and not self.error:
            self.error = f"protocol error: {core.failed}" if self.broke_protocol else str(core.failed)
        if self.on_change is not None:
            self.on_change(self)
        ending = core.closing or self._retired
        if self.transport is not None and ending and not core.streams and not failed:
            self.loop.call_soon(self.close)

    def _keep_alive(self) -> None:
        """Ping a quiet server, give it up if it stays quiet (gRFC A8)."""
        dial, transport = self._dial, self.transport
        if transport is None or dial.keepalive_time is None:
            return
        now = self.loop.time()
        if self._pinged is not None:
            left = self._pinged + dial.keepalive_timeout - now
            if left <= 0:
                self.error = "the server does not answer keepalive pings"
                transport.abort()
            else:
                self._wait_to_ping(left)
            return
        wait = dial.keepalive_time - (now - self.now)
        if wait <= 0 and (self.core.streams or dial.keepalive_without_calls):
            self._pinged = now
            self.core.ping(_PING)
            self.flush()
            wait = min(dial.keepalive_time, dial.keepalive_timeout)  # an answer may come, and the next be due before
        elif wait <= 0:
            wait = dial.keepalive_time
        self._wait_to_ping(wait)

    def _ping_less(self) -> None:
        """The server has had too many pings: the connections after this one send half as many (gRFC A8)."""
        dial = self._dial
        if dial.keepalive_time is not None:
            dial.keepalive_time *= 2

    def _wait_to_ping(self, seconds: float) -> None:
        self.deadlines.add(self.loop.time() + seconds, self._keep_alive)
