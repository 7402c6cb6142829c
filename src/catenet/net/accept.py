"""Accepting connections, and not more of them than there may be.

An event loop's own server accepts whatever comes. At the limit of descriptors `accept` then fails, the connection
stays in the backlog, the listener stays readable, and the loop does nothing but fail and say so. Here a gate closes
before that: at `max_connections`, or when the process has only its reserve of descriptors left. (The kernel gives the
lowest free number, so the number that is next is a count; it costs a `dup`, a hundredth of what a connection does.)
While it is closed the listeners are not polled; it opens when a connection closes, and once a second it looks whether
others have freed descriptors.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

from catenet.net.callbacks import Callbacks
from catenet.net.limits import ServerLimits
from catenet.net.notice import Notice
from catenet.net.opening import when_open
from catenet.net.tls import is_plain
from catenet.net.tls_source import TlsSource, context_now

__all__ = ["Acceptor", "Places", "Slot"]

_BATCH = 64
"""Connections that are accepted in one turn, so that those there are get their turn too."""
_RETRY = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Places(Protocol):
    """Who counts the connections that may be open."""

    def released(self) -> None:
        """A place is free."""


class Slot:
    """The place of one connection among those that may be open. `accepted` is when it was accepted (loop time).

    `made`: its protocol has got its transport, and will hear of its end.
    """

    __slots__ = ("_places", "accepted", "made")

    def __init__(self, places: Places, accepted: float) -> None:
        self._places: Places | None = places
        self.accepted = accepted
        self.made = False

    def release(self) -> None:
        """The connection is closed; to say so twice does no harm."""
        places, self._places = self._places, None
        if places is not None:
            places.released()


class Acceptor:
    """Accepts on all listeners of one server. `open` connections are those that have a slot.

    `factory` makes the protocol of a connection; the protocol must release its slot in
    `connection_lost`. A connection whose handshake fails never gets there: its slot is released here.
    """

    tells_limit = True
    """Whether it is worth a line in the log that `max_connections` are open."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limits: ServerLimits, factory: Callable[[Slot], Callbacks]
    ) -> None:
        self.open = 0
        self._loop = loop
        self._limits = limits
        self._factory = factory
        self._listeners: dict[socket.socket, TlsSource | None] = {}
        self._starting: dict[asyncio.Task[None], Slot | None] = {}  # None: it has not begun
        self._closed = False
        self._ceiling = _ceiling()
        self._paused = False
        self._retry: asyncio.TimerHandle | None = None
        self._notice = Notice()
        self._failed = Notice()
        self._plain = Notice()

    @property
    def full(self) -> bool:
        """Whether new connections wait because there are too many."""
        return self._paused

    def add(self, listener: socket.socket, tls: TlsSource | None = None) -> None:
        """Accept connections on a socket that listens, with TLS if `tls` is given."""
        listener.setblocking(False)
        self._listeners[listener] = tls
        when_open(partial(self._begin_to_accept, listener))

    def _begin_to_accept(self, listener: socket.socket) -> None:
        if listener in self._listeners and not self._paused:
            self._loop.add_reader(listener, self._accept, listener)

    def remove(self, listener: socket.socket) -> None:
        """Accept no more on a socket, and close it."""
        if listener in self._listeners:
            self._loop.remove_reader(listener)
            del self._listeners[listener]
            listener.close()

    def close(self) -> None:
        """Accept no more, and end the handshakes that are going on; connections stay."""
        self._closed = True
        for listener in list(self._listeners):
            self.remove(listener)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for task, slot in self._starting.items():
            # uvloop closes what is cancelled now, and never tells a protocol that has been told of its beginning.
            if slot is not None and not slot.made:
                task.cancel()

    def released(self) -> None:
        """A slot is free."""
        self.open -= 1
        if self._paused:
            self._loop.call_soon(self._resume)  # the descriptor is closed by then

    # Accepting.

    def _accept(self, listener: socket.socket) -> None:
        for number in range(min(_BATCH, self._limits.backlog)):
            most = self._limits.max_connections
            if most is not None and self.open >= most:
                if number:
                    return  # if somebody else waits, the listener is readable again
                told = "%d connections are open, which is the limit: others wait" if self.tells_limit else ""
                self._pause(told, self.open)
                return
            if not self._has_descriptors(listener):
                self._pause("descriptors are running out with %d connections open: others wait", self.open)
                return
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause("cannot accept (%s) with %d connections open: others wait", error.strerror, self.open)
                    return
                continue  # accept(2): an error of that one connection, which is gone
            self._take(sock, self._listeners[listener])

    def _take(self, sock: socket.socket, source: TlsSource | None) -> None:
        try:
            tls = None if source is None else context_now(source)
        except Exception as error:
            self._failed.warn(self._loop.time(), "there is no TLS for a connection, closing: %r", error, error=error)
            sock.close()
            return
        slot = Slot(self, self._loop.time())
        self.open += 1
        sock.setblocking(False)
        task = self._loop.create_task(self._begin(sock, slot, tls))
        self._starting[task] = None
        task.add_done_callback(self._starting.pop)

    async def _begin(self, sock: socket.socket, slot: Slot, tls: ssl.SSLContext | None) -> None:
        task = asyncio.current_task()
        if task is None or self._closed:
            sock.close()
            slot.release()
            return
        self._starting[task] = slot
        await self.start(sock, slot, tls)

    async def start(self, sock: socket.socket, slot: Slot, tls: ssl.SSLContext | None) -> None:
        """Hand a socket to its protocol, after TLS; a handshake that fails or takes too long is the end of it.

        Who needs no transport overrides it, and releases the slot when the connection is over.
        """
        terms: dict[str, Any] = {} if tls is None else {"ssl": tls}
        try:
            protocol = self._factory(slot)
        except Exception as error:
            self._failed.warn(self._loop.time(), "a connection cannot be served, closing: %r", error, error=error)
            sock.close()
            slot.release()
            return
        if tls is not None:
            terms["ssl_handshake_timeout"] = self._limits.handshake_timeout
        try:
            if sock.family != socket.AF_UNIX:
                # asyncio does it for sockets that name their protocol, which accepted ones do not.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(lambda: cast(asyncio.Protocol, protocol), sock, **terms)
        except OSError as error:  # ssl.SSLError, TimeoutError, ConnectionError among them
            slot.release()
            if is_plain(error):
                self._plain.warn(self._loop.time(), "a client does not speak TLS where this server does")
        except BaseException:
            slot.release()
            raise

    # The gate.

    def _pause(self, message: str, *values: object) -> None:
        if message:
            self._notice.warn(self._loop.time(), message, *values)
        if not self._paused:
            self._paused = True
            for listener in self._listeners:
                self._loop.remove_reader(listener)
        if self._retry is None:
            self._retry = self._loop.call_later(_RETRY, self._look_again)

    def _look_again(self) -> None:
        self._retry = None
        if self._paused:
            self._resume()
            if self._paused:
                self._retry = self._loop.call_later(_RETRY, self._look_again)

    def _resume(self) -> None:
        most = self._limits.max_connections
        if not self._paused or (most is not None and self.open >= most):
            return
        if not all(map(self._has_descriptors, list(self._listeners)[:1])):
            return
        self._paused = False
        for listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    def _has_descriptors(self, listener: socket.socket) -> bool:
        """Whether a connection would get a number below the reserve, which only trying can tell."""
        if self._ceiling is None or listener.fileno() >= self._ceiling:
            return True  # numbers beyond the limit are not the kernel's
        try:
            lowest = os.dup(listener.fileno())
        except OSError:
            return False
        os.close(lowest)
        return lowest < self._ceiling


def _ceiling() -> int | None:
    """The number from which on descriptors are kept for other things than connections; None: there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    return max(soft - min(max(soft // 16, 8), 1024), 8)
