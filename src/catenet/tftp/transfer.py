"""One transfer: request or offer, transfer identifiers, blocks by `Sender` or `Receiver`, errors, the end (RFC 1350).

Pure: a core of `catenet.net`'s five verbs for both ends. A client begins with `ask`, a server with `answer`. A port is
a transfer identifier: what comes from another than the first that answered gets error 5 and disturbs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from catenet.net.core import Peer
from catenet.net.segments import Segments
from catenet.tftp.errors import ErrorCode, NoAnswerError, TftpError
from catenet.tftp.options import Granted, Wishes, check
from catenet.tftp.packets import (
    ACK,
    DATA,
    ERROR,
    HEADER,
    OACK,
    Malformed,
    Request,
    build_ack,
    build_error,
    build_oack,
    build_request,
    opcode_of,
    parse_error,
    parse_oack,
)
from catenet.tftp.receiver import Receiver
from catenet.tftp.sender import Sender
from catenet.tftp.timing import PATIENCE, Timer

__all__ = ["LINGER", "Begun", "Ended", "Event", "Transfer"]

LINGER: Final = 3.0
"""Seconds for which the last ACK is repeated to who has not heard it (RFC 1350 section 6)."""
UNHEARD: Final = 4
"""How often the first answer is sent to who has not shown that the address is its own."""
MOST_ERRORS: Final = 16
"""Answers to strangers that wait to be sent."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The other end has answered; this holds."""

    granted: Granted


@dataclass(frozen=True, slots=True)
class Ended:
    """All is there (`error` is None), or the transfer failed."""

    error: TftpError | None


Event = Begun | Ended


