"""SSDP on sockets: for each interface one endpoint with the sockets of both IP versions.

`async with search("ssdp:all") as found`, `async with advertise(device)`.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from catenet.net.core import DatagramCore
from catenet.net.datagram import DatagramEndpoint, DatagramPeer
from catenet.net.dial import SocketName
from catenet.net.multicast import MulticastInterface, find_interfaces, open_group_socket
from catenet.ssdp.cache import Change, Entry
from catenet.ssdp.core import Advertiser, ControlPoint
from catenet.ssdp.device import Device
from catenet.ssdp.message import GROUP4, GROUPS6, PORT

__all__ = ["Discoveries", "advertise", "discover", "search"]

HOPS: Final = 2
"""Time to live of what is multicast (section 1.1.2)."""
MOST_CHANGES: Final = 256
"""Of all interfaces, that wait for the program; then no more is read."""

E = TypeVar("E")


def _families(interface: MulticastInterface) -> list[int]:
    return [family for family in (socket.AF_INET, socket.AF_INET6) if interface.has(family)]


def _groups(family: int) -> list[str]:
    return [GROUP4] if family == socket.AF_INET else list(GROUPS6)


def _open(interface: MulticastInterface, ports: Sequence[int]) -> list[tuple[int, int, socket.socket]]:
    """A socket for each IP version and port; those with port 0 are for searches, and hear no group."""
    opened: list[tuple[int, int, socket.socket]] = []
    try:
        for family in _families(interface):
            for port in ports:
                groups = _groups(family) if port else []
                opened.append((family, port, open_group_socket(interface, family, groups, port, HOPS)))
    except BaseException:
        for _, _, sock in opened:
            sock.close()
        raise
    return opened


def _peers(
    interface: MulticastInterface, sockets: Sequence[tuple[int, int, socket.socket]], port: int
) -> list[tuple[DatagramPeer, str]]:
    """Where messages to all go, from the sockets that have this port, with the text of HOST."""
    peers = []
    for index, (family, own, _) in enumerate(sockets):
        if own != port:
            continue
        for group in _groups(family):
            is4 = family == socket.AF_INET
            address: SocketName = (group, PORT) if is4 else (group, PORT, 0, interface.index)
            peers.append((DatagramPeer(address, index), f"{group}:{PORT}" if is4 else f"[{group.upper()}]:{PORT}"))
    return peers


def _on_each(
    interfaces: Sequence[str] | None,
    ports: Sequence[int],
    make: Callable[[MulticastInterface, list[tuple[int, int, socket.socket]]], DatagramCore[E]],
) -> list[DatagramEndpoint[E]]:
    """An endpoint on each interface. Of those that nobody named, ones without multicast are passed over."""
    loop = asyncio.get_running_loop()
    endpoints: list[DatagramEndpoint[E]] = []
    failure: OSError | None = None
    for interface in find_interfaces(interfaces):
        try:
            sockets = _open(interface, ports)
        except OSError as error:
            failure = OSError(error.errno, f"no SSDP on {interface.name}: {error.strerror}")
            if interfaces:
                _close(endpoints)
                raise failure from None
            continue
        url = f"ssdp:{interface.name}"
        endpoints.append(DatagramEndpoint(loop, make(interface, sockets), [sock for _, _, sock in sockets], [url]))
    if failure is not None and not endpoints:
        raise failure
    return endpoints


def _close(endpoints: Sequence[DatagramEndpoint[E]]) -> None:
    for endpoint in endpoints:
        endpoint.close()


class Discoveries:
    """What is heard, as it is heard."""

    def __init__(self, queue: asyncio.Queue[Change]) -> None:
        self._queue = queue

    async def next(self) -> Change:
        """The next change."""
        return await self._queue.get()

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            yield await self._queue.get()


@asynccontextmanager
async def search(target: str, *, wait: int = 2, interfaces: Sequence[str] | None = None) -> AsyncIterator[Discoveries]:
    """Search for a target, and hear what is advertised meanwhile; devices answer within `wait` seconds (1 to 5).

    Raises ValueError for what nobody can search for, or no such interface; OSError without an interface or a socket.
    """
    loop = asyncio.get_running_loop()

    def make(interface: MulticastInterface, sockets: list[tuple[int, int, socket.socket]]) -> DatagramCore[Change]:
        core = ControlPoint(_peers(interface, sockets, 0), interface.networks, interface.name)
        core.search(target, wait, loop.time())
        return core

    queue: asyncio.Queue[Change] = asyncio.Queue(MOST_CHANGES)

    async def follow(endpoint: DatagramEndpoint[Change]) -> None:
        async for change in endpoint:
            await queue.put(change)

    endpoints = _on_each(interfaces, (PORT, 0), make)
    tasks = [loop.create_task(follow(endpoint)) for endpoint in endpoints]
    try:
        yield Discoveries(queue)
    finally:
        for task in tasks:
            task.cancel()
        _close(endpoints)
        await asyncio.gather(*tasks, return_exceptions=True)


async def discover(
    target: str, *, wait: int = 2, patience: float | None = None, interfaces: Sequence[str] | None = None
) -> list[Entry]:
    """What answers, or is advertised, within `patience` seconds (default: `wait` and a second). Raises as `search`."""
    found: dict[tuple[str, str], Entry] = {}
    async with search(target, wait=wait, interfaces=interfaces) as heard:
        try:
            async with asyncio.timeout(wait + 1.0 if patience is None else patience):
                async for change in heard:
                    key = (change.entry.advertisement.usn, change.entry.interface)
                    if change.what == "gone":
                        found.pop(key, None)
                    else:
                        found[key] = change.entry
        except TimeoutError:
            pass
    return list(found.values())


@asynccontextmanager
async def advertise(device: Device, *, interfaces: Sequence[str] | None = None) -> AsyncIterator[None]:
    """Let a device be found while this goes on; it says goodbye at the end.

    Raises ValueError for no such interface; OSError without an interface or a socket.
    """
    loop = asyncio.get_running_loop()
    source = random.Random()
    boot_id = int(time.time()) & 0x7FFF_FFFF

    def make(interface: MulticastInterface, sockets: list[tuple[int, int, socket.socket]]) -> DatagramCore[None]:
        core = Advertiser(device, _peers(interface, sockets, PORT), source, interface.networks, boot_id)
        core.start(loop.time())
        return core

    endpoints = _on_each(interfaces, (PORT,), make)
    try:
        yield
    finally:
        await asyncio.gather(*(endpoint.drain(1.0) for endpoint in endpoints))
