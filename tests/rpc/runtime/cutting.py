"""A relay on the test's own event loop that cuts connections when so many bytes have passed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

__all__ = ["WHOLE", "Cutter", "cutting"]

WHOLE = 1 << 60


class Cutter:
    """`lengths`: what connections carry to the server and to the client, one after another; then none is cut.

    A client sends up to 64 KiB before it has heard anything: shorter connections, cut on the way to the server, would
    bring it no answer, and it would wait between them.

    `url`: where clients go; `connections`: how many there were. `open` is cleared to let nothing through.
    """

    def __init__(self, server: str, lengths: Iterator[tuple[int, int]]) -> None:
        self._scheme, _, place = server.partition("://")
        self._host, _, port = place.rpartition(":")
        self._port = int(port)
        self._lengths = lengths
        self._listener: asyncio.Server | None = None
        self._transports: set[asyncio.WriteTransport] = set()
        self.connections = 0
        self.passed = [0, 0]
        self.open = True

    @property
    def url(self) -> str:
        assert self._listener is not None
        return f"{self._scheme}://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer.transport, far_writer.transport}
        self._transports |= both
        left = list(next(self._lengths, (WHOLE, WHOLE)))
        await asyncio.wait(
            [
                asyncio.ensure_future(self._copy(0, reader, far_writer, left)),
                asyncio.ensure_future(self._copy(1, far_reader, writer, left)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for transport in both:
            transport.abort()
        self._transports -= both

    async def _copy(self, side: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter, left: list[int]) -> None:
        with contextlib.suppress(OSError):
            while left[side] > 0 and (data := await source.read(65536)):
                data = data[: left[side]]
                left[side] -= len(data)
                self.passed[side] += len(data)
                sink.write(data)
                await sink.drain()

    def cut(self) -> None:
        """Cut every connection now."""
        for transport in list(self._transports):
            transport.abort()

    async def close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        self.cut()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def cutting(server: str, lengths: Iterator[tuple[int, int]] = iter(())) -> AsyncIterator[Cutter]:
    """Relay to `server`, a URL."""
    cutter = Cutter(server, lengths)
    await cutter.start()
    try:
        yield cutter
    finally:
        await cutter.close()
