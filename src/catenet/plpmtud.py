"""Packetization-layer path MTU discovery for datagrams (RFC 8899): which sizes pass is found by trying, not by ICMP.

A machine without I/O for any protocol that can tell whether a datagram arrived: it says which size to send now and
when to try a larger one; its owner sends the probes, reports what was acknowledged, and calls at the deadlines. Sizes
are whatever the owner counts, usually the bytes that it hands to `send`; `udp_sizes` knows those of UDP.

It belongs to no layer: TCP's prober (RFC 4821) searches the same `SizeRange`, and programs import it as they are.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["BASE_PLPMTU", "PathSearch", "SizeRange", "Sizes", "State", "Timing", "udp_sizes"]

_HEADERS: Final = {4: 20 + 8, 6: 40 + 8}
_LEAST_MTU: Final = {4: 68, 6: 1280}
BASE_PLPMTU: Final = 1200
"""Packet that nearly all paths carry (RFC 8899 5.1.2)."""


class Sizes(NamedTuple):
    """Bounds of a search: `least` passes everywhere, `base` nearly everywhere, `most` leaves this host."""

    least: int
    base: int
    most: int


def udp_sizes(version: int, mtu: int = 1500, base: int = BASE_PLPMTU) -> Sizes:
    """Payloads of UDP for IP of a version over a link of `mtu`; `base` is a packet's size too.

    Raises:
        ValueError: an MTU below the least that the version allows (68, 1,280).
    """
    headers, least = _HEADERS[version], _LEAST_MTU[version]
    if mtu < least:
        raise ValueError(f"mtu {mtu} is below {least}, the least of IPv{version}")
    return Sizes(least - headers, min(max(base, least), mtu) - headers, mtu - headers)


class SizeRange:
    """What a search knows: `low` passes, nothing above `high` does; the answer is in between."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = max(low, high)

    def middle(self) -> int:
        """Size that halves what is not known."""
        return (self.high + self.low) >> 1

    def is_narrow(self, threshold: int) -> bool:
        """Whether less than `threshold` bytes are left to be won."""
        return self.high - self.low < threshold

    def passed(self, size: int) -> None:
        """A datagram of this size arrived."""
        self.low = max(self.low, size)
        self.high = max(self.high, self.low)

    def failed(self, size: int) -> None:
        """Datagrams of this size do not arrive."""
        self.high = min(self.high, size - 1)
        self.low = min(self.low, self.high)


class State(enum.Enum):
    """States of RFC 8899 5.2."""

    DISABLED = "disabled"
    BASE = "base"
    SEARCHING = "searching"
    SEARCH_COMPLETE = "search complete"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Timing:
    """Timers in seconds, and MAX_PROBES (RFC 8899 5.1): how long to wait for what."""

    probe: float = 15.0
    """PROBE_TIMER, more than any acknowledgement takes: not under a second, and 15 where the round trip is unknown."""
    raise_: float = 600.0
    """PMTU_RAISE_TIMER: how long a result holds before larger sizes are tried again."""
    confirm: float | None = None
    """CONFIRMATION_TIMER: how long without news the size is believed; None where data is acknowledged anyhow."""
    max_probes: int = 3
    """Probes of one size that must all be lost before the size is believed not to pass."""
    granularity: int = 8
    """A search ends when fewer bytes than these are left to be won."""

    def __post_init__(self) -> None:
        if self.probe < 1 or self.raise_ < self.probe:
            raise ValueError("the probe timer must be at least 1 second, and the raise timer not less than it")
        if self.confirm is not None and self.confirm >= self.raise_:
            raise ValueError("the confirmation timer must be less than the raise timer")
        if self.max_probes < 2 or self.granularity < 1:
            raise ValueError("one lost probe proves nothing: max_probes must be at least 2, granularity at least 1")


