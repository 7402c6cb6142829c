"""The kernel's interfaces and addresses, read and set by rtnetlink (rtnetlink(7)) without the `ip` command. Linux only.

Every function opens its own socket, since each is called once or twice in a process's life. OSError carries the
kernel's errno.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from catenet.wire.address import Address

__all__ = ["IFF_UP", "Interface", "InterfaceAddress", "add_address", "interfaces", "set_link", "set_master"]

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
RTM_NEWLINK: Final = 16
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_GETADDR: Final = 22
NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_DUMP: Final = 0x300
NLM_F_CREATE: Final = 0x400
NLM_F_REPLACE: Final = 0x100
IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_MASTER: Final = 10
IFLA_TXQLEN: Final = 13
IFLA_STATS64: Final = 23
IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_BROADCAST: Final = 4
IFA_FLAGS: Final = 8
IFA_F_NODAD: Final = 0x02
IFF_UP: Final = 0x1

_HEADER: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_TX_DROPPED: Final = struct.Struct("=56xQ")
"""`tx_dropped` of struct rtnl_link_stats64 (linux/if_link.h), the eighth of its fields."""
_FAMILY: Final = {4: socket.AF_INET, 16: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address on an interface. `scope` is rtnetlink's: 0 global, 200 site, 253 link, 254 host."""

    address: Address
    prefix_length: int
    scope: int = 0
    flags: int = 0
    broadcast: Address | None = None


@dataclass(slots=True)
class Interface:
    """An interface; `flags` are the bits of netdevice(7)."""

    index: int
    name: str
    flags: int
    mtu: int
    hardware: bytes = b""
    queue: int = 0
    """Packets that its transmit queue holds."""
    dropped: int = 0
    """Packets dropped on transmission since it was made, for want of room in that queue above all."""
    addresses: list[InterfaceAddress] = field(default_factory=list)


def set_link(index: int, *, up: bool = True, mtu: int | None = None, queue: int | None = None) -> None:
    """Set an interface up or down, its MTU, and how many packets may wait in its transmit queue."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, IFF_UP if up else 0, IFF_UP)
    for kind, value in ((IFLA_MTU, mtu), (IFLA_TXQLEN, queue)):
        if value is not None:
            body += _attribute(kind, struct.pack("=I", value))
    _acknowledged(RTM_NEWLINK, 0, body)


def set_master(index: int, master: int) -> None:
    """Make an interface a port of a bridge."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0) + _attribute(IFLA_MASTER, struct.pack("=I", master))
    _acknowledged(RTM_NEWLINK, 0, body)


def add_address(index: int, address: Address, prefix_length: int) -> None:
    """Give an interface an address, usable at once (IPv6 without duplicate address detection)."""
    body = _ADDRESS.pack(_FAMILY[len(address)], prefix_length, IFA_F_NODAD, 0, index)
    body += _attribute(IFA_LOCAL, address) + _attribute(IFA_ADDRESS, address)
    _acknowledged(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)


def interfaces() -> list[Interface]:
    """Every interface of this network namespace with its addresses, by index."""
    found: dict[int, Interface] = {}
    for body in _dump(RTM_GETLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, _, index, flags, _ = _LINK.unpack_from(body)
        attributes = dict(_attributes(body, _LINK.size))
        name = attributes[IFLA_IFNAME].rstrip(b"\0").decode(errors="replace")
        (mtu,) = struct.unpack("=I", attributes[IFLA_MTU])
        (queue,) = struct.unpack("=I", attributes.get(IFLA_TXQLEN, bytes(4)))
        dropped = _TX_DROPPED.unpack_from(attributes[IFLA_STATS64])[0] if IFLA_STATS64 in attributes else 0
        found[index] = Interface(index, name, flags, mtu, attributes.get(IFLA_ADDRESS, b""), queue, dropped)
    for body in _dump(RTM_GETADDR, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        family, length, flags, scope, index = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body, _ADDRESS.size))
        # On a point-to-point interface IFA_ADDRESS is the peer; IFA_LOCAL, where there is one, is ours.
        address = attributes.get(IFA_LOCAL, attributes.get(IFA_ADDRESS))
        if address is None or family not in _FAMILY.values() or index not in found:
            continue
        if IFA_FLAGS in attributes:
            (flags,) = struct.unpack("=I", attributes[IFA_FLAGS])
        found[index].addresses.append(
            InterfaceAddress(address, length, scope, flags, attributes.get(IFA_BROADCAST) or None)
        )
    return [found[index] for index in sorted(found)]


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(body: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, position)
        if length < 4:
            return
        yield kind & 0x3FFF, body[position + 4 : position + length]
        position += length + -length % 4


def _acknowledged(kind: int, flags: int, body: bytes) -> None:
    """Send a request and wait for its acknowledgement; OSError when it failed."""
    for _ in _exchange(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body):
        pass


def _dump(kind: int, body: bytes) -> Iterator[bytes]:
    return _exchange(kind, NLM_F_REQUEST | NLM_F_DUMP, body)


def _exchange(kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Bodies of the answers to a request, until it is done."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.settimeout(5)
        channel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        while True:
            data = channel.recv(1 << 17)
            position = 0
            while position < len(data):
                length, answer, _, _, _ = _HEADER.unpack_from(data, position)
                content = data[position + _HEADER.size : position + length]
                position += length + -length % 4
                if answer == NLMSG_DONE:
                    return
                if answer == NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", content)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                yield content
