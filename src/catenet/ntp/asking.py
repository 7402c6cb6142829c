"""One request to one server: from a port of its own (RFC 9109), whose connection drops what comes from elsewhere."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from catenet.net import dial
from catenet.ntp.packet import MAX_PACKET

__all__ = ["PORT", "connect", "receive"]

PORT: Final = 123


async def connect(host: str, port: int, family: int = socket.AF_UNSPEC) -> socket.socket:
    """Return a socket connected to the first address of a server that is of `family`. Raises `OSError`."""
    found = await dial.addresses(asyncio.get_running_loop(), host, port, socket.SOCK_DGRAM)
    fitting = [one for one in found if family in (socket.AF_UNSPEC, one[0])]
    if not fitting:
        raise OSError(f"{host} has no address of this family")
    family, _, _, _, address = fitting[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


async def receive(sock: socket.socket) -> bytes:
    """Return the next datagram; of one that is too long an octet more than a packet may have. Raises `OSError`."""
    return await asyncio.get_running_loop().sock_recv(sock, MAX_PACKET + 1)
