"""Packetization-layer path MTU discovery (RFC 4821): tries larger segments, and smaller ones when large ones vanish.

The search runs over packet sizes as the path sees them. A probe is one segment larger than the others, made of data
that would go out anyhow; its loss alone says nothing about congestion, so the window is not reduced for it.
"""

from __future__ import annotations

from typing import Final

from catenet.control.states import CA_OPEN, INFINITE
from catenet.plpmtud import SizeRange
from catenet.stack.endpoint import StackError
from catenet.stack.tcp.control.connection import Connection, Sent
from catenet.stack.tcp.control.constants import SECOND
from catenet.stack.tcp.sending.acknowledge import sync_mss
from catenet.stack.tcp.sending.output import send_new_entry
from catenet.stack.tcp.sending.pending import take_pending
from catenet.wire.tcp import ACK, PSH

__all__ = ["MtuProbing", "enable", "on_black_hole"]

_LEAST_WINDOW: Final = 11
"""Segments of congestion window below which a probe would cost too much if lost (as Linux)."""


class MtuProbing:
    """Search state of one connection: `search` is the range of packet sizes."""

    __slots__ = ("probe_end", "probe_size", "probe_start", "search", "since")

    def __init__(self, c: Connection) -> None:
        self.probe_size = self.probe_start = self.probe_end = 0
        self.search = SizeRange(_packet_size(c, c.layer.settings.tcp_base_mss), _headers(c) + c.mss_clamp)
        self.since = c.layer.us

    def try_probe(self, c: Connection, mss: int) -> bool | None:
        """Send a probe if one is due: True when it was sent, None when it has to wait."""
        if self.probe_size or c.ca_state != CA_OPEN or c.cwnd < _LEAST_WINDOW or c.record_ends or c.urgent_mode:
            return False
        if c.reassembly is not None and c.sack_ok:
            return False  # SACK blocks make headers vary
        _notice_wider_path(c)
        payload = self._payload(c, self.search.middle())
        if self.search.is_narrow(c.layer.settings.tcp_probe_threshold):
            self._search_again(c, mss)
            return False
        # Enough must follow the probe that its loss shows as duplicates (RFC 4821 7.3).
        needed = payload + (c.reordering + 1) * c.mss
        if c.write_seq - c.snd_nxt < needed or c.snd_wnd < needed:
            return False
        if c.snd_nxt + needed > c.snd_una + c.snd_wnd:
            return None
        in_flight = c.packets_out - c.sacked_out - c.lost_out + c.retransmitted_out
        if in_flight + 2 > c.cwnd:
            return None if in_flight else False
        self._send(c, payload)
        return True

    def _send(self, c: Connection, payload: int) -> None:
        seq = c.snd_nxt
        end = seq + payload
        flags = ACK
        marks = c.push_marks
        while marks and marks[0] < end:
            marks.popleft()
            flags |= PSH
        # It counts as one segment and takes the place of two, so that the window does not grow by it.
        c.cwnd -= 1
        send_new_entry(c, Sent(seq, end, take_pending(c, payload), flags, 1))
        self.probe_size = _packet_size(c, payload)
        self.probe_start, self.probe_end = seq, end

    def _payload(self, c: Connection, size: int) -> int:
        """Payload of a packet of `size` bytes, options but SACK taken off."""
        return min(size - _headers(c), c.mss_clamp) - (c.base_mss_header - 20)

    def _search_again(self, c: Connection, mss: int) -> None:
        """After a long time the path may have changed (RFC 4821 7.8)."""
        if c.layer.us - self.since >= c.layer.settings.tcp_probe_interval * SECOND:
            self.search = SizeRange(_packet_size(c, mss), _headers(c) + c.mss_clamp)
            self.since = c.layer.us

    def limit(self, c: Connection) -> int:
        """Largest segment that the search allows; what ICMP said of the path bounds the search."""
        self.search.high = min(self.search.high, c.path_mtu)
        return max(self._payload(c, self.search.low), 1)

    def is_lost(self, c: Connection) -> bool:
        """Whether the segment found lost is the probe."""
        return bool(self.probe_size) and c.snd_una == self.probe_start

    def succeeded(self, c: Connection) -> None:
        """Adopt the size of an acknowledged probe as segment size; the window holds the same bytes as before."""
        c.cwnd = max(1, c.cwnd * _packet_size(c, c.mss) // self.probe_size)
        c.cwnd_count = 0
        c.cwnd_stamp = c.layer.us
        if c.ssthresh < INFINITE:
            c.ssthresh = max(c.ssthresh, (c.cwnd >> 1) + (c.cwnd >> 2))
        self.search.passed(self.probe_size)
        self.probe_size = 0
        sync_mss(c)

    def failed(self, c: Connection) -> None:
        """Bound the search by the size of a lost probe."""
        self.search.failed(self.probe_size)
        self.probe_size = 0


def _headers(c: Connection) -> int:
    """IP and TCP header without options."""
    return 40 if len(c.source) == 4 else 60


def _packet_size(c: Connection, payload: int) -> int:
    """Packet that carries `payload` bytes."""
    return payload + _headers(c) + c.base_mss_header - 20


def _notice_wider_path(c: Connection) -> None:
    """Let the search go up to what the route allows now; segments grow as probes pass."""
    try:
        c.path_mtu = max(c.path_mtu, c.layer.output.route(c.destination, c.source, c.interface).mtu)
    except StackError:
        return


def on_black_hole(c: Connection) -> None:
    """Try smaller packets after several timeouts in a row, since large ones may vanish (RFC 4821 7.7)."""
    probing = c.mtu_probing
    if probing is None:
        c.mtu_probing = MtuProbing(c)
    else:
        settings = c.layer.settings
        payload = min(settings.tcp_base_mss, probing.limit(c) >> 1)
        payload = max(payload, settings.tcp_mtu_probe_floor, settings.tcp_min_snd_mss)
        probing.search.low = _packet_size(c, payload)
    sync_mss(c)


def enable(c: Connection) -> None:
    """Begin to probe; until a probe passes or the path changes segments keep the size that they have."""
    c.mtu_probing = MtuProbing(c)
