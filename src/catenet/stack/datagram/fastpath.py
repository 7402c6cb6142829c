"""The fast paths of UDP: what the datagrams between an endpoint and one peer have in common, either way.

The first datagram of a conversation goes the slow path, which decides everything (`datagram.py`, `udp.py`); what was
decided is kept here until anything that it was decided from changes: names and options of the endpoints (they forget),
addresses and routes of the host (`Output.generation`). The datagrams that follow are packed, or taken apart, by one
struct call. Whatever is otherwise with a datagram goes the slow path, before anything has changed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.datagram.options import PMTUDISC_DO, PMTUDISC_WANT
from catenet.stack.datagram.send_buffer import truesize
from catenet.stack.endpoint import Name
from catenet.wire.checksum import is_pseudo_sum, residue
from catenet.wire.ecn import CE
from catenet.wire.ip import ATOMIC, FRAGMENT_BITS, MAX_LENGTH
from catenet.wire.udp import HEADER_LENGTH, PROTOCOL

if TYPE_CHECKING:
    from catenet.stack.datagram.udp import UdpEndpoint
    from catenet.stack.endpoint import Address
    from catenet.stack.interface import Interface
    from catenet.stack.ip.output import Hop
    from catenet.stack.stack import Stack

__all__ = ["Inward", "Outward", "outward", "take"]

FLOWS_KEPT: Final = 4096
_START4: Final = 20 + HEADER_LENGTH
_START6: Final = 40 + HEADER_LENGTH

_OUT4: Final = struct.Struct("!HHIHH8sHHHH")
_OUT6: Final = struct.Struct("!IHH32sHHHH")
_IN4: Final = struct.Struct("!HHIHH12xHH")
_IN6: Final = struct.Struct("!IHH36xHH")
_from_bytes = int.from_bytes


class Outward:
    """From an endpoint to `peer`."""

    __slots__ = (
        "_head",
        "_head_life",
        "_head_size",
        "addresses",
        "charge",
        "charge_size",
        "generation",
        "hop",
        "life",
        "peer",
        "port",
        "queued",
        "room",
        "there",
        "traffic_class",
        "words",
    )

    def __init__(self, endpoint: UdpEndpoint, source: Address, peer: Name, hop: Hop, generation: int) -> None:
        self.generation = generation
        self.hop = hop
        self.peer = peer
        self.port = endpoint.local()[1]
        self.there: int = peer[1]
        self.addresses: bytes = source + peer[0]
        self.words = (_from_bytes(source, "big") + _from_bytes(peer[0], "big")) % 65535
        self.room = min(hop.mtu, MAX_LENGTH) - (_START4 if len(source) == 4 else _START6)
        """Most data of one packet."""
        self.life = max(endpoint.option("IP_TTL"), 0) or hop.metrics.hop_limit
        self.traffic_class = endpoint.option("IP_TOS")
        self._head = b""
        self._head_size = self._head_life = -1
        self.queued = hop.plain and hop.interface.index in endpoint.stack.output.queued
        """Whether datagrams are charged to their socket until they have left the device's queue."""
        self.charge = 0
        """Bytes that a datagram with `charge_size` bytes of data is charged with."""
        self.charge_size = -1

    def find_charge(self, size: int) -> int:
        """Bytes that a datagram with `size` bytes of data is charged with."""
        start, version = (_START4, 4) if len(self.addresses) == 8 else (_START6, 6)
        self.charge_size, self.charge = size, truesize(start + size, version)
        return self.charge

    def send(self, stack: Stack, data: bytes) -> None:
        """Send one datagram that fits."""
        size = len(data)
        life = self.life or stack.settings.ip_default_ttl
        if not stack.udp.offload:
            head = self._pack(size, life, residue(data) << 8)
        elif size == self._head_size and life == self._head_life:
            # With its checksum left to the device it is the header of the datagram before.
            head = self._head
        else:
            head = self._head = self._pack(size, life, -1)
            self._head_size, self._head_life = size, life
        counters = stack.counters4 if len(self.addresses) == 8 else stack.counters6
        stack.output.send_ready(head + data, self.hop, counters.ip)
        counters.udp.OutDatagrams += 1

    def _pack(self, size: int, life: int, total: int) -> bytes:
        """Both headers; `total` is the sum over the data, -1 to leave the checksum to the device."""
        length = HEADER_LENGTH + size
        addresses, port, there = self.addresses, self.port, self.there
        check = self.words + PROTOCOL + length
        if total >= 0:
            check = -(check + length + port + there + total)
        check = check % 65535 or 0xFFFF
        if len(addresses) == 8:
            first = 0x4500 | self.traffic_class
            life = life << 8 | PROTOCOL
            whole = length + 20
            summed = -(first + whole + ATOMIC + life + self.words) % 65535
            return _OUT4.pack(first, whole, ATOMIC, life, summed, addresses, port, there, length, check)
        first = 0x60000000 | self.traffic_class << 20
        return _OUT6.pack(first, length, PROTOCOL << 8 | life, addresses, port, there, length, check)


