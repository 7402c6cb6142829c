"""Passive open: half-open connections, the accept queue, and SYN cookies when the former overflows (RFC 4987)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.accecn import ACE_FAIL_RECEIVE, ACE_FAIL_SEND, AccEcn, ace_of, is_requested, reflect
from catenet.stack.tcp.control.connection import ECN_OK, MASK, NEVER, RTO_TIMER, Connection, position
from catenet.stack.tcp.control.constants import MAX_WINDOW_SCALE, RCVBUF_LOCK, TIMEOUT_INIT
from catenet.stack.tcp.control.rto import sample_rtt, update_min_rtt
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.opening import cookies
from catenet.stack.tcp.opening import fast_open as fastopen
from catenet.stack.tcp.opening.establish import initialise_segment_size, prepare, transfer, use_timestamps
from catenet.stack.tcp.opening.options import syn_ack_options
from catenet.stack.tcp.receiving.input import segment_arrives
from catenet.stack.tcp.receiving.refuse import Refuse
from catenet.stack.tcp.receiving.window import initial_window, window_from_buffer
from catenet.stack.tcp.sending.acknowledge import sync_mss
from catenet.wire.tcp import (
    ACK,
    AE,
    CWR,
    ECE,
    FIN,
    RST,
    SYN,
    TIMESTAMPS_LENGTH,
    TcpOptions,
    TcpSegment,
    encode_options,
    pack,
)

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.ip.routes import Route
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["HalfOpen", "Listener"]

_COOKIE_PATIENCE: Final = 120_000_000
"""Microseconds after the last cookie in which acknowledgments are checked for one."""


class HalfOpen:
    """A half-open connection: what the SYN said, and what we answered."""

    __slots__ = (
        "accecn",
        "acked",
        "destination",
        "destination_port",
        "ecn",
        "fast_open",
        "iss",
        "key",
        "last_oow_at",
        "layer",
        "listener",
        "mss",
        "rcv_nxt",
        "rcv_scale",
        "rcv_wnd",
        "retransmits",
        "route",
        "sack_ok",
        "sent_at",
        "snd_scale",
        "source",
        "source_port",
        "timeouts",
        "timer_at",
        "timestamps",
        "traffic_class",
        "ts_offset",
        "ts_recent",
        "wake_at",
        "window_clamp",
    )

    delack_at: ClassVar[int] = NEVER
    keepalive_at: ClassVar[int] = NEVER
    pace_at: ClassVar[int] = NEVER
    compressed_at: ClassVar[int] = NEVER

    def __init__(
        self, listener: Listener, source: Address, destination: Address, segment: TcpSegment, route: Route
    ) -> None:
        self.listener = listener
        self.layer = listener.layer
        self.key = b""
        self.source = source
        self.destination = destination
        self.source_port = segment.destination_port
        self.destination_port = segment.source_port
        self.route = route
        self.rcv_nxt = segment.seq + 1
        self.iss = 0
        self.accecn: AccEcn | None = None
        self.acked = False
        self.fast_open: tuple[bytes, bool] | None = None
        """Cookie for the SYN-ACK, and whether in the experimental option."""
        self.retransmits = self.timeouts = 0
        self.last_oow_at = self.sent_at = self.ts_offset = 0
        self.timer_at = self.wake_at = NEVER
        self.traffic_class = 0
        self.ecn = 0
        settings, options = self.layer.settings, segment.options
        self.mss = options.mss or 536
        self.snd_scale = self.rcv_scale = 0
        scaling = options.window_scale is not None and bool(settings.tcp_window_scaling)
        if options.window_scale is not None and scaling:
            self.snd_scale = min(options.window_scale, MAX_WINDOW_SCALE)
        else:
            self.snd_scale = -1
        self.sack_ok = bool(options.sack_permitted and settings.tcp_sack)
        self.timestamps = options.timestamps is not None and bool(settings.tcp_timestamps)
        self.ts_recent = options.timestamps[0] if options.timestamps else 0
        self.rcv_wnd = self.window_clamp = 0
        self._choose_window(scaling)

    def _choose_window(self, scaling: bool) -> None:
        endpoint, settings = self.listener.endpoint, self.layer.settings
        buffer = endpoint.number("SO_RCVBUF", settings.tcp_rmem[1])
        locked = endpoint.locks & RCVBUF_LOCK
        space = window_from_buffer(buffer)
        clamp = endpoint.number("TCP_WINDOW_CLAMP", 0)
        if locked and (not clamp or clamp > space):
            clamp = space
        mss = self.advertised_mss() - (TIMESTAMPS_LENGTH if self.timestamps else 0)
        self.rcv_wnd, self.window_clamp, self.rcv_scale = initial_window(
            space,
            mss,
            clamp,
            scaling,
            buffer if locked else max(settings.tcp_rmem[2], self.layer.settings_rmem_max),
            bool(settings.tcp_workaround_signed_windows),
            self.route.metrics.initrwnd,
        )

    def advertised_mss(self) -> int:
        """MSS that the SYN-ACK carries."""
        limit = self.route.metrics.advmss or self.layer.link_mtu(self.route) - (40 if len(self.source) == 4 else 60)
        user = self.listener.endpoint.number("TCP_MAXSEG", 0)
        return min(limit, user) if user else limit

    def send_syn_ack(self) -> None:
        """Send the SYN-ACK, for the first time or again."""
        layer = self.layer
        options = TcpOptions(mss=self.advertised_mss(), sack_permitted=self.sack_ok)
        if self.fast_open is not None:
            options.fast_open, options.fast_open_experimental = self.fast_open
        if self.timestamps:
            options.timestamps = ((layer.us // 1000 + self.ts_offset) & MASK, self.ts_recent)
        if self.snd_scale >= 0:
            options.window_scale = self.rcv_scale
        flags = SYN | ACK
        if self.accecn is not None:
            # A SYN-ACK that was lost twice is sent without what a middlebox may drop (RFC 9768 3.1.4.2).
            flags |= reflect(self.accecn.syn_mark) if self.timeouts <= 1 else 0
        elif self.ecn:
            flags |= ECE
        data = pack(
            layer.pseudo(self.source, self.destination),
            self.source_port,
            self.destination_port,
            self.iss & MASK,
            self.rcv_nxt & MASK,
            flags,
            min(self.rcv_wnd, 65535),
            0,
            syn_ack_options(
                options, self.accecn is not None and not self.retransmits and layer.settings.tcp_ecn_option > 0
            ),
            b"",
        )
        self.sent_at = layer.us
        layer.send_unconnected(self.source, self.destination, data, self.traffic_class)

    def start_timer(self) -> None:
        """Retransmit the SYN-ACK later, each time twice as late."""
        delay = min(TIMEOUT_INIT << self.timeouts, self.layer.rto_max)
        self.timer_at = self.layer.us + delay
        if self.timer_at < self.wake_at:
            self.layer.timers.push(self, self.timer_at)

    def expire(self) -> None:
        """Retransmit the SYN-ACK, or drop the half-open connection after enough of them."""
        self.timer_at = NEVER
        listener = self.listener
        limit = listener.endpoint.number("TCP_SYNCNT", 0) or self.layer.settings.tcp_synack_retries
        defer = listener.endpoint.number("TCP_DEFER_ACCEPT", 0)
        if defer:
            # A handshake that lacks nothing but data is kept for as long as the option says.
            limit = max(limit, defer) if self.acked else limit
        if self.timeouts >= limit:
            listener.drop(self)
            return
        self.timeouts += 1
        if not self.acked or (defer and self.timeouts > defer - 1) or not defer:
            self.retransmits += 1
            self.layer.counters.retransmitted += 1
            self.send_syn_ack()
        self.start_timer()


class Listener:
    """An endpoint in LISTEN: its half-open connections and its accept queue."""

    __slots__ = (
        "backlog",
        "endpoint",
        "fast_opening",
        "flooded_at",
        "half_open",
        "layer",
        "overflows",
        "queue",
        "young",
    )

    def __init__(self, endpoint: TcpEndpoint, backlog: int) -> None:
        self.endpoint = endpoint
        self.layer: TcpLayer = endpoint.layer
        self.backlog = backlog
        self.queue: deque[Connection] = deque()
        self.half_open: dict[bytes, HalfOpen | Connection] = {}
        self.fast_opening = 0
        self.overflows = 0
        self.young = 0
        self.flooded_at = -_COOKIE_PATIENCE
        """When the last cookie went out."""

    @property
    def is_full(self) -> bool:
        """Whether the accept queue takes no more."""
        return len(self.queue) > self.backlog

    # Segments for no known connection.

    def segment_arrives(self, source: Address, destination: Address, segment: TcpSegment, ecn: int, isn: int) -> bool:
        """Process a segment for no known connection (`source` is the peer); False when it is to be reset.

        `isn` is the initial sequence number that TIME-WAIT has chosen for the connection that follows it, else 0.
        """
        flags = segment.flags
        if flags & RST:
            return True
        if flags & ACK:
            return not flags & SYN and self._try_cookie(source, destination, segment, ecn)
        if flags & SYN and not flags & FIN:
            self._syn(source, destination, segment, ecn, isn)
        return True

    def _syn(self, peer: Address, local: Address, segment: TcpSegment, ecn: int, isn: int) -> None:
        layer, settings = self.layer, self.layer.settings
        cookie = False
        if not isn and (settings.tcp_syncookies == 2 or len(self.half_open) >= max(self.backlog, 1)):
            if not settings.tcp_syncookies:
                layer.counters.listen_drops += 1
                return
            cookie = True
        if self.is_full:
            layer.counters.listen_overflows += 1
            return
        if not cookie and not settings.tcp_syncookies and len(self.half_open) >= settings.tcp_max_syn_backlog:
            layer.counters.listen_drops += 1
            return
        route = layer.route_to(peer, local, self.endpoint)
        if route is None:
            return
        half_open = HalfOpen(self, local, peer, segment, route)
        half_open.traffic_class = self.endpoint.number("IP_TOS", 0)
        half_open.ts_offset = layer.timestamp_offset(local, peer)
        self._negotiate_ecn(half_open, segment, ecn)
        if cookie:
            self._answer_with_cookie(half_open, segment)
            return
        begins, answer = fastopen.verdict(half_open, segment)
        if answer is not None:
            half_open.fast_open = (answer, segment.options.fast_open_experimental)
        half_open.iss = isn or layer.initial_sequence(local, peer, segment.destination_port, segment.source_port)
        half_open.key = layer.key(peer, local, segment.source_port, segment.destination_port)
        if begins:
            self._fast_open(half_open, segment)
            return
        self.half_open[half_open.key] = half_open
        layer.connections[half_open.key] = half_open
        half_open.send_syn_ack()
        half_open.start_timer()

    def _fast_open(self, half_open: HalfOpen, segment: TcpSegment) -> None:
        """Begin the connection with a SYN that brought a valid cookie (RFC 7413 4.2.2)."""
        layer = self.layer
        c = self.make_child(half_open)
        handshake = fastopen.ServerHandshake(self, half_open)
        c.fast_open = handshake
        c.snd_wnd = c.max_window = segment.window
        self.half_open[c.key] = c
        self.fast_opening += 1
        layer.add(c)
        transfer(c)
        if segment.payload:
            c.syn_data = 2
            c.received.append(segment.payload)
            c.rcv_nxt += len(segment.payload)
            c.bytes_received += len(segment.payload)
        handshake.send_syn_ack(c)
        set_timer(c, RTO_TIMER, TIMEOUT_INIT)
        self.queue.append(c)
        self._notify()

    def _negotiate_ecn(self, half_open: HalfOpen, segment: TcpSegment, ecn: int) -> None:
        if is_requested(segment.flags) and self.layer.settings.tcp_ecn >= 3:
            half_open.accecn = AccEcn(True, ecn)
            half_open.accecn.demand = 1
            return
        asks = segment.flags & (ECE | CWR) == ECE | CWR
        if asks and (self.layer.settings.tcp_ecn or half_open.route.metrics.ecn) and (not ecn or segment.flags & AE):
            half_open.ecn = 1

    def _answer_with_cookie(self, half_open: HalfOpen, segment: TcpSegment) -> None:
        """Answer without keeping state: it is in our sequence number and timestamp."""
        layer = self.layer
        if layer.us - self.flooded_at >= _COOKIE_PATIENCE:
            layer.counters.syn_floods += 1
        self.flooded_at = layer.us
        index, half_open.iss = cookies.make(layer, half_open, segment)
        half_open.mss = index
        if not half_open.timestamps:
            half_open.snd_scale = -1
            half_open.sack_ok = False
            half_open.ecn = 0
        else:
            half_open.ts_offset = cookies.timestamp_offset(layer, half_open)
        layer.counters.cookies_sent += 1
        half_open.send_syn_ack()

    def _try_cookie(self, peer: Address, local: Address, segment: TcpSegment, ecn: int) -> bool:
        """Complete a handshake whose state is in a cookie, by an ACK for no known connection; False to reset."""
        layer = self.layer
        if not layer.settings.tcp_syncookies or layer.us - self.flooded_at >= _COOKIE_PATIENCE:
            return False  # no cookie is outstanding: do not let an attacker guess
        opened = cookies.open_cookie(layer, local, peer, segment)
        if opened is None:
            layer.counters.cookies_failed += 1
            return False
        route = layer.route_to(peer, local, self.endpoint)
        if route is None or self.is_full:
            return True
        half_open = HalfOpen(self, local, peer, opened, route)
        half_open.iss = segment.ack - 1
        half_open.mss = opened.options.mss or 536
        half_open.key = layer.key(peer, local, segment.source_port, segment.destination_port)
        half_open.ts_offset = layer.timestamp_offset(local, peer)
        layer.counters.cookies_received += 1
        return self._complete(half_open, segment, ecn)

    # Segments for half-open connections.

    def half_open_arrives(self, half_open: HalfOpen, segment: TcpSegment, ecn: int) -> bool:
        """Process a segment for a half-open connection (RFC 9293 3.10.7.4, SYN-RECEIVED); False to reset."""
        flags = segment.flags
        seq = position(segment.seq, half_open.rcv_nxt)
        timestamps = segment.options.timestamps if half_open.timestamps else None
        old = timestamps is not None and 0 < (half_open.ts_recent - timestamps[0]) & MASK < 0x80000000
        if seq == half_open.rcv_nxt - 1 and flags & (SYN | RST | ACK) == SYN and not old:
            # A repeated SYN: repeat the answer, but not faster than twice a second.
            if not self._is_rate_limited(half_open):
                half_open.retransmits += 1
                self._note_repeated_syn(half_open, segment, ecn)
                half_open.send_syn_ack()
                half_open.start_timer()
            return True
        if flags & RST:
            if seq == half_open.rcv_nxt and not old:
                self.drop(half_open)
            elif half_open.rcv_nxt <= seq <= half_open.rcv_nxt + half_open.rcv_wnd and not self._is_rate_limited(
                half_open
            ):
                # RFC 5961 3.2 holds for half-open connections too.
                self._send_ack(half_open)
            return True
        if flags & ACK and position(segment.ack, half_open.iss) != half_open.iss + 1:
            return False
        end = seq + len(segment.payload) + (flags & FIN) + (1 if flags & SYN else 0)
        if old or end < half_open.rcv_nxt or seq > half_open.rcv_nxt + half_open.rcv_wnd:
            if not self._is_rate_limited(half_open):
                self._send_ack(half_open)
            return True
        if timestamps is not None and seq <= half_open.rcv_nxt:
            half_open.ts_recent = timestamps[0]
        if seq == half_open.rcv_nxt - 1:
            flags &= ~SYN
        if flags & SYN:
            self._send_ack(half_open)
            return True
        if not flags & ACK:
            return True
        if half_open.timeouts < self.endpoint.number("TCP_DEFER_ACCEPT", 0) and end == half_open.rcv_nxt:
            half_open.acked = True
            return True
        if self.is_full:
            self.layer.counters.listen_overflows += 1
            if self.layer.settings.tcp_abort_on_overflow:
                self.drop(half_open)
                return False
            half_open.acked = True
            return True
        return self._complete(half_open, segment, ecn)

    def _note_repeated_syn(self, half_open: HalfOpen, segment: TcpSegment, ecn: int) -> None:
        accecn = half_open.accecn
        if accecn is None:
            return
        accecn.syn_mark = accecn.mark = ecn
        if not ace_of(segment.flags):
            accecn.fail |= ACE_FAIL_RECEIVE
        if half_open.retransmits > 1:
            accecn.fail |= ACE_FAIL_SEND

    def _is_rate_limited(self, half_open: HalfOpen) -> bool:
        now = self.layer.us
        if half_open.last_oow_at and now - half_open.last_oow_at < self.layer.settings.tcp_invalid_ratelimit * 1000:
            return True
        half_open.last_oow_at = now
        return False

    def _send_ack(self, half_open: HalfOpen) -> None:
        options = TcpOptions()
        if half_open.timestamps:
            options.timestamps = ((self.layer.us // 1000 + half_open.ts_offset) & MASK, half_open.ts_recent)
        data = pack(
            self.layer.pseudo(half_open.source, half_open.destination),
            half_open.source_port,
            half_open.destination_port,
            (half_open.iss + 1) & MASK,
            half_open.rcv_nxt & MASK,
            ACK,
            min(half_open.rcv_wnd >> half_open.rcv_scale, 65535),
            0,
            encode_options(options),
            b"",
        )
        self.layer.send_unconnected(half_open.source, half_open.destination, data, half_open.traffic_class)

    def _complete(self, half_open: HalfOpen, segment: TcpSegment, ecn: int) -> bool:
        """Make the connection: the handshake is complete."""
        if half_open.accecn is not None:
            half_open.accecn.see_option(segment.options)
        c = self.make_child(half_open)
        if c.accecn is not None:
            c.accecn.on_third_ack(c, segment, bool(segment.options.sack))
        self.half_open.pop(half_open.key, None)
        half_open.timer_at = half_open.wake_at = NEVER
        self.layer.add(c)
        self._measure(c, half_open, segment)
        try:
            segment_arrives(c, segment, ecn)
        except Refuse:
            c.state = states.after(c.state, states.END)
            self.layer.forget(c)
            return False
        if c.state != states.CLOSED or c.received or c.error is not None:
            self.queue.append(c)
            self._notify()
        return True

    def make_child(self, half_open: HalfOpen) -> Connection:
        """Make a connection in SYN-RECEIVED from a half-open one."""
        layer, endpoint = self.layer, self.endpoint
        c = Connection(
            layer, half_open.source, half_open.source_port, half_open.destination, half_open.destination_port
        )
        c.key = half_open.key
        c.options = dict(endpoint.options)
        c.locks = endpoint.locks
        c.pseudo = layer.pseudo(c.source, c.destination)
        c.interface = endpoint.bound_interface
        c.hop_limit = endpoint.hop_limit
        c.traffic_class = half_open.traffic_class & 0xFC
        c.state = states.after(states.LISTEN, states.SYN_ARRIVES)
        c.shutdown = endpoint.shut
        prepare(c, half_open.route)
        c.iss = half_open.iss
        c.snd_una = c.snd_nxt = c.write_seq = c.snd_up = c.snd_sml = c.pushed = half_open.iss + 1
        c.irs = half_open.rcv_nxt - 1
        c.rcv_nxt = c.rcv_wup = c.copied = half_open.rcv_nxt
        c.snd_wl1 = half_open.rcv_nxt - 1
        c.rcv_wnd, c.window_clamp, c.rcv_scale = half_open.rcv_wnd, half_open.window_clamp, half_open.rcv_scale
        c.rcv_ssthresh = c.rcv_wnd
        if half_open.snd_scale >= 0:
            c.snd_scale = half_open.snd_scale
        else:
            c.rcv_scale = 0
            c.window_clamp = min(c.window_clamp, 65535)
        c.sack_ok = half_open.sack_ok
        c.peer_mss = half_open.mss
        user = c.option("TCP_MAXSEG", 0)
        c.mss_clamp = min(half_open.mss, user) if user else half_open.mss
        c.advertised_mss = half_open.advertised_mss()
        c.ts_offset = half_open.ts_offset
        if half_open.timestamps:
            use_timestamps(c)
            c.ts_recent = half_open.ts_recent
            c.ts_recent_at = layer.us
        c.accecn = half_open.accecn
        if half_open.ecn:
            c.ecn = ECN_OK
        c.total_retransmits = half_open.retransmits
        if half_open.retransmits > 1:
            c.recovery.undo_marker = c.snd_una
        c.last_ack_sent_at = c.last_data_out = layer.us
        sync_mss(c)
        initialise_segment_size(c)
        return c

    def _measure(self, c: Connection, half_open: HalfOpen, segment: TcpSegment) -> None:
        """Measure the round trip time of the SYN-ACK; by the echoed timestamp if it was retransmitted (Karn)."""
        rtt = -1
        if half_open.sent_at and not half_open.retransmits:
            rtt = self.layer.us - half_open.sent_at
        elif c.timestamps and segment.options.timestamps:
            delta = (self.layer.us // 1000 + c.ts_offset - segment.options.timestamps[1]) & MASK
            if delta < 1 << 21:
                rtt = (delta or 1) * 1000
        if rtt >= 0:
            update_min_rtt(c, rtt, self.layer.us)
            sample_rtt(c, rtt)

    # The accept queue.

    def accept(self) -> Connection | None:
        """The oldest connection of the accept queue, None without any."""
        return self.queue.popleft() if self.queue else None

    def drop(self, half_open: HalfOpen) -> None:
        """Forget a half-open connection."""
        half_open.timer_at = half_open.wake_at = NEVER
        self.half_open.pop(half_open.key, None)
        if self.layer.connections.get(half_open.key) is half_open:
            del self.layer.connections[half_open.key]

    def drop_child(self, c: Connection) -> None:
        """Forget a Fast Open connection that ended before its handshake was complete."""
        if self.half_open.pop(c.key, None) is not None:
            self.fast_opening -= 1

    def on_child_established(self, c: Connection) -> None:
        """The handshake of a Fast Open connection is complete."""
        self.drop_child(c)

    def close(self) -> list[Connection]:
        """Drop all that waits; the connections returned are to be reset (RFC 9293 3.10.4)."""
        for half in list(self.half_open.values()):
            if isinstance(half, HalfOpen):
                self.drop(half)
        waiting, self.queue = list(self.queue), deque()
        return waiting

    def _notify(self) -> None:
        if self.endpoint.on_ready is not None:
            self.endpoint.on_ready()
