"""The recovery state machine: what an unusual ACK, or a timeout, makes of the sender (RFC 6675, 8985, 5682, 6582).

Afterwards `ca_state` says how the sender is doing, the marks in the retransmission queue say which segments are lost,
and `AckState.rexmit` says what to send again. The machine sends nothing while it decides.

    Open      nothing unusual
    Disorder  duplicate ACKs or SACKs, not yet enough for a loss
    CWR       reducing the window for ECN or a probe's loss, nothing to retransmit
    Recovery  retransmitting what was found lost
    Loss      after a timeout

The states are ordered; `ca_state < CWR` means that the window has not been reduced. A connection enters CWR, Recovery
and Loss with `high_seq` = `snd_nxt`, and leaves them when everything below `high_seq` is acknowledged: losses found
in the meantime belong to the same round trip and reduce the window only once (RFC 6675 section 5).

An ACK is processed in three steps, each of which hands only facts to the next:

1. `sending/acknowledge.py` lets `scoreboard` mark what SACK blocks cover, takes acknowledged segments off the queue,
   and notes what it saw in an `AckState`. An ACK that merely makes progress in Open never comes here.
2. `after_ack` looks for an end of the current state (`_leave_state`), for evidence that the reduction was needless
   (`undo`: Eifel by timestamps, D-SACK, F-RTO), and for losses: by time with SACK (`rack`), by three duplicate ACKs
   without (`_mark_newreno`). The order matters. Evidence against a loss comes first, since undoing a state changes
   what the same ACK means for the next step.
3. `follow_up` runs when the window has been updated (by PRR in CA_CWR and Recovery, else by the congestion control; BBR
   does it in all states), and retransmits as much as that window allows. Step 2 knows only the window from before the
   ACK.

A timeout comes in at `enter_loss`: everything is marked lost that RACK does not know to be recent. With F-RTO
(`frto`) `_process_loss` sends new data once the first retransmission is acknowledged, before it retransmits more, and
the next ACK tells whether the timeout was spurious. The loss of an MTU probe is no congestion: `simple_retransmit`
sends its data again and leaves the window alone.

Three counters make `in_flight` a sum: `sacked_out`, `lost_out` and `retransmitted_out` count segments (not entries)
with each mark. They change with the marks (`marks.py`, `scoreboard.py`), when an entry leaves the queue
(`acknowledge.py`), and when it is cut or sent again (`retransmit.py`). Without SACK, `sacked_out` counts duplicate
ACKs, each of which stands for a segment that arrived (`_add_reno_sacks`).
"""

from __future__ import annotations

from typing import Final

from catenet.control.states import CA_CWR, CA_DISORDER, CA_LOSS, CA_OPEN, CA_RECOVERY, SACKED
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    LOST,
    NAGLE_OFF,
    NEVER,
    REORDER_TIMER,
    RETRANSMITTED,
    RTO_TIMER,
    Connection,
)
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.recovery import ackstate, prr, rack, undo
from catenet.stack.tcp.recovery.ackstate import AckState
from catenet.stack.tcp.recovery.marks import clear_marks, mark_lost
from catenet.stack.tcp.sending.output import burst_limit, current_mss, current_ssthresh, pace, push
from catenet.stack.tcp.sending.retransmit import recut, retransmit, split

__all__ = [
    "after_ack",
    "enter_loss",
    "enter_recovery",
    "follow_up",
    "remove_reno_sacks",
    "retransmit_lost",
    "retransmit_without_congestion",
    "simple_retransmit",
]

_MIN_RENEGING_DELAY: Final = 10_000


def after_ack(c: Connection, prior_una: int, duplicates: int, state: AckState) -> None:
    """Let one dubious ACK move the machine (`duplicates`: how many duplicate ACKs it stands for)."""
    if not c.packets_out and c.sacked_out:
        c.sacked_out = 0
    ece = bool(state.flags & ackstate.ECE)
    if ece:
        # The network is congested, whatever turns out about the loss.
        c.recovery.prior_ssthresh = 0
    if _check_reneging(c, state):
        return
    if _leave_state(c, state.echo):
        return
    if c.ca_state == CA_RECOVERY:
        proceed = _in_recovery(c, prior_una, duplicates, state, ece)
    elif c.ca_state == CA_LOSS and not _in_loss(c, duplicates, state):
        return
    else:
        proceed = _in_other(c, duplicates, state, ece)
    if proceed:
        state.rexmit = ackstate.REXMIT_LOST


