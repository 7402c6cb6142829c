"""Sockets for protocols that speak to all hosts of a link: one for each interface and IP version, at a well-known port.

Others on the same host may use the same port; each socket hears what was sent to its own groups on its own interface.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["MulticastInterface", "Network", "find_interfaces", "is_on_link", "open_group_socket"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# <netinet/in.h> and <linux/in6.h>: a socket gets what was sent to its own groups only, not to those of all sockets.
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29


@dataclass(frozen=True, slots=True)
class MulticastInterface:
    """An interface with its addresses, as bytes, and their networks."""

    name: str
    index: int
    addresses: tuple[bytes, ...]
    networks: tuple[Network, ...]

    def has(self, family: int) -> bool:
        """Whether it has an address of this family."""
        return any(len(address) == (4 if family == socket.AF_INET else 16) for address in self.addresses)


def find_interfaces(names: Sequence[str] | None = None) -> list[MulticastInterface]:
    """The interfaces of these names, or all that are not for this machine alone.

    Raises:
        ValueError: a name is none of an interface.
        OSError: there is no interface with an address.
    """
    import ifaddr

    found = []
    adapters = list(ifaddr.get_adapters())
    known = [str(adapter.name) for adapter in adapters]
    for name in names or ():
        if name not in known:
            raise ValueError(f"no interface {name!r}; there are {', '.join(sorted(known))}")
    for adapter in adapters:
        # A list of Windows' addresses has scopes; those of IPv6 are a tuple.
        texts = [(ip.ip if isinstance(ip.ip, str) else ip.ip[0], ip.network_prefix) for ip in adapter.ips]
        addresses = [(ipaddress.ip_interface(f"{text.partition('%')[0]}/{prefix}")) for text, prefix in texts]
        is_wanted = adapter.name in names if names else not all(one.ip.is_loopback for one in addresses)
        if not addresses or not is_wanted:
            continue
        found.append(
            MulticastInterface(
                str(adapter.name),
                adapter.index if adapter.index is not None else socket.if_nametoindex(adapter.name),
                tuple(one.ip.packed for one in addresses),
                tuple(one.network for one in addresses),
            )
        )
    if not found:
        raise OSError("no interface has an address")
    return found


def is_on_link(host: str, networks: Collection[Network]) -> bool:
    """Whether an address, as text, is of the link that has these networks."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_link_local or any(address in network for network in networks)


def open_group_socket(
    interface: MulticastInterface, family: int, groups: Sequence[str], port: int, hops: int
) -> socket.socket:
    """A socket that hears the groups on one interface, and sends there; port 0 is one of its own. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sys.platform != "linux" and hasattr(socket, "SO_REUSEPORT"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        (_prepare4 if family == socket.AF_INET else _prepare6)(sock, interface.index, hops)
        for group in groups:
            (_join4 if family == socket.AF_INET else _join6)(sock, interface.index, group)
        sock.bind(("", port))
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare4(sock: socket.socket, index: int, hops: int) -> None:
    _hear_own_groups(sock, socket.IPPROTO_IP, _IP_MULTICAST_ALL)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, hops)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)


def _join4(sock: socket.socket, index: int, group: str) -> None:
    member = struct.pack("@4s4si", socket.inet_aton(group), bytes(4), index)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)


def _prepare6(sock: socket.socket, index: int, hops: int) -> None:
    _hear_own_groups(sock, socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, hops)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)


def _join6(sock: socket.socket, index: int, group: str) -> None:
    member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)


def _hear_own_groups(sock: socket.socket, level: int, option: int) -> None:
    """Where this is not known, messages of another interface are told by their source only."""
    if sys.platform == "linux":
        try:
            sock.setsockopt(level, option, 0)
        except OSError:
            pass
