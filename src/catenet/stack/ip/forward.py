"""Forwarding (RFC 1812 5, RFC 8200)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.endpoint import Fault, StackError
from catenet.stack.ip import fragments
from catenet.wire import checksum, ip
from catenet.wire.address import is_link_local, is_loopback, is_martian_source, is_multicast, is_unspecified
from catenet.wire.icmp import Problem
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["forward"]

_REJECTIONS = {
    Fault.ACCESS: Problem.PROHIBITED,
    Fault.HOST_UNREACHABLE: Problem.ADDRESS_UNREACHABLE,
    Fault.NETWORK_UNREACHABLE: Problem.NO_ROUTE,
    Fault.NETWORK_DOWN: Problem.NO_ROUTE,
}


def forward(
    stack: Stack, packet: IpPacket, raw: bytes | memoryview, interface: int, translated: bytes | None = None
) -> None:
    """Forward a packet that came in by `interface`, or tell its sender why not.

    With `translated` that is what goes on, and `packet` what its sender is told of (`nat/`).
    """
    counters = stack.counters[packet.version].ip
    source, destination = packet.source, packet.destination
    if translated is not None:
        raw, destination = translated, translated[16:20]
    if (
        is_multicast(destination)
        or is_loopback(destination)
        or is_link_local(destination)
        or is_unspecified(destination)
        or is_martian_source(source)
        or source in stack.address_table.never_sources
        or is_loopback(source)
        or is_unspecified(source)
        or (len(destination) == 4 and destination[0] >= 240)
    ):
        counters.InAddrErrors += 1
        return
    if is_link_local(source):
        stack.icmp.send_error(Problem.BEYOND_SCOPE, packet)
        counters.InAddrErrors += 1
        return
    if packet.hop_limit <= 1:
        counters.InHdrErrors += 1
        stack.icmp.send_error(Problem.HOP_LIMIT, packet)
        return
    try:
        hop = stack.output.hop(destination)
    except StackError as error:
        counters.InNoRoutes += 1
        stack.icmp.send_error(_REJECTIONS.get(error.fault, Problem.NO_ROUTE), packet)
        return
    if hop.cast:
        counters.InAddrErrors += 1  # directed broadcasts are not forwarded (RFC 2644)
        return
    mtu = hop.mtu if stack.settings.ip_forward_use_pmtu else hop.link_mtu
    size = ip.header_length(packet) + len(packet.payload)
    counters.ForwDatagrams += 1
    if hop.interface.index == interface and translated is None:
        stack.icmp.redirects.send(packet, raw, interface, hop)
    if size <= mtu:
        stack.output.emit(_decrement(bytes(raw[:size]) if len(raw) != size else bytes(raw)), hop)
    elif packet.dont_fragment:
        counters.FragFails += 1
        stack.icmp.send_error(Problem.PACKET_TOO_BIG, packet, mtu)
        return
    else:
        whole = packet if translated is None else ip.parse(translated)
        pieces = fragments.split(whole._replace(hop_limit=packet.hop_limit - 1), mtu)
        counters.FragOKs += 1
        counters.FragCreates += len(pieces)
        for piece in pieces:
            stack.output.emit(ip.build(piece), hop)


def _decrement(raw: bytes) -> bytes:
    """Decrement the hop limit; the checksum is updated, not recomputed, so that errors show (RFC 1624)."""
    if raw[0] >> 4 == 6:
        return raw[:7] + bytes((raw[7] - 1,)) + raw[8:]
    word = raw[8] << 8 | raw[9]
    value = checksum.update(raw[10] << 8 | raw[11], word, word - 0x100)
    return raw[:8] + bytes((raw[8] - 1, raw[9], value >> 8, value & 0xFF)) + raw[12:]