def _check_reneging(c: Connection, state: AckState) -> bool:
    """The peer acknowledged up to a segment it had SACKed, not beyond: it has thrown data away (RFC 2018 8)."""
    if state.flags & ackstate.RENEGING and state.flags & ackstate.UNA_ADVANCED:
        set_timer(c, RTO_TIMER, max(c.rtt.srtt >> 4, _MIN_RENEGING_DELAY))
        state.flags &= ~ackstate.SET_TIMER
        return True
    return False


def _leave_state(c: Connection, echo: int) -> bool:
    """End CWR and Recovery when what was in flight at their start is acknowledged; True when all is done."""
    if c.ca_state == CA_OPEN:
        c.recovery.retransmit_stamp = 0
    elif c.snd_una >= c.recovery.high_seq:
        if c.ca_state == CA_CWR:
            # One byte more, so that the peer surely has seen CWR.
            if c.snd_una != c.recovery.high_seq:
                prr.end(c)
                prr.set_state(c, CA_OPEN)
        elif c.ca_state == CA_RECOVERY:
            if not c.sack_ok:
                c.sacked_out = 0
            if undo.try_recovery(c, echo):
                return True
            _end_after_undo(c)
    return False


def _end_after_undo(c: Connection) -> None:
    if c.ssthresh < 0x7FFFFFFF and c.recovery.undo_marker is not None and not c.congestion.controls:
        c.cwnd = c.ssthresh
        c.cwnd_stamp = c.layer.us


def _in_recovery(c: Connection, prior_una: int, duplicates: int, state: AckState, ece: bool) -> bool:
    if not state.flags & ackstate.UNA_ADVANCED:
        if not c.sack_ok:
            _add_reno_sacks(c, duplicates, ece)
    elif undo.try_partial(c, prior_una, state.echo):
        return False
    if undo.try_by_dsack(c):
        undo.keep_open(c)
    _identify_loss(c, state)
    if c.ca_state != CA_RECOVERY:
        if not c.lost_out:
            return False
        enter_recovery(c, ece)
    return True


def _in_loss(c: Connection, duplicates: int, state: AckState) -> bool:
    """Whether to go on as in Open, because the loss was undone or retransmissions were lost."""
    _process_loss(c, duplicates, state)
    _identify_loss(c, state)
    return c.ca_state == CA_OPEN or bool(state.flags & ackstate.LOST_RETRANS)


def _in_other(c: Connection, duplicates: int, state: AckState, ece: bool) -> bool:
    if not c.sack_ok:
        if state.flags & ackstate.UNA_ADVANCED:
            c.sacked_out = 0
        _add_reno_sacks(c, duplicates, ece)
    if c.ca_state <= CA_DISORDER:
        undo.try_by_dsack(c)
    _identify_loss(c, state)
    if not c.lost_out:
        _try_to_open(c, state)
        return False
    probing = c.mtu_probing
    if c.ca_state < CA_CWR and probing is not None and probing.is_lost(c):
        probing.failed(c)
        c.cwnd += 1
        simple_retransmit(c)
        return False
    enter_recovery(c, ece)
    return True


def _try_to_open(c: Connection, state: AckState) -> None:
    if not undo.any_retransmitted(c):
        c.recovery.retransmit_stamp = 0
    if state.flags & ackstate.ECE:
        prr.enter_cwr(c)
    if c.ca_state != CA_CWR:
        undo.keep_open(c)


def _identify_loss(c: Connection, state: AckState) -> None:
    if not c.sent:
        return
    if not c.sack_ok:
        _mark_newreno(c, bool(state.flags & ackstate.UNA_ADVANCED))
        return
    before = c.retransmitted_out
    if rack.mark_by_time(c):
        state.flags &= ~ackstate.SET_TIMER
    if before > c.retransmitted_out:
        state.flags |= ackstate.LOST_RETRANS


