"""`Client.websocket`: what the client has goes along; against the websockets package."""

import asyncio

import websockets.asyncio.server

from catenet.http.client.client import Client
from catenet.http.policy.cookies import Cookie


def opened(tls=None, **options):
    seen = []

    async def serve(socket):
        seen.append(dict(socket.request.headers.raw_items()))
        async for message in socket:
            await socket.send(message)

    async def main():
        async with websockets.asyncio.server.serve(serve, "localhost", 0, ssl=tls) as server:
            port = server.sockets[0].getsockname()[1]
            async with Client(**options) as client:
                client.cookies.add(Cookie("a", "b", "localhost"))
                url = f"{'wss' if tls else 'ws'}://localhost:{port}/"
                async with await client.websocket(url, headers={"X-Own": "1"}) as socket:
                    await socket.send("hello")
                    return await socket.receive()

    message = asyncio.run(main())
    return message, {name.lower(): value for name, value in seen[0].items()}


def test_a_websocket_with_what_the_client_has():
    message, fields = opened(headers={"X-All": "2"}, auth=("u", "p"))
    assert message == "hello" and fields["user-agent"].startswith("catenet/")
    assert (fields["x-own"], fields["x-all"], fields["cookie"]) == ("1", "2", "a=b")
    assert fields["authorization"] == "Basic dTpw"


def test_over_tls(authority):
    assert opened(tls=authority.server, ca=authority.ca)[0] == "hello"
