"""Messages of the resolver on sockets and connections."""

from __future__ import annotations

import asyncio

from catenet.dns.exchange import Exchange
from catenet.dns.resolver.upstream import Upstream
from catenet.wire.dns.stub import Server


def test_messages_with_one_id_have_connections_of_their_own_and_all_are_closed() -> None:
    async def run() -> None:
        opened, closed = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.release()
            while await reader.read(100):
                pass
            closed.release()
            writer.close()

        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        server = Server(bytes((127, 0, 0, 1)), listener.sockets[0].getsockname()[1])
        upstream = Upstream(lambda token, data: None, lambda token: None)
        for token in (1, 2):
            upstream.begin(Exchange(token, server, "tcp", b"\x12\x34 a query"))
        for _ in range(2):
            await opened.acquire()
        await upstream.close()
        for _ in range(2):
            await asyncio.wait_for(closed.acquire(), 20)
        listener.close()
        await listener.wait_closed()

    asyncio.run(run())
