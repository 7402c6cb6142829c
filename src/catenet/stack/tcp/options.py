"""Options of outgoing segments and what an incoming handshake segment offers (RFC 9293 3.2, RFC 7323, RFC 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.connection import MASK
from catenet.wire.tcp import TcpOptions, encode_options, encode_timestamps

if TYPE_CHECKING:
    from catenet.stack.tcp.connection import Connection

__all__ = ["MAX_OPTIONS", "established_options", "mss_with_options", "syn_options", "timestamp"]

MAX_OPTIONS: Final = 40
_SACK_LEAD: Final = 4
_TIMESTAMPS_LENGTH: Final = 12


def timestamp(c: Connection) -> int:
    """TSval of now: milliseconds with the connection's offset (RFC 7323 5.4)."""
    return (c.layer.us // 1000 + c.ts_offset) & MASK


def established_options(c: Connection) -> bytes:
    """Options of a segment after the handshake: timestamps, SACK blocks, AccECN counters."""
    reassembly = c.reassembly
    if reassembly is None and c.accecn is None:
        if not c.timestamps:
            return b""
        return encode_timestamps((c.layer.us // 1000 + c.ts_offset) & MASK, c.ts_recent)
    options = TcpOptions()
    used = 0
    if c.timestamps:
        options.timestamps = (timestamp(c), c.ts_recent)
        used = _TIMESTAMPS_LENGTH
    if reassembly is not None and c.sack_ok:
        blocks = reassembly.take_blocks((MAX_OPTIONS - used - _SACK_LEAD) // 8)
        if blocks:
            options.sack = tuple((left & MASK, right & MASK) for left, right in blocks)
            used += _SACK_LEAD + 8 * len(blocks)
    if c.accecn is not None:
        options.accecn = c.accecn.option(c, MAX_OPTIONS - used)
    return encode_options(options)


def sack_length(c: Connection) -> int:
    """Bytes that SACK blocks will take from the next segment."""
    reassembly = c.reassembly
    if reassembly is None or not c.sack_ok:
        return 0
    room = (MAX_OPTIONS - (_TIMESTAMPS_LENGTH if c.timestamps else 0) - _SACK_LEAD) // 8
    blocks = min(reassembly.block_count(), room)
    return _SACK_LEAD + 8 * blocks if blocks else 0


def mss_with_options(c: Connection) -> int:
    """Payload that fits a segment now, with the options that it will carry (RFC 6691)."""
    if c.reassembly is None and c.accecn is None:
        return c.mss
    mss = c.mss - sack_length(c)
    if c.accecn is not None:
        mss -= c.accecn.expected_length(c)
    return mss


def syn_options(c: Connection, *, answer: bool = False) -> TcpOptions:
    """Options of a SYN, or of a SYN-ACK to a SYN that crossed ours (`answer`: only what the peer offered too)."""
    settings = c.layer.settings
    options = TcpOptions(mss=c.advertised_mss)
    if answer:
        if c.timestamps:
            options.timestamps = (timestamp(c), c.ts_recent)
        if c.snd_scale or c.rcv_scale:
            options.window_scale = c.rcv_scale
        options.sack_permitted = c.sack_ok
        return options
    if settings.tcp_timestamps:
        options.timestamps = (timestamp(c), c.ts_recent)
    if settings.tcp_window_scaling:
        options.window_scale = c.rcv_scale
    options.sack_permitted = bool(settings.tcp_sack)
    return options
