"""The transmission control block (RFC 9293 3.3.1) and the entries of its retransmission queue.

Data only, with the few derived values that every other file needs. Sequence numbers are *positions*: plain integers
that start at the initial sequence number and never wrap; they become numbers modulo 2**32 when a segment is built, and
`position` brings a number from the wire back next to a known one. Comparisons are then ordinary ones, which is
shorter, faster and has no case where a window of 2**31 goes wrong.

Times are integer microseconds (`layer.us`), so that a deadline that went out as float seconds and came back in is
equal to itself.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Buffer, Fault
from catenet.stack.tcp.control import states
from catenet.wire.gather import Gather

if TYPE_CHECKING:
    from catenet.stack.tcp.congestion import Congestion
    from catenet.stack.tcp.control.accecn import AccEcn
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.opening.fast_open import ClientHandshake, ServerHandshake
    from catenet.stack.tcp.receiving.memory import ReceiveMemory
    from catenet.stack.tcp.receiving.reassembly import Reassembly
    from catenet.stack.tcp.sending.header import Header
    from catenet.stack.tcp.sending.mtu import MtuProbing
    from catenet.stack.tcp.user.endpoint import TcpEndpoint
    from catenet.stack.tcp.user.tx_timestamps import Stamps

__all__ = ["INFINITE", "MASK", "NEVER", "Connection", "Sent", "position"]

MASK: Final = 0xFFFFFFFF
START: Final = 1_000_000
"""`layer.us` at `now` 0: so no time is ever 0, which stands for "never" in many places."""
EPOCH: Final = START + 0.5
"""`layer.us` is `int(now * 1_000_000 + EPOCH)`."""
NEVER: Final = 1 << 61
"""A deadline that does not come."""
INFINITE: Final = 0x7FFFFFFF
"""Slow start threshold before the first loss, as Linux shows it in TCP_INFO."""

# Congestion states, with the numbers of TCP_INFO.
OPEN: Final = 0
DISORDER: Final = 1
CWR: Final = 2
RECOVERY: Final = 3
LOSS: Final = 4

# Bits of `Sent.marks`: the SACK scoreboard.
SACKED: Final = 1
RETRANSMITTED: Final = 2
LOST: Final = 4
EVER_RETRANSMITTED: Final = 8
ANY_RETRANSMISSION: Final = RETRANSMITTED | EVER_RETRANSMITTED

# Kinds of the one retransmission timer.
NO_TIMER: Final = 0
RTO_TIMER: Final = 1
PROBE_TIMER: Final = 3
LOSS_PROBE_TIMER: Final = 5
REORDER_TIMER: Final = 6

# Bits of `ack_pending`.
ACK_SCHEDULED: Final = 1
ACK_TIMER: Final = 2
ACK_PUSHED: Final = 4
ACK_PUSHED2: Final = 8
ACK_NOW: Final = 16

# Bits of `ecn`.
ECN_OK: Final = 1
ECN_QUEUE_CWR: Final = 2
ECN_DEMAND_CWR: Final = 4
ECN_SEEN: Final = 8
ECN_LOW: Final = 16
"""The congestion control asks for ECN by itself."""

# Bits of `nagle`.
NAGLE_OFF: Final = 1
NAGLE_CORK: Final = 2
NAGLE_PUSH: Final = 4


def position(number: int, near: int) -> int:
    """Position of the sequence number `number`, the one within 2**31 of `near`."""
    delta = (number - near) & MASK
    return near + (delta if delta < 0x80000000 else delta - 0x100000000)


class Sent:
    """What one transmission carried, kept until it is acknowledged."""

    __slots__ = (
        "app_limited",
        "count",
        "delivered",
        "delivered_at",
        "delivered_ce",
        "departed_at",
        "end",
        "first_sent_at",
        "flags",
        "held",
        "in_flight",
        "lost",
        "marks",
        "sent_at",
        "seq",
        "size",
    )

    def __init__(self, seq: int, end: int, data: Buffer | Gather, flags: int, count: int) -> None:
        self.seq = seq
        self.end = end
        self.held = data
        """The data, or a packet that ends with them: they are copied out of it when they are sent again."""
        self.size = len(data)
        """Bytes of data."""
        self.flags = flags
        self.count = count
        """Segments of at most one MSS that this stands for."""
        self.marks = 0
        self.sent_at = 0
        self.delivered = 0
        self.delivered_at = 0
        self.first_sent_at = 0
        self.app_limited = False
        self.in_flight = 0
        self.lost = 0
        self.delivered_ce = 0

    @property
    def data(self) -> Buffer:
        """What it carried."""
        held = self.held
        if isinstance(held, Gather):
            held = self.held = bytes(held)
        elif len(held) != self.size:
            held = self.held = held[len(held) - self.size :]
        return held

    @data.setter
    def data(self, data: Buffer) -> None:
        self.held = data
        self.size = len(data)


class Connection:
    """One connection's variables; names as in RFC 9293 where it has one."""

    __slots__ = (
        "accecn",
        "ack_pending",
        "ack_quick",
        "advertised_mss",
        "app_limited",
        "ato",
        "backoff",
        "base_mss_header",
        "buffered",
        "bytes_acked",
        "bytes_received",
        "bytes_retransmitted",
        "bytes_sent",
        "ca_state",
        "chrono",
        "chrono_at",
        "chrono_times",
        "compressed_acks",
        "compressed_at",
        "compressed_seq",
        "congestion",
        "copied",
        "cwnd",
        "cwnd_count",
        "cwnd_limited",
        "cwnd_stamp",
        "cwnd_usage_seq",
        "cwnd_used",
        "data_segments_in",
        "data_segments_out",
        "delack_at",
        "delivered",
        "delivered_at",
        "delivered_ce",
        "departed_at",
        "destination",
        "destination_port",
        "dsack_duplicates",
        "dsack_seen",
        "due",
        "dup_acks_now",
        "duplicate_acks",
        "ecn",
        "endpoint",
        "error",
        "fast_open",
        "fin_queued",
        "fin_received",
        "first_sent_at",
        "frto",
        "header",
        "high_seq",
        "hop_limit",
        "interface",
        "irs",
        "iss",
        "keepalive_at",
        "key",
        "last_ack_sent_at",
        "last_data_in",
        "last_data_out",
        "last_heard",
        "last_oow_at",
        "last_segment_size",
        "layer",
        "lost",
        "lost_out",
        "max_packets_out",
        "max_window",
        "mdev",
        "mdev_max",
        "memory",
        "min_rtt",
        "mss",
        "mss_clamp",
        "mtu_probing",
        "nagle",
        "no_space",
        "options",
        "pace_at",
        "paced_until",
        "pacing_rate",
        "packets_out",
        "path_mtu",
        "peer_mss",
        "pending",
        "pending_offset",
        "pingpong",
        "prior_cwnd",
        "prior_ssthresh",
        "probe_stamp",
        "probes_out",
        "prr_delivered",
        "prr_out",
        "pseudo",
        "push_marks",
        "pushed",
        "rack_advanced",
        "rack_again",
        "rack_dsack_seen",
        "rack_end",
        "rack_last_delivered",
        "rack_mstamp",
        "rack_persist",
        "rack_rtt",
        "rack_steps",
        "rate_app_limited",
        "rate_delivered",
        "rate_interval",
        "rcv_nxt",
        "rcv_ooo_packets",
        "rcv_rtt",
        "rcv_rtt_at",
        "rcv_rtt_seq",
        "rcv_scale",
        "rcv_space",
        "rcv_space_at",
        "rcv_space_seq",
        "rcv_ssthresh",
        "rcv_urgent",
        "rcv_wnd",
        "rcv_wup",
        "read_count",
        "reassembly",
        "receive_buffer",
        "received",
        "received_offset",
        "record_ends",
        "remembered_mss",
        "reneging",
        "reordering",
        "reordering_seen",
        "retransmit_stamp",
        "retransmits",
        "retransmitted_out",
        "rto",
        "rtt_seq",
        "rttvar",
        "run_start",
        "rx_max_mss",
        "sack_high",
        "sack_ok",
        "sacked_out",
        "segments_in",
        "segments_out",
        "send_buffer",
        "sent",
        "shutdown",
        "snd_nxt",
        "snd_scale",
        "snd_sml",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wnd",
        "soft_error",
        "source",
        "source_port",
        "srtt",
        "ssthresh",
        "stamps",
        "state",
        "syn_data",
        "syn_retransmits",
        "timer",
        "timer_at",
        "timestamps",
        "tlp_high_seq",
        "tlp_retransmission",
        "todo",
        "total_retransmits",
        "traffic_class",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
        "undo_marker",
        "undo_retransmits",
        "urgent_byte",
        "urgent_flags",
        "urgent_mode",
        "user_timeout",
        "wake_at",
        "window_clamp",
        "write_seq",
        "write_shut",
    )

    def __init__(
        self, layer: TcpLayer, source: bytes, source_port: int, destination: bytes, destination_port: int
    ) -> None:
        self.layer = layer
        self.endpoint: TcpEndpoint | None = None
        self.source = source
        self.destination = destination
        self.source_port = source_port
        self.destination_port = destination_port
        self.interface = 0
        self.key = b""
        self.pseudo = 0
        self.header: Header | None = None
        """What its segments have in common; made when it is needed (`header_of`)."""
        self.hop_limit: int | None = None
        self.traffic_class = 0
        self.options: dict[str, int | bytes | str] = {}
        self.state = states.CLOSED
        self.error: Fault | None = None
        self.soft_error: Fault | None = None
        self.shutdown = 0
        """1: the reading side has ended, 2: the writing side."""
        self.ecn = 0
        self.accecn: AccEcn | None = None
        self.fast_open: ClientHandshake | ServerHandshake | None = None
        self.stamps: Stamps | None = None
        self.memory: ReceiveMemory | None = None
        self.syn_data = 0
        self.todo = 0
        """What calls of the program left to be done, bits of `flush`."""
        self._init_sender()
        self._init_receiver()
        self._init_recovery()
        self._init_timers()

    def _init_sender(self) -> None:
        self.iss = self.snd_una = self.snd_nxt = self.write_seq = self.snd_up = self.snd_sml = self.pushed = (
            self.run_start
        ) = 0
        self.snd_wl1 = self.snd_wnd = self.max_window = self.snd_scale = 0
        self.mss = self.peer_mss = 536
        self.mss_clamp = 536
        self.advertised_mss = self.path_mtu = self.remembered_mss = 0
        self.base_mss_header = 20
        self.mtu_probing: MtuProbing | None = None
        self.sent: list[Sent] = []
        self.pending: deque[bytes | memoryview] = deque()
        self.pending_offset = 0
        self.push_marks: deque[int] = deque()
        self.record_ends: deque[int] | None = None
        self.chrono = self.chrono_at = 0
        self.chrono_times = (0, 0, 0)
        self.due = 0
        """End of what calls let go before others that hold back what follows, since the last `flush`; 0: none."""
        self.buffered = 0
        """Bytes written and not yet acknowledged."""
        self.send_buffer = 0
        self.no_space = False
        self.nagle = 0
        self.fin_queued = False
        self.write_shut = False
        self.urgent_mode = False
        self.bytes_acked = self.bytes_sent = self.bytes_retransmitted = 0
        self.segments_out = self.data_segments_out = self.total_retransmits = 0
        self.last_data_out = self.departed_at = 0
        self.timestamps = False
        self.ts_offset = self.ts_recent = self.ts_recent_at = 0
        self.congestion: Congestion
        self.cwnd = 10
        self.ssthresh = INFINITE
        self.cwnd_count = self.cwnd_used = self.cwnd_stamp = 0
        self.cwnd_limited = False
        self.cwnd_usage_seq = self.max_packets_out = 0
        self.pacing_rate = self.paced_until = 0
        self.packets_out = self.sacked_out = self.lost_out = self.retransmitted_out = 0

    def _init_receiver(self) -> None:
        self.irs = self.rcv_nxt = self.rcv_wup = self.rcv_wnd = self.rcv_scale = self.copied = 0
        self.rcv_ssthresh = self.window_clamp = self.receive_buffer = 0
        self.received: deque[bytes | memoryview] = deque()
        self.received_offset = 0
        self.reassembly: Reassembly | None = None
        self.rcv_urgent = self.read_count = 0
        self.fin_received = False
        self.urgent_byte: int | None = None
        self.urgent_flags = 0
        self.ack_pending = self.ack_quick = self.pingpong = self.ato = 0
        self.last_data_in = self.last_segment_size = 0
        self.rx_max_mss = 536
        """Size of the segments that come in, as far as known (Linux's rcv_mss)."""
        self.last_ack_sent_at = 0
        self.last_oow_at = self.last_heard = self.probe_stamp = 0
        self.segments_in = self.data_segments_in = self.bytes_received = self.rcv_ooo_packets = 0
        self.duplicate_acks = self.dup_acks_now = 0
        self.compressed_acks = self.compressed_seq = 0
        self.rcv_rtt = self.rcv_rtt_at = self.rcv_rtt_seq = 0
        self.rcv_space = self.rcv_space_at = self.rcv_space_seq = 0

    def _init_recovery(self) -> None:
        self.sack_ok = False
        self.dsack_seen = False
        self.sack_high = 0
        self.ca_state = OPEN
        self.high_seq = 0
        self.undo_marker: int | None = None
        self.undo_retransmits = 0
        self.retransmit_stamp = 0
        self.prior_ssthresh = self.prior_cwnd = self.prr_delivered = self.prr_out = 0
        self.tlp_high_seq: int | None = None
        self.tlp_retransmission = False
        self.frto = False
        self.reneging = False
        self.reordering = 3
        self.reordering_seen = self.dsack_duplicates = 0
        self.rack_mstamp = self.rack_rtt = self.rack_end = self.rack_last_delivered = self.rack_persist = 0
        self.rack_advanced = self.rack_dsack_seen = self.rack_again = False
        self.rack_steps = 1
        self.delivered = self.delivered_at = self.delivered_ce = self.lost = self.first_sent_at = 0
        self.app_limited = 0
        self.rate_delivered = self.rate_interval = 0
        self.rate_app_limited = False

    def _init_timers(self) -> None:
        self.srtt = self.mdev = self.mdev_max = self.rttvar = self.rtt_seq = 0
        self.min_rtt: list[tuple[int, int]] | None = None
        self.rto = 1_000_000
        self.backoff = self.retransmits = self.probes_out = self.syn_retransmits = 0
        self.user_timeout = 0
        self.timer = NO_TIMER
        self.timer_at = self.delack_at = self.keepalive_at = self.pace_at = self.compressed_at = self.wake_at = NEVER

    @property
    def wnd_end(self) -> int:
        """First position beyond the peer's window."""
        return self.snd_una + self.snd_wnd

    @property
    def in_flight(self) -> int:
        """Segments believed to be in the network (RFC 6675's pipe)."""
        return self.packets_out - self.sacked_out - self.lost_out + self.retransmitted_out

    @property
    def receive_window(self) -> int:
        """What is left of the window that was advertised last."""
        left = self.rcv_wup + self.rcv_wnd - self.rcv_nxt
        return left if left > 0 else 0

    @property
    def highest_sacked(self) -> int:
        """End of the highest SACKed segment; `snd_una` when there is none."""
        return self.sack_high if self.sacked_out and self.sack_ok else self.snd_una

    @property
    def unsent(self) -> int:
        """Bytes (and FIN) written that were never sent."""
        return self.write_seq - self.snd_nxt

    def option(self, name: str, default: int) -> int:
        """Numeric socket option by its Linux name."""
        value = self.options.get(name, default)
        return value if isinstance(value, int) else default
