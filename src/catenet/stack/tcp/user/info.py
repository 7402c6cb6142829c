"""TCP_INFO: the figures of a connection, with Linux's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from catenet.control.states import INFINITE
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import ECN_OK, ECN_SEEN, Connection
from catenet.stack.tcp.sending.chrono import times

if TYPE_CHECKING:
    from catenet.stack.tcp.control.accecn import AccEcn
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["TcpInfo", "collect", "connection_info"]

_NO_RATE = (1 << 64) - 1


@dataclass(slots=True)
class TcpInfo:
    """Fields of `struct tcp_info`; times in the units Linux gives them (milliseconds or microseconds)."""

    tcpi_state: int = states.CLOSED
    tcpi_ca_state: int = 0
    tcpi_retransmits: int = 0
    tcpi_probes: int = 0
    tcpi_backoff: int = 0
    tcpi_options: int = 0
    tcpi_snd_wscale: int = 0
    tcpi_rcv_wscale: int = 0
    tcpi_delivery_rate_app_limited: int = 0
    tcpi_fastopen_client_fail: int = 0
    tcpi_rto: int = 0
    tcpi_ato: int = 0
    tcpi_snd_mss: int = 0
    tcpi_rcv_mss: int = 0
    tcpi_unacked: int = 0
    tcpi_sacked: int = 0
    tcpi_lost: int = 0
    tcpi_retrans: int = 0
    tcpi_fackets: int = 0
    tcpi_last_data_sent: int = 0
    tcpi_last_ack_sent: int = 0
    tcpi_last_data_recv: int = 0
    tcpi_last_ack_recv: int = 0
    tcpi_pmtu: int = 0
    tcpi_rcv_ssthresh: int = 0
    tcpi_rtt: int = 0
    tcpi_rttvar: int = 0
    tcpi_snd_ssthresh: int = 0
    tcpi_snd_cwnd: int = 0
    tcpi_advmss: int = 0
    tcpi_reordering: int = 0
    tcpi_rcv_rtt: int = 0
    tcpi_rcv_space: int = 0
    tcpi_total_retrans: int = 0
    tcpi_pacing_rate: int = 0
    tcpi_max_pacing_rate: int = _NO_RATE
    tcpi_bytes_acked: int = 0
    tcpi_bytes_received: int = 0
    tcpi_segs_out: int = 0
    tcpi_segs_in: int = 0
    tcpi_notsent_bytes: int = 0
    tcpi_min_rtt: int = 0
    tcpi_data_segs_in: int = 0
    tcpi_data_segs_out: int = 0
    tcpi_delivery_rate: int = 0
    tcpi_busy_time: int = 0
    tcpi_rwnd_limited: int = 0
    tcpi_sndbuf_limited: int = 0
    tcpi_delivered: int = 0
    tcpi_delivered_ce: int = 0
    tcpi_bytes_sent: int = 0
    tcpi_bytes_retrans: int = 0
    tcpi_dsack_dups: int = 0
    tcpi_reord_seen: int = 0
    tcpi_rcv_ooopack: int = 0
    tcpi_snd_wnd: int = 0
    tcpi_rcv_wnd: int = 0
    tcpi_rehash: int = 0
    tcpi_ecn_mode: int = 0
    """0: none, 1: RFC 3168, 2: AccECN, 3: asked for."""
    tcpi_accecn_fail_mode: int = 0
    tcpi_accecn_opt_seen: int = 0
    tcpi_received_ce: int = 0
    tcpi_delivered_e1_bytes: int = 0
    tcpi_delivered_e0_bytes: int = 0
    tcpi_delivered_ce_bytes: int = 0
    tcpi_received_e1_bytes: int = 0
    tcpi_received_e0_bytes: int = 0
    tcpi_received_ce_bytes: int = 0


def collect(endpoint: TcpEndpoint) -> TcpInfo:
    """Read the figures of an endpoint."""
    info = TcpInfo()
    if endpoint.listener is not None:
        info.tcpi_state = states.LISTEN
        info.tcpi_unacked = len(endpoint.listener.queue)
        info.tcpi_sacked = endpoint.listener.backlog
        return info
    return info if endpoint.connection is None else connection_info(endpoint.connection)


def connection_info(c: Connection) -> TcpInfo:
    """Read the figures of a connection, with or without an endpoint."""
    info = TcpInfo()
    _identity(info, c)
    _sender(info, c)
    _receiver(info, c)
    _times(info, c)
    return info


def _identity(info: TcpInfo, c: Connection) -> None:
    info.tcpi_state = c.state
    info.tcpi_ca_state = c.ca_state
    info.tcpi_retransmits = c.retransmits
    info.tcpi_probes = c.probes_out
    info.tcpi_backoff = c.backoff
    options = 1 if c.timestamps else 0
    options |= 2 if c.sack_ok else 0
    if c.snd_scale or c.rcv_scale:
        options |= 4
        info.tcpi_snd_wscale, info.tcpi_rcv_wscale = c.snd_scale, c.rcv_scale
    options |= 8 if c.ecn & ECN_OK or (c.accecn is not None and c.accecn.active) else 0
    info.tcpi_ecn_mode = 1 if c.ecn & ECN_OK else 0
    if c.accecn is not None:
        _accecn(info, c.accecn)
    options |= 16 if c.ecn & ECN_SEEN else 0
    options |= 32 if c.syn_data == 2 else 0
    info.tcpi_options = options
    info.tcpi_pmtu = c.path_mtu


def _accecn(info: TcpInfo, state: AccEcn) -> None:
    info.tcpi_ecn_mode = 2 if state.active else 3
    info.tcpi_accecn_fail_mode = state.fail
    info.tcpi_accecn_opt_seen = state.saw_option
    info.tcpi_received_ce = state.received_ce
    info.tcpi_delivered_e1_bytes = state.delivered_bytes[1]
    info.tcpi_delivered_e0_bytes = state.delivered_bytes[2]
    info.tcpi_delivered_ce_bytes = state.delivered_bytes[3]
    info.tcpi_received_e1_bytes = state.received_bytes[1]
    info.tcpi_received_e0_bytes = state.received_bytes[2]
    info.tcpi_received_ce_bytes = state.received_bytes[3]


def _sender(info: TcpInfo, c: Connection) -> None:
    info.tcpi_snd_mss = c.mss
    info.tcpi_unacked = c.packets_out
    info.tcpi_sacked = c.sacked_out
    info.tcpi_lost = c.lost_out
    info.tcpi_retrans = c.retransmitted_out
    info.tcpi_snd_ssthresh = min(c.ssthresh, INFINITE)
    info.tcpi_snd_cwnd = c.cwnd
    info.tcpi_reordering = c.reordering
    info.tcpi_total_retrans = c.total_retransmits
    info.tcpi_pacing_rate = c.pacing_rate
    info.tcpi_bytes_acked = c.bytes_acked
    info.tcpi_segs_out = c.segments_out
    info.tcpi_notsent_bytes = max(0, c.write_seq - c.snd_nxt)
    info.tcpi_data_segs_out = c.data_segments_out
    info.tcpi_delivered = c.delivered
    info.tcpi_delivered_ce = c.delivered_ce
    info.tcpi_bytes_sent = c.bytes_sent
    info.tcpi_bytes_retrans = c.bytes_retransmitted
    info.tcpi_dsack_dups = c.dsack_duplicates
    info.tcpi_reord_seen = c.reordering_seen
    info.tcpi_snd_wnd = c.snd_wnd
    info.tcpi_delivery_rate_app_limited = int(c.rate.best_app_limited)
    if c.rate.best_interval > 0:
        info.tcpi_delivery_rate = c.rate.best_delivered * c.mss * 1_000_000 // c.rate.best_interval


def _receiver(info: TcpInfo, c: Connection) -> None:
    info.tcpi_rcv_mss = c.rx_max_mss
    info.tcpi_advmss = c.advertised_mss
    info.tcpi_rcv_ssthresh = c.rcv_ssthresh
    info.tcpi_rcv_rtt = c.tuning.rtt >> 3
    info.tcpi_rcv_space = c.tuning.space
    info.tcpi_bytes_received = c.bytes_received
    info.tcpi_segs_in = c.segments_in
    info.tcpi_data_segs_in = c.data_segments_in
    info.tcpi_rcv_ooopack = c.rcv_ooo_packets
    info.tcpi_rcv_wnd = c.receive_window


def _times(info: TcpInfo, c: Connection) -> None:
    now = c.layer.us
    info.tcpi_busy_time, info.tcpi_rwnd_limited, info.tcpi_sndbuf_limited = times(c)
    info.tcpi_rto = c.rto
    info.tcpi_ato = c.delayed_ack.ato
    info.tcpi_rtt = c.rtt.srtt >> 3
    info.tcpi_rttvar = c.rtt.mdev >> 2
    info.tcpi_min_rtt = c.rtt.minimum()
    info.tcpi_last_data_sent = (now - c.last_data_out) // 1000
    info.tcpi_last_data_recv = (now - c.last_data_in) // 1000
    info.tcpi_last_ack_recv = (now - c.last_heard) // 1000