def outward(endpoint: UdpEndpoint, source: Address, peer: Name, interface: int) -> Outward | None:
    """What to keep of the slow path that a datagram has just gone; None where it is to be gone every time."""
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


class Known:
    """What headers say that a datagram came with, its checksum left to the device: the next may have the same."""

    __slots__ = ("flow", "hop_limit", "label", "size", "start", "traffic_class")

    def __init__(self, flow: Inward, size: int, start: int, hop_limit: int, traffic_class: int, label: int) -> None:
        self.flow = flow
        self.size = size
        """Of the packet."""
        self.start = start
        """Where the data begins."""
        self.hop_limit = hop_limit
        self.traffic_class = traffic_class
        self.label = label


def take(stack: Stack, packet: bytes | memoryview, now: float, interface: Interface) -> bool:
    """Take an IP packet of at least 28 bytes if it carries a datagram of a known conversation; whether it did."""
    if not isinstance(packet, bytes):
        return False
    known = stack.udp.known.get(packet[: _START4 if packet[0] == 0x45 else _START6])
    if known is None or known.size != len(packet):
        known = _look_closely(stack, packet)
        if known is None:
            return False
    flow = known.flow
    if flow.destination[2] != interface.index or flow.generation != stack.output.generation:
        return False
    endpoint = flow.endpoint
    if not endpoint.has_room():
        return False
    source, destination = flow.source, flow.destination
    hop_limit, traffic_class, label = known.hop_limit, known.traffic_class, known.label
    datagram = Datagram(packet[known.start :], source, destination, hop_limit, traffic_class, now, label)
    endpoint.enqueue(datagram)
    counters = stack.counters4 if known.start == _START4 else stack.counters6
    ip = counters.ip
    ip.InReceives += 1
    ip.InDelivers += 1
    counters.udp.InDatagrams += 1
    return True


def _look_closely(stack: Stack, packet: bytes) -> Known | None:
    """What the headers of a datagram say that has come in a known conversation and is as expected."""
    size = len(packet)
    udp = stack.udp
    if packet[0] == 0x45:
        flow = udp.flows.get(packet[12:24])
        if flow is None:
            return None
        first, total, fragment, life, summed, length, check = _IN4.unpack_from(packet)
        if total != size or fragment & FRAGMENT_BITS or (first + total + fragment + life + summed + flow.words) % 65535:
            return None
        start, hop_limit, traffic_class, label = _START4, life >> 8, first & 0xFF, 0
    else:
        flow = udp.flows.get(packet[8:44])
        if flow is None or size < _START6 or packet[0] >> 4 != 6:
            return None
        first, total, life, length, check = _IN6.unpack_from(packet)
        if total + 40 != size:
            return None
        start, hop_limit, traffic_class, label = _START6, life & 0xFF, first >> 20 & 0xFF, first & 0xFFFFF
    if length + start - HEADER_LENGTH != size or traffic_class & CE == CE or not check:
        return None
    pseudo = flow.words + PROTOCOL + length
    believed = udp.offload and is_pseudo_sum(check, pseudo, True)
    if not believed and (pseudo + (residue(packet[start - HEADER_LENGTH :]) << 8)) % 65535:
        return None
    known = Known(flow, size, start, hop_limit, traffic_class, label)
    if believed:
        if len(udp.known) >= FLOWS_KEPT:
            udp.known.clear()
        udp.known[packet[:start]] = known
    return known
