"""Neighbour discovery messages (RFC 4861), with the options of RFC 4191, 6980, 7527 and 8106.

A message is the `Other` of `wire.icmp`: `parse` reads its body, `build` makes one.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

from catenet.wire import icmp
from catenet.wire.address import Prefix
from catenet.wire.dns.name import split_names
from catenet.wire.errors import Malformed

__all__ = [
    "HOP_LIMIT",
    "DnsSearch",
    "DnsServers",
    "LinkAddress",
    "Message",
    "Mtu",
    "NeighborAdvertisement",
    "NeighborSolicitation",
    "Nonce",
    "Option",
    "PrefixInformation",
    "Redirect",
    "RedirectedHeader",
    "RouteInformation",
    "RouterAdvertisement",
    "RouterSolicitation",
    "UnknownOption",
    "build",
    "parse",
]

HOP_LIMIT: Final = 255
"""Hop limit of every message, which proves that it comes from this link (RFC 4861 3.1)."""


class LinkAddress(NamedTuple):
    """Source (1) or target (2) link-layer address."""

    kind: int
    address: bytes


class PrefixInformation(NamedTuple):
    """A prefix that is on this link or that addresses are made from; lifetimes in seconds, 2**32-1 for ever."""

    prefix: bytes
    length: int
    on_link: bool
    autonomous: bool
    valid_lifetime: int
    preferred_lifetime: int


class RedirectedHeader(NamedTuple):
    """The packet that was redirected, as much as fits, a multiple of 8 bytes long."""

    packet: bytes


class Mtu(NamedTuple):
    """MTU of the link."""

    mtu: int


class Nonce(NamedTuple):
    """Number that tells our own looped-back solicitations from others' (RFC 7527); 6 bytes and more, 8n - 2."""

    nonce: bytes


class RouteInformation(NamedTuple):
    """A more specific route through the router that sends it (RFC 4191); preference -1, 0, 1."""

    prefix: Prefix
    preference: int
    lifetime: int


class DnsServers(NamedTuple):
    """Recursive name servers (RFC 8106)."""

    lifetime: int
    addresses: tuple[bytes, ...]


class DnsSearch(NamedTuple):
    """Domains to complete names with, in uncompressed wire format (RFC 8106 5.2)."""

    lifetime: int
    domains: tuple[bytes, ...]


class UnknownOption(NamedTuple):
    """Any other option; the body is 8n - 2 bytes long."""

    kind: int
    body: bytes


Option: TypeAlias = (
    LinkAddress
    | PrefixInformation
    | RedirectedHeader
    | Mtu
    | Nonce
    | RouteInformation
    | DnsServers
    | DnsSearch
    | UnknownOption
)


class RouterSolicitation(NamedTuple):
    """Asks routers to advertise at once (4.1)."""

    options: tuple[Option, ...] = ()


class RouterAdvertisement(NamedTuple):
    """A router advertises itself (4.2): lifetimes in seconds, times in milliseconds, 0 for unspecified."""

    hop_limit: int = 0
    managed: bool = False
    other: bool = False
    preference: int = 0
    lifetime: int = 0
    reachable_time: int = 0
    retransmission_time: int = 0
    options: tuple[Option, ...] = ()


class NeighborSolicitation(NamedTuple):
    """Asks for a link-layer address, or whether a neighbour is there (4.3)."""

    target: bytes
    options: tuple[Option, ...] = ()


class NeighborAdvertisement(NamedTuple):
    """Answers a solicitation, or announces a change (4.4)."""

    target: bytes
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: tuple[Option, ...] = ()


class Redirect(NamedTuple):
    """Names a better first hop (4.5); `target` equal to `destination`: it is a neighbour."""

    target: bytes
    destination: bytes
    options: tuple[Option, ...] = ()


Message: TypeAlias = RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement | Redirect

_ROUTER: Final = struct.Struct("!BBHII")
_PREFIX: Final = struct.Struct("!BBII4x16s")
_PREFERENCES: Final = {0: 0, 1: 1, 3: -1, 2: 0}
"""Two bits as signed; the reserved value reads as medium (RFC 4191 2.1)."""


def find(message: Message, kind: type[Option]) -> list[Option]:
    """Options of one kind, in order."""
    return [option for option in message.options if isinstance(option, kind)]


def parse(message: icmp.Other) -> Message | None:
    """Read a message that `wire.icmp` has checked; None when it is not neighbour discovery.

    Raises:
        Malformed: too short, a code other than 0, or an option of length 0 or beyond the end (RFC 4861 6.1, 7.1).
    """
    reader = _PARSERS.get(message.type)
    if reader is None:
        return None
    size, read = reader
    body = bytes(message.body)
    if len(body) < size or message.code:
        raise Malformed("nd: message length or code")
    return read(body, _parse_options(body[size:]))


def _parse_router_solicitation(_body: bytes, options: tuple[Option, ...]) -> Message:
    return RouterSolicitation(options)


def _parse_router_advertisement(body: bytes, options: tuple[Option, ...]) -> Message:
    hop_limit, bits, lifetime, reachable, retransmission = _ROUTER.unpack_from(body)
    preference = _PREFERENCES[bits >> 3 & 3]
    return RouterAdvertisement(
        hop_limit, bits & 0x80 != 0, bits & 0x40 != 0, preference, lifetime, reachable, retransmission, options
    )


