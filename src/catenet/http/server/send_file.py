"""Bytes of files on their way to sockets, never the whole file in memory.

Not by mapping files: whoever truncates one that is being read from a mapping kills this process (SIGBUS).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from catenet.http.serving import ServingProtocol

__all__ = ["pieces_of", "splice"]

_PIECE = 60 << 10
"""Below the size from which malloc maps memory anew for each block, whose pages would have to be zeroed."""
_TURN = 1 << 20
"""Bytes after which others have their turn."""
_STALLED_AFTER = 60.0
"""Seconds without a byte after which a client is given up: what waits here is not counted with what transports hold."""
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
    """Let the kernel send from a file: sendfile(2) to a duplicate of the transport's socket; return how much it took.

    0: it cannot be done here, and the transport has to. Otherwise it is `count`. The caller has seen to it that nothing
    else is written to the transport meanwhile; `wait` makes the future that ends when the connection does. Raises
    `EOFError`, `TimeoutError`, `OSError`.
    """
    descriptor = _descriptor(file)
    connection.flush()
    await asyncio.sleep(0)  # the head leaves at the end of the turn
    transport = connection.transport
    if descriptor is None or transport is None or transport.get_write_buffer_size():
        return 0
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _FAMILIES:
        return 0
    duplicate = os.dup(sock.fileno())
    try:
        await _send(connection.loop, duplicate, descriptor, offset, count, wait)
    finally:
        os.close(duplicate)
    return count


async def _send(
    loop: asyncio.AbstractEventLoop,
    to: int,
    descriptor: int,
    offset: int,
    count: int,
    wait: Callable[[], asyncio.Future[None]],
) -> None:
    end = offset + count
    turn = offset + _TURN
    while offset < end:
        try:
            sent = os.sendfile(to, descriptor, offset, min(end - offset, _TURN))
        except BlockingIOError:
            await _writable(loop, to, wait())
            turn = offset + _TURN
            continue
        if not sent:
            raise EOFError("the file is shorter than it was")
        offset += sent
        if offset >= turn and offset < end:
            await asyncio.sleep(0)
            turn = offset + _TURN


async def _writable(loop: asyncio.AbstractEventLoop, descriptor: int, ready: asyncio.Future[None]) -> None:
    def stop() -> None:
        if not ready.done():
            ready.set_exception(TimeoutError("the client reads nothing"))

    def go_on() -> None:
        if not ready.done():
            ready.set_result(None)

    timer = loop.call_later(_STALLED_AFTER, stop)
    loop.add_writer(descriptor, go_on)
    try:
        await ready
    finally:
        timer.cancel()
        loop.remove_writer(descriptor)
