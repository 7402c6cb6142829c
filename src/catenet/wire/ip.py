"""IP packets: one value for IPv4 (RFC 791) and IPv6 (RFC 8200).

The version is the length of the addresses. Fields that only one version has are zero or empty in the other; what both
have under two names carries the IPv6 name (`hop_limit` for TTL, `traffic_class` for TOS). IPv6 packets read
`dont_fragment=True`, since no router may fragment them, so a forwarder needs to ask no version.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from catenet.wire.errors import HeaderProblem, Malformed

__all__ = [
    "ATOMIC",
    "DESTINATION_OPTIONS",
    "FRAGMENT_BITS",
    "HOP_BY_HOP",
    "MAX_LENGTH",
    "MINIMUM_MTU",
    "NO_NEXT_HEADER",
    "ROUTING",
    "IpPacket",
    "build",
    "header_length",
    "pack",
    "parse",
    "walk_extensions",
]

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
NO_NEXT_HEADER: Final = 59
DESTINATION_OPTIONS: Final = 60

MINIMUM_MTU: Final = {4: 68, 6: 1280}
"""Smallest MTU a link may have (RFC 791 3.2, RFC 8200 5)."""

MAX_LENGTH: Final = 65535
"""Longest IPv4 packet, and longest payload of an IPv6 packet (no jumbograms)."""
ATOMIC: Final = 0x4000
"""Second word of an IPv4 header that is never fragmented: identification 0, don't fragment (RFC 6864 4)."""
FRAGMENT_BITS: Final = 0x3FFF
"""Bits of that word that are set in fragments only: more fragments, and the offset."""

_EXTENSIONS: Final = (HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS)
_MAX_EXTENSIONS: Final = 8
"""Extension headers that are read; a host may limit them (RFC 8504 5.3), and real packets have one or two."""

_HEADER4: Final = struct.Struct("!BBHHHBBH4s4s")
_HEADER6: Final = struct.Struct("!IHBB16s16s")
_FRAGMENT: Final = struct.Struct("!BBHI")
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000

_from_bytes = int.from_bytes
_tuple = tuple.__new__


class IpPacket(NamedTuple):
    """One packet or fragment; a tuple, since that is the cheapest value in Python."""

    source: bytes
    destination: bytes
    protocol: int
    """Number of what the payload is: TCP 6, UDP 17, ICMP 1, ICMPv6 58."""
    payload: bytes | memoryview
    hop_limit: int = 64
    traffic_class: int = 0
    """DSCP and, in the low two bits, ECN (RFC 2474, RFC 3168)."""
    identification: int = 0
    """16 bits in IPv4; 32 in IPv6, where a fragment header goes with it (0 and unfragmented: no such header)."""
    flow_label: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    """In bytes, a multiple of 8."""
    options: bytes = b""
    """IPv4 options as they stand, padded to a multiple of 4."""
    extensions: tuple[tuple[int, bytes], ...] = ()
    """IPv6 extension headers ahead of any fragment header: (kind, all after the length byte)."""

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6

    @property
    def is_fragment(self) -> bool:
        """Whether this is a part of a packet; an atomic fragment is whole (RFC 6946)."""
        return self.more_fragments or self.fragment_offset > 0


def parse(data: bytes | memoryview, quoted: bool = False) -> IpPacket:
    """Read one packet; the payload is a slice of `data` without what a link padded.

    Args:
        data: the packet from its first byte.
        quoted: whether it was quoted by an ICMP error: it may be cut short, and its checksum and lengths may have been
            changed on the way, so they are not checked (RFC 1122 3.2.2).

    Raises:
        Malformed: anything the standards forbid; a `HeaderProblem` when a parameter problem is to be answered.
    """
    if not data:
        raise Malformed("ip: empty packet")
    version = data[0] >> 4
    if version == 4:
        return _parse4(data, quoted)
    if version == 6:
        return _parse6(data, quoted)
    raise Malformed("ip: version")


