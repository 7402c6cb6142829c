"""Socket addresses as Python programs write them, and the names that endpoints have.

The only place that knows of IPv4-mapped IPv6 addresses: an IPv6 socket writes `::ffff:10.0.0.1`, its endpoint 4 bytes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from operator import index
from typing import Final, SupportsIndex, TypeAlias

from catenet.stack.endpoint import ANY4, ANY6, Address, Name
from catenet.wire.address import format_address, from_v4_mapped, is_link_local, is_multicast, to_v4_mapped

__all__ = ["BROADCAST", "SocketAddress", "parse_inet", "show_name"]

InetAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
SocketAddress: TypeAlias = InetAddress | str | bytes
"""The address of a socket or its peer, as Python shows it; text or bytes for a local socket."""
Resolve: TypeAlias = Callable[[str, int], Address]
"""`resolve(host, family)` makes an address of a numeric or symbolic host, or raises gaierror."""

BROADCAST: Final = b"\xff\xff\xff\xff"
SHAPES: Final = (
    "AF_INET address must be a pair (host, port)",
    "AF_INET6 address must be a tuple (host, port[, flowinfo[, scopeid]])",
)
"""CPython's messages for a tuple of a wrong length, for IPv4 and IPv6."""


def parse_inet(family: int, address: object, resolve: Resolve, call: str) -> Name:
    """Make a Name of what a program gives to `call`; TypeError, OverflowError or gaierror as CPython raises them.

    A zone in the host is looked at and forgotten: the fourth element alone says the interface.
    """
    wide = family == socket.AF_INET6
    if not isinstance(address, tuple):
        label = "AF_INET6" if wide else "AF_INET"
        raise TypeError(f"{call}(): {label} address must be tuple, not {type(address).__name__}")
    if len(address) != 2 and not (wide and 3 <= len(address) <= 4):
        raise TypeError(SHAPES[wide])
    text = host_text(address[0])
    number = address[1]
    if number.__class__ is not int or not 0 <= number <= 0xFFFF:
        number = _port(number, call)
    flow = scope = 0
    if len(address) > 2:
        flow = index(address[2]) & 0xFFFFFFFF
        scope = index(address[3]) & 0xFFFFFFFF if len(address) > 3 else 0
    found = _find(text, family, resolve)
    if number < 0:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    if flow > 0xFFFFF:
        raise OverflowError(f"{call}(): flowinfo must be 0-1048575.")
    return Name(from_v4_mapped(found) if wide else found, number, scope)


def _port(port: SupportsIndex, call: str) -> int:
    """A port that is no plain number of its range: as one, or -1 if it will not do once the host has been found."""
    number = index(port)
    if not -1 << 31 <= number < 1 << 31:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    return number if 0 <= number <= 0xFFFF else -1


def host_text(host: object) -> str:
    """The host of an address as text; TypeError as CPython's converter raises it."""
    if isinstance(host, str):
        text = host if host.isascii() else _encoded(host)
    elif isinstance(host, bytes | bytearray):
        text = bytes(host).decode("latin-1")
    else:
        raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
    if "\0" in text:
        raise TypeError("host name must not contain null character")
    return text


def _encoded(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise TypeError("encoding of hostname failed") from None


def _find(text: str, family: int, resolve: Resolve) -> Address:
    if not text:
        return ANY4 if family == socket.AF_INET else ANY6
    if text in ("<broadcast>", "255.255.255.255"):
        if family == socket.AF_INET6:
            raise OSError("address family mismatched")
        return BROADCAST
    return resolve(text, family)


def show_name(family: int, name: Name | None) -> InetAddress:
    """The address that a program sees for an endpoint's name."""
    address, port, interface = name if name is not None else (ANY4, 0, 0)
    if family == socket.AF_INET:
        return (format_address(address if len(address) == 4 else ANY4), port)
    wide = ANY6 if address == ANY4 else to_v4_mapped(address)
    scoped = interface if is_link_local(wide) or (is_multicast(wide) and wide[1] & 0x0F <= 2) else 0
    return (format_address(wide), port, 0, scoped)