def _parse_neighbor_solicitation(body: bytes, options: tuple[Option, ...]) -> Message:
    return NeighborSolicitation(body[4:20], options)


def _parse_neighbor_advertisement(body: bytes, options: tuple[Option, ...]) -> Message:
    bits = body[0]
    return NeighborAdvertisement(body[4:20], bits & 0x80 != 0, bits & 0x40 != 0, bits & 0x20 != 0, options)


def _parse_redirect(body: bytes, options: tuple[Option, ...]) -> Message:
    return Redirect(body[4:20], body[20:36], options)


_PARSERS: Final = {
    133: (4, _parse_router_solicitation),
    134: (12, _parse_router_advertisement),
    135: (20, _parse_neighbor_solicitation),
    136: (20, _parse_neighbor_advertisement),
    137: (36, _parse_redirect),
}


def _parse_options(data: bytes) -> tuple[Option, ...]:
    options: list[Option] = []
    position = 0
    while position < len(data):
        size = data[position + 1] * 8 if position + 1 < len(data) else 0
        if not size or position + size > len(data):
            raise Malformed("nd: option length")
        options.append(_parse_option(data[position], data[position + 2 : position + size]))
        position += size
    return tuple(options)


def _parse_option(kind: int, body: bytes) -> Option:
    """Read one option; one of a wrong size stays unknown, and so without effect (RFC 4861 9)."""
    size = len(body)
    if kind in (1, 2):
        return LinkAddress(kind, body)
    if kind == 3 and size == 30 and body[0] <= 128:
        length, bits, valid, preferred, prefix = _PREFIX.unpack(body)
        return PrefixInformation(prefix, length, bits & 0x80 != 0, bits & 0x40 != 0, valid, preferred)
    if kind == 4 and size >= 6:
        return RedirectedHeader(body[6:])
    if kind == 5 and size == 6:
        return Mtu(int.from_bytes(body[2:], "big"))
    if kind == 14:
        return Nonce(body)
    if kind == 24 and size in (6, 14, 22) and body[0] <= (size - 6) * 8:
        prefix = body[6:] + bytes(22 - size)
        route = Prefix.of(prefix, body[0])
        return RouteInformation(route, _PREFERENCES[body[1] >> 3 & 3], int.from_bytes(body[2:6], "big"))
    if kind == 25 and size >= 22 and size % 16 == 6:
        addresses = tuple(body[at : at + 16] for at in range(6, size, 16))
        return DnsServers(int.from_bytes(body[2:6], "big"), addresses)
    if kind == 31 and size > 6 and (domains := split_names(body[6:])) is not None:
        return DnsSearch(int.from_bytes(body[2:6], "big"), domains)
    return UnknownOption(kind, body)


def build(message: Message) -> icmp.Other:
    """Build the ICMP message; ValueError for a value out of range."""
    try:
        kind, body = _build_body(message)
        return icmp.Other(kind, 0, body + b"".join(map(_build_option, message.options)))
    except (struct.error, OverflowError) as error:
        raise ValueError(f"nd message: {error}") from None


def _build_body(message: Message) -> tuple[int, bytes]:
    if isinstance(message, RouterSolicitation):
        return 133, bytes(4)
    if isinstance(message, RouterAdvertisement):
        bits = message.managed << 7 | message.other << 6 | (message.preference & 3) << 3
        return 134, _ROUTER.pack(
            message.hop_limit, bits, message.lifetime, message.reachable_time, message.retransmission_time
        )
    if isinstance(message, NeighborSolicitation):
        return 135, bytes(4) + message.target
    if isinstance(message, NeighborAdvertisement):
        bits = message.router << 7 | message.solicited << 6 | message.override << 5
        return 136, bytes((bits, 0, 0, 0)) + message.target
    return 137, bytes(4) + message.target + message.destination


def _build_option(option: Option) -> bytes:
    kind, body = _option_body(option)
    if len(body) % 8 != 6:
        raise ValueError(f"nd option {kind} is no multiple of 8 bytes long")
    return struct.pack("!BB", kind, (len(body) + 2) // 8) + body


def _option_body(option: Option) -> tuple[int, bytes]:
    match option:
        case LinkAddress(kind, address):
            return kind, address
        case PrefixInformation(prefix, length, on_link, autonomous, valid, preferred):
            return 3, _PREFIX.pack(length, on_link << 7 | autonomous << 6, valid, preferred, prefix)
        case RedirectedHeader(packet):
            return 4, bytes(6) + packet
        case Mtu(mtu):
            return 5, bytes(2) + mtu.to_bytes(4, "big")
        case Nonce(nonce):
            return 14, nonce
        case RouteInformation(prefix, preference, lifetime):
            size = (prefix.length + 63) // 64 * 8
            head = struct.pack("!BBI", prefix.length, (preference & 3) << 3, lifetime)
            return 24, head + prefix.address[:size]
        case DnsServers(lifetime, addresses):
            return 25, bytes(2) + lifetime.to_bytes(4, "big") + b"".join(addresses)
        case DnsSearch(lifetime, domains):
            names = b"".join(domains)
            return 31, bytes(2) + lifetime.to_bytes(4, "big") + names + bytes(-len(names) % 8)
        case UnknownOption(kind, body):
            return kind, body
