"""`struct ifreq`: what ioctl(2) tells of one interface (netdevice(7))."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.posix.errors import os_error
from catenet.posix.structures import INT
from catenet.wire.address import Prefix, mask

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel
    from catenet.stack.interface import Interface, InterfaceAddress

__all__ = ["interface_request"]

NAME_SIZE: Final = 16
SIZE: Final = 40

SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK = 0x8910, 0x8913, 0x8915, 0x8919, 0x891B
SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN = 0x8921, 0x8927, 0x8933, 0x8942

UP, BROADCAST, LOOPBACK, RUNNING, MULTICAST = 0x1, 0x2, 0x8, 0x40, 0x1000
ARPHRD_ETHER, ARPHRD_LOOPBACK, ARPHRD_NONE = 1, 772, 0xFFFE


def interface_request(kernel: Kernel, family: int, request: int, argument: bytes) -> bytes | None:
    """Answer a request, 40 bytes; None when it is none about an interface. ENODEV, EADDRNOTAVAIL."""
    if request == SIOCGIFNAME:
        index = INT.unpack_from(argument, NAME_SIZE)[0]
        found = next((each for each in kernel.interfaces() if each.index == index), None)
        if found is None:
            raise os_error(errno.ENODEV)
        return found.name.encode().ljust(NAME_SIZE, b"\0") + argument[NAME_SIZE:]
    if request not in _ANSWERS and request not in _ADDRESSES:
        return None
    if request in _ADDRESSES and family != socket.AF_INET:
        return None
    name = argument[:NAME_SIZE].split(b"\0")[0].decode(errors="replace")
    interface = next((each for each in kernel.interfaces() if each.name == name), None)
    if interface is None:
        raise os_error(errno.ENODEV)
    if request in _ADDRESSES:
        entry = next((entry for entry in interface.addresses if len(entry.address) == 4), None)
        if entry is None:
            raise os_error(errno.EADDRNOTAVAIL)
        answer = struct.pack("=HH4s", socket.AF_INET, 0, _ADDRESSES[request](entry))
    else:
        answer = _ANSWERS[request](interface)
    return (argument[:NAME_SIZE] + answer).ljust(SIZE, b"\0")


def _broadcast(entry: InterfaceAddress) -> bytes:
    return Prefix.of(entry.address, entry.length).broadcast() or bytes(4)


def _flags(interface: Interface) -> bytes:
    flags = MULTICAST | BROADCAST if not interface.loopback else LOOPBACK
    return struct.pack("=H", flags | (UP | RUNNING if interface.up else 0))


def _hardware(interface: Interface) -> bytes:
    kind = ARPHRD_LOOPBACK if interface.loopback else ARPHRD_ETHER if interface.link_address else ARPHRD_NONE
    return struct.pack("=H6s", kind, interface.link_address)


_ADDRESSES: Final[dict[int, Callable[[InterfaceAddress], bytes]]] = {
    SIOCGIFADDR: lambda entry: entry.address,
    SIOCGIFNETMASK: lambda entry: mask(b"\xff" * 4, entry.length),
    SIOCGIFBRDADDR: _broadcast,
}
_ANSWERS: Final[dict[int, Callable[[Interface], bytes]]] = {
    SIOCGIFFLAGS: _flags,
    SIOCGIFMTU: lambda interface: INT.pack(interface.mtu),
    SIOCGIFHWADDR: _hardware,
    SIOCGIFINDEX: lambda interface: INT.pack(interface.index),
    SIOCGIFTXQLEN: lambda interface: INT.pack(1000),
}
