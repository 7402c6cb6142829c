"""One connection of a client: when it is taken to be stale; what it says of itself to a pool."""

import asyncio
import socket
import time

import pytest

from catenet.http.client.connection import ClientConnection, Dial
from catenet.http.h1.memo import H1Memo
from catenet.http.h2.blocks import Memos
from catenet.http.limits import Limits


class Transport(asyncio.Transport):
    """Enough of one."""

    def __init__(self, sock, tls):
        super().__init__({"socket": sock, "ssl_object": tls})

    def write(self, data):
        pass

    def is_closing(self):
        return False


class Tls:
    def selected_alpn_protocol(self):
        return None


@pytest.mark.parametrize("tls", [None, Tls()], ids=["plain", "TLS"])
def test_an_idle_connection_is_stale_when_its_server_has_closed(tls):
    """What TLS sends by itself (tickets) ends nothing; anything that an idle server says without TLS does."""
    loop = asyncio.new_event_loop()
    here, there = socket.socketpair()
    connection = ClientConnection(loop, Dial(Limits(), Memos(), H1Memo(), None, http1=True))
    connection.connection_made(Transport(here, tls))
    assert not connection.is_stale(60.0), "it was made just now"
    connection.now = time.monotonic() - 1
    assert not connection.is_stale(60.0) and connection.is_stale(0.5)
    there.send(b"ticket")
    assert connection.is_stale(60.0) is (tls is None)
    there.close()
    assert connection.is_stale(60.0)
    assert (connection.room, connection.busy, connection.shared, connection.lasting) == (1, False, False, False)
    here.close()
    loop.close()
