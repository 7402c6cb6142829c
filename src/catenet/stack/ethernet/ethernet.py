"""An Ethernet interface of a stack: frames in and out, ARP and neighbour discovery, duplicate addresses.

`EthernetPort` stands between `Stack` and a device that carries frames (TAP); above it are IP packets and next hops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.endpoint import Address, StackError
from catenet.stack.ethernet.lifetimes import Lifetimes
from catenet.stack.ethernet.neighbours import NeighbourTable
from catenet.stack.interface import FOREVER, AddressState, Interface
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import ethernet, icmp, nd
from catenet.wire.address import (
    ALL_NODES_LINK_LOCAL,
    ANY,
    BROADCAST,
    is_link_local,
    is_multicast,
    is_unspecified,
    solicited_node,
)
from catenet.wire.errors import Malformed
from catenet.wire.ethernet import ArpPacket, Frame
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.dhcp.client4 import DhcpClient
    from catenet.stack.dhcp.client6 import Dhcp6Client
    from catenet.stack.ethernet.autoconf import Autoconfiguration
    from catenet.stack.stack import Stack

__all__ = ["AddressConflict", "EthernetPort"]

_PROBES4: Final = 3
_DEFEND_INTERVAL: Final = 10.0
"""RFC 5227 2.4: defend once, and not again within this time."""
_NONCE_LENGTH: Final = 6
_UNKNOWN_ADDRESS: Final = bytes(6)


class AddressConflict(NamedTuple):
    """Event: another station on the link has an address of ours."""

    interface: int
    address: Address
    link: bytes


class _Detection:
    """Duplicate address detection of one address (RFC 4862 5.4, RFC 5227 2.1)."""

    __slots__ = ("done", "left", "nonce", "timer")

    def __init__(self, left: int, nonce: bytes, done: Callable[[bool], None]) -> None:
        self.left = left
        self.nonce = nonce
        self.done = done
        self.timer: Timer | None = None


class EthernetPort:
    """Link layer of one Ethernet interface."""

    def __init__(self, stack: Stack, interface: Interface) -> None:
        self._stack = stack
        self.interface = interface
        self.neighbours = NeighbourTable(stack, self, {4: _ArpSolicitor(self), 6: _NdSolicitor(self)})
        self.neighbours.on_unreachable = lambda neighbour: stack.icmp.redirects.forget(neighbour.address)
        self.autoconf: Autoconfiguration | None = None
        self.dhcp: DhcpClient | None = None
        self.dhcp6: Dhcp6Client | None = None
        self.lifetimes = Lifetimes(stack, interface)
        self._detections: dict[Address, _Detection] = {}
        self._defended: dict[Address, float] = {}

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

    def send_nd(self, source: Address, destination: Address, message: nd.Message) -> None:
        """Send a neighbour discovery message, with the hop limit that proves it local."""
        data = icmp.build(nd.build(message), source, destination)
        try:
            self._stack.output.send(
                source,
                destination,
                icmp.PROTOCOLS[6],
                data,
                nd.HOP_LIMIT,
                interface=self.interface.index,
                loop=False,
            )
        except StackError:
            self._stack.counters[6].ip.OutDiscards += 1

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

    def receive_nd(self, packet: IpPacket, message: icmp.Other, now: Seconds) -> None:
        """Take an ICMPv6 message if it is neighbour discovery that is valid (RFC 4861 6.1, 7.1, 8.1)."""
        try:
            read = nd.parse(message)
        except Malformed:
            self._stack.counters[6].icmp.InErrors += 1
            return
        if read is None or packet.hop_limit != nd.HOP_LIMIT:
            return
        if any(isinstance(option, nd.LinkAddress) and len(option.address) < 6 for option in read.options):
            return
        if isinstance(read, nd.NeighborSolicitation):
            self._receive_solicitation(packet, read, now)
        elif isinstance(read, nd.NeighborAdvertisement):
            self._receive_advertisement(packet, read, now)
        elif isinstance(read, nd.Redirect):
            self._stack.icmp.redirects.receive_nd(packet.source, read, self.interface, now)
        elif isinstance(read, nd.RouterAdvertisement) and self.autoconf is not None:
            self.autoconf.receive_advertisement(packet.source, read, now)

    def _receive_solicitation(self, packet: IpPacket, message: nd.NeighborSolicitation, now: Seconds) -> None:
        source, target = packet.source, message.target
        link = link_address_of(message, 1)
        if is_multicast(target):
            return
        if is_unspecified(source) and (link is not None or packet.destination != solicited_node(target)):
            return
        detection = self._detections.get(target)
        if detection is not None:
            nonces = [option.nonce for option in message.options if isinstance(option, nd.Nonce)]
            if is_unspecified(source) and detection.nonce not in nonces:  # our own, looped back, has ours (RFC 7527)
                self._finish(target, duplicate=True)
            return
        mine = self.interface.find(target)
        if mine is None or not mine.is_usable:
            return
        if link is not None and not is_unspecified(source):
            self.neighbours.learn(source, link, now)
        solicited = not is_unspecified(source)
        self.send_nd(
            target,
            source if solicited else ALL_NODES_LINK_LOCAL,
            nd.NeighborAdvertisement(
                target,
                bool(self._stack.settings.ip_forward),
                solicited,
                True,
                (nd.LinkAddress(2, self.interface.link_address),),
            ),
        )

    def _receive_advertisement(self, packet: IpPacket, message: nd.NeighborAdvertisement, now: Seconds) -> None:
        target = message.target
        if is_multicast(target) or (message.solicited and is_multicast(packet.destination)):
            return
        link = link_address_of(message, 2)
        if target in self._detections:
            self._finish(target, duplicate=True)
            return
        if self.interface.find(target) is not None:
            self._conflict(target, link or _UNKNOWN_ADDRESS, now)
            return
        self.neighbours.receive_advertisement(
            target, link, now, solicited=message.solicited, override=message.override, router=message.router
        )

    # Addresses.

    def announce(self, address: Address) -> None:
        """Announce an address of ours (RFC 5227 2.3, RFC 4861 7.2.6)."""
        own = self.interface.link_address
        if len(address) == 4:
            self.send_arp(ArpPacket(1, own, address, _UNKNOWN_ADDRESS, address), ethernet.BROADCAST)
        else:
            message = nd.NeighborAdvertisement(address, False, False, True, (nd.LinkAddress(2, own),))
            self.send_nd(address, ALL_NODES_LINK_LOCAL, message)

    def detect_duplicate(self, address: Address, done: Callable[[bool], None]) -> None:
        """Detect whether another station has `address`; `done(duplicate)` is called at the end."""
        probes = _PROBES4 if len(address) == 4 else self._stack.settings.dad_transmits
        if probes <= 0:
            done(False)
            return
        random = self._stack.random
        detection = self._detections[address] = _Detection(probes, random.randbytes(_NONCE_LENGTH), done)
        # The first is delayed, so that hosts of a link that comes up do not all ask at once (RFC 4862 5.4.2).
        detection.timer = self._stack.timers.call_at(self._stack.now + random.uniform(0, 1), self._probe, address)

    def _probe(self, address: Address) -> None:
        detection = self._detections[address]
        if not detection.left:
            self._finish(address, duplicate=False)
            return
        detection.left -= 1
        if len(address) == 4:
            own = self.interface.link_address
            self.send_arp(ArpPacket(1, own, ANY[4], _UNKNOWN_ADDRESS, address), ethernet.BROADCAST)
        else:
            message = nd.NeighborSolicitation(address, (nd.Nonce(detection.nonce),))
            self.send_nd(ANY[6], solicited_node(address), message)
        wait = self.neighbours.retransmission_time
        detection.timer = self._stack.timers.call_at(self._stack.now + wait, self._probe, address)

    def _finish(self, address: Address, *, duplicate: bool) -> None:
        detection = self._detections.pop(address)
        if detection.timer is not None:
            detection.timer.cancel()
        detection.done(duplicate)

    def forget(self, address: Address) -> None:
        """Stop the detection of an address that is removed."""
        detection = self._detections.pop(address, None)
        if detection is not None and detection.timer is not None:
            detection.timer.cancel()

    def add_address(
        self,
        address: Address,
        length: int,
        origin: str = "static",
        preferred_until: float = FOREVER,
        valid_until: float = FOREVER,
        decided: Callable[[Address, bool], None] | None = None,
    ) -> None:
        """Add an address after duplicate detection; an event reports a duplicate, and `decided(address, duplicate)`."""
        index = self.interface.index
        address_table = self._stack.address_table
        on_link = origin != "slaac"
        address_table.add(
            index,
            address,
            length,
            AddressState.TENTATIVE,
            origin,
            preferred_until=preferred_until,
            valid_until=valid_until,
            on_link=on_link,
        )

        def done(duplicate: bool) -> None:
            if duplicate:
                address_table.set_state(index, address, AddressState.DUPLICATED)
                self._stack.add_event(AddressConflict(index, address, _UNKNOWN_ADDRESS))
            else:
                address_table.set_state(index, address, AddressState.PREFERRED)
                self.announce(address)
                self.lifetimes.schedule()
            if decided is not None:
                decided(address, duplicate)

        self.detect_duplicate(address, done)

    def _conflict(self, address: Address, link: bytes, now: Seconds) -> None:
        """Defend our address against another station, but not too often (RFC 5227 2.4 b)."""
        if link == self.interface.link_address:
            return
        self._stack.add_event(AddressConflict(self.interface.index, address, link))
        if now - self._defended.get(address, float("-inf")) >= _DEFEND_INTERVAL:
            self._defended[address] = now
            self.announce(address)


def link_address_of(message: nd.Message, kind: int) -> bytes | None:
    """Link-layer address option of the kind 1, source, or 2, target."""
    for option in message.options:
        if isinstance(option, nd.LinkAddress) and option.kind == kind:
            return option.address[:6]
    return None


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
        packet = ArpPacket(1, interface.link_address, source, link or _UNKNOWN_ADDRESS, target)
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
