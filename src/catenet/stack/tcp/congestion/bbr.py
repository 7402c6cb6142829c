"""BBR version 1 (draft-cardwell-iccrg-bbr-congestion-control-00): a model of the path instead of losses.

The model is the largest recent rate of delivery and the smallest recent round trip time. Segments leave at the rate
(paced), and what is in flight stays near their product. Four states: STARTUP doubles the rate until it grows no more,
DRAIN empties the queue that made, PROBE_BW cycles the rate around the estimate, PROBE_RTT looks at the empty path
every ten seconds. Version 3's answers to loss and ECN (draft-ietf-ccwg-bbr) are not modelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.congestion.base import Congestion, RateSample

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection

__all__ = ["Bbr"]

_STARTUP: Final = 0
_DRAIN: Final = 1
_PROBE_BW: Final = 2
_PROBE_RTT: Final = 3

_HIGH_GAIN: Final = 2.885
"""2/ln(2): the least gain that doubles the rate every round trip."""
_CYCLE: Final = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_CWND_GAIN: Final = 2.0
_ROUNDS: Final = 10
_RTT_WINDOW: Final = 10_000_000
_PROBE_RTT_TIME: Final = 200_000
_MIN_CWND: Final = 4
_FULL_GROWTH: Final = 1.25
_FULL_ROUNDS: Final = 3
_MARGIN: Final = 0.99
_RECOVERY_STATE: Final = 3
_LOSS_STATE: Final = 4
_FIRST_RTT: Final = 1_000


class Bbr(Congestion):
    """One connection's model."""

    __slots__ = (
        "_bandwidths",
        "_conserving",
        "_cwnd_gain",
        "_cycle",
        "_cycle_at",
        "_full",
        "_full_rounds",
        "_idle",
        "_next_round",
        "_pacing_gain",
        "_prior_cwnd",
        "_probe_done_at",
        "_probe_round",
        "_round",
        "_round_starts",
        "_rtt",
        "_rtt_at",
        "_state",
    )

    name = "bbr"
    controls = True
    paces = True

    def __init__(self) -> None:
        self._state = _STARTUP
        self._pacing_gain = self._cwnd_gain = _HIGH_GAIN
        self._bandwidths: list[tuple[int, float]] = []
        self._rtt = self._rtt_at = 0
        self._next_round = self._round = 0
        self._round_starts = False
        self._full = 0.0
        self._full_rounds = 0
        self._cycle = self._cycle_at = 0
        self._probe_done_at = 0
        self._probe_round = False
        self._prior_cwnd = 0
        self._conserving = self._idle = False

    @property
    def bandwidth(self) -> float:
        """Segments per microsecond."""
        return self._bandwidths[0][1] if self._bandwidths else 0.0

    def start(self, c: Connection) -> None:
        """Pace by the handshake's round trip until a rate is known."""
        self._rtt_at = c.layer.us
        self._next_round = c.delivered
        rtt = max(c.srtt >> 3, _FIRST_RTT) if c.srtt else _FIRST_RTT
        c.pacing_rate = int(_HIGH_GAIN * c.cwnd * c.mss * 1_000_000 / rtt)

    def ssthresh(self, c: Connection) -> int:
        """No threshold; remember the window for after the recovery."""
        self._save_cwnd(c)
        return c.ssthresh

    def undo(self, c: Connection) -> int:
        """The loss was none: look again whether the pipe is full."""
        self._full, self._full_rounds = 0.0, 0
        return max(c.cwnd, self._prior_cwnd)

    def on_state(self, c: Connection, state: int) -> None:
        """Entering Recovery conserves packets for a round; leaving it restores the window."""
        if state == _RECOVERY_STATE and c.ca_state < _RECOVERY_STATE:
            self._conserving = True
            self._next_round = c.delivered
            c.cwnd = c.in_flight + 1
        elif state == _LOSS_STATE:
            self._full = 0.0
            self._round_starts = True
        elif state < _RECOVERY_STATE <= c.ca_state:
            self._conserving = False
            c.cwnd = max(c.cwnd, self._prior_cwnd)

    def on_start_after_idle(self, c: Connection) -> None:
        """A flow that was idle resumes at the rate that is known, not above it."""
        if c.app_limited:
            self._idle = True
            if self._state == _PROBE_BW:
                self._set_pacing(c, 1.0)

    def control(self, c: Connection, acked: int, flags: int, rate: RateSample) -> None:
        """One ACK: update the model, then rate and window."""
        self._update_round(c, rate)
        self._update_bandwidth(rate)
        self._update_cycle(c, rate)
        self._check_full(c, rate)
        self._check_drain(c)
        self._update_rtt(c, rate)
        self._set_pacing(c, self._pacing_gain)
        self._set_cwnd(c, acked, rate)

    def _update_round(self, c: Connection, rate: RateSample) -> None:
        self._round_starts = False
        if rate.delivered > 0 and rate.prior_delivered >= self._next_round:
            self._next_round = c.delivered
            self._round += 1
            self._round_starts = True
            self._conserving = False

    def _update_bandwidth(self, rate: RateSample) -> None:
        """Keep the maximum over ten round trips."""
        if rate.delivered <= 0 or rate.interval <= 0:
            return
        sample = rate.delivered / rate.interval
        if rate.app_limited and sample < self.bandwidth:
            return
        kept = [(at, value) for at, value in self._bandwidths if value > sample and self._round - at < _ROUNDS]
        self._bandwidths = [*kept, (self._round, sample)]

    def _update_cycle(self, c: Connection, rate: RateSample) -> None:
        if self._state != _PROBE_BW:
            return
        elapsed = c.layer.us - self._cycle_at > self._rtt
        if self._pacing_gain > 1:
            done = elapsed and (rate.losses > 0 or rate.prior_in_flight >= self._target(c, self._pacing_gain))
        elif self._pacing_gain < 1:
            done = elapsed or rate.prior_in_flight <= self._target(c, 1.0)
        else:
            done = elapsed
        if done:
            self._cycle = (self._cycle + 1) % len(_CYCLE)
            self._cycle_at = c.layer.us
            self._pacing_gain = _CYCLE[self._cycle]

    def _check_full(self, c: Connection, rate: RateSample) -> None:
        """The pipe is full when three rounds brought less than 25 % more."""
        if self._is_full or not self._round_starts or rate.app_limited:
            return
        if self.bandwidth >= self._full * _FULL_GROWTH:
            self._full, self._full_rounds = self.bandwidth, 0
        else:
            self._full_rounds += 1

    @property
    def _is_full(self) -> bool:
        return self._full_rounds >= _FULL_ROUNDS

    def _check_drain(self, c: Connection) -> None:
        if self._state == _STARTUP and self._is_full:
            self._state = _DRAIN
            self._pacing_gain = 1 / _HIGH_GAIN
            c.ssthresh = max(self._target(c, 1.0), _MIN_CWND)
        if self._state == _DRAIN and c.in_flight <= self._target(c, 1.0):
            self._enter_probe_bw(c)

    def _enter_probe_bw(self, c: Connection) -> None:
        self._state = _PROBE_BW
        self._cwnd_gain = _CWND_GAIN
        # Any phase but the draining one, so that flows that share a path do not probe together.
        self._cycle = (2 + c.layer.random.randrange(len(_CYCLE) - 1)) % len(_CYCLE)
        self._cycle_at = c.layer.us
        self._pacing_gain = _CYCLE[self._cycle]

    def _update_rtt(self, c: Connection, rate: RateSample) -> None:
        now = c.layer.us
        expired = now > self._rtt_at + _RTT_WINDOW
        if rate.rtt >= 0 and (not self._rtt or rate.rtt <= self._rtt or expired):
            self._rtt = max(rate.rtt, 1)
            self._rtt_at = now
        if expired and not self._idle and self._state != _PROBE_RTT:
            self._state = _PROBE_RTT
            self._pacing_gain = 1.0
            self._save_cwnd(c)
            self._probe_done_at = 0
        if self._state == _PROBE_RTT:
            self._probe_rtt(c, now)
        if rate.delivered > 0:
            self._idle = False

    def _probe_rtt(self, c: Connection, now: int) -> None:
        """Keep four segments in flight for 200 ms and a round trip."""
        c.app_limited = c.delivered + c.in_flight or 1
        if not self._probe_done_at:
            if c.in_flight <= _MIN_CWND:
                self._probe_done_at = now + _PROBE_RTT_TIME
                self._probe_round = False
                self._next_round = c.delivered
            return
        self._probe_round |= self._round_starts
        if self._probe_round and now > self._probe_done_at:
            self._rtt_at = now
            c.cwnd = max(c.cwnd, self._prior_cwnd)
            if self._is_full:
                self._enter_probe_bw(c)
            else:
                self._state = _STARTUP
                self._pacing_gain = self._cwnd_gain = _HIGH_GAIN

    def _save_cwnd(self, c: Connection) -> None:
        if c.ca_state < _RECOVERY_STATE and self._state != _PROBE_RTT:
            self._prior_cwnd = c.cwnd
        else:
            self._prior_cwnd = max(self._prior_cwnd, c.cwnd)

    def _target(self, c: Connection, gain: float) -> int:
        """Segments in flight that fill the path `gain` times, and some for bursts and delayed ACKs."""
        if not self._rtt:
            return c.layer.initial_cwnd
        return int(gain * self.bandwidth * self._rtt) + 3 * self.minimum_bursts(c)

    def _set_pacing(self, c: Connection, gain: float) -> None:
        if not self.bandwidth:
            return
        rate = int(gain * self.bandwidth * c.mss * 1_000_000 * _MARGIN)
        if self._is_full or rate > c.pacing_rate:
            c.pacing_rate = max(rate, 1)

    def _set_cwnd(self, c: Connection, acked: int, rate: RateSample) -> None:
        cwnd = c.cwnd
        if acked:
            if rate.losses > 0:
                cwnd = max(cwnd - rate.losses, 1)
            if self._conserving:
                c.cwnd = max(cwnd, c.in_flight + acked)
                return
            target = self._target(c, self._cwnd_gain)
            if self._is_full:
                cwnd = min(cwnd + acked, target)
            elif cwnd < target or c.delivered < c.layer.initial_cwnd:
                cwnd += acked
            cwnd = max(cwnd, _MIN_CWND)
        c.cwnd = min(cwnd, _MIN_CWND) if self._state == _PROBE_RTT else cwnd

    def info(self, c: Connection) -> dict[str, int]:
        """Model and gains."""
        return {
            "bandwidth": int(self.bandwidth * c.mss * 1_000_000),
            "min_rtt": self._rtt,
            "pacing_gain": int(self._pacing_gain * 256),
            "cwnd_gain": int(self._cwnd_gain * 256),
        }
