"""IPv4 options and IPv6 extension headers of received packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.wire.icmp import Problem
from catenet.wire.ip import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING, IpPacket
from catenet.wire.options import END, NOP

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["check_options", "next_header_pointer"]

_LOOSE_SOURCE_ROUTE: Final = 131
_STRICT_SOURCE_ROUTE: Final = 137
_PAD1: Final = 0
_KNOWN_OPTIONS6: Final = frozenset((1, 5))
"""PadN and router alert."""
_MAX_OPTIONS6: Final = 16
"""Options of one header beyond which the packet is an attack (RFC 8504 5.3)."""


def check_options(stack: Stack, packet: IpPacket, *, to_cast: bool, forwarding: bool = False) -> bool:
    """Whether the options and extension headers let the packet go on; if not, it is counted and answered as due."""
    if packet.options:
        pointer = _bad_option(packet.options, forwarding)
        if pointer is None:
            return True
        stack.counters[4].ip.InHdrErrors += 1
        if pointer:
            stack.icmp.send_error(Problem.ERRONEOUS_FIELD, packet, pointer, to_cast=to_cast)
        return False
    offset = 40
    for kind, body in packet.extensions:
        # A router looks at hop-by-hop options only, and may leave those alone too (RFC 8200 4, 4.8).
        if not forwarding and not _check_extension(stack, packet, kind, body, offset, to_cast):
            stack.counters[6].ip.InHdrErrors += 1
            return False
        offset += len(body) + 2
    return True


def _bad_option(raw: bytes, forwarding: bool) -> int | None:
    """Pointer to what is wrong with IPv4 options, 0 for what is dropped in silence, None when all is well.

    Source routes that are not at their end are not followed (RFC 6274 4.6; Linux's accept_source_route=0).
    """
    position, end = 0, len(raw)
    while position < end:
        kind = raw[position]
        if kind == END:
            return None
        if kind == NOP:
            position += 1
            continue
        size = raw[position + 1] if position + 1 < end else 0
        if size < 2 or position + size > end:
            return 20 + position
        if kind in (_LOOSE_SOURCE_ROUTE, _STRICT_SOURCE_ROUTE):
            if size < 3 or raw[position + 2] < 4:
                return 20 + position + (2 if size >= 3 else 1)
            if forwarding or raw[position + 2] <= size:
                return 0
        position += size
    return None


def _check_extension(stack: Stack, packet: IpPacket, kind: int, body: bytes, offset: int, to_cast: bool) -> bool:
    """One IPv6 extension header of a packet for this host."""
    if kind in (HOP_BY_HOP, DESTINATION_OPTIONS):
        return _check_options6(stack, packet, body, offset + 2, to_cast)
    if kind == ROUTING and body[1]:
        # Type 0 is forbidden (RFC 5095), the others need what no host has; with no segments left it is ignored.
        stack.icmp.send_error(Problem.ERRONEOUS_FIELD, packet, offset + 2, to_cast=to_cast)
        return False
    return True


def _check_options6(stack: Stack, packet: IpPacket, body: bytes, offset: int, to_cast: bool) -> bool:
    """Treat unknown options as their two highest bits say (RFC 8200 4.2)."""
    position, count = 0, 0
    while position < len(body):
        kind = body[position]
        if kind == _PAD1:
            position += 1
            continue
        count += 1
        if position + 1 >= len(body) or position + 2 + body[position + 1] > len(body) or count > _MAX_OPTIONS6:
            return False
        if kind not in _KNOWN_OPTIONS6 and kind >> 6:
            action = kind >> 6
            if action == 2 or (action == 3 and not to_cast):
                stack.icmp.send_error(Problem.UNKNOWN_OPTION, packet, offset + position, to_cast=to_cast)
            return False
        position += 2 + body[position + 1]
    return True


def next_header_pointer(packet: IpPacket) -> int:
    """Offset of the byte that named the payload's protocol, for a parameter problem about it."""
    if packet.version == 4:
        return 9
    if not packet.extensions:
        return 6
    return 40 + sum(len(body) + 2 for _, body in packet.extensions[:-1])
