"""Ping sockets (SOCK_DGRAM of IPPROTO_ICMP and ICMPv6): echo requests out, the replies to them in.

The local port is the ICMP identifier; data that programs send and receive begin with the 8 bytes of the ICMP header, as
on Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Control, DatagramEndpoint
from catenet.stack.endpoint import Address, Fault, Name, StackError
from catenet.stack.ip.icmp import ErrorReport
from catenet.stack.ports import PortTable
from catenet.stack.units import Seconds
from catenet.wire import icmp
from catenet.wire.icmp import Echo
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["EchoEndpoint", "EchoLayer"]

_REQUEST: Final = {4: 8, 6: 128}
_REPLY: Final = {4: 0, 6: 129}
_HEADER: Final = 8
_MAX_MESSAGE: Final = 65535 - 20


class EchoEndpoint(DatagramEndpoint):
    """A ping socket, of one version of IP only."""

    __slots__ = ("_layer",)

    def __init__(self, stack: Stack, layer: EchoLayer, version: int) -> None:
        super().__init__(stack, version)
        self._layer = layer
        self.options["IPV6_V6ONLY"] = 1

    def _claim(self, address: Address, port: int) -> int:
        return self._layer.tables[self.version].claim(self, address, port)

    def _release(self) -> None:
        self._layer.tables[self.version].release(self)

    def _moved(self) -> None:
        """Endpoints are found by identifier alone."""

    def _send(self, data: bytes, source: Address, peer: Name, control: Control, interface: int) -> None:
        if len(data) < _HEADER or data[0] != _REQUEST[self.version] or data[1]:
            raise StackError(Fault.INVALID)
        if len(data) > _MAX_MESSAGE:
            raise StackError(Fault.MESSAGE_TOO_LONG)
        sequence = int.from_bytes(data[6:8], "big")
        message = Echo(False, self._local.port, sequence, data[_HEADER:])
        payload = icmp.build(message, source, peer.address)
        self.transmit(icmp.PROTOCOLS[self.version], payload, source, peer, control, interface)
        counters = self.stack.counters[self.version].icmp
        counters.OutMsgs += 1
        counters.OutEchos += 1


class EchoLayer:
    """All ping sockets of one stack, by version and identifier."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.tables: dict[int, PortTable[EchoEndpoint]] = {
            version: PortTable(stack.settings, stack.random) for version in (4, 6)
        }

    def receive_reply(self, packet: IpPacket, echo: Echo, interface: int) -> None:
        """Deliver a reply to the endpoint whose identifier it carries."""
        version = packet.version
        for endpoint in tuple(self.tables[version].by_port.get(echo.identifier, ())):
            local, peer = endpoint.local().address, endpoint.peer()
            if not endpoint.is_any() and local != packet.destination:
                continue
            if peer is not None and peer.address != packet.source:
                continue
            if not endpoint.accepts(packet.source, packet.destination, interface, False):
                continue
            head = bytes((_REPLY[version], 0)) + bytes(packet.payload[2:_HEADER])
            data = head + bytes(echo.data)
            endpoint.deliver(data, 0, echo.identifier, packet, interface, self._stack.now)
            return

    def find_sender(self, report: ErrorReport) -> EchoEndpoint | None:
        """Return the endpoint that can have sent the quoted echo request."""
        version = 4 if len(report.source) == 4 else 6
        if len(report.payload) < _HEADER or report.payload[0] != _REQUEST[version]:
            return None
        identifier = int.from_bytes(report.payload[4:6], "big")
        for endpoint in self.tables[version].by_port.get(identifier, ()):
            if endpoint.is_any() or endpoint.local().address == report.source:
                return endpoint
        return None

    def handle_error(self, report: ErrorReport, now: Seconds) -> None:
        """Pass an ICMP error on to the endpoint that sent the echo request."""
        endpoint = self.find_sender(report)
        if endpoint is not None:
            endpoint.handle_error(report, report.payload)
