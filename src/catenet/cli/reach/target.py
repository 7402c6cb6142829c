"""Where probes go: an address of a name, and what its family calls the same things."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Family", "Target", "path_mtu", "resolve"]

DISCARD: Final = 9
"""A port to connect to: nothing is sent."""


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one version of IP (linux/in.h, linux/in6.h)."""

    version: int
    family: int
    level: int
    hop_limit: int
    receive_errors: int
    receive_hop_limit: int
    hop_limit_control: int
    mtu_discovery: int
    mtu: int
    header: int
    """Bytes of the header of IP."""
    protocol: int
    """ICMP's."""
    request: int
    reply: int


IPV4: Final = Family(4, int(socket.AF_INET), 0, 2, 11, 12, 2, 10, 14, 20, 1, 8, 0)
IPV6: Final = Family(6, int(socket.AF_INET6), 41, 16, 25, 51, 52, 23, 24, 40, 58, 128, 129)


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for, and the address that it has."""

    name: str
    kind: Family
    address: Any
    """As `socket` takes it; its port is 0."""

    @property
    def host(self) -> str:
        """The address as text."""
        return str(self.address[0])

    def at(self, port: int) -> Any:
        """The address with a port."""
        return (self.address[0], port, *self.address[2:])

    def __str__(self) -> str:
        return self.host if self.name == self.host else f"{self.name} ({self.host})"


def resolve(name: str, family: int = socket.AF_UNSPEC) -> Target:
    """The first address of a name, of one family if that is said; OSError when there is none."""
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)
    except UnicodeError:
        raise OSError("no name of a host") from None
    where, *_, address = found[0]
    return Target(name, IPV4 if where == socket.AF_INET else IPV6, address)


def path_mtu(target: Target) -> int:
    """Largest packet that is known to pass on the way, in bytes; OSError without a route."""
    with socket.socket(target.kind.family, socket.SOCK_DGRAM) as sock:
        sock.connect(target.at(DISCARD))
        return sock.getsockopt(target.kind.level, target.kind.mtu)
