"""SYN cookies (RFC 4987 3.6): the handshake's state in our own sequence number and timestamp.

Sequence number: 8 bits of a counter that advances every minute, and 24 bits that hold the index of the MSS, hidden by a
keyed hash of the connection. The timestamp's low six bits keep window scale, SACK and ECN.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.control.connection import MASK
from catenet.wire.tcp import SYN, TcpOptions, TcpSegment

if TYPE_CHECKING:
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.opening.listener import HalfOpen

__all__ = ["make", "open_cookie", "timestamp_offset"]

_SIZES: Final = {4: (536, 1300, 1440, 1460), 16: (1280 - 60, 1480 - 60, 1500 - 60, 9000 - 60)}
_MINUTE: Final = 64_000_000
_MAX_AGE: Final = 2
_LOW: Final = 0xFFFFFF
_NO_SCALE: Final = 0xF


def _mix(layer: TcpLayer, ours: bytes, peers: bytes, ports: tuple[int, int], extra: int) -> int:
    data = ours + peers + b"%d %d %d" % (*ports, extra)
    return int.from_bytes(blake2s(data, key=layer.secret, digest_size=4).digest(), "big")


def make(layer: TcpLayer, half_open: HalfOpen, segment: TcpSegment) -> tuple[int, int]:
    """(MSS that the cookie stands for, initial sequence number)."""
    sizes = _SIZES[len(half_open.source)]
    index = max((at for at, size in enumerate(sizes) if size <= half_open.mss), default=0)
    count = layer.us // _MINUTE
    ports = (half_open.source_port, half_open.destination_port)
    base = _mix(layer, half_open.source, half_open.destination, ports, 0)
    hidden = (_mix(layer, half_open.source, half_open.destination, ports, count + 1) + index) & _LOW
    return sizes[index], (base + segment.seq + (count << 24) + hidden) & MASK


def timestamp_offset(layer: TcpLayer, half_open: HalfOpen) -> int:
    """Offset that gives our timestamp the low bits in which the options are kept."""
    value = (layer.us // 1000 + half_open.ts_offset) & MASK
    bits = half_open.snd_scale if half_open.snd_scale >= 0 else _NO_SCALE
    bits |= 0x10 if half_open.sack_ok else 0
    bits |= 0x20 if half_open.ecn else 0
    marked = value & ~0x3F | bits
    if marked > value:
        marked -= 0x40
    return (half_open.ts_offset + marked - value) & MASK


def open_cookie(layer: TcpLayer, ours: bytes, peers: bytes, segment: TcpSegment) -> TcpSegment | None:
    """The SYN that the ACK `segment` completes, rebuilt; None when there is no valid cookie."""
    ports = (segment.destination_port, segment.source_port)
    cookie = (segment.ack - 1) & MASK
    seq = (segment.seq - 1) & MASK
    count = layer.us // _MINUTE
    rest = (cookie - _mix(layer, ours, peers, ports, 0) - seq) & MASK
    age = (count - (rest >> 24)) & 0xFF
    if age > _MAX_AGE:
        return None
    sizes = _SIZES[len(ours)]
    index = (rest - _mix(layer, ours, peers, ports, count - age + 1)) & _LOW
    if index >= len(sizes):
        return None
    options = TcpOptions(mss=sizes[index])
    timestamps = segment.options.timestamps
    if timestamps is not None:
        bits = timestamps[1] & 0x3F
        options.timestamps = timestamps
        if bits & 0xF != _NO_SCALE:
            options.window_scale = bits & 0xF
        options.sack_permitted = bool(bits & 0x10)
    return TcpSegment(segment.source_port, segment.destination_port, seq, 0, SYN, segment.window, 0, options, b"")
