"""TCP of one host: finds the connection that a segment is for, and drives all connections.

One dictionary holds everything that has two names: connections, half-open ones, TIME-WAIT. A key is the slice of a
packet that holds both addresses and both ports, so that looking one up costs a concatenation.
"""

from __future__ import annotations

import math
import random as random_module
from dataclasses import dataclass, fields
from hashlib import blake2s
from typing import TYPE_CHECKING, Final

from catenet.control import ALGORITHMS, Congestion, make
from catenet.stack.endpoint import Fault, StackError
from catenet.stack.tcp.control.connection import EPOCH, MASK, NEVER, START, Connection, Sent
from catenet.stack.tcp.control.errors import on_error
from catenet.stack.tcp.control.lifecycle import SHUTDOWN_BOTH, done, hand_over, wake
from catenet.stack.tcp.control.time_wait import TimeWait, Verdict
from catenet.stack.tcp.control.timeouts import expire
from catenet.stack.tcp.control.timers import TimerHeap
from catenet.stack.tcp.opening.fast_open import CookieCache, ServerHandshake
from catenet.stack.tcp.opening.listener import HalfOpen, Listener
from catenet.stack.tcp.opening.options import syn_ack_options, syn_options
from catenet.stack.tcp.opening.ports import Ports, sharing
from catenet.stack.tcp.parking.pool import IdlePool, Parked
from catenet.stack.tcp.receiving.input import segment_arrives
from catenet.stack.tcp.receiving.refuse import Refuse
from catenet.stack.tcp.sending.autotune import BufferBudget
from catenet.stack.tcp.sending.flush import WORK_PATH_MTU, WORK_RESET, flush, reset, schedule
from catenet.stack.tcp.sending.output import send_raw
from catenet.stack.tcp.user.endpoint import TcpEndpoint
from catenet.stack.units import Micros, Seconds
from catenet.wire.checksum import pseudo_sum
from catenet.wire.errors import Malformed
from catenet.wire.tcp import ACK, FIN, PROTOCOL, RST, SYN, TcpSegment, pack, parse

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.ip.icmp import ErrorReport
    from catenet.stack.ip.output import Output
    from catenet.stack.ip.routes import Route
    from catenet.stack.settings import Settings
    from catenet.wire.ip import IpPacket

__all__ = ["TcpCounters", "TcpLayer"]

_ISN_TICK: Final = 4
_CHALLENGE_WINDOW: Final = 1_000_000
_NO_LIMIT: Final = 0x7FFFFFFF


