"""Answers to several connections leave at the end of the turn, and the count of connections is right."""

import asyncio

from catenet.http.server.server import serve


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
