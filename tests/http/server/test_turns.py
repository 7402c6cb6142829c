"""Answers to several connections leave at the end of the turn, and the count of connections is right."""

import asyncio

import pytest

from catenet.http.server.server import HttpServer, make_service, serve
from catenet.net.accept import Slot


async def hello(exchange):
    from catenet.http.message import ResponseHead

    await exchange.reply(ResponseHead(200), exchange.head.path)


def test_every_connection_is_answered_whatever_it_sends_together():
    async def main():
        server = await serve(hello, "http://127.0.0.1:0", interface="exchange")
        port = int(server.urls[0].rsplit(":", 1)[1].rstrip("/"))
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for number, (_, writer) in enumerate(connections):
            for again in range(3):
                writer.write(b"GET /%d.%d HTTP/1.1\r\nHost: h\r\n\r\n" % (number, again))
        for number, (reader, _) in enumerate(connections):
            for again in range(3):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                expected = b"/%d.%d" % (number, again)
                assert await reader.readexactly(len(expected)) == expected
        members = server._http.turns
        assert members.members == 40
        for _, writer in connections:
            writer.close()
        await server.close()
        while members.members:  # their transports tell in the next turns
            await asyncio.sleep(0)

    asyncio.run(main())


class Transport:
    def __init__(self):
        self.written = []
        self.write = self.written.append

    def get_extra_info(self, name):
        return None


class Acceptor:
    def released(self):
        pass


@pytest.mark.parametrize("members", [1, 2, 3])
def test_who_is_alone_waits_for_nobody(members):
    async def main():
        loop = asyncio.get_running_loop()
        server = HttpServer(make_service(hello, "exchange"))
        server.begin(loop)
        made = [(server.accepted(Slot(Acceptor(), loop.time())), Transport()) for _ in range(members)]
        for protocol, transport in made:
            protocol.connection_made(transport)
        at_once = []

        def come():
            for protocol, transport in made:
                protocol.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                at_once.append(len(transport.written))

        loop.call_soon(come)
        while len(at_once) < members or not all(transport.written for _, transport in made):
            await asyncio.sleep(0)
        assert at_once == [members <= 2] * members
        for protocol, _ in made:
            protocol.connection_lost(None)
        await server.close()

    asyncio.run(main())
