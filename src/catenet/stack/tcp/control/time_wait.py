"""TIME-WAIT, and FIN-WAIT-2 of closed sockets (RFC 9293 3.6.1, RFC 6191, RFC 1337), in a small object.

Nothing but what the answers need is kept: a host that closes thousands of connections keeps as many of these.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import MASK, NEVER, Connection, position
from catenet.stack.tcp.control.constants import TIME_WAIT_LENGTH
from catenet.stack.tcp.sending.output import send_raw
from catenet.stack.units import Micros
from catenet.wire.address import is_loopback
from catenet.wire.tcp import ACK, FIN, RST, SYN, TcpSegment, encode_timestamps

if TYPE_CHECKING:
    from catenet.stack.tcp.layer import TcpLayer

__all__ = ["TimeWait", "Verdict"]

_ISN_GAP: Final = 65535 + 2


class Verdict(enum.Enum):
    """What to do with a segment for a connection in TIME-WAIT."""

    DROP = 0
    RESET = 1
    NEW = 2


class TimeWait:
    """What is kept of a connection in TIME-WAIT, or in FIN-WAIT-2 when its socket is closed."""

    __slots__ = (
        "entered_at",
        "key",
        "last_oow_at",
        "layer",
        "rcv_nxt",
        "sharing",
        "snd_nxt",
        "state",
        "timer_at",
        "traffic_class",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
        "wake_at",
        "window",
    )

    delack_at: ClassVar[int] = NEVER
    keepalive_at: ClassVar[int] = NEVER
    pace_at: ClassVar[int] = NEVER
    compressed_at: ClassVar[int] = NEVER

    def __init__(self, c: Connection, state: int, sharing: int) -> None:
        self.layer: TcpLayer = c.layer
        self.key = c.key
        self.state = state
        self.rcv_nxt = c.rcv_nxt
        self.snd_nxt = c.snd_nxt
        self.window = min(c.receive_window >> c.rcv_scale, 65535) << 8 | c.rcv_scale
        self.ts_offset = c.ts_offset if c.timestamps else -1
        self.ts_recent = c.ts_recent
        self.ts_recent_at = c.ts_recent_at
        self.last_oow_at = 0
        self.traffic_class = c.traffic_class | (c.accecn.mark_out if c.accecn is not None else 0)
        self.sharing = sharing
        self.entered_at = c.layer.us
        self.timer_at = NEVER
        self.wake_at = NEVER

    def names(self) -> tuple[bytes, bytes, int, int]:
        """(our address, peer's address, our port, peer's port), taken from the key."""
        key = self.key
        size = (len(key) - 4) // 2
        return key[size:-4], key[:size], key[-2] << 8 | key[-1], key[-4] << 8 | key[-3]

    def wait(self, delay: Micros) -> None:
        """Expire `delay` microseconds from now."""
        self.timer_at = self.layer.us + delay
        if self.timer_at < self.wake_at:
            self.layer.timers.push(self, self.timer_at)

    def may_be_replaced(self, bound: bool) -> bool:
        """Whether a new connection of ours may take its names (RFC 6191; Linux's tcp_tw_reuse); `bound`: by bind.

        As on Linux, an address of this host counts as loopback only if it is one of the loopback network's.
        """
        if self.ts_offset < 0:
            return False
        if bound:
            return True  # the program chose the port on purpose; timestamps tell old segments from new
        settings = self.layer.settings
        if self.state != states.TIME_WAIT or not settings.tcp_tw_reuse:
            return False
        if settings.tcp_tw_reuse == 2:
            ours, peers = self.names()[:2]
            if not is_loopback(ours) and not is_loopback(peers):
                return False
        return self.layer.us // 1000 > self.entered_at // 1000 + settings.tcp_tw_reuse_delay

    def successor_isn(self) -> int:
        """Initial sequence number, beyond all that this one sent, for the connection that takes its names; not 0."""
        return (self.snd_nxt + _ISN_GAP) & MASK or 1

    def segment_arrives(self, segment: TcpSegment) -> Verdict:
        """Process a segment; sends the ACK itself where one is due."""
        flags = segment.flags
        seq = position(segment.seq, self.rcv_nxt)
        end = seq + len(segment.payload) + (flags & FIN) + (1 if flags & SYN else 0)
        timestamps = segment.options.timestamps if self.ts_offset >= 0 else None
        rejected = self._is_old(timestamps)
        if self.state == states.FIN_WAIT_2:
            return self._in_fin_wait_2(segment, seq, end, timestamps, rejected)
        if not rejected and seq == self.rcv_nxt and (seq == end or flags & RST):
            if flags & RST:
                if not self.layer.settings.tcp_rfc1337:
                    self.layer.remove(self)
                return Verdict.DROP
            self.wait(TIME_WAIT_LENGTH)
            self._note(timestamps)
            return Verdict.DROP
        newer = timestamps is not None and self.ts_recent and 0 < (timestamps[0] - self.ts_recent) & MASK < 0x80000000
        if flags & (SYN | RST | ACK) == SYN and not rejected and (seq > self.rcv_nxt or newer):
            # RFC 6191: a SYN that is surely newer than the old connection may take its place.
            self.layer.remove(self)
            return Verdict.NEW
        if flags & RST:
            return Verdict.DROP
        if rejected or flags & ACK:
            self.wait(TIME_WAIT_LENGTH)
        self._answer(segment)
        return Verdict.DROP

    def _is_old(self, timestamps: tuple[int, int] | None) -> bool:
        if timestamps is None or not self.ts_recent:
            return False
        behind = (self.ts_recent - timestamps[0]) & MASK
        return 0 < behind < 0x80000000

    def _note(self, timestamps: tuple[int, int] | None) -> None:
        if timestamps is not None:
            self.ts_recent = timestamps[0]
            self.ts_recent_at = self.layer.us

    def _in_fin_wait_2(
        self, segment: TcpSegment, seq: int, end: int, timestamps: tuple[int, int] | None, rejected: bool
    ) -> Verdict:
        flags = segment.flags
        window = self.window >> 8 << (self.window & 0xFF)
        if rejected or end < self.rcv_nxt or seq > self.rcv_nxt + window:
            if not flags & RST:
                self._answer(segment)
            return Verdict.DROP
        if flags & RST:
            self.layer.remove(self)
            return Verdict.DROP
        if flags & SYN and seq >= self.rcv_nxt:
            self.layer.remove(self)
            return Verdict.RESET
        if not flags & ACK or end <= self.rcv_nxt or end == seq:
            return Verdict.DROP
        if not flags & FIN or end != self.rcv_nxt + 1:
            self.layer.remove(self)
            return Verdict.RESET
        self.state = states.after(self.state, states.FIN_ARRIVES)
        self.entered_at = self.layer.us
        self.rcv_nxt = end
        self._note(timestamps)
        self.wait(TIME_WAIT_LENGTH)
        self._send_ack()
        return Verdict.DROP

    def _answer(self, segment: TcpSegment) -> None:
        """Send an ACK, rate-limited for what may be part of a loop of ACKs."""
        now = self.layer.us
        if not segment.payload or segment.flags & SYN:
            if self.last_oow_at and now - self.last_oow_at < self.layer.settings.tcp_invalid_ratelimit * 1000:
                return
            self.last_oow_at = now
        self._send_ack()

    def _send_ack(self) -> None:
        ours, peers, our_port, peers_port = self.names()
        options = b""
        if self.ts_offset >= 0:
            options = encode_timestamps((self.layer.us // 1000 + self.ts_offset) & MASK, self.ts_recent)
        send_raw(
            self.layer,
            ours,
            peers,
            (our_port, peers_port),
            (self.snd_nxt, self.rcv_nxt),
            ACK,
            self.window >> 8,
            options,
            self.traffic_class,
        )
