"""How a connection is established: SYN-SENT (RFC 9293 3.10.7.3), and the entry into ESTABLISHED."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.control.states import CA_OPEN
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.accecn import AccEcn, ace_of, is_requested, reflect
from catenet.stack.tcp.control.connection import (
    ACK_SCHEDULED,
    ACK_TIMER,
    ECN_OK,
    MASK,
    NAGLE_CORK,
    NAGLE_OFF,
    RTO_TIMER,
    Connection,
    Sent,
    position,
)
from catenet.stack.tcp.control.constants import (
    DELACK_MAX,
    MAX_WINDOW_SCALE,
    RCVBUF_LOCK,
    SECOND,
    TIMEOUT_INIT,
    TIMEOUT_MIN,
)
from catenet.stack.tcp.control.lifecycle import on_reset, wake
from catenet.stack.tcp.control.timeouts import set_keepalive
from catenet.stack.tcp.control.timers import clear_timer, set_deadline, set_timer
from catenet.stack.tcp.opening.fast_open import ClientHandshake, ServerHandshake
from catenet.stack.tcp.opening.options import timestamp
from catenet.stack.tcp.receiving.memory import ReceiveMemory
from catenet.stack.tcp.receiving.receive_data import enter_quick_mode, queue_data
from catenet.stack.tcp.receiving.refuse import Refuse
from catenet.stack.tcp.receiving.window import buffer_from_window, full_space, initial_window
from catenet.stack.tcp.sending.acknowledge import acknowledge, expand_send_buffer, sync_mss
from catenet.stack.tcp.sending.mtu import enable
from catenet.stack.tcp.sending.output import push_pending, rearm_rto, send_ack, send_new_entry
from catenet.stack.tcp.sending.pacing import update_rate
from catenet.wire.tcp import ACK, AE, CWR, ECE, FIN, RST, SYN, TIMESTAMPS_LENGTH, TcpSegment

if TYPE_CHECKING:
    from catenet.stack.ip.routes import Route

__all__ = [
    "initialise_segment_size",
    "on_established",
    "prepare",
    "start_connect",
    "synchronise",
    "transfer",
    "use_timestamps",
]


def prepare(c: Connection, route: Route) -> None:
    """Initialise from path, settings and options, before the first segment."""
    settings = c.layer.settings
    header = 40 if len(c.source) == 4 else 60
    metrics = c.metrics = route.metrics
    c.path_mtu = route.mtu
    limit = metrics.advmss or c.layer.link_mtu(route) - header
    user = c.option("TCP_MAXSEG", 0)
    c.advertised_mss = min(limit, user) if user else limit
    c.mss_clamp = user or 65535
    c.rto = TIMEOUT_INIT
    c.reordering = settings.tcp_reordering
    c.ca_state = CA_OPEN
    c.cwnd = metrics.initcwnd or c.layer.initial_cwnd
    c.user_timeout = c.option("TCP_USER_TIMEOUT", 0) * 1000
    if not c.receive_buffer:
        c.receive_buffer = c.option("SO_RCVBUF", 0) or settings.tcp_rmem[1]
    if not c.send_buffer:
        c.send_buffer = c.option("SO_SNDBUF", 0) or settings.tcp_wmem[1]
    c.window_clamp = c.option("TCP_WINDOW_CLAMP", 0)
    locked = c.locks & RCVBUF_LOCK
    largest = c.receive_buffer if locked else max(settings.tcp_rmem[2], c.layer.settings_rmem_max)
    space = full_space(c)
    if locked and (c.window_clamp > space or not c.window_clamp):
        c.window_clamp = space
    c.rcv_wnd, c.window_clamp, c.rcv_scale = initial_window(
        space,
        c.advertised_mss - (TIMESTAMPS_LENGTH if settings.tcp_timestamps else 0)
        if c.state == states.SYN_SENT
        else c.advertised_mss,
        c.window_clamp,
        bool(settings.tcp_window_scaling),
        largest,
        bool(settings.tcp_workaround_signed_windows),
        metrics.initrwnd,
    )
    c.rcv_ssthresh = c.rcv_wnd
    c.congestion = c.layer.make_congestion(c, metrics.congestion)
    c.nagle = NAGLE_OFF if c.option("TCP_NODELAY", 0) else 0
    if c.option("TCP_CORK", 0):
        c.nagle |= NAGLE_CORK
    sync_mss(c)


def start_connect(c: Connection) -> None:
    """Send the first SYN."""
    layer = c.layer
    c.rate.delivered_at = layer.us
    c.recovery.retransmit_stamp = layer.us
    flags = SYN
    if layer.settings.tcp_ecn == 3:
        flags |= ECE | CWR | AE
        c.accecn = AccEcn()
    elif layer.settings.tcp_ecn in (1, 4) or (c.metrics is not None and c.metrics.ecn) or c.congestion.needs_ecn:
        flags |= ECE | CWR
    c.last_heard = layer.us
    sent = Sent(c.iss, c.iss + 1, b"", flags, 1)
    if c.fast_open is not None and c.fast_open.start(c, sent):
        return
    send_new_entry(c, sent)
    set_timer(c, RTO_TIMER, c.rto)


def use_timestamps(c: Connection) -> None:
    """Turn timestamps on, as both sides agreed: every segment carries twelve bytes of them."""
    c.timestamps = True
    c.base_mss_header = 20 + TIMESTAMPS_LENGTH
    c.advertised_mss -= TIMESTAMPS_LENGTH


def initialise_segment_size(c: Connection) -> None:
    """Guess the size of the segments that will arrive."""
    hint = min(c.advertised_mss, c.mss, c.rcv_wnd // 2, 536)
    c.rx_max_mss = max(hint, 88)


def synchronise(c: Connection, segment: TcpSegment, ecn: int) -> None:
    """Process a segment in SYN-SENT."""
    flags = segment.flags
    timestamps = segment.options.timestamps if c.layer.settings.tcp_timestamps else None
    if flags & ACK:
        ack = position(segment.ack, c.snd_una)
        if not c.snd_una < ack <= c.snd_nxt:
            if not c.retransmits and not flags & RST:
                set_timer(c, RTO_TIMER, TIMEOUT_MIN)
            raise Refuse
        if timestamps is not None and timestamps[1] and not flags & RST and not _is_echo_plausible(c, timestamps[1]):
            raise Refuse
        if flags & RST:
            on_reset(c)
            return
        if not flags & SYN:
            return
        _answered(c, segment, ack, ecn)
        return
    if flags & RST or not flags & SYN:
        return
    _crossed(c, segment, ecn)


def _is_echo_plausible(c: Connection, echo: int) -> bool:
    first = (c.recovery.retransmit_stamp // 1000 + c.ts_offset) & MASK
    return (echo - first) & MASK <= (timestamp(c) - first) & MASK


def _learn(c: Connection, segment: TcpSegment) -> None:
    """Take the peer's options from its SYN or SYN-ACK."""
    settings = c.layer.settings
    options = segment.options
    c.irs = segment.seq
    c.rcv_nxt = c.rcv_wup = c.copied = segment.seq + 1
    c.snd_wl1 = segment.seq
    c.peer_mss = options.mss if options.mss else 536
    user = c.option("TCP_MAXSEG", 0)
    c.mss_clamp = min(c.peer_mss, user) if user else c.peer_mss
    if options.window_scale is not None and settings.tcp_window_scaling:
        c.snd_scale = min(options.window_scale, MAX_WINDOW_SCALE)
    else:
        c.snd_scale = c.rcv_scale = 0
        c.window_clamp = min(c.window_clamp, 65535)
    c.sack_ok = bool(options.sack_permitted and settings.tcp_sack)
    if options.timestamps is not None and settings.tcp_timestamps:
        use_timestamps(c)
        c.ts_recent = options.timestamps[0]
        c.ts_recent_at = c.layer.us


