"""BBR behind the interface that all congestion controls have (draft-ietf-ccwg-bbr-06 section 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.bbr import control, loss, machine, path
from catenet.control.bbr.variables import CWND_GAINS, PACING_GAINS, PROBE_RTT, Variables
from catenet.control.delivery_rate import RateSample
from catenet.control.states import CA_CWR, CA_RECOVERY

if TYPE_CHECKING:
    from catenet.control.sender import Sender, Transmission

__all__ = ["Bbr"]


class Bbr(Variables):
    """One connection's BBR."""

    __slots__ = ()

    name = "bbr"
    controls = True
    paces = True

    def start(self, c: Sender) -> None:
        """Begin with what the handshake tells of the round trip (5.2.1)."""
        now = c.now
        self.is_started = True
        self.min_rtt = self.probe_rtt_min_delay = c.rtt.srtt >> 3
        self.min_rtt_stamp = self.probe_rtt_min_stamp = self.extra_acked_interval_start = now
        self.next_round_delivered = c.delivered
        control.init_pacing_rate(self, c)

    def control(self, c: Sender, acked: int, flags: int, rate: RateSample) -> None:
        """One ACK: update model and state, then rate and window (5.2.3)."""
        if not self.is_started:
            return  # the ACK of a SYN
        path.update_latest_delivery_signals(self, c, rate)
        path.update_congestion_signals(self, c, rate)
        if acked:
            path.update_ack_aggregation(self, c, acked)
        path.check_full_bw_reached(self, rate)
        machine.check_startup_done(self, c, rate)
        machine.check_drain_done(self, c)
        machine.update_probe_bw(self, c, acked, rate)
        path.update_min_rtt(self, c, rate.rtt)
        machine.check_probe_rtt(self, c, rate)
        path.advance_latest_delivery_signals(self, rate)
        self.bw = min(self.max_bw, self.bw_shortterm)
        control.set_pacing_rate(self, c, PACING_GAINS[self.state])
        control.set_cwnd(self, c, acked)

    def on_lost(self, c: Sender, sent: Transmission) -> None:
        """A segment was marked lost (5.2.4)."""
        loss.handle_lost_segment(self, c, sent)

    def on_start_after_idle(self, c: Sender) -> None:
        """Resume at the rate that is known, not above it (5.4.1)."""
        if not c.app_limited:
            return
        self.idle_restart = True
        self.extra_acked_interval_start = c.now
        if self.is_in_probe_bw:
            control.set_pacing_rate(self, c, 1.0)
        elif self.state == PROBE_RTT:
            machine.check_probe_rtt_done(self, c)

    def ssthresh(self, c: Sender) -> int:
        """No threshold; remember the window for after the recovery (5.6.4.4)."""
        self.save_cwnd(c)
        return c.ssthresh

    def on_state(self, c: Sender, state: int) -> None:
        """Leaving recovery restores the window; CWR is congestion of which no lost segment tells."""
        if state == CA_CWR:
            loss.note_loss(self, c)
        elif state < CA_CWR:
            self.has_saved = False
            if c.ca_state >= CA_RECOVERY:
                self.restore_cwnd(c)

    def undo(self, c: Sender) -> int:
        """The losses were none (5.2.5)."""
        loss.handle_spurious_loss(self, c)
        return c.cwnd

    def info(self, c: Sender) -> dict[str, int]:
        """Linux's `struct tcp_bbr_info`: bytes per second, microseconds, gains in 1/256."""
        rate = int(self.bw * c.mss * 1_000_000)
        return {
            "bbr_bw_lo": rate & 0xFFFFFFFF,
            "bbr_bw_hi": rate >> 32,
            "bbr_min_rtt": self.min_rtt,
            "bbr_pacing_gain": int(PACING_GAINS[self.state] * 256),
            "bbr_cwnd_gain": int(CWND_GAINS[self.state] * 256),
        }
