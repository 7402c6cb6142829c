"""Cores on sockets: one for each interface, and their events together."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from catenet.dns.multicast.core import MulticastDns, MulticastEvent
from catenet.dns.multicast.interfaces import group_address, open_socket
from catenet.net.datagram import DatagramEndpoint, DatagramPeer
from catenet.net.multicast import MulticastInterface, find_interfaces
from catenet.wire.address import format_address

__all__ = ["Link", "Links"]

T = TypeVar("T")

MOST_EVENTS = 256
"""Of all interfaces, that wait for the program; then no more is read."""


class Link:
    """Multicast DNS on one interface."""

    def __init__(self, interface: MulticastInterface, loop: asyncio.AbstractEventLoop) -> None:
        self.interface = interface
        self._loop = loop
        families = [family for family in (socket.AF_INET, socket.AF_INET6) if interface.has(family)]
        sockets: list[socket.socket] = []
        try:
            for family in families:
                sockets.append(open_socket(interface, family))  # noqa: PERF401 (what is open is closed on failure)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        groups = [DatagramPeer(group_address(interface, family), at) for at, family in enumerate(families)]
        own = [format_address(address) for address in interface.addresses]
        self.core = MulticastDns(groups, random.Random(), networks=interface.networks, own=own)
        url = f"mdns:{interface.name}"
        self.endpoint: DatagramEndpoint[list[MulticastEvent]] = DatagramEndpoint(loop, self.core, sockets, [url])

    @property
    def now(self) -> float:
        """Seconds, of the event loop's clock."""
        return self._loop.time()


class Links(Generic[T]):
    """All interfaces that are used. `take(link, events)` says what events mean; that is what `next` returns."""

    def __init__(
        self,
        interfaces: Sequence[str] | None,
        begin: Callable[[Link], None],
        take: Callable[[Link, list[MulticastEvent]], Sequence[T]],
    ) -> None:
        self._names, self._begin, self._take = interfaces, begin, take
        self._queue: asyncio.Queue[T] = asyncio.Queue(MOST_EVENTS)
        self._tasks: list[asyncio.Task[None]] = []
        self.links: list[Link] = []

    async def __aenter__(self) -> Links[T]:
        loop = asyncio.get_running_loop()
        try:
            self._open(loop)
            for link in self.links:
                self._begin(link)
                link.endpoint.flush()
        except BaseException:
            self._close()
            raise
        self._tasks = [loop.create_task(self._follow(link)) for link in self.links]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for link in self.links:
            link.core.drain(link.now)
            link.endpoint.flush()
        self._close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Of the interfaces that nobody named, those without multicast are passed over, unless that is all."""
        failure: OSError | None = None
        for interface in find_interfaces(self._names):
            try:
                self.links.append(Link(interface, loop))
            except OSError as error:
                failure = OSError(error.errno, f"no multicast DNS on {interface.name}: {error.strerror}")
                if self._names:
                    raise failure from None
        if failure is not None and not self.links:
            raise failure

    def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for link in self.links:
            link.endpoint.close()

    async def _follow(self, link: Link) -> None:
        while (events := await link.endpoint.next_event()) is not None:
            for one in self._take(link, events):
                await self._queue.put(one)
            link.endpoint.flush()

    async def next(self) -> T:
        """The next of what `take` has returned, of any interface."""
        return await self._queue.get()
