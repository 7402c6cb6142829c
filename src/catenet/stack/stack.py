"""One host's network stack: layers 3 and 4 behind five verbs, without I/O, clock or entropy of its own.

A driver hands packets to `receive`, sends what `transmit` returns, and calls `handle_timeout` at `next_deadline`.
`on_dirty` tells it when there is something to transmit, so that it need not poll. Endpoints are for the layer above.
"""

from __future__ import annotations

import random as random_module
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.stack.counters import Counters
from catenet.stack.datagram import fastpath as udp_fastpath
from catenet.stack.datagram.datagram import DatagramEndpoint
from catenet.stack.datagram.ping import EchoEndpoint, EchoLayer
from catenet.stack.datagram.raw import RawEndpoint, RawLayer
from catenet.stack.datagram.udp import Udp, UdpEndpoint
from catenet.stack.datagram.udplite import UdpLite
from catenet.stack.endpoint import Address
from catenet.stack.ethernet.ethernet import EthernetPort
from catenet.stack.group.multicast import Multicast
from catenet.stack.interface import AddressState, Interface, InterfaceAddress
from catenet.stack.ip import forward
from catenet.stack.ip import options as ip_options
from catenet.stack.ip.fragments import Reassembler
from catenet.stack.ip.icmp import Icmp
from catenet.stack.ip.output import Output
from catenet.stack.ip.path_mtu import PathMtuCache
from catenet.stack.ip.routes import NO_METRICS, RouteEntry, RouteMetrics
from catenet.stack.nat.nat import Nat
from catenet.stack.settings import Settings
from catenet.stack.tcp.control.errors import find_sender
from catenet.stack.tcp.fastpath import receive as tcp_fastpath
from catenet.stack.tcp.layer import TcpLayer
from catenet.stack.timers import Timers
from catenet.stack.units import Seconds
from catenet.wire import ethernet, icmp, ip, multicast, tcp, udp, udplite
from catenet.wire.address import BROADCAST, Prefix, is_loopback, is_martian_source, is_multicast
from catenet.wire.errors import HeaderProblem, Malformed
from catenet.wire.icmp import Problem
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.group.querier import Querier
    from catenet.stack.nat.config import NatConfig
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["Stack"]

_MAX_EVENTS: Final = 1024
_MAX_ROUNDS: Final = 10_000
"""Rounds of loopback in one `transmit`; the rest is left to the next."""
_SHORTEST: Final = 28
"""Bytes from which on a packet may take a fast path."""
_SUSPECT: Final = {4: frozenset((0, 127, *range(224, 256))), 16: frozenset((0, 255))}
"""First bytes of source addresses that need a closer check, by address size."""
_PROBLEMS: Final = {
    HeaderProblem.ERRONEOUS_FIELD: Problem.ERRONEOUS_FIELD,
    HeaderProblem.UNKNOWN_NEXT_HEADER: Problem.PROTOCOL_UNREACHABLE,
    HeaderProblem.UNKNOWN_OPTION: Problem.UNKNOWN_OPTION,
    HeaderProblem.INCOMPLETE_FIRST_FRAGMENT: Problem.INCOMPLETE_FIRST_FRAGMENT,
}