class PathSearch:
    """One path's search. `size` is what may be sent now; `transmit` asks for probes, `handle_*` tell their fate.

    The owner must not send more than `size` in what is no probe, must not let probes be cut (`IP_PMTUDISC_PROBE`), and
    must not take the loss of a probe for congestion (RFC 8899 3).
    """

    __slots__ = (
        "_count",
        "_deadline",
        "_due",
        "_heard",
        "_losses",
        "_raise_at",
        "_range",
        "_sizes",
        "_smallest_loss",
        "_timing",
        "probed",
        "size",
        "state",
    )

    def __init__(self, sizes: Sizes, timing: Timing | None = None) -> None:
        """Raises ValueError for sizes that are not in order."""
        if not 0 < sizes.least <= sizes.base <= sizes.most:
            raise ValueError(f"sizes must be 0 < least <= base <= most, not {tuple(sizes)}")
        self._sizes = sizes
        self._timing = timing or Timing()
        self._range = SizeRange(sizes.base, sizes.most)
        self.state = State.DISABLED
        self.size = sizes.base
        """Largest datagram to send for now (PLPMTU)."""
        self.probed = 0
        """Size of the probe that is due or under way (PROBED_SIZE), 0 for none."""
        self._count = 0
        self._due = False
        self._deadline: float | None = None
        self._heard = 0.0
        self._raise_at: float | None = None
        self._losses = self._smallest_loss = 0

    # What the owner asks and tells.

    def start(self, now: float) -> None:
        """The peer was heard, so there is a path: confirm the base size, then search. Harmless to repeat."""
        if self.state is State.DISABLED:
            self._enter_base(self._sizes.most)

    def stop(self) -> None:
        """The peer is gone; `start` begins anew."""
        self.state = State.DISABLED
        self.size = self._sizes.base
        self._forget_probe()
        self._deadline = None

    def transmit(self, now: float) -> int | None:
        """Size of the probe to send now, which then counts as sent; None when there is none to send."""
        if not self._due:
            return None
        self._due = False
        self._deadline = now + self._timing.probe
        return self.probed

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called (seconds), None for never."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Do what is due; harmless to call early."""
        if self._deadline is None or now < self._deadline:
            return
        self._deadline = None
        if self.probed:
            self._count += 1
            if self._count < self._timing.max_probes:
                self._due = True
            else:
                self._probe_failed(now)
        elif self.state is State.ERROR:
            self._probe(self._sizes.base)
        elif self._raise_at is not None and now >= self._raise_at:
            self._search(SizeRange(self.size, self._sizes.most), now)
        else:
            self._probe(self.size)

    def handle_ack(self, size: int, now: float) -> None:
        """A datagram of this size, probe or not, is known to have arrived."""
        if self.state is State.DISABLED or size > self._sizes.most:
            return
        if size >= self._smallest_loss:
            self._losses = 0
        if size >= self.size:
            self._heard = now
        if self.state in (State.BASE, State.ERROR):
            if size >= self._sizes.base:
                self.size = size
                self._search(SizeRange(size, self._range.high), now)
        elif size > self.size:
            self.size = size
            self._range.passed(size)
            if size >= self.probed:
                self._search(self._range, now)
        elif self.state is State.SEARCH_COMPLETE and size == self.size:
            self._rest(now)

    def handle_loss(self, size: int, now: float) -> None:
        """A datagram of this size, no probe, is known to be lost.

        Several in a row, while none as large arrives, are a black hole (RFC 8899 4.3); if it was congestion, a search
        was done for nothing.
        """
        if size <= self._sizes.base or self.state not in (State.SEARCHING, State.SEARCH_COMPLETE):
            return
        self._smallest_loss = min(size, self._smallest_loss) if self._losses else size
        self._losses += 1
        if self._losses >= self._timing.max_probes:
            self._enter_base(self._smallest_loss - 1)

    def handle_too_big(self, told: int, now: float) -> None:
        """An ICMP message that the system believes says that no more than this passes (RFC 8899 4.6.2)."""
        if self.state is State.DISABLED or told < self._sizes.least or told >= max(self.size, self.probed):
            return
        if told < self._sizes.base:
            self._enter_error(now)
        elif told < self.size:
            self._enter_base(told)
        else:
            self._range.failed(told + 1)
            self._search(self._range, now)

    # States.

    def _enter_base(self, most: int) -> None:
        self.state = State.BASE
        self.size = self._sizes.base
        self._losses = 0
        self._range = SizeRange(self.size, most)
        self._probe(self.size)

    def _enter_error(self, now: float) -> None:
        """Not even the base size passes: make do with the least, and see now and then whether that was true."""
        self.state = State.ERROR
        self.size = self._sizes.least
        self._range = SizeRange(self._sizes.base, self._sizes.most)
        self._forget_probe()
        self._deadline = now + self._timing.probe * self._timing.max_probes

    def _search(self, bounds: SizeRange, now: float) -> None:
        """Try the largest size first, which most paths carry, then halve what is left."""
        self._range = bounds
        if bounds.is_narrow(self._timing.granularity if bounds.high < self._sizes.most else 1):
            self.state = State.SEARCH_COMPLETE
            self._raise_at = now + self._timing.raise_ if self.size < self._sizes.most else None
            self._rest(now)
            return
        fresh = self.state is not State.SEARCHING
        self.state = State.SEARCHING
        self._probe(bounds.high if fresh else bounds.middle() + 1)

    def _probe_failed(self, now: float) -> None:
        if self.state is State.SEARCHING:
            self._range.failed(self.probed)
            self._search(self._range, now)
        elif self.state is State.SEARCH_COMPLETE:
            self._enter_base(self.probed - 1)
        else:
            self._enter_error(now)

    # Probes and timers.

    def _probe(self, size: int) -> None:
        self.probed = size
        self._count = 0
        self._due = True
        self._deadline = None

    def _forget_probe(self) -> None:
        self.probed = self._count = self._losses = 0
        self._due = False

    def _rest(self, now: float) -> None:
        """Nothing is to be probed until the size is to be confirmed, or a larger one tried."""
        self._forget_probe()
        confirm = self._timing.confirm
        times = [at for at in (self._raise_at, None if confirm is None else self._heard + confirm) if at is not None]
        self._deadline = max(now, min(times)) if times else None
