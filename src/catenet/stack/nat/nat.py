"""The NAT of a router: NAPT for TCP, UDP and ICMP over IPv4 (RFC 3022, 4787, 5382, 5508, 7857).

Packets of a stack with a NAT come here first. Those between its sides are translated and forwarded; all others go on as
on any host. IPv6 is forwarded as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.endpoint import Address, StackError
from catenet.stack.ip import forward
from catenet.stack.ip import options as ip_options
from catenet.stack.ip.fragments import Reassembler
from catenet.stack.nat.config import NatConfig, Unknown
from catenet.stack.nat.flows import (
    ECHO_REPLY,
    ECHO_REQUEST,
    ICMP,
    Flow,
    is_error,
    quoted_flow,
    read_flow,
    rewrite,
    rewrite_error,
)
from catenet.stack.nat.table import Mapping, NatTable, TableFull
from catenet.stack.units import Seconds
from catenet.wire import icmp, ip, tcp, udp
from catenet.wire.address import BROADCAST, is_multicast
from catenet.wire.errors import Malformed
from catenet.wire.icmp import Problem
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.interface import Interface
    from catenet.stack.stack import Stack

__all__ = ["Nat"]

NO_MAPPING: Final = "no mapping"
FILTERED: Final = "filtered"
UNTRANSLATABLE: Final = "untranslatable"
NO_ADDRESS: Final = "no outside address"


class Nat:
    """Translates what crosses a router. `drops` counts packets by cause."""

    def __init__(self, stack: Stack, config: NatConfig) -> None:
        self._stack = stack
        self.config = config
        self.table = NatTable(config, stack.random, self._is_reserved)
        self.drops: dict[str, int] = {}
        # Of its own: packets for others are not answered when their fragments do not come in time.
        counters = {version: each.ip for version, each in stack.counters.items()}
        self._reassembler = Reassembler(stack.settings, stack.timers, counters, _stay_silent)

    def receive(self, raw: bytes | memoryview, now: Seconds, interface: Interface) -> bytes | memoryview | None:
        """Take a packet that came in by `interface`; return what the stack is to process as usual, None for nothing."""
        if not raw or raw[0] >> 4 != 4:
            return raw
        try:
            packet = ip.parse(raw)
        except Malformed:
            return raw
        destination = packet.destination
        if is_multicast(destination) or destination == BROADCAST or destination in interface.broadcasts:
            return raw
        from_outside = interface.index in self.config.outside
        to_router = self._stack.address_table.is_local(destination)
        if to_router:
            if self._side_of(destination) is None or not (from_outside or self.config.hairpin):
                return raw
            address = destination
        else:
            way = self._way(destination)
            if way == 0 or (way in self.config.outside) == from_outside:
                return raw  # no way, or not across the NAT
            if from_outside:
                self._drop(NO_MAPPING)
                return None
            if packet.hop_limit <= 1:
                return raw  # nothing leaves for it
            chosen = self._address_of(way)
            if chosen is None:
                self._drop(NO_ADDRESS)
                return None
            address = chosen
        if packet.is_fragment:
            whole = self._reassemble(packet, now)
            if whole is None:
                return None
            number = self._stack.output.identification(address, destination, whole.protocol)
            packet = whole._replace(identification=number & 0xFFFF)  # unique for the outside address (RFC 6864 5.3)
            raw = ip.build(packet)
        raw = raw[: ip.header_length(packet) + len(packet.payload)]  # without what a link padded
        if to_router:
            return self._inwards(packet, raw, address, interface, from_outside, now)
        self._outwards(packet, raw, address, interface, now)
        return None

    # From inside.

    def _outwards(
        self, packet: IpPacket, raw: bytes | memoryview, address: Address, interface: Interface, now: Seconds
    ) -> None:
        if packet.protocol == ICMP and is_error(packet.payload):
            translated = self._error_outwards(packet, raw, address, now)
            if translated is None:
                self._drop(NO_MAPPING)
            else:
                self._forward(packet, raw, translated, interface)
            return
        flow = read_flow(packet.protocol, packet.source, packet.destination, packet.payload)
        if flow is None:
            self._drop(UNTRANSLATABLE)
            return
        if flow.protocol == ICMP and flow.kind != ECHO_REQUEST:
            self._drop(NO_MAPPING)  # nobody outside can have asked for it
            return
        mapping = self._map(packet, raw, flow, address, now)
        if mapping is not None:
            self._forward(packet, raw, rewrite(raw, mapping.outside, None), interface)

    def _map(
        self, packet: IpPacket, raw: bytes | memoryview, flow: Flow, address: Address, now: Seconds
    ) -> Mapping | None:
        """The mapping by which a packet leaves; None when it may not, of which its sender has been told."""
        table = self.table
        mapping = table.find_inside(flow.protocol, flow.source, flow.destination, address, now)
        known = mapping is not None and mapping.find(flow.destination, now) is not None
        if not known and not self._may_open(flow):
            self._drop(NO_MAPPING)
            if flow.protocol == tcp.PROTOCOL and self.config.unknown is Unknown.RESET:
                self._reset(packet)
            return None
        try:
            if mapping is None:
                mapping = table.map(flow, address, now)
            table.sent(mapping, flow, now)
        except TableFull as error:
            self._drop(str(error))
            self._stack.icmp.send_error(Problem.PROHIBITED, packet, quote=raw)  # RFC 5508 REQ-8
            return None
        return mapping

    def _may_open(self, flow: Flow) -> bool:
        """Whether a packet from inside may begin a session: no RST does."""
        if flow.protocol != tcp.PROTOCOL:
            return True
        if flow.kind & (tcp.SYN | tcp.ACK) == tcp.SYN:
            return True
        return self.config.unknown is Unknown.MAP and not flow.kind & tcp.RST

    def _reset(self, packet: IpPacket) -> None:
        """Answer a segment of no session as its peer, who knows nothing of it, would (RFC 9293 3.5.2)."""
        try:
            segment = tcp.parse(packet.payload, packet.source, packet.destination, verify=False)
        except Malformed:
            return
        self._stack.tcp.refuse(packet.source, packet.destination, segment)

    def _error_outwards(
        self, packet: IpPacket, raw: bytes | memoryview, address: Address, now: Seconds
    ) -> bytes | None:
        """An error about a packet that a peer has sent to an inside endpoint (RFC 5508 REQ-5)."""
        flow = quoted_flow(packet.payload)
        if flow is None or not _is_sound(packet) or (flow.protocol == ICMP and flow.kind != ECHO_REPLY):
            return None
        mapping = self.table.find_inside(flow.protocol, flow.destination, flow.source, address, now)
        if mapping is None or mapping.find(flow.source, now) is None:
            return None
        return rewrite_error(raw, mapping.outside[0], None, None, mapping.outside)

    # From outside, or from inside to an address outside.

    def _inwards(
        self,
        packet: IpPacket,
        raw: bytes | memoryview,
        address: Address,
        interface: Interface,
        from_outside: bool,
        now: Seconds,
    ) -> bytes | memoryview | None:
        if packet.protocol == ICMP and is_error(packet.payload):
            translated = self._error_inwards(packet, raw, now)
            if translated is None:
                return raw  # about a packet of the router itself, or of nobody
            self._forward(packet, raw, translated, interface)
            return None
        flow = read_flow(packet.protocol, packet.source, packet.destination, packet.payload)
        if flow is None or self._is_own(flow) or (flow.protocol == ICMP and flow.kind == ECHO_REQUEST):
            return raw
        mapping = self.table.find_outside(flow.protocol, flow.destination, now)
        if mapping is None:
            if not from_outside or self._is_for_router(flow):
                return raw
            self._drop(NO_MAPPING)
            return None
        source = None
        if not from_outside:  # a hairpin: the sender appears as it does outside (RFC 4787 REQ-9)
            sender = self._map(packet, raw, flow, address, now)
            if sender is None:
                return None
            source = sender.outside
            flow = flow._replace(source=source)
        if not mapping.admits(flow.source, self.config.filtering, now):
            self._drop(FILTERED)
            return None
        try:
            self.table.received(mapping, flow, now)
        except TableFull as error:
            self._drop(str(error))
            return None
        self._forward(packet, raw, rewrite(raw, source, mapping.inside), interface)
        return None

    def _error_inwards(self, packet: IpPacket, raw: bytes | memoryview, now: Seconds) -> bytes | None:
        """An error about a packet that has left by a mapping, from whoever is on its way (RFC 5508 REQ-4).

        It neither keeps the session alive nor ends it (REQ-3, REQ-10).
        """
        flow = quoted_flow(packet.payload)
        if flow is None or not _is_sound(packet) or (flow.protocol == ICMP and flow.kind != ECHO_REQUEST):
            return None
        if flow.source[0] != packet.destination:
            return None
        mapping = self.table.find_outside(flow.protocol, flow.source, now)
        if mapping is None or mapping.find(flow.destination, now) is None:
            return None
        return rewrite_error(raw, None, mapping.inside[0], mapping.inside, None)

    # The router itself.

    def _is_own(self, flow: Flow) -> bool:
        """Whether a segment belongs to a connection of the router's own."""
        if flow.protocol != tcp.PROTOCOL:
            return False
        ports = flow.source[1].to_bytes(2, "big") + flow.destination[1].to_bytes(2, "big")
        return self._stack.tcp.connections.get(flow.source[0] + flow.destination[0] + ports) is not None

    def _is_for_router(self, flow: Flow) -> bool:
        """Whether a socket of the router may be for what has no mapping."""
        return self._is_reserved(flow.protocol, flow.destination[1])

    def _is_reserved(self, protocol: int, port: int) -> bool:
        """Whether a socket of the router has a port, or an identifier."""
        stack = self._stack
        if protocol == tcp.PROTOCOL:
            return stack.tcp.ports.is_used(port)
        return port in (stack.udp.ports.by_port if protocol == udp.PROTOCOL else stack.echo.tables[4].by_port)

    # Ways and addresses.

    def _side_of(self, address: Address) -> int | None:
        """The outside interface that has an address of the router, None when none has."""
        interfaces = self._stack.interfaces
        return next(
            (index for index in self.config.outside if index in interfaces and interfaces[index].find(address)), None
        )

    def _way(self, destination: Address) -> int:
        """The interface by which packets leave; 0 without any."""
        try:
            return self._stack.output.hop(destination).interface.index
        except StackError:
            return 0

    def _address_of(self, interface: int) -> Address | None:
        """The address that stands for all endpoints inside: the first of the interface."""
        entries = self._stack.interfaces[interface].usable(4)
        return entries[0].address if entries else None

    # Packets.

    def _reassemble(self, fragment: IpPacket, now: Seconds) -> IpPacket | None:
        """Collect fragments, in whatever order they come: only the first has ports (RFC 4787 REQ-14)."""
        try:
            whole = self._reassembler.receive_fragment(fragment, now)
        except Malformed:
            self._stack.counters4.ip.InHdrErrors += 1
            return None
        return None if whole is None or whole.is_fragment else whole._replace(dont_fragment=False)

    def _forward(self, packet: IpPacket, raw: bytes | memoryview, translated: bytes, interface: Interface) -> None:
        counters = self._stack.counters4.ip
        counters.InReceives += 1
        if ip_options.check_options(self._stack, packet, to_cast=False, forwarding=True):
            forward.forward(self._stack, packet, raw, interface.index, translated)

    def _drop(self, cause: str) -> None:
        self._stack.counters4.ip.InReceives += 1
        self.drops[cause] = self.drops.get(cause, 0) + 1


def _is_sound(packet: IpPacket) -> bool:
    """Whether an ICMP message's checksum is right (RFC 5508 REQ-3)."""
    try:
        icmp.parse(packet.payload, packet.source, packet.destination)
    except Malformed:
        return False
    return True


def _stay_silent(first: IpPacket) -> None:
    """Send no error when fragments do not come."""