class Transfer:
    """One file in one direction. `error`: what it failed by; `over`: it has ended, by it or well.

    `sender` or `receiver` is there once `granted` is, which is when both ends have agreed. `notify` is called when
    something may have changed.
    """

    def __init__(self, peer: Peer, now: float, *, writes: bool, patience: float = PATIENCE) -> None:
        """Use `ask` or `answer`. `writes`: this end sends the blocks."""
        self.peer = peer
        self.writes = writes
        self.granted: Granted | None = None
        self.sender: Sender | None = None
        self.receiver: Receiver | None = None
        self.error: TftpError | None = None
        self.over = False
        self.timer = Timer(now, patience=patience)
        self.notify: Callable[[], object] = _nothing
        self._asked = peer
        self._name = peer.name
        self._seen: Peer | None = None
        self._host: str | None = None
        self._request: Request | None = None
        self._size: int | None = None
        self._greeting: bytes | None = None
        self._greeting_due = False
        self._greeted_at: float | None = None
        self._greeted_once = False
        self._greetings_left = 0
        self._errors: list[tuple[bytes | Segments, Peer]] = []
        self._events: list[Event] = []
        self._linger_until: float | None = None

    @classmethod
    def ask(
        cls,
        peer: Peer,
        name: str,
        mode: str,
        wishes: Wishes,
        now: float,
        *,
        writes: bool = False,
        size: int | None = None,
        patience: float = PATIENCE,
    ) -> Transfer:
        """Begin as a client; `peer` is the server's well-known port. Raises `ValueError` for a name that cannot be."""
        transfer = cls(peer, now, writes=writes, patience=patience)
        transfer._host = _host(peer)
        transfer._request = Request(name, writes, mode, wishes.options(size if writes else 0))
        transfer._greet(build_request(transfer._request))
        transfer._greetings_left = 1 << 30
        return transfer

    @classmethod
    def answer(
        cls,
        peer: Peer,
        granted: Granted,
        said: dict[str, str],
        now: float,
        *,
        writes: bool,
        patience: float = PATIENCE,
    ) -> Transfer:
        """Begin as a server that has granted a request; `said`: what its OACK says."""
        transfer = cls(peer, now, writes=writes, patience=patience)
        transfer._seen = peer
        transfer._begin(granted, now)
        transfer._greetings_left = UNHEARD
        if said:
            transfer._greet(build_oack(said))
        elif not writes:
            transfer._greet(build_ack(0))
        return transfer

    def _greet(self, packet: bytes) -> None:
        self._greeting, self._greeting_due = packet, True

    def _begin(self, granted: Granted, now: float, *, acknowledge: bool = False) -> None:
        self.granted = granted
        self.timer.agree(granted.timeout)
        self._events.append(Begun(granted))
        if self.writes:
            self.sender = Sender(granted, self.timer)
        else:
            self.receiver = Receiver(granted, self.timer, now, acknowledge=acknowledge)

    # The end.

    def fail(self, error: TftpError, *, tell: bool = True) -> None:
        """End it; `tell`: the other end is told why, if it has been heard."""
        if self.over:
            return
        self.over, self.error = True, error
        self._greeting = None
        self.timer.stop()
        self._events.append(Ended(error))
        self.notify()
        if tell and self._seen is not None:
            self._errors.append((build_error(error.code, error.text), self.peer))

    def _finish(self) -> None:
        if not self.over:
            self.over = True
            self._events.append(Ended(None))
            self.notify()

    @property
    def heard(self) -> bool:
        """Whether the other end has answered."""
        return self._greeting is None

    @property
    def proven(self) -> bool:
        """Whether blocks have been acknowledged, or have come: who has asked is really there."""
        return self.receiver.received > 0 if self.receiver is not None else self._greetings_left == 0

    @property
    def awaited(self) -> int:
        """How many datagrams come before there is something to say, if none gets lost."""
        return 1 if self.receiver is None else self.receiver.awaited

    @property
    def closed(self) -> bool:
        """Whether nothing is left to be said, not even to who has not heard the last ACK."""
        return self.over and self._linger_until is None and not self._errors

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by closing now."""
        return self.over and not self._errors

    def drain(self, now: float) -> None:
        """A transfer that has begun goes on."""

    # The verbs.

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram."""
        code = opcode_of(data)
        if peer is not self._seen and not self._is_from_peer(peer, code):
            return
        if len(data) < HEADER and code != OACK:
            return
        if code == DATA:
            self._receive_data(data, now)
        elif code == ACK:
            self._receive_ack(int.from_bytes(data[2:4], "big"), now)
        elif code == OACK:
            self._receive_oack(data, now)
        elif code == ERROR:
            self._receive_error(data, now)
        self.notify()

    def receive_many(self, data: bytes, size: int, peer: Peer, now: float) -> None:
        """Datagrams of `size` bytes have come at once, the last may be shorter."""
        if self.receiver is not None and self._greeting is None and peer is self._seen and not self.over:
            self.receiver.receive_many(data, size, now)
            self._look(now)
            self.notify()
            return
        for start in range(0, len(data), size):
            self.receive(data[start : start + size], peer, now)

    def _is_from_peer(self, peer: Peer, code: int) -> bool:
        """Whether it comes from the other end's port; a client learns that from the first answer."""
        if self._seen is None:
            if _host(peer) != self._host or code not in (DATA, ACK, OACK, ERROR):
                self._refuse(peer, code)
                return False
            self._name, self.peer = peer.name, peer
        elif peer.name != self._name:
            self._refuse(peer, code)
            return False
        self._seen = peer
        return True

    def _refuse(self, peer: Peer, code: int) -> None:
        if code != ERROR and len(self._errors) < MOST_ERRORS:
            self._errors.append((build_error(ErrorCode.UNKNOWN_ID, "unknown transfer"), peer))

    def _receive_data(self, data: bytes, now: float) -> None:
        if self.writes or self.error is not None:
            return
        if self.receiver is None:  # a server without options
            if data[2:4] != b"\0\1":
                return
            self._begin(Granted(), now)
        assert self.receiver is not None
        if self._greeting is not None:
            self._hear(now)
        self.receiver.receive(data, now)
        self._look(now)

    def _look(self, now: float) -> None:
        """See to what blocks have led to."""
        assert self.receiver is not None
        if self.receiver.too_large and not self.over:
            self.fail(TftpError(ErrorCode.ILLEGAL, "a block is larger than agreed on"))

    def _hear(self, now: float) -> None:
        """The other end has answered what this one began with."""
        self._greeting = None
        if self._greeted_once and self._greeted_at is not None:
            self.timer.sample(now - self._greeted_at, 0, 1)
        self.timer.progress(now)
        self.timer.stop()

    def _receive_ack(self, number: int, now: float) -> None:
        if not self.writes or self.over:
            return
        if self.sender is None:  # a server without options
            if number != 0:
                return
            self._begin(Granted(), now)
        assert self.sender is not None
        if self._greeting is not None:
            if number != 0:
                return
            self._hear(now)
            self._greetings_left = 0
            return
        self._greetings_left = 0
        self.sender.handle_ack(number, now)
        if self.sender.done:
            self._finish()

    def _receive_oack(self, data: bytes, now: float) -> None:
        if self._request is None or self.over:
            return
        if self.granted is not None:
            if self.receiver is not None and self.receiver.received == 0:
                self.receiver.acknowledge()  # our ACK was lost
            return
        try:
            granted = check(parse_oack(data), self._request.options, self.writes)
        except Malformed:
            return
        except TftpError as error:
            self.fail(error)
            return
        self._hear(now)
        self._begin(granted, now, acknowledge=True)

    def _receive_error(self, data: bytes, now: float) -> None:
        code, text = parse_error(data)
        asked, refused = self._request, code in (ErrorCode.OPTIONS, ErrorCode.ILLEGAL)
        if refused and asked is not None and asked.options and self.granted is None:
            # It does not like options: ask again without, as RFC 2347 has it.
            self._request = Request(asked.name, asked.writes, asked.mode)
            self._greet(build_request(self._request))
            self.peer, self._seen = self._asked, None
            return
        self.fail(TftpError(code, text, told=True), tell=False)

    def transmit(self, now: float) -> list[tuple[bytes | Segments, Peer]]:
        """Return the next packets to be sent."""
        if self._errors:
            errors, self._errors = self._errors, []
            return errors
        if self._greeting is not None:
            return self._transmit_greeting(now)
        packet: bytes | Segments | None = None
        if self.sender is not None and not self.over:
            packet = self.sender.transmit(now)
        elif self.receiver is not None and self.error is None:
            packet = self.receiver.transmit(now)
            if packet is not None and self.receiver.done and not self.over:
                self._finish()
                self._linger_until = now + LINGER
        return [] if packet is None else [(packet, self.peer)]

    def _transmit_greeting(self, now: float) -> list[tuple[bytes | Segments, Peer]]:
        if not self._greeting_due:
            return []
        assert self._greeting is not None
        self._greeting_due = False
        self._greeted_once, self._greeted_at = self._greeted_at is None, now
        self.timer.start(now)
        return [(self._greeting, self.peer)]

    def next_event(self) -> Event | None:
        """Return the next thing that happened."""
        return self._events.pop(0) if self._events else None

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do."""
        if self.over:
            return self._linger_until
        if self._greeting is None and self.receiver is not None:
            return self.receiver.next_deadline()
        return self.timer.deadline

    def handle_timeout(self, now: float) -> None:
        """Send again what was not answered, or give up."""
        if self.over:
            if self._linger_until is not None and self._linger_until <= now:
                self._linger_until = None
            return
        if not self.timer.due(now) or (self.receiver is not None and self.receiver.hold):
            return
        silence = self.timer.silent_for(now)
        if silence is not None or not self._may_repeat():
            self.fail(NoAnswerError(silence or 0.0, self.granted is not None and self.heard))
        elif self._greeting is not None:
            self.timer.back_off()
            self._greeting_due = True
        elif self.sender is not None:
            self.sender.handle_timeout(now)
        elif self.receiver is not None:
            self.receiver.handle_timeout(now)

    def _may_repeat(self) -> bool:
        """Whether to send once more to who may never have asked; a stranger's address can be forged."""
        if self._greeting is None and (self.sender is None or self._greetings_left == 0):
            return True
        self._greetings_left -= 1
        return self._greetings_left > 0

    def handle_error(self, error: OSError, now: float) -> None:
        """Nobody is there, says the network: believed before anybody has answered, a packet can be forged later."""
        if self.granted is None and self._request is not None:
            self.fail(_as_tftp(error), tell=False)


def _nothing() -> None:
    pass


class _Refused(TftpError, ConnectionError):
    """An ICMP message instead of an answer."""


def _as_tftp(error: OSError) -> TftpError:
    return _Refused(ErrorCode.UNDEFINED, (error.strerror or str(error)).lower())


def _host(peer: Peer) -> str:
    """The host of a peer, without the zone of a link-local address, which some calls return and others do not."""
    return peer.name.rpartition(":")[0].strip("[]").partition("%")[0]
