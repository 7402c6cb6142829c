"""Our server and a client that was written from the document alone."""

import asyncio
import os

import pytest
from breaking import breaking
from from_the_document import Client

from catenet import session

KEY = b"a key that both of them have"


@pytest.mark.parametrize("key", [b"", KEY], ids=["no key", "a shared key"])
def test_a_client_of_another(run, key):
    """Everything arrives once, although its connections are cut at any byte, also in their handshakes."""
    text, handlers = os.urandom(300_000), []

    async def echo(reader, writer):
        handlers.append(writer)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def main():
        async with await session.serve(echo, "session+tcp://127.0.0.1:0", key=key or None, buffer=50_000) as server:
            port = int(server.urls[0].rpartition(":")[2])
            calm = Client(("127.0.0.1", port), b"hello", key)
            assert await asyncio.to_thread(calm.run) == b"hello"
            assert calm.connections == 1
            for span in (1500, 100_000):
                with breaking(("127.0.0.1", port), most=25, span=span) as breaker:
                    client = Client(("127.0.0.1", breaker.port), text, key)
                    assert await asyncio.to_thread(client.run) == text
                    assert client.connections > 5
            assert len(handlers) == 3

    run(main())
