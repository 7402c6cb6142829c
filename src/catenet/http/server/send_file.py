"""Bytes of files on their way to sockets, never the whole file in memory.

Not by mapping files: whoever truncates one that is being read from a mapping kills this process (SIGBUS).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from catenet.net.pace import Pace

if TYPE_CHECKING:
    from catenet.http.serving import ServingProtocol

__all__ = ["pieces_of", "splice"]

_PIECE = 60 << 10
"""Below the size from which malloc maps memory anew for each block, whose pages would have to be zeroed."""
_TURN = 1 << 20
"""Bytes after which others have their turn."""
_INTERVAL = 1.0
"""Seconds between two looks whether the client keeps up: what waits here is not counted with what transports hold."""
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def pieces_of(file: BinaryIO, offset: int, count: int) -> Iterator[bytes]:
    """Yield `count` bytes of a file from `offset` on. Raises `EOFError` if it is shorter, `OSError`."""
    descriptor = _descriptor(file)
    if descriptor is None:
        file.seek(offset)
    while count:
        size = min(count, _PIECE)
        piece = file.read(size) if descriptor is None else os.pread(descriptor, size, offset)
        if not piece:
            raise EOFError("the file is shorter than it was")
        yield piece
        offset += len(piece)
        count -= len(piece)


def _descriptor(file: BinaryIO) -> int | None:
    try:
        return file.fileno()
    except (OSError, AttributeError):  # it is in memory
        return None


async def splice(
    connection: ServingProtocol, file: BinaryIO, offset: int, count: int, wait: Callable[[], asyncio.Future[None]]
) -> int:
    """Let the kernel send from a file: sendfile(2) to the transport's socket; return how much it took.

    0: it cannot be done here, and the transport has to. Otherwise it is `count`. The caller has seen to it that nothing
    else is written to the transport meanwhile; `wait` makes the future that ends when the connection does. Raises
    `EOFError`, `TimeoutError`, `OSError`.
    """
    descriptor = _descriptor(file)
    if descriptor is None or not _say_head(connection):
        connection.flush()
        await asyncio.sleep(0)  # the head leaves at the end of the turn
    transport = connection.transport
    if descriptor is None or transport is None or transport.get_write_buffer_size():
        return 0
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _FAMILIES:
        return 0
    sent = _send(sock.fileno(), descriptor, offset, min(offset + _TURN, offset + count)) - offset
    if sent < count:
        duplicate = os.dup(sock.fileno())  # event loops poll no descriptor that a transport has
        try:
            limits = connection.shared.limits
            pace = Pace(limits.send_timeout, limits.min_rate, limits.send_timeout)
            await _Splice(connection.loop, duplicate, descriptor, offset + sent, offset + count, wait(), pace).run()
        finally:
            os.close(duplicate)
    return count


def _say_head(connection: ServingProtocol) -> bool:
    """Write what is to be said before a file to the socket, so that it leaves with the file; False if others have to.

    A write of its own would wake the client, who then finds little to read; and it would wait for the end of the turn.
    """
    transport = connection.transport
    if transport is None or connection.ended or transport.is_closing() or transport.get_write_buffer_size():
        return False
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _FAMILIES:
        return False
    head = connection.core.transmit()
    if not head:
        return True
    borrowed = socket.socket(sock.family, sock.type, sock.proto, sock.fileno())
    try:
        sent = borrowed.send(head, socket.MSG_MORE)
    except BlockingIOError:
        sent = 0
    finally:
        borrowed.detach()
    if sent < len(head):
        transport.write(head[sent:])
    return sent == len(head)


def _send(to: int, descriptor: int, offset: int, end: int) -> int:
    """Send what the socket takes now of a file from `offset` to `end`; return where it stopped. Raises `EOFError`."""
    try:
        while offset < end:
            sent = os.sendfile(to, descriptor, offset, end - offset)
            if not sent:
                raise EOFError("the file is shorter than it was")
            offset += sent
    except BlockingIOError:
        pass
    return offset


class _Splice:
    """One file on its way to a socket that is full: sent as it takes more, by the event loop's callbacks.

    `ended` is their outcome.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        to: int,
        descriptor: int,
        offset: int,
        end: int,
        ended: asyncio.Future[None],
        pace: Pace,
    ) -> None:
        self._loop = loop
        self._to = to
        self._descriptor = descriptor
        self._offset = offset
        self._end = end
        self._ended = ended
        self._pace = pace

    async def run(self) -> None:
        """Send all of it. Raises what went wrong."""
        self._loop.add_writer(self._to, self._on_writable)
        self._look()
        try:
            await self._ended
        finally:
            self._timer.cancel()
            self._loop.remove_writer(self._to)
        if self._offset < self._end:
            raise ConnectionResetError("the client has gone")

    def _send(self) -> bool:
        """Send what the socket takes now, and not so much that others wait; True if that is all."""
        self._offset = _send(self._to, self._descriptor, self._offset, min(self._offset + _TURN, self._end))
        return self._offset >= self._end

    def _on_writable(self) -> None:
        if self._ended.done():
            return
        try:
            if self._send():
                self._ended.set_result(None)
        except (OSError, EOFError) as error:
            self._ended.set_exception(error)

    def _look(self) -> None:
        """Give up a client that takes too little."""
        if self._ended.done():
            return
        if self._pace.is_late(True, self._offset, self._loop.time()):
            self._ended.set_exception(TimeoutError("the client reads too slowly"))
            return
        self._timer = self._loop.call_later(_INTERVAL, self._look)
