"""The short ways of UDP: what the datagrams between an endpoint and one peer have in common, either way.

The first datagram of a conversation goes the general way, which decides everything (`datagram.py`, `udp.py`); what was
decided is kept here until anything that it was decided from changes: names and options of the endpoints (they forget),
addresses and routes of the host (`Output.generation`). The datagrams that follow are packed, or taken apart, by one
struct call. Whatever is otherwise with a datagram goes the general way, before anything has changed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram import Datagram
from catenet.stack.datagram_options import PMTUDISC_DO, PMTUDISC_WANT
from catenet.stack.endpoint import Name
from catenet.wire.checksum import residue
from catenet.wire.udp import HEADER_LENGTH, PROTOCOL

if TYPE_CHECKING:
    from catenet.stack.endpoint import Address
    from catenet.stack.interface import Interface
    from catenet.stack.output import Hop
    from catenet.stack.stack import Stack
    from catenet.stack.udp import UdpEndpoint

__all__ = ["Inward", "Outward", "outward", "take"]

FLOWS_KEPT: Final = 4096
_START4: Final = 20 + HEADER_LENGTH
_START6: Final = 40 + HEADER_LENGTH
_WIDE: Final = 65535
_ATOMIC: Final = 0x4000
"""Identification 0 and don't fragment (RFC 6864 4.1)."""
_FRAGMENT: Final = 0x3FFF
_CE: Final = 3

_OUT4: Final = struct.Struct("!HHIHH8sHHHH")
_OUT6: Final = struct.Struct("!IHH32sHHHH")
_IN4: Final = struct.Struct("!HHIHH12xHH")
_IN6: Final = struct.Struct("!IHH36xHH")
_from_bytes = int.from_bytes
_tuple = tuple.__new__


class Outward:
    """From an endpoint to `peer`."""

    __slots__ = ("addresses", "generation", "hop", "life", "peer", "port", "room", "there", "traffic_class", "words")

    def __init__(self, endpoint: UdpEndpoint, source: Address, peer: Name, hop: Hop, generation: int) -> None:
        self.generation = generation
        self.hop = hop
        self.peer = peer
        self.port = endpoint.local()[1]
        self.there: int = peer[1]
        self.addresses: bytes = source + peer[0]
        self.words = (_from_bytes(source, "big") + _from_bytes(peer[0], "big")) % 65535
        self.room = min(hop.mtu, _WIDE) - (_START4 if len(source) == 4 else _START6)
        """Most data of one packet."""
        self.life = max(endpoint.option("IP_TTL"), 0) or hop.metrics.hop_limit
        self.traffic_class = endpoint.option("IP_TOS")

    def send(self, stack: Stack, data: bytes) -> None:
        """Send one datagram that fits."""
        length = HEADER_LENGTH + len(data)
        life = self.life or stack.settings.ip_default_ttl
        addresses = self.addresses
        port, there = self.port, self.there
        check = self.words + PROTOCOL + length
        if not stack.udp.offload:
            check = -(check + length + port + there + (residue(data) << 8))
        check = check % 65535 or 0xFFFF
        if len(addresses) == 8:
            first = 0x4500 | self.traffic_class
            life = life << 8 | PROTOCOL
            total = length + 20
            summed = -(first + total + _ATOMIC + life + self.words) % 65535
            head = _OUT4.pack(first, total, _ATOMIC, life, summed, addresses, port, there, length, check)
            counters = stack.counters[4]
        else:
            first = 0x60000000 | self.traffic_class << 20
            head = _OUT6.pack(first, length, PROTOCOL << 8 | life, addresses, port, there, length, check)
            counters = stack.counters[6]
        stack.output.send_ready(head + data, self.hop, counters.ip)
        counters.udp.OutDatagrams += 1


def outward(endpoint: UdpEndpoint, source: Address, peer: Name, interface: int) -> Outward | None:
    """What to keep of the general way that a datagram has just gone; None where it is to be gone every time."""
    stack = endpoint.stack
    discover = endpoint.option("IP_MTU_DISCOVER")
    if discover not in (PMTUDISC_WANT, PMTUDISC_DO) or endpoint.option("SO_NO_CHECK") or not stack.udp.predicts:
        return None
    hop = stack.hop(peer[0], interface)
    if hop.cast or hop.locked or not (hop.plain or hop.local):
        return None
    if discover == PMTUDISC_WANT and len(source) == 4 and stack.settings.ip_no_pmtu_disc:
        return None
    return Outward(endpoint, source, peer, hop, stack.output.generation)


class Inward:
    """From one peer, by one interface, to an endpoint."""

    __slots__ = ("destination", "endpoint", "generation", "source", "words")

    def __init__(self, endpoint: UdpEndpoint, source: Name, destination: Name, generation: int) -> None:
        self.endpoint = endpoint
        self.source = source
        self.destination = destination
        self.generation = generation
        self.words = (_from_bytes(source[0], "big") + _from_bytes(destination[0], "big")) % 65535


def take(stack: Stack, packet: bytes | memoryview, now: float, interface: Interface) -> bool:
    """Take an IP packet of at least 28 bytes if it carries a datagram of a known conversation; whether it did."""
    if not isinstance(packet, bytes):
        return False
    size = len(packet)
    if packet[0] == 0x45:
        flow = stack.udp.flows.get(packet[12:24])
        if flow is None:
            return False
        first, total, fragment, life, summed, length, check = _IN4.unpack_from(packet)
        if total != size or fragment & _FRAGMENT or (first + total + fragment + life + summed + flow.words) % 65535:
            return False
        start, hop_limit, traffic_class, label = _START4, life >> 8, first & 0xFF, 0
        counters = stack.counters[4]
    else:
        flow = stack.udp.flows.get(packet[8:44])
        if flow is None or size < _START6 or packet[0] >> 4 != 6:
            return False
        first, total, life, length, check = _IN6.unpack_from(packet)
        if total + 40 != size:
            return False
        start, hop_limit, traffic_class, label = _START6, life & 0xFF, first >> 20 & 0xFF, first & 0xFFFFF
        counters = stack.counters[6]
    if length + start - HEADER_LENGTH != size or traffic_class & _CE == _CE or not check:
        return False
    if flow.destination[2] != interface.index or flow.generation != stack.output.generation:
        return False
    pseudo = flow.words + PROTOCOL + length
    believed = stack.udp.offload and check == (pseudo % 65535 or 0xFFFF)
    if not believed and (pseudo + (residue(packet[start - HEADER_LENGTH :]) << 8)) % 65535:
        return False
    if not flow.endpoint.has_room():
        return False
    data = packet[start:]
    # As in `wire/ip.py`: a tuple made of ready values costs half of the class's own way.
    datagram = _tuple(Datagram, (data, flow.source, flow.destination, hop_limit, traffic_class, now, label))
    flow.endpoint.enqueue(datagram)
    counters.ip.InReceives += 1
    counters.ip.InDelivers += 1
    counters.udp.InDatagrams += 1
    return True