def _parse4(data: bytes | memoryview, quoted: bool) -> IpPacket:
    if len(data) < 20:
        raise Malformed("ip: packet shorter than its header")
    first, traffic_class, total, identification, bits, hop_limit, protocol, _, source, destination = (
        _HEADER4.unpack_from(data)
    )
    end = len(data)
    if first == 0x45:
        start = 20
    else:
        start = (first & 15) << 2
        if start < 20 or start > end:
            raise Malformed("ip: header length")
    if not quoted:
        if total != end:
            if not start <= total < end:
                raise Malformed("ip: total length")
            end = total
        if _from_bytes(data[:start], "big") % 65535:
            raise Malformed("ip: header checksum")
    offset = (bits & 0x1FFF) << 3
    if offset + end - start > 65535:
        raise Malformed("ip: fragment beyond the longest packet")
    return _tuple(
        IpPacket,
        (
            source,
            destination,
            protocol,
            data[start:end],
            hop_limit,
            traffic_class,
            identification,
            0,
            bits & _DONT_FRAGMENT != 0,
            bits & _MORE_FRAGMENTS != 0,
            offset,
            b"" if start == 20 else bytes(data[20:start]),
            (),
        ),
    )


def _parse6(data: bytes | memoryview, quoted: bool) -> IpPacket:
    if len(data) < 40:
        raise Malformed("ip: packet shorter than its header")
    first, length, protocol, hop_limit, source, destination = _HEADER6.unpack_from(data)
    end = 40 + length
    if end != len(data):
        if quoted:
            end = len(data)
        elif end > len(data):
            raise Malformed("ip: payload length")
    packet = _tuple(
        IpPacket,
        (
            source,
            destination,
            protocol,
            data[40:end],
            hop_limit,
            first >> 20 & 0xFF,
            0,
            first & 0xFFFFF,
            True,
            False,
            0,
            b"",
            (),
        ),
    )
    if protocol in _HEADERS:
        return walk_extensions(packet, quoted)
    return packet


_HEADERS: Final = frozenset((*_EXTENSIONS, FRAGMENT))


def walk_extensions(packet: IpPacket, quoted: bool = False) -> IpPacket:
    """Take the extension headers off the front of the payload, up to a fragment's (RFC 8200 4.1).

    Raises:
        HeaderProblem: hop-by-hop options that do not come first; a fragment whose length is no multiple of 8, or that
            would end beyond the longest packet.
        Malformed: a header that ends beyond the payload, or more headers than a host need read.
    """
    protocol, payload, extensions = packet.protocol, packet.payload, packet.extensions
    pointer = 40 + sum(len(body) + 2 for _, body in extensions)
    identification, more_fragments, offset = packet.identification, False, 0
    next_field = 6 if not extensions else pointer
    while protocol in _HEADERS:
        if len(payload) < 8 or len(extensions) >= _MAX_EXTENSIONS:
            raise Malformed("ip: extension headers")
        if protocol == FRAGMENT:
            protocol, _, bits, identification = _FRAGMENT.unpack_from(payload)
            payload = payload[8:]
            more_fragments, offset = bits & 1 != 0, bits & 0xFFF8
            if bits & 0xFFF9:
                if not quoted:
                    _check_fragment(bits, len(payload), pointer)
                break
            next_field = pointer
            pointer += 8
            continue
        if protocol == HOP_BY_HOP and extensions:
            raise HeaderProblem("ip: hop-by-hop options not first", next_field, HeaderProblem.UNKNOWN_NEXT_HEADER)
        size = (payload[1] << 3) + 8
        if size > len(payload):
            raise Malformed("ip: extension header length")
        extensions = (*extensions, (protocol, bytes(payload[2:size])))
        protocol, payload = payload[0], payload[size:]
        next_field = pointer
        pointer += size
    return packet._replace(
        protocol=protocol,
        payload=payload,
        extensions=extensions,
        identification=identification,
        more_fragments=more_fragments,
        fragment_offset=offset,
    )


def _check_fragment(bits: int, length: int, pointer: int) -> None:
    """Fragment lengths (RFC 8200 4.5): whole units of 8 except in the last, and nothing beyond 65,535."""
    if bits & 1 and length & 7:
        raise HeaderProblem("ip: fragment length", 4)
    if (bits & 0xFFF8) + length > 65535:
        raise HeaderProblem("ip: fragment beyond the longest packet", pointer + 2)


