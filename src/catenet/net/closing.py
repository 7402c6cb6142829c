"""A connection that closes comes to its end, whatever its peer does.

Closing waits for output that the peer has not read and, in TLS, for its close_notify, which many peers never send
(RFC 8446 section 6.1 lets us not wait). asyncio waits for the first without limit, and in TLS for both for half a
minute. Here a peer that has got everything has a second left, and one that reads nothing of the rest half a minute.
"""

from __future__ import annotations

import asyncio
import fcntl
import select
import struct
import termios
from collections.abc import Callable
from typing import Final

from catenet.net.callbacks import Callbacks

__all__ = ["EndWatch", "Linger", "unsent"]

LINGER_BYTES: Final = 64 << 20
"""What a peer may still send while its last word is on its way to it."""
INTERVAL = 0.5
STALLED_AFTER = 30.0
"""Seconds after which a peer that reads nothing of what is left is given up."""
_SETTLED = 2
"""Looks that must find nothing left: between two bytes of a slow peer one look may find the socket writable."""


def unsent(transport: asyncio.Transport) -> int:
    """Return about how many bytes wait in this process for the peer to read; it changes when the peer has read.

    A TLS transport does not count what it has encrypted and handed on, up to 64 KiB. That waits only while the kernel
    takes nothing more, so then what waits in the kernel is counted as well.
    """
    left = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    try:
        if sock is None or _is_writable(sock.fileno()):
            return left
        return left + int(struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0])
    except (OSError, ValueError):
        return left  # the socket is closed already


def _is_writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


class Linger(asyncio.Protocol):
    """Takes a transport over whose own direction has ended: drops what comes, so that its peer can read our last word.

    It ends (`over`) when the peer has said nothing for `quiet` seconds, or has gone on for `longest` seconds or
    `LINGER_BYTES`; and at once with the peer's own end. The `owner` hears of what else happens to the transport.
    """

    __slots__ = ("_dropped", "_loop", "_over", "_owner", "_seen", "_timer", "_until", "quiet")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Callbacks,
        over: Callable[[], None],
        quiet: float,
        longest: float,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._over = over
        self._dropped = self._seen = 0
        self._until = loop.time() + longest
        self.quiet = quiet
        self._timer = loop.call_later(min(quiet, longest), self._look)

    def data_received(self, data: bytes) -> None:
        """Drop it."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self._end()

    def eof_received(self) -> bool:
        """Both directions have ended: the transport closes."""
        return False

    def pause_writing(self) -> None:
        """The transport is full."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """It has room."""
        self._owner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is closed."""
        self._timer.cancel()
        self._owner.connection_lost(error)

    def _look(self) -> None:
        left = self._until - self._loop.time()
        if self._dropped == self._seen or left <= 0:
            self._end()
        else:
            self._seen = self._dropped
            self._timer = self._loop.call_later(min(self.quiet, left), self._look)

    def _end(self) -> None:
        self._timer.cancel()
        self._over()


class EndWatch:
    """Calls `abort` when a peer has got all that a transport had and does not answer, or when it reads nothing more."""

    __slots__ = ("_abort", "_left", "_loop", "_settled", "_since", "_timer", "_transport")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, abort: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._abort = abort
        self._settled = 0
        self._left = unsent(transport)
        self._since = loop.time()
        self._timer = loop.call_later(INTERVAL, self._look)

    def cancel(self) -> None:
        """The transport is closed."""
        self._timer.cancel()

    def _look(self) -> None:
        now, left = self._loop.time(), unsent(self._transport)
        # Before the transport is told to close, its driver has more to write.
        self._settled = self._settled + 1 if not left and self._transport.is_closing() else 0
        if left != self._left:
            self._left, self._since = left, now
        if self._settled >= _SETTLED or now - self._since > STALLED_AFTER:
            self._abort()
        else:
            self._timer = self._loop.call_later(INTERVAL, self._look)
