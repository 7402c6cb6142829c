"""DHCPv6 messages between clients and servers (RFC 8415), with the options for name servers of RFC 3646."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from catenet.wire.errors import Malformed

__all__ = [
    "ALL_SERVERS",
    "CLIENT_PORT",
    "SERVER_PORT",
    "Association",
    "Dhcp6Message",
    "LeasedAddress",
    "MessageType",
    "OptionCode",
    "Status",
    "StatusCode",
    "build",
    "build_association",
    "build_status",
    "duid_en",
    "duid_ll",
    "duid_llt",
    "duid_uuid",
    "parse",
    "parse_association",
    "parse_status",
]

CLIENT_PORT: Final = 546
SERVER_PORT: Final = 547
ALL_SERVERS: Final = b"\xff\x02" + bytes(11) + b"\x01\x00\x02"
"""All_DHCP_Relay_Agents_and_Servers, ff02::1:2 (7.1)."""

_MOST_ADDRESSES: Final = 16
"""Addresses that are read of one association or option: no server gives so many."""
_DUID_MOST: Final = 130
"""Bytes of a DUID with its type (11.1)."""


class MessageType:
    """Types of messages (7.3) but those of relays."""

    SOLICIT: Final = 1
    ADVERTISE: Final = 2
    REQUEST: Final = 3
    CONFIRM: Final = 4
    RENEW: Final = 5
    REBIND: Final = 6
    REPLY: Final = 7
    RELEASE: Final = 8
    DECLINE: Final = 9
    RECONFIGURE: Final = 10
    INFORMATION_REQUEST: Final = 11


class OptionCode:
    """Codes of options (21, RFC 3646)."""

    CLIENT_ID: Final = 1
    SERVER_ID: Final = 2
    IA_NA: Final = 3
    IA_ADDRESS: Final = 5
    OPTION_REQUEST: Final = 6
    PREFERENCE: Final = 7
    ELAPSED_TIME: Final = 8
    STATUS: Final = 13
    RAPID_COMMIT: Final = 14
    DNS_SERVERS: Final = 23
    DOMAIN_LIST: Final = 24
    INFORMATION_REFRESH: Final = 32
    SOL_MAX_RT: Final = 82
    INF_MAX_RT: Final = 83


class StatusCode:
    """Codes of the status option (21.13)."""

    SUCCESS: Final = 0
    UNSPEC_FAIL: Final = 1
    NO_ADDRESSES: Final = 2
    NO_BINDING: Final = 3
    NOT_ON_LINK: Final = 4


class Status(NamedTuple):
    """What came of a request, and a text for people."""

    code: int
    text: str = ""


class LeasedAddress(NamedTuple):
    """An address of an association, its lifetimes in seconds: 2**32-1 for ever, 0 for an end (21.6)."""

    address: bytes
    preferred: int = 0
    valid: int = 0


class Association(NamedTuple):
    """An identity association for addresses that are not temporary (21.4); times in seconds."""

    identity: int
    renew: int = 0
    rebind: int = 0
    addresses: tuple[LeasedAddress, ...] = ()
    status: Status | None = None


class Dhcp6Message(NamedTuple):
    """One message; options in the order of the wire, of which there may be several of one code."""

    type: int
    transaction: int
    options: tuple[tuple[int, bytes], ...] = ()

    def find(self, code: int) -> bytes | None:
        """Value of the first option with this code, None without one."""
        return next((value for each, value in self.options if each == code), None)

    def duid(self, code: int) -> bytes | None:
        """A DUID of `CLIENT_ID` or `SERVER_ID`; None when it is absent or of a length that none has."""
        value = self.find(code)
        return value if value is not None and 2 < len(value) <= _DUID_MOST else None

    def number(self, code: int, size: int) -> int | None:
        """A number of `size` bytes; None when it is absent or of another length."""
        value = self.find(code)
        return int.from_bytes(value, "big") if value is not None and len(value) == size else None

    def addresses(self, code: int) -> tuple[bytes, ...]:
        """Addresses in an option; none when it is absent or of a broken length."""
        value = self.find(code) or b""
        if len(value) % 16:
            return ()
        return tuple(value[at : at + 16] for at in range(0, min(len(value), 16 * _MOST_ADDRESSES), 16))


_OPTION: Final = struct.Struct("!HH")
_ASSOCIATION: Final = struct.Struct("!III")
_ADDRESS: Final = struct.Struct("!16sII")


def parse(data: bytes | memoryview) -> Dhcp6Message:
    """Read a message.

    Raises:
        Malformed: shorter than its head, or an option beyond the end.
    """
    data = bytes(data)
    if len(data) < 4:
        raise Malformed("dhcp6: message too short")
    return Dhcp6Message(data[0], int.from_bytes(data[1:4], "big"), _parse_options(data[4:]))


def _parse_options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    options = []
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise Malformed("dhcp6: option header")
        code, size = _OPTION.unpack_from(data, at)
        at += 4 + size
        if at > len(data):
            raise Malformed("dhcp6: option length")
        options.append((code, data[at - size : at]))
    return tuple(options)


def build(message: Dhcp6Message) -> bytes:
    """Build a message; ValueError for a value out of range."""
    try:
        head = message.type.to_bytes(1, "big") + message.transaction.to_bytes(3, "big")
    except OverflowError as error:
        raise ValueError(f"dhcp6 message: {error}") from None
    return head + _build_options(message.options)


def _build_options(options: tuple[tuple[int, bytes], ...]) -> bytes:
    try:
        return b"".join(_OPTION.pack(code, len(value)) + value for code, value in options)
    except struct.error as error:
        raise ValueError(f"dhcp6 option: {error}") from None


def parse_association(value: bytes) -> Association:
    """Read the value of an IA_NA; addresses after the sixteenth are ignored.

    Raises:
        Malformed: too short, or an option in it beyond its end.
    """
    if len(value) < _ASSOCIATION.size:
        raise Malformed("dhcp6: association")
    addresses: list[LeasedAddress] = []
    status = None
    for code, inner in _parse_options(value[_ASSOCIATION.size :]):
        if code == OptionCode.IA_ADDRESS and len(inner) >= _ADDRESS.size and len(addresses) < _MOST_ADDRESSES:
            addresses.append(LeasedAddress(*_ADDRESS.unpack_from(inner)))
        elif code == OptionCode.STATUS and status is None:
            status = parse_status(inner)
    identity, renew, rebind = _ASSOCIATION.unpack_from(value)
    return Association(identity, renew, rebind, tuple(addresses), status)


def build_association(association: Association) -> bytes:
    """Build the value of an IA_NA; ValueError for a value out of range."""
    try:
        head = _ASSOCIATION.pack(association.identity, association.renew, association.rebind)
        options = [(OptionCode.IA_ADDRESS, _ADDRESS.pack(*each)) for each in association.addresses]
    except struct.error as error:
        raise ValueError(f"dhcp6 association: {error}") from None
    if association.status is not None:
        options.append((OptionCode.STATUS, build_status(association.status)))
    return head + _build_options(tuple(options))


def parse_status(value: bytes) -> Status:
    """Read the value of a status option; Malformed when it is too short. The text may hold anything."""
    if len(value) < 2:
        raise Malformed("dhcp6: status")
    return Status(int.from_bytes(value[:2], "big"), value[2:].decode("utf-8", "replace"))


def build_status(status: Status) -> bytes:
    """Build the value of a status option."""
    return status.code.to_bytes(2, "big") + status.text.encode()


# DUIDs (RFC 8415 11). Whoever gets one compares it and looks no further.


def duid_llt(link: bytes, time: int, hardware: int = 1) -> bytes:
    """DUID-LLT: of a link-layer address and the seconds since 2000-01-01 at which it was made (11.2)."""
    return struct.pack("!HHI", 1, hardware, time % (1 << 32)) + link


def duid_en(enterprise: int, identifier: bytes) -> bytes:
    """DUID-EN: given by the vendor of a device (11.3)."""
    return struct.pack("!HI", 2, enterprise) + identifier


def duid_ll(link: bytes, hardware: int = 1) -> bytes:
    """DUID-LL: of a link-layer address that stays with the device (11.4)."""
    return struct.pack("!HH", 3, hardware) + link


def duid_uuid(identifier: bytes) -> bytes:
    """DUID-UUID: of 16 bytes (11.5, RFC 6355)."""
    return struct.pack("!H", 4) + identifier