def _answered(c: Connection, segment: TcpSegment, ack: int, ecn: int) -> None:
    """Process the SYN-ACK: the connection is established."""
    _learn(c, segment)
    _learn_ecn(c, segment, ecn)
    if isinstance(c.fast_open, ClientHandshake):
        c.fast_open.on_syn_ack(c, segment, ack)
    c.max_window = c.snd_wnd = segment.window
    seq = segment.seq
    acknowledge(c, segment, seq, seq + 1, ack)
    c.snd_wnd = segment.window
    sync_mss(c)
    initialise_segment_size(c)
    c.state = states.after(c.state, states.SYN_ACK_ARRIVES)
    transfer(c)
    clear = not c.packets_out
    if clear:
        clear_timer(c)
    if isinstance(c.fast_open, ClientHandshake) and c.fast_open.complete(c):
        wake(c)
        return
    wake(c)
    payload = segment.payload
    fin = bool(segment.flags & FIN)
    if payload or fin:
        queue_data(c, segment, seq + 1, seq + 1 + len(payload) + fin)
    deferred = c.option("TCP_DEFER_ACCEPT", 0) or _data_follows(c) or c.delayed_ack.pingpong
    if (c.write_seq > c.snd_nxt or deferred) and not payload:
        c.ack_pending |= ACK_SCHEDULED | ACK_TIMER
        pingpong = c.delayed_ack.pingpong
        enter_quick_mode(c, 16)
        c.delayed_ack.pingpong = pingpong
        c.delack_at = c.layer.us + DELACK_MAX
        set_deadline(c, c.delack_at)
    else:
        send_reflecting_ack(c)
    push_pending(c)


def _data_follows(c: Connection) -> bool:
    """Whether a writer waits for the handshake with more data than the SYN held."""
    return isinstance(c.fast_open, ClientHandshake) and c.fast_open.data_follows


