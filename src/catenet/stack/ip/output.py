"""Output: the next hop of a packet, fragmentation, and the queues that `transmit` empties."""

from __future__ import annotations

import hashlib
import random as random_module
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.counters import Counters, IpCounters
from catenet.stack.endpoint import Address, Fault, StackError
from catenet.stack.interface import FOREVER, LOOPBACK_INDEX, Interface
from catenet.stack.ip import fragments
from catenet.stack.ip.addresses import AddressTable
from catenet.stack.ip.path_mtu import PathMtuCache
from catenet.stack.ip.routes import NO_METRICS, Route, RouteEntry, RouteMetrics, RouteTable, select_source
from catenet.stack.units import Seconds
from catenet.wire import ip
from catenet.wire.address import BROADCAST, LOOPBACK, Prefix, is_link_local, is_multicast, is_reserved, is_unspecified
from catenet.wire.gso import GsoPacket
from catenet.wire.ip import IpPacket
from catenet.wire.offload import as_gso, cut

if TYPE_CHECKING:
    from catenet.stack.datagram.send_buffer import SendBuffer
    from catenet.stack.group.multicast import Multicast
    from catenet.stack.settings import Settings

__all__ = ["Hop", "Output"]

_MAX_HOPS: Final = 4096
_IDENTIFIERS: Final = 1024


class Hop:
    """The next step of packets to one destination; kept until routes, addresses or the path MTU change."""

    __slots__ = (
        "cast",
        "expires",
        "interface",
        "link_mtu",
        "local",
        "locked",
        "metrics",
        "mtu",
        "next_hop",
        "plain",
        "source",
    )

    def __init__(self, interface: Interface, next_hop: Address, source: Address | None, metrics: RouteMetrics) -> None:
        self.interface = interface
        self.next_hop = next_hop
        self.source = source
        """Preferred source address of the route."""
        self.metrics = metrics
        # The loopback's 65,536 is one more than the length field of IPv4 can say.
        limit = interface.mtu if len(next_hop) == 16 else min(interface.mtu, ip.MAX_LENGTH)
        self.link_mtu = self.mtu = min(metrics.mtu or limit, limit)
        self.local = False
        self.cast = False
        """Whether the destination is a multicast or broadcast address."""
        self.locked = False
        self.plain = False
        """Whether packets go straight to a device that carries packets."""
        self.expires = FOREVER


