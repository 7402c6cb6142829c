"""Whether two idle connections are alike in all that `Calm` does not hold: how they were set up, and their troubles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.tcp.congestion.base import Reno
from catenet.stack.tcp.congestion.cubic import Cubic

if TYPE_CHECKING:
    from catenet.stack.tcp.congestion import Congestion
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["is_alike", "is_untroubled"]


def is_alike(a: Connection, b: Connection) -> bool:
    """Whether two idle connections differ in nothing but what `Calm` holds and what names them."""
    return (
        a.snd_nxt == a.snd_una == a.write_seq
        and a.copied == a.rcv_nxt
        and _is_set_up_alike(a, b)
        and _has_lost_alike(a, b)
        and _is_at_rest_alike(a, b)
        and _has_algorithm_alike(a.congestion, b.congestion)
    )


def is_untroubled(c: Connection, fresh: Connection) -> bool:
    """Whether a connection is what one without troubles looks like, judged by a new one of the same algorithm."""
    return (
        _has_lost_alike(c, fresh)
        and _is_at_rest_alike(c, fresh)
        and _has_algorithm_alike(c.congestion, fresh.congestion)
    )


def _has_algorithm_alike(a: Congestion, b: Congestion) -> bool:
    """Whether two controllers are of one kind, and differ in nothing but what `Calm` holds."""
    if a.__class__ is not b.__class__:
        return False
    if a.__class__ is Reno:
        return True
    if a.__class__ is not Cubic:
        return False
    assert isinstance(a, Cubic)
    assert isinstance(b, Cubic)
    return (
        a.css_baseline == b.css_baseline
        and a.css_count == b.css_count
        and a.css_rounds == b.css_rounds
        and a.found == b.found
        and a.count == b.count
        and a.ack_count == b.ack_count
        and a.epoch_start == b.epoch_start
        and a.k == b.k
        and a.last_cwnd == b.last_cwnd
        and a.last_max == b.last_max
        and a.last_time == b.last_time
        and a.origin == b.origin
        and a.prior == b.prior
        and a.reno_cwnd == b.reno_cwnd
        and a.target == b.target
    )


def _is_set_up_alike(a: Connection, b: Connection) -> bool:
    return (
        a.advertised_mss == b.advertised_mss
        and a.base_mss_header == b.base_mss_header
        and a.ecn == b.ecn
        and (a.hop_limit is b.hop_limit or a.hop_limit == b.hop_limit)
        and a.interface == b.interface
        and a.mss == b.mss
        and a.mss_clamp == b.mss_clamp
        and a.nagle == b.nagle
        and (a.options == b.options if a.options else not b.options)
        and a.path_mtu == b.path_mtu
        and a.peer_mss == b.peer_mss
        and a.rcv_scale == b.rcv_scale
        and a.remembered_mss == b.remembered_mss
        and a.reordering == b.reordering
        and a.sack_ok == b.sack_ok
        and a.snd_scale == b.snd_scale
        and a.timestamps == b.timestamps
        and a.traffic_class == b.traffic_class
        and a.user_timeout == b.user_timeout
    )


def _has_lost_alike(a: Connection, b: Connection) -> bool:
    return (
        a.backoff == b.backoff
        and a.bytes_retransmitted == b.bytes_retransmitted
        and a.cwnd_count == b.cwnd_count
        and a.delivered_ce == b.delivered_ce
        and a.dsack_duplicates == b.dsack_duplicates
        and a.dsack_seen == b.dsack_seen
        and a.dup_acks_now == b.dup_acks_now
        and a.duplicate_acks == b.duplicate_acks
        and a.frto == b.frto
        and a.high_seq == b.high_seq
        and a.lost == b.lost
        and a.lost_out == b.lost_out
        and a.prior_cwnd == b.prior_cwnd
        and a.prior_ssthresh == b.prior_ssthresh
        and a.prr_delivered == b.prr_delivered
        and a.prr_out == b.prr_out
        and a.rack_again == b.rack_again
        and a.rack_dsack_seen == b.rack_dsack_seen
        and a.rack_last_delivered == b.rack_last_delivered
        and a.rack_persist == b.rack_persist
        and a.rack_steps == b.rack_steps
        and a.rcv_ooo_packets == b.rcv_ooo_packets
        and a.reneging == b.reneging
        and a.reordering_seen == b.reordering_seen
        and a.retransmit_stamp == b.retransmit_stamp
        and a.retransmits == b.retransmits
        and a.retransmitted_out == b.retransmitted_out
        and a.sack_high == b.sack_high
        and a.sacked_out == b.sacked_out
        and a.syn_data == b.syn_data
        and a.syn_retransmits == b.syn_retransmits
        and a.tlp_high_seq is None
        and a.tlp_retransmission == b.tlp_retransmission
        and a.total_retransmits == b.total_retransmits
        and a.undo_marker is None
        and a.undo_retransmits == b.undo_retransmits
    )


def _is_at_rest_alike(a: Connection, b: Connection) -> bool:
    return (
        a.ack_pending == b.ack_pending
        and a.chrono == b.chrono
        and a.compressed_acks == b.compressed_acks
        and a.compressed_at == b.compressed_at
        and a.compressed_seq == b.compressed_seq
        and a.due == b.due
        and a.fin_queued == b.fin_queued
        and a.fin_received == b.fin_received
        and a.last_oow_at == b.last_oow_at
        and a.no_space == b.no_space
        and a.pace_at == b.pace_at
        and a.paced_until == b.paced_until
        and a.packets_out == b.packets_out
        and a.pending_offset == b.pending_offset
        and a.probe_stamp == b.probe_stamp
        and a.probes_out == b.probes_out
        and a.rcv_urgent == b.rcv_urgent
        and a.read_count == b.read_count
        and a.received_offset == b.received_offset
        and a.timer == b.timer
        and a.urgent_flags == b.urgent_flags
        and a.urgent_mode == b.urgent_mode
        and a.write_shut == b.write_shut
    )