def _mark_newreno(c: Connection, advanced: bool) -> None:
    """Three duplicate ACKs, or a partial ACK in recovery (RFC 6582 3.2)."""
    if (c.ca_state < CA_RECOVERY and c.sacked_out >= c.reordering) or (c.ca_state == CA_RECOVERY and advanced):
        head = c.sent[0]
        if head.marks & LOST:
            return
        if head.count > 1 and head.size > c.mss:
            split(c, head, c.mss, c.mss)
        mark_lost(c, head)


def _add_reno_sacks(c: Connection, duplicates: int, ece: bool) -> None:
    """Without SACK each duplicate ACK stands for a segment that arrived out of order (RFC 5681 3.2)."""
    if duplicates:
        before = c.sacked_out
        c.sacked_out += duplicates
        _check_reno_reordering(c, 0)
        delivered = c.sacked_out - before
        if delivered > 0:
            c.delivered += delivered
            if ece:
                c.delivered_ce += delivered


def remove_reno_sacks(c: Connection, acked: int, ece: bool) -> None:
    """Cumulative progress takes the segments counted above off again."""
    if acked > 0:
        extra = max(acked - c.sacked_out, 1)
        c.delivered += extra
        if ece:
            c.delivered_ce += extra
        c.sacked_out = 0 if acked - 1 >= c.sacked_out else c.sacked_out - (acked - 1)
    _check_reno_reordering(c, acked)


def _check_reno_reordering(c: Connection, extra: int) -> None:
    """More duplicate ACKs than segments that can be missing: the network duplicates or reorders."""
    holes = min(max(c.lost_out, 1), c.packets_out)
    if c.sacked_out + holes > c.packets_out:
        c.sacked_out = c.packets_out - holes
        c.reordering = min(c.packets_out + extra, c.layer.settings.tcp_max_reordering)
        c.reordering_seen += 1


def enter_recovery(c: Connection, ece: bool) -> None:
    """Something is lost: reduce the window and retransmit."""
    recovery = c.recovery
    recovery.retransmit_stamp = 0
    recovery.prior_ssthresh = 0
    undo.begin(c)
    if c.ca_state not in (CA_CWR, CA_RECOVERY):
        if not ece:
            recovery.prior_ssthresh = current_ssthresh(c)
        prr.begin(c)
    prr.set_state(c, CA_RECOVERY)


def enter_loss(c: Connection) -> None:
    """The retransmission timer fired (RFC 6298 5.4-5.6, RFC 5681 3.1, RFC 5682 2.1 step 1)."""
    recovery = c.recovery
    new_recovery = c.ca_state < CA_RECOVERY
    _mark_on_timeout(c)
    if c.ca_state <= CA_DISORDER or c.snd_una >= recovery.high_seq or (c.ca_state == CA_LOSS and not c.retransmits):
        recovery.prior_ssthresh = current_ssthresh(c)
        c.prior_cwnd = c.cwnd
        c.ssthresh = c.congestion.ssthresh(c)
        c.congestion.on_loss(c)
        undo.begin(c)
    c.cwnd = c.in_flight + 1
    c.cwnd_count = 0
    c.cwnd_stamp = c.layer.us
    settings = c.layer.settings
    if c.ca_state <= CA_DISORDER and c.sacked_out >= settings.tcp_reordering:
        c.reordering = min(c.reordering, settings.tcp_reordering)
    prr.set_state(c, CA_LOSS)
    recovery.high_seq = c.snd_nxt
    c.tlp_high_seq = None
    prr.queue_cwr(c)
    probing = c.mtu_probing is not None and c.mtu_probing.probe_size
    recovery.frto = bool(settings.tcp_frto and (new_recovery or c.retransmits) and not probing)


def _mark_on_timeout(c: Connection) -> None:
    """Everything not SACKed is lost, except what RACK knows to have been sent too recently."""
    head = c.sent[0] if c.sent else None
    if head is not None and head.marks & SACKED:
        clear_marks(c, SACKED)
        c.reneging = True
    elif not c.sack_ok:
        c.sacked_out = 0
    for sent in c.sent:
        if c.sack_ok and not c.reneging and sent is not head and rack.remaining(c, sent, 0) > 0:
            continue
        mark_lost(c, sent)


