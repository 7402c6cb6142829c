"""CUBIC (RFC 9438) with the slow start exit of Linux (HyStart: ACK trains and delay).

Time is in milliseconds, as in Linux, and the target moves at most once in one; the constants are the RFC's: C = 0.4,
beta = 0.7 (717/1024), the Reno-friendly region by the estimate of its section 4.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.congestion.base import (
    Congestion,
    additive_increase,
    in_slow_start,
    is_cwnd_limited,
    slow_start,
)

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection

__all__ = ["Cubic", "CubicPlus"]

_BETA: Final = 717
_SCALE: Final = 1024
_FRIENDLY: Final = 8 * (_SCALE + _BETA) // 3 // (_SCALE - _BETA)
_LOSS_STATE: Final = 4
_LOW_WINDOW: Final = 16
_MIN_SAMPLES: Final = 8
_ACK_SPACING: Final = 2_000
_NO_RTT: Final = 1 << 31
_CSS_GROWTH: Final = 4
_CSS_ROUNDS: Final = 5


class Cubic(Congestion):
    """One connection's cubic function and its slow start exit."""

    __slots__ = (
        "ack_count",
        "count",
        "current_rtt",
        "delay_min",
        "end_seq",
        "epoch_start",
        "found",
        "k",
        "last_ack",
        "last_cwnd",
        "last_max",
        "last_time",
        "origin",
        "reno_cwnd",
        "round_start",
        "samples",
    )

    name = "cubic"

    def __init__(self) -> None:
        self._reset()
        self.round_start = self.last_ack = self.end_seq = 0
        self.current_rtt = _NO_RTT
        self.samples = 0

    def _reset(self) -> None:
        self.count = self.last_max = self.last_cwnd = self.last_time = self.origin = 0
        self.k = self.delay_min = self.epoch_start = self.ack_count = self.reno_cwnd = 0
        self.found = False

    def _new_round(self, c: Connection) -> None:
        self.round_start = self.last_ack = c.layer.us
        self.end_seq = c.snd_nxt
        self.current_rtt = _NO_RTT
        self.samples = 0

    def start(self, c: Connection) -> None:
        """Begin the first round."""
        self._reset()
        self._new_round(c)

    def ssthresh(self, c: Connection) -> int:
        """Multiplicative decrease, with fast convergence (RFC 9438 4.6, 4.7)."""
        self.epoch_start = 0
        cwnd = c.cwnd
        self.last_max = cwnd * (_SCALE + _BETA) // (2 * _SCALE) if cwnd < self.last_max else cwnd
        return max(cwnd * _BETA // _SCALE, 2)

    def on_ack(self, c: Connection, acked: int) -> None:
        """Slow start, then the cubic curve."""
        if not is_cwnd_limited(c):
            return
        if in_slow_start(c):
            acked = slow_start(c, acked)
            if not acked:
                return
        self._update(c.cwnd, acked, c.layer.us // 1000)
        additive_increase(c, self.count, acked)

    def _update(self, cwnd: int, acked: int, now: int) -> None:
        """Set `count`: how many acknowledged segments buy one of window."""
        self.ack_count += acked
        if self.last_cwnd == cwnd and now - self.last_time <= 31:
            return
        if not (self.epoch_start and now == self.last_time):
            self.last_cwnd = cwnd
            self.last_time = now
            if not self.epoch_start:
                self._begin_epoch(cwnd, acked, now)
            self._aim(cwnd, now)
        self._be_friendly(cwnd)
        self.count = max(self.count, 2)

    def _begin_epoch(self, cwnd: int, acked: int, now: int) -> None:
        self.epoch_start = now
        self.ack_count = acked
        self.reno_cwnd = cwnd
        if self.last_max <= cwnd:
            self.k = 0
            self.origin = cwnd
        else:
            # K = cubic_root((W_max - cwnd) / C), here in milliseconds (RFC 9438 figure 2).
            self.k = int(1000 * math.cbrt((self.last_max - cwnd) / 0.4))
            self.origin = self.last_max

    def _aim(self, cwnd: int, now: int) -> None:
        """W_cubic(t + RTT) (RFC 9438 figure 1)."""
        offset = now - self.epoch_start + self.delay_min // 1000 - self.k
        delta = int(0.4 * abs(offset) ** 3 / 1e9)
        target = self.origin + (delta if offset >= 0 else -delta)
        self.count = cwnd // (target - cwnd) if target > cwnd else 100 * cwnd
        if not self.last_max and self.count > 20:
            # Before the first loss the curve says nothing yet: grow by at least 5 % per round trip.
            self.count = 20

    def _be_friendly(self, cwnd: int) -> None:
        """Never slower than Reno would be (RFC 9438 4.3)."""
        delta = (cwnd * _FRIENDLY) >> 3
        if delta and self.ack_count > delta:
            grown = (self.ack_count - 1) // delta
            self.ack_count -= grown * delta
            self.reno_cwnd += grown
        if self.reno_cwnd > cwnd:
            self.count = min(self.count, cwnd // (self.reno_cwnd - cwnd))

    def on_state(self, c: Connection, state: int) -> None:
        """Forget everything after a timeout."""
        if state == _LOSS_STATE:
            self._reset()
            self._new_round(c)

    def on_start_after_idle(self, c: Connection) -> None:
        """Time in which the program sent nothing does not count (RFC 9438 5.8)."""
        now = c.layer.us // 1000
        idle = now - c.last_data_out // 1000
        if self.epoch_start and idle > 0:
            self.epoch_start = min(self.epoch_start + idle, now)

    def on_rtt(self, c: Connection, rtt: int) -> None:
        """Watch for the end of slow start."""
        if self.epoch_start and c.layer.us // 1000 - self.epoch_start < 1000:
            return
        rtt = rtt or 1
        if not self.delay_min or rtt < self.delay_min:
            self.delay_min = rtt
        if not self.found and in_slow_start(c):
            self._watch_slow_start(c, rtt)

    def _watch_slow_start(self, c: Connection, rtt: int) -> None:
        if c.snd_una > self.end_seq:
            self._new_round(c)
        if c.cwnd < _LOW_WINDOW:
            return
        now = c.layer.us
        if now - self.last_ack <= _ACK_SPACING:
            self.last_ack = now
            threshold = self.delay_min + self._ack_delay(c)
            if now - self.round_start > threshold >> 1:
                self._leave_slow_start(c)
        if rtt < self.current_rtt:
            self.current_rtt = rtt
        if self.samples < _MIN_SAMPLES:
            self.samples += 1
        elif self.current_rtt > self.delay_min + min(max(self.delay_min >> 3, 4_000), 16_000):
            self._leave_slow_start(c)

    def _ack_delay(self, c: Connection) -> int:
        """Time that a burst of the largest size takes to leave, at most a millisecond."""
        return min(1_000, 65536 * 4 * 1_000_000 // c.pacing_rate) if c.pacing_rate else 0

    def _leave_slow_start(self, c: Connection) -> None:
        self.found = True
        c.ssthresh = c.cwnd


class CubicPlus(Cubic):
    """CUBIC that leaves slow start by HyStart++ (RFC 9406): a rise of the round trip time leads to Conservative Slow
    Start, which goes on five rounds more slowly and returns to slow start should the rise have been none.
    """

    __slots__ = ("_baseline", "_conservative", "_last_rtt", "_rounds")

    name = "cubic++"

    def __init__(self) -> None:
        super().__init__()
        self._last_rtt = _NO_RTT
        self._baseline = _NO_RTT
        self._conservative = False
        self._rounds = 0

    def _new_round(self, c: Connection) -> None:
        self._last_rtt = getattr(self, "current_rtt", _NO_RTT)
        super()._new_round(c)

    def on_ack(self, c: Connection, acked: int) -> None:
        """In Conservative Slow Start the window grows a quarter as fast (RFC 9406 4.2)."""
        if self._conservative and in_slow_start(c):
            self.ack_count += acked
            acked = self.ack_count // _CSS_GROWTH
            self.ack_count %= _CSS_GROWTH
            if not acked:
                return
        super().on_ack(c, acked)

    def _watch_slow_start(self, c: Connection, rtt: int) -> None:
        if c.snd_una > self.end_seq:
            self._end_round(c)
            self._new_round(c)
        self.current_rtt = min(self.current_rtt, rtt)
        self.samples += 1
        if self.samples < _MIN_SAMPLES or self.current_rtt == _NO_RTT:
            return
        if self._conservative:
            if self.current_rtt < self._baseline:
                self._conservative = False
                self._baseline = _NO_RTT
        elif self._last_rtt != _NO_RTT:
            threshold = min(max(self._last_rtt // 8, 4_000), 16_000)
            if self.current_rtt >= self._last_rtt + threshold:
                self._baseline = self.current_rtt
                self._conservative = True
                self._rounds = 0

    def _end_round(self, c: Connection) -> None:
        if self._conservative:
            self._rounds += 1
            if self._rounds >= _CSS_ROUNDS:
                self._leave_slow_start(c)
