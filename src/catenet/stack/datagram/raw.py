"""Raw sockets (raw(7), ipv6(7), RFC 3542): packets of one protocol, beside whatever else the stack does with them.

Every socket whose addresses fit gets a copy of each whole packet, ahead of the protocol itself. IPv4 shows the header,
IPv6 the payload alone. What programs send has a header that the stack makes, or with IP_HDRINCL one of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.datagram.datagram import Control, DatagramEndpoint
from catenet.stack.endpoint import Address, Buffer, Fault, Name, StackError
from catenet.stack.ip.icmp import ErrorReport
from catenet.stack.units import Seconds
from catenet.wire import icmp, ip, udp
from catenet.wire.address import is_unspecified
from catenet.wire.checksum import checksum, is_valid, pseudo_sum
from catenet.wire.ip import IpPacket

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["RawEndpoint", "RawLayer"]

RAW: Final = 255
"""IPPROTO_RAW: for sending alone, always with a header of the program's."""
_HEADER4: Final = 20
_HEADER6: Final = 40
_NO_CHECKSUM: Final = -1
_OWN_HEADER: Final = {4: "IP_HDRINCL", 6: "IPV6_HDRINCL"}
_FILTERS: Final = {"ICMP_FILTER": (4, 4), "ICMPV6_FILTER": (6, 32)}
"""Version and size in bytes of the options that say which ICMP messages a socket does not get."""
_ICMP_TYPES: Final = 32
"""Types of ICMP that ICMP_FILTER can say; all others come."""


class RawEndpoint(DatagramEndpoint):
    """A raw socket of one version of IP."""

    __slots__ = ("_layer", "checksum_offset", "filter", "has_header", "protocol")

    def __init__(self, stack: Stack, layer: RawLayer, version: int, protocol: int) -> None:
        super().__init__(stack, version)
        self._layer = layer
        self.protocol = protocol
        self.has_header = protocol == RAW
        """Whether programs write the header of IP (IP_HDRINCL, IPV6_HDRINCL)."""
        self.checksum_offset = 2 if version == 6 and protocol == icmp.PROTOCOLS[6] else _NO_CHECKSUM
        """Where in what is sent the stack puts a checksum, which it verifies in what comes (IPV6_CHECKSUM)."""
        self.filter = b""
        """ICMP_FILTER, ICMPV6_FILTER: a bit for each type that is not wanted."""
        self.options["IPV6_V6ONLY"] = 1
        self._local = Name(self._local.address, protocol)
        layer.add(self)

    @property
    def is_bound(self) -> bool:
        """It has no port but its protocol."""
        return True

    @property
    def has_chosen_port(self) -> bool:
        """Nobody comes to it: it listens to what others say."""
        return False

    def _claim(self, address: Address, port: int) -> int:
        return self.protocol

    def _release(self) -> None:
        self._layer.remove(self)

    def _moved(self) -> None:
        """Endpoints are found by protocol alone."""

    def bind(self, name: Name) -> None:
        """Take a local address, as often as a program likes; there are no ports."""
        address, _, interface = name
        self._check_family(address)
        if not is_unspecified(address):
            self._check_bindable(address, interface)
        self._bound_address = not is_unspecified(address)
        self._local = Name(address, self.protocol, interface)

    def disconnect(self) -> None:
        """See `DatagramEndpoint`; the protocol stays."""
        self._peer = None
        if not self._bound_address:
            self._local = Name(bytes(len(self._local.address)), self.protocol)

    def _check_destination(self, name: Name) -> None:
        """IPv6 takes a port that is the protocol, or none (rawv6_sendmsg)."""
        if self.version == 6 and name.port not in (0, self.protocol) and self.protocol != RAW:
            raise StackError(Fault.INVALID)

    # Options.

    def set_option(self, option: str, value: int | bytes) -> None:
        """See `DatagramOptions`, and those of raw sockets."""
        shape = _FILTERS.get(option)
        if option == _OWN_HEADER[self.version]:
            self.has_header = value != 0
        elif option == "IPV6_CHECKSUM" and self.version == 6:
            self._set_checksum_offset(value)
        elif shape is not None and shape[0] == self.version:
            if self.protocol != icmp.PROTOCOLS[self.version]:
                raise StackError(Fault.OPERATION_NOT_SUPPORTED)
            raw = value.to_bytes(4, "little", signed=value < 0) if isinstance(value, int) else value
            self.filter = raw[: shape[1]].ljust(shape[1], b"\0")
        else:
            super().set_option(option, value)

    def _set_checksum_offset(self, value: int | bytes) -> None:
        if not isinstance(value, int) or self.protocol == icmp.PROTOCOLS[6] or (value > 0 and value & 1):
            raise StackError(Fault.INVALID)
        self.checksum_offset = max(value, _NO_CHECKSUM)

    def get_option(self, option: str) -> int | bytes:
        """See `DatagramOptions`, and those of raw sockets."""
        shape = _FILTERS.get(option)
        if option == _OWN_HEADER[self.version]:
            return int(self.has_header)
        if option == "IPV6_CHECKSUM" and self.version == 6:
            return self.checksum_offset
        if shape is not None and shape[0] == self.version:
            if self.protocol != icmp.PROTOCOLS[self.version]:
                raise StackError(Fault.OPERATION_NOT_SUPPORTED)
            return self.filter.ljust(shape[1], b"\0")
        return super().get_option(option)

    # Sending.

    def send_to(self, data: Buffer, name: Name | None = None, control: Control | None = None) -> int | None:
        """See `DatagramEndpoint`."""
        if len(data) > ip.MAX_LENGTH:
            raise StackError(Fault.MESSAGE_TOO_LONG)
        return super().send_to(data, name, control)

    def _send(self, data: bytes, source: Address, peer: Name, control: Control, interface: int) -> None:
        if self.has_header:
            self._send_whole(data, source, peer, interface)
            return
        offset = self.checksum_offset
        if offset >= 0:
            if offset + 2 > len(data):
                raise StackError(Fault.INVALID)
            data = _with_checksum(data, offset, source, peer.address, self.protocol)
        if len(data) > ip.MAX_LENGTH - (_HEADER4 if self.version == 4 else 0):
            raise StackError(Fault.MESSAGE_TOO_LONG)
        self.transmit(self.protocol & 0xFF, data, source, peer, control, interface)

    def _send_whole(self, data: bytes, source: Address, peer: Name, interface: int) -> None:
        """Send a packet whose header the program has written; IPv4 fills in what Linux fills in (raw(7))."""
        output = self.stack.output
        hop = output.hop(peer.address, interface)
        if len(data) > hop.interface.mtu:
            raise StackError(Fault.MESSAGE_TOO_LONG)
        packet = data
        if self.version == 4:
            length = (data[0] & 15) << 2 if data else 0
            if len(data) < _HEADER4 or not _HEADER4 <= length <= len(data):
                raise StackError(Fault.INVALID)
            identification = data[4:6]
            if identification == b"\0\0":
                identification = (output.identification(source, peer.address, data[9]) & 0xFFFF).to_bytes(2, "big")
            own = data[12:16] if any(data[12:16]) else source
            head = (
                data[:2] + len(data).to_bytes(2, "big") + identification + data[6:10] + b"\0\0" + own + data[16:length]
            )
            packet = head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + data[length:]
        elif len(data) < _HEADER6:
            raise StackError(Fault.INVALID)
        output.send_whole(packet, peer.address, hop)

    # Receiving.

    def wants_packet(self, packet: IpPacket, interface: int, cast: bool) -> bool:
        """Whether a packet of its protocol is for it."""
        peer = self._peer
        if self.closed or not self.accepts(packet.source, packet.destination, interface, cast):
            return False
        if peer is not None and peer.address != packet.source:
            return False
        if not (self.is_any() or self._local.address == packet.destination):
            return False
        return not (self.filter and packet.payload and self._is_filtered(packet.payload[0]))

    def _is_filtered(self, kind: int) -> bool:
        """A bit for each type, in words of the machine's order."""
        if self.version == 4 and kind >= _ICMP_TYPES:
            return False
        word = int.from_bytes(self.filter[kind >> 5 << 2 : (kind >> 5 << 2) + 4], "little")
        return bool(word >> (kind & 31) & 1)

    def receive_packet(self, packet: IpPacket, interface: int, now: Seconds) -> None:
        """Queue a copy of a packet, as this version shows it."""
        if self.version == 4:
            self.deliver(ip.build(packet), 0, 0, packet, interface, now)
            return
        payload = bytes(packet.payload)
        if self.checksum_offset >= 0 and not _is_right(payload, packet):
            return
        self.deliver(payload, 0, 0, packet, interface, now)

    @staticmethod
    def quoted(report: ErrorReport) -> tuple[int, int]:
        """There are no ports in what it sends."""
        return 0, 0


