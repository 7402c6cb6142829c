"""Messages of the resolver on sockets and connections."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from catenet.dns.exchange import Exchange
from catenet.dns.options import KEEPALIVE
from catenet.dns.resolver import upstream as module
from catenet.dns.resolver.upstream import Upstream
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack
from catenet.wire.dns.numbers import QR
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


@pytest.mark.parametrize(
    "told, connections",
    [
        (b"", 1),  # it does not say: ours counts
        (b"\0\0", 3),  # no more questions
        (b"\4\xb0", 1),  # two minutes
        (b"\0", 1),  # none that can be read
    ],
)
def test_a_connection_is_kept_as_long_as_its_server_says(
    told: bytes, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE", 30.0)

    async def run() -> None:
        opened = 0

        async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                    options = ((KEEPALIVE, told),) if told else ()
                    reply = pack(int.from_bytes(query[:2], "big"), QR, Question(b"\0", 2), edns=Edns(options=options))
                    writer.write(len(reply).to_bytes(2, "big") + reply)
            writer.close()

        listener = await asyncio.start_server(answering, "127.0.0.1", 0)
        server = Server(bytes((127, 0, 0, 1)), listener.sockets[0].getsockname()[1])
        came: asyncio.Queue[int] = asyncio.Queue()
        upstream = Upstream(lambda token, data: came.put_nowait(token), lambda token: None)
        for token in (1, 2, 3):
            query = pack(token, 0, Question(b"\0", 2))
            upstream.begin(Exchange(token, server, "tcp", query))
            assert await asyncio.wait_for(came.get(), 20) == token
            upstream.end(token)
        assert opened == connections
        await upstream.close()
        listener.close()
        await listener.wait_closed()

    asyncio.run(run())