def header_length(packet: IpPacket) -> int:
    """Bytes that `build` puts ahead of the payload."""
    if len(packet.source) == 4:
        return 20 + len(packet.options)
    fragment = 8 if packet.identification or packet.more_fragments or packet.fragment_offset else 0
    return 40 + fragment + sum(len(body) + 2 for _, body in packet.extensions)


def build(packet: IpPacket) -> bytes:
    """Build a packet, header checksum included.

    Raises:
        ValueError: a field out of range, or addresses of two versions.
    """
    try:
        return _build4(packet) if len(packet.source) == 4 else _build6(packet)
    except struct.error as error:
        raise ValueError(f"ip packet: {error}") from None


def pack(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    hop_limit: int,
    traffic_class: int = 0,
    identification: int = 0,
    dont_fragment: bool = False,
    flow_label: int = 0,
) -> bytes:
    """Build a whole packet without options from values in range: the sender's fast path."""
    if len(source) == 4:
        total = 20 + len(payload)
        bits = _DONT_FRAGMENT if dont_fragment else 0
        words = 0x4500 + traffic_class + total + identification + bits + (hop_limit << 8) + protocol
        words += _from_bytes(source, "big") + _from_bytes(destination, "big")
        return (
            _HEADER4.pack(
                0x45,
                traffic_class,
                total,
                identification,
                bits,
                hop_limit,
                protocol,
                -words % 65535,
                source,
                destination,
            )
            + payload
        )
    first = 0x60000000 | traffic_class << 20 | flow_label
    return _HEADER6.pack(first, len(payload), protocol, hop_limit, source, destination) + payload


def _build4(packet: IpPacket) -> bytes:
    (
        source,
        destination,
        protocol,
        payload,
        hop_limit,
        traffic_class,
        identification,
        _,
        dont_fragment,
        more_fragments,
        offset,
        options,
        _,
    ) = packet
    if len(destination) != 4 or len(options) & 3 or len(options) > 40:
        raise ValueError("ip packet: addresses of two versions, or options that are no multiple of 4 up to 40 bytes")
    length = 20 + len(options)
    bits = offset >> 3
    if dont_fragment:
        bits |= _DONT_FRAGMENT
    if more_fragments:
        bits |= _MORE_FRAGMENTS
    first = 0x40 | length >> 2
    total = length + len(payload)
    words = (first << 8 | traffic_class) + total + identification + bits + (hop_limit << 8 | protocol)
    words += _from_bytes(source + destination + options, "big")
    header = _HEADER4.pack(
        first, traffic_class, total, identification, bits, hop_limit, protocol, -words % 65535, source, destination
    )
    return header + options + payload if options else header + payload


def _build6(packet: IpPacket) -> bytes:
    if len(packet.source) != 16 or len(packet.destination) != 16:
        raise ValueError("ip packet: addresses of two versions, or not of 4 or 16 bytes")
    protocol, parts = packet.protocol, b""
    if packet.identification or packet.more_fragments or packet.fragment_offset:
        bits = packet.fragment_offset | packet.more_fragments
        parts = _FRAGMENT.pack(protocol, 0, bits, packet.identification)
        protocol = FRAGMENT
    for kind, body in reversed(packet.extensions):
        if len(body) + 2 & 7 or len(body) > 2046:
            raise ValueError("ip packet: an extension header is no multiple of 8 up to 2,048 bytes")
        parts = bytes((protocol, (len(body) + 2 >> 3) - 1)) + body + parts
        protocol = kind
    if packet.traffic_class > 0xFF or packet.flow_label > 0xFFFFF:
        raise ValueError("ip packet: traffic class or flow label out of range")
    first = 0x60000000 | packet.traffic_class << 20 | packet.flow_label
    header = _HEADER6.pack(
        first, len(parts) + len(packet.payload), protocol, packet.hop_limit, packet.source, packet.destination
    )
    return header + parts + packet.payload
