"""Connections on which nothing happens, as bare descriptors: no transport and no protocol until something comes.

A transport and what reads from it take kilobytes, and most connections of a large server are idle. Such a one can be
taken off its transport: its descriptor is duplicated, the transport ends without its peer noticing, and an epoll of
our own, which the event loop watches as one descriptor, waits for the next byte.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from catenet.net.accept import Slot

__all__ = ["ParkedConnection", "ParkingLot", "can_park", "take_off"]

_BATCH: Final = 64
"""Connections that wake up in one turn of the event loop."""
_NOBODY: Final = asyncio.Protocol()


class ParkedConnection(Protocol):
    """What is kept of a connection: its place among those that may be open, and what its protocol goes on from."""

    slot: Slot
    now: float
    """When something came last (loop time)."""
    due: float
    """When it has to be looked at, though nothing has come."""

    def last_words(self) -> bytes:
        """Return what the peer is told when the connection is closed."""


def can_park(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether descriptors can be taken off the transports of a loop: those of uvloop, which are always the kernel's."""
    return hasattr(select, "epoll") and _is_of_uvloop(loop)


def _is_of_uvloop(thing: object) -> bool:
    return type(thing).__module__.partition(".")[0] == "uvloop"


def take_off(transport: asyncio.Transport) -> int | None:
    """End a transport, and return its connection as a descriptor; None: it cannot be had now.

    The transport has nothing to write, and its protocol hears nothing more of it.
    """
    sock = transport.get_extra_info("socket") if _is_of_uvloop(transport) else None  # not what stands on another
    if sock is None or transport.is_closing() or transport.get_write_buffer_size():
        return None
    try:
        descriptor = os.dup(sock.fileno())
    except OSError:  # there are no more
        return None
    transport.set_protocol(_NOBODY)
    transport.abort()
    return descriptor


class ParkingLot:
    """Keeps connections until something comes, or they are due; `wake` then gets each with its socket."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wake: Callable[[ParkedConnection, socket.socket], None]
    ) -> None:
        self._loop = loop
        self._wake = wake
        self._poll = select.epoll()
        self._parked: dict[int, ParkedConnection] = {}
        loop.add_reader(self._poll.fileno(), self._on_ready)

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, descriptor: int, parked: ParkedConnection) -> None:
        """Keep a connection; one that the kernel cannot watch (epoll_ctl(2): ENOMEM, ENOSPC) wakes at once."""
        self._parked[descriptor] = parked
        try:
            self._poll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)
        except OSError:
            self._wake(self._parked.pop(descriptor), socket.socket(fileno=descriptor))

    def wake_due(self, now: float) -> None:
        """Wake those that are due."""
        for descriptor in [one for one, parked in self._parked.items() if parked.due <= now]:
            self._wake(*self._remove(descriptor))

    def wake_all(self) -> None:
        """Wake all."""
        for descriptor in list(self._parked):
            self._wake(*self._remove(descriptor))

    def take_oldest(self, count: int, since: float = math.inf) -> Iterator[tuple[ParkedConnection, socket.socket]]:
        """Give up those that have been here longest, of those to which nothing came `since`; they are the caller's."""
        for descriptor, parked in list(self._parked.items())[:count]:
            if parked.now <= since:
                yield self._remove(descriptor)

    def close(self) -> Iterator[tuple[ParkedConnection, socket.socket]]:
        """Wait for nothing any more; what was kept is the caller's."""
        self._loop.remove_reader(self._poll.fileno())
        yield from self.take_oldest(len(self._parked))
        self._poll.close()

    def _on_ready(self) -> None:
        for descriptor, _ in self._poll.poll(0, _BATCH):
            self._wake(*self._remove(descriptor))

    def _remove(self, descriptor: int) -> tuple[ParkedConnection, socket.socket]:
        self._poll.unregister(descriptor)
        return self._parked.pop(descriptor), socket.socket(fileno=descriptor)
