"""What a datagram's socket can be told besides: to which address it came, and what ICMP says (ip(7), RFC 3542)."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final

__all__ = ["CONTROL_SIZE", "Control", "answering", "forget_errors", "is_wildcard", "tell_destinations", "tell_errors"]

# <netinet/in.h> of Linux; the module socket of Python 3.11 lacks the first.
_IP_PKTINFO: Final = 8
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_PKTINFO4: Final = struct.Struct("=i4s4s")
_PKTINFO6: Final = struct.Struct("=16si")
_MULTICAST6: Final = 0xFF

CONTROL_SIZE: Final = socket.CMSG_SPACE(_PKTINFO6.size)
"""Bytes of ancillary data to be received with a datagram."""

Control = tuple[int, int, bytes]


def is_wildcard(sock: socket.socket) -> bool:
    """Whether a socket is on all addresses of its family."""
    return sock.getsockname()[0] in ("0.0.0.0", "::")


def tell_destinations(sock: socket.socket) -> None:
    """Let a socket on all addresses say to which a datagram came."""
    if not is_wildcard(sock):
        return
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def tell_errors(sock: socket.socket) -> None:
    """Let a socket that is not connected hear of ICMP messages, as an error of the next call."""
    level, option = (
        (socket.IPPROTO_IP, _IP_RECVERR) if sock.family == socket.AF_INET else (socket.IPPROTO_IPV6, _IPV6_RECVERR)
    )
    with contextlib.suppress(OSError):
        sock.setsockopt(level, option, 1)


def forget_errors(sock: socket.socket) -> None:
    """Empty the queue in which a socket keeps the messages; until then it counts as readable."""
    with contextlib.suppress(OSError):
        while True:
            sock.recvmsg(0, 0, _MSG_ERRQUEUE)


def answering(received: list[Control]) -> Control | None:
    """Return the ancillary data that makes an answer leave from the address to which a datagram came."""
    for level, kind, data in received:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, _ = _PKTINFO4.unpack_from(data)  # of a datagram to a group, this is an address of ours
            return level, kind, _PKTINFO4.pack(0, local, bytes(4))
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            local, interface = _PKTINFO6.unpack_from(data)
            if local[0] == _MULTICAST6:
                return level, kind, _PKTINFO6.pack(bytes(16), interface)
            return level, kind, _PKTINFO6.pack(local, interface if local[:2] == b"\xfe\x80" else 0)
    return None
