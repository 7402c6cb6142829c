"""DNS64 (RFC 6147): IPv6 addresses for names that have IPv4 addresses only, for networks with NAT64."""

from __future__ import annotations

from typing import Final

from catenet.dns.resolver.config import Network
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import labels, name_from_text
from catenet.wire.dns.numbers import AAAA

__all__ = ["has_addresses", "ipv4_reverse_name", "synthesize"]

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""Addresses of IPv4 as IPv6 has them, which are as good as none (RFC 6147 5.1.4)."""
_RESERVED: Final = 8
"""Byte of an address with an IPv4 address in it that is always zero (RFC 6052 2.2)."""
_IP6_ARPA: Final = name_from_text("ip6.arpa.")


def _positions(bits: int) -> list[int]:
    """Which bytes of an address hold the four of IPv4, behind a prefix of so many bits."""
    found: list[int] = []
    at = bits // 8
    while len(found) < 4:
        if at != _RESERVED or bits == 96:
            found.append(at)
        at += 1
    return found


def has_addresses(answer: list[RRset]) -> bool:
    """Whether there is an IPv6 address in an answer that is one."""
    return any(not data.startswith(_MAPPED) for one in answer if one.type == AAAA for data in one.data)


def synthesize(addresses: RRset, prefix: Network, ttl: int) -> RRset:
    """The IPv6 addresses of IPv4 addresses (RFC 6147 5.1.7)."""
    head, bits = prefix
    made = []
    for data in addresses.data:
        address = bytearray(head[: bits // 8] + bytes(16 - bits // 8))
        for at, byte in zip(_positions(bits), data, strict=True):
            address[at] = byte
        made.append(bytes(address))
    return RRset(addresses.name, AAAA, min(ttl, addresses.ttl), tuple(made))


def ipv4_reverse_name(name: bytes, prefix: Network) -> bytes | None:
    """The name under in-addr.arpa. of the IPv4 address in a name under ip6.arpa.; None without one (RFC 6147 5.3.1)."""
    digits = labels(name)[:-2]
    if not name.endswith(_IP6_ARPA) or len(digits) != 32:
        return None
    try:
        address = bytes.fromhex(b"".join(reversed(digits)).decode("ascii"))
    except ValueError:
        return None
    head, bits = prefix
    if address[: bits // 8] != head[: bits // 8]:
        return None
    return name_from_text(".".join(str(address[at]) for at in reversed(_positions(bits))) + ".in-addr.arpa.")
