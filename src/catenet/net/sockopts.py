"""Options of sockets as a user sets them, for both IP versions alike (Linux socket(7), ip(7), ipv6(7), tcp(7))."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

__all__ = ["SocketOptions", "watch_peer"]

_INET: Final = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What is set on each socket; None leaves what the system does.

    * `nodelay`: do not wait for more before a small segment is sent (RFC 9293 section 3.7.4).
    * `keepalive`: seconds of silence after which TCP asks whether the peer is there (RFC 9293 section 3.8.4).
    * `rcvbuf`, `sndbuf`: bytes that the kernel may hold.
    * `tos`: the byte of DSCP and ECN in IP (RFC 2474); `ttl`: hops that a packet may take.
    * `reuse_port`: others may bind to the same port.
    * `host`, `port`: where a client's socket is bound.
    * `family`: `AF_INET` or `AF_INET6`, to use no other.
    """

    nodelay: bool = True
    keepalive: float | None = None
    rcvbuf: int | None = None
    sndbuf: int | None = None
    tos: int | None = None
    ttl: int | None = None
    reuse_port: bool = False
    host: str = ""
    port: int = 0
    family: int = 0

    def apply(self, sock: socket.socket) -> None:
        """Set them on a socket that is not connected yet. Raises `OSError`."""
        if self.rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        if self.sndbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.sndbuf)
        if sock.family not in _INET:
            return
        if self.reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        is_ipv6 = sock.family == socket.AF_INET6
        if self.tos is not None:
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, self.tos)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self.tos)
        if self.ttl is not None:
            if is_ipv6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, self.ttl)
            else:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.ttl)
        if sock.type == socket.SOCK_STREAM:
            self._apply_to_tcp(sock)

    def _apply_to_tcp(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.nodelay)
        if self.keepalive is not None:
            seconds = max(int(self.keepalive), 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(seconds // 4, 1))

    def bind(self, sock: socket.socket) -> None:
        """Bind a client's socket to where it is to come from. Raises `OSError`."""
        if (self.host or self.port) and sock.family in _INET:
            if self.port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.host, self.port))


def watch_peer(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have TCP end a connection whose peer has vanished: no word of it, and nothing acknowledged, for `seconds`.

    A peer that is quiet is asked after that time (RFC 9293 section 3.8.4), and given up a quarter of it later. What was
    sent has that time to be acknowledged (TCP_USER_TIMEOUT, Linux tcp(7); gRFC A18). Other sockets are left alone.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _INET:
        return
    whole = max(int(seconds), 1)
    probe = max(whole // 4, 1)
    options = {"TCP_KEEPIDLE": whole, "TCP_KEEPINTVL": probe, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": int(seconds * 1000)}
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            number = getattr(socket, name, None)
            if number is not None:
                sock.setsockopt(socket.IPPROTO_TCP, number, value)
    except OSError:
        return  # it has ended already
