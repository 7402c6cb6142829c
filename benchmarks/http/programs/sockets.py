"""WebSockets that send a message and wait for its echo; argv: PORT CONNECTIONS SECONDS. Prints how many there were."""

import asyncio
import sys
import time
from typing import cast

import uvloop

MESSAGE = bytes([0x82, 0x80 | 100, 0, 0, 0, 0]) + b"x" * 100
ECHO = 102


class Socket(asyncio.Protocol):
    def __init__(self, until: float) -> None:
        self.until = until
        self.count = self.missing = 0
        self.open = False
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's derives from nothing
        self.transport.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        if not self.open:
            self.open = b"\r\n\r\n" in data
            assert data.startswith(b"HTTP/1.1 101") and self.open, data
        else:
            self.missing -= len(data)
            if self.missing > 0:
                return
            self.count += 1
            if time.monotonic() > self.until:
                self.transport.abort()
                return
        self.missing = ECHO
        self.transport.write(MESSAGE)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(self.count)


async def main() -> None:
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    loop, until = asyncio.get_running_loop(), time.monotonic() + seconds
    made = [await loop.create_connection(lambda: Socket(until), "127.0.0.1", port) for _ in range(connections)]
    print(sum([await protocol.ended for _, protocol in made]))


uvloop.run(main())