def send_reflecting_ack(c: Connection) -> None:
    """Send the third segment of the handshake, which reports with AccECN how the second arrived."""
    accecn = c.accecn
    if accecn is None:
        send_ack(c)
        return
    accecn.reflecting = True
    send_ack(c)
    accecn.reflecting = False


def _learn_ecn(c: Connection, segment: TcpSegment, ecn: int) -> None:
    """Adopt what the SYN-ACK says about ECN (RFC 3168 6.1.1, RFC 9768 table 2)."""
    ace = ace_of(segment.flags)
    if c.accecn is None:
        if ace & 3 == 1 and c.sent and c.sent[0].flags & ECE:
            c.ecn = ECN_OK
    elif ace in (0, 1, 7):
        c.accecn = None
        if ace == 1:
            c.ecn = ECN_OK
    else:
        c.accecn.on_syn_ack(c, segment, ecn)


def _crossed(c: Connection, segment: TcpSegment, ecn: int) -> None:
    """Process a SYN that crossed ours: simultaneous open."""
    _learn(c, segment)
    c.max_window = c.snd_wnd = segment.window
    c.state = states.after(c.state, states.SYN_ARRIVES)
    echo = 0
    if c.accecn is not None and is_requested(segment.flags):
        c.accecn.active = True
        c.accecn.syn_mark = c.accecn.mark = ecn
        echo = reflect(ecn)
    elif segment.flags & (ECE | CWR) == ECE | CWR and c.layer.settings.tcp_ecn:
        c.accecn = None
        c.ecn = ECN_OK
        echo = ECE
    else:
        c.accecn = None
    sync_mss(c)
    initialise_segment_size(c)
    head = c.sent[0]
    head.flags = SYN | ACK | echo
    head.sent_at = c.layer.us
    c.layer.send_syn(c, head, False)


def transfer(c: Connection) -> None:
    """Initialise what the transfer of data needs."""
    layer = c.layer
    if c.total_retransmits > 1 and c.recovery.undo_marker is not None:
        # The handshake was lost more than once: begin carefully (RFC 6298 5.7, RFC 5681 3.1).
        c.cwnd = 1
    else:
        c.cwnd = (c.metrics.initcwnd if c.metrics is not None else 0) or layer.initial_cwnd
    c.metrics = None
    c.cwnd_stamp = layer.us
    c.last_data_out = c.last_data_in = c.last_heard = layer.us
    if layer.settings.tcp_truesize:
        c.memory = ReceiveMemory()
    c.tuning.space = min(c.rcv_wnd, layer.initial_cwnd * c.advertised_mss)
    c.tuning.space_at = layer.us
    c.tuning.space_seq = c.copied
    expand_send_buffer(c)
    expand_receive_buffer(c)
    c.congestion.start(c)
    if not c.congestion.controls:
        update_rate(c)
    if c.option("SO_KEEPALIVE", 0):
        set_keepalive(c, (c.option("TCP_KEEPIDLE", 0) or layer.settings.tcp_keepalive_time) * SECOND)
    if layer.settings.tcp_mtu_probing > 1:
        enable(c)


def expand_receive_buffer(c: Connection) -> None:
    """Let the buffer hold at least the initial window."""
    if not c.locks & RCVBUF_LOCK and c.memory is None:
        wanted = min(buffer_from_window(4 * c.advertised_mss * c.layer.initial_cwnd), c.layer.settings.tcp_rmem[2])
        if c.receive_buffer < wanted:
            c.receive_buffer = wanted
    full = full_space(c)
    if c.window_clamp > full and c.locks & RCVBUF_LOCK:
        c.window_clamp = full
    elif c.window_clamp >= full:
        c.window_clamp = max(full, c.rcv_wnd)
    c.rcv_ssthresh = min(c.rcv_ssthresh, c.window_clamp)


def on_established(c: Connection, segment: TcpSegment) -> None:
    """Enter ESTABLISHED: our SYN or SYN-ACK was acknowledged in SYN-RECEIVED."""
    c.state = states.after(c.state, states.ACK_OF_SYN)
    if isinstance(c.fast_open, ServerHandshake):
        c.delivered += 1  # the SYN-ACK, which is in no queue
    c.snd_wnd = segment.window << c.snd_scale
    c.max_window = max(c.max_window, c.snd_wnd)
    c.snd_wl1 = position(segment.seq, c.rcv_nxt)
    sync_mss(c)
    if c.fast_open is None:
        transfer(c)
        initialise_segment_size(c)
        if not c.packets_out:
            clear_timer(c)
    else:
        rearm_rto(c)
    if isinstance(c.fast_open, ServerHandshake):
        c.fast_open.complete(c)
        if c.accecn is not None:
            c.accecn.on_third_ack(c, segment, bool(segment.options.sack))
    wake(c)