class Stack:
    """The stack of one host.

    Interface 1 is the loopback; `add_interface` numbers on from 2. Packets are whole IP packets as bytes, on Ethernet
    interfaces whole frames.
    """

    def __init__(self, random: random_module.Random | None = None, settings: Settings | None = None) -> None:
        """Make a stack without interfaces but the loopback; `random` is its only entropy."""
        self.settings = settings if settings is not None else Settings()
        self.random = random if random is not None else random_module.Random(0)
        self.now = Seconds(0.0)
        self.slept = 0.0
        """Seconds by which the clock of devices is ahead of `now`: what the host has slept."""
        self.counters4, self.counters6 = Counters(), Counters()
        self.counters = {4: self.counters4, 6: self.counters6}
        self._counters4, self._counters6 = self.counters4.ip, self.counters6.ip
        self.hash_seed = self.random.getrandbits(32)
        self.flushes: list[DatagramEndpoint] = []
        """Datagram endpoints that have sent since the last `transmit`."""
        self.querier: Querier | None = None
        self.nat: Nat | None = None
        """What translates between the networks of a router; None on all others."""
        self._number = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._events: deque[object] = deque(maxlen=_MAX_EVENTS)
        self.on_event: Callable[[], None] | None = None
        """Called when there is a new event."""
        self.path_mtus = PathMtuCache(self.settings)
        self.output = output = Output(self.settings, self.random, self.counters, self.path_mtus)
        self.address_table = output.address_table
        self.routes = output.routes
        self.interfaces = output.address_table.interfaces
        self.timers = Timers(output.mark_dirty)  # a driver that transmits asks for the next deadline then
        self._local = output.address_table.local
        self._never_sources = output.address_table.never_sources
        self.multicast = output.multicast = Multicast(self)
        self.reassembler = Reassembler(
            self.settings,
            self.timers,
            {version: counters.ip for version, counters in self.counters.items()},
            self._reassembly_timed_out,
        )
        self.icmp = Icmp(self)
        self.udp = Udp(self)
        self._udp_lite: UdpLite | None = None
        self.echo = EchoLayer(self)
        self.raw = RawLayer(self)
        self.observed = False
        """Whether there are raw sockets, which see packets that the fast paths would take."""
        self.tcp = TcpLayer(output, self.settings, self.random)
        self.icmp.handlers.update(
            {
                tcp.PROTOCOL: self.tcp.handle_error,
                udp.PROTOCOL: self.udp.handle_error,
                icmp.PROTOCOLS[4]: self.echo.handle_error,
                icmp.PROTOCOLS[6]: self.echo.handle_error,
            }
        )
        self.icmp.has_sent.update(
            {
                tcp.PROTOCOL: lambda report: find_sender(self.tcp, report) is not None,
                udp.PROTOCOL: lambda report: self.udp.find_sender(report) is not None,
                icmp.PROTOCOLS[4]: lambda report: self.echo.find_sender(report) is not None,
                icmp.PROTOCOLS[6]: lambda report: self.echo.find_sender(report) is not None,
            }
        )
        self.icmp.on_reply = self.echo.receive_reply
        self.icmp.on_other = self._receive_other

    # Configuration.

    def add_interface(
        self,
        name: str = "",
        mtu: int = 1500,
        addresses: tuple[tuple[Address, int], ...] = (),
        link_address: bytes = b"",
    ) -> Interface:
        """Add an interface, "eth0" and on by default, with (address, prefix length) pairs.

        With a `link_address` of 6 bytes it is an Ethernet interface: frames instead of packets cross it.

        Raises:
            ValueError: a name that is taken, or an impossible MTU or prefix length.
        """
        if link_address and (len(link_address) != 6 or ethernet.is_group(link_address)):
            raise ValueError("the link address of an Ethernet interface is one station's, of 6 bytes")
        interface = self.address_table.add_interface(name or f"eth{len(self.interfaces) - 1}", mtu, link_address)
        if link_address:
            interface.ethernet = interface.port = EthernetPort(self, interface)
        for address, length in addresses:
            self.add_address(interface.index, address, length)
        return interface

    def add_address(self, interface: int, address: Address, length: int) -> InterfaceAddress:
        """Give an interface an address and the route to its network; StackError(ADDRESS_IN_USE), ValueError."""
        return self.address_table.add(interface, address, length, AddressState.PREFERRED)

    def remove_address(self, interface: int, address: Address) -> None:
        """Take an address away; StackError(ADDRESS_NOT_AVAILABLE) when it is not there."""
        self.address_table.remove(interface, address)

    def use_nat(self, config: NatConfig | None) -> None:
        """Translate addresses between the interfaces outside and all others from now on, without any mapping yet."""
        self.nat = None if config is None else Nat(self, config)

    def set_mtu(self, interface: int, mtu: int) -> None:
        """Change the MTU of an interface; ValueError below 68."""
        if not 68 <= mtu <= 65536:
            raise ValueError(f"mtu {mtu} is not between 68 and 65536")
        self.interfaces[interface].mtu = mtu
        self.output.invalidate()

    def set_offload(self, checksums: bool, segments: int = 0) -> None:
        """Leave TCP's and UDP's checksums, and segments of up to `segments` bytes, to devices (`wire/offload.py`)."""
        self.tcp.offload = self.udp.offload = checksums
        self.tcp.gso_size = segments if checksums else 0
        self.udp.forget_flows()

    def set_fast_paths(self, on: bool) -> None:
        """Turn the fast paths of TCP and UDP on (the default) or off; packets are the same either way."""
        self.tcp.fast_paths = self.udp.fast_paths = on
        self.output.invalidate()
        self.udp.forget_flows()

    def set_queued(self, interface: int, queued: bool) -> None:
        """Set whether the device of an interface has a queue, and its driver handles `Output.charges`."""
        if queued != (interface in self.output.queued):
            (self.output.queued.add if queued else self.output.queued.discard)(interface)
            self.output.invalidate()

    def set_up(self, interface: int, up: bool) -> None:
        """Take an interface up or down; down it neither sends nor receives."""
        self.interfaces[interface].up = up
        self.output.invalidate()

    def add_route(
        self,
        prefix: Prefix,
        interface: int,
        gateway: Address | None = None,
        source: Address | None = None,
        metric: int = 0,
        metrics: RouteMetrics = NO_METRICS,
    ) -> RouteEntry:
        """Add a route; the entry that is returned is what `remove_route` takes."""
        entry = RouteEntry(prefix, interface, gateway, source, metric, metrics)
        self.routes.add(entry)
        self.output.invalidate()
        return entry

    def remove_route(self, entry: RouteEntry) -> None:
        """Remove a route; ValueError when it is not there."""
        self.routes.remove(entry)
        self.output.invalidate()

    # Endpoints.

    def tcp_endpoint(self, version: int) -> TcpEndpoint:
        """Make a TCP endpoint; version 6 serves both unless IPV6_V6ONLY is set."""
        return self.tcp.endpoint(version)

    def udp_endpoint(self, version: int) -> UdpEndpoint:
        """Make a UDP endpoint; version 6 serves both unless IPV6_V6ONLY is set."""
        return UdpEndpoint(self, self.udp, version)

    def udp_lite_endpoint(self, version: int) -> UdpEndpoint:
        """Make a UDP-Lite endpoint; version 6 serves both unless IPV6_V6ONLY is set."""
        return UdpEndpoint(self, self.udp_lite(), version)

    def udp_lite(self) -> UdpLite:
        """UDP-Lite, made when it is first needed: few hosts do."""
        layer = self._udp_lite
        if layer is None:
            layer = self._udp_lite = UdpLite(self)
            self.icmp.handlers[udplite.PROTOCOL] = layer.handle_error
            self.icmp.has_sent[udplite.PROTOCOL] = lambda report: self.udp_lite().find_sender(report) is not None
        return layer

    def echo_endpoint(self, version: int) -> EchoEndpoint:
        """Make a ping endpoint for one version."""
        return EchoEndpoint(self, self.echo, version)

    def raw_endpoint(self, version: int, protocol: int) -> RawEndpoint:
        """Make a raw endpoint for packets of one protocol."""
        return RawEndpoint(self, self.raw, version, protocol)

    def next_number(self) -> int:
        """Return a number no endpoint of this stack has had: an identity that does not depend on memory addresses."""
        self._number += 1
        return self._number

    # The five verbs.

    @property
    def on_dirty(self) -> Callable[[], None] | None:
        """Called when the stack, quiescent until then, has something to transmit."""
        return self.output.on_dirty

    @on_dirty.setter
    def on_dirty(self, callback: Callable[[], None] | None) -> None:
        self.output.on_dirty = callback

    def receive(self, packet: bytes | memoryview, now: float, interface: int = 2) -> None:
        """Take a packet (on Ethernet a frame) that came in by `interface`; never raises on account of it."""
        seconds: Seconds = now  # type: ignore[assignment]  # a conversion would cost every packet
        self.now = self.output.now = seconds
        incoming = self.interfaces.get(interface)
        if incoming is None or not incoming.up:
            return
        incoming.received_packets += 1
        incoming.received_bytes += len(packet)
        if incoming.ethernet is not None:
            incoming.ethernet.receive_frame(packet, seconds)
            return
        self.receive_ip(packet, seconds, incoming)

    def receive_ip(self, packet: bytes | memoryview, now: Seconds, interface: Interface) -> None:
        """Process an IP packet from any kind of link."""
        if self.nat is not None and not interface.loopback:
            rest = self.nat.receive(packet, now, interface)
            if rest is None:
                return
            packet = rest
        if len(packet) >= _SHORTEST and not self.observed:
            head = packet if isinstance(packet, bytes) else bytes(packet[:_SHORTEST])
            protocol = head[9] if head[0] == 0x45 else head[6]
            if protocol == tcp.PROTOCOL:
                if tcp_fastpath.try_fast_receive(self.tcp, packet, now, interface.verified, interface.loopback):
                    return
            elif protocol == udp.PROTOCOL and udp_fastpath.try_fast_receive(self, packet, now, interface):
                return
        try:
            parsed = ip.parse(packet)
        except Malformed as error:
            self._refuse(packet, error)
            return
        destination = parsed[1]
        counters = self._counters4 if len(destination) == 4 else self._counters6
        counters.InReceives += 1
        if destination in self._local and not (self.observed or parsed[9] or parsed[10] or parsed[11] or parsed[12]):
            # Nearly every packet: TCP to this host, whole, without options, from a plausible source.
            source = parsed[0]
            if parsed[2] == 6 and source[0] not in _SUSPECT[len(source)] and source not in self._never_sources:
                counters.InDelivers += 1
                if parsed[5] & 3 == 3:
                    counters.InCEPkts += 1
                self.tcp.receive(parsed, now, not interface.verified)
            else:
                self._receive_local(parsed, packet, now, interface, False)
            return
        cast = is_multicast(destination)
        if cast:
            counters.InMcastPkts += 1
            if self.multicast.is_member(interface.index, destination):
                self._receive_local(parsed, packet, now, interface, True)
        elif destination == BROADCAST or destination in interface.broadcasts:
            counters.InBcastPkts += 1
            self._receive_local(parsed, packet, now, interface, True)
        elif self.address_table.is_local(destination):
            self._receive_local(parsed, packet, now, interface, False)
        elif self.settings.ip_forward and not interface.loopback:
            if ip_options.check_options(self, parsed, to_cast=False, forwarding=True):
                forward.forward(self, parsed, packet, interface.index)
        else:
            counters.InAddrErrors += 1

    def transmit(self, now: float) -> list[tuple[int, bytes]]:
        """Return what is to be sent: (interface, packet), in order. Packets to this host itself are looped back."""
        seconds: Seconds = now  # type: ignore[assignment]  # a conversion would cost every packet
        self.now = seconds
        output = self.output
        output.now = seconds
        loop = output.loop
        output.dirty = True  # what is marked dirty from here on is seen below
        for _ in range(_MAX_ROUNDS):
            self.tcp.transmit(seconds)
            if self.multicast.changed:
                self.multicast.flush(seconds)
            while self._soon:
                self._soon.popleft()()
            if self.flushes:
                for endpoint in self.flushes:
                    endpoint.flushed()
                self.flushes.clear()
            if not loop and self.tcp.resets:
                self.tcp.finish_resets()
            if not loop:
                output.dirty = False
                break
            for _ in range(len(loop)):
                packet, interface = loop.popleft()
                self.receive(packet, now, interface)
        out, output.out = output.out, []
        if output.dirty:  # more than one call may do: ask to be called again
            output.dirty = False
            output.mark_dirty()
        return out

    def next_event(self) -> object | None:
        """Return the next event (an address gained or lost, a duplicate found), None without any."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called (seconds), None for never."""
        deadline, other = self.timers.next_deadline(), self.tcp.next_deadline()
        if deadline is None or (other is not None and other < deadline):
            return other
        return deadline

    def earliest_deadline(self) -> float:
        """A lower bound of `next_deadline`, cheaper to know; infinite without deadlines."""
        return min(self.timers.earliest(), self.tcp.earliest_deadline())

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`; harmless to call early."""
        seconds: Seconds = now  # type: ignore[assignment]  # a conversion would cost every packet
        self.now = self.output.now = seconds
        self.timers.run_due(seconds)
        self.tcp.handle_timeout(seconds)

    # For the layers.

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called in the next `transmit`, which the driver is told to call."""
        self._soon.append(callback)
        self.output.mark_dirty()

    def add_event(self, event: object) -> None:
        """Add an event for the driver; the oldest of 1,024 gives way."""
        self._events.append(event)
        if self.on_event is not None:
            self.on_event()

    def snapshot(self) -> dict[str, int]:
        """All counters of the IP, ICMP and UDP groups by their names in `nstat`."""
        return {**self.counters[4].snapshot(4), **self.counters[6].snapshot(6)}

    # Receiving.

    def _receive_local(
        self, packet: IpPacket, raw: bytes | memoryview, now: Seconds, interface: Interface, cast: bool
    ) -> None:
        counters = self.counters[packet.version].ip
        if not interface.loopback and self._is_martian(packet, cast):
            counters.InAddrErrors += 1
            return
        if not ip_options.check_options(self, packet, to_cast=cast):
            return
        if packet.is_fragment:
            try:
                whole = self.reassembler.receive_fragment(packet, now)
            except HeaderProblem as problem:
                self._answer_problem(raw, problem, cast)
                return
            except Malformed:
                counters.InHdrErrors += 1
                return
            if whole is None or whole.is_fragment or _is_neighbour_discovery(whole):
                return
            if not ip_options.check_options(self, whole, to_cast=cast):
                return
            packet = whole
        counters.InCEPkts += packet.traffic_class & 3 == 3
        self._deliver(packet, now, interface.index, cast)

    def _is_martian(self, packet: IpPacket, cast: bool) -> bool:
        """Addresses that no packet from a link may have (RFC 1122 3.2.1.3, RFC 4291 2.5.3).

        This host's own address is among them, but for what it sent to many: that comes back to it (`Output._cast`).
        """
        source, destination = packet.source, packet.destination
        if is_martian_source(source) or is_loopback(source) or is_loopback(destination):
            return True
        return source in self._never_sources and not (cast and source in self._local)

    def _deliver(self, packet: IpPacket, now: Seconds, interface: int, cast: bool) -> None:
        """Hand a whole packet to the layer that its protocol names."""
        version, protocol = packet.version, packet.protocol
        counters = self.counters[version].ip
        taken = self.observed and self.raw.deliver(packet, now, interface, cast)
        if protocol == tcp.PROTOCOL:
            if not cast:  # a segment to many is none (RFC 9293 3.9.2.3)
                self.tcp.receive(packet, now)
        elif protocol == udp.PROTOCOL:
            self.udp.receive_datagram(packet, now, interface, cast)
        elif protocol == udplite.PROTOCOL:
            self.udp_lite().receive_datagram(packet, now, interface, cast)
        elif protocol == icmp.PROTOCOLS[version]:
            self.icmp.receive_message(packet, now, interface, cast)
        elif protocol == multicast.IGMP and version == 4:
            self.multicast.receive_igmp(packet, now, interface)
        elif protocol != ip.NO_NEXT_HEADER and not taken:
            counters.InUnknownProtos += 1
            pointer = ip_options.next_header_pointer(packet) if version == 6 else 0
            self.icmp.send_error(Problem.PROTOCOL_UNREACHABLE, packet, pointer, to_cast=cast)
            return
        counters.InDelivers += 1

    def _receive_other(self, packet: IpPacket, message: icmp.Other, interface: int, now: Seconds) -> None:
        """ICMP messages that are neither echo nor error: multicast listeners and neighbours."""
        if packet.version == 6 and not self.multicast.receive_mld(packet, message, now, interface):
            port = self.interfaces[interface].port
            if port is not None:
                port.receive_nd(packet, message, now)

    def _refuse(self, packet: bytes | memoryview, error: Malformed) -> None:
        """Count a packet that does not parse; tell its sender where the standards want that."""
        version = 6 if packet and packet[0] >> 4 == 6 else 4
        counters = self.counters[version].ip
        counters.InReceives += 1
        counters.InHdrErrors += 1
        if isinstance(error, HeaderProblem):
            self._answer_problem(packet, error)

    def _answer_problem(self, packet: bytes | memoryview, error: HeaderProblem, to_cast: bool = False) -> None:
        """Answer with a parameter problem if the packet was for this host; only IPv6 headers raise one."""
        source, destination, protocol = bytes(packet[8:24]), bytes(packet[24:40]), packet[6]
        if self.address_table.is_local(destination) or is_multicast(destination):
            header = IpPacket(source, destination, protocol, packet[40:])
            self.icmp.send_error(_PROBLEMS[error.code], header, error.pointer, quote=packet, to_cast=to_cast)

    def _reassembly_timed_out(self, first: IpPacket) -> None:
        self.icmp.send_error(Problem.REASSEMBLY_TIME, first)


def _is_neighbour_discovery(packet: IpPacket) -> bool:
    """Whether it is a message that must not come in fragments (RFC 6980 5)."""
    payload = packet.payload
    return (
        packet.version == 6 and packet.protocol == icmp.PROTOCOLS[6] and len(payload) > 0 and 133 <= payload[0] <= 137
    )
