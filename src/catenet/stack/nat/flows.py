"""Packets that a NAT translates: whose they are, and the same packets with other endpoints.

Checksums are updated by what has changed and never computed anew, so that damage still shows (RFC 1624). A checksum
that was left to the device (`wire/offload.py`) holds the sum of the pseudo header, and keeps doing so.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from catenet.stack.nat.config import Endpoint
from catenet.wire import tcp, udp
from catenet.wire.checksum import is_pseudo_sum, pseudo_sum, update_sum
from catenet.wire.offload import CHECKSUMS

__all__ = [
    "ECHO_REPLY",
    "ECHO_REQUEST",
    "ICMP",
    "Flow",
    "is_error",
    "quoted_flow",
    "read_flow",
    "rewrite",
    "rewrite_error",
]

ICMP: Final = 1
ECHO_REPLY: Final = 0
ECHO_REQUEST: Final = 8
_QUOTE: Final = 8
"""Where the quoted packet begins in an ICMP error."""
_ERRORS: Final = (3, 4, 11, 12)
_LEAST: Final = {tcp.PROTOCOL: 14, udp.PROTOCOL: 8, ICMP: 8}
"""Bytes of a payload that are looked at: of TCP up to the flags."""


class Flow(NamedTuple):
    """Who sends to whom."""

    protocol: int
    source: Endpoint
    destination: Endpoint
    kind: int = 0
    """TCP's flags, ICMP's type."""


def is_error(payload: bytes | memoryview) -> bool:
    """Whether an ICMP message quotes a packet."""
    return len(payload) >= _QUOTE + 20 and payload[0] in _ERRORS


def read_flow(protocol: int, source: bytes, destination: bytes, payload: bytes | memoryview) -> Flow | None:
    """The flow of a whole packet; None when it is none that can be told from others by ports or an identifier.

    Of an echo request the identifier is the source's, of a reply the destination's.
    """
    if len(payload) < _LEAST.get(protocol, 1 << 16):
        return None
    if protocol == ICMP:
        identifier = payload[4] << 8 | payload[5]
        if payload[0] == ECHO_REQUEST:
            return Flow(ICMP, (source, identifier), (destination, 0), ECHO_REQUEST)
        if payload[0] == ECHO_REPLY:
            return Flow(ICMP, (source, 0), (destination, identifier), ECHO_REPLY)
        return None
    sender, receiver = payload[0] << 8 | payload[1], payload[2] << 8 | payload[3]
    flags = payload[13] if protocol == tcp.PROTOCOL else 0
    return Flow(protocol, (source, sender), (destination, receiver), flags)


def quoted_flow(payload: bytes | memoryview) -> Flow | None:
    """The flow of the packet that an ICMP error quotes; None for a later fragment, and when too little is there."""
    quote = payload[_QUOTE:]
    start = (quote[0] & 15) << 2
    if quote[0] >> 4 != 4 or start < 20 or len(quote) < start + 8 or quote[6] & 0x1F or quote[7]:
        return None
    body = bytes(quote[start:])
    if quote[9] == tcp.PROTOCOL:
        body += bytes(_LEAST[tcp.PROTOCOL])
    return read_flow(quote[9], bytes(quote[12:16]), bytes(quote[16:20]), body)


def rewrite(packet: bytes | memoryview, source: Endpoint | None, destination: Endpoint | None) -> bytes:
    """The packet from another source, or to another destination; the rest stays as it is."""
    whole = bytearray(packet)
    _rewrite_header(whole, 0, source, destination, int.from_bytes(whole[2:4], "big"))
    return bytes(whole)


def rewrite_error(
    packet: bytes | memoryview,
    source: bytes | None,
    destination: bytes | None,
    quoted_source: Endpoint | None,
    quoted_destination: Endpoint | None,
) -> bytes:
    """An ICMP error between other addresses, about a packet between other endpoints (RFC 5508 4.2)."""
    whole = bytearray(packet)
    start = (whole[0] & 15) << 2
    at = start + _QUOTE
    before = bytes(whole[at:])
    length = int.from_bytes(whole[at + 2 : at + 4], "big")
    _rewrite_header(whole, at, quoted_source, quoted_destination, length)
    _put(whole, start + 2, update_sum(_word(whole, start + 2), before, whole[at:]))
    ends = (None if source is None else (source, 0), None if destination is None else (destination, 0))
    _rewrite_addresses(whole, 0, *ends)
    return bytes(whole)


def _rewrite_header(
    whole: bytearray, at: int, source: Endpoint | None, destination: Endpoint | None, length: int
) -> None:
    """Rewrite the packet that begins at `at`, of which the end may be missing; `length` was its own."""
    start = at + ((whole[at] & 15) << 2)
    protocol = whole[at + 9]
    addresses = bytes(whole[at + 12 : at + 20])
    _rewrite_addresses(whole, at, source, destination)
    if protocol == ICMP:
        _rewrite_identifier(whole, start, source, destination)
        return
    ports = bytes(whole[start : start + 4])
    if source is not None:
        _put(whole, start, source[1])
    if destination is not None:
        _put(whole, start + 2, destination[1])
    where = start + CHECKSUMS.get(protocol, 1 << 16)
    if where + 2 > len(whole):
        return
    found = _word(whole, where)
    total = pseudo_sum(addresses[:4], addresses[4:], protocol) + length - (start - at)
    now = bytes(whole[at + 12 : at + 20])
    if is_pseudo_sum(found, total, protocol == udp.PROTOCOL):
        value = (total + int.from_bytes(now, "big") - int.from_bytes(addresses, "big")) % 65535 or 0xFFFF
    elif protocol == udp.PROTOCOL and not found:
        return
    else:
        value = update_sum(found, addresses + ports, now + whole[start : start + 4])
        if protocol == udp.PROTOCOL:
            value = value or 0xFFFF
    _put(whole, where, value)


def _rewrite_addresses(whole: bytearray, at: int, source: Endpoint | None, destination: Endpoint | None) -> None:
    before = bytes(whole[at + 12 : at + 20])
    if source is not None:
        whole[at + 12 : at + 16] = source[0]
    if destination is not None:
        whole[at + 16 : at + 20] = destination[0]
    _put(whole, at + 10, update_sum(_word(whole, at + 10), before, whole[at + 12 : at + 20]))


def _rewrite_identifier(whole: bytearray, start: int, source: Endpoint | None, destination: Endpoint | None) -> None:
    """The identifier of an echo request is its source's, of a reply its destination's."""
    end = source if whole[start] == ECHO_REQUEST else destination
    if end is None:
        return
    before = bytes(whole[start + 4 : start + 6])
    _put(whole, start + 4, end[1])
    _put(whole, start + 2, update_sum(_word(whole, start + 2), before, whole[start + 4 : start + 6]))


def _word(whole: bytearray, at: int) -> int:
    return whole[at] << 8 | whole[at + 1]


def _put(whole: bytearray, at: int, value: int) -> None:
    whole[at], whole[at + 1] = value >> 8, value & 0xFF
