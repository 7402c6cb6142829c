"""Socket addresses as Python programs write them, and the names that endpoints have.

The only place that knows of IPv4-mapped IPv6 addresses: an IPv6 socket writes `::ffff:10.0.0.1`, its endpoint 4 bytes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from catenet.stack.endpoint import ANY4, ANY6, Address, Name
from catenet.wire.address import format_address, from_v4_mapped, is_link_local, is_multicast, to_v4_mapped

__all__ = ["InetAddress", "parse_inet", "show_name"]

InetAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Resolve: TypeAlias = Callable[[str, int], Address]
"""`resolve(host, family)` makes an address of a numeric or symbolic host, or raises gaierror."""

BROADCAST: Final = b"\xff\xff\xff\xff"


def parse_inet(family: int, address: Any, resolve: Resolve, call: str, interface: Callable[[str], int]) -> Name:
    """Make a Name of what a program gives to `call`; TypeError, OverflowError or gaierror as CPython raises them."""
    label = "AF_INET" if family == socket.AF_INET else "AF_INET6"
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): {label} address must be tuple, not {type(address).__name__}")
    shape = "a pair (host, port)" if family == socket.AF_INET else "a tuple (host, port[, flowinfo[, scopeid]])"
    if not (len(address) == 2 or (family == socket.AF_INET6 and 2 <= len(address) <= 4)):
        raise TypeError(f"{call}(): {label} address must be {shape}")
    host, port = address[0], address[1]
    if not hasattr(port, "__index__"):
        raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
    number = port.__index__()
    if not 0 <= number <= 0xFFFF:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    if len(address) > 2 and not 0 <= address[2] <= 0xFFFFF:
        raise OverflowError(f"{call}(): flowinfo must be 0-1048575.")
    scope = address[3] if len(address) > 3 else 0
    text = _host_text(host, call)
    if family == socket.AF_INET6 and "%" in text:
        text, _, zone = text.partition("%")
        scope = interface(zone)
    found = _find(text, family, resolve)
    return Name(from_v4_mapped(found) if family == socket.AF_INET6 else found, number, scope)


def _host_text(host: object, call: str) -> str:
    if isinstance(host, str):
        return host
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("ascii")
    raise TypeError(f"{call}(): str, bytes or bytearray expected, not {type(host).__name__}")


def _find(text: str, family: int, resolve: Resolve) -> Address:
    if not text:
        return ANY4 if family == socket.AF_INET else ANY6
    if family == socket.AF_INET and text in ("<broadcast>", "255.255.255.255"):
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
