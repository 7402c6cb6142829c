"""What a congestion control is asked, and the answers of Reno (RFC 5681).

The window is counted in segments, `cwnd`, and belongs to the connection; an algorithm changes it when segments are
delivered (`on_ack`), says where slow start ends after a loss (`ssthresh`), what to restore when the loss was none
(`undo`), and is told of events. An algorithm with `controls` set takes the whole decision after every ACK (`control`)
and has no reduction imposed on it; that is BBR's case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from catenet.compiled import mypyc_attr

if TYPE_CHECKING:
    from catenet.control.delivery_rate import RateSample
    from catenet.control.sender import Sender, Transmission

__all__ = ["Congestion", "Reno", "additive_increase", "in_slow_start", "is_cwnd_limited", "slow_start"]


@mypyc_attr(allow_interpreted_subclasses=True)  # algorithms of users are not compiled
class Congestion:
    """The interface; the base does what Reno does between congestion events."""

    __slots__ = ()

    name: ClassVar[str] = ""
    controls: ClassVar[bool] = False
    """Whether `control` decides alone."""
    needs_ecn: ClassVar[bool] = False
    paces: ClassVar[bool] = False
    """Whether segments leave at `pacing_rate`."""

    def start(self, c: Sender) -> None:
        """The connection is established, or this algorithm was chosen for it."""

    def ssthresh(self, c: Sender) -> int:
        """Slow start threshold after a congestion event (RFC 5681 equation 4)."""
        return max(c.cwnd >> 1, 2)

    def on_ack(self, c: Sender, acked: int) -> None:
        """`acked` segments were delivered while the window may grow."""
        if not is_cwnd_limited(c):
            return
        if in_slow_start(c):
            acked = slow_start(c, acked)
            if not acked:
                return
        additive_increase(c, c.cwnd, acked)

    def on_rtt(self, c: Sender, rtt: int) -> None:
        """A round trip time was measured, in microseconds."""

    def on_state(self, c: Sender, state: int) -> None:
        """The congestion state is about to become `state`."""

    def on_loss(self, c: Sender) -> None:
        """The retransmission timer fired."""

    def on_lost(self, c: Sender, sent: Transmission) -> None:
        """A segment, or its retransmission, was marked lost; only with `controls`."""

    def on_start_after_idle(self, c: Sender) -> None:
        """The first segment after a time with none in flight is about to leave."""

    def on_restart(self, c: Sender) -> None:
        """The window was reduced because the connection was idle (RFC 5681 4.1)."""

    def undo(self, c: Sender) -> int:
        """Window after a loss that was none."""
        return max(c.cwnd, c.prior_cwnd)

    def control(self, c: Sender, acked: int, flags: int, rate: RateSample) -> None:
        """Decide window and pacing rate; only with `controls`."""

    def minimum_bursts(self, c: Sender) -> int:
        """Fewest segments to send at once."""
        return c.settings.tcp_min_tso_segs

    def info(self, c: Sender) -> dict[str, int]:
        """Figures for TCP_CC_INFO."""
        return {}


class Reno(Congestion):
    """NewReno's window (RFC 5681)."""

    __slots__ = ()

    name = "reno"


def in_slow_start(c: Sender) -> bool:
    """RFC 5681 3.1."""
    return c.cwnd < c.ssthresh


def is_cwnd_limited(c: Sender) -> bool:
    """Whether the window, not the program, bounds what is in flight (RFC 7661 4.2, with Linux's measure)."""
    if c.cwnd_limited:
        return True
    return in_slow_start(c) and c.cwnd < 2 * c.max_packets_out


def slow_start(c: Sender, acked: int) -> int:
    """One segment per segment acknowledged (RFC 3465, L unbounded); returns what is left beyond the threshold."""
    cwnd = min(c.cwnd + acked, c.ssthresh)
    acked -= cwnd - c.cwnd
    c.cwnd = min(cwnd, CLAMP)
    return acked


CLAMP: Final = 0xFFFFFFFF >> 1


def additive_increase(c: Sender, window: int, acked: int) -> None:
    """One segment per `window` segments acknowledged."""
    if c.cwnd_count >= window:
        c.cwnd_count = 0
        c.cwnd += 1
    c.cwnd_count += acked
    if c.cwnd_count >= window:
        delta = c.cwnd_count // window
        c.cwnd_count -= delta * window
        c.cwnd += delta
    if c.cwnd > CLAMP:
        c.cwnd = CLAMP
