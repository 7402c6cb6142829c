"""What a server answers (RFC 5905 section 9.2, RFC 9769): a request in, at most one answer out. Pure.

Requests are those of clients (mode 3) and of symmetric peers (mode 1), of versions 1 to 4; the answer has the same
version. No association is kept: a peer that is active finds a passive one (mode 2) that follows nobody. Whatever else
comes, answers of other servers among it, gets none, so that two servers cannot keep each other busy.

An answer is never longer than its request, and there is at most one: a server is no amplifier for who forges sources.
Beyond its rate a client is still answered now and then, with the time or with RATE, in order that who forges its
source cannot keep it from the time altogether.

What is remembered for interleaved mode is one pair of timestamps for each answer: a client names the answer before by
its receive timestamp, whatever port it has now (RFC 9109).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final, Protocol

from catenet.ntp import kiss
from catenet.ntp.control import answer_control
from catenet.ntp.errors import Malformed
from catenet.ntp.keys import Key
from catenet.ntp.packet import HEADER_LENGTH, UNSYNCHRONIZED, VERSION, Mode, Packet, parse
from catenet.ntp.rates import Access, ClientRates, Rate, is_loopback
from catenet.ntp.reference import UNKNOWN, Reference, State
from catenet.ntp.timestamp import from_unix, from_unix_ns, short_from_seconds

__all__ = ["MOST_REMEMBERED", "Counters", "Responder", "Sealer"]

MOST_REMEMBERED: Final = 65_536
"""Answers of which the timestamps are kept."""
REFRESH: Final = 1.0
"""Seconds for which what is said of the clock stays as it is."""
PRECISION: Final = -20
"""log2 of the seconds in which an interpreter reads a clock and sends."""
_LEAST_POLL: Final = 6
_HEADER: Final = struct.Struct(">BBbbII4sQQQQ")
_TIMESTAMPS: Final = struct.Struct(">QQQ")
_ORIGIN_AT: Final = 24
_CRYPTO_NAK: Final = bytes(4)
_NANOSECONDS: Final = 1e9
_SOURCE_NTP: Final = 6
_UNSYNCHRONIZED_STRATUM: Final = 16


class Sealer(Protocol):
    """What authenticates besides symmetric keys: Network Time Security."""

    def open(self, data: bytes, packet: Packet) -> tuple[str, Callable[[bytes], bytes]] | None:
        """Return a code of kiss-o'-death, or the empty one, and what makes an answer of a header.

        None if it is not a request of this kind. Raises `catenet.ntp.errors.Malformed` for one that gets no answer.
        """


@dataclass(slots=True)
class Counters:
    """How many: requests, and what became of them."""

    requests: int = 0
    answered: int = 0
    interleaved: int = 0
    authenticated: int = 0
    refused: int = 0
    kisses: int = 0
    malformed: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, one.name)} {one.name}" for one in fields(self))


def _answering_modes() -> dict[int, int]:
    """By version and mode of requests those of answers. Version 1 had no modes (RFC 1059 appendix B)."""
    found = {Mode.RESERVED | 1 << 3: Mode.SERVER | 1 << 3}
    for version in range(1, VERSION + 1):
        for asked, mode in ((Mode.CLIENT, Mode.SERVER), (Mode.SYMMETRIC_ACTIVE, Mode.SYMMETRIC_PASSIVE)):
            found[version << 3 | asked] = version << 3 | mode
    return found


_ANSWERS: Final = _answering_modes()


def _show_id(identity: bytes, stratum: int) -> str:
    """A reference id: four letters of a clock, or the address of a server."""
    letters = identity.rstrip(b"\0").decode("ascii", "replace")
    return letters if stratum <= 1 or letters.isalnum() else ".".join(map(str, identity))


class Responder:
    """Answers requests.

    Args:
        reference: says what is to be said of the clock.
        clock: reads it: Unix time in nanoseconds.
        rng: chooses which requests beyond the rate are answered; for real servers `random.SystemRandom()`.
        keys: symmetric keys by their identifiers.
        sealer: what authenticates besides.
        rate: of answers to one client.
        access: who is answered.
        most_remembered: answers of which the timestamps are kept for interleaved mode; 0: none, basic mode only.
        control: answer control messages of this host.
    """

    def __init__(
        self,
        reference: Reference,
        clock: Callable[[], int],
        rng: random.Random,
        *,
        keys: Mapping[int, Key] | None = None,
        sealer: Sealer | None = None,
        rate: Rate = Rate(),
        access: Access | None = None,
        most_remembered: int = MOST_REMEMBERED,
        control: bool = False,
    ) -> None:
        self.counters = Counters()
        self._reference = reference
        self._clock = clock
        self._rng = rng
        self._keys = dict(keys or {})
        self._sealer = sealer
        self._rates = ClientRates(rate)
        self._access = Access() if access is None else access
        self._half = most_remembered // 2
        self._control = control
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._departing = 0
        self._due = float("-inf")
        self._use(UNKNOWN, 0.0)

    @property
    def remembered(self) -> int:
        """Answers of which the timestamps are kept."""
        return len(self._young) + len(self._old)

    def answer(self, data: bytes, host: str, received: int, now: float) -> bytes | None:
        """Return what is sent back to `host`, or None.

        Args:
            data: the request.
            host: the client's address.
            received: when it came, Unix time in nanoseconds of `clock`.
            now: seconds of a clock that never goes back.

        When the answer has left, say `departed`.
        """
        counters = self.counters
        counters.requests += 1
        self._departing = 0
        kind = _ANSWERS.get(data[0] & 0x3F) if len(data) >= HEADER_LENGTH else None
        if kind is None:
            return self._answer_other(data, host, received, now)
        code = self._judge(host, now)
        if code is None:
            counters.dropped += 1
            return None
        if now >= self._due:
            self._look(now, received)
        if len(data) == HEADER_LENGTH:
            return self._refuse(kind, code, data) if code else self._tell(kind, data, received)
        return self._answer_fields(kind, code, data, received)

    def _answer_other(self, data: bytes, host: str, received: int, now: float) -> bytes | None:
        """Answer what is no request for the time: a control message of this host, if that is wanted."""
        if self._control and is_loopback(host):
            if now >= self._due:
                self._look(now, received)
            answer = answer_control(data, self._status(), self._variables())
            if answer is not None:
                return answer
        self.counters.malformed += 1
        return None

    def _status(self) -> int:
        """The system status word (RFC 9327 section 2.1): leap indicator, and NTP as the source if there is one."""
        return self._leap << 8 | (_SOURCE_NTP << 8 if self._facts[0] else 0)

    def _variables(self) -> dict[str, str]:
        """The system variables (RFC 5905 section 9.1) by the names of ntpq."""
        stratum, delay, dispersion, identity, reference = self._facts
        now = from_unix_ns(self._clock())
        return {
            "version": '"catenet"',
            "leap": str(self._leap >> 6),
            "stratum": str(stratum or _UNSYNCHRONIZED_STRATUM),
            "precision": str(PRECISION),
            "rootdelay": f"{delay / 65.536:.3f}",
            "rootdisp": f"{dispersion / 65.536:.3f}",
            "refid": _show_id(identity, stratum),
            "reftime": f"0x{reference >> 32:08x}.{reference & 0xFFFFFFFF:08x}",
            "clock": f"0x{now >> 32:08x}.{now & 0xFFFFFFFF:08x}",
        }

    def departed(self, sent: int) -> None:
        """Say when the last answer has left, Unix time in nanoseconds: the next one in interleaved mode tells it."""
        receive, self._departing = self._departing, 0
        if not receive:
            return
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        transmit = from_unix_ns(sent)
        self._young[receive] = transmit if transmit != receive else transmit + 1

    def _judge(self, host: str, now: float) -> str | None:
        """Whether a client is told the time (the empty code), or a code of kiss-o'-death, or nothing (None)."""
        admitted = self._access.admits(host)
        if self._rates.allow(host, now):
            return "" if admitted else kiss.DENY
        chance = self._rng.getrandbits(2)
        if chance > 1 or not admitted:
            return None
        return kiss.RATE if chance else ""

    def _look(self, now: float, received: int) -> None:
        self._due = now + REFRESH
        time = received / _NANOSECONDS
        self._use(self._reference.state(time), time)

    def _use(self, state: State, time: float) -> None:
        # Clients refuse a clock that was corrected after the timestamps of an answer, and the transmit timestamp of an
        # interleaved one is that of the answer before.
        reference = min(state.reference, time - REFRESH)
        self._leap = state.leap << 6
        self._facts = (
            state.stratum,
            short_from_seconds(state.root_delay),
            short_from_seconds(state.dispersion(time)),
            state.reference_id,
            from_unix(reference) if state.stratum else 0,
        )

    # Answers.

    def _tell(self, kind: int, data: bytes, received: int) -> bytes:
        """Return the header that tells the time."""
        origin, asked_receive, asked_transmit = _TIMESTAMPS.unpack_from(data, _ORIGIN_AT)
        receive = from_unix_ns(received)
        if self._half:
            young, old = self._young, self._old
            while receive in young or receive in old:  # a client names the answer by this
                receive += 1
            self._departing = receive
            transmit = 0
            if origin and asked_receive != asked_transmit:
                transmit = young.get(origin) or old.get(origin, 0)
            if transmit:
                self.counters.interleaved += 1
                return self._build(kind, data, asked_receive, receive, transmit)
        transmit = from_unix_ns(self._clock())
        if transmit == receive:
            transmit += 1  # who asks in interleaved mode tells them apart (RFC 9769 section 2)
        return self._build(kind, data, asked_transmit, receive, transmit)

    def _build(self, kind: int, data: bytes, origin: int, receive: int, transmit: int) -> bytes:
        self.counters.answered += 1
        stratum, delay, dispersion, identity, reference = self._facts
        poll = data[2] if data[2] < 128 else data[2] - 256
        return _HEADER.pack(
            self._leap | kind,
            stratum,
            poll,
            PRECISION,
            delay,
            dispersion,
            identity,
            reference,
            origin,
            receive,
            transmit,
        )

    def _refuse(self, kind: int, code: str, data: bytes) -> bytes:
        """Return a kiss-o'-death (RFC 5905 section 7.4). Its timestamps are the client's, which say nothing."""
        self.counters.kisses += 1
        transmit = _TIMESTAMPS.unpack_from(data, _ORIGIN_AT)[2]
        first = UNSYNCHRONIZED << 6 | kind
        return _HEADER.pack(
            first, 0, _LEAST_POLL, PRECISION, 0, 0, code.encode(), transmit, transmit, transmit, transmit
        )

    # Requests with more than a header.

    def _answer_fields(self, kind: int, code: str, data: bytes, received: int) -> bytes | None:
        """Answer a request with extension fields or a MAC. Fields that nobody here knows are not answered."""
        counters = self.counters
        try:
            packet = parse(data)
            sealing = self._sealing(data, packet)
        except Malformed:
            counters.malformed += 1
            return None
        if sealing is None:
            counters.refused += 1
            return self._refuse_key(kind, data, packet)
        own, seal = sealing
        if own:
            counters.refused += 1
        header = self._refuse(kind, own or code, data) if own or code else self._tell(kind, data, received)
        answer = seal(header)
        assert len(answer) <= len(data), "an answer is longer than its request"
        return answer

    def _sealing(self, data: bytes, packet: Packet) -> tuple[str, Callable[[bytes], bytes]] | None:
        """What an answer is made with: as it is, by a key, by NTS; None for a key that is not known or a wrong MAC."""
        if self._sealer is not None and packet.extensions:
            found = self._sealer.open(data, packet)
            if found is not None:
                self.counters.authenticated += not found[0]
                return found
        mac = packet.mac
        if mac is None:
            return "", bytes
        key = self._keys.get(mac.key_id)
        if key is None or not key.verifies(data, mac):
            return None
        self.counters.authenticated += 1
        return "", key.seal

    def _refuse_key(self, kind: int, data: bytes, packet: Packet) -> bytes | None:
        """Answer a MAC that is wrong by a crypto-NAK (RFC 5905 section 9.2), which itself gets no answer."""
        if packet.mac is None or not packet.mac.digest:
            return None
        self.counters.kisses += 1
        transmit = _TIMESTAMPS.unpack_from(data, _ORIGIN_AT)[2]
        stratum, delay, dispersion, identity, _ = self._facts
        first = UNSYNCHRONIZED << 6 | kind
        header = (first, stratum, _LEAST_POLL, PRECISION, delay, dispersion, identity, 0, transmit, transmit, transmit)
        return _HEADER.pack(*header) + _CRYPTO_NAK
