"""CUBIC (RFC 9438); how it leaves slow start is in `hystart`.

Time is in milliseconds, as in Linux, and the target moves at most once in one; the constants are the RFC's: C = 0.4,
beta = 0.7 (717/1024). By default the window is Linux's to the segment: the curve and W_max are whole segments, the
curve rounded up below W_max, and the Reno-friendly region's estimate grows by one alpha throughout.

With `tcp_cubic_rfc9438` both are the RFC's: the curve and W_max are real numbers, for near W_max the curve is so flat
that with whole ones a large window that is too large stays, and the mean is up to a third above section 5.1's; and
alpha is raised as section 4.3 says, which takes about an eighth more than Linux where a per cent is lost.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from catenet.control.base import additive_increase, in_slow_start, is_cwnd_limited
from catenet.control.hystart import HyStart
from catenet.control.states import CA_LOSS

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = ["Cubic"]

_BETA: Final = 717
_SCALE: Final = 1024
_FRIENDLY: Final = 8 * (_SCALE + _BETA) // 3 // (_SCALE - _BETA)


class Cubic(HyStart):
    """One connection's cubic function."""

    __slots__ = (
        "ack_count",
        "count",
        "epoch_start",
        "k",
        "last_cwnd",
        "last_max",
        "last_time",
        "origin",
        "prior",
        "reno_cwnd",
        "target",
    )

    name = "cubic"

    def __init__(self) -> None:
        super().__init__()
        self._reset()

    def _reset(self) -> None:
        self.reset_slow_start()
        self.count = self.last_cwnd = self.last_time = 0
        self.last_max = self.origin = self.target = 0.0
        self.k = self.epoch_start = self.ack_count = self.reno_cwnd = self.prior = 0

    def start(self, c: Sender) -> None:
        """Begin the first round."""
        self._reset()
        self.new_round(c)

    def ssthresh(self, c: Sender) -> int:
        """Multiplicative decrease, with fast convergence (RFC 9438 4.6, 4.7)."""
        cwnd = c.cwnd
        standard = c.settings.tcp_cubic_rfc9438
        largest = float(cwnd)
        if standard and self.epoch_start and self.reno_cwnd < cwnd:
            largest = min(max(self.target, cwnd - 1.0), cwnd + 1.0)
        self.epoch_start = 0
        self.prior = cwnd
        if cwnd < int(self.last_max):
            largest *= (_SCALE + _BETA) / (2 * _SCALE)
        self.last_max = largest if standard else float(int(largest))
        return max(cwnd * _BETA // _SCALE, 2)

    def on_ack(self, c: Sender, acked: int) -> None:
        """Slow start, then the cubic curve."""
        if not is_cwnd_limited(c):
            return
        if in_slow_start(c):
            acked = self.grow(c, acked)
            if not acked:
                return
        self._update(c.cwnd, acked, c.now // 1000, bool(c.settings.tcp_cubic_rfc9438))
        additive_increase(c, self.count, acked)

    def _update(self, cwnd: int, acked: int, now: int, standard: bool) -> None:
        """Set `count`: how many acknowledged segments buy one of window."""
        self.ack_count += acked
        if self.last_cwnd == cwnd and now - self.last_time <= 31:
            return
        if not (self.epoch_start and now == self.last_time):
            self.last_cwnd = cwnd
            self.last_time = now
            if not self.epoch_start:
                self._begin_epoch(cwnd, acked, now)
            self._aim(cwnd, now, standard)
        self._be_friendly(cwnd, standard)
        self.count = max(self.count, 2)

    def _begin_epoch(self, cwnd: int, acked: int, now: int) -> None:
        self.epoch_start = now
        self.ack_count = acked
        self.reno_cwnd = cwnd
        if self.last_max <= cwnd:
            self.k = 0
            self.origin = float(cwnd)
        else:
            # K = cubic_root((W_max - cwnd) / C), here in milliseconds (RFC 9438 figure 2).
            self.k = int(1000 * math.cbrt((self.last_max - cwnd) / 0.4))
            self.origin = self.last_max

    def _aim(self, cwnd: int, now: int, standard: bool) -> None:
        """W_cubic(t + RTT) (RFC 9438 figure 1)."""
        offset = now - self.epoch_start + self.delay_min // 1000 - self.k
        target = self.target = self.origin + 0.4e-9 * offset**3
        if offset >= 0:
            target = float(int(target))  # where it is steep whole segments do, and are what scripts for Linux state
        elif not standard:
            target = float(math.ceil(target))
        self.count = int(min(cwnd / (target - cwnd), 100 * cwnd)) if target > cwnd else 100 * cwnd
        if not self.last_max and self.count > 20:
            # Before the first loss the curve says nothing yet: grow by at least 5 % per round trip.
            self.count = 20

    def _be_friendly(self, cwnd: int, standard: bool) -> None:
        """Never slower than Reno would be, by an estimate of its window, W_est.

        As Linux: W_est grows by alpha = 3 (1 - beta) / (1 + beta) a round trip, and what it is now counts. `standard`:
        as RFC 9438 4.3, which raises alpha to 1 once W_est is back at the window before the loss; the estimate then is
        a round trip ahead, as the curve is.
        """
        reached = standard and self.prior and self.reno_cwnd >= self.prior
        delta = cwnd if reached else (cwnd * _FRIENDLY) >> 3
        if self.ack_count > delta:
            grown = (self.ack_count - 1) // delta
            self.ack_count -= grown * delta
            self.reno_cwnd += grown
        # Before the first loss W_est says as little as the curve.
        ahead = (self.ack_count + cwnd) / delta if standard and self.prior else 0.0
        estimate = self.reno_cwnd + ahead
        if estimate > cwnd:
            self.count = min(self.count, int(cwnd / (estimate - cwnd)))

    def on_state(self, c: Sender, state: int) -> None:
        """Forget everything after a timeout."""
        if state == CA_LOSS:
            self._reset()
            self.new_round(c)

    def on_start_after_idle(self, c: Sender) -> None:
        """Time in which the program sent nothing does not count (RFC 9438 5.8)."""
        now = c.now // 1000
        idle = now - c.last_data_out // 1000
        if self.epoch_start and idle > 0:
            self.epoch_start = min(self.epoch_start + idle, now)

    def on_rtt(self, c: Sender, rtt: int) -> None:
        """Watch for the end of slow start."""
        if self.epoch_start and c.now // 1000 - self.epoch_start < 1000:
            return
        self.watch(c, rtt or 1)
