"""Round trip time and retransmission timeout (RFC 6298, with Linux's treatment of the variance), in microseconds.

Linux departs from the RFC in two ways that a peer can see. The variance is the largest mean deviation of the last
round trip and decays only once per round trip, so that one quiet sample does not pull the timeout down; and the
floor of 200 ms is put under the variance, not under the timeout, so the timeout is never closer than 200 ms to the
smoothed round trip time.
"""

from __future__ import annotations

from typing import Final

from catenet.compiled import mypyc_attr

__all__ = ["RttEstimator"]

NO_SAMPLE: Final = 0xFFFFFFFF
"""The smallest round trip time before the first sample."""


@mypyc_attr(acyclic=True)
class RttEstimator:
    """Estimates of one connection."""

    __slots__ = ("mdev", "mdev_max", "min_track", "round_end", "rttvar", "srtt")

    def __init__(self) -> None:
        self.srtt = 0
        """Eighths of a microsecond: smoothed round trip time, 0 before the first sample."""
        self.mdev = 0
        """Quarters of a microsecond: mean deviation."""
        self.mdev_max = 0
        """Quarters of a microsecond: largest mean deviation of this round trip."""
        self.rttvar = 0
        """Quarters of a microsecond: variance that the timeout is made of."""
        self.round_end = 0
        """Position whose acknowledgment ends this round trip."""
        self.min_track: list[tuple[int, int]] | None = None
        """Microseconds: the minimum of the recent round trips and what may follow it, each with its time."""

    def sample(self, rtt: int, una: int, nxt: int, floor: int) -> None:
        """Take in one measurement (RFC 6298 2).

        Args:
            rtt: microseconds.
            una: first position not acknowledged.
            nxt: next position to send.
            floor: microseconds, least variance.
        """
        srtt = self.srtt
        if srtt:
            error = rtt - (srtt >> 3)
            srtt += error
            if error < 0:
                # A drop is no reason to raise the timeout: it enters with an eighth of its weight.
                error = -error - (self.mdev >> 2)
                if error > 0:
                    error >>= 3
            else:
                error -= self.mdev >> 2
            self.mdev += error
            if self.mdev > self.mdev_max:
                self.mdev_max = self.mdev
                if self.mdev_max > self.rttvar:
                    self.rttvar = self.mdev_max
            if una > self.round_end:
                if self.mdev_max < self.rttvar:
                    self.rttvar -= (self.rttvar - self.mdev_max) >> 2
                self.round_end = nxt
                self.mdev_max = floor
        else:
            srtt = rtt << 3
            self.mdev = rtt << 1
            self.rttvar = self.mdev_max = max(self.mdev, floor)
            self.round_end = nxt
        self.srtt = srtt if srtt > 1 else 1

    def timeout(self, largest: int) -> int:
        """SRTT + variance (RFC 6298 2.3) in whole milliseconds, at most `largest`; all in microseconds."""
        rto = (self.srtt >> 3) + self.rttvar
        return min(-(-rto // 1000) * 1000, largest)

    def update_minimum(self, rtt: int, now: int, window: int) -> None:
        """Keep the minimum of the last `window` microseconds."""
        if rtt <= 0:
            rtt = 1000
        track = self.min_track
        if track is None or rtt <= track[0][1] or now - track[-1][0] > window:
            self.min_track = [(now, rtt)]
            return
        while track and track[-1][1] >= rtt:
            track.pop()
        track.append((now, rtt))
        if now - track[0][0] > window:
            del track[0]
        if len(track) > 3:
            # Three candidates approximate the sliding minimum well enough (Nichols' windowed filter) in constant space.
            del track[2:-1]

    def minimum(self) -> int:
        """Smallest recent round trip time in microseconds; `NO_SAMPLE` before the first."""
        return self.min_track[0][1] if self.min_track else NO_SAMPLE
