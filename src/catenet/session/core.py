"""A session: two streams that outlive the connections under them. One class for clients and servers. Pure.

The program writes and reads here; connections (`catenet.session.link`) take frames from here and bring the peer's.
Several may be attached at once. One is written to: the newest that both ends know of.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catenet.checks import check_numbers
from catenet.session import wire
from catenet.session.heartbeat import Path
from catenet.session.keys import Keys
from catenet.session.receiving import Receiving
from catenet.session.sending import Sending

if TYPE_CHECKING:
    from catenet.session.link import Link

__all__ = ["Ending", "Options", "Session"]

PIECE: Final = 64 << 10
"""Bytes of the DATA frames that we send."""
EARLY: Final = 64 << 10
"""Bytes that a client repeats before it knows how much of it the server has."""
ACK_DELAY: Final = 0.02
"""Seconds for which an acknowledgement waits for data to go with."""


class Ending(enum.Enum):
    """How a session has ended."""

    DONE = "both streams have ended, and both ends know it"
    RESET = "the peer has broken it off"
    ABORTED = "it was broken off here"
    LOST = "it cannot go on"


@dataclass(frozen=True, slots=True)
class Options:
    """What one end of a session wants. Times in seconds, sizes in bytes.

    * `expiry`: how long a session waits for a connection; the server may grant less.
    * `buffer`: what may be written and not acknowledged, and what may have come and not been read.
    * `heartbeat`: how long a connection may be silent before it is asked; None: what the path bears.
    * `key`: what both ends must have, 16 bytes or more; None: there is none.
    * `messages`: messages ride on the stream, with bounds that are kept; both ends must say so.
    * `channel_binding`: proofs hold for one TLS connection; False where TLS ends at somebody else, a load balancer.
    """

    expiry: float = 24 * 3600.0
    buffer: int = 8 << 20
    heartbeat: float | None = None
    key: bytes | None = None
    messages: bool = False
    channel_binding: bool = True

    def __post_init__(self) -> None:
        check_numbers(self, ("expiry",), 1, (1 << 32) - 1)
        check_numbers(self, ("buffer",), 4096, wire.MAX_BUFFER, whole=True)
        check_numbers(self, ("heartbeat",), 0.1, 3600, none=True)
        if self.key is not None and len(self.key) < 16:
            raise ValueError("key: a shared key has 16 bytes or more, and they are random")


class Session:
    """One session. `on_change` is called after a connection has changed something; `active` is written to now.

    Calls take no time: what they make is sent by the active connection, which is told by its `wake`.
    """

    __slots__ = (
        "_ack_due", "_ack_overdue", "_bye_sent", "_stop", "_stop_sent", "active", "confirmed", "connections",
        "credentials", "ended", "epoch", "expiry", "keys", "links", "lost_since", "on_attach", "on_change", "on_lost",
        "origin", "path", "peer", "peer_silence", "receiving", "reset_code", "sending", "token",
    )  # fmt: skip

    def __init__(self, sending: Sending, receiving: Receiving, expiry: float, path: Path) -> None:
        self.sending = sending
        self.receiving = receiving
        self.expiry = expiry
        self.path = path
        self.token = b""
        self.keys: Keys | None = None
        self.peer = b""
        """Hash of the certificate that the client has shown, if any."""
        self.origin = ""
        """Where a server has it from, as it counts its sessions."""
        self.credentials = b""
        self.peer_silence = 0.0
        self.epoch = 0
        self.confirmed = False
        """Both ends know that the session has begun."""
        self.active: Link | None = None
        self.links: dict[Link, None] = {}
        self.lost_since: float | None = None
        """Since when no connection is attached; None: one is."""
        self.connections = 0
        """How many have been attached."""
        self.ended: Ending | None = None
        self.reset_code = 0
        self.on_change: Callable[[], None] = _nobody
        self.on_attach: Callable[[Link], None] = _ignore
        """Called when the session goes on by another connection."""
        self.on_lost: Callable[[Link], None] = _ignore
        """Called when its last connection is gone."""
        self._ack_due: float | None = None
        self._ack_overdue = False
        self._stop = False
        self._stop_sent = self._bye_sent = False

    # For the program.

    @property
    def held(self) -> int:
        """Bytes in memory, of both streams."""
        return self.sending.held + self.receiving.held

    @property
    def acknowledged(self) -> int:
        """Bytes of ours that the peer has said to have."""
        return self.sending.acknowledged

    def write(self, data: bytes) -> None:
        """Add to our stream."""
        if self.ended is None and not self.sending.finished:
            self.sending.write(data)
            self.touch()

    def write_eof(self) -> None:
        """End our stream; the peer's goes on."""
        self.sending.finished = True
        self.touch()

    def close(self) -> None:
        """End our stream after what was written, and read nothing more."""
        self.sending.finished = self._stop = True
        self.receiving.drop()
        self.touch()

    def read(self) -> bytes:
        """Return what has come since the last call."""
        data = self.receiving.read()
        if data and self.receiving.urgent:
            self.touch()
        return data

    def reset(self, code: int = wire.ResetCode.ABORTED) -> None:
        """Break the session off; the peer hears of it if it is connected, or when it comes back in time."""
        if self.ended is not None:
            return
        self.ended, self.reset_code = Ending.ABORTED, code
        self._drop_streams()
        for link in list(self.links):
            link.say_last(wire.frame(wire.RESET, bytes([code])))

    def lose(self) -> None:
        """The session cannot go on."""
        if self.ended is None:
            self.ended = Ending.LOST
            for link in list(self.links):
                link.retire()

    def touch(self) -> None:
        """Something is to be sent."""
        if self.active is not None:
            self.active.wake()

    # Connections.

    def attach(self, link: Link) -> None:
        """`link` is written to from now on; those before it end."""
        for other in list(self.links):
            if other is not link:
                other.retire()
        self.links[link] = None
        self.lost_since = None
        self.connections += 1
        self.on_attach(link)
        self._write_to(link)

    def try_out(self, link: Link) -> None:
        """A client has asked to go on by `link`, and sends by it at once if there is no other (0-RTT)."""
        self.links[link] = None
        if self.active is None:
            self._write_to(link)

    def detach(self, link: Link, now: float) -> None:
        """`link` is gone."""
        self.links.pop(link, None)
        if self.active is link:
            self.active = None
            waiting = next(reversed(self.links), None)
            if waiting is not None:
                self._write_to(waiting)
        if not self.links and self.lost_since is None:
            self.lost_since = now
            self.on_lost(link)

    def _write_to(self, link: Link) -> None:
        self.active = link
        self._stop_sent = self._bye_sent = False
        self.sending.rewind()
        self.receiving.say_again()
        link.wake()

    # What connections bring. All raise `FrameError` for what the peer may not say.

    def receive_data(self, low: int, data: bytes, now: float) -> None:
        """A piece of the peer's stream has come."""
        receiving = self.receiving
        receiving.accept(low, data)
        if self._ack_due is None and not self._ack_overdue and receiving.unsaid:
            self._ack_due = now + ACK_DELAY

    def receive(self, kind: int, payload: bytes, now: float) -> None:
        """A frame has come that is not DATA."""
        if kind == wire.ACK:
            self.sending.acknowledge(*wire.parse_ack(payload))
        elif kind == wire.FIN:
            self.receiving.end(wire.parse_fin(payload))
        elif kind == wire.STOP:
            if not self.receiving.ended:
                raise wire.FrameError("a STOP follows the end of the stream")
            self.sending.abandon()
        elif kind == wire.RESET:
            self._reset_by_peer(payload)
        elif kind == wire.BYE:
            if self.complete and self.ended is None:
                self.finish(Ending.DONE)
            elif self.ended is None:
                raise wire.FrameError("a session that goes on is said to be over")
        else:
            raise wire.FrameError(f"a frame of type {kind:#x} may not come now")

    def _reset_by_peer(self, payload: bytes) -> None:
        if self.ended is None:
            self.reset_code = payload[0] if payload else 0
            self.finish(Ending.RESET)

    def last_words(self) -> list[bytes]:
        """Return what a client is told that comes back after everything is done."""
        stop = [wire.frame(wire.STOP)] if self._stop else []
        return [wire.ack(*self.receiving.say()), *stop, wire.frame(wire.BYE)]

    def finish(self, ending: Ending) -> None:
        """It is over; connections say what they have, and end."""
        self.ended = ending
        for link in list(self.links):
            link.retire()

    def forget(self) -> None:
        """It is only remembered from now on, without its bytes."""
        self.sending.forget()
        self.receiving.drop()

    def _drop_streams(self) -> None:
        self.sending.abandon()
        self.receiving.drop()

    # What connections take.

    @property
    def complete(self) -> bool:
        """Whether nothing is left to be done in either direction."""
        return self.sending.complete and (self.receiving.complete or self._stop)

    def transmit(self, link: Link, now: float) -> bytes:
        """Return the next frame for `link`, or the head of one whose rest is given to it; `b""`: none."""
        sending, receiving = self.sending, self.receiving
        ready = sending.ready
        if receiving.unsaid and (ready or receiving.urgent or self._ack_overdue or self._is_ack_due(now)):
            self._ack_due, self._ack_overdue = None, False
            return wire.ack(*receiving.say())
        if ready and (most := PIECE if link.attached else min(EARLY - link.early, PIECE)) > 0:
            link.heartbeat_sent(now)
            found = sending.next_data(most)
            if found is not None:
                link.early += len(found[1])
                link.follow(found[1])
                return wire.data_header(found[0], len(found[1]))
            end = sending.next_end()
            if end is not None:
                return wire.fin(end)
        if self._stop and not self._stop_sent and sending.end_sent:
            self._stop_sent = True
            return wire.frame(wire.STOP)
        if link.is_server and not self._bye_sent and self.ended is None and self.complete:
            self._bye_sent = True
            self.finish(Ending.DONE)
            self.on_change()
            return wire.frame(wire.BYE)
        return b""

    def handle_timeout(self, now: float) -> None:
        """An acknowledgement leaves as soon as the connection can take it: there is nothing more to wait for."""
        if self._is_ack_due(now):
            self._ack_due, self._ack_overdue = None, True

    def _is_ack_due(self, now: float) -> bool:
        return self._ack_due is not None and now >= self._ack_due

    def ack_due(self) -> float | None:
        """Return when an acknowledgement must leave."""
        return self._ack_due if self.receiving.unsaid else None


def _nobody() -> None:
    """Nobody listens."""


def _ignore(link: Link) -> None:
    """Nobody wants to know."""
