"""Peers that break HTTP: the other side says so at once, in one line, and writes nothing after its last word."""

import asyncio

import pytest
import uvloop
from echoservice import CHAT, COUNT, FLAKY, SAY, SLEEP, Certificates, Echo, failure, number, serving, text, until

from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo
from catenet.net import driver
from catenet.rpc import Channel, ChannelOptions, Code, RpcError

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SETTINGS = frames.settings({})
REPLY = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, Encoder(Memo()).encode(((b":status", b"200"),)))

BROKEN_SERVERS = {
    "no SETTINGS": frames.frame(frames.PING, 0, 0, bytes(8)),
    "a frame that is too large": SETTINGS + b"\xff\xff\xff" + bytes(6),
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
    "a banner": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a pushed stream": SETTINGS + frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2\x88"),
    "HPACK": SETTINGS + frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff"),
    "a stream of ours that is not open": SETTINGS + frames.frame(frames.HEADERS, 4, 99, b"\x88"),
    "in the middle of a response": SETTINGS + REPLY + frames.frame(frames.DATA, 0, 0, b"x"),
    "window": SETTINGS + frames.window_update(0, 0),
}


@pytest.fixture(params=LOOPS)
def run(request, monkeypatch):
    """Run a coroutine on either event loop; nothing may reach its exception handler, and nothing may have to linger."""
    monkeypatch.setattr(driver, "LINGER", 10_000.0)

    def run(work):
        problems = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
            await work
            await asyncio.sleep(0)

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main())
        assert problems == []

    return run


async def misbehaving(answer, tls=None):
    """Listen, and answer every connection with these bytes, then go on sending until the client has closed."""
    ended = asyncio.Event()

    async def serve(reader, writer):
        try:
            await reader.read(24)
            writer.write(answer)
            while await reader.read(65536):
                writer.write(frames.frame(frames.PING, 0, 0, bytes(8)))
        except ConnectionError:
            pass
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    return server, server.sockets[0].getsockname()[1], ended


@pytest.mark.parametrize("broken", BROKEN_SERVERS)
@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_a_call_fails_at_once_and_says_why(run, broken, secure):
    async def main():
        certificates = Certificates()
        context = certificates.server() if secure else None
        if context is not None:
            context.set_alpn_protocols(["h2"])
        server, port, ended = await misbehaving(BROKEN_SERVERS[broken], context)
        url = f"{'tls' if secure else 'tcp'}://127.0.0.1:{port}"
        async with Channel(url, tls=certificates.client() if secure else None) as channel:
            error = await failure(channel.unary(SAY, text("x")))
            # Before the channel has taken the connection into use, or after.
            assert error.code in (Code.UNAVAILABLE, Code.INTERNAL) and "protocol error: " in error.message, error
            with pytest.raises(RpcError, match="protocol error: "):
                async with channel.bidi(CHAT) as call:
                    while True:
                        await call.send(text("x" * 1000))
                        await call.receive()
        await ended.wait()
        server.close()

    run(main())


def test_the_message_names_the_fault(run):
    async def main():
        server, port, _ = await misbehaving(BROKEN_SERVERS["HTTP/1.1"])
        async with Channel(f"tcp://127.0.0.1:{port}") as channel:
            error = await failure(channel.unary(SAY, text("x")))
        assert error.message.endswith("protocol error: the server speaks HTTP/1.1 and not HTTP/2")
        server.close()

    run(main())


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\nx: y\n\n", b"\0\0\0\4"])
def test_over_http_1_1_too(run, answer):
    async def main():
        server, port, ended = await misbehaving(answer)
        options = ChannelOptions(protocol="connect", http1=True)
        async with Channel(f"tcp://127.0.0.1:{port}", options=options) as channel:
            error = await failure(channel.unary(SAY, text("x")))
            assert "protocol error: " in error.message, error
        await ended.wait()
        server.close()

    run(main())


@pytest.mark.parametrize("method", [SLEEP, COUNT], ids=["waiting", "streaming"])
def test_a_server_whose_client_breaks_http_2(run, method):
    """Handlers that wait or produce are stopped; the client reads GOAWAY although it goes on sending."""

    async def main():
        echo = Echo()
        async with serving(implementation=echo) as (server, _, url), Channel(url) as channel:
            connection = await channel.connections().wait(False, None)
            if method is SLEEP:
                call = asyncio.create_task(failure(channel.unary(SLEEP, text("1000"))))
                await echo.started.wait()
            else:
                stream = channel.server_stream(COUNT, number(1_000_000))
                await anext(stream)
                call = asyncio.create_task(failure(drained(stream)))
            connection.transport.write(frames.frame(frames.DATA, 0, 0, b"on no stream"))
            for _ in range(10):
                connection.transport.write(frames.frame(frames.PING, 0, 0, bytes(8)))
            assert isinstance(await call, RpcError)
            assert connection.core.goaway is not None and connection.core.goaway.code == 1
            await until(lambda: server.connections == 0)
            assert server.counters.protocol_errors == 1
            if method is SLEEP:
                assert "cancelled" in echo.heard

    run(main())


async def drained(stream):
    async for _ in stream:
        pass


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"
CUT = {
    "before the response": lambda kind: b"",
    "in its head": lambda kind: HEAD % kind,
    "in its body": lambda kind: HEAD % kind + b"content-length: 100\r\n\r\n\0\0",
    "in a chunk": lambda kind: HEAD % kind + b"transfer-encoding: chunked\r\n\r\n5\r\n\0",
}


@pytest.mark.parametrize("ending", ["close", "abort"])
@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize(
    ("protocol", "kind"), [("connect", b"application/proto"), ("grpc-web", b"application/grpc-web+proto")]
)
def test_a_connection_that_breaks_under_a_call_over_http_1_1(run, protocol, kind, cut, ending):
    """UNAVAILABLE, and what is idempotent is tried again unless a response had begun."""
    requests = 0

    async def serve(reader, writer):
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.write(CUT[cut](kind))
        await writer.drain()
        writer.transport.abort() if ending == "abort" else writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        options = ChannelOptions(protocol=protocol, http1=True)
        async with Channel(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", options=options) as channel:
            error = await failure(channel.unary(SAY, text("x")))
            assert error.code is Code.UNAVAILABLE and "protocol error" not in error.message, error
            assert requests == 1
            error = await failure(channel.unary(FLAKY, text("x")))
            assert error.code is Code.UNAVAILABLE, error
            if ending == "close":
                assert (requests > 2) is (cut in ("before the response", "in its head"))
        server.close()

    run(main())
