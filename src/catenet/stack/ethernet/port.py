"""What an interface needs to configure itself, whatever its link: neighbour discovery, addresses found to be unique.

A link without link-layer addresses (a simulated network, a point-to-point link) has no neighbours to resolve: messages
go out without such options (RFC 4861 4.6.1, RFC 5072 5), and IPv4 addresses are not probed, as there is no ARP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.endpoint import Address, StackError
from catenet.stack.ethernet.lifetimes import Lifetimes
from catenet.stack.interface import FOREVER, AddressState, Interface
from catenet.stack.timers import Timer
from catenet.stack.units import Seconds
from catenet.wire import icmp, nd
from catenet.wire.address import ALL_NODES_LINK_LOCAL, ANY, is_multicast, is_unspecified, solicited_node
from catenet.wire.errors import Malformed
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.dhcp.client4 import DhcpClient
    from catenet.stack.dhcp.client6 import Dhcp6Client
    from catenet.stack.ethernet.advertiser import RouterAdvertiser
    from catenet.stack.ethernet.autoconf import Autoconfiguration
    from catenet.stack.stack import Stack

__all__ = ["UNKNOWN_ADDRESS", "AddressConflict", "LinkPort", "link_address_of"]

_DEFEND_INTERVAL: Final = 10.0
"""RFC 5227 2.4: defend once, and not again within this time."""
_NONCE_LENGTH: Final = 6
UNKNOWN_ADDRESS: Final = bytes(6)


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


class LinkPort:
    """One interface that configures itself or advertises; this one on a link without link-layer addresses."""

    def __init__(self, stack: Stack, interface: Interface) -> None:
        self._stack = stack
        self.interface = interface
        self.autoconf: Autoconfiguration | None = None
        self.advertiser: RouterAdvertiser | None = None
        self.dhcp: DhcpClient | None = None
        self.dhcp6: Dhcp6Client | None = None
        self.lifetimes = Lifetimes(stack, interface)
        self.retransmission_time = stack.settings.neigh_retrans_time_ms / 1000
        """Seconds between questions about a neighbour, as routers say."""
        self._detections: dict[Address, _Detection] = {}
        self._defended: dict[Address, float] = {}

    # What differs where there are link-layer addresses.

    def _link_options(self, kind: int) -> tuple[nd.Option, ...]:
        """The option that tells others our link-layer address: 1 as a source, 2 as a target."""
        return ()

    def _probes(self, address: Address) -> int:
        """How often others are asked whether they have an address."""
        return 0 if len(address) == 4 else self._stack.settings.dad_transmits

    def _probe4(self, address: Address) -> None:
        """Ask whether anybody has an IPv4 address."""

    def _heard(self, address: Address, link: bytes | None, now: Seconds) -> None:
        """Learn from a neighbour's solicitation."""

    def _advertised(self, message: nd.NeighborAdvertisement, link: bytes | None, now: Seconds) -> None:
        """Learn from a neighbour's advertisement."""

    def learn_router(self, router: Address, message: nd.RouterAdvertisement, now: Seconds) -> None:
        """Learn from a router's advertisement what it says of neighbours."""
        if 0 < message.retransmission_time <= 3_600_000:
            self.retransmission_time = message.retransmission_time / 1000

    def watch_routers(self, lost: Callable[[Address], None]) -> None:
        """Have `lost(address)` called when a neighbour does not answer, or is no router any more."""

    def _announce4(self, address: Address) -> None:
        """Announce an IPv4 address of ours."""

    # Messages.

    def solicit_routers(self, source: Address, destination: Address) -> None:
        """Ask for routers."""
        self.send_nd(source, destination, nd.RouterSolicitation(self._link_options(1)))

    def advertise_router(self, source: Address, message: nd.RouterAdvertisement) -> None:
        """Advertise this router to all."""
        options = (*self._link_options(1), *message.options)
        self.send_nd(source, ALL_NODES_LINK_LOCAL, message._replace(options=options))

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
        elif isinstance(read, nd.RouterSolicitation) and self.advertiser is not None:
            self.advertiser.receive_solicitation()

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
        if not is_unspecified(source):
            self._heard(source, link, now)
        solicited = not is_unspecified(source)
        self.send_nd(
            target,
            source if solicited else ALL_NODES_LINK_LOCAL,
            nd.NeighborAdvertisement(
                target,
                bool(self._stack.settings.ip_forward),
                solicited,
                True,
                self._link_options(2),
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
            self._conflict(target, link or UNKNOWN_ADDRESS, now)
            return
        self._advertised(message, link, now)

    # Addresses.

    def announce(self, address: Address) -> None:
        """Announce an address of ours (RFC 5227 2.3, RFC 4861 7.2.6)."""
        if len(address) == 4:
            self._announce4(address)
        else:
            message = nd.NeighborAdvertisement(address, False, False, True, self._link_options(2))
            self.send_nd(address, ALL_NODES_LINK_LOCAL, message)

    def detect_duplicate(self, address: Address, done: Callable[[bool], None]) -> None:
        """Detect whether another station has `address`; `done(duplicate)` is called at the end."""
        probes = self._probes(address)
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
            self._probe4(address)
        else:
            message = nd.NeighborSolicitation(address, (nd.Nonce(detection.nonce),))
            self.send_nd(ANY[6], solicited_node(address), message)
        wait = self.retransmission_time
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
                self._stack.add_event(AddressConflict(index, address, UNKNOWN_ADDRESS))
            else:
                address_table.set_state(index, address, AddressState.PREFERRED)
                self.announce(address)
                self.lifetimes.schedule()
            if decided is not None:
                decided(address, duplicate)

        self.detect_duplicate(address, done)

    def _conflict(self, address: Address, link: bytes, now: Seconds) -> None:
        """Defend our address against another station, but not too often (RFC 5227 2.4 b)."""
        if link and link == self.interface.link_address:
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
