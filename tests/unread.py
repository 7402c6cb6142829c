"""A peer that reads nothing after the first request; over HTTP/2 it grants all windows there are."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from catenet.http.h2 import frames

WIDEST = (1 << 31) - 1
PIECE = 200_000
BOUND = 32 << 20
"""More than the buffers of the kernel take on loopback, less than a peer that is waited for could be given."""


@contextmanager
def unread(http2: bool = True, answer: bytes = b"") -> Iterator[int]:
    """Yield the port. `answer`: to the first request over HTTP/1.1."""
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                sock = listener.accept()[0]
            except OSError:
                return
            kept.append(sock)
            if http2:
                sock.sendall(
                    frames.settings({frames.INITIAL_WINDOW_SIZE: WIDEST})
                    + frames.window_update(0, WIDEST - frames.DEFAULT_WINDOW)
                    + frames.frame(frames.SETTINGS, frames.ACK, 0, b"")
                )
                sock.recv(len(frames.PREFACE))
            elif answer:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += sock.recv(1)
                sock.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for sock in kept:
                sock.close()


class Pieces:
    """Makes pieces without ever waiting, and counts them; `most` is where a test gives up."""

    def __init__(self, size: int = PIECE, most: int = 4 * BOUND) -> None:
        self.size = size
        self.most = most
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.taken < self.most:
            self.taken += self.size
            yield bytes(self.size)

    async def each(self) -> AsyncIterator[bytes]:
        """As an asynchronous generator."""
        for piece in self:
            yield piece


async def taken(bodies: list[Pieces]) -> int:
    """Wait until each has been begun, and for many turns of the loop; return the bytes taken of all."""
    async with asyncio.timeout(60):
        while not all(one.taken for one in bodies):
            await asyncio.sleep(0.001)
    for _ in range(1000):
        await asyncio.sleep(0)
    return sum(one.taken for one in bodies)