@dataclass(slots=True)
class TcpCounters:
    """Counters of events, for reports."""

    active_opens: int = 0
    passive_opens: int = 0
    in_segments: int = 0
    in_errors: int = 0
    in_predicted: int = 0
    """Segments that were what their connection expected (Linux's TCPHPHits and TCPHPAcks)."""
    out_segments: int = 0
    out_resets: int = 0
    retransmitted: int = 0
    timeouts: int = 0
    loss_probes: int = 0
    delayed_acks: int = 0
    established_resets: int = 0
    aborts_on_timeout: int = 0
    challenge_acks: int = 0
    paws_rejected: int = 0
    listen_overflows: int = 0
    listen_drops: int = 0
    syn_floods: int = 0
    cookies_sent: int = 0
    cookies_received: int = 0
    cookies_failed: int = 0
    time_wait_overflows: int = 0
    orphan_overflows: int = 0

    def snapshot(self) -> dict[str, int]:
        """Counters by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class TcpLayer:
    """All of one host's TCP."""

    __slots__ = (
        "_budget",
        "_challenge_count",
        "_challenge_since",
        "connections",
        "cookies",
        "counters",
        "dirty",
        "fast_paths",
        "gso_size",
        "held",
        "idle_pool",
        "initial_cwnd",
        "merged_size",
        "offload",
        "orphans",
        "output",
        "ports",
        "random",
        "resets",
        "secret",
        "settings",
        "time_waits",
        "timers",
        "us",
    )

    def __init__(self, output: Output, settings: Settings, random: random_module.Random) -> None:
        self.output = output
        self.settings: Settings = settings
        self.random = random
        self.secret = random.randbytes(32)
        self.connections: dict[bytes, Connection | HalfOpen | TimeWait | Parked] = {}
        self.idle_pool = IdlePool(self)
        self._budget = BufferBudget()
        self.orphans: dict[Connection, None] = {}
        """Connections that their programs have closed and that have not ended yet."""
        self.dirty: list[Connection] = []
        """Connections with scheduled work (`flush.schedule`)."""
        self.resets: list[Connection] = []
        """Connections to be reset once no packet is on its way to this host itself."""
        self.timers = TimerHeap()
        self.ports = Ports(self)
        self.counters = TcpCounters()
        self.cookies = CookieCache()
        self.merged_size = 0
        """Bytes of the segments that the device below merges into larger ones (GRO); 0: not known."""
        self.us = 0
        self.gso_size = 0
        """Bytes that the device below cuts into segments (GSO); 0: none."""
        self.offload = False
        """Whether checksums are left to the devices below (`wire/offload.py`)."""
        self.fast_paths = True
        """Whether expected segments take the fast paths (`fastpath/`, `sending/header.py`)."""
        self.held = False
        """Whether the interface accepts nothing, as when Linux's queue is full: data stays unsent until later."""
        self.initial_cwnd = 10
        self.time_waits = 0
        self._challenge_since = 0
        self._challenge_count = 0

    # The five verbs.

    def receive(self, packet: IpPacket, now: Seconds, verify: bool = True) -> None:
        """Take a packet whose payload is a TCP segment; never raises on account of it.

        `verify` False leaves out the checksum, where a device has seen to it.
        """
        self.us = int(now * 1_000_000 + EPOCH)
        source, destination, _, payload = packet[:4]
        self.counters.in_segments += 1
        try:
            segment = parse(payload, source, destination, verify, offload=self.offload)
        except Malformed:
            self.counters.in_errors += 1
            return
        found = self.connections.get(source + destination + bytes(payload[:4]))
        ecn = packet[5] & 3
        if found.__class__ is Connection:
            try:
                segment_arrives(found, segment, ecn)
            except Refuse:
                self.refuse(source, destination, segment)
            return
        self._receive_other(found, source, destination, segment, ecn)

    def _receive_other(
        self,
        found: Connection | HalfOpen | TimeWait | Parked | None,
        source: Address,
        destination: Address,
        segment: TcpSegment,
        ecn: int,
    ) -> None:
        accepted = False
        isn = 0
        if isinstance(found, Parked):
            try:
                segment_arrives(self.idle_pool.unpark(found), segment, ecn)
            except Refuse:
                self.refuse(source, destination, segment)
            return
        if isinstance(found, HalfOpen):
            accepted = found.listener.half_open_arrives(found, segment, ecn)
        elif isinstance(found, TimeWait):
            verdict = found.segment_arrives(segment)
            accepted = verdict is Verdict.DROP
            if verdict is Verdict.NEW:
                isn = found.successor_isn()
                found = None
        if found is None:
            listener = self.ports.listener_for(destination, segment.destination_port, source, segment.source_port)
            if listener is not None:
                accepted = listener.segment_arrives(source, destination, segment, ecn, isn)
        if not accepted:
            self.refuse(source, destination, segment)

    def refuse(self, source: Address, destination: Address, segment: TcpSegment) -> None:
        """Answer with a reset that the peer will accept (RFC 9293 3.5.2)."""
        flags = segment.flags
        if flags & RST:
            return
        self.counters.out_resets += 1
        ports = (segment.destination_port, segment.source_port)
        if flags & ACK:
            send_raw(self, destination, source, ports, (segment.ack, 0), RST)
            return
        length = len(segment.payload) + (flags & FIN) + (1 if flags & SYN else 0)
        send_raw(self, destination, source, ports, (0, segment.seq + length), RST | ACK)

    def transmit(self, now: Seconds) -> None:
        """Do what calls on endpoints have scheduled since the last time."""
        self.us = int(now * 1_000_000 + EPOCH)
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for each in dirty:
                flush(each)

    def finish_resets(self) -> None:
        """Reset the connections that waited for their last data to reach this host itself."""
        resets, self.resets = self.resets, []
        for each in resets:
            reset(each)

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called, None for never."""
        at = self.timers.next()
        return None if at is None else (at - START) / 1_000_000

    def earliest_deadline(self) -> float:
        """A lower bound of `next_deadline`, cheaper to know; infinite without deadlines."""
        at = self.timers.earliest()
        return math.inf if at == NEVER else (at - START) / 1_000_000

    def handle_timeout(self, now: Seconds) -> None:
        """Do what is due."""
        self.us = int(now * 1_000_000 + EPOCH)
        for each in self.timers.expired(self.us):
            if isinstance(each, Connection):
                expire(each)
            elif isinstance(each, HalfOpen):
                each.expire()
            else:
                self.remove(each)

    def handle_error(self, report: ErrorReport, now: Seconds) -> None:
        """Process an ICMP error about a segment that this host sent (RFC 5927)."""
        self.us = int(now * 1_000_000 + EPOCH)
        on_error(self, report)

    # For endpoints.

    def note_time(self, now: Seconds) -> None:
        """Advance the clock to `now`, unless it is there already."""
        self.us = max(self.us, int(now * 1_000_000 + EPOCH))

    def endpoint(self, version: int) -> TcpEndpoint:
        """Make a new endpoint."""
        return TcpEndpoint(self, version)

    def mark_dirty(self, each: Connection) -> None:
        """Have `flush` called at the next `transmit`, for a connection that had no scheduled work until now."""
        if not self.dirty:
            self.output.mark_dirty()
        self.dirty.append(each)

    # For connections.

    @property
    def rto_max(self) -> int:
        """Largest retransmission timeout, microseconds."""
        return self.settings.tcp_rto_max_ms * 1000

    @property
    def settings_rmem_max(self) -> int:
        """Largest receive buffer that SO_RCVBUF may set; the window scale covers it too."""
        return self.settings.rmem_max

    def buffer_limit(self, c: Connection, most: int) -> int:
        """Largest buffer (bytes, at most `most`) that automatic sizing may give a connection now."""
        total = self.settings.tcp_autotune_total
        return most if not total else min(most, self._budget.limit(c, total, self.us))

    def key(self, peer: Address, local: Address, peer_port: int, local_port: int) -> bytes:
        """Key of a connection in `connections`."""
        return peer + local + peer_port.to_bytes(2, "big") + local_port.to_bytes(2, "big")

    def pseudo(self, source: Address, destination: Address) -> int:
        """Sum of the pseudo header."""
        return pseudo_sum(source, destination, PROTOCOL)

    def send_segment(self, c: Connection, data: bytes, ecn: int, count: int, segment_size: int = 0) -> None:
        """Hand one segment of a connection down, or one that the device cuts into `count` of `segment_size`."""
        if not self.output.may_send_from(c.source):
            return  # it is sent again, in vain, until the time-out (Linux)
        self.counters.out_segments += count
        try:
            traffic_class = c.traffic_class | ecn
            if segment_size:
                self.output.send(
                    c.source,
                    c.destination,
                    PROTOCOL,
                    data,
                    c.hop_limit,
                    traffic_class,
                    True,
                    c.interface,
                    segment_size=segment_size,
                )
            else:
                # Without keywords: they cost a dictionary a segment where the call is compiled.
                self.output.send(c.source, c.destination, PROTOCOL, data, c.hop_limit, traffic_class, True, c.interface)
        except StackError as error:
            if error.fault is Fault.MESSAGE_TOO_LONG:
                schedule(c, WORK_PATH_MTU)
            c.soft_error = error.fault

    def send_unconnected(self, source: Address, destination: Address, data: bytes, traffic_class: int = 0) -> None:
        """Hand down a segment that belongs to no connection; what cannot be sent is lost."""
        self.counters.out_segments += 1
        try:
            self.output.send(source, destination, PROTOCOL, data, None, traffic_class, True)
        except StackError:
            pass

    def send_syn(self, c: Connection, sent: Sent, again: bool) -> None:
        """Send our SYN or SYN-ACK; `again`: as a retransmission."""
        c.segments_out += 1
        answer = bool(sent.flags & ACK)
        asks_accecn = c.accecn is not None and c.retransmits <= 1
        if again and not answer and self.settings.tcp_ecn_fallback and not asks_accecn:
            # Some networks drop a SYN that asks for ECN: the second one does not (RFC 3168 6.1.1.1).
            sent.flags &= SYN | ACK
        options = syn_options(c, answer=answer)
        c.rcv_wup = c.rcv_nxt
        extra = c.fast_open.syn_option(c, options) if c.fast_open is not None else b""
        data = pack(
            c.pseudo,
            c.source_port,
            c.destination_port,
            c.iss & MASK,
            (c.rcv_nxt & MASK) if answer else 0,
            sent.flags,
            min(c.rcv_wnd, 65535),
            0,
            syn_ack_options(options, answer and c.accecn is not None and self.settings.tcp_ecn_option > 0),
            extra,
        )
        self.send_segment(c, data, 0, 1)

    def link_mtu(self, route: Route) -> int:
        """MTU of the first link of a route, by which the peer is told our MSS, however narrow the path is."""
        interface = self.output.address_table.interfaces.get(route.interface)
        if interface is None or route.metrics.mtu:
            return route.mtu
        return max(min(interface.mtu, 65535), route.mtu)

    def route_to(self, peer: Address, local: Address | None, endpoint: TcpEndpoint) -> Route | None:
        """Route for an answer, None when there is none."""
        try:
            return self.output.route(peer, local, endpoint.bound_interface)
        except StackError:
            return None

    def make_congestion(self, c: Connection, of_route: str) -> Congestion:
        """Make the congestion control that socket, route or host ask for."""
        chosen = c.options.get("TCP_CONGESTION")
        name = chosen if isinstance(chosen, str) else of_route or self.settings.tcp_congestion_control
        return make(name if name in ALGORITHMS else "reno")

    def initial_sequence(self, local: Address, peer: Address, local_port: int, peer_port: int) -> int:
        """Initial sequence number: a clock of 4 microseconds plus a keyed hash of the names (RFC 6528 3)."""
        names = local + peer + local_port.to_bytes(2, "big") + peer_port.to_bytes(2, "big")
        digest = blake2s(names, key=self.secret, digest_size=4).digest()
        return (int.from_bytes(digest, "big") + self.us // _ISN_TICK) & MASK

    def timestamp_offset(self, local: Address, peer: Address) -> int:
        """Offset of the timestamps between two hosts (RFC 7323 5.4): unpredictable, the same for all ports."""
        if self.settings.tcp_timestamps != 1:
            return 0
        return int.from_bytes(blake2s(local + peer, key=self.secret, digest_size=4, person=b"stamps").digest(), "big")

    def may_challenge(self) -> bool:
        """Take one challenge ACK from the host's allowance (RFC 5961 7)."""
        limit = self.settings.tcp_challenge_ack_limit
        if limit >= _NO_LIMIT:
            return True
        if self.us - self._challenge_since >= _CHALLENGE_WINDOW:
            self._challenge_since = self.us
            # A limit that can be measured from outside leaks that a connection exists (CVE-2016-5696): vary it.
            self._challenge_count = limit // 2 + self.random.randrange(max(limit, 1))
        self._challenge_count -= 1
        return self._challenge_count >= 0

    def enter_time_wait(self, c: Connection, delay: Micros, state: int) -> None:
        """Replace a connection by what TIME-WAIT needs."""
        if self.time_waits >= self.settings.tcp_max_tw_buckets:
            self.counters.time_wait_overflows += 1
            done(c)
            return
        rest = TimeWait(c, state, sharing(c.options))
        c.work = 0
        c.shutdown = SHUTDOWN_BOTH
        hand_over(c)
        self.connections[rest.key] = rest
        self.time_waits += 1
        self.ports.add(c.source_port, c.source, rest.sharing)
        rest.wait(delay)
        wake(c)

    def find(self, key: bytes) -> Connection | HalfOpen | TimeWait | None:
        """The connection with this key, unparked if it was parked."""
        found = self.connections.get(key)
        return self.idle_pool.unpark(found) if isinstance(found, Parked) else found

    def add(self, c: Connection) -> None:
        """Enter a new connection into the table."""
        self.connections[c.key] = c
        self.ports.add(c.source_port, c.source, sharing(c.options) if c.options else 0)
        self.idle_pool.note(c)

    def may_orphan(self, c: Connection) -> bool:
        """Whether a connection may live on without its program; peers that never answer must not fill the memory."""
        if len(self.orphans) >= self.settings.tcp_max_orphans:
            self.counters.orphan_overflows += 1
            return False
        self.orphans[c] = None
        return True

    def congestion_named(self, name: str) -> Congestion:
        """Make a congestion control by its name."""
        return make(name)

    def half_open_listener(self, c: Connection) -> Listener | None:
        """Listener that waits for a connection made by Fast Open."""
        state = c.fast_open
        return state.listener if isinstance(state, ServerHandshake) else None

    def share_port(self, c: Connection, option: str, value: int) -> None:
        """Set SO_REUSEADDR or SO_REUSEPORT of a connection, which its port is known by."""
        counted = self.connections.get(c.key) is c
        if counted:
            self.ports.remove(c.source_port, c.source, sharing(c.options))
        c.options[option] = value
        if counted:
            self.ports.add(c.source_port, c.source, sharing(c.options))

    def forget(self, c: Connection) -> None:
        """Take a connection out of the table."""
        if self.connections.get(c.key) is c:
            del self.connections[c.key]
            self.idle_pool.drop(c)
            self.orphans.pop(c, None)
            if not c.work & WORK_RESET:
                self.ports.remove(c.source_port, c.source, sharing(c.options) if c.options else 0)

    def release_names(self, c: Connection) -> None:
        """Release the port of a connection that is about to be reset; others may take its names."""
        if self.connections.get(c.key) is c and not c.work & WORK_RESET:
            self.ports.remove(c.source_port, c.source, sharing(c.options))

    def remove(self, rest: TimeWait) -> None:
        """Take a connection in TIME-WAIT out of the table."""
        rest.timer_at = rest.wake_at = NEVER
        if self.connections.get(rest.key) is rest:
            del self.connections[rest.key]
            self.time_waits -= 1
            address, _, port, _ = rest.names()
            self.ports.remove(port, address, rest.sharing)
