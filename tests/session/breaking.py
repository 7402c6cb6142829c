"""A relay in a thread of its own that breaks every connection after some bytes, for programs that must bear it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

__all__ = ["Breaker", "breaking"]


class Breaker:
    """`port`: where it listens; `connections`: how many there were, of which the first `most` are broken."""

    def __init__(self, server: tuple[str, int], seed: int, most: int, span: int) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self._most = most
        self._span = span
        self._begun = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        return self._begun

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._server)
                self._sockets += [near, far]
                # What is left of this connection; one that is not to be broken has enough.
                left = [self._rng.randrange(1, self._span) if self._begun < self._most else 1 << 60]
                self._begun += 1
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(one, other, left), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while left[0] > 0 and (data := source.recv(65536)):
                data = data[: max(left[0], 0)]
                left[0] -= len(data)
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextlib.contextmanager
def breaking(server: tuple[str, int], *, seed: int = 1, most: int = 10, span: int = 200_000) -> Iterator[Breaker]:
    """Relay to `server`."""
    breaker = Breaker(server, seed, most, span)
    try:
        yield breaker
    finally:
        breaker.close()
