"""UDP of a host (RFC 768, RFC 1122 4.1, RFC 8085): demultiplexing and endpoints."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from catenet.compiled import mypyc_attr
from catenet.stack.counters import UdpCounters
from catenet.stack.datagram.datagram import NO_CONTROL, Control, DatagramEndpoint, received_names
from catenet.stack.datagram.fastpath import FLOWS_KEPT, IncomingFlow, OutgoingFlow, ParsedHeader, outgoing_flow
from catenet.stack.endpoint import Address, Buffer, Fault, Name, StackError
from catenet.stack.ip.icmp import ErrorReport
from catenet.stack.ports import PortTable
from catenet.stack.units import Seconds
from catenet.wire import udp
from catenet.wire.address import is_unspecified
from catenet.wire.errors import Malformed
from catenet.wire.icmp import Problem
from catenet.wire.ip import IpPacket
from catenet.wire.udp import UdpDatagram

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["MAX_PAYLOAD", "Udp", "UdpEndpoint"]

MAX_PAYLOAD: Final = {4: 65507, 6: 65527}
"""Bytes of the longest datagram, by the version of IP."""
_MAX_SEGMENTS: Final = 128
_COVERAGES: Final = ("UDPLITE_SEND_CSCOV", "UDPLITE_RECV_CSCOV")


class UdpEndpoint(DatagramEndpoint):
    """A UDP socket."""

    __slots__ = ("_layer", "_outgoing")

    def __init__(self, stack: Stack, layer: Udp, version: int) -> None:
        super().__init__(stack, version)
        self._layer = layer
        self._outgoing: OutgoingFlow | None = None

    def _claim(self, address: Address, port: int) -> int:
        return self._layer.ports.claim(self, address, port)

    def _release(self) -> None:
        self._layer.forget(self)
        self._layer.ports.release(self)

    def _moved(self) -> None:
        self._outgoing = None
        self._layer.remember(self)

    def set_option(self, option: str, value: int | bytes) -> None:
        """As `DatagramEndpoint.set_option`; drops the flows, which were decided by options."""
        if option in _COVERAGES:
            self.options[option] = self._checked_coverage(value)
            return
        super().set_option(option, value)
        self._outgoing = None
        self._layer.forget_flows()

    def get_option(self, option: str) -> int | bytes:
        """As `DatagramEndpoint.get_option`."""
        return self.options.get(option, 0) if option in _COVERAGES else super().get_option(option)

    def _checked_coverage(self, value: int | bytes) -> int:
        """What an option of UDP-Lite becomes of a value: all (0), or from the header's length on."""
        if self._layer.protocol == udp.PROTOCOL:
            raise StackError(Fault.NO_PROTOCOL_OPTION)
        if not isinstance(value, int):
            raise StackError(Fault.INVALID)
        return value if value == 0 else min(max(value, udp.HEADER_LENGTH), 0xFFFF)

    def send_to(self, data: Buffer, name: Name | None = None, control: Control | None = None) -> int | None:
        """As `DatagramEndpoint.send_to`, by the fast path when the last datagram went to the same peer."""
        flow = self._outgoing
        peer = self._peer if name is None else name
        if flow is None or control is not None or (flow.peer is not peer and flow.peer != peer):
            return super().send_to(data, name, control)
        output = self.stack.output
        payload = data if isinstance(data, bytes) else bytes(data)
        sending = self._sending
        if (
            flow.generation != output.generation
            or flow.hop.expires <= output.now
            or len(payload) > flow.max_payload
            or self._unsent >= self.send_buffer
            or (sending is not None and sending.charged >= self.send_buffer)
            or self._error is not None
            or self.shut_write
            or self.closed
        ):
            return super().send_to(data, name, control)
        flow.send_datagram(self.stack, payload)
        if flow.queued and sending is not None:
            count = len(payload)
            size = flow.charge if count == flow.charge_size else flow.find_charge(count)
            sending.charged += size
            output.charges.append((len(output.out) - 1, sending, size))
            return count
        return self._note_unsent(len(payload))

    def _check_destination(self, name: Name) -> None:
        if not name.port:
            raise StackError(Fault.INVALID)

    def _send(self, data: bytes, source: Address, peer: Name, control: Control, interface: int) -> None:
        version = 4 if len(peer.address) == 4 else 6
        size = control.segment_size
        if len(data) > MAX_PAYLOAD[version]:
            raise StackError(Fault.MESSAGE_TOO_LONG)
        pieces = [data]
        if size and len(data) > size:
            if len(data) > size * _MAX_SEGMENTS:
                raise StackError(Fault.INVALID)
            pieces = [data[at : at + size] for at in range(0, len(data), size)]
        layer = self._layer
        for piece in pieces:
            datagram = UdpDatagram(self._local.port, peer.port, piece)
            payload = layer.build(self, datagram, source, peer.address)
            self.transmit(layer.protocol, payload, source, peer, control, interface)
            layer.counters_of(version).OutDatagrams += 1
        plain = control is NO_CONTROL and layer.fast_paths
        self._outgoing = outgoing_flow(self, source, peer, interface) if plain else None


