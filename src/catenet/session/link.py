"""One connection of a session: the core that `catenet.net` drives. Pure.

It begins with a handshake (`catenet.session.opening`), which attaches it to a session; from then on it carries frames
between the session and the peer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from catenet.session import wire
from catenet.session.core import Session
from catenet.session.heartbeat import Action, Heartbeat

__all__ = ["Link"]

_PING: Final = 8
MAX_ANSWERS: Final = 64
"""Frames that may wait to answer the peer's; beyond it the peer has to read first."""
MOST_ANSWERS: Final = 1024
"""So many that a peer asks for at once ends its connection: a client has one PING under way."""


class Link:
    """A connection. `begin` says that it is made, and what TLS binds it to; until then what comes waits.

    `wake` is set by who drives it, and makes it ask `transmit`. `on_progress` is called after each time that something
    has come or was due, if there is no session to tell.
    """

    is_server = False
    reads_on = True
    """Two peers that both send as much as they can must hear each other's acknowledgements; what they can make us
    answer is bounded by `full`."""

    __slots__ = (
        "_closing", "_early", "_out", "_pings", "_reader", "_sent_pings", "channel", "early", "failure", "heartbeat",
        "on_progress", "received", "session", "started", "suspect", "wake",
    )  # fmt: skip

    def __init__(self) -> None:
        self.session: Session | None = None
        self.channel = b""
        self.started = False
        self.suspect = False
        """Nothing comes although something should."""
        self.failure = ""
        """Why it has ended, if not in order."""
        self.received = 0
        self.early = 0
        """Bytes of our stream that have left by this connection."""
        self.heartbeat: Heartbeat | None = None
        self.wake: Callable[[], None] = _nobody
        self.on_progress: Callable[[], None] = _nobody
        self._reader = wire.FrameReader()
        self._out: deque[bytes] = deque()
        self._early: list[bytes] = []
        self._closing = False
        self._pings = 0
        self._sent_pings: dict[bytes, float] = {}

    # The handshake, by those who derive from it.

    def open(self, now: float) -> None:
        """Say what a connection begins with."""

    def handshake(self, kind: int, payload: bytes, now: float) -> None:
        """Take a frame before there is a session. Raises `FrameError`."""
        raise NotImplementedError

    @property
    def attached(self) -> bool:
        """Whether the handshake is over."""
        return self.session is not None

    # The five verbs.

    def begin(self, now: float, channel: bytes = b"") -> None:
        """The connection is made; `channel`: what is known only to both ends of its TLS."""
        self.started, self.channel = True, channel
        self.open(now)
        early, self._early = self._early, []
        for data in early:
            self.receive(data, now)
        self.wake()

    def receive(self, data: bytes, now: float) -> None:
        """Take what has come."""
        if not self.started and data:
            self._early.append(data)
            return
        if self._closing:
            return
        if not data:
            self.fail("the peer closed the connection", now)
        else:
            self.received += len(data)
            if self.heartbeat is not None:
                self.suspect = False
                self.heartbeat.heard(now)
            try:
                self._take(data, now)
            except wire.FrameError as error:
                self.fail(str(error), now)
        self._tell()

    def transmit(self, now: float) -> bytes:
        """Return the next bytes to be sent."""
        if self._out:
            return self._out.popleft()
        session = self.session
        if self._closing or session is None or session.active is not self or session.ended is not None:
            return b""
        return session.transmit(self, now)

    def next_event(self) -> None:
        """Return None: whoever wants to know is told by `on_change` of the session."""
        return

    def next_deadline(self) -> float | None:
        """Return when something is due."""
        heartbeat, session = self.heartbeat, self.session
        if heartbeat is None or session is None or self._closing:
            return None
        active = session.active is self
        due = heartbeat.next_deadline(active and session.sending.outstanding)
        acknowledge = session.ack_due() if active else None
        return due if acknowledge is None else min(due, acknowledge)

    def handle_timeout(self, now: float) -> None:
        """Ask the peer whether it is there, or give the connection up."""
        heartbeat, session = self.heartbeat, self.session
        if heartbeat is None or session is None or self._closing:
            return
        if session.active is self:
            session.handle_timeout(now)
        action = heartbeat.due(now, session.active is self and session.sending.outstanding)
        if action is Action.PING:
            self.ping(now)
        elif action is Action.SUSPECT:
            self.suspect = True
        elif action is Action.DEAD:
            self.fail("nothing comes from the peer", now)
        if action is not None:
            self._tell()

    @property
    def begun(self) -> bool:
        """Whether the handshake is over, in time."""
        return self.attached

    @property
    def unfinished(self) -> bool:
        """Whether the peer owes us the rest of a frame."""
        return self._reader.unfinished

    @property
    def full(self) -> bool:
        """Whether the peer has to read before it may say more."""
        return len(self._out) > MAX_ANSWERS

    @property
    def closed(self) -> bool:
        """Whether nothing follows."""
        return self._closing and not self._out

    def drain(self, now: float) -> None:
        """Close; the session waits for another connection."""
        self.retire()

    # For the session.

    def answer(self, data: bytes) -> None:
        """Send a frame that the peer asks for. Raises `FrameError` for a flood."""
        if len(self._out) >= MOST_ANSWERS:
            raise wire.FrameError("the peer asks for more than it reads")
        self._out.append(data)

    def follow(self, data: bytes) -> None:
        """Let `data` follow the frame that is being returned."""
        self._out.append(data)

    def say(self, data: bytes) -> None:
        """Send a frame of the connection's own."""
        self._out.append(data)
        self.wake()

    def say_last(self, data: bytes) -> None:
        """Send a frame and close."""
        if not self._closing:
            self._out.append(data)
            self.retire()

    def retire(self) -> None:
        """Close when what is to be said has left."""
        self._closing = True
        self.wake()

    def fail(self, reason: str, now: float) -> None:
        """Close at once."""
        if not self._closing:
            self.failure = reason
            self._out.clear()
            self._closing = True
            if self.session is not None:
                self.session.detach(self, now)
            self.wake()

    def lost(self, now: float) -> None:
        """The connection is closed."""
        self._closing = True
        self._out.clear()
        if self.session is not None:
            self.session.detach(self, now)
        self._tell()

    def heartbeat_sent(self, now: float) -> None:
        """Something leaves that will be acknowledged."""
        if self.heartbeat is not None:
            self.heartbeat.sent(now)

    def doubt(self, now: float) -> None:
        """There is reason to ask the peer now."""
        if self.heartbeat is not None:
            self.heartbeat.ask_now(now)
            self.handle_timeout(now)
            self.wake()

    def ping(self, now: float) -> None:
        """Ask the peer for an answer."""
        self._pings += 1
        mark = self._pings.to_bytes(_PING, "big")
        self._sent_pings = {mark: now}
        self.say(wire.frame(wire.PING, mark))

    # Frames.

    def _take(self, data: bytes, now: float) -> None:
        reader = self._reader
        reader.feed(data)
        while not self._closing and (found := reader.next()) is not None:
            kind, payload = found
            session = self.session
            if not self.attached or session is None:
                self.handshake(kind, payload, now)
            elif kind == wire.DATA:
                self._heard(session)
                session.receive_data(reader.offset - len(payload), payload, now)
            elif kind < wire.DATA:
                self.handshake(kind, payload, now)
            else:
                self._control(session, kind, payload, now)

    def _heard(self, session: Session) -> None:
        """What belongs to the session comes only after both know of it."""
        if not session.confirmed:
            if self.is_server:
                raise wire.FrameError("a session is confirmed before it is used")
            session.confirmed = True

    def _control(self, session: Session, kind: int, payload: bytes, now: float) -> None:
        if kind == wire.PING:
            if len(payload) > _PING:
                raise wire.FrameError("a PING has at most 8 bytes")
            self.answer(wire.frame(wire.PONG, payload))
        elif kind == wire.PONG:
            sent = self._sent_pings.pop(payload, None)
            if sent is not None and self.heartbeat is not None:
                self.heartbeat.answered(now, sent)
        elif kind < wire.OPTIONAL:
            self._heard(session)
            session.receive(kind, payload, now)

    def _tell(self) -> None:
        if self.session is not None:
            self.session.on_change()
        self.on_progress()


def _nobody() -> None:
    """Nobody is told."""
