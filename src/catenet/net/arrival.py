"""When a datagram came, by the kernel's clock of the day (SO_TIMESTAMPNS, socket(7)): before it waited to be read."""

from __future__ import annotations

import socket
import struct
from typing import Final

from catenet.net.pktinfo import Control

__all__ = ["ARRIVAL_CONTROL_SIZE", "arrived", "tell_arrivals"]

# <asm-generic/socket.h> of Linux; the module socket lacks it.
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("=qq" if struct.calcsize("@l") == 8 else "=ii")
_SECOND: Final = 1_000_000_000

ARRIVAL_CONTROL_SIZE: Final = socket.CMSG_SPACE(_TIMESPEC.size)
"""Bytes of ancillary data to be received with a datagram."""


def tell_arrivals(sock: socket.socket) -> bool:
    """Let a socket say when a datagram came; False: it cannot."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def arrived(received: list[Control]) -> int | None:
    """Return when a datagram came, Unix time in nanoseconds; None where the kernel does not say."""
    for level, kind, data in received:
        if kind == _SO_TIMESTAMPNS and level == socket.SOL_SOCKET and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return int(seconds) * _SECOND + int(nanoseconds)
    return None
