"""IP addresses of both versions as `bytes` of length 4 or 16, and their text.

There is no address class: the length is the version, `bytes` hash and compare at C speed, and a slice of a header is an
address already.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "ALL_NODES",
    "ALL_NODES_LINK_LOCAL",
    "ALL_ROUTERS_LINK_LOCAL",
    "ANY",
    "BROADCAST",
    "LINK_LOCAL_PREFIXES",
    "LOOPBACK",
    "Address",
    "Prefix",
    "common_prefix_length",
    "format_address",
    "from_v4_mapped",
    "is_link_local",
    "is_loopback",
    "is_martian_source",
    "is_multicast",
    "is_reserved",
    "is_unspecified",
    "is_v4_mapped",
    "mask",
    "parse_address",
    "parse_interface",
    "scope",
    "solicited_node",
    "to_v4_mapped",
    "why_no_host",
]

Address: TypeAlias = bytes

ANY: Final = {4: bytes(4), 6: bytes(16)}
LOOPBACK: Final = {4: b"\x7f\x00\x00\x01", 6: bytes(15) + b"\x01"}
BROADCAST: Final = b"\xff\xff\xff\xff"
ALL_NODES: Final = {4: b"\xe0\x00\x00\x01", 6: b"\xff\x02" + bytes(13) + b"\x01"}
"""224.0.0.1 (RFC 1112) and ff02::1 (RFC 4291 2.7.1)."""
ALL_NODES_LINK_LOCAL: Final = ALL_NODES[6]
ALL_ROUTERS_LINK_LOCAL: Final = b"\xff\x02" + bytes(13) + b"\x02"

_MAPPED: Final = bytes(10) + b"\xff\xff"
_SOLICITED: Final = b"\xff\x02" + bytes(9) + b"\x01\xff"


class Prefix(NamedTuple):
    """A network: `address` with all bits after the first `length` zero (RFC 4632, RFC 4291 2.3)."""

    address: Address
    length: int

    @classmethod
    def of(cls, address: Address, length: int) -> Prefix:
        """Make the prefix that `address` lies in; ValueError when the length does not fit the version."""
        return cls(mask(address, length), length)

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Read "10.0.0.0/24" or "fd00::/64"; bits after the prefix are cleared; ValueError."""
        return cls.of(*parse_interface(text))

    def __contains__(self, address: object) -> bool:
        return (
            isinstance(address, bytes)
            and len(address) == len(self.address)
            and mask(address, self.length) == self.address
        )

    def __str__(self) -> str:
        return f"{format_address(self.address)}/{self.length}"

    def broadcast(self) -> Address | None:
        """Directed broadcast address; None for IPv6, and for /31 and /32, which have none (RFC 3021)."""
        if len(self.address) != 4 or self.length > 30:
            return None
        host = (1 << 32 - self.length) - 1
        return (int.from_bytes(self.address, "big") | host).to_bytes(4, "big")

    def host(self, number: int) -> Address:
        """Address `number` of this network, counted from its first; ValueError when it lies outside."""
        bits = len(self.address) * 8 - self.length
        if not 0 <= number < 1 << bits:
            raise ValueError(f"{self} has no address number {number}")
        return (int.from_bytes(self.address, "big") + number).to_bytes(len(self.address), "big")


def mask(address: Address, length: int) -> Address:
    """Return `address` with all bits after the first `length` cleared; ValueError when `length` does not fit."""
    size = len(address)
    spare = size * 8 - length
    if not 0 <= spare <= size * 8:
        raise ValueError(f"prefix length {length} is not between 0 and {size * 8}")
    return (int.from_bytes(address, "big") >> spare << spare).to_bytes(size, "big")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """Read an IPv4 dotted quad or an IPv6 address without a zone (RFC 4291 2.2); ValueError that names the text."""
    try:
        return ipaddress.ip_address(text if "%" not in text else "").packed
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None


@lru_cache(maxsize=4096)
def format_address(address: Address) -> str:
    """Text of an address in the canonical form (RFC 5952), IPv4-mapped ones with a dotted quad (its section 5)."""
    if len(address) == 4:
        return "{}.{}.{}.{}".format(*address)
    if address[:12] == _MAPPED:
        return "::ffff:" + format_address(address[12:])
    return str(ipaddress.IPv6Address(address))


