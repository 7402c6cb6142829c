"""Clients that hold on to a server without giving it work: each costs it a connection for a known time, and no more.

In virtual time, so that the limits are those of a server in production.
"""

import asyncio
import contextlib
import socket
import time

import pytest
import uvloop
from echoservice import NAME, SAY, Certificates, Echo, serving, text, until

from catenet.http.h2 import frames
from catenet.http.h2.hpack import Encoder, Memo
from catenet.net import stream_server
from catenet.rpc import Channel, ChannelOptions, Server, ServerOptions
from catenet.world import World

PREFACE = frames.PREFACE
SETTINGS = frames.settings({})
GET = f"GET /{NAME}/Say HTTP/1.1\r\nhost: h\r\n\r\n".encode()
UNARY = f"POST /{NAME}/Say HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n".encode()
STREAM = f"POST /{NAME}/Chat HTTP/1.1\r\nhost: h\r\ncontent-type: application/connect+proto\r\n".encode()
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def head(method, stream=1, flags=frames.END_HEADERS, cut=None):
    """A HEADERS frame of a gRPC call, or the beginning of it."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", f"/{NAME}/{method}".encode()),
        (b":authority", b"h"),
        (b"content-type", b"application/grpc"),
    )
    return frames.frame(frames.HEADERS, flags, stream, Encoder(Memo()).encode(fields))[:cut]


def data(payload):
    return frames.frame(frames.DATA, 0, 1, payload)


H2 = PREFACE + SETTINGS

# What is sent at once, and what follows once a second.
TRICKLES = {
    "nothing": (b"", b""),
    "HTTP/1.1 head": (UNARY, b"x"),
    "HTTP/1.1 head by lines": (UNARY, b"x: y\r\n"),
    "HTTP/1.1 head, silent": (b"GET", b""),
    "empty line": (b"\r\n", b""),
    "second head": (GET, b"G"),
    "second head in the same segment": (GET + b"G", b""),
    "body by length": (UNARY + b"content-length: 1000\r\n\r\n", b" "),
    "body by length, silent": (UNARY + b"content-length: 1000\r\n\r\n", b""),
    "body in chunks": (UNARY + CHUNKED, b"1\r\n \r\n"),
    "size of a chunk": (STREAM + CHUNKED, b"0"),
    "part of a message in chunks": (STREAM + CHUNKED + b"5\r\n\0\0\0\1\0\r\n", b"1\r\nx\r\n"),
    "sniffed": (b"PR", b""),
    "preface": (PREFACE[:4], b""),
    "preface by bytes": (PREFACE[:10], b"\r"),
    "preface alone": (PREFACE, b""),
    "SETTINGS by bytes": (PREFACE + frames.settings({9: 9, 10: 10, 11: 11})[:10], b"\0"),
    "HEADERS by bytes": (H2 + head("Chat", cut=12), b"\0"),
    "HEADERS, silent": (H2 + head("Chat", cut=12), b""),
    "header block without end": (H2 + head("Chat", flags=0), b""),
    "CONTINUATION by bytes": (H2 + head("Chat", flags=0) + frames.frame(9, 0, 1, b"xxxx")[:9], b""),
    "frame by bytes": (H2 + frames.frame(frames.PING, 0, 0, bytes(8))[:9], b""),
    "frame header": (H2 + b"\0", b""),
    "unary call without message": (H2 + head("Say"), b""),
    "unary call, message by frames": (H2 + head("Say") + data(b"\0\0\1\0\0"), data(b"x")),
    "part of a message": (H2 + head("Chat") + data(b"\0\0\1\0\0"), data(b"x")),
    "prefix of a message": (H2 + head("Chat") + data(b"\0"), b""),
}
GARBAGE = {
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "SSH": b"\0\0\0\x1c",
    "bare LF": b"\nGET",
}
PATIENT = {
    "idle HTTP/2": (H2, b""),
    "idle HTTP/1.1": (GET, b""),
    "idle after empty line": (GET + b"\r\n", b""),
    "a stream that is opened and waits": (H2 + head("Chat"), b""),
    "a stream between two messages": (H2 + head("Chat") + data(b"\0\0\0\0\0"), b""),
    "a stream between two chunks": (STREAM + CHUNKED + b"5\r\n\0\0\0\0\0\r\n", b""),
    "a slow body": (UNARY + b"content-length: 100000\r\n\r\n", b" " * 300),
    "a slow message": (H2 + head("Say") + data(b"\0\0\xff\0\0"), data(b"x" * 300)),
    "a slow message after a burst": (H2 + head("Say") + data(b"\0\0\xff\0\0" + bytes(11_000)), b""),
}


def besiege(attacks, until, version=4, options=None):
    """Run a server and these clients in a world; return how long the server kept each, None: to the end."""
    kept = {}
    answers = {}

    async def serve():
        running = Server([Echo()], options=options)
        await running.listen("tcp://0.0.0.0:7000" if version == 4 else "tcp://[::]:7000")
        await running.serve_forever()

    def attack(name, first, then):
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        address = socket.getaddrinfo("server", 7000, family, socket.SOCK_STREAM)[0][4]
        with socket.socket(family) as sock:
            sock.connect(address)
            began = time.monotonic()
            kept[name] = None
            sock.sendall(first)
            answers[name] = b""
            while time.monotonic() - began < until:
                sock.settimeout(1.0)
                try:
                    received = sock.recv(65536)
                    answers[name] += received
                    if received == b"":
                        break
                except TimeoutError:
                    try:
                        sock.sendall(then)
                    except OSError:
                        break
                except OSError:
                    break
            else:
                return
            kept[name] = time.monotonic() - began

    with World(1, output=lambda host, stream, line: None) as world:
        world.host("server").run(serve, daemon=True)
        clients = world.host("clients")
        for name, (first, then) in attacks.items():
            clients.run(attack, name, first, then, start=0.5)
        world.run()
    return kept, answers


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_begun_must_be_finished(version):
    """Ten seconds from accept, or from the first byte of what was begun; the server looks every second or two."""
    kept, answers = besiege(TRICKLES, until=30.0, version=version)
    late = {name: seconds for name, seconds in kept.items() if seconds is None or not 9.9 <= seconds <= 13.0}
    assert late == {}
    assert b" 408 " in answers["HTTP/1.1 head"] and b" 408 " in answers["body by length"]
    assert b"the preface of HTTP/2 took too long" in answers["preface alone"]
    assert b"a request head took too long" in answers["header block without end"]


def test_the_limit_is_an_option():
    options = ServerOptions(handshake_timeout=3.0)
    kept, _ = besiege(TRICKLES, until=30.0, options=options)
    assert {name for name, seconds in kept.items() if seconds is None or not 2.9 <= seconds <= 6.0} == set()


def test_what_is_not_http_is_refused_at_once():
    kept, answers = besiege({name: (first, b"") for name, first in GARBAGE.items()}, until=30.0)
    assert all(seconds is not None and seconds < 1.0 for seconds in kept.values()), kept
    assert all(answer.startswith(b"HTTP/1.1 400 ") for answer in answers.values())


def test_who_sends_a_body_that_nobody_wants_hears_the_end_at_once():
    unwanted = (b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n", b"x")
    kept, answers = besiege({"unwanted": unwanted}, until=30.0)
    assert kept["unwanted"] < 1.0 and answers["unwanted"].startswith(b"HTTP/1.1 404 ")


def test_what_is_idle_between_two_things_is_left_alone():
    kept, answers = besiege(PATIENT, until=50.0)
    assert set(kept.values()) == {None}, kept
    assert answers["idle HTTP/1.1"].startswith(b"HTTP/1.1 ")


def test_a_call_survives_an_outage():
    """TCP recovers from twenty seconds without a network in the middle of a message, and so does the call."""
    answered = []

    async def serve():
        running = Server([Echo()])
        await running.listen("tcp://:7000")
        await running.serve_forever()

    async def client():
        async with Channel("tcp://server:7000", options=ChannelOptions()) as channel:
            message = "x" * 2_000_000
            answered.append((await channel.unary(SAY, text(message))).value == message)

    with World(2, output=lambda host, stream, line: None) as world:
        world.host("server").run(serve, daemon=True)
        world.host("client").run(client, start=0.5)
        world.link("server", "client", latency=0.01, rate=1e6)
        world.at(5.0, world.partition, "server")
        world.at(25.0, world.heal)
        world.run()
    assert answered == [True]


def test_slots_of_slow_clients_are_given_to_others():
    """All places are taken by clients that never finish a head, then by idle ones: others get in all the same."""
    served = []

    async def serve():
        running = Server([Echo()], options=ServerOptions(max_connections=20))
        await running.listen("tcp://:7000")
        await running.serve_forever()

    def hold(first):
        socks = []
        for _ in range(20):
            sock = socket.create_connection(("server", 7000))
            sock.sendall(first)
            socks.append(sock)
        time.sleep(60)

    async def client():
        loop = asyncio.get_running_loop()
        async with Channel("tcp://server:7000") as channel:
            began = loop.time()
            await channel.unary(SAY, text("x"), timeout=30.0, wait_for_ready=True)
            served.append(loop.time() - began)

    for first in (UNARY, H2, GET):
        with World(3, output=lambda host, stream, line: None) as world:
            world.host("server").run(serve, daemon=True)
            world.host("attacker").run(hold, first, start=0.1)
            world.host("client").run(client, start=1.0)
            world.run()
    assert len(served) == 3 and all(7.0 < seconds < 15.0 for seconds in served), served


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
def test_the_same_on_the_kernels_sockets(loop, kind, tmp_path, monkeypatch):
    """Every connection ends by itself, TLS handshakes and what comes within TLS included; the last is served."""
    monkeypatch.setattr(stream_server, "CHECK_INTERVAL", 0.05)
    certificates = Certificates()

    async def main():
        url = f"unix:{tmp_path}/s" if kind == "unix" else f"{kind}://127.0.0.1:0"
        options = ServerOptions(handshake_timeout=0.3, max_connections=len(TRICKLES))
        tls = certificates.server() if kind == "tls" else None
        async with serving(url, tls=tls, options=options) as (running, _, real), contextlib.AsyncExitStack() as stack:
            address = running._listeners[0].sockets[0].getsockname()
            family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
            for name, (first, then) in TRICKLES.items():
                first += then
                sock = socket.socket(family)
                stack.callback(sock.close)
                sock.connect(address)
                sock.setblocking(False)
                if tls is not None and name != "nothing":
                    context = certificates.client()
                    context.set_alpn_protocols(["h2"] if first.startswith(PREFACE[:8]) else ["http/1.1"])
                    _, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="localhost")
                    stack.callback(writer.close)
                    writer.write(first)
                else:
                    sock.sendall(first)
            await until(lambda: running._acceptor.open == 0)
            client = certificates.client() if kind == "tls" else None
            async with Channel(real, tls=client) as channel:
                assert (await channel.unary(SAY, text("x"))).value == "x"

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
