"""Round trip time and retransmission timeout (RFC 6298, with Linux's treatment of the variance), in microseconds.

Linux departs from the RFC in two ways that a peer can see. The variance is the largest mean deviation of the last
round trip and decays only once per round trip, so that one quiet sample does not pull the timeout down; and the
floor of 200 ms is put under the variance, not under the timeout, so the timeout is never closer than 200 ms to the
smoothed round trip time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["min_rtt", "sample", "set_rto", "update_min_rtt"]


def sample(c: Connection, rtt: int) -> None:
    """Take in one measurement; `srtt` is kept times 8 and `mdev` times 4 (RFC 6298 2)."""
    floor = c.layer.settings.tcp_rto_min_us
    srtt = c.srtt
    if srtt:
        error = rtt - (srtt >> 3)
        srtt += error
        if error < 0:
            # A drop of the round trip time is no reason to raise the timeout: it enters with an eighth of its weight.
            error = -error - (c.mdev >> 2)
            if error > 0:
                error >>= 3
        else:
            error -= c.mdev >> 2
        c.mdev += error
        if c.mdev > c.mdev_max:
            c.mdev_max = c.mdev
            if c.mdev_max > c.rttvar:
                c.rttvar = c.mdev_max
        if c.snd_una > c.rtt_seq:
            if c.mdev_max < c.rttvar:
                c.rttvar -= (c.rttvar - c.mdev_max) >> 2
            c.rtt_seq = c.snd_nxt
            c.mdev_max = floor
    else:
        srtt = rtt << 3
        c.mdev = rtt << 1
        c.rttvar = c.mdev_max = max(c.mdev, floor)
        c.rtt_seq = c.snd_nxt
    c.srtt = srtt if srtt > 1 else 1


def set_rto(c: Connection) -> None:
    """RTO := SRTT + variance (RFC 6298 2.3), at most the largest that is configured."""
    rto = (c.srtt >> 3) + c.rttvar
    c.rto = min(-(-rto // 1000) * 1000, c.layer.rto_max)


def update_min_rtt(c: Connection, rtt: int, now: int) -> None:
    """Keep the minimum over a window of `tcp_min_rtt_wlen` seconds: the minimum and what may follow it, with times."""
    if rtt <= 0:
        rtt = 1000
    window = c.layer.settings.tcp_min_rtt_wlen * 1_000_000
    track = c.min_rtt
    if track is None or rtt <= track[0][1] or now - track[-1][0] > window:
        c.min_rtt = [(now, rtt)]
        return
    while track and track[-1][1] >= rtt:
        track.pop()
    track.append((now, rtt))
    if now - track[0][0] > window:
        del track[0]
    if len(track) > 3:
        # Three candidates approximate the sliding minimum well enough (Nichols' windowed filter) in constant space.
        del track[2:-1]


def min_rtt(c: Connection) -> int:
    """Smallest recent round trip time; a very large number before the first sample."""
    return c.min_rtt[0][1] if c.min_rtt else 0xFFFFFFFF
