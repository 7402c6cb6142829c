"""One server that is asked for the time: requests, the tests of answers, samples, when to ask again. Pure.

`poll` makes a request, `receive` takes what comes back and returns the sample that it is, `current` is what the clock
filter makes of the last eight. Times are those of the local clock, Unix time in seconds; when somebody steps it, `step`
says so.

What a request says of its client is as little as possible (RFC 9109 and the Internet-Draft on data minimization): its
transmit timestamp is 64 random bits, which the server returns as the origin timestamp, so that nobody off the path can
answer; the time of sending is kept here.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from catenet.ntp import kiss
from catenet.ntp.clock_filter import FREQUENCY_TOLERANCE, MAX_DISPERSION, ClockFilter, Filtered, Sample
from catenet.ntp.errors import Malformed
from catenet.ntp.keys import Key
from catenet.ntp.packet import UNSYNCHRONIZED, VERSION, Mode, Packet, parse
from catenet.ntp.selection import MAX_DISTANCE, Candidate
from catenet.ntp.timestamp import difference, from_unix, short_to_seconds, to_unix

__all__ = ["Association", "PollRange", "Protection", "Rejected"]

MIN_POLL: Final = 6
MAX_POLL: Final = 10
_LARGEST_POLL: Final = 17
_BURST: Final = 4
"""Requests at the beginning with `burst`, so that the filter soon has something to choose from."""
_BURST_INTERVAL: Final = 2.0
_MIN_DISTANCE: Final = 0.005
"""Seconds that root delay and delay together have at least (MINDISP)."""
_MAX_STRATUM: Final = 16
_NARROW: Final = 4.0
"""Jitters within which an offset counts as noise, so that the interval may grow (PGATE)."""
_HYSTERESIS: Final = 30
_PATIENCE: Final = 4
"""Requests without an answer after which a server that nothing is heard of is asked less and less often."""


class Rejected(StrEnum):
    """Why an answer was not used."""

    MALFORMED = "malformed"
    UNEXPECTED = "unexpected"
    DUPLICATE = "duplicate"
    BOGUS = "bogus"
    ZERO = "zero timestamp"
    UNAUTHENTICATED = "not authenticated"
    UNSYNCHRONIZED = "not synchronized"
    KISS = "kiss-o'-death"
    DISTANCE = "impossible times"
    LOOP = "follows us"


class Protection(Protocol):
    """What authenticates packets besides symmetric keys: Network Time Security."""

    def seal(self, header: bytes) -> bytes:
        """Return a request with this header."""

    def opens(self, data: bytes, packet: Packet) -> bool:
        """Whether an answer to the last request is authentic. A kiss-o'-death may not be."""


@dataclass(frozen=True, slots=True)
class PollRange:
    """Within what the interval between requests stays, log2 of seconds; nobody's is below 64 s unless asked for."""

    least: int = MIN_POLL
    most: int = MAX_POLL

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most <= _LARGEST_POLL:
            raise ValueError(f"poll {self.least} to {self.most}: 0 to {_LARGEST_POLL}, the lesser one first")


@dataclass(slots=True)
class _Exchange:
    """A request that was sent, and what is kept of its answer for interleaved mode."""

    transmit: int
    receive: int
    sent: int
    answered: bool = False
    server_received: int = 0
    arrived: int = 0


