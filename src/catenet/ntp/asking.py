"""One request to one server: from a port of its own (RFC 9109), whose connection drops what comes from elsewhere."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol

from catenet.net import dial
from catenet.net.dial import Endpoint
from catenet.net.target import Scheme, Target
from catenet.ntp.packet import MAX_PACKET

__all__ = ["PORT", "SCHEMES", "SECURE_SCHEMES", "Located", "Route", "addresses", "open_socket", "receive"]

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


class Located(Protocol):
    """Where the time is told is known when keys have been established."""

    async def locate(self) -> tuple[str, int]:
        """Return host and port. Raises `OSError`."""


class Route:
    """The way to one server that is asked again and again.

    Addresses of its name are found when they are needed first, and anew after all of them have failed. `keys`: says
    where the time is told, after it has made sure of keys (NTS).
    """

    def __init__(self, host: str, port: int, keys: Located | None = None) -> None:
        self._place = host, port
        self._keys = keys
        self._found: list[Endpoint] = []

    @property
    def address(self) -> str:
        """The address that is asked; nothing before there is one."""
        return str(self._found[0].address[0]) if self._found else ""

    async def connect(self) -> socket.socket:
        """Return a socket connected to an address that there is a route to. Raises `OSError`."""
        if self._keys is not None:
            place = await self._keys.locate()
            if place != self._place:
                self._place = place
                self._found.clear()
        if not self._found:
            self._found = await addresses(*self._place)
        while True:
            try:
                return open_socket(self._found[0])
            except OSError:
                self.fail()
                if not self._found:
                    raise

    def fail(self) -> None:
        """Say that the address does not answer: another one is asked next."""
        del self._found[:1]


async def receive(sock: socket.socket) -> bytes:
    """Return the next datagram; of one that is too long an octet more than a packet may have. Raises `OSError`."""
    return await asyncio.get_running_loop().sock_recv(sock, MAX_PACKET + 1)
