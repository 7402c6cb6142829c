"""Octets of the packets that a script injects, and the fields of those that the stack sent.

TCP options are kept as they stand on the wire, in order: a script says which options come in which order, and may send
what no stack would.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from catenet.wire import ip, tcp
from catenet.wire.checksum import checksum, pseudo_sum

__all__ = [
    "ICMP",
    "ICMPV6",
    "TCP",
    "UDP",
    "Route",
    "Sent",
    "dissect",
    "icmp_numbers",
    "inject_icmp",
    "inject_tcp",
    "inject_udp",
    "quote_tcp",
    "quote_udp",
]

TCP: Final = 6
UDP: Final = 17
ICMP: Final = 1
ICMPV6: Final = 58

_TCP_HEADER: Final = struct.Struct("!HHIIHHHH")
_INJECTED_TTL: Final = 255


@dataclass(slots=True)
class Sent:
    """A packet that the stack sent, at `when` (seconds); TCP fields 0 or empty for other protocols."""

    when: float
    source: bytes
    destination: bytes
    protocol: int
    traffic_class: int
    ttl: int
    flow_label: int
    source_port: int = 0
    destination_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    window: int = 0
    urgent: int = 0
    options: list[tuple[int, bytes]] = field(default_factory=list)
    payload: bytes = b""
    icmp_type: int = 0
    icmp_code: int = 0
    icmp_rest: int = 0
    size: int = 0
    """Octets of the whole packet; for a TCP packet larger than the link takes, segmentation offload is at work."""
    merged: bool = False
    """Whether it stands for several segments in a row."""
    mapped: bool = False
    """Whether the sequence numbers are the script's already."""


def dissect(packet: bytes, when: float) -> Sent:
    """Fields of a packet from the stack.

    Raises:
        Malformed: the stack sent something that is no packet.
    """
    header = ip.parse(packet)
    sent = Sent(
        when,
        bytes(header.source),
        bytes(header.destination),
        header.protocol,
        header.traffic_class,
        header.hop_limit,
        header.flow_label,
        size=len(packet),
    )
    payload = bytes(header.payload)
    if header.fragment_offset:
        sent.payload = payload
    elif header.protocol == TCP:
        _dissect_tcp(sent, payload)
    elif header.protocol == UDP:
        sent.source_port, sent.destination_port = struct.unpack_from("!HH", payload)
        sent.payload = payload[8:]
    elif header.protocol in (ICMP, ICMPV6):
        sent.icmp_type, sent.icmp_code, _, sent.icmp_rest = struct.unpack_from("!BBHI", payload)
        sent.payload = payload[8:]
    return sent


def _dissect_tcp(sent: Sent, data: bytes) -> None:
    (
        sent.source_port,
        sent.destination_port,
        sent.seq,
        sent.ack,
        offset_flags,
        sent.window,
        _,
        sent.urgent,
    ) = _TCP_HEADER.unpack_from(data)
    end = offset_flags >> 12 << 2
    sent.flags = offset_flags & 0xFFF
    sent.options = list(tcp.split_options(data[20:end]))
    sent.payload = data[end:]


@dataclass(frozen=True, slots=True)
class Route:
    """Ends and IP fields of a packet to be injected."""

    source: bytes
    destination: bytes
    traffic_class: int = 0
    flow_label: int = 0
    ttl: int = _INJECTED_TTL


def _packet(route: Route, protocol: int, payload: bytes) -> bytes:
    return ip.build(
        ip.IpPacket(
            route.source,
            route.destination,
            protocol,
            payload,
            hop_limit=route.ttl or _INJECTED_TTL,
            traffic_class=route.traffic_class,
            flow_label=route.flow_label if len(route.source) == 16 else 0,
            dont_fragment=len(route.source) == 4,
        )
    )


def _with_checksum(route: Route, protocol: int, data: bytearray, offset: int) -> bytes:
    total = pseudo_sum(route.source, route.destination, protocol) + len(data)
    struct.pack_into("!H", data, offset, checksum(data, total))
    return bytes(data)


def inject_tcp(
    route: Route,
    ports: tuple[int, int],
    numbers: tuple[int, int],
    flags: int,
    window: int,
    urgent: int,
    options: list[tuple[int, bytes]],
    length: int,
) -> bytes:
    """A TCP packet to the stack; `ports` source and destination, `numbers` seq and ack, payload all zeros."""
    raw = b"".join(bytes((kind,)) if kind < 2 else bytes((kind, len(value) + 2)) + value for kind, value in options)
    raw += bytes(-len(raw) % 4)
    offset_flags = (20 + len(raw)) >> 2 << 12 | flags
    data = bytearray(_TCP_HEADER.pack(*ports, *numbers, offset_flags, window, 0, urgent))
    data += raw + bytes(length)
    return _packet(route, TCP, _with_checksum(route, TCP, data, 16))