def _pseudo(source: Address, destination: Address, protocol: int, length: int) -> int:
    return pseudo_sum(source, destination, protocol) + length


def _with_checksum(data: bytes, offset: int, source: Address, destination: Address, protocol: int) -> bytes:
    """What is sent, with the checksum of RFC 3542 3.1."""
    blank = data[:offset] + b"\0\0" + data[offset + 2 :]
    found = checksum(blank, _pseudo(source, destination, protocol, len(data)))
    if not found and protocol == udp.PROTOCOL:
        found = 0xFFFF  # a 0 would say that there is none
    return data[:offset] + found.to_bytes(2, "big") + data[offset + 2 :]


def _is_right(payload: bytes, packet: IpPacket) -> bool:
    return is_valid(payload, _pseudo(packet.source, packet.destination, packet.protocol, len(payload)))


class RawLayer:
    """All raw sockets of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._endpoints: dict[tuple[int, int], dict[RawEndpoint, None]] = {}

    def add(self, endpoint: RawEndpoint) -> None:
        """Let an endpoint have its packets from now on; the fast paths would not show it any."""
        self._endpoints.setdefault((endpoint.version, endpoint.protocol), {})[endpoint] = None
        self._stack.observed = True

    def remove(self, endpoint: RawEndpoint) -> None:
        """See `add`."""
        key = endpoint.version, endpoint.protocol
        found = self._endpoints.get(key, {})
        found.pop(endpoint, None)
        if not found:
            self._endpoints.pop(key, None)
        self._stack.observed = bool(self._endpoints)

    def deliver(self, packet: IpPacket, now: Seconds, interface: int, cast: bool) -> bool:
        """Give each endpoint that wants it a copy of a whole packet; whether any got one."""
        taken = False
        for endpoint in tuple(self._endpoints.get((packet.version, packet.protocol), ())):
            if endpoint.wants_packet(packet, interface, cast):
                endpoint.receive_packet(packet, interface, now)
                taken = True
        return taken

    def handle_error(self, report: ErrorReport) -> None:
        """Pass an ICMP error on to the endpoints that can have sent the quoted packet (raw_icmp_error)."""
        version = 4 if len(report.source) == 4 else 6
        for endpoint in tuple(self._endpoints.get((version, report.protocol), ())):
            peer = endpoint.peer()
            if not endpoint.is_any() and endpoint.local().address != report.source:
                continue
            if peer is None or peer.address == report.destination:
                endpoint.handle_error(report, report.payload)

    def has_sent(self, report: ErrorReport) -> bool:
        """Whether an endpoint can have sent the quoted packet."""
        return (4 if len(report.source) == 4 else 6, report.protocol) in self._endpoints
