"""A WebSocket through the gateway to a server that reads nothing: what the gateway takes stays bounded."""

import asyncio

import pytest
from tests.unread import BOUND, Pieces, taken, unread

from catenet.http.client.body import Bytes
from catenet.http.client.origin import Origin
from catenet.http.client.timeouts import Timeouts
from catenet.http.client.transport import Transport, TransportOptions
from catenet.http.gateway.gateway import _Outgoing
from catenet.http.gateway.tunnel import UpstreamTunnel
from catenet.http.message import RequestHead

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
HEAD = RequestHead(b"GET", b"/", ((b"upgrade", b"websocket"), (b"connection", b"upgrade")), b"h")


@pytest.mark.parametrize("size", [200_000, 1000])
def test_what_is_handed_on_waits_for_the_server(size, run):
    pieces = Pieces(size)

    async def main():
        transport = Transport(asyncio.get_running_loop(), TransportOptions(versions="1.1"))
        origin = Origin(False, "127.0.0.1", port, "", None)
        behind = await transport.begin(origin, HEAD, _Outgoing(Bytes(b"")), Timeouts(), None, False, None)
        tunnel = UpstreamTunnel(behind)

        async def hand_on():
            for piece in pieces:
                await tunnel.write(piece)

        handing = asyncio.ensure_future(hand_on())
        assert await taken([pieces]) < BOUND
        assert not handing.done()
        tunnel.close()
        handing.cancel()
        await asyncio.wait([handing])
        await transport.close()

    with unread(http2=False, answer=SWITCHED) as port:
        run(main())
