"""What a datagram core gets from net/: UDP over both IP versions, on the kernel and in worlds."""

import asyncio
import errno
import socket

import pytest
from datagram_echo import AskCore, EchoCore

from catenet.net import ConnectError, connect_datagrams, serve_datagrams
from catenet.net.listen import bind_udp
from catenet.world import World

URLS = {"IPv4": "udp://127.0.0.1:0", "IPv6": "udp://[::1]:0", "all IPv4": "udp://0.0.0.0:0", "all": "udp://:0"}


async def ask(client, question):
    client.core.ask(question, asyncio.get_running_loop().time())
    client.flush()
    return await client.next_event()


@pytest.mark.parametrize("kind", URLS)
def test_datagrams_come_back(run, kind):
    async def main():
        async with await serve_datagrams(EchoCore(), URLS[kind]) as server:
            (url,) = server.urls
            for host in {"IPv4": ["127.0.0.1"], "IPv6": ["[::1]"], "all": ["127.0.0.1", "[::1]"]}.get(kind, ["127.1"]):
                port = url.rpartition(":")[2]
                async with await connect_datagrams(AskCore, f"udp://{host}:{port}") as client:
                    assert await ask(client, b"hello") == b"hello"
                    assert await ask(client, b"") == b""
                    assert await ask(client, b"x" * 9000) == b"x" * 9000

    run(main())


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.77"), ("", "127.0.0.77"), ("", "::1")])
def test_an_answer_leaves_from_the_address_that_was_asked(run, host, asked):
    """The client's socket is connected: it hears nobody else (RFC 8085 section 5.1 needs no more than that)."""

    async def main():
        async with await serve_datagrams(EchoCore(), f"udp://{host}:0") as server:
            port = server.urls[0].rpartition(":")[2]
            where = f"[{asked}]" if ":" in asked else asked
            async with await connect_datagrams(AskCore, f"udp://{where}:{port}") as client:
                assert await ask(client, b"who") == b"who"
                assert client.core.errors == []

    run(main())


def test_one_core_serves_many_sockets_and_tells_their_peers_apart(run):
    async def main():
        server = await serve_datagrams(EchoCore(), ["udp://127.0.0.1:0", "udp://[::1]:0"], keep_events=True)
        async with server:
            for url in server.urls:
                async with await connect_datagrams(AskCore, url) as client:
                    assert await ask(client, b"x") == b"x"
                    (sock,) = client._sockets
                    host, port = sock.getsockname()[:2]
                    assert await server.next_event() == (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    run(main())


def test_a_port_that_nobody_listens_on_is_told(run):
    async def main():
        (unused,) = await bind_udp("127.0.0.1", 0)
        async with await connect_datagrams(AskCore, f"udp://127.0.0.1:{unused.getsockname()[1]}") as client:
            unused.close()
            client.core.ask(b"x", asyncio.get_running_loop().time())
            client.flush()
            while ConnectionRefusedError not in client.core.errors:
                await asyncio.sleep(0.01)

    run(main())


def test_what_is_too_large_is_told_and_the_rest_goes_on(run):
    async def main():
        async with await serve_datagrams(EchoCore(), "udp://127.0.0.1:0") as server:
            async with await connect_datagrams(AskCore, server.urls[0]) as client:
                client.core.ask(b"x" * 70_000, asyncio.get_running_loop().time())
                client.flush()
                assert client.core.errors == [OSError]
                assert await ask(client, b"x") == b"x"

    run(main())


def test_who_takes_no_events_is_sent_no_more(run):
    async def main():
        async with await serve_datagrams(EchoCore(), "udp://127.0.0.1:0", keep_events=True) as server:
            port = int(server.urls[0].rpartition(":")[2])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
                for _ in range(200):
                    flood.sendto(b"x", ("127.0.0.1", port))
                while server._reading:
                    await asyncio.sleep(0.001)
                assert len(server._events._events) <= 128
                name = "{}:{}".format(*flood.getsockname())
                flood_name = name.replace("0.0.0.0", "127.0.0.1")
                assert [await server.next_event() for _ in range(200)] == [flood_name] * 200

    run(main())


class Blocking:
    """A socket whose queue is full now and then."""

    def __init__(self, sock):
        self._sock = sock
        self.sent = 0

    def __getattr__(self, name):
        return getattr(self._sock, name)

    def sendmsg(self, *words):
        self.sent += 1
        if self.sent % 2:
            raise BlockingIOError(errno.EAGAIN, "full")
        return self._sock.sendmsg(*words)


def test_what_the_kernel_does_not_take_waits_its_turn(run):
    async def main():
        server = await serve_datagrams(EchoCore(), "udp://127.0.0.1:0")
        blocking = Blocking(server._sockets[0])
        server._read(False)
        server._sockets[0] = blocking
        server._read(True)
        async with server, await connect_datagrams(AskCore, server.urls[0]) as client:
            for question in (b"three", b"x", b"y"):
                assert await ask(client, question) == question
            assert blocking.sent >= 6

    run(main())


def test_draining_waits_for_what_has_begun(run):
    async def main():
        server = await serve_datagrams(EchoCore(), "udp://127.0.0.1:0")
        client = await connect_datagrams(AskCore, server.urls[0])
        client.core.ask(b"x", asyncio.get_running_loop().time())
        await client.drain(grace=30)
        assert client.core.idle and client.urls == []
        assert await client.next_event() == b"x"
        assert await client.next_event() is None
        late = await connect_datagrams(AskCore, server.urls[0])
        server.close()
        late.core.ask(b"y", asyncio.get_running_loop().time())
        await late.drain(grace=0.05)
        assert not late.core.idle

    run(main())


def test_urls(run):
    async def main():
        with pytest.raises(ValueError, match="no scheme 'tcp'"):
            await serve_datagrams(EchoCore(), "tcp://127.0.0.1:0")
        with pytest.raises(ConnectError, match=r"cannot connect to udp://a\.\.b:7: 'a\.\.b' is no name of a host"):
            await connect_datagrams(AskCore, "udp://a..b:7")
        with pytest.raises(OSError, match=r"'a\.\.b' is no name"):
            await serve_datagrams(EchoCore(), "udp://a..b:7")

    run(main())


@pytest.mark.parametrize("where", ["10.0.0.1", "[fd00::1]", "server"])
def test_in_a_lossy_world_and_the_same_every_time(where):
    def once(seed):
        results = []

        async def server():
            await serve_datagrams(EchoCore(), "udp://:7")
            await asyncio.Event().wait()

        async def client():
            async with await connect_datagrams(AskCore, f"udp://{where}:7") as endpoint:
                results.extend([await ask(endpoint, b"%d" % number) for number in range(50)])

        with World(seed) as world:
            for name in ("server", "client"):
                world.host(name)
                world.link(name, latency="15ms", loss="20%", duplicate="5%")
            world.hosts["server"].run(lambda: asyncio.run(server()), daemon=True)
            world.hosts["client"].run(lambda: asyncio.run(client()), start=0.1)
            world.run(600)
            assert [process.status for process in world.processes if not process.daemon] == [0]
            return results, world.now, world.trace.hexdigest()

    results, took, _ = first = once(3)
    assert results == [b"%d" % number for number in range(50)] and took > 3
    assert once(3) == first and once(4)[2] != first[2]
