"""Packets whose last touches are left to the device: checksums not yet computed, segments not yet cut.

Between a stack and a device that offers it (a TUN device, a simulated link) the checksum field of a TCP segment holds
the sum of its pseudo header and nothing else, as between Linux and its drivers; whoever needs the real one (a capture,
a link that damages packets) completes it. The receiver knows such a segment by that very sum and believes the device;
any other checksum it verifies. A `Large` packet stands for the segments that a device cuts it into; its payload is kept
apart from its headers, so that between the program and the device nobody copies it.
"""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.checksum import pseudo_sum

__all__ = ["Large", "complete", "cut", "is_unsummed"]

TCP: Final = 6
TCP_CHECKSUM: Final = 16
FIN: Final = 0x01
PSH: Final = 0x08
CWR: Final = 0x80

_WORD = struct.Struct("!H")
_SEQUENCE = struct.Struct("!I")
_from_bytes = int.from_bytes


class Large(bytes):
    """One packet that stands for several: as bytes its headers, whose length fields tell the whole of it.

    `payload` is what follows them, `mss` the payload of each segment but the last.
    """

    payload: bytes | bytearray | memoryview
    mss: int

    def __new__(cls, headers: bytes, payload: bytes | bytearray | memoryview, mss: int) -> Large:
        """Join headers and payload without copying."""
        self = super().__new__(cls, headers)
        self.payload = payload
        self.mss = mss
        return self

    @classmethod
    def of(cls, packet: bytes, mss: int) -> Large:
        """Wrap a whole packet, which carries a TCP segment."""
        end = _transport_end(packet)
        return cls(packet[:end], memoryview(packet)[end:], mss)

    @property
    def size(self) -> int:
        """Length of the packet."""
        return len(self) + len(self.payload)

    def whole(self) -> bytes:
        """The packet in one piece."""
        return b"".join((self, self.payload))


def transport(packet: bytes | memoryview) -> tuple[int, int]:
    """(protocol, offset) of what an IP packet carries; extension headers of IPv6 are not looked through."""
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 15) << 2
    return packet[6], 40


def _transport_end(packet: bytes) -> int:
    """Where the headers of a packet with a TCP segment end."""
    _, start = transport(packet)
    return start + (packet[start + 12] >> 4 << 2)


def is_unsummed(packet: bytes | memoryview) -> bool:
    """Whether an IP packet carries a TCP segment whose checksum was left to the device."""
    if len(packet) < 40:
        return False
    protocol, start = transport(packet)
    if protocol != TCP or len(packet) < start + 20 or (packet[0] >> 4 == 4 and packet[6] & 0x3F | packet[7]):
        return False
    total = pseudo_sum(*_addresses(packet), TCP) + len(packet) - start
    return bool(_WORD.unpack_from(packet, start + TCP_CHECKSUM)[0] == total % 65535)


def complete(packet: bytes) -> bytes:
    """Return a packet, in one piece, with the checksum of its TCP segment filled in if it was left out."""
    if isinstance(packet, Large):
        packet = packet.whole()
    if not is_unsummed(packet):
        return packet
    start = transport(packet)[1]
    source, destination = _addresses(packet)
    segment = packet[start:]
    where = start + TCP_CHECKSUM
    total = pseudo_sum(source, destination, TCP) + len(segment) - _WORD.unpack_from(packet, where)[0]
    total += _from_bytes(segment, "big") << (8 if len(segment) & 1 else 0)
    return packet[:where] + _WORD.pack(-total % 65535) + packet[where + 2 :]


def cut(packet: Large) -> list[bytes]:
    """Segments that a large packet stands for, as a device cuts it, checksums left as they were: incomplete."""
    _, start = transport(packet)
    header, data, mss = bytearray(packet), packet.payload, packet.mss
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
