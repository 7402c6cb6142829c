"""One request to one server: from a port of its own (RFC 9109), whose connection drops what comes from elsewhere."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from catenet.net import dial
from catenet.net.dial import Endpoint
from catenet.net.target import Scheme, Target
from catenet.ntp.packet import MAX_PACKET

__all__ = ["PORT", "SCHEMES", "SECURE_SCHEMES", "addresses", "connect", "open_socket", "receive"]

PORT: Final = 123
SCHEMES: Final = {"ntp": Scheme(port=PORT, kinds=(socket.SOCK_DGRAM,))}
SECURE_SCHEMES: Final = {**SCHEMES, "nts": Scheme(tls=True, port=4460)}
"""With key establishment (RFC 8915), whose server says where the time is told."""


async def addresses(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[Endpoint]:
    """Return the addresses of a server, families in turn. Raises `OSError`."""
    found = await dial.resolve(asyncio.get_running_loop(), Target("ntp", host, port), socket.SOCK_DGRAM)
    fitting = [one for one in found if family in (socket.AF_UNSPEC, one.family)]
    if not fitting:
        raise OSError(f"{host} has no address of this family")
    return fitting


def open_socket(endpoint: Endpoint) -> socket.socket:
    """Return a socket connected to an address. Raises `OSError`."""
    sock = socket.socket(endpoint.family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(endpoint.address)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(host: str, port: int, turn: int = 0) -> socket.socket:
    """Return a socket connected to an address that there is a route to: the first, or a later one. Raises `OSError`."""
    found = await addresses(host, port)
    error = OSError(f"{host} has no address")
    for index in range(len(found)):
        try:
            return open_socket(found[(turn + index) % len(found)])
        except OSError as failure:
            error = failure
    raise error


async def receive(sock: socket.socket) -> bytes:
    """Return the next datagram; of one that is too long an octet more than a packet may have. Raises `OSError`."""
    return await asyncio.get_running_loop().sock_recv(sock, MAX_PACKET + 1)
