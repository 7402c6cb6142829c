"""EDNS options as bytes and as words (IANA "DNS EDNS0 Option Codes")."""

from __future__ import annotations

import struct
from typing import Final

from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.edns import Edns

__all__ = [
    "COOKIE",
    "EXPIRE",
    "EXTENDED_ERROR",
    "KEEPALIVE",
    "NAMES",
    "NSID",
    "PADDING",
    "SUBNET",
    "client_subnet",
    "option_to_text",
    "padded",
    "with_option",
]

NSID: Final = 3
SUBNET: Final = 8
EXPIRE: Final = 9
COOKIE: Final = 10
KEEPALIVE: Final = 11
PADDING: Final = 12
EXTENDED_ERROR: Final = 15
NAMES: Final = {
    1: "llq",
    2: "update-lease",
    NSID: "nsid",
    5: "dau",
    6: "dhu",
    7: "n3u",
    SUBNET: "subnet",
    EXPIRE: "expire",
    COOKIE: "cookie",
    KEEPALIVE: "keepalive",
    PADDING: "padding",
    13: "chain",
    14: "key-tag",
    EXTENDED_ERROR: "ede",
    18: "report-channel",
    19: "zoneversion",
}
_IPV4, _IPV6 = 1, 2
_ADDRESS_SIZES: Final = {_IPV4: 4, _IPV6: 16}


def with_option(edns: Edns, code: int, data: bytes) -> Edns:
    """`edns` with this option, which replaces one of the same code."""
    return edns._replace(options=(*(one for one in edns.options if one[0] != code), (code, data)))


def padded(edns: Edns, size: int, block: int) -> Edns:
    """`edns` with what pads a message of `size` bytes, as yet without padding, to a multiple of `block` (RFC 7830)."""
    return with_option(edns, PADDING, bytes(-(size + 4) % block))


def client_subnet(text: str) -> bytes:
    """Data of the option for `192.0.2.0/24` (RFC 7871 6); an address alone is all of it, `0` says nothing.

    Raises:
        ValueError: neither an address nor a prefix.
    """
    host, slash, bits = text.partition("/")
    if host == "0":
        host = "0.0.0.0"
        slash, bits = "/", bits or "0"
    address = parse_address(host)
    longest = len(address) * 8
    if slash and not (bits.isascii() and bits.isdecimal() and int(bits) <= longest):
        raise ValueError(f"{text!r}: a prefix length is from 0 to {longest}")
    length = int(bits) if slash else longest
    kept = int.from_bytes(address, "big") >> longest - length << longest - length
    data = kept.to_bytes(len(address), "big")[: (length + 7) // 8]
    return struct.pack("!HBB", _IPV4 if longest == 32 else _IPV6, length, 0) + data


def option_to_text(code: int, data: bytes) -> tuple[str, str]:
    """Name and value of an option in words; data that is not that of its code in hex."""
    name = NAMES.get(code, f"option {code}")
    known = _WORDS.get(code)
    return name, data.hex() if known is None else known(data)


def _subnet(data: bytes) -> str:
    if len(data) < 4:
        return data.hex()
    family, source, scope = struct.unpack_from("!HBB", data)
    size = _ADDRESS_SIZES.get(family)
    if size is None or len(data) - 4 > size:
        return data.hex()
    return f"{format_address(data[4:].ljust(size, bytes(1)))}/{source}/{scope}"


def _name_server(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    return f'{data.hex()} ("{text}")' if text.isprintable() and text and "\ufffd" not in text else data.hex()


def _number(data: bytes) -> str:
    return str(int.from_bytes(data, "big")) if 0 < len(data) <= 4 else data.hex()


def _keepalive(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big') / 10:g} s" if len(data) == 2 else data.hex()


def _padding(data: bytes) -> str:
    return f"{len(data)} bytes"


_WORDS: Final = {
    NSID: _name_server,
    SUBNET: _subnet,
    EXPIRE: _number,
    KEEPALIVE: _keepalive,
    PADDING: _padding,
}