def _process_loss(c: Connection, duplicates: int, state: AckState) -> None:
    """An ACK after a timeout: F-RTO (RFC 5682 3.1, with SACK) decides whether the timeout was spurious."""
    recovery = c.recovery
    flags = state.flags
    recovered = c.snd_una >= recovery.high_seq
    advanced = bool(flags & ackstate.UNA_ADVANCED)
    if advanced and undo.try_loss(c, False, state.echo):
        return
    if recovery.frto:
        # Step 3.b: data sent once, before the timeout, arrived.
        if flags & ackstate.ORIG_SACK_ACKED and undo.try_loss(c, True, state.echo):
            return
        if c.snd_nxt > recovery.high_seq:
            if flags & ackstate.DATA_SACKED or duplicates:
                recovery.frto = False
        elif advanced and not recovered:
            recovery.high_seq = c.snd_nxt
            # Step 2.b: send new data, if there is any, and see what is acknowledged.
            if c.write_seq > c.snd_nxt and c.snd_una + c.snd_wnd > c.snd_nxt:
                state.rexmit = ackstate.REXMIT_NEW
                return
            recovery.frto = False
    if recovered:
        undo.try_recovery(c, state.echo)
        return
    if not c.sack_ok:
        if c.snd_nxt > recovery.high_seq and duplicates:
            _add_reno_sacks(c, duplicates, bool(flags & ackstate.ECE))
        elif advanced:
            c.sacked_out = 0
    state.rexmit = ackstate.REXMIT_LOST


def follow_up(c: Connection, rexmit: int) -> None:
    """Send what `after_ack` decided on, now that the window is known."""
    if rexmit == ackstate.REXMIT_NONE or c.state == states.SYN_SENT:
        return
    if rexmit == ackstate.REXMIT_NEW:
        push(c, NAGLE_OFF)
        if c.snd_nxt > c.recovery.high_seq:
            return
        c.recovery.frto = False
    retransmit_lost(c)


def retransmit_lost(c: Connection) -> None:
    """Retransmit lost segments, oldest first, as far as the window allows."""
    if not c.packets_out or c.lost_out <= c.retransmitted_out:
        return
    if c.in_flight >= c.cwnd or c.pace_at != NEVER:
        return
    limit = burst_limit(c, current_mss(c))
    rearm = False
    at = 0
    while at < len(c.sent):
        sent = c.sent[at]
        at += 1
        if sent.marks & (LOST | SACKED | RETRANSMITTED) != LOST:
            continue
        room = c.cwnd - c.in_flight
        if room <= 0 or c.retransmitted_out >= c.lost_out or c.pace_at != NEVER:
            break
        if not retransmit(c, sent, min(room, limit)):
            break
        if c.ca_state in (CA_CWR, CA_RECOVERY):
            c.recovery.prr_out += sent.count
        if c.congestion.paces:
            pace(c, sent.size)
        if at == 1 and c.timer != REORDER_TIMER:
            rearm = True
    if rearm:
        set_timer(c, RTO_TIMER, c.rto)


def simple_retransmit(c: Connection) -> None:
    """Segments too large for the path are lost without being a sign of congestion (RFC 8201 5.4, RFC 4821 7.3)."""
    mss = current_mss(c)
    for sent in list(c.sent):
        if -(-sent.size // sent.count) > mss:
            mark_lost(c, sent)
    if not c.lost_out:
        return
    recut(c, mss)
    if not c.sack_ok:
        c.sacked_out = min(c.sacked_out, c.packets_out - c.lost_out)
    retransmit_without_congestion(c)


def retransmit_without_congestion(c: Connection) -> None:
    """Retransmit what is lost for another reason than congestion: the window stays as it is."""
    if c.ca_state != CA_LOSS:
        c.recovery.high_seq = c.snd_nxt
        c.ssthresh = current_ssthresh(c)
        c.recovery.prior_ssthresh = 0
        c.recovery.undo_marker = None
        prr.set_state(c, CA_LOSS)
    retransmit_lost(c)
