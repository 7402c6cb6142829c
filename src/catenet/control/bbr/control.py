"""BBR's control parameters: pacing rate, send quantum and window (draft-ietf-ccwg-bbr-06 section 5.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.control.bbr.variables import (
    CWND_GAINS,
    HEADROOM,
    MIN_PIPE_CWND,
    PACING_GAINS,
    PACING_MARGIN,
    PROBE_BW_CRUISE,
    PROBE_BW_UP,
    PROBE_RTT,
    STARTUP,
    UNLIMITED,
    Variables,
)

if TYPE_CHECKING:
    from catenet.control.sender import Sender

__all__ = [
    "inflight",
    "inflight_with_headroom",
    "init_pacing_rate",
    "probe_rtt_cwnd",
    "send_quantum",
    "set_cwnd",
    "set_pacing_rate",
]

_LARGEST_QUANTUM: Final = 65536
_LEAST_QUANTUM: Final = 2
_OFFLOAD_QUANTA: Final = 3
_GUESSED_RTT: Final = 1_000


def init_pacing_rate(b: Variables, c: Sender) -> None:
    """Before any sample: the initial window in the handshake's round trip, or in a millisecond (5.6.2)."""
    rtt = c.rtt.srtt >> 3
    b.has_rtt = rtt > 0
    _set_rate(c, PACING_GAINS[STARTUP] * c.initial_cwnd * c.mss * 1_000_000 / (rtt or _GUESSED_RTT))


def set_pacing_rate(b: Variables, c: Sender, gain: float) -> None:
    """`gain` times the bandwidth, less a margin; never down before the pipe was full once (5.6.2)."""
    if not b.has_rtt and c.rtt.srtt:
        init_pacing_rate(b, c)
    rate = gain * b.bw * c.mss * 1_000_000 * (1 - PACING_MARGIN)
    if rate > 0 and (b.full_bw_reached or rate > c.pacing_rate):
        _set_rate(c, rate)


def _set_rate(c: Sender, rate: float) -> None:
    limit = c.pacing_limit
    c.pacing_rate = max(int(min(rate, limit) if limit else rate), 1)


def send_quantum(c: Sender) -> int:
    """Segments that leave as one burst: a millisecond's worth (5.6.3)."""
    return max(min(c.pacing_rate // 1000, _LARGEST_QUANTUM) // c.mss, _LEAST_QUANTUM)


def _bdp_multiple(b: Variables, c: Sender, bw: float, gain: float) -> float:
    if not b.min_rtt:
        return float(c.initial_cwnd)
    return gain * bw * b.min_rtt


def _quantization_budget(b: Variables, c: Sender, volume: float) -> float:
    """Room for what bursts and delayed ACKs need at the least (5.5.8.1, 5.6.4.2)."""
    volume = max(volume, _OFFLOAD_QUANTA * send_quantum(c), MIN_PIPE_CWND)
    return volume + 2 if b.state == PROBE_BW_UP else volume


def inflight(b: Variables, c: Sender, bw: float, gain: float) -> float:
    """Segments in flight that fill the path `gain` times at the rate `bw`."""
    return _quantization_budget(b, c, _bdp_multiple(b, c, bw, gain))


def inflight_with_headroom(b: Variables) -> int:
    """The long-term bound less what is left to other flows (5.3.3.9)."""
    longterm = b.inflight_longterm
    if longterm == UNLIMITED:
        return UNLIMITED
    return max(longterm - max(1, int(HEADROOM * longterm)), MIN_PIPE_CWND)


def probe_rtt_cwnd(b: Variables, c: Sender) -> int:
    """Half of what the path holds (5.6.4.5)."""
    return max(int(_bdp_multiple(b, c, b.bw, CWND_GAINS[PROBE_RTT])), MIN_PIPE_CWND)


def set_cwnd(b: Variables, c: Sender, acked: int) -> None:
    """Down to the model's volume at once, up by what is acknowledged (5.6.4.6)."""
    volume = _bdp_multiple(b, c, b.bw, CWND_GAINS[b.state]) + b.extra_acked
    most = int(_quantization_budget(b, c, volume))
    cwnd = c.cwnd
    if b.full_bw_reached:
        cwnd = min(cwnd + acked, most)
    elif cwnd < most or c.delivered < c.initial_cwnd:
        cwnd += acked
    cwnd = max(cwnd, MIN_PIPE_CWND)
    if b.state == PROBE_RTT:
        cwnd = min(cwnd, probe_rtt_cwnd(b, c))
    c.cwnd = min(cwnd, _cap(b))


def _cap(b: Variables) -> int:
    """What recent congestion leaves of the window (5.6.4.7)."""
    cap = UNLIMITED
    if b.state in (PROBE_BW_CRUISE, PROBE_RTT):
        cap = inflight_with_headroom(b)
    elif b.is_in_probe_bw:
        cap = b.inflight_longterm
    return max(min(cap, b.inflight_shortterm), MIN_PIPE_CWND)
