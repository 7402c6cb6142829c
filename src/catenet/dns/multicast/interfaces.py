"""Where multicast DNS is spoken: the groups on port 5353 of each interface."""

from __future__ import annotations

import socket
from typing import Final

from catenet.dns.multicast.core import GROUPS, PORT
from catenet.net.dial import SocketName
from catenet.net.multicast import MulticastInterface, open_group_socket

__all__ = ["group_address", "open_socket"]

HOPS: Final = 255


def open_socket(interface: MulticastInterface, family: int) -> socket.socket:
    """A socket that hears the group on one interface, and sends to it there. Raises OSError."""
    return open_group_socket(interface, family, [GROUPS[family != socket.AF_INET]], PORT, HOPS)


def group_address(interface: MulticastInterface, family: int) -> SocketName:
    """Where messages to all go."""
    return (GROUPS[0], PORT) if family == socket.AF_INET else (GROUPS[1], PORT, 0, interface.index)
