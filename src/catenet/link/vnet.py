"""The header that a TUN device opened with IFF_VNET_HDR puts before every packet (VIRTIO 1.2, 5.1.6; Linux's tuntap).

It tells, in either direction, whether the packet's checksum is still to be computed and into what segments it is to be
cut. With TUNSETOFFLOAD the kernel hands over packets of up to 64 KB uncut and without checksum, and takes the same.
"""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.offload import CHECKSUMS, TCP_CHECKSUM, GsoPacket, is_unsummed, transport

__all__ = ["IFF_VNET_HDR", "OFFLOADS", "TUNSETOFFLOAD", "accept", "header_for"]

IFF_VNET_HDR: Final = 0x4000
TUNSETOFFLOAD: Final = 0x400454D0

OFFLOADS: Final = 0x01 | 0x02 | 0x04
"""TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6."""

NEEDS_CHECKSUM: Final = 1
GSO_NONE: Final = 0
GSO_TCP4: Final = 1
GSO_TCP6: Final = 4

_HEADER: Final = struct.Struct("=BBHHHH")
"""flags, gso_type, hdr_len, gso_size, csum_start, csum_offset; in the machine's byte order."""
SIZE: Final = _HEADER.size

_WORD: Final = struct.Struct("!H")
_NOTHING: Final = bytes(SIZE)
_UNSUMMED: Final = {
    (start, protocol): _HEADER.pack(NEEDS_CHECKSUM, GSO_NONE, 0, 0, start, checksum)
    for start in range(0, 61, 4)
    for protocol, checksum in CHECKSUMS.items()
}
"""For packets that are not to be cut, by the length of the IP header and the protocol."""
_from_bytes = int.from_bytes


def header_for(packet: bytes) -> bytes:
    """Header for a packet of a stack that leaves checksums to the device."""
    protocol, start = transport(packet)
    if isinstance(packet, GsoPacket):
        kind = GSO_TCP4 if packet[0] >> 4 == 4 else GSO_TCP6
        return _HEADER.pack(NEEDS_CHECKSUM, kind, len(packet), packet.mss, start, TCP_CHECKSUM)
    return _UNSUMMED[start, protocol] if is_unsummed(packet) else _NOTHING


def accept(frame: bytes, viewed: int) -> bytes | memoryview:
    """The packet behind a header, as a stack takes it that believes the device; from `viewed` bytes on a view of it.

    The checksum that the kernel has left out is put in where the stack would not know it for left out: of any protocol
    but TCP and UDP, and inside of tunnels.
    """
    flags = frame[0]
    if flags & NEEDS_CHECKSUM:
        start, offset = _HEADER.unpack_from(frame)[4:]
        if offset != TCP_CHECKSUM and not is_unsummed(memoryview(frame)[SIZE:]):
            return _complete(frame[SIZE:], start, offset)
        return memoryview(frame)[SIZE:] if len(frame) > viewed else frame[SIZE:]
    return frame[SIZE:]


def _complete(packet: bytes, start: int, offset: int) -> bytes:
    """Compute the checksum of `packet[start:]`, whose field holds the sum of the pseudo header."""
    where = start + offset
    if where + 2 > len(packet):
        return packet
    data = packet[start:]
    total = _from_bytes(data, "big") << (8 if len(data) & 1 else 0)
    # 0 says "no checksum" in UDP (RFC 768), and 0xffff is the same sum.
    return packet[:where] + _WORD.pack(-total % 65535 or 0xFFFF) + packet[where + 2 :]
