"""Readers and writers of sessions on both event loops: as asyncio's, over connections that break."""

import asyncio
import os
import re
import ssl

import pytest
import trustme

from catenet import session
from catenet.net import ConnectError


@pytest.fixture(scope="module")
def contexts():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def cut(server):
    """Break every connection."""
    for connection in list(server._connections.values()):
        connection.abort()


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def test_everything_that_asyncio_offers(run):
    async def handler(reader, writer):
        assert await reader.readline() == b"a line\n"
        assert await reader.readexactly(4) == b"four"
        assert await reader.readuntil(b";") == b"until;"
        assert [line async for line in reader] == [b"one\n", b"two"]
        assert reader.at_eof()
        writer.writelines([b"x", bytearray(b"y"), memoryview(b"z")])
        await writer.drain()
        assert writer.can_write_eof() and not writer.is_closing()
        writer.write_eof()
        writer.close()
        assert writer.is_closing()
        await writer.wait_closed()

    async def main():
        async with await session.serve(handler, "session+tcp://127.0.0.1:0") as server:
            reader, writer = await session.connect(server.urls[0])
            assert isinstance(reader, asyncio.StreamReader) and isinstance(writer, asyncio.StreamWriter)
            assert writer.get_extra_info("peername")[1] == int(server.urls[0].rpartition(":")[2])
            writer.write(b"a line\nfouruntil;one\ntwo")
            writer.write_eof()
            assert await reader.read() == b"xyz"
            writer.close()
            await writer.wait_closed()
            assert writer.transport.is_closing()

    run(main())


@pytest.mark.parametrize("scheme", ["session+tcp", "session+tls"])
def test_a_stream_survives_its_connections(run, contexts, scheme):
    async def main():
        url = f"{scheme}://127.0.0.1:0"
        async with await session.serve(echo, url, tls=contexts[0]) as server:
            reader, writer = await session.connect(server.urls[0], tls=contexts[1], buffer=256 << 10)
            data = os.urandom(4 << 20)

            async def send():
                for at in range(0, len(data), 40_000):
                    writer.write(data[at : at + 40_000])
                    await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            got = bytearray()
            while piece := await reader.read(65536):
                if len(got) * 8 // len(data) != (len(got) + len(piece)) * 8 // len(data):
                    cut(server)
                got += piece
            await sending
            assert got == data
            assert writer.session.connections >= 4
            writer.close()
            await writer.wait_closed()
            await until(lambda: not server.sessions)

    run(main())


def test_a_resumed_session_needs_one_round_trip(run):
    async def main():
        async with await session.serve(echo, "session+tcp://127.0.0.1:0") as server:
            reader, writer = await session.connect(server.urls[0])
            writer.write(b"1")
            assert await reader.read(1) == b"1"
            cut(server)
            writer.write(b"2")
            assert await reader.read(1) == b"2"
            assert writer.session.connections == 2

    run(main())


def test_make_before_break(run):
    async def main():
        async with await session.serve(echo, "session+tcp://127.0.0.1:0") as server:
            reader, writer = await session.connect(server.urls[0])
            for number in range(20):
                writer.write(b"%02d" % number)
                writer.session.migrate()
                assert await reader.readexactly(2) == b"%02d" % number
                assert writer.session.connected
            await until(lambda: writer.session.connections > 1 and len(server._connections) == 1)

    run(main())


def test_a_server_that_forgets_says_what_it_had(run):
    async def main():
        server = await session.serve(echo, "session+tcp://127.0.0.1:0")
        url = server.urls[0]
        reader, writer = await session.connect(url)
        writer.write(b"x" * 1000)
        assert await reader.readexactly(1000) == b"x" * 1000
        await until(lambda: not writer.session.unacknowledged)
        cut(server)
        server.table.sessions.clear()
        writer.write(b"y" * 10)
        with pytest.raises(session.SessionLost) as caught:
            await reader.read(1)
        assert caught.value.acknowledged == 1000
        with pytest.raises(session.SessionLost):
            await writer.drain()
        await server.close()

    run(main())


def test_a_server_that_closes_says_so(run):
    async def main():
        server = await session.serve(echo, "session+tcp://127.0.0.1:0")
        reader, writer = await session.connect(server.urls[0])
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        await server.close()
        with pytest.raises(session.SessionReset, match="shuts down"):
            await reader.read(1)
        with pytest.raises(ConnectError):
            await session.connect("session+tcp://127.0.0.1:1")

    run(main())


def test_a_handler_that_fails_breaks_its_session(run, caplog):
    async def handler(reader, writer):
        raise RuntimeError("of the handler")

    async def main():
        async with await session.serve(handler, "session+tcp://127.0.0.1:0") as server:
            reader, _ = await session.connect(server.urls[0])
            with pytest.raises(session.SessionReset):
                await reader.read(1)
            assert "of the handler" in caplog.text

    run(main())


