"""Packets that are left to the device to finish: checksums not yet computed, segments not yet cut.

Between a stack and a device that offers it (a TUN device, a simulated link) the checksum field of a TCP segment or a
UDP datagram holds the sum of its pseudo header and nothing else, as between Linux and its drivers; whoever needs the
real one (a capture, a link that damages packets, who cuts it into fragments) completes it. The receiver knows such a
packet by that very sum and believes the device; any other checksum it verifies. A `GsoPacket` packet stands for the
segments that a device cuts it into; its payload is kept apart from its headers, so that between the program and the
device nobody copies it.
"""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.checksum import is_pseudo_sum, pseudo_sum, sum_words
from catenet.wire.gather import Gather
from catenet.wire.gso import GsoPacket
from catenet.wire.tcp import CWR, FIN, PSH
from catenet.wire.tcp import HEADER_LENGTH as TCP_HEADER
from catenet.wire.tcp import PROTOCOL as TCP
from catenet.wire.udp import HEADER_LENGTH as UDP_HEADER
from catenet.wire.udp import PROTOCOL as UDP

__all__ = [
    "CHECKSUMS",
    "TCP_CHECKSUM",
    "VIEW_THRESHOLD",
    "GsoPacket",
    "as_gso",
    "complete",
    "complete_payload",
    "cut",
    "is_unsummed",
    "transport",
]

TCP_CHECKSUM: Final = 16
CHECKSUMS: Final = {TCP: TCP_CHECKSUM, UDP: 6}
"""Where the checksum is, by protocol, in the headers that devices see to."""
VIEW_THRESHOLD: Final = 4096
"""Bytes from which on data is not copied but viewed where it lies: copying less is cheaper than a view."""
SHORTEST: Final = {TCP: TCP_HEADER, UDP: UDP_HEADER}
"""Length of a header without options, by protocol."""

_WORD = struct.Struct("!H")
_SEQUENCE = struct.Struct("!I")
_from_bytes = int.from_bytes


def transport(packet: bytes | memoryview) -> tuple[int, int]:
    """(protocol, offset) of what an IP packet carries; extension headers of IPv6 are not looked through."""
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 15) << 2
    return packet[6], 40


def as_gso(packet: bytes, mss: int) -> GsoPacket:
    """A whole packet with a TCP segment as one to be cut into segments of `mss` bytes."""
    _, start = transport(packet)
    end = start + (packet[start + 12] >> 4 << 2)
    return GsoPacket(packet[:end], memoryview(packet)[end:], mss)


def is_unsummed(packet: bytes | memoryview) -> bool:
    """Whether an IP packet carries a whole TCP segment or UDP datagram whose checksum was left to the device."""
    if len(packet) < 28:
        return False
    protocol, start = transport(packet)
    if protocol not in CHECKSUMS or len(packet) < start + SHORTEST[protocol]:
        return False
    if packet[0] >> 4 == 4 and (packet[6] & 0x3F or packet[7]):
        return False
    return _left_out(packet, start, *_addresses(packet), protocol)


def _left_out(packet: bytes | memoryview, start: int, source: bytes, destination: bytes, protocol: int) -> bool:
    """Whether a checksum of what begins at `start` is the sum of the pseudo header."""
    found: int = _WORD.unpack_from(packet, start + CHECKSUMS[protocol])[0]
    return is_pseudo_sum(found, pseudo_sum(source, destination, protocol) + len(packet) - start, protocol == UDP)


def complete(packet: bytes) -> bytes:
    """Return a packet, in one piece, with the checksum of what it carries filled in if it was left out."""
    if isinstance(packet, GsoPacket):
        packet = packet.whole()
    if not is_unsummed(packet):
        return packet
    protocol, start = transport(packet)
    return packet[:start] + _complete(packet[start:], *_addresses(packet), protocol)


def complete_payload(data: bytes | memoryview, source: bytes, destination: bytes, protocol: int) -> bytes | memoryview:
    """As `complete`, for the payload of a whole packet."""
    if protocol not in CHECKSUMS or len(data) < SHORTEST[protocol]:
        return data
    if not _left_out(data, 0, source, destination, protocol):
        return data
    return _complete(bytes(data), source, destination, protocol)


def _complete(data: bytes, source: bytes, destination: bytes, protocol: int) -> bytes:
    where = CHECKSUMS[protocol]
    total = pseudo_sum(source, destination, protocol) + len(data) - _WORD.unpack_from(data, where)[0]
    value = -(total + sum_words(data)) % 65535
    # 0 says "no checksum" in UDP (RFC 768), and 0xffff is the same sum.
    return data[:where] + _WORD.pack(value if protocol == TCP else value or 0xFFFF) + data[where + 2 :]


def cut(packet: GsoPacket) -> list[bytes]:
    """Cut a GSO packet into segments, as a device does; their checksums stay incomplete."""
    _, start = transport(packet)
    header, data, mss = bytearray(packet), packet.payload, packet.mss
    if isinstance(data, Gather):
        data = bytes(data)
    size, begin = len(data), len(header)
    sequence = _SEQUENCE.unpack_from(header, start + 4)[0]
    identification = _WORD.unpack_from(header, 4)[0]
    flags = header[start + 13]
    pseudo = pseudo_sum(*_addresses(packet), TCP)
    pieces = []
    for number, at in enumerate(range(0, size, mss)):
        payload = data[at : at + mss]
        last = at + mss >= size
        header[start + 13] = flags & ~((0 if last else FIN | PSH) | (CWR if number else 0))
        _SEQUENCE.pack_into(header, start + 4, (sequence + at) & 0xFFFFFFFF)
        _WORD.pack_into(header, start + TCP_CHECKSUM, (pseudo + begin - start + len(payload)) % 65535)
        if header[0] >> 4 == 4:
            _WORD.pack_into(header, 2, begin + len(payload))
            _WORD.pack_into(header, 4, (identification + number) & 0xFFFF)
            _WORD.pack_into(header, 10, 0)
            _WORD.pack_into(header, 10, -_from_bytes(header[:start], "big") % 65535)
        else:
            _WORD.pack_into(header, 4, begin - start + len(payload))
        pieces.append(bytes(header) + payload)
    return pieces


def _addresses(packet: bytes | memoryview) -> tuple[bytes, bytes]:
    if packet[0] >> 4 == 4:
        return bytes(packet[12:16]), bytes(packet[16:20])
    return bytes(packet[8:24]), bytes(packet[24:40])
