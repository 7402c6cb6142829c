"""Packets of the Network Time Protocol (RFC 5905 section 7.3), with extension fields (RFC 7822) and MACs.

`Packet.build` makes the same octets of whatever `parse` has read. Extension fields may follow the header, and a MAC.
Nothing tells a MAC from an extension field but its size: what is left is a MAC when it is no longer than the longest
one, 24 octets, and so the last extension field of a packet without a MAC has at least 28 (RFC 7822 section 3). Packets
of versions before 4 have none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from catenet.ntp.errors import Malformed

__all__ = [
    "HEADER_LENGTH",
    "MAX_PACKET",
    "UNSYNCHRONIZED",
    "VERSION",
    "Extension",
    "Mac",
    "Mode",
    "Packet",
    "parse",
]

VERSION: Final = 4
HEADER_LENGTH: Final = 48
UNSYNCHRONIZED: Final = 3
"""The leap indicator of a clock that is not synchronized."""
MAX_PACKET: Final = 1472
"""Octets of the longest packet that is taken: what an Ethernet frame holds with UDP over IPv4."""

_HEADER: Final = struct.Struct(">BBbbII4sQQQQ")
_FIELD: Final = struct.Struct(">HH")
_KEY_ID: Final = struct.Struct(">I")
_MAC_LENGTHS: Final = (4, 20, 24)
"""A key identifier alone (crypto-NAK), with 16 octets (MD5, AES-CMAC), with 20 (SHA-1)."""
_LONGEST_MAC: Final = 24
_SHORTEST_FIELD: Final = 16
_SHORTEST_LAST_FIELD: Final = 28
_LOWEST_VERSION: Final = 1


class Mode(IntEnum):
    """What a packet is (RFC 5905 figure 10)."""

    RESERVED = 0
    SYMMETRIC_ACTIVE = 1
    SYMMETRIC_PASSIVE = 2
    CLIENT = 3
    SERVER = 4
    BROADCAST = 5
    CONTROL = 6
    PRIVATE = 7


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension field: its type, and its body, which padding makes a multiple of four octets."""

    type: int
    body: bytes

    def build(self, least: int = _SHORTEST_FIELD) -> bytes:
        """Return the octets, padded with zeros to `least` and to a multiple of four. Raises `ValueError`."""
        length = max(least, (4 + len(self.body) + 3) & ~3)
        if not (0 <= self.type <= 0xFFFF and length <= 0xFFFF):
            raise ValueError(f"an extension field of type {self.type} with {len(self.body)} octets cannot be sent")
        return _FIELD.pack(self.type, length) + self.body.ljust(length - 4, b"\0")


@dataclass(frozen=True, slots=True)
class Mac:
    """A message authentication code: which key, and the digest; without one it is a crypto-NAK."""

    key_id: int
    digest: bytes = b""

    def build(self) -> bytes:
        """Return the octets. Raises `ValueError`."""
        if 4 + len(self.digest) not in _MAC_LENGTHS or not 0 <= self.key_id <= 0xFFFFFFFF:
            raise ValueError(f"a MAC of {len(self.digest)} octets by the key {self.key_id} cannot be sent")
        return _KEY_ID.pack(self.key_id) + self.digest


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of RFC 5905 figure 8.

    Attributes:
        mode: what it is.
        version: 1 to 4; from 4 on there are extension fields.
        leap: 0 none, 1 the last minute of this month has 61 seconds, 2 it has 59, 3 the clock is not synchronized.
        stratum: 0 unspecified or a kiss-o'-death, 1 has a reference clock, up to 15; 16 is not synchronized.
        poll: log2 of the interval between packets, in seconds.
        precision: log2 of the precision of the sender's clock, in seconds.
        root_delay, root_dispersion: to the reference clock, in 2**-16 s.
        reference_id: which reference clock or server; of a kiss-o'-death its code.
        reference, origin, receive, transmit: timestamps (`catenet.ntp.timestamp`).
    """

    mode: int = Mode.CLIENT
    version: int = VERSION
    leap: int = 0
    stratum: int = 0
    poll: int = 0
    precision: int = 0
    root_delay: int = 0
    root_dispersion: int = 0
    reference_id: bytes = b"\0\0\0\0"
    reference: int = 0
    origin: int = 0
    receive: int = 0
    transmit: int = 0
    extensions: tuple[Extension, ...] = ()
    mac: Mac | None = None

    def build(self) -> bytes:
        """Return the octets. Raises `ValueError` for what no packet can say."""
        try:
            header = _HEADER.pack(
                self.leap << 6 | self.version << 3 | self.mode,
                self.stratum,
                self.poll,
                self.precision,
                self.root_delay,
                self.root_dispersion,
                self.reference_id,
                self.reference,
                self.origin,
                self.receive,
                self.transmit,
            )
        except struct.error as error:
            raise ValueError(f"a field of the packet is out of its range: {error}") from None
        if self.extensions and self.version < VERSION:
            raise ValueError(f"version {self.version} has no extension fields")
        mac = b"" if self.mac is None else self.mac.build()
        last = len(self.extensions) - 1
        fields = [
            one.build(max(_SHORTEST_FIELD, _SHORTEST_LAST_FIELD - len(mac)) if at == last else _SHORTEST_FIELD)
            for at, one in enumerate(self.extensions)
        ]
        return b"".join((header, *fields, mac))

    @property
    def kiss_code(self) -> str:
        """The code of a kiss-o'-death (RFC 5905 section 7.4), or nothing."""
        if self.stratum or self.mode not in (Mode.SERVER, Mode.BROADCAST):
            return ""
        return self.reference_id.rstrip(b"\0").decode("ascii", "backslashreplace")


def parse(data: bytes) -> Packet:
    """Return the packet that the octets are. Raises `catenet.ntp.errors.Malformed`."""
    if len(data) < HEADER_LENGTH:
        raise Malformed(f"{len(data)} octets are no packet")
    if len(data) > MAX_PACKET:
        raise Malformed(f"a packet of {len(data)} octets is too long")
    first, stratum, poll, precision, delay, dispersion, identity, reference, origin, receive, transmit = (
        _HEADER.unpack_from(data)
    )
    version = first >> 3 & 7
    if not _LOWEST_VERSION <= version <= VERSION:
        raise Malformed(f"version {version} is none that is known")
    extensions, mac = _after_header(data)
    if extensions and version < VERSION:
        raise Malformed(f"an extension field in a packet of version {version}")
    return Packet(
        mode=first & 7,
        version=version,
        leap=first >> 6,
        stratum=stratum,
        poll=poll,
        precision=precision,
        root_delay=delay,
        root_dispersion=dispersion,
        reference_id=identity,
        reference=reference,
        origin=origin,
        receive=receive,
        transmit=transmit,
        extensions=extensions,
        mac=mac,
    )


def _after_header(data: bytes) -> tuple[tuple[Extension, ...], Mac | None]:
    """Return the extension fields and the MAC (RFC 7822 section 3)."""
    at, end = HEADER_LENGTH, len(data)
    extensions: list[Extension] = []
    while end - at > _LONGEST_MAC:
        kind, length = _FIELD.unpack_from(data, at)
        if length < _SHORTEST_FIELD or length % 4 or at + length > end:
            raise Malformed(f"an extension field of {length} octets at octet {at}")
        extensions.append(Extension(kind, data[at + 4 : at + length]))
        at += length
    if at == end:
        return tuple(extensions), None
    if end - at not in _MAC_LENGTHS:
        raise Malformed(f"{end - at} octets at the end are no MAC")
    return tuple(extensions), Mac(_KEY_ID.unpack_from(data, at)[0], data[at + 4 :])
