"""Ethernet frames (RFC 894, RFC 2464), ARP (RFC 826, RFC 5227), and the link-layer addresses of multicast groups."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from catenet.wire.errors import Malformed

__all__ = [
    "ARP",
    "BROADCAST",
    "ETHERTYPES",
    "ArpPacket",
    "Frame",
    "build_arp",
    "build_frame",
    "format_link_address",
    "group_address",
    "is_group",
    "parse_arp",
    "parse_frame",
    "parse_link_address",
]

HEADER_LENGTH: Final = 14
BROADCAST: Final = b"\xff" * 6
ARP: Final = 0x0806
ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}

_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_FIRST_ETHERTYPE: Final = 0x0600
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


class Frame(NamedTuple):
    """One frame, without its check sequence."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes | memoryview


class ArpPacket(NamedTuple):
    """ARP for IPv4 over Ethernet; operation 1 is a request, 2 a reply."""

    operation: int
    sender_link: bytes
    sender: bytes
    target_link: bytes
    target: bytes


def parse_frame(data: bytes | memoryview) -> Frame:
    """Read a frame; Malformed when it is shorter than its header or of IEEE 802.3's kind with a length for a type."""
    if len(data) < HEADER_LENGTH:
        raise Malformed("ethernet: frame shorter than its header")
    ethertype = data[12] << 8 | data[13]
    if ethertype < _FIRST_ETHERTYPE:
        raise Malformed("ethernet: length instead of a type")
    return Frame(bytes(data[:6]), bytes(data[6:12]), ethertype, data[14:])


def build_frame(frame: Frame) -> bytes:
    """Build a frame; ValueError for addresses that are not 6 bytes or an impossible type."""
    if len(frame.destination) != 6 or len(frame.source) != 6 or not _FIRST_ETHERTYPE <= frame.ethertype <= 0xFFFF:
        raise ValueError("ethernet frame: addresses of 6 bytes and a type from 0x0600 are needed")
    return frame.destination + frame.source + frame.ethertype.to_bytes(2, "big") + frame.payload


def parse_arp(data: bytes | memoryview) -> ArpPacket:
    """Read the payload of an ARP frame; Malformed when it is not about IPv4 over Ethernet."""
    if len(data) < _ARP.size:
        raise Malformed("arp: packet too short")
    hardware, protocol, hardware_size, protocol_size, operation, *addresses = _ARP.unpack_from(data)
    if (hardware, protocol, hardware_size, protocol_size) != (1, 0x0800, 6, 4):
        raise Malformed("arp: not IPv4 over Ethernet")
    return ArpPacket(operation, *addresses)


def build_arp(packet: ArpPacket) -> bytes:
    """Build the payload of an ARP frame; ValueError for a value out of range."""
    if len(packet.sender_link) != 6 or len(packet.target_link) != 6 or len(packet.sender) + len(packet.target) != 8:
        raise ValueError("arp packet: link addresses of 6 and addresses of 4 bytes are needed")
    try:
        return _ARP.pack(1, 0x0800, 6, 4, *packet)
    except struct.error as error:
        raise ValueError(f"arp packet: {error}") from None


def is_group(link_address: bytes) -> bool:
    """Whether a link-layer address is a group's, the broadcast address included."""
    return bool(link_address[0] & 1)


def group_address(group: bytes) -> bytes:
    """Link-layer address of a multicast group (RFC 1112 6.4, RFC 2464 7)."""
    if len(group) == 4:
        return b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:]
    return b"\x33\x33" + group[12:]


def format_link_address(link_address: bytes) -> str:
    """Text as "02:00:00:00:00:01"."""
    return link_address.hex(":")


def parse_link_address(text: str) -> bytes:
    """Read "02:00:00:00:00:01"; ValueError."""
    parts = text.split(":")
    if len(parts) == 6 and all(len(part) == 2 and set(part) <= _HEX_DIGITS for part in parts):
        return bytes(int(part, 16) for part in parts)
    raise ValueError(f"{text!r} is not an Ethernet address like 02:00:00:00:00:01")
