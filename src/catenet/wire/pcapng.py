"""Capture files (pcapng, IETF draft-ietf-opsawg-pcapng): a writer, and a reader for tests and fuzzing.

Only the blocks that carry packets and name interfaces are written; the reader takes both byte orders and every
timestamp resolution, and skips the blocks it does not know, as the format demands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from catenet.wire.errors import Malformed

__all__ = ["LINKTYPE_ETHERNET", "LINKTYPE_RAW", "CapturedPacket", "PcapngWriter", "read_pcapng"]

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_RAW: Final = 101
"""Packets begin with an IPv4 or IPv6 header."""

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_SIMPLE_PACKET: Final = 3
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D

_OPT_COMMENT: Final = 1
_IF_NAME: Final = 2
_IF_TSRESOL: Final = 9
_IF_TSOFFSET: Final = 14
_NANOSECONDS: Final = 9

_PACKET_HEAD: Final = struct.Struct("<IIIIIII")
_LENGTH: Final = struct.Struct("<I")


class CapturedPacket(NamedTuple):
    """One packet of a capture."""

    interface: int
    """Index of the interface in the order of its description."""
    interface_name: str
    time: float
    """Seconds, to which `offset` has to be added to get those since 1970."""
    data: bytes
    original_length: int
    linktype: int
    offset: int = 0


class PcapngWriter:
    """Writes a section with named interfaces; times have nanoseconds."""

    def __init__(self, file: BinaryIO, application: str = "catenet", snap_length: int = 0, offset: int = 0) -> None:
        """Begin a section on `file`, open for binary writing; `snap_length` cuts packets, 0 does not.

        `offset` are seconds that readers add to all times: of a float, those since 1970 would leave no nanoseconds.
        """
        self._file = file
        self._snap_length = snap_length
        self._offset = offset
        self._interfaces = 0
        body = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + _option(4, application.encode()) + _option(0, b"")
        self._block(_SECTION, body)

    def add_interface(self, name: str, linktype: int = LINKTYPE_RAW) -> int:
        """Describe an interface; returns the index that `write` takes."""
        body = struct.pack("<HHI", linktype, 0, self._snap_length)
        body += _option(_IF_NAME, name.encode()) + _option(_IF_TSRESOL, bytes((_NANOSECONDS,)))
        if self._offset:
            body += _option(_IF_TSOFFSET, struct.pack("<q", self._offset))
        body += _option(0, b"")
        self._block(_INTERFACE, body)
        self._interfaces += 1
        return self._interfaces - 1

    def write(self, interface: int, time: float, data: bytes, comment: str = "") -> None:
        """Write one packet that was seen on `interface` at `time` (seconds)."""
        original = len(data)
        if self._snap_length:
            data = data[: self._snap_length]
        ticks = round(time * 1e9)
        padded = data + bytes(-len(data) % 4)
        options = _option(_OPT_COMMENT, comment.encode()) + _option(0, b"") if comment else b""
        length = 32 + len(padded) + len(options)
        head = _PACKET_HEAD.pack(
            _PACKET, length, interface, ticks >> 32 & 0xFFFFFFFF, ticks & 0xFFFFFFFF, len(data), original
        )
        self._file.write(head + padded + options + _LENGTH.pack(length))

    def _block(self, kind: int, body: bytes) -> None:
        length = len(body) + 12
        self._file.write(struct.pack("<II", kind, length) + body + _LENGTH.pack(length))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


class _Interface(NamedTuple):
    name: str
    linktype: int
    snap_length: int
    resolution: float
    """Seconds per tick."""
    offset: int
    """Seconds to add to all times."""


def read_pcapng(data: bytes) -> Iterator[CapturedPacket]:
    """Read the packets of a capture file in their order.

    Raises:
        Malformed: not pcapng, or a block that contradicts itself.
    """
    order = "<"
    interfaces: list[_Interface] = []
    position = 0
    if data[:4] != _LENGTH.pack(_SECTION):
        raise Malformed("pcapng: no section header")
    try:
        while position < len(data):
            (kind,) = struct.unpack_from(order + "I", data, position)
            if kind == _SECTION:
                order = "<" if data[position + 8 : position + 12] == _LENGTH.pack(_BYTE_ORDER) else ">"
                interfaces = []
            (length,) = struct.unpack_from(order + "I", data, position + 4)
            if length < 12 or length & 3 or position + length > len(data):
                raise Malformed("pcapng: block length")
            body = data[position + 8 : position + length - 4]
            if kind == _INTERFACE:
                interfaces.append(_read_interface(order, body))
            elif kind == _PACKET:
                yield _read_packet(order, body, interfaces)
            elif kind == _SIMPLE_PACKET:
                (original,) = struct.unpack_from(order + "I", body)
                captured = min(original, interfaces[0].snap_length or original, len(body) - 4)
                yield CapturedPacket(
                    0, interfaces[0].name, 0.0, body[4 : 4 + captured], original, interfaces[0].linktype
                )
            position += length
    except (struct.error, IndexError) as error:
        raise Malformed(f"pcapng: {error}") from None


def _read_interface(order: str, body: bytes) -> _Interface:
    linktype, _, snap_length = struct.unpack_from(order + "HHI", body)
    name, resolution, offset = "", 1e-6, 0
    position = 8
    while position + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, position)
        value = body[position + 4 : position + 4 + size]
        if code == _IF_NAME:
            name = value.decode(errors="replace")
        elif code == _IF_TSRESOL and value:
            resolution = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
        elif code == _IF_TSOFFSET and size == 8:
            (offset,) = struct.unpack(order + "q", value)
        elif code == 0:
            break
        position += 4 + size + -size % 4
    return _Interface(name, linktype, snap_length, resolution, offset)


def _read_packet(order: str, body: bytes, interfaces: list[_Interface]) -> CapturedPacket:
    index, high, low, captured, original = struct.unpack_from(order + "IIIII", body)
    if 20 + captured > len(body):
        raise Malformed("pcapng: captured length")
    interface = interfaces[index]
    time = (high << 32 | low) * interface.resolution
    data = body[20 : 20 + captured]
    return CapturedPacket(index, interface.name, time, data, original, interface.linktype, interface.offset)