def inject_udp(route: Route, ports: tuple[int, int], length: int) -> bytes:
    """A UDP packet to the stack with a payload of zeros."""
    data = bytearray(struct.pack("!HHHH", *ports, 8 + length, 0) + bytes(length))
    return _packet(route, UDP, _with_checksum(route, UDP, data, 6))


def inject_icmp(route: Route, kind: int, code: int, rest: int, payload: bytes) -> bytes:
    """An ICMP message to the stack; `rest` are the four octets after the checksum."""
    data = bytearray(struct.pack("!BBHI", kind, code, 0, rest) + payload)
    if len(route.source) == 16:
        return _packet(route, ICMPV6, _with_checksum(route, ICMPV6, data, 2))
    struct.pack_into("!H", data, 2, checksum(data))
    return _packet(route, ICMP, bytes(data))


def quote_tcp(route: Route, ports: tuple[int, int], seq: int, length: int) -> bytes:
    """The start of a TCP packet that the stack sent, as an ICMP error quotes it; `route` seen from the stack."""
    data = _TCP_HEADER.pack(*ports, seq, 0, 0x5010, 0, 0, 0) + bytes(min(length, 512))
    return _packet(route, TCP, data)


def quote_udp(route: Route, ports: tuple[int, int], length: int) -> bytes:
    """The start of a UDP packet that the stack sent."""
    return _packet(route, UDP, struct.pack("!HHHH", *ports, 8 + length, 0) + bytes(min(length, 512)))


_UNREACHABLE4: Final = (
    "net_unreachable host_unreachable protocol_unreachable port_unreachable frag_needed source_route_failed "
    "net_unknown host_unknown source_host_isolated net_prohibited host_prohibited net_unreachable_for_tos "
    "host_unreachable_for_tos packet_filtered precedence_violation precedence_cutoff"
)

_TYPES: Final[dict[int, dict[str, tuple[int, dict[str, int]]]]] = {
    4: {
        "echo_reply": (0, {}),
        "unreachable": (3, {name: code for code, name in enumerate(_UNREACHABLE4.split())}),
        "source_quench": (4, {}),
        "redirect": (5, {}),
        "echo_request": (8, {}),
        "time_exceeded": (11, {"exceeded_ttl": 0, "exceeded_frag_time": 1}),
        "parameter_problem": (12, {}),
        "timestamp_request": (13, {}),
        "timestamp_reply": (14, {}),
        "information_request": (15, {}),
        "information_reply": (16, {}),
        "address_mask_request": (17, {}),
        "address_mask_reply": (18, {}),
    },
    6: {
        "unreachable": (
            1,
            {
                "net_unreachable": 0,
                "no_route": 0,
                "admin_prohibited": 1,
                "not_neighbour": 2,
                "address_unreachable": 3,
                "port_unreachable": 4,
            },
        ),
        "packet_too_big": (2, {}),
        "time_exceeded": (3, {"exceeded_hop_limit": 0, "exceeded_frag_time": 1}),
        "parameter_problem": (4, {"header_field": 0, "unknown_next_header": 1, "unknown_option": 2}),
        "echo_request": (128, {}),
        "echo_reply": (129, {}),
    },
}


def icmp_numbers(version: int, type_name: str, code_name: str | None) -> tuple[int, int]:
    """Type and code of an ICMP message by name; `type_77` and `code_3` name any number.

    Raises:
        ValueError: a name that this version does not have.
    """
    codes: dict[str, int] = {}
    if type_name.startswith("type_") and type_name[5:].isdecimal():
        kind = int(type_name[5:])
    elif type_name in _TYPES[version]:
        kind, codes = _TYPES[version][type_name]
    else:
        raise ValueError(f"ICMP type {type_name!r} is not known for IPv{version} ({', '.join(_TYPES[version])})")
    if code_name is None:
        return kind, 0
    if code_name.startswith("code_") and code_name[5:].isdecimal():
        return kind, int(code_name[5:])
    if code_name not in codes:
        raise ValueError(f"ICMP code {code_name!r} is not known for {type_name} ({', '.join(codes) or 'none'})")
    return kind, codes[code_name]
