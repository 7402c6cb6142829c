"""Server-sent events: read as they come, across connections that break, in virtual time."""

import asyncio

import pytest
from scripted import Scripted, read_head, reply, replying

from catenet.http.client.client import Client
from catenet.http.client.errors import ConnectFailed, ContentError, StatusError
from catenet.http.sync import Client as SyncClient
from catenet.world import World

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_events_across_connections_that_break():
    """The server says two events and breaks off, twice; is away for a while; then says that this was all."""
    asked, results = [], []

    async def serve():
        parts = [b"retry: 1000\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n", b"data: c\n\nid: 4\nevent: e\ndata: d", b""]

        async def handle(reader, writer):
            _, fields = await read_head(reader)
            asked.append((round(asyncio.get_running_loop().time(), 1), fields.get("last-event-id"), fields["accept"]))
            if not parts:
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                part = parts.pop(0)
                writer.write(HEAD + part if part else b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        await (await asyncio.start_server(handle, None, 80)).serve_forever()

    async def listen():
        async with Client() as client:
            results.extend([event async for event in client.events("http://server/")])

    with World(3) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="5ms")
        world.hosts["server"].run(lambda: asyncio.run(serve()), daemon=True)
        world.hosts["client"].run(lambda: asyncio.run(listen()), start=0.1)
        world.run(100)
    assert [(event.data, event.id, event.event) for event in results] == [
        ("a", "1", "message"), ("b", "2", "message"), ("c", "2", "message"),
    ]  # fmt: skip
    assert [last for _, last, _ in asked] == [None, "2", "2", "2"]
    assert all(accept == "text/event-stream" for _, _, accept in asked)
    times = [at for at, _, _ in asked]
    assert times[1] - times[0] < 1.3 and times[2] - times[1] < 1.3 and 1.3 < times[3] - times[2] < 2.3


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (reply(b"", "404 Not Found"), StatusError, "404 Not Found"),
        (reply(b"", "503 Busy"), StatusError, "503"),
        (reply(b"<html>", content_type="text/html"), ContentError, "200 with text/html, not with events"),
        (HEAD + b"data: " + b"x" * 2_000_000, ContentError, "over its limit"),
    ],
)
def test_what_is_no_stream_of_events(response, error, message):
    async def main():
        async with Scripted(replying(response)) as server, Client() as client:
            async for _ in client.events(server.url):
                pass

    with pytest.raises(error, match=message):
        asyncio.run(main())


def test_a_first_connection_that_fails_is_no_event():
    async def main():
        async with Client() as client:
            await anext(client.events("http://127.0.0.1:1/"))

    with pytest.raises(ConnectFailed):
        asyncio.run(main())


def test_events_without_await():
    from scripted import in_background

    with in_background(replying(HEAD + b"data: 1\n\ndata: 2\n\n")) as server, SyncClient() as client:
        events = client.events(server.url)
        assert [next(events).data, next(events).data] == ["1", "2"]
        events.close()