def parse_interface(text: str) -> tuple[Address, int]:
    """Read "10.0.0.2/24" as (address, prefix length); without a slash the length is that of the address; ValueError."""
    address_text, slash, length_text = text.partition("/")
    address = parse_address(address_text)
    if not slash:
        return address, len(address) * 8
    if not length_text.isascii() or not length_text.isdigit() or int(length_text) > len(address) * 8:
        raise ValueError(f"{text!r}: the prefix length is not between 0 and {len(address) * 8}")
    return address, int(length_text)


def why_no_host(address: Address, length: int) -> str:
    """Say why no host can have an address with a prefix of this length; empty when one can.

    Sources: RFC 1122 section 3.2.1.3; RFC 3021 for prefixes of 31 bits; RFC 4291 sections 2.5 and 2.7.
    """
    if is_unspecified(address) or (len(address) == 4 and not address[0]):
        return "means no host"
    if is_loopback(address):
        return "is every host's own"
    if is_multicast(address):
        return "is for groups (multicast)"
    if address == BROADCAST:
        return "is for all hosts (broadcast)"
    if is_v4_mapped(address):
        return "is an IPv4 address"
    if len(address) == 4 and length < 31:
        prefix = Prefix.of(address, length)
        if address == prefix.address:
            return f"is the network {prefix} itself"
        if address == prefix.broadcast():
            return f"is for all hosts of the network {prefix} (broadcast)"
    return ""


def is_unspecified(address: Address) -> bool:
    """Whether the address is 0.0.0.0 or ::."""
    return not any(address)


def is_loopback(address: Address) -> bool:
    """Whether the address is in 127.0.0.0/8 (RFC 1122 3.2.1.3) or ::1."""
    return address[0] == 127 if len(address) == 4 else address == LOOPBACK[6]


def is_multicast(address: Address) -> bool:
    """Whether the address is in 224.0.0.0/4 or ff00::/8."""
    return 224 <= address[0] < 240 if len(address) == 4 else address[0] == 0xFF


def is_link_local(address: Address) -> bool:
    """Whether the address is unicast in 169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291 2.5.6)."""
    if len(address) == 4:
        return address[0] == 169 and address[1] == 254
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_reserved(address: Address) -> bool:
    """Whether the address is in 240.0.0.0/4, "class E", of which the broadcast address is no part (RFC 1112 4)."""
    return len(address) == 4 and address[0] >= 240 and address != BROADCAST


def is_martian_source(address: Address) -> bool:
    """Whether no packet may come from this address: multicast, broadcast, class E (RFC 1122 3.2.1.3, RFC 4291 2.7)."""
    return address[0] >= 224 if len(address) == 4 else address[0] == 0xFF


def is_v4_mapped(address: Address) -> bool:
    """Whether the address is in ::ffff:0:0/96 (RFC 4291 2.5.5.2)."""
    return len(address) == 16 and address[:12] == _MAPPED


def to_v4_mapped(address: Address) -> Address:
    """Return ::ffff:a.b.c.d of a 4-byte address; IPv6 addresses as they are."""
    return _MAPPED + address if len(address) == 4 else address


def from_v4_mapped(address: Address) -> Address:
    """Return the 4 bytes in an IPv4-mapped address; others as they are."""
    return address[12:] if is_v4_mapped(address) else address


def solicited_node(address: Address) -> Address:
    """Return ff02::1:ffXX:XXXX of an IPv6 address (RFC 4291 2.7.1)."""
    return _SOLICITED + address[13:]


LINK_LOCAL_PREFIXES: Final = {4: Prefix(b"\xa9\xfe\x00\x00", 16), 6: Prefix(b"\xfe\x80" + bytes(14), 64)}

_LINK_SCOPE: Final = 2
_SITE_SCOPE: Final = 5
_GLOBAL_SCOPE: Final = 14


def scope(address: Address) -> int:
    """Scope as a multicast scope number: 2 link-local, 5 site-local, 14 global (RFC 6724 3.1, 3.2; RFC 7346)."""
    if len(address) == 16:
        if address[0] == 0xFF:
            return address[1] & 0x0F
        if is_v4_mapped(address):
            return scope(address[12:])
        if address == LOOPBACK[6] or is_link_local(address):
            return _LINK_SCOPE
        return _SITE_SCOPE if address[0] == 0xFE and address[1] & 0xC0 == 0xC0 else _GLOBAL_SCOPE
    if address[0] == 224 and address[1] == 0 and address[2] == 0:
        return _LINK_SCOPE
    return _LINK_SCOPE if address[0] == 127 or is_link_local(address) else _GLOBAL_SCOPE


def common_prefix_length(one: Address, other: Address) -> int:
    """Return how many leading bits two addresses of the same version share."""
    difference = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return len(one) * 8 - difference.bit_length()
