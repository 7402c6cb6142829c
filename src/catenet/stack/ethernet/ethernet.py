"""An Ethernet interface of a stack: frames in and out, ARP and neighbour discovery, duplicate addresses.

`EthernetPort` stands between `Stack` and a device that carries frames (TAP); above it are IP packets and next hops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address
from catenet.stack.ethernet.neighbours import NeighbourTable
from catenet.stack.ethernet.port import UNKNOWN_ADDRESS, LinkPort, link_address_of
from catenet.stack.interface import Interface
from catenet.stack.units import Seconds
from catenet.wire import ethernet, nd
from catenet.wire.address import (
    ANY,
    BROADCAST,
    is_link_local,
    is_multicast,
    is_unspecified,
    solicited_node,
)
from catenet.wire.errors import Malformed
from catenet.wire.ethernet import ArpPacket, Frame

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["EthernetPort"]

_PROBES4: Final = 3


class EthernetPort(LinkPort):
    """Link layer of one Ethernet interface."""

    def __init__(self, stack: Stack, interface: Interface) -> None:
        super().__init__(stack, interface)
        self.neighbours = NeighbourTable(stack, self, {4: _ArpSolicitor(self), 6: _NdSolicitor(self)})
        self.neighbours.on_unreachable = lambda neighbour: stack.icmp.redirects.forget(neighbour.address)

    # Sending.

    def send_packet(self, packet: bytes, next_hop: Address, now: Seconds) -> None:
        """Send an IP packet by way of `next_hop`, which may be a group or broadcast address."""
        if is_multicast(next_hop):
            self.send_packet_to(packet, ethernet.group_address(next_hop))
        elif next_hop == BROADCAST or next_hop in self.interface.broadcasts:
            self.send_packet_to(packet, ethernet.BROADCAST)
        else:
            self.neighbours.send_packet(packet, next_hop, now)

    def send_packet_to(self, packet: bytes, link: bytes) -> None:
        """Send an IP packet to a station."""
        self._emit(Frame(link, self.interface.link_address, ethernet.ETHERTYPES[packet[0] >> 4], packet))

    def send_arp(self, packet: ArpPacket, link: bytes) -> None:
        """Send an ARP packet to a station."""
        self._emit(Frame(link, self.interface.link_address, ethernet.ARP, ethernet.build_arp(packet)))

    def _emit(self, frame: Frame) -> None:
        interface = self.interface
        if not interface.up:
            return
        raw = ethernet.build_frame(frame)
        interface.sent_packets += 1
        interface.sent_bytes += len(raw)
        self._stack.output.emit_frame(interface.index, raw)

    # Receiving.

    def receive_frame(self, data: bytes | memoryview, now: Seconds) -> None:
        """Take a frame."""
        try:
            frame = ethernet.parse_frame(data)
        except Malformed:
            return
        own = self.interface.link_address
        group = ethernet.is_group(frame.destination)
        if (not group and frame.destination != own) or frame.source == own or ethernet.is_group(frame.source):
            return
        if frame.ethertype == ethernet.ARP:
            self._receive_arp(frame, now)
        elif frame.ethertype in (ethernet.ETHERTYPES[4], ethernet.ETHERTYPES[6]):
            if group and not self._is_for_many(frame.payload):
                return
            self._stack.receive_ip(frame.payload, now, self.interface)

    def _is_for_many(self, packet: bytes | memoryview) -> bool:
        """Whether a packet in a group frame has such a destination too; others are dropped (RFC 1122 3.3.6)."""
        if len(packet) < 20:
            return False
        destination = bytes(packet[16:20]) if packet[0] >> 4 == 4 else bytes(packet[24:40])
        if len(destination) < 4:
            return False
        return is_multicast(destination) or destination == BROADCAST or destination in self.interface.broadcasts

    def _receive_arp(self, frame: Frame, now: Seconds) -> None:
        try:
            packet = ethernet.parse_arp(frame.payload)
        except Malformed:
            return
        sender, target = packet.sender, packet.target
        if ethernet.is_group(packet.sender_link) or is_multicast(sender) or packet.operation not in (1, 2):
            return
        detection = self._detections.get(sender) or (is_unspecified(sender) and self._detections.get(target)) or None
        if detection is not None and packet.sender_link != self.interface.link_address:
            self._finish(sender if sender in self._detections else target, duplicate=True)
            return
        mine = self.interface.find(target)
        if not is_unspecified(sender):
            if self.interface.find(sender) is not None:
                self._conflict(sender, packet.sender_link, now)
                return
            if packet.operation == 2:
                asked = target in self._stack.address_table.local
                self.neighbours.receive_advertisement(
                    sender, packet.sender_link, now, solicited=asked, override=True, router=False
                )
            elif mine is not None or self.neighbours.get(sender) is not None:
                # A request's sender will be answered soon, and a known one may have moved (RFC 826, packet reception).
                self.neighbours.learn(sender, packet.sender_link, now)
        if packet.operation == 1 and mine is not None and mine.is_usable:
            own = self.interface.link_address
            self.send_arp(ArpPacket(2, own, target, packet.sender_link, sender), packet.sender_link)

    # What differs from links without link-layer addresses.

    def _link_options(self, kind: int) -> tuple[nd.Option, ...]:
        return (nd.LinkAddress(kind, self.interface.link_address),)

    def _probes(self, address: Address) -> int:
        return _PROBES4 if len(address) == 4 else super()._probes(address)

    def _probe4(self, address: Address) -> None:
        own = self.interface.link_address
        self.send_arp(ArpPacket(1, own, ANY[4], UNKNOWN_ADDRESS, address), ethernet.BROADCAST)

    def _announce4(self, address: Address) -> None:
        own = self.interface.link_address
        self.send_arp(ArpPacket(1, own, address, UNKNOWN_ADDRESS, address), ethernet.BROADCAST)

    def _heard(self, address: Address, link: bytes | None, now: Seconds) -> None:
        if link is not None:
            self.neighbours.learn(address, link, now)

    def _advertised(self, message: nd.NeighborAdvertisement, link: bytes | None, now: Seconds) -> None:
        self.neighbours.receive_advertisement(
            message.target, link, now, solicited=message.solicited, override=message.override, router=message.router
        )

    def learn_router(self, router: Address, message: nd.RouterAdvertisement, now: Seconds) -> None:
        """Learn its link-layer address, and how long neighbours are believed to be there."""
        super().learn_router(router, message, now)
        self.neighbours.retransmission_time = self.retransmission_time
        if 0 < message.reachable_time <= 3_600_000:
            self.neighbours.reachable_time = message.reachable_time / 1000
        link = link_address_of(message, 1)
        if link is not None:
            self.neighbours.learn(router, link, now).router = True

    def watch_routers(self, lost: Callable[[Address], None]) -> None:
        """As `LinkPort.watch_routers`, by neighbour unreachability detection."""
        self.neighbours.on_unreachable = lambda neighbour: lost(neighbour.address)


class _ArpSolicitor:
    """Asks by ARP."""

    def __init__(self, port: EthernetPort) -> None:
        self._port = port

    def solicit(self, target: Address, link: bytes | None, waiting: bytes | None) -> None:
        interface = self._port.interface
        usable = interface.usable(4)
        source = usable[0].address if usable else ANY[4]
        preferred = waiting[12:16] if waiting is not None else None
        for entry in usable:
            if entry.address == preferred:
                source = entry.address
        packet = ArpPacket(1, interface.link_address, source, link or UNKNOWN_ADDRESS, target)
        self._port.send_arp(packet, link or ethernet.BROADCAST)


class _NdSolicitor:
    """Asks by neighbour solicitation."""

    def __init__(self, port: EthernetPort) -> None:
        self._port = port

    def solicit(self, target: Address, link: bytes | None, waiting: bytes | None) -> None:
        interface = self._port.interface
        usable = [entry.address for entry in interface.usable(6)]
        if not usable:
            return
        preferred = waiting[8:24] if waiting is not None else None
        source = preferred if preferred in usable else next(filter(is_link_local, usable), usable[0])
        message = nd.NeighborSolicitation(target, (nd.LinkAddress(1, interface.link_address),))
        self._port.send_nd(source, solicited_node(target) if link is None else target, message)
