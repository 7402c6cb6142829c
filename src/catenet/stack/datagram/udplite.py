"""UDP-Lite of a host (RFC 3828): UDP's endpoints over datagrams of another protocol, with ports of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.counters import UdpCounters
from catenet.stack.datagram.udp import Udp, UdpEndpoint
from catenet.stack.endpoint import Address
from catenet.stack.units import Seconds
from catenet.wire import udplite
from catenet.wire.ip import IpPacket
from catenet.wire.udp import UdpDatagram

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["UdpLite"]


class UdpLite(Udp):
    """All UDP-Lite endpoints of one stack."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.protocol = udplite.PROTOCOL
        self.fast_paths = False

    def counters_of(self, version: int) -> UdpCounters:
        """See `Udp`."""
        return self._stack.counters[version].udp_lite

    def parse(self, packet: IpPacket) -> UdpDatagram:
        """See `Udp`."""
        return udplite.parse(packet.payload, packet.source, packet.destination)

    def build(self, endpoint: UdpEndpoint, datagram: UdpDatagram, source: Address, destination: Address) -> bytes:
        """See `Udp`."""
        return udplite.build(datagram, source, destination, endpoint.options.get("UDPLITE_SEND_CSCOV", 0))

    def _deliver(
        self, endpoint: UdpEndpoint, packet: IpPacket, datagram: UdpDatagram, now: Seconds, interface: int
    ) -> None:
        """As UDP; an endpoint that says how much is to be covered gets nothing that is covered less (udplite(7))."""
        least = endpoint.options.get("UDPLITE_RECV_CSCOV")
        if least is not None:
            covered = udplite.coverage(packet.payload)
            if covered < len(packet.payload) and (not least or covered < least):
                self.counters_of(packet.version).InErrors += 1
                return
        super()._deliver(endpoint, packet, datagram, now, interface)
