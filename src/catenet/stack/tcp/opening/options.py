"""Options of outgoing segments and what an incoming handshake segment offers (RFC 9293 3.2, RFC 7323, RFC 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.control.accecn import INITIAL_OPTION
from catenet.stack.tcp.control.connection import MASK
from catenet.wire.tcp import MAX_OPTIONS, TIMESTAMPS_LENGTH, TcpOptions, encode_options, encode_timestamps

if TYPE_CHECKING:
    from catenet.stack.tcp.control.accecn import AccEcn
    from catenet.stack.tcp.control.connection import Connection

__all__ = ["established_options", "mss_with_options", "syn_ack_options", "syn_options", "timestamp"]

_SACK_LEAD: Final = 4


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
        used = TIMESTAMPS_LENGTH
    if reassembly is not None and c.sack_ok:
        blocks = reassembly.take_blocks((MAX_OPTIONS - used - _SACK_LEAD) // 8)
        if blocks:
            options.sack = tuple((left & MASK, right & MASK) for left, right in blocks)
            used += _SACK_LEAD + 8 * len(blocks)
        if reassembly.idle and c.accecn is None:
            c.reassembly = None
    if c.accecn is not None and c.accecn.wants_option(c):
        return _with_accecn(c, c.accecn, options, used)
    return encode_options(options)


def _with_accecn(c: Connection, accecn: AccEcn, options: TcpOptions, used: int) -> bytes:
    """Options with AccECN's, which stands between timestamps and SACK, so that it can share their padding."""
    sack = options.sack
    fitting = accecn.fields_that_fit(MAX_OPTIONS - used, bool(sack))
    if fitting is None and len(sack) > 2 and accecn.minimum:
        fitting = accecn.fields_that_fit(MAX_OPTIONS - used + 8, True)
        if fitting is not None:
            options.sack = sack[:-1]
    if fitting is None:
        return encode_options(options)
    accecn.sent_option(c, c.reassembly is not None and c.reassembly.reported is not None)
    option = accecn.encode(fitting[0])
    head = encode_options(TcpOptions(timestamps=options.timestamps))
    tail = encode_options(TcpOptions(sack=options.sack))
    if len(option) & 3 in (1, 2) and tail:
        # SACK is led by two NOPs, whose place the end of this option takes.
        tail = tail[2:] if len(option) & 3 == 2 else b"\x01" + tail[2:]
    raw = head + option + (b"\x01" if len(option) & 3 == 3 else b"") + tail
    return raw + b"\x01" * (-len(raw) % 4)


def sack_length(c: Connection) -> int:
    """Bytes that SACK blocks will take from the next segment."""
    reassembly = c.reassembly
    if reassembly is None or not c.sack_ok:
        return 0
    room = (MAX_OPTIONS - (TIMESTAMPS_LENGTH if c.timestamps else 0) - _SACK_LEAD) // 8
    blocks = min(reassembly.block_count(), room)
    return _SACK_LEAD + 8 * blocks if blocks else 0


def mss_with_options(c: Connection) -> int:
    """Payload that fits a segment now, with the options that it will carry (RFC 6691)."""
    if c.reassembly is None and c.accecn is None:
        return c.mss
    mss = c.mss - sack_length(c)
    if c.accecn is not None and c.accecn.wants_option(c):
        fitting = c.accecn.fields_that_fit(
            MAX_OPTIONS - (TIMESTAMPS_LENGTH if c.timestamps else 0) - sack_length(c), sack_length(c) > 0
        )
        mss -= fitting[1] if fitting is not None else 0
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


def syn_ack_options(options: TcpOptions, with_accecn: bool) -> bytes:
    """Options of a SYN-ACK; AccECN's stands after the timestamps, with as many counters as fit."""
    if not with_accecn:
        return encode_options(options)
    stamps = options.timestamps
    head = TcpOptions(mss=options.mss, timestamps=stamps)
    tail = TcpOptions(window_scale=options.window_scale, fast_open=options.fast_open)
    tail.fast_open_experimental = options.fast_open_experimental
    (head if stamps is not None else tail).sack_permitted = options.sack_permitted
    first, last = encode_options(head), encode_options(tail)
    option = INITIAL_OPTION
    while option and len(first) + len(option) + len(last) > MAX_OPTIONS:
        option = option[:1] + bytes((8,)) + option[2:8] if len(option) > 8 else b""
    return first + option + last
