"""An ordinary epoll program, the near end: `many_client.py ADDRESS PORT in|out|roundtrip SECONDS CONNECTIONS`.

Prints one line of JSON: what all connections moved together, Jain's index of their shares, and the longest time for
which one of them moved nothing. What waits in a send buffer is counted as moved only once TCP says it was acknowledged.
"""

from __future__ import annotations

import fcntl
import json
import selectors
import socket
import struct
import sys
import termios
import time
from typing import Any

BLOCK = memoryview(bytes(1 << 16))
BUFFER = bytearray(1 << 18)
MESSAGE = bytes(64)


class Connection:
    def __init__(self, selector: Any, address: Any, purpose: Any) -> None:
        self.connection = socket.create_connection(address, timeout=10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        self.connection.sendall({"in": b"I", "out": b"O", "roundtrip": b"R"}[purpose])
        self.purpose = purpose
        self.moved = 0
        self.pause = 0.0
        self.last = time.perf_counter()
        self.partial = 0
        if purpose == "roundtrip":
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.sendall(MESSAGE)
        self.connection.setblocking(False)
        wanted = selectors.EVENT_WRITE if purpose == "in" else selectors.EVENT_READ
        selector.register(self.connection, wanted, self)

    def move(self, now: float) -> None:
        try:
            if self.purpose == "in":
                count = self.connection.send(BLOCK)
            else:
                count = self.connection.recv_into(BUFFER)
                if not count:
                    raise ConnectionError("the service closed a connection")
        except BlockingIOError:
            return
        self.moved += count
        self.pause = max(self.pause, now - self.last)
        self.last = now
        if self.purpose == "roundtrip":
            self.partial += count
            if self.partial >= len(MESSAGE):
                self.partial -= len(MESSAGE)
                self.connection.send(MESSAGE)

    def acknowledged(self) -> Any:
        """Bytes that the other end has, or for what is received all of it."""
        if self.purpose != "in":
            return self.moved
        waiting = fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4))
        return self.moved - struct.unpack("i", waiting)[0]


def main() -> None:
    address, port, purpose, seconds, count = sys.argv[1:6]
    selector = selectors.DefaultSelector()
    connections = [Connection(selector, (address, int(port)), purpose) for _ in range(int(count))]
    begun = now = time.perf_counter()
    while now - begun < float(seconds):
        ready = selector.select(1.0)
        for key, _ in ready:
            key.data.move(time.perf_counter())
        now = time.perf_counter()
    shares = [connection.acknowledged() for connection in connections]
    square = sum(share * share for share in shares)
    told = {
        "bytes": sum(shares),
        "count": sum(shares) / len(MESSAGE),
        "seconds": now - begun,
        "jain": sum(shares) ** 2 / (len(shares) * square) if square else 0.0,
        "pause": max(max(connection.pause, now - connection.last) for connection in connections),
        "least": min(shares),
    }
    print(json.dumps(told), flush=True)


main()
