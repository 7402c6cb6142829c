"""Multicast membership: IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810) as one set of messages.

IGMP is an IP protocol of its own, MLD a part of ICMPv6, but they say the same; the version of the addresses in a
message says which it is. Times are seconds.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

from catenet.wire import icmp
from catenet.wire.checksum import checksum, is_valid
from catenet.wire.errors import Malformed

__all__ = [
    "ALLOW_NEW_SOURCES",
    "ALL_REPORT_ROUTERS",
    "BLOCK_OLD_SOURCES",
    "CHANGE_TO_EXCLUDE",
    "CHANGE_TO_INCLUDE",
    "IGMP",
    "MODE_IS_EXCLUDE",
    "MODE_IS_INCLUDE",
    "GroupRecord",
    "Leave",
    "Membership",
    "Message",
    "Query",
    "Report",
    "build_igmp",
    "build_mld",
    "parse_igmp",
    "parse_mld",
]

IGMP: Final = 2
"""IP protocol number."""

ALL_REPORT_ROUTERS: Final = {4: b"\xe0\x00\x00\x16", 6: b"\xff\x02" + bytes(13) + b"\x16"}
"""Where version 3 (MLD: 2) reports go: 224.0.0.22, ff02::16."""

MODE_IS_INCLUDE: Final = 1
MODE_IS_EXCLUDE: Final = 2
CHANGE_TO_INCLUDE: Final = 3
CHANGE_TO_EXCLUDE: Final = 4
ALLOW_NEW_SOURCES: Final = 5
BLOCK_OLD_SOURCES: Final = 6


class Query(NamedTuple):
    """A querier asks who listens: to anything (`group` unspecified), to a group, to sources of a group."""

    group: bytes
    response_time: float
    """Longest delay of an answer."""
    version: int = 3
    """3 for IGMPv3 and MLDv2, 2 for IGMPv2 and MLDv1, 1 for IGMPv1: one number for both families."""
    suppress: bool = False
    robustness: int = 0
    interval: float = 0.0
    sources: tuple[bytes, ...] = ()


class GroupRecord(NamedTuple):
    """State or change of state of one group (RFC 3376 4.2.4, RFC 3810 5.2.5)."""

    kind: int
    group: bytes
    sources: tuple[bytes, ...] = ()
    auxiliary: bytes = b""
    """Multiple of 4 bytes; the standards define none."""


class Report(NamedTuple):
    """Version 3 (MLD: 2) report."""

    records: tuple[GroupRecord, ...]


class Membership(NamedTuple):
    """Older report of one group; version 2 is IGMPv2 and MLDv1, version 1 IGMPv1."""

    group: bytes
    version: int = 2


class Leave(NamedTuple):
    """Leave group of IGMPv2, done of MLDv1."""

    group: bytes


Message: TypeAlias = Query | Report | Membership | Leave

_QUERY: Final = 0x11, 130
_MEMBERSHIP: Final = 0x16, 131
_MEMBERSHIP1: Final = 0x12
_LEAVE: Final = 0x17, 132
_REPORT: Final = 0x22, 143


def _decode_time(code: int, bits: int) -> int:
    """Floating-point code: 8 bits with 4 of mantissa (RFC 3376 4.1.1), or 16 with 12 (RFC 3810 5.1.3)."""
    if code < 1 << bits - 1:
        return code
    mantissa_bits = bits - 4
    mantissa = code & (1 << mantissa_bits) - 1 | 1 << mantissa_bits
    return mantissa << (code >> mantissa_bits & 7) + 3


def _encode_time(value: int, bits: int) -> int:
    """Code of the largest time that is no longer than `value`."""
    if value < 1 << bits - 1:
        return max(value, 0)
    mantissa_bits = bits - 4
    exponent = value.bit_length() - mantissa_bits - 1 - 3
    if exponent > 7:
        return (1 << bits) - 1
    mantissa = value >> exponent + 3 & (1 << mantissa_bits) - 1
    return 1 << bits - 1 | exponent << mantissa_bits | mantissa


def parse_igmp(data: bytes | memoryview) -> Message | None:
    """Read the payload of an IP packet of protocol 2; None for a type that is none of ours.

    Raises:
        Malformed: too short for its type, or a wrong checksum.
    """
    data = bytes(data)
    if len(data) < 8 or not is_valid(data):
        raise Malformed("igmp: length or checksum")
    kind, code, group = data[0], data[1], data[4:8]
    if kind == _QUERY[0]:
        if len(data) == 8:
            return Query(group, code / 10, 2) if code else Query(group, 10.0, 1)
        return _parse_query(data[4:], _decode_time(code, 8) / 10, 4)
    return _parse_report(kind, data[6:], group, 0)


def parse_mld(message: icmp.Other) -> Message | None:
    """Read an ICMPv6 message that `wire.icmp` has checked; None when it is not MLD; Malformed when too short."""
    body = bytes(message.body)
    if message.type not in (130, 131, 132, 143):
        return None
    if message.type == 143:
        if len(body) < 4:
            raise Malformed("mld: length")
        return _parse_report(143, body[2:], b"", 1)
    if len(body) < 20:
        raise Malformed("mld: length")
    code = int.from_bytes(body[:2], "big")
    if message.type == 130:
        if len(body) < 24:
            return Query(body[4:20], code / 1000, 2)
        return _parse_query(body[4:], _decode_time(code, 16) / 1000, 16)
    return _parse_report(message.type, body, body[4:20], 1)


def _parse_query(data: bytes, response_time: float, size: int) -> Query:
    """Group, flags and sources, from where both formats are alike."""
    if len(data) < size + 4:
        raise Malformed("multicast query: length")
    bits, code, count = struct.unpack_from("!BBH", data, size)
    start = size + 4
    if start + count * size > len(data):
        raise Malformed("multicast query: sources")
    sources = tuple(data[at : at + size] for at in range(start, start + count * size, size))
    interval = float(_decode_time(code, 8))
    return Query(data[:size], response_time, 3, bits & 8 != 0, bits & 7, interval, sources)


def _parse_report(kind: int, data: bytes, group: bytes, family: int) -> Message | None:
    """Reports of all versions; `data` begins with the number of records."""
    if kind == _MEMBERSHIP[family]:
        return Membership(group)
    if kind == _MEMBERSHIP1 and family == 0:
        return Membership(group, 1)
    if kind == _LEAVE[family]:
        return Leave(group)
    if kind != _REPORT[family]:
        return None
    size = (4, 16)[family]
    count = int.from_bytes(data[:2], "big")
    position = 2
    records: list[GroupRecord] = []
    for _ in range(count):
        if position + 4 + size > len(data):
            raise Malformed("multicast report: record")
        record, auxiliary, sources = struct.unpack_from("!BBH", data, position)
        start = position + 4 + size
        middle = start + sources * size
        position = middle + auxiliary * 4
        if position > len(data):
            raise Malformed("multicast report: sources")
        addresses = tuple(data[at : at + size] for at in range(start, middle, size))
        records.append(GroupRecord(record, data[start - size : start], addresses, data[middle:position]))
    return Report(tuple(records))


def build_igmp(message: Message) -> bytes:
    """Build an IGMP message, checksum included; ValueError for a value out of range."""
    kind, code, body = _build(message, 0)
    data = bytes((kind, min(code, 255), 0, 0)) + body
    return data[:2] + checksum(data).to_bytes(2, "big") + body


def build_mld(message: Message) -> icmp.Other:
    """Build the ICMPv6 message; ValueError for a value out of range."""
    kind, code, body = _build(message, 1)
    return icmp.Other(kind, 0, (b"" if kind == 143 else struct.pack("!HH", code, 0)) + body)


def _build(message: Message, family: int) -> tuple[int, int, bytes]:
    """(type, response code, all after the header's first 4 bytes of IGMP or 8 of MLD)."""
    try:
        if isinstance(message, Report):
            records = b"".join(map(_build_record, message.records))
            return _REPORT[family], 0, struct.pack("!HH", 0, len(message.records)) + records
        if isinstance(message, Membership):
            return _MEMBERSHIP1 if message.version == 1 else _MEMBERSHIP[family], 0, message.group
        if isinstance(message, Leave):
            return _LEAVE[family], 0, message.group
        unit, bits = ((10, 8), (1000, 16))[family]
        ticks = round(message.response_time * unit)
        if message.version < 3:
            return _QUERY[family], ticks if message.version == 2 else 0, message.group
        flags = message.suppress << 3 | message.robustness & 7
        tail = struct.pack("!BBH", flags, _encode_time(round(message.interval), 8), len(message.sources))
        return _QUERY[family], _encode_time(ticks, bits), message.group + tail + b"".join(message.sources)
    except struct.error as error:
        raise ValueError(f"multicast message: {error}") from None


def _build_record(record: GroupRecord) -> bytes:
    head = struct.pack("!BBH", record.kind, len(record.auxiliary) // 4, len(record.sources))
    return head + record.group + b"".join(record.sources) + record.auxiliary
