"""What a session and a plain connection have in common for the benchmarks: how to serve, how to connect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import trustme

from catenet import session

CHUNK = bytes(65536)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Way:
    """How two ends talk: `tcp` and `tls` are asyncio's streams, `session+tcp` and `session+tls` sessions."""

    def __init__(self, kind: str) -> None:
        authority = trustme.CA()
        self.server, self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.issue_cert("server", "127.0.0.1").configure_cert(self.server)
        authority.configure_trust(self.client)
        self.kind = kind
        self.secured = kind.endswith("tls")

    async def serve(
        self, handler: Handler, host: str = "0.0.0.0", port: int = 0, on_port: Callable[[int], None] = print
    ) -> None:
        """Serve without end; `on_port` is told where."""
        tls = self.server if self.secured else None
        if self.kind.startswith("session"):
            async with await session.serve(handler, f"{self.kind}://{host}:{port}", tls=tls) as sessions:
                on_port(int(sessions.urls[0].rpartition(":")[2]))
                await sessions.serve_forever()
        async with await asyncio.start_server(handler, host, port, ssl=tls) as server:
            on_port(server.sockets[0].getsockname()[1])
            await server.serve_forever()

    async def connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        tls = self.client if self.secured else None
        if self.kind.startswith("session"):
            return await session.connect(f"{self.kind}://{host}:{port}", tls=tls)
        return await asyncio.open_connection(host, port, ssl=tls)


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take everything in; what ends with `?` is answered."""
    while data := await reader.read(1 << 18):
        if data.endswith(b"?"):
            writer.write(b"!")
            await writer.drain()
    writer.close()


async def send(way: Way, host: str, port: int, size: int) -> float:
    """Send so many bytes; return bytes a second, from the first to the answer to the last."""
    loop = asyncio.get_running_loop()
    reader, writer = await way.connect(host, port)
    begun = loop.time()
    for _ in range(size // len(CHUNK)):
        writer.write(CHUNK)
        await writer.drain()
    writer.write(b"?")
    await reader.readexactly(1)
    rate = size / (loop.time() - begun)
    writer.close()
    return rate
