"""UDP datagrams (RFC 768; checksum rules of RFC 1122 4.1.3.4 and RFC 8200 8.1)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from catenet.wire.checksum import is_pseudo_sum, pseudo_sum, residue
from catenet.wire.errors import Malformed

__all__ = ["HEADER_LENGTH", "PROTOCOL", "UdpDatagram", "build", "parse"]

PROTOCOL: Final = 17
HEADER_LENGTH: Final = 8

_HEADER: Final = struct.Struct("!HHHH")
_PORTS: Final = struct.Struct("!HH")


class UdpDatagram(NamedTuple):
    """One datagram; 65,527 bytes of payload at most."""

    source_port: int
    destination_port: int
    payload: bytes | memoryview = b""


def parse(
    data: bytes | memoryview, source: bytes, destination: bytes, verify: bool = True, offload: bool = False
) -> UdpDatagram:
    """Read one datagram; bytes of the IP payload after its length are cut off, as in Linux.

    With `offload` a checksum that was left out (`wire/offload.py`) is right.

    Raises:
        Malformed: header or length too short or too long, a wrong checksum, or none at all on IPv6.
    """
    if len(data) < 8:
        raise Malformed("udp: datagram shorter than its header")
    source_port, destination_port, length, checksum = _HEADER.unpack_from(data)
    if length != len(data):
        if not 8 <= length < len(data):
            raise Malformed("udp: length")
        data = data[:length]
    if checksum == 0:
        if len(source) == 16:
            raise Malformed("udp: no checksum on IPv6")
    elif verify:
        pseudo = pseudo_sum(source, destination, PROTOCOL) + length
        believed = offload and is_pseudo_sum(checksum, pseudo, True)
        if not believed and (pseudo + (residue(data) << 8)) % 65535:
            raise Malformed("udp: checksum")
    return UdpDatagram(source_port, destination_port, data[8:])


def build(
    datagram: UdpDatagram, source: bytes, destination: bytes, checksum: bool = True, offload: bool = False
) -> bytes:
    """Build a datagram for these addresses; `checksum` False sends none, which only IPv4 allows.

    With `offload` the checksum is left to the device (`wire/offload.py`).

    Raises:
        ValueError: a port out of range or more payload than a length of 16 bits can tell.
    """
    source_port, destination_port, payload = datagram
    length = 8 + len(payload)
    value = 0
    if checksum or len(source) == 16:
        total = pseudo_sum(source, destination, PROTOCOL) + length
        if not offload:
            total = -(total + length + source_port + destination_port + (residue(payload) << 8))
        value = total % 65535 or 0xFFFF  # a computed 0 is sent as all ones (RFC 768)
    try:
        return _HEADER.pack(source_port, destination_port, length, value) + payload
    except struct.error:
        raise ValueError(
            f"udp: ports {source_port}, {destination_port} or length {length} do not fit 16 bits"
        ) from None


def quoted_ports(data: bytes | memoryview) -> tuple[int, int]:
    """(source port, destination port) of a datagram quoted by an ICMP error; Malformed when shorter than 4 bytes."""
    if len(data) < 4:
        raise Malformed("udp: quotation shorter than its ports")
    source_port, destination_port = _PORTS.unpack_from(data)
    return source_port, destination_port
