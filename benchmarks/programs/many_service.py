"""An ordinary epoll program, the far end of the benchmarks with many connections: `many_service.py [ADDRESS] [PORT]`.

The first byte of a connection says what it is for, as in `service.py`: `I` take everything in, `O` give out bytes until
the peer has had enough, `R` send back every message.
"""

from __future__ import annotations

import selectors
import socket
import sys
from typing import Any

BLOCK = memoryview(bytes(1 << 16))
BUFFER = bytearray(1 << 18)
MESSAGE = 64


class Connection:
    def __init__(self, selector: Any, connection: Any) -> None:
        self.selector = selector
        self.connection = connection
        self.purpose = b""
        self.sent = 0
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, self)

    def serve(self) -> None:
        try:
            if not self.purpose:
                self.begin()
            elif self.purpose == b"O":
                self.give_out()
            elif self.purpose == b"R":
                self.send_back()
            elif not self.connection.recv_into(BUFFER):
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def begin(self) -> None:
        self.purpose = self.connection.recv(1)
        if self.purpose == b"O":
            self.selector.modify(self.connection, selectors.EVENT_WRITE, self)
        elif self.purpose == b"R":
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif self.purpose != b"I":
            self.close()

    def give_out(self) -> None:
        self.connection.send(BLOCK)

    def send_back(self) -> None:
        message = self.connection.recv(MESSAGE)
        if message:
            self.connection.sendall(message)
        else:
            self.close()

    def close(self) -> None:
        self.selector.unregister(self.connection)
        self.connection.close()


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "0.0.0.0"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 9000
    selector = selectors.DefaultSelector()
    with socket.create_server((address, port), backlog=1024) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    Connection(selector, listener.accept()[0])
                else:
                    key.data.serve()


main()