class Association:
    """The state that is kept of a server (RFC 5905 section 9).

    Args:
        rng: makes the random timestamps; for real servers `random.SystemRandom()`.
        version: of the protocol, 1 to 4.
        precision: log2 of the seconds that the local clock resolves.
        polls: the range of intervals.
        burst: ask four times at the beginning, 2 s apart.
        interleaved: ask for the time at which the server really sent its last answer (RFC 9769).
        key: authenticates both directions.
        protection: does that instead.
        clock_filter: for samples.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        version: int = VERSION,
        precision: int = -20,
        polls: PollRange = PollRange(),
        burst: bool = False,
        interleaved: bool = False,
        key: Key | None = None,
        protection: Protection | None = None,
        clock_filter: ClockFilter | None = None,
    ) -> None:
        if not 1 <= version <= VERSION:
            raise ValueError(f"version {version}: 1 to {VERSION}")
        self._rng = rng
        self._version = version
        self._precision = 2.0**precision
        self._polls = polls
        self._burst = _BURST if burst else 0
        self._interleaved = interleaved
        self._key = key
        self._protection = protection
        self.filter = ClockFilter() if clock_filter is None else clock_filter
        self.poll_exponent = polls.least
        self._hysteresis = 0
        self._unanswered = 0
        self._least = polls.least
        self._last: _Exchange | None = None
        self._before: _Exchange | None = None
        self.reach = 0
        self.next_poll: float | None = None
        self.server: Packet | None = None
        self.kiss = ""
        self.rejected: Counter[Rejected] = Counter()
        self.in_interleaved_mode = False
        self.local_id = b""
        """The reference id of those that follow this host; whoever has it is not followed."""

    # Asking.

    @property
    def stopped(self) -> bool:
        """Whether the server has asked not to be asked any more (`kiss`)."""
        return self.kiss in kiss.STOPPING

    @property
    def current(self) -> Filtered | None:
        """What the clock filter says."""
        return self.filter.current

    @property
    def waiting(self) -> bool:
        """Whether the last request has no answer yet."""
        return self._last is not None and not self._last.answered

    def poll(self, now: float) -> bytes:
        """Return the next request, which is sent at `now`; `next_poll` is when to make another one."""
        assert not self.stopped, f"the server has said {self.kiss}"
        if self.waiting:
            self._unanswered += 1
            if self._unanswered >= _PATIENCE and not self.reach and not self._burst:
                self._rest()
        self.reach = self.reach << 1 & 0xFF
        interval = 2.0**self.poll_exponent
        if self._burst > 0:
            self._burst -= 1
            interval = _BURST_INTERVAL if self._burst else interval
        self.next_poll = now + interval
        self._before = self._last if self._last is not None and self._last.answered else None
        self._last = _Exchange(self._cookie(), 0, from_unix(now))
        return self._build(self._last)

    def _build(self, exchange: _Exchange) -> bytes:
        origin = 0
        if self._interleaved:
            # A receive timestamp that no answer in basic mode returns tells an answer in interleaved mode from one.
            while (receive := self._cookie()) == exchange.transmit:
                pass
            exchange.receive = receive
            origin = 0 if self._before is None else self._before.server_received
        packet = Packet(
            version=self._version,
            poll=self.poll_exponent,
            precision=0x20 if self._version == VERSION else 0,
            origin=origin,
            receive=exchange.receive,
            transmit=exchange.transmit,
        ).build()
        if self._protection is not None:
            return self._protection.seal(packet)
        return packet if self._key is None else self._key.seal(packet)

    def _cookie(self) -> int:
        return self._rng.getrandbits(64) or 1

    def _rest(self) -> None:
        """Ask less often (RFC 5905 section 13)."""
        self.poll_exponent = min(self.poll_exponent + 1, max(self._polls.most, self._least))

    def sent(self, now: float) -> None:
        """Say when the last request really left, if that is known better than when it was made."""
        if self._last is not None and not self._last.answered:
            self._last.sent = from_unix(now)

    def step(self, seconds: float) -> None:
        """Say that the local clock has been stepped: what was measured by it is void."""
        self.filter.clear()
        self._before = self._last = None
        if self.next_poll is not None:
            self.next_poll += seconds

    # Answers.

    def receive(self, data: bytes, now: float) -> Sample | None:
        """Take what came from the server; return the sample, or None for what is not used (`rejected` counts why)."""
        found = self._judge(data, now)
        if isinstance(found, Rejected):
            self.rejected[found] += 1
            return None
        return found

    def _judge(self, data: bytes, now: float) -> Sample | Rejected:
        try:
            packet = parse(data)
        except Malformed:
            return Rejected.MALFORMED
        exchange = self._last
        if exchange is None:
            return Rejected.UNEXPECTED
        if (reason := self._examine(packet, exchange)) is not None:
            return reason
        if not self._authentic(data, packet):
            return Rejected.UNAUTHENTICATED
        if packet.kiss_code:
            self._obey(packet.kiss_code, exchange)
            return Rejected.KISS
        self._unanswered = 0
        exchange.answered = True  # later copies are duplicates, whatever this one is worth
        exchange.server_received, exchange.arrived = packet.receive, from_unix(now)
        if packet.leap == UNSYNCHRONIZED or not 0 < packet.stratum < _MAX_STRATUM:
            return Rejected.UNSYNCHRONIZED
        if packet.stratum > 1 and packet.reference_id == self.local_id:
            return Rejected.LOOP
        if not _is_credible(packet):
            return Rejected.DISTANCE
        return self._take(packet, exchange, now)

    def _examine(self, packet: Packet, exchange: _Exchange) -> Rejected | None:
        """Whether a packet answers the last request (RFC 5905 section 8, RFC 9769 section 2)."""
        if packet.mode != Mode.SERVER or packet.version > self._version:
            return Rejected.UNEXPECTED
        if not packet.origin:
            return Rejected.ZERO
        if packet.origin not in (exchange.transmit, exchange.receive):
            return Rejected.BOGUS
        if exchange.answered:
            return Rejected.DUPLICATE
        if not packet.kiss_code and not (packet.receive and packet.transmit):
            return Rejected.ZERO
        return None

    def _authentic(self, data: bytes, packet: Packet) -> bool:
        if self._protection is not None:
            return self._protection.opens(data, packet)
        return self._key is None or self._key.verifies(data, packet.mac)

    def _obey(self, code: str, exchange: _Exchange) -> None:
        """Do what a kiss-o'-death asks for. Its timestamps are not used (RFC 5905 section 7.4).

        NTSN is not authenticated: the true answer may still come (RFC 8915 section 5.7).
        """
        exchange.answered = code != kiss.NTSN
        self.kiss = code
        if code == kiss.RATE:
            self._least = min(max(self._least, self.poll_exponent) + 1, _LARGEST_POLL)
            self.poll_exponent = max(self.poll_exponent, self._least)
            self._burst = 0
            if self.next_poll is not None:
                self.next_poll += 2.0**self.poll_exponent
        elif code in kiss.STOPPING:
            self.next_poll = None

    def _take(self, packet: Packet, exchange: _Exchange, now: float) -> Sample | Rejected:
        self.in_interleaved_mode = packet.origin == exchange.receive
        if self.in_interleaved_mode:
            before = self._before
            if before is None:
                return Rejected.BOGUS
            times = (before.sent, before.server_received, packet.transmit, before.arrived)
        else:
            times = (exchange.sent, packet.receive, packet.transmit, exchange.arrived)
        self.kiss = ""
        sample = self._measure(packet.precision, *times, to_unix(times[3], now))
        if sample is None:
            return Rejected.DISTANCE
        self.server = packet
        self.reach |= 1
        interval = 2.0**self.poll_exponent
        filtered = self.filter.add(sample, self._precision, interval)
        if filtered is not None:
            self._adapt(filtered)
        return sample

    def _measure(self, precision: int, t1: int, t2: int, t3: int, t4: int, time: float) -> Sample | None:
        """The four timestamps to a sample (RFC 5905 section 8, figure 16)."""
        ours, theirs = difference(t4, t1), difference(t3, t2)
        both = self._precision + 2.0**precision
        delay = ours - theirs
        if ours < 0 or theirs < 0 or delay < -both:
            return None
        offset = (difference(t2, t1) + difference(t3, t4)) / 2
        return Sample(offset, max(delay, self._precision), both + FREQUENCY_TOLERANCE * ours, time)

    def _adapt(self, filtered: Filtered) -> None:
        """Ask less often while offsets are within the noise, more often when they are not (RFC 5905 section 13)."""
        if abs(filtered.offset) < _NARROW * filtered.jitter:
            self._hysteresis += self.poll_exponent
            if self._hysteresis > _HYSTERESIS:
                self._hysteresis = 0
                self._rest()
        else:
            self._hysteresis -= 2 * self.poll_exponent
            if self._hysteresis < -_HYSTERESIS:
                self._hysteresis = 0
                self.poll_exponent = max(self.poll_exponent - 1, self._least)

    # What it comes to.

    def root_distance(self, now: float) -> float:
        """How far the server's offset may be wrong, to the reference clock (RFC 5905 appendix A.5.5.2). Seconds."""
        current, server = self.filter.current, self.server
        if current is None or server is None:
            return MAX_DISPERSION
        delay = max(_MIN_DISTANCE, short_to_seconds(server.root_delay) + current.delay)
        drift = FREQUENCY_TOLERANCE * max(0.0, now - current.time)
        return delay / 2 + short_to_seconds(server.root_dispersion) + current.dispersion + drift + current.jitter

    def candidate(self, source: str, now: float) -> Candidate | None:
        """Return what `catenet.ntp.selection.select` takes; None while the server is not to be believed."""
        current, server = self.filter.current, self.server
        if current is None or server is None or not self.reach or self.stopped:
            return None
        distance = self.root_distance(now)
        if distance >= MAX_DISTANCE + FREQUENCY_TOLERANCE * 2.0**self.poll_exponent:
            return None
        return Candidate(source, current.offset, distance, current.jitter, server.stratum)


def _is_credible(packet: Packet) -> bool:
    """Whether the server's own way to a reference clock is short enough (RFC 5905 appendix A.5.1.1)."""
    distance = short_to_seconds(packet.root_delay) / 2 + short_to_seconds(packet.root_dispersion)
    if distance >= MAX_DISPERSION or not -64 <= packet.precision <= 0:
        return False
    if not packet.reference:
        return True
    # In interleaved mode the transmit timestamp is that of the answer before.
    return max(difference(one, packet.reference) for one in (packet.receive, packet.transmit)) >= 0