def test_who_may_begin(run, contexts):
    key = os.urandom(16)

    async def permit(asking):
        return asking.credentials == b"alice"

    async def main():
        async with await session.serve(echo, "session+tcp://127.0.0.1:0", key=key) as server:
            reader, writer = await session.connect(server.urls[0], key=key)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            for wrong in (None, os.urandom(16)):
                with pytest.raises(session.SessionRefused):
                    await session.connect(server.urls[0], key=wrong)
            assert server.sessions == 1
        options = {"tls": contexts[1]}
        async with await session.serve(echo, "session+tls://127.0.0.1:0", tls=contexts[0], authorize=permit) as server:
            reader, writer = await session.connect(server.urls[0], credentials=b"alice", **options)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            reader, writer = await session.connect(server.urls[0], credentials=b"mallory", **options)
            with pytest.raises(session.SessionReset, match="not permit"):
                await reader.read(1)
        with pytest.raises(ValueError, match="within TLS only"):
            await session.connect("session+tcp://127.0.0.1:7", credentials=b"alice")

    run(main())


def test_the_certificate_of_a_client_is_asked_about_and_must_stay(run, contexts):
    authority = trustme.CA()
    server, client = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    server.verify_mode = ssl.CERT_REQUIRED
    for context in (server, client):
        authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    alice, mallory = (authority.issue_cert(f"{name}@example.org") for name in ("alice", "mallory"))
    alice.configure_cert(client)
    der = ssl.PEM_cert_to_DER_cert(alice.cert_chain_pems[0].bytes().decode())
    asked = []

    def permit(asking):
        asked.append(asking.certificate)
        return asking.certificate == der

    async def main():
        async with await session.serve(echo, "session+tls://127.0.0.1:0", tls=server, authorize=permit) as serving:
            reader, writer = await session.connect(serving.urls[0], tls=client)
            for number in range(3):
                writer.write(b"%d" % number)
                assert await reader.readexactly(1) == b"%d" % number
                cut(serving)
            await until(lambda: writer.session.connections >= 4 and writer.session.connected)
            assert asked == [der]
            mallory.configure_cert(client)
            cut(serving)
            with pytest.raises(session.SessionLost):
                await reader.read(1)
            reader, _ = await session.connect(serving.urls[0], tls=client)
            with pytest.raises(session.SessionReset, match="not permit"):
                await reader.read(1)

    run(main())


@pytest.mark.parametrize("behind", ["session+tcp", "session+tls"])
def test_tls_that_ends_at_a_balancer(run, contexts, behind):
    """Proofs cannot be bound to a connection that is two: both ends must say that they do without."""

    async def main():
        terms = {"tls": contexts[0] if behind == "session+tls" else None, "channel_binding": False}
        async with await session.serve(echo, f"{behind}://127.0.0.1:0", **terms) as server:
            far = {"port": int(server.urls[0].rpartition(":")[2]), "ssl": contexts[1] if terms["tls"] else None}
            relayed = []

            async def relay(reader, writer):
                relayed.append(writer)
                behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", **far)
                await asyncio.gather(copy(reader, behind_writer), copy(behind_reader, writer))

            balancer = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=contexts[0])
            url = f"session+tls://127.0.0.1:{balancer.sockets[0].getsockname()[1]}"
            with pytest.raises(session.SessionRefused, match="its TLS"):
                await session.connect(url, tls=contexts[1])
            reader, writer = await session.connect(url, tls=contexts[1], channel_binding=False)
            for number in range(3):
                writer.write(b"%d" % number)
                assert await reader.readexactly(1) == b"%d" % number
                relayed[-1].transport.abort()
            await until(lambda: writer.session.connections >= 4 and writer.session.connected)
            writer.close()
            await writer.wait_closed()
            balancer.close()

    run(main())


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def test_a_writer_waits_for_a_reader(run):
    async def handler(reader, writer):
        await asyncio.sleep(0.05)
        assert len(await reader.read()) == 1 << 20

    async def main():
        async with await session.serve(handler, "session+tcp://127.0.0.1:0", buffer=64 << 10) as server:
            _, writer = await session.connect(server.urls[0], buffer=64 << 10)
            for _ in range(16):
                writer.write(bytes(64 << 10))
                await writer.drain()
                assert writer.session.unacknowledged <= 128 << 10
            writer.close()
            await writer.wait_closed()

    run(main())


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "its answer looks like HTTP$"),
        ([b"HT", b"TP/1.1 400 Bad Request\r\n\r\n"], "its answer looks like HTTP$"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "its answer looks like SSH$"),
        ([b"\x15\x03\x03\x00\x02\x02\x0a"], r"its answer looks like TLS, of which the URL says nothing"),
        ([b"220 mail.example ESMTP\r\n"], "its answer begins with b'220 '$"),
    ],
)
def test_a_server_of_another_protocol(run, pieces, message):
    async def answer(reader, writer):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)
        writer.close()
        answered.set()

    answered = asyncio.Event()

    async def main():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"session+tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(ConnectError, match=f"{re.escape(url)}: this is no session server: {message}"):
                await session.connect(url)
            await answered.wait()

    run(main())


def test_a_protocol_that_fails_ends_its_session():
    """What it has taken cannot be handed on again over another connection."""
    problems, lost = [], []

    class Failing(asyncio.Protocol):
        def data_received(self, data):
            raise KeyError("a mistake")

        def connection_lost(self, error):
            lost.append(error)

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["exception"]))
        async with await session.serve(echo, "session+tcp://127.0.0.1:0") as server:
            _, writer = await session.connect(server.urls[0])
            writer.transport.set_protocol(Failing())
            writer.write(b"something")
            await until(lambda: lost and not server.sessions)
        assert problems == lost and isinstance(lost[0], KeyError)

    asyncio.run(main())
