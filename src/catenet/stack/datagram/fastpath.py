"""The fast paths of UDP: what the datagrams between an endpoint and one peer have in common, in either direction.

The first datagram of a flow takes the slow path, which decides everything (`datagram.py`, `udp.py`). What it decided is
kept here as an `OutgoingFlow` or `IncomingFlow` until anything that it was decided from changes: names and options of
the endpoints (which drop their flows), addresses and routes of the host (`Output.generation`). The datagrams that
follow are packed, or taken apart, by one struct call. A datagram that differs falls back to the slow path, with nothing
changed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.datagram.options import PMTUDISC_DO, PMTUDISC_WANT
from catenet.stack.datagram.send_buffer import truesize
from catenet.stack.endpoint import Name
from catenet.stack.units import Seconds
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

__all__ = [
    "FLOWS_KEPT",
    "IncomingFlow",
    "OutgoingFlow",
    "ParsedHeader",
    "outgoing_flow",
    "try_fast_receive",
]

FLOWS_KEPT: Final = 4096
_START4: Final = 20 + HEADER_LENGTH
_START6: Final = 40 + HEADER_LENGTH

_OUT4: Final = struct.Struct("!HHIHH8sHHHH")
_OUT6: Final = struct.Struct("!IHH32sHHHH")
_IN4: Final = struct.Struct("!HHIHH12xHH")
_IN6: Final = struct.Struct("!IHH36xHH")
_from_bytes = int.from_bytes


class OutgoingFlow:
    """Datagrams from an endpoint to `peer`: their header, and where they go."""

    __slots__ = (
        "_header",
        "_header_hop_limit",
        "_header_size",
        "address_sum",
        "addresses",
        "charge",
        "charge_size",
        "generation",
        "hop",
        "hop_limit",
        "max_payload",
        "peer",
        "peer_port",
        "port",
        "queued",
        "traffic_class",
    )

    def __init__(self, endpoint: UdpEndpoint, source: Address, peer: Name, hop: Hop, generation: int) -> None:
        self.generation = generation
        self.hop = hop
        self.peer = peer
        self.port = endpoint.local()[1]
        self.peer_port: int = peer[1]
        self.addresses: bytes = source + peer[0]
        self.address_sum = (_from_bytes(source, "big") + _from_bytes(peer[0], "big")) % 65535
        self.max_payload = min(hop.mtu, MAX_LENGTH) - (_START4 if len(source) == 4 else _START6)
        """Bytes of data in one packet, at most."""
        self.hop_limit = max(endpoint.option("IP_TTL"), 0) or hop.metrics.hop_limit
        self.traffic_class = endpoint.option("IP_TOS")
        self._header = b""
        self._header_size = self._header_hop_limit = -1
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

    def send_datagram(self, stack: Stack, data: bytes) -> None:
        """Send one datagram that fits."""
        size = len(data)
        hop_limit = self.hop_limit or stack.settings.ip_default_ttl
        if not stack.udp.offload:
            head = self._pack(size, hop_limit, residue(data) << 8)
        elif size == self._header_size and hop_limit == self._header_hop_limit:
            # With its checksum left to the device it is the header of the datagram before.
            head = self._header
        else:
            head = self._header = self._pack(size, hop_limit, -1)
            self._header_size, self._header_hop_limit = size, hop_limit
        counters = stack.counters4 if len(self.addresses) == 8 else stack.counters6
        stack.output.send_ready(head + data, self.hop, counters.ip)
        counters.udp.OutDatagrams += 1

    def _pack(self, size: int, hop_limit: int, data_sum: int) -> bytes:
        """Both headers; `data_sum` is the sum over the data, -1 to leave the checksum to the device."""
        length = HEADER_LENGTH + size
        addresses, port, peer_port = self.addresses, self.port, self.peer_port
        check = self.address_sum + PROTOCOL + length
        if data_sum >= 0:
            check = -(check + length + port + peer_port + data_sum)
        check = check % 65535 or 0xFFFF
        if len(addresses) == 8:
            first = 0x4500 | self.traffic_class
            life = hop_limit << 8 | PROTOCOL
            total = length + 20
            checksum = -(first + total + ATOMIC + life + self.address_sum) % 65535
            return _OUT4.pack(first, total, ATOMIC, life, checksum, addresses, port, peer_port, length, check)
        first = 0x60000000 | self.traffic_class << 20
        return _OUT6.pack(first, length, PROTOCOL << 8 | hop_limit, addresses, port, peer_port, length, check)


def outgoing_flow(endpoint: UdpEndpoint, source: Address, peer: Name, interface: int) -> OutgoingFlow | None:
    """The flow of the datagram that the slow path has just sent; None when those that follow need that path too."""
    stack = endpoint.stack
    discover = endpoint.option("IP_MTU_DISCOVER")
    if discover not in (PMTUDISC_WANT, PMTUDISC_DO) or endpoint.option("SO_NO_CHECK") or not stack.udp.fast_paths:
        return None
    hop = stack.output.hop(peer[0], interface)
    if hop.cast or hop.locked or not (hop.plain or hop.local):
        return None
    if discover == PMTUDISC_WANT and len(source) == 4 and stack.settings.ip_no_pmtu_disc:
        return None
    return OutgoingFlow(endpoint, source, peer, hop, stack.output.generation)


class IncomingFlow:
    """Datagrams from one peer, by one interface, to an endpoint."""

    __slots__ = ("address_sum", "destination", "endpoint", "generation", "source")

    def __init__(self, endpoint: UdpEndpoint, source: Name, destination: Name, generation: int) -> None:
        self.endpoint = endpoint
        self.source = source
        self.destination = destination
        self.generation = generation
        self.address_sum = (_from_bytes(source[0], "big") + _from_bytes(destination[0], "big")) % 65535


class ParsedHeader:
    """What the headers of a datagram say.

    With its checksum left to the device, the headers of the next datagram of a flow are often the same bytes: this is
    then found by them.
    """

    __slots__ = ("flow", "hop_limit", "label", "size", "start", "traffic_class")

    def __init__(
        self, flow: IncomingFlow, size: int, start: int, hop_limit: int, traffic_class: int, label: int
    ) -> None:
        self.flow = flow
        self.size = size
        """Of the packet."""
        self.start = start
        """Where the data begins."""
        self.hop_limit = hop_limit
        self.traffic_class = traffic_class
        self.label = label


def try_fast_receive(stack: Stack, packet: bytes | memoryview, now: Seconds, interface: Interface) -> bool:
    """Deliver an IP packet of at least 28 bytes if it carries a datagram of a known flow.

    Returns:
        Whether it was delivered; if not, nothing has changed, and the slow path has to take it.
    """
    if not isinstance(packet, bytes):
        return False
    header = stack.udp.parsed_headers.get(packet[: _START4 if packet[0] == 0x45 else _START6])
    if header is None or header.size != len(packet):
        header = _parse_header(stack, packet)
        if header is None:
            return False
    flow = header.flow
    if flow.destination[2] != interface.index or flow.generation != stack.output.generation:
        return False
    endpoint = flow.endpoint
    if not endpoint.has_room():
        return False
    source, destination = flow.source, flow.destination
    hop_limit, traffic_class, label = header.hop_limit, header.traffic_class, header.label
    datagram = Datagram(packet[header.start :], source, destination, hop_limit, traffic_class, now, label)
    endpoint.enqueue(datagram)
    counters = stack.counters4 if header.start == _START4 else stack.counters6
    ip = counters.ip
    ip.InReceives += 1
    ip.InDelivers += 1
    counters.udp.InDatagrams += 1
    return True


def _parse_header(stack: Stack, packet: bytes) -> ParsedHeader | None:
    """Parse the headers of a datagram; None unless it belongs to a known flow and is plain and intact."""
    size = len(packet)
    udp = stack.udp
    if packet[0] == 0x45:
        flow = udp.incoming_flows.get(packet[12:24])
        if flow is None:
            return None
        first, total, fragment, life, checksum, length, check = _IN4.unpack_from(packet)
        if total != size or fragment & FRAGMENT_BITS:
            return None
        if (first + total + fragment + life + checksum + flow.address_sum) % 65535:
            return None
        start, hop_limit, traffic_class, label = _START4, life >> 8, first & 0xFF, 0
    else:
        flow = udp.incoming_flows.get(packet[8:44])
        if flow is None or size < _START6 or packet[0] >> 4 != 6:
            return None
        first, total, life, length, check = _IN6.unpack_from(packet)
        if total + 40 != size:
            return None
        start, hop_limit, traffic_class, label = _START6, life & 0xFF, first >> 20 & 0xFF, first & 0xFFFFF
    if length + start - HEADER_LENGTH != size or traffic_class & CE == CE or not check:
        return None
    pseudo = flow.address_sum + PROTOCOL + length
    left_out = udp.offload and is_pseudo_sum(check, pseudo, True)
    if not left_out and (pseudo + (residue(packet[start - HEADER_LENGTH :]) << 8)) % 65535:
        return None
    header = ParsedHeader(flow, size, start, hop_limit, traffic_class, label)
    if left_out:
        if len(udp.parsed_headers) >= FLOWS_KEPT:
            udp.parsed_headers.clear()
        udp.parsed_headers[packet[:start]] = header
    return header
