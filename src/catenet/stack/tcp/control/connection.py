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
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.stack.endpoint import Buffer, Fault
from catenet.stack.tcp.control import states
from catenet.stack.tcp.receiving.delayed_ack import DelayedAck
from catenet.stack.tcp.receiving.window import ReceiveTuning
from catenet.stack.tcp.recovery.state import Rack, Recovery
from catenet.stack.tcp.sending.chrono import Chrono
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

    Handshake: TypeAlias = ClientHandshake | ServerHandshake
    Options: TypeAlias = dict[str, int | bytes | str]
    Track: TypeAlias = list[tuple[int, int]]

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

    # Generated by `python -m catenet.stack.tcp.parking.generate`: change the table in its `fields.py`.
    __slots__ = (
        "accecn",
        "ack_pending",
        "advertised_mss",
        "app_limited",
        "backoff",
        "base_mss_header",
        "buffered",
        "bytes_acked",
        "bytes_received",
        "bytes_retransmitted",
        "bytes_sent",
        "ca_state",
        "chrono",
        "compressed_at",
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
        "delayed_ack",
        "delivered",
        "delivered_at",
        "delivered_ce",
        "departed_at",
        "destination",
        "destination_port",
        "dsack_duplicates",
        "dsack_seen",
        "due",
        "ecn",
        "endpoint",
        "error",
        "fast_open",
        "fin_queued",
        "fin_received",
        "first_sent_at",
        "header",
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
        "prior_cwnd",
        "probe_stamp",
        "probes_out",
        "pseudo",
        "push_marks",
        "pushed",
        "rack",
        "rate_app_limited",
        "rate_delivered",
        "rate_interval",
        "rcv_nxt",
        "rcv_ooo_packets",
        "rcv_scale",
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
        "recovery",
        "reneging",
        "reordering",
        "reordering_seen",
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
        "tuning",
        "urgent_byte",
        "urgent_flags",
        "urgent_mode",
        "user_timeout",
        "wake_at",
        "window_clamp",
        "write_seq",
        "write_shut",
    )

    def _init_components(self) -> None:
        self.chrono = Chrono()  # what holds the sender up
        self.delayed_ack = DelayedAck()  # when the next ACK is sent
        self.rack = Rack()  # detection of losses by time
        self.recovery = Recovery()  # what one recovery from losses remembers
        self.tuning = ReceiveTuning()  # growth of the receive buffer

    def _init_identity(self) -> None:
        self.endpoint: TcpEndpoint | None = None  # socket, None once the program gave it up
        self.key = b""  # names as in a packet, its key in the table
        self.header: Header | None = None  # what its segments have in common; made on demand
        self.iss = 0  # position: initial send sequence number
        self.irs = 0  # position: initial receive sequence number
        self.state = states.CLOSED  # state of RFC 9293 3.3.2 (`states`)
        self.error: Fault | None = None  # fatal error, until the program has heard of it
        self.soft_error: Fault | None = None  # ICMP error that may pass (RFC 5461)
        self.shutdown = 0  # bits: 1: the reading side has ended, 2: the writing side
        self.todo = 0  # bits: what calls left to be done, bits of `flush`
        self.interface = 0  # index of the interface it is bound to, 0: any
        self.pseudo = 0  # checksum of the pseudo header, without the length
        self.hop_limit: int | None = None  # hops: hop limit of its packets, None: the host's
        self.traffic_class = 0  # traffic class of its packets, without ECN
        self.options: Options = {}  # socket options by their Linux names

    def _init_extensions(self) -> None:
        self.ecn = 0  # bits: state of ECN (`ECN_OK` and others)
        self.accecn: AccEcn | None = None  # Accurate ECN, if negotiated
        self.fast_open: Handshake | None = None  # TCP Fast Open, during the handshake
        self.stamps: Stamps | None = None  # transmit timestamps (SO_TIMESTAMPING)
        self.memory: ReceiveMemory | None = None  # cost of received packets (`tcp_truesize`)
        self.mtu_probing: MtuProbing | None = None  # path MTU probing (RFC 4821), if on
        self.syn_data = 0  # Fast Open: 1: the SYN carried data, 2: it was taken
        self.timestamps = False  # whether segments carry timestamps (RFC 7323)
        self.ts_offset = 0  # ms: added to the clock for own timestamps
        self.ts_recent = 0  # ms: timestamp to echo
        self.ts_recent_at = 0  # us: when `ts_recent` was set

    def _init_sequence(self) -> None:
        self.snd_una = 0  # position: first position not acknowledged
        self.snd_nxt = 0  # position: next position to send
        self.write_seq = 0  # position: end of what the program has written
        self.snd_wnd = 0  # bytes: the peer's window
        self.snd_wl1 = 0  # position: sequence number of the last window update
        self.snd_scale = 0  # bits: shift of the peer's window
        self.snd_up = 0  # position: end of urgent data written
        self.snd_sml = 0  # position: end of the last segment below the MSS (Minshall)
        self.pushed = 0  # position: end of what PSH was asked for
        self.run_start = 0  # position: where the current run of writes without PSH began
        self.max_window = 0  # bytes: largest window the peer has offered
        self.rcv_nxt = 0  # position: next position expected
        self.copied = 0  # position: next position the program reads
        self.rcv_wup = 0  # position: `rcv_nxt` when the window was last advertised
        self.rcv_wnd = 0  # bytes: window advertised last, from `rcv_wup`
        self.rcv_scale = 0  # bits: shift of the own window
        self.mss = 536  # bytes: data of a full segment
        self.mss_clamp = 536  # bytes: bound of `mss` by the peer's and the own MSS
        self.peer_mss = 536  # bytes: MSS option of the peer
        self.advertised_mss = 0  # bytes: own MSS option
        self.path_mtu = 0  # bytes: MTU of the path
        self.base_mss_header = 20  # bytes: TCP header without options that vary

    def _init_sender(self) -> None:
        self.sent: list[Sent] = []  # retransmission queue, oldest first
        self.pending: deque[bytes | memoryview] = deque()  # data written and never sent
        self.pending_offset = 0  # bytes: how much of `pending[0]` was sent
        self.push_marks: deque[int] = deque()  # position: ends of writes, which PSH marks
        self.record_ends: deque[int] | None = None  # position: ends of records (MSG_EOR)
        self.due = 0  # position: end of writes that later ones do not delay; 0: none
        self.buffered = 0  # bytes: written and not yet acknowledged
        self.send_buffer = 0  # bytes: size of the send buffer
        self.no_space = False  # whether a writer found the buffer full
        self.nagle = 0  # bits: Nagle's algorithm (`NAGLE_OFF` and others)
        self.fin_queued = False  # whether a FIN ends what is written
        self.write_shut = False  # whether the program has shut writing down
        self.urgent_mode = False  # whether urgent data is not yet acknowledged
        self.packets_out = 0  # segments: sent and not cumulatively acknowledged
        self.bytes_acked = 0  # bytes: acknowledged
        self.bytes_sent = 0  # bytes: sent, retransmissions included
        self.bytes_retransmitted = 0  # bytes: retransmitted
        self.segments_out = 0  # segments: sent
        self.data_segments_out = 0  # segments: sent with data
        self.total_retransmits = 0  # segments: retransmitted
        self.last_data_out = 0  # us: when data was last sent
        self.departed_at = 0  # us: when a segment last left

    def _init_window(self) -> None:
        self.cwnd = 10  # segments: congestion window
        self.ssthresh = INFINITE  # segments: slow start threshold
        self.cwnd_count = 0  # segments: acknowledged towards the next segment of window
        self.cwnd_used = 0  # segments: most in flight since the window was last used up
        self.cwnd_stamp = 0  # us: when the window was last used up or set
        self.cwnd_limited = False  # whether the window bounded what was in flight
        self.cwnd_usage_seq = 0  # position: end of the flight that `cwnd_limited` is about
        self.max_packets_out = 0  # segments: most in flight in that flight
        self.prior_cwnd = 0  # segments: window before the last reduction
        self.pacing_rate = 0  # bytes/s: rate at which a window would leave in a round trip
        self.paced_until = 0  # us: when the next burst may leave
        self.delivered = 0  # segments: delivered, cumulatively or by SACK
        self.delivered_ce = 0  # segments: delivered with a congestion mark
        self.lost = 0  # segments: marked lost
        self.app_limited = 0  # segments: `delivered` where the program's limit ends; 0: none
        self.delivered_at = 0  # us: when `delivered` last grew
        self.first_sent_at = 0  # us: when the segment delivered last was sent
        self.rate_delivered = 0  # segments: best recent rate sample: segments delivered
        self.rate_interval = 0  # us: best recent rate sample: in this time
        self.rate_app_limited = False  # best recent rate sample: limited by the program

    def _init_receiver(self) -> None:
        self.received: deque[bytes | memoryview] = deque()  # data in order that waits to be read
        self.received_offset = 0  # bytes: how much of `received[0]` was read
        self.reassembly: Reassembly | None = None  # what arrived out of order
        self.receive_buffer = 0  # bytes: size of the receive buffer
        self.rcv_ssthresh = 0  # bytes: bound of the window, grows by what arrives
        self.window_clamp = 0  # bytes: largest window ever to offer
        self.read_count = 0  # bytes: read since the last `flush`
        self.rcv_urgent = 0  # position: end of urgent data that the peer announced
        self.urgent_byte: int | None = None  # urgent byte, out of line
        self.urgent_flags = 0  # bits: state of urgent data (`urgent`)
        self.fin_received = False  # whether the peer's FIN is in order
        self.bytes_received = 0  # bytes: received in order
        self.segments_in = 0  # segments: received
        self.data_segments_in = 0  # segments: received with data
        self.rcv_ooo_packets = 0  # segments: received out of order
        self.last_data_in = 0  # us: when data last arrived
        self.last_heard = 0  # us: when the peer was last heard
        self.last_oow_at = 0  # us: when a segment out of the window was last answered
        self.last_ack_sent_at = 0  # us: when an ACK was last sent

    def _init_ack(self) -> None:
        self.ack_pending = 0  # bits: which ACK is due (`ACK_SCHEDULED` and others)
        self.rx_max_mss = 536  # bytes: segments that come in, as far as known (rcv_mss)

    def _init_scoreboard(self) -> None:
        self.sack_ok = False  # whether SACK was negotiated
        self.sack_high = 0  # position: end of the highest segment SACKed
        self.dsack_seen = False  # whether a D-SACK was ever received
        self.dsack_duplicates = 0  # segments: reported as duplicate by D-SACKs
        self.reordering = 3  # segments: displacement that is no loss yet
        self.reordering_seen = 0  # how often the network was seen to reorder
        self.sacked_out = 0  # segments: SACKed, or counted as duplicate ACKs
        self.lost_out = 0  # segments: lost and not yet delivered
        self.retransmitted_out = 0  # segments: retransmitted and in flight
        self.ca_state = OPEN  # congestion state (`OPEN` and others)
        self.tlp_high_seq: int | None = None  # position: `snd_nxt` at the tail loss probe under way
        self.tlp_retransmission = False  # whether that probe was a retransmission
        self.reneging = False  # whether the peer has thrown SACKed data away

    def _init_timers(self) -> None:
        self.srtt = 0  # us/8: smoothed round trip time, 0: no sample
        self.mdev = 0  # us/4: mean deviation
        self.mdev_max = 0  # us/4: largest mean deviation of this round trip
        self.rttvar = 0  # us/4: variance that the timeout is made of
        self.rtt_seq = 0  # position: end of this round trip
        self.min_rtt: Track | None = None  # us: minimum and what may follow it
        self.rto = 1_000_000  # us: retransmission timeout
        self.backoff = 0  # doublings of `rto`
        self.retransmits = 0  # timeouts in a row
        self.probes_out = 0  # probes of the window or keep-alives not answered
        self.probe_stamp = 0  # us: when the first of these was sent
        self.user_timeout = 0  # us: TCP_USER_TIMEOUT
        self.timer = NO_TIMER  # what `timer_at` is for (`RTO_TIMER` and others)
        self.timer_at = NEVER  # us: deadline of retransmission, probes and reordering
        self.delack_at = NEVER  # us: deadline of the delayed ACK
        self.keepalive_at = NEVER  # us: deadline of the keep-alive, or of FIN-WAIT-2
        self.pace_at = NEVER  # us: when a paced sender may go on
        self.compressed_at = NEVER  # us: deadline of the ACK held back
        self.wake_at = NEVER  # us: earliest deadline in the heap

    # End of what is generated.

    def __init__(
        self, layer: TcpLayer, source: bytes, source_port: int, destination: bytes, destination_port: int
    ) -> None:
        self.layer = layer
        self.source = source
        self.destination = destination
        self.source_port = source_port
        self.destination_port = destination_port
        self.congestion: Congestion
        self._init_components()
        self._init_identity()
        self._init_extensions()
        self._init_sequence()
        self._init_sender()
        self._init_window()
        self._init_receiver()
        self._init_ack()
        self._init_scoreboard()
        self._init_timers()

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
