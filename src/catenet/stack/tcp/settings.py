"""TCP's settings, by the names that Linux gives them under `net.ipv4`.

Defaults are those of Linux 6.x on a machine with some gigabytes. Units are Linux's: seconds where the name says
nothing else, bytes for buffers. `stack.settings.Settings` inherits these, so that a host has one table.
"""

from __future__ import annotations

from dataclasses import dataclass

from catenet.control.settings import ControlSettings

__all__ = ["TcpSettings"]


@dataclass
class TcpSettings(ControlSettings):
    """What an administrator may change; read whenever it matters, so a change holds from the next event on."""

    tcp_rmem: tuple[int, int, int] = (4096, 131072, 6291456)
    tcp_wmem: tuple[int, int, int] = (4096, 16384, 4194304)
    tcp_autotune_total: int = 0
    """Bytes that automatic sizing gives the buffers of all connections together; 0: each alone, as Linux does."""
    tcp_moderate_rcvbuf: int = 1
    tcp_rcvbuf_low_rtt: int = 1000
    """Round trip in microseconds below which the receive buffer grows more slowly."""
    tcp_window_scaling: int = 1
    tcp_workaround_signed_windows: int = 0
    tcp_timestamps: int = 1
    """0: off, 1: with a random offset per connection, 2: without."""
    tcp_sack: int = 1
    tcp_dsack: int = 1
    tcp_recovery: int = 1
    """RACK bits: 1 loss detection, 2 static reordering window, 4 no duplicate-ACK threshold."""
    tcp_early_retrans: int = 3
    """3, 4: tail loss probe on; 0: off."""
    tcp_frto: int = 2
    tcp_reordering: int = 3
    tcp_max_reordering: int = 300
    tcp_ecn: int = 2
    """0: off, 1: ask and answer, 2: answer only; 3: as 1 with AccECN, 4: ask for ECN, answer AccECN, 5: answer both."""
    tcp_ecn_fallback: int = 1
    tcp_ecn_option: int = 2
    tcp_ecn_option_beacon: int = 3
    tcp_congestion_control: str = "cubic"
    tcp_syn_retries: int = 6
    tcp_synack_retries: int = 5
    tcp_syn_linear_timeouts: int = 4
    tcp_retries1: int = 3
    tcp_retries2: int = 15
    tcp_orphan_retries: int = 0
    tcp_fin_timeout: int = 60
    tcp_keepalive_time: int = 7200
    tcp_keepalive_probes: int = 9
    tcp_keepalive_intvl: int = 75
    tcp_max_syn_backlog: int = 1024
    somaxconn: int = 4096
    tcp_syncookies: int = 1
    tcp_abort_on_overflow: int = 0
    tcp_slow_start_after_idle: int = 1
    tcp_min_rtt_wlen: int = 300
    tcp_rto_min_us: int = 200_000
    tcp_rto_max_ms: int = 120_000
    tcp_notsent_lowat: int = 0xFFFFFFFF
    tcp_tso_rtt_log: int = 9
    tcp_tso_win_divisor: int = 3
    default_qdisc: str = "pfifo_fast"
    """fq: every connection leaves at its pacing rate (below), as with Linux's queueing discipline of that name."""
    tcp_pacing_ss_ratio: int = 200
    tcp_pacing_ca_ratio: int = 120
    tcp_invalid_ratelimit: int = 500
    """Least time in milliseconds between two answers to segments out of window, per connection."""
    tcp_challenge_ack_limit: int = 0x7FFFFFFF
    tcp_rfc1337: int = 0
    tcp_stdurg: int = 0
    tcp_tw_reuse: int = 2
    """Whether a new connection may take the names of one in TIME-WAIT, if timestamps tell their segments apart; 2: on
    loopback only.
    """
    tcp_tw_reuse_delay: int = 1000
    """Milliseconds that it must have been there."""
    tcp_max_tw_buckets: int = 65536
    tcp_fastopen: int = 1
    """1: client, 2: server, 4: client without cookie, 0x200: server without cookie, 0x400: on all listeners."""
    tcp_fastopen_key: str = ""
    """One key or two, as "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"; empty: a random one."""
    tcp_fastopen_blackhole_timeout_sec: int = 0
    """Seconds without Fast Open after the network swallowed its packets, doubled each time in a row; 0: no pause."""
    tcp_mtu_probing: int = 0
    tcp_base_mss: int = 1024
    tcp_min_snd_mss: int = 48
    tcp_mtu_probe_floor: int = 48
    tcp_probe_threshold: int = 8
    tcp_probe_interval: int = 600
    tcp_thin_linear_timeouts: int = 0
    tcp_comp_sack_nr: int = 44
    tcp_comp_sack_delay_ns: int = 1_000_000
    tcp_comp_sack_rtt_percent: int = 33
    tcp_pingpong_thresh: int = 1
    tcp_retrans_collapse: int = 1
    tcp_shrink_window: int = 0
    """Whether a scaled window may be taken back when memory runs short, against RFC 9293 3.8.6."""
    tcp_truesize: int = 0
    """Whether receive buffers are charged for packets as Linux charges them, instead of for bytes (`memory.py`)."""
    tcp_max_orphans: int = 65536
    ip_local_port_range: tuple[int, int] = (32768, 60999)
    ip_autobind_reuse: int = 0
    """Whether bind to port 0, all being taken, gives one that SO_REUSEADDR lets share."""
    ip_no_pmtu_disc: int = 0
