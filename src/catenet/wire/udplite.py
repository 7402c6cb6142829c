"""UDP-Lite datagrams (RFC 3828): UDP whose checksum covers as much of the datagram as its sender says."""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.checksum import pseudo_sum, residue
from catenet.wire.errors import Malformed
from catenet.wire.udp import HEADER_LENGTH, UdpDatagram

__all__ = ["PROTOCOL", "build", "coverage", "parse"]

PROTOCOL: Final = 136

_HEADER: Final = struct.Struct("!HHHH")


def coverage(data: bytes | memoryview) -> int:
    """Return how many bytes of a datagram its checksum covers; Malformed when that cannot be."""
    if len(data) < HEADER_LENGTH:
        raise Malformed("udp-lite: datagram shorter than its header")
    covered = int.from_bytes(data[4:6], "big") or len(data)
    if not HEADER_LENGTH <= covered <= len(data):
        raise Malformed("udp-lite: coverage")
    return covered


def parse(data: bytes | memoryview, source: bytes, destination: bytes) -> UdpDatagram:
    """Read one datagram.

    Raises:
        Malformed: shorter than its header, a coverage that is 1 to 7 or beyond its end, a checksum wrong or left out.
    """
    covered = coverage(data)
    source_port, destination_port, _, checksum = _HEADER.unpack_from(data)
    if checksum == 0:
        raise Malformed("udp-lite: no checksum")
    pseudo = pseudo_sum(source, destination, PROTOCOL) + len(data)
    if (pseudo + (residue(data[:covered]) << 8)) % 65535:
        raise Malformed("udp-lite: checksum")
    return UdpDatagram(source_port, destination_port, data[HEADER_LENGTH:])


def build(datagram: UdpDatagram, source: bytes, destination: bytes, covered: int = 0) -> bytes:
    """Build a datagram for these addresses, whose checksum covers so many bytes; 0 or what is beyond its end: all.

    Raises:
        ValueError: a port out of range, or a coverage from 1 to 7.
    """
    source_port, destination_port, payload = datagram
    length = HEADER_LENGTH + len(payload)
    if covered and covered < HEADER_LENGTH:
        raise ValueError(f"udp-lite: {covered} bytes do not cover the header")
    field = covered if covered < length else 0
    head_sum = field + source_port + destination_port
    summed = payload[: covered - HEADER_LENGTH] if field else payload
    total = -(pseudo_sum(source, destination, PROTOCOL) + length + head_sum + (residue(summed) << 8))
    try:
        return _HEADER.pack(source_port, destination_port, field, total % 65535 or 0xFFFF) + payload
    except struct.error:
        raise ValueError(f"udp-lite: ports {source_port}, {destination_port} do not fit 16 bits") from None
