"""`struct tcp_info` in Linux's layout (include/uapi/linux/tcp.h, as of Linux 6.x)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.stack.tcp.user.info import TcpInfo

__all__ = ["pack_tcp_info"]

BYTES: Final = ["state", "ca_state", "retransmits", "probes", "backoff", "options"]
WORDS: Final = [
    "rto",
    "ato",
    "snd_mss",
    "rcv_mss",
    "unacked",
    "sacked",
    "lost",
    "retrans",
    "fackets",
    "last_data_sent",
    "last_ack_sent",
    "last_data_recv",
    "last_ack_recv",
    "pmtu",
    "rcv_ssthresh",
    "rtt",
    "rttvar",
    "snd_ssthresh",
    "snd_cwnd",
    "advmss",
    "reordering",
    "rcv_rtt",
    "rcv_space",
    "total_retrans",
]
LONGS: Final = ["pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received"]
WORDS2: Final = ["segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out"]
LONGS2: Final = ["delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited"]
WORDS3: Final = ["delivered", "delivered_ce"]
LONGS3: Final = ["bytes_sent", "bytes_retrans"]
WORDS4: Final = ["dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash"]

FIELDS: Final = (
    *BYTES,
    "snd_wscale",
    "rcv_wscale",
    "delivery_rate_app_limited",
    "fastopen_client_fail",
    *WORDS,
    *LONGS,
    *WORDS2,
    *LONGS2,
    *WORDS3,
    *LONGS3,
    *WORDS4,
)
"""Names of the fields without `tcpi_`, in the order of the structure."""

_LAYOUT = struct.Struct("=8B24I4Q6I4Q2I2Q6I")


def pack_tcp_info(info: TcpInfo) -> bytes:
    """Pack the figures of a connection; those that it lacks are 0."""

    def value(name: str) -> int:
        return int(getattr(info, f"tcpi_{name}", 0) or 0)

    scales = (value("snd_wscale") & 15) | (value("rcv_wscale") & 15) << 4
    limits = (value("delivery_rate_app_limited") & 1) | (value("fastopen_client_fail") & 3) << 1
    head = [value(name) & 0xFF for name in BYTES]
    words = [min(value(name), 0xFFFFFFFF) for name in WORDS]
    rest = [
        value(name) & (1 << 64) - 1 if name in (*LONGS, *LONGS2, *LONGS3) else value(name) & 0xFFFFFFFF
        for name in (*LONGS, *WORDS2, *LONGS2, *WORDS3, *LONGS3, *WORDS4)
    ]
    return _LAYOUT.pack(*head, scales, limits, *words, *rest)
