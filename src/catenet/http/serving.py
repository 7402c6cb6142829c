"""A connection that a server has accepted: which HTTP it speaks, and whether its peer keeps up what it has begun.

The peer is under the clock while it owes us something: from accept until its first head (or preface and SETTINGS) is
complete; from the first byte of a later head until its last; and, at a rate, while it has begun a frame, a chunk's
framing, a body or a message. It owes nothing between two requests or two messages, and nothing that our windows or our
pauses hold back. :meth:`ServingProtocol.watch` is called every second or so.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from catenet.http.driver import LINGER, HttpProtocol, StreamOwner
from catenet.http.errors import HttpError, TooSlow
from catenet.http.h1.connection import H1Connection
from catenet.http.h1.head import H1Memo
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection, Memos
from catenet.http.limits import Limits
from catenet.net.accept import Slot
from catenet.net.budget import Budget
from catenet.net.deadlines import Deadlines, Entry
from catenet.net.limits import ServerLimits
from catenet.net.notice import Notice
from catenet.net.pace import Pace

_PATIENCE = 1.0
"""Seconds without progress after which a connection is the first to go when the budget is exceeded."""


class RequestOwner(StreamOwner, Protocol):
    """What a server keeps in ``stream.owner``."""

    def owes(self) -> bool:
        """Whether the client has begun something on this stream, and not finished it."""


class Shared:
    """What the connections of one server have in common. Made on its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: ServerLimits, http: Limits) -> None:
        self.loop = loop
        self.limits = limits
        self.http = http
        self.memos = Memos()
        self.h1_memo = H1Memo()
        self.deadlines = Deadlines(loop)
        self.budget: Budget[ServingProtocol] = Budget(limits.max_queued_total)
        self._given_up = Notice()
        self.count_late = 0
        """Connections that were closed because their peers were too slow,"""
        self.count_shed = 0
        """and those that were closed because too much was queued for them."""

    def relieve(self) -> None:
        """While the budget is tight: close what has stalled, so that the others need not wait for ever."""
        if self.budget.tight:
            self.shed(self.limits.max_queued_total // 2, self.limits.handshake_timeout, only_stalled=True)

    def shed(self, target: int, patience: float, only_stalled: bool = False) -> None:
        """Close connections, stalled ones first, until at most ``target`` bytes are queued."""
        now = self.loop.time()
        for victim in self.budget.victims(target, lambda one: one.has_stalled(now, patience), only_stalled):
            self._given_up.warn(now, "a peer does not read, closing: %d bytes are queued in all", self.budget.used)
            self.count_shed += 1
            victim.abort()
            if not self.budget.shedding:
                self.budget.shedding = True
                self.loop.call_soon(self._end_shedding)

    def _end_shedding(self) -> None:
        self.budget.shedding = False


class ServingProtocol(HttpProtocol):
    """One accepted connection. What concerns requests is left to whoever derives from it."""

    __slots__ = (
        "_buffered", "_closing", "_entry", "_flowed", "_moved", "_pace", "_served", "_slot", "_sniffed", "idle_since",
        "opened", "shared",
    )  # fmt: skip

    def __init__(self, shared: Shared, slot: Slot, write_limit: int) -> None:
        super().__init__(shared.loop, write_limit=write_limit)
        self.shared = shared
        self.budget = shared.budget
        self.opened = self.now = self.idle_since = self._moved = slot.accepted
        self._slot = slot
        self._sniffed = b""
        self._pace: Pace | None = None
        self._entry: Entry | None = None
        self._closing = False
        self._served = self._flowed = self._buffered = 0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS has chosen a protocol already; without it the first bytes will tell."""
        super().connection_made(transport)
        shared = self.shared
        self._entry = shared.deadlines.add(self.opened + shared.limits.handshake_timeout, self._expire)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._choose(tls.selected_alpn_protocol() == "h2")

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
        self._slot.release()
        if self._entry is not None:
            self.shared.deadlines.remove(self._entry)
            self._entry = None
        super().connection_lost(error)

    def _choose(self, http2: bool) -> None:
        shared = self.shared
        if http2:
            self.core = Connection(False, shared.http, shared.memos)
        else:
            self.core = H1Connection(False, shared.http, shared.h1_memo)
        if self.write_paused:
            self.core.hold()

    def on_failed(self, error: HttpError | None) -> None:
        """End our direction. In HTTP/1.1 a client may still be sending when its answer is complete."""
        if error is None and self.core.version < 2:
            self.linger(orderly=True)
        else:
            super().on_failed(error)

    # The clock.

    def _expire(self) -> None:
        """The time for the handshake is over."""
        self._entry = None
        core = self.core
        if self.transport is None or (core is not None and core.begun):
            return
        if core is None or not self.received:
            self.shared.count_late += 1
            self.abort()  # it has said nothing that could be answered
        else:
            self._too_slow("the first request" if core.version < 2 else "the preface of HTTP/2")

    def _too_slow(self, what: str) -> None:
        self.shared.count_late += 1
        self.core.fail(TooSlow(f"{what} took too long"))
        self.touch()

    def watch(self, now: float) -> None:
        """Look whether the peer keeps up. Ask :attr:`idle_since` afterwards."""
        core, transport = self.core, self.transport
        if transport is None or core is None:
            return
        if core.streams or core.served != self._served or not core.begun:
            self._served = core.served
            self.idle_since = now
        self._watch_output(now, transport)
        if self._closing:
            patience = self.shared.limits.handshake_timeout if self._buffered else LINGER
            if self.has_stalled(now, patience):
                self.abort()  # what is left will not be read, or the end of TLS not answered
        elif core.begun and core.failed is None:
            self._watch_input(now)

    def _watch_input(self, now: float) -> None:
        core, limits = self.core, self.shared.limits
        since = core.head_since
        if since is not None:
            if now - since > limits.handshake_timeout:
                self._too_slow("a request head")
            return
        owes = core.unfinished or (core.streams and self._streams_owe())
        pace = self._pace
        if not owes:
            self._pace = None
            return
        if pace is None:
            pace = self._pace = Pace(limits.handshake_timeout, limits.min_rate)
        if pace.is_late(True, self.received, now):
            self._too_slow("a request")

    def _streams_owe(self) -> bool:
        core = self.core
        return any(
            stream.remote_open and stream.owner is not None and stream.owner.owes() and core.may_receive(stream)
            for stream in core.streams.values()
        )

    # What waits to be read.

    def _watch_output(self, now: float, transport: asyncio.Transport) -> None:
        """Note when the peer has last taken something, or had nothing to take."""
        core = self.core
        buffered = transport.get_write_buffer_size()
        if self._closing:
            moved = buffered < self._buffered
        else:
            moved = not (buffered or core.queued) or core.flowed != self._flowed or buffered < self._buffered
            if transport.is_closing() or self._ended:
                moved = self._closing = True
        if moved:
            self._moved = now
        self._flowed, self._buffered = core.flowed, buffered
        if self._charged or buffered:
            self._charge(core.queued + buffered)

    async def room(self) -> None:
        """Wait until more may be produced for this peer: it reads what it gets, or the budget has room for it."""
        budget = self.shared.budget
        if budget.tight:
            self.settle()
            await budget.wait(self)

    def on_exceeded(self) -> None:
        """Close those that hold most until the rest is within the budget."""
        self.shared.shed(self.shared.limits.max_queued_total, _PATIENCE)

    def has_stalled(self, now: float, patience: float) -> bool:
        """Whether the peer has taken nothing for ``patience`` seconds of what waits for it."""
        return now - self._moved > patience