@mypyc_attr(allow_interpreted_subclasses=True)
class Udp:
    """All UDP endpoints of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.protocol = udp.PROTOCOL
        """Number of the protocol whose datagrams these are: UDP, or UDP-Lite (`udplite.py`)."""
        self.ports: PortTable[UdpEndpoint] = PortTable(stack.settings, stack.random)
        # Connected endpoints by (local address, local port, peer address, peer port), and the key of each.
        self._connected: dict[tuple[Address, int, Address, int], UdpEndpoint] = {}
        self._keys: dict[int, tuple[Address, int, Address, int]] = {}
        self.offload = False
        """Whether checksums are left to the devices below (`wire/offload.py`)."""
        self.fast_paths = True
        """Whether datagrams take the fast paths (`fastpath.py`)."""
        self.incoming_flows: dict[bytes, IncomingFlow] = {}
        """Flows that take the fast path, by the bytes of addresses and ports in their packets."""
        self.parsed_headers: dict[bytes, ParsedHeader] = {}
        """Headers of datagrams that came in those, and need not be parsed again."""

    def endpoints(self) -> list[UdpEndpoint]:
        """All bound endpoints, by port."""
        return [endpoint for _, endpoints in sorted(self.ports.by_port.items()) for endpoint in endpoints]

    def remember(self, endpoint: UdpEndpoint) -> None:
        """Index an endpoint anew after its names have changed."""
        self.forget(endpoint)
        peer, local = endpoint.peer(), endpoint.local()
        if peer is not None and local.port:
            key = (local.address, local.port, peer.address, peer.port)
            if key not in self._connected:
                self._connected[key] = endpoint
                self._keys[endpoint.number] = key

    def forget(self, endpoint: UdpEndpoint) -> None:
        """Take an endpoint out of the index of the connected."""
        self.forget_flows()
        key = self._keys.pop(endpoint.number, None)
        if key is not None:
            del self._connected[key]

    def forget_flows(self) -> None:
        """Drop all flows: the slow path decides anew."""
        self.incoming_flows.clear()
        self.parsed_headers.clear()

    def counters_of(self, version: int) -> UdpCounters:
        """What is counted, by the version of IP."""
        return self._stack.counters[version].udp

    def parse(self, packet: IpPacket) -> UdpDatagram:
        """Read a packet's datagram; Malformed."""
        return udp.parse(packet.payload, packet.source, packet.destination, offload=self.offload)

    def build(self, endpoint: UdpEndpoint, datagram: UdpDatagram, source: Address, destination: Address) -> bytes:
        """Build a datagram that an endpoint sends."""
        checksum = not endpoint.option("SO_NO_CHECK")
        return udp.build(datagram, source, destination, checksum, self.offload)

    def receive_datagram(self, packet: IpPacket, now: Seconds, interface: int, cast: bool) -> None:
        """Take a datagram for this host; `cast`: sent to a multicast or broadcast address."""
        stack = self._stack
        counters = self.counters_of(4 if len(packet.source) == 4 else 6)
        try:
            datagram = self.parse(packet)
        except Malformed as error:
            counters.InErrors += 1
            counters.InCsumErrors += "checksum" in str(error)
            return
        if cast:
            self._deliver_to_all(packet, datagram, now, interface)
            return
        key = (packet.destination, datagram.destination_port, packet.source, datagram.source_port)
        endpoint = self._connected.get(key)
        if endpoint is None or not endpoint.accepts(packet.source, packet.destination, interface, False):
            endpoint = self._find(packet, datagram.source_port, datagram.destination_port, interface)
        if endpoint is None:
            counters.NoPorts += 1
            stack.icmp.send_error(Problem.PORT_UNREACHABLE, packet)
            return
        self._deliver(endpoint, packet, datagram, now, interface)
        if self.fast_paths:
            self._note_flow(endpoint, packet, datagram, interface)

    def _note_flow(self, endpoint: UdpEndpoint, packet: IpPacket, datagram: UdpDatagram, interface: int) -> None:
        """Have the datagrams that follow this one delivered by the fast path."""
        if len(self.incoming_flows) >= FLOWS_KEPT:
            self.forget_flows()
        names = received_names(packet, datagram.source_port, datagram.destination_port, interface)
        ports = datagram.source_port << 16 | datagram.destination_port
        flow = IncomingFlow(endpoint, *names, self._stack.output.generation)
        self.incoming_flows[packet.source + packet.destination + ports.to_bytes(4, "big")] = flow

    def _deliver(
        self, endpoint: UdpEndpoint, packet: IpPacket, datagram: UdpDatagram, now: Seconds, interface: int
    ) -> None:
        counters = self.counters_of(packet.version)
        data = bytes(datagram.payload)
        if endpoint.deliver(data, datagram.source_port, datagram.destination_port, packet, interface, now):
            counters.InDatagrams += 1
        else:
            counters.InErrors += 1
            counters.RcvbufErrors += 1

    def _deliver_to_all(self, packet: IpPacket, datagram: UdpDatagram, now: Seconds, interface: int) -> None:
        """Multicast and broadcast go to every endpoint that wants them (RFC 1122 4.1.3.5)."""
        delivered = False
        for endpoint in tuple(self.ports.by_port.get(datagram.destination_port, ())):
            score = _score(endpoint, packet, datagram.source_port)
            if score >= 0 and endpoint.accepts(packet.source, packet.destination, interface, True):
                self._deliver(endpoint, packet, datagram, now, interface)
                delivered = True
        if not delivered:
            self.counters_of(packet.version).IgnoredMulti += 1

    def _find(self, packet: IpPacket, source_port: int, port: int, interface: int) -> UdpEndpoint | None:
        """Return the endpoint that fits best; among equals the newest, or by hash those that share the port."""
        best: list[UdpEndpoint] = []
        best_score = -1
        for endpoint in self.ports.by_port.get(port, ()):
            score = _score(endpoint, packet, source_port)
            if score < 0 or not endpoint.accepts(packet.source, packet.destination, interface, False):
                continue
            score += 4 if endpoint.device() else 0
            if score > best_score:
                best, best_score = [endpoint], score
            elif score == best_score:
                best.append(endpoint)
        if not best:
            return None
        if len(best) > 1 and best[0].option("SO_REUSEPORT"):
            flow = packet.source + packet.destination + source_port.to_bytes(2, "big")
            return best[zlib.crc32(flow, self._stack.hash_seed) % len(best)]
        return best[0]

    def find_sender(self, report: ErrorReport) -> UdpEndpoint | None:
        """Return the endpoint that can have sent the quoted datagram."""
        if len(report.payload) < udp.HEADER_LENGTH:
            return None
        local_port, remote_port = DatagramEndpoint.quoted(report)
        endpoint = self._connected.get((report.source, local_port, report.destination, remote_port))
        if endpoint is not None:
            return endpoint
        reply = IpPacket(report.destination, report.source, self.protocol, b"")
        return self._find(reply, remote_port, local_port, 0)

    def handle_error(self, report: ErrorReport, now: Seconds) -> None:
        """Pass an ICMP error on to the endpoint that sent the datagram."""
        endpoint = self.find_sender(report)
        if endpoint is not None:
            endpoint.handle_error(report, report.payload[udp.HEADER_LENGTH :])


def _score(endpoint: UdpEndpoint, packet: IpPacket, source_port: int) -> int:
    """How well an endpoint fits a datagram, -1 not at all."""
    version = 4 if len(packet.source) == 4 else 6
    if not endpoint.serves(version):
        return -1
    score = 1 if endpoint.version == version else 0
    local = endpoint.local().address
    if not is_unspecified(local):
        if local != packet.destination:
            return -1
        score += 4
    peer = endpoint.peer()
    if peer is not None:
        if peer.address != packet.source or peer.port not in (0, source_port):  # connected to port 0: to any
            return -1
        score += 8
    return score