class Output:
    """Sends packets of this host, and those it forwards."""

    def __init__(
        self,
        settings: Settings,
        random: random_module.Random,
        counters: dict[int, Counters],
        path_mtus: PathMtuCache,
    ) -> None:
        self._settings = settings
        self._random = random
        self.counters = counters
        self._counters4 = counters[4].ip
        self._counters6 = counters[6].ip
        self._path_mtus = path_mtus
        self._hops: dict[tuple[Address, int], Hop] = {}
        self.routes = RouteTable()
        self.generation = 0
        """Changes whenever something changes that hops were made from."""
        self.address_table = AddressTable(self.routes, self.invalidate)
        self.multicast: Multicast
        self.now = Seconds(0.0)
        self.out: list[tuple[int, bytes]] = []
        self.queued: set[int] = set()
        """Interfaces whose device has a queue: datagrams stay charged to their sockets until they have left it."""
        self.charges: list[tuple[int, SendBuffer, int]] = []
        """Of packets in `out`: the place there, who is charged for it, and how much.

        The driver that is handed `out` takes them, puts what became of each packet among those that are `held`, and
        has the buffers settle of which half is taken.
        """
        self.loop: deque[tuple[bytes, int]] = deque()
        self.dirty = False
        """Whether the driver knows that there is something to transmit."""
        self.on_dirty: Callable[[], None] | None = None
        self._secret = random.randbytes(16)
        self._identifiers = [random.getrandbits(32) for _ in range(_IDENTIFIERS)]

    def mark_dirty(self) -> None:
        """Note that there is something to transmit, and tell the driver unless it knows."""
        if not self.dirty:
            self.dirty = True
            if self.on_dirty is not None:
                self.on_dirty()

    def invalidate(self) -> None:
        """Forget the hops: something they were made from has changed."""
        self._hops.clear()
        self.generation += 1

    def hop(self, destination: Address, interface: int = 0) -> Hop:
        """Return the next step to `destination`, by `interface` unless that is 0.

        Raises:
            StackError: NETWORK_UNREACHABLE without a route; NETWORK_DOWN when the interface is down; the fault of a
                route that rejects.
        """
        hop = self._hops.get((destination, interface))
        if hop is not None and hop.expires > self.now:
            return hop
        hop = self._find_hop(destination, interface)
        if len(self._hops) >= _MAX_HOPS:
            self._hops.clear()
        self._hops[destination, interface] = hop
        return hop

    def found(self, destination: Address, interface: int) -> Hop | None:
        """The cached step of `hop`, if it still holds."""
        hop = self._hops.get((destination, interface))
        return hop if hop is not None and hop.expires > self.now else None

    def _find_hop(self, destination: Address, interface: int) -> Hop:
        address_table = self.address_table
        if interface and interface not in address_table.interfaces:
            raise StackError(Fault.NETWORK_UNREACHABLE)
        if address_table.is_local(destination):
            hop = Hop(address_table.interfaces[LOOPBACK_INDEX], destination, self._own_source(destination), NO_METRICS)
            hop.local = True
            return hop
        cast = is_multicast(destination) or destination == BROADCAST
        entry = self.routes.lookup(destination, interface, self.now)
        if entry is None or (cast and not entry.prefix.length):
            entry = self._implied_route(destination, interface, cast) or entry
        elif not entry.prefix.length and is_reserved(destination):
            entry = None
        if entry is None:
            (self._counters4 if len(destination) == 4 else self._counters6).OutNoRoutes += 1
            raise StackError(Fault.NETWORK_UNREACHABLE)
        if entry.reject is not None:
            raise StackError(entry.reject)
        out = address_table.interfaces[entry.interface]
        if not out.up:
            raise StackError(Fault.NETWORK_DOWN)
        next_hop = destination if cast or entry.gateway is None else entry.gateway
        hop = Hop(out, next_hop, entry.source, entry.metrics)
        hop.cast = cast or destination in out.broadcasts
        hop.plain = out.ethernet is None and not hop.cast
        path = None if hop.cast else self._path_mtus.get(destination, self.now)
        if path is not None:
            hop.mtu, hop.locked, hop.expires = min(path.mtu, hop.mtu), path.locked, path.expires
        return hop

    def _implied_route(self, destination: Address, interface: int, cast: bool) -> RouteEntry | None:
        """Implied routes: multicast, broadcast and link-local leave by the given or the first interface."""
        if not cast and not interface and not is_link_local(destination):
            return None
        interfaces = self.address_table.interfaces
        if interface:
            chosen: Interface | None = interfaces[interface]
        else:
            size = len(destination)
            able = [each for each in interfaces.values() if each.up and not each.loopback]
            named = [each for each in able if any(len(entry.address) == size for entry in each.addresses)]
            chosen = next(iter(named or able), None)
        if chosen is None:
            return None
        return RouteEntry(Prefix(destination, len(destination) * 8), chosen.index)

    def route(self, destination: Address, source: Address | None = None, interface: int = 0) -> Route:
        """Interface, source address, MTU of the path and next hop for packets to `destination`.

        Raises:
            StackError: as `hop`; ADDRESS_NOT_AVAILABLE when no address can be the source.
        """
        hop = self.hop(destination, interface)
        if source is None or is_unspecified(source):
            source = hop.source or self._select_source(destination, hop)
        return Route(hop.interface.index, source, hop.mtu, hop.next_hop, hop.metrics, hop.local, hop.cast)

    def _own_source(self, destination: Address) -> Address:
        """Source of packets to this host itself: the same address, but one for all of 127.0.0.0/8 (as Linux)."""
        return destination if destination in self.address_table.local else LOOPBACK[4]

    def _select_source(self, destination: Address, hop: Hop) -> Address:
        towards = destination if hop.cast or len(destination) == 16 else hop.next_hop
        source = select_source(
            towards,
            hop.interface,
            self.address_table.interfaces.values(),
            prefer_temporary=self._settings.use_tempaddr > 1,
        )
        if source is None:
            raise StackError(Fault.ADDRESS_NOT_AVAILABLE)
        return source

    def path_mtu(self, destination: Address, interface: int = 0) -> int:
        """MTU of the path to `destination` as far as known; StackError as `hop`."""
        return self.hop(destination, interface).mtu

    def may_send_from(self, source: Address) -> bool:
        """Whether a socket may still send from an address; Linux asks for IPv4 only whether the host has it."""
        return len(source) == 16 or self.address_table.is_local(source)

    def send(
        self,
        source: Address,
        destination: Address,
        protocol: int,
        payload: bytes,
        hop_limit: int | None = None,
        traffic_class: int = 0,
        dont_fragment: bool = False,
        interface: int = 0,
        flow_label: int = 0,
        options: bytes = b"",
        extensions: tuple[tuple[int, bytes], ...] = (),
        loop: bool = True,
        ignore_path_mtu: bool = False,
        segment_size: int = 0,
    ) -> None:
        """Send a packet of this host; it is cut into fragments where need be, at the source only.

        Args:
            source: address of this host, or unspecified where a protocol has none yet.
            destination: unicast, multicast or broadcast.
            protocol: of the payload.
            payload: the transport's bytes, checksum included.
            hop_limit: None for the default, 1 for multicast.
            traffic_class: DSCP and ECN bits.
            dont_fragment: whether IPv4 routers may not cut it, nor IPv6 (or this host) at the source.
            interface: to leave by, 0 for the route's.
            flow_label: of IPv6.
            options: of IPv4.
            extensions: extension headers of IPv6.
            loop: whether a multicast packet comes back when this host is a member.
            ignore_path_mtu: measure against the link's MTU only, for probes (RFC 4821, 8899).
            segment_size: payload of the segments that the device is to cut it into, 0: none (`wire/offload.py`).

        Raises:
            StackError: as `hop`; MESSAGE_TOO_LONG when it does not fit and must not be cut.
        """
        hop = self.hop(destination, interface)
        self.mark_dirty()
        counters = self._counters4 if len(source) == 4 else self._counters6
        counters.OutRequests += 1
        if hop_limit is None:
            hop_limit = self._hop_limit(hop, destination)
        mtu = hop.link_mtu if ignore_path_mtu else hop.mtu
        if hop.locked and not ignore_path_mtu:
            dont_fragment = dont_fragment and len(source) == 16
        size = len(payload) + (20 if len(source) == 4 else 40)
        if options or extensions or size > mtu or size > ip.MAX_LENGTH:
            fields = (hop_limit, traffic_class, 0, flow_label, dont_fragment, False, 0, options, extensions)
            packet = IpPacket(source, destination, protocol, payload, *fields)
            if segment_size and size <= ip.MAX_LENGTH:
                self._emit_gso(as_gso(ip.build(packet._replace(dont_fragment=True)), segment_size), hop, counters)
            else:
                self._send_slow(packet, hop, mtu, loop)
            return
        identification = 0
        if not dont_fragment and len(source) == 4:
            identification = self.identification(source, destination, protocol) & 0xFFFF
        fixed = (hop_limit, traffic_class, identification, dont_fragment, flow_label)
        self._dispatch(ip.pack(source, destination, protocol, payload, *fixed), destination, hop, hop_limit, loop)

    def _dispatch(self, packet: bytes, destination: Address, hop: Hop, hop_limit: int, loop: bool) -> None:
        """Queue a packet that fits, by its hop."""
        if hop.local:
            self.loop.append((packet, LOOPBACK_INDEX))
        elif hop.cast:
            self._cast(packet, destination, hop, hop_limit, loop)
        else:
            self._emit(packet, hop)

    def send_whole(self, packet: bytes, destination: Address, hop: Hop) -> None:
        """Send a packet whose header somebody else has made, as it is."""
        self.mark_dirty()
        (self._counters4 if packet[0] >> 4 == 4 else self._counters6).OutRequests += 1
        self._dispatch(packet, destination, hop, packet[8] if packet[0] >> 4 == 4 else packet[7], True)

    def send_ready(self, packet: bytes, hop: Hop, counters: IpCounters) -> None:
        """Queue a whole packet that fits and whose hop is `plain` or `local`: the fast path of `send`."""
        if not self.dirty:
            self.mark_dirty()
        counters.OutRequests += 1
        if hop.local:
            self.loop.append((packet, LOOPBACK_INDEX))
            return
        counters.OutTransmits += 1
        out = hop.interface
        out.sent_packets += 1
        out.sent_bytes += len(packet)
        self.out.append((out.index, packet))

    def send_gso(self, large: GsoPacket, hop: Hop, counters: IpCounters) -> None:
        """Queue a TCP segment for a device to cut, whose hop is `plain` or `local`: the fast path of `send`."""
        if not self.dirty:
            self.mark_dirty()
        counters.OutRequests += 1
        self._emit_gso(large, hop, counters)

    def _emit_gso(self, large: GsoPacket, hop: Hop, counters: IpCounters) -> None:
        """Queue a TCP segment for the device to cut; packets to this host itself are cut here."""
        if hop.local:
            self.loop.extend([(piece, LOOPBACK_INDEX) for piece in cut(large)])
            return
        counters.OutTransmits += 1
        interface = hop.interface
        interface.sent_packets += 1
        interface.sent_bytes += large.size
        self.out.append((interface.index, large))

    def _hop_limit(self, hop: Hop, destination: Address) -> int:
        if hop.cast and is_multicast(destination):
            return 1
        return hop.metrics.hop_limit or self._settings.ip_default_ttl

    def _send_slow(self, packet: IpPacket, hop: Hop, mtu: int, loop: bool) -> None:
        """Send a packet with options, or one too long for the path."""
        size = ip.header_length(packet) + len(packet.payload)
        counters = self._counters4 if packet.version == 4 else self._counters6
        if size - (40 if packet.version == 6 else 0) > ip.MAX_LENGTH:
            raise StackError(Fault.MESSAGE_TOO_LONG)
        pieces = [packet]
        if packet.version == 4 and not packet.dont_fragment:
            packet = packet._replace(identification=self.identification(*packet[:3]) & 0xFFFF)
            pieces = [packet]
        if size > mtu:
            if packet.dont_fragment or mtu < ip.MINIMUM_MTU[packet.version]:
                counters.FragFails += 1
                raise StackError(Fault.MESSAGE_TOO_LONG)
            if packet.version == 6:
                packet = packet._replace(identification=self.identification(*packet[:3]) or 1)
            pieces = fragments.split(packet, mtu)
            counters.FragOKs += 1
            counters.FragCreates += len(pieces)
        for piece in pieces:
            self._dispatch(ip.build(piece), packet.destination, hop, packet.hop_limit, loop)

    def _cast(self, packet: bytes, destination: Address, hop: Hop, hop_limit: int, loop: bool) -> None:
        """Send to a multicast or broadcast address: out, and back to this host when it is a member."""
        counters = self._counters4 if len(destination) == 4 else self._counters6
        interface = hop.interface
        multicast = is_multicast(destination)
        if multicast:
            counters.OutMcastPkts += 1
            loop = loop and self.multicast.is_member(interface.index, destination)
        else:
            counters.OutBcastPkts += 1
        if loop or interface.loopback:
            self.loop.append((packet, interface.index))
        # A multicast packet with hop limit 0 stays on this host, as does scope 1 (RFC 1112 6.1, RFC 4291 2.7).
        if not interface.loopback and (hop_limit or not multicast):
            self._emit(packet, hop)

    def _emit(self, packet: bytes, hop: Hop) -> None:
        interface = hop.interface
        counters = self._counters4 if packet[0] >> 4 == 4 else self._counters6
        counters.OutTransmits += 1
        ethernet = interface.ethernet
        if ethernet is not None:
            ethernet.send_packet(packet, hop.next_hop, self.now)
            return
        interface.sent_packets += 1
        interface.sent_bytes += len(packet)
        self.out.append((interface.index, packet))

    def emit(self, packet: bytes, hop: Hop) -> None:
        """Send a whole packet as it is, for forwarding."""
        self.mark_dirty()
        self._emit(packet, hop)

    def emit_frame(self, interface: int, frame: bytes) -> None:
        """Send a whole frame by an Ethernet interface."""
        self.mark_dirty()
        self.out.append((interface, frame))

    def identification(self, source: Address, destination: Address, protocol: int) -> int:
        """Next identification for a pair: not to be guessed, and none repeats soon (RFC 6864, RFC 7739 5.3)."""
        digest = hashlib.blake2s(source + destination + bytes((protocol,)), digest_size=2, key=self._secret).digest()
        index = int.from_bytes(digest, "big") % _IDENTIFIERS
        value = self._identifiers[index] = (self._identifiers[index] + 1) & 0xFFFFFFFF
        return value
