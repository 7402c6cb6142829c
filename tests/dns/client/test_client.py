"""Asking servers: on loopback and in worlds with loss, over UDP, TCP and TLS, with answers that are cut or forged."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from tests.dns.name_server import start

from catenet.dns import ask, lookup
from catenet.dns.client import Client, Query
from catenet.dns.stream import StreamQueries
from catenet.wire.address import parse_address
from catenet.wire.dns import numbers
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.stub import Outcome, Server, StubConfig
from catenet.world import World

PROGRAM = Path(__file__).parents[1] / "name_server.py"
WWW = Question(name_from_text("www.example."), numbers.A)
LONG = Question(name_from_text("long.example."), numbers.TXT)
ADDRESS = bytes((192, 0, 2, 1))


@pytest.fixture
def serve():
    """Start name servers on a free port of the loopback; they end with the test."""
    started = []

    def begin(*habits):
        started.append(start(0, habits))
        return started[-1]

    yield begin
    for server in started:
        server.close()


def url(server, scheme="udp", host="[::1]"):
    return f"{scheme}://{host}:{server.port}"


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["[::1]", "127.0.0.1", "localhost"])
def test_an_answer_comes_over_both_transports_and_versions(serve, scheme, host):
    reply = asyncio.run(ask(url(serve(), scheme, host), WWW))
    assert [record.data for record in reply.message.answer] == [ADDRESS]
    assert reply.server.startswith(scheme)
    assert reply.message.rcode == numbers.NOERROR


def test_an_answer_that_was_cut_comes_by_tcp(serve):
    server = serve()
    reply = asyncio.run(ask(url(server), LONG, edns=Edns()))
    assert len(reply.message.answer) == 20
    assert reply.server == url(server, "tcp")
    assert server.queries == [(numbers.TXT, True), (numbers.TXT, False)]


def test_an_answer_that_was_cut_within_a_record_comes_by_tcp(serve):
    reply = asyncio.run(ask(url(serve("cut within")), WWW))
    assert [record.data for record in reply.message.answer] == [ADDRESS]
    assert reply.server.startswith("tcp://")


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_forged_answers_are_passed_over(serve, scheme):
    reply = asyncio.run(ask(url(serve("forge"), scheme), WWW))
    assert [record.data for record in reply.message.answer] == [ADDRESS]


def test_a_malformed_answer_is_said_at_once_where_nobody_can_have_forged_it(serve):
    with pytest.raises(OSError, match="sent a malformed answer"):
        asyncio.run(ask(url(serve("malformed"), "tcp"), WWW))
    with pytest.raises(TimeoutError, match="what came was malformed"):
        asyncio.run(ask(url(serve("malformed")), WWW, attempt_timeout=0.2, attempts=1))


def test_silence_is_asked_again_and_then_given_up(serve):
    server = serve("silent=1")
    reply = asyncio.run(ask(url(server), WWW, attempt_timeout=0.2))
    assert reply.message.answer
    assert len(server.queries) == 2
    with pytest.raises(TimeoutError, match=r"no answer from udp://\[::1\]:\d+ in 2 x 0.1 s"):
        asyncio.run(ask(url(serve("silent=99")), WWW, attempt_timeout=0.1, attempts=2))
    with pytest.raises(TimeoutError, match="no answer from tcp"):
        asyncio.run(ask(url(serve("silent=99"), "tcp"), WWW, attempt_timeout=0.1))


@pytest.mark.parametrize("scheme", ["udp", "tcp", "tls"])
def test_a_port_where_nobody_listens_is_said_at_once(scheme):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(OSError, match=r"refused|cannot connect"):
        asyncio.run(ask(f"{scheme}://127.0.0.1:{port}", WWW, attempt_timeout=60))


@contextlib.asynccontextmanager
async def closing_server():
    """A server that closes without an answer; its port."""

    async def close(reader, writer):
        await reader.read(2)
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def test_a_server_that_closes_without_an_answer_is_an_error():
    async def main():
        async with closing_server() as port:
            await ask(f"tcp://127.0.0.1:{port}", WWW)

    with pytest.raises(ConnectionError):
        asyncio.run(main())


def test_a_lookup_goes_on_when_a_server_closes_without_an_answer(serve):
    good = serve()

    async def main():
        async with closing_server() as port:
            servers = (Server(parse_address("127.0.0.1"), port), Server(parse_address("127.0.0.1"), good.port))
            config = StubConfig(servers, use_tcp=True, timeout=100.0)
            return await asyncio.wait_for(lookup("www.example.", [numbers.A, numbers.AAAA], config), 20)

    assert asyncio.run(main()).outcome is Outcome.ANSWER


def test_a_lookup_goes_through_the_search_list_and_follows_servers(serve):
    dead, good = serve("refuse"), serve()
    servers = tuple(Server(parse_address("::1"), one.port) for one in (dead, good))
    config = StubConfig(servers, (name_from_text("none.example."), name_from_text("example.")))
    answer = asyncio.run(lookup("www", [numbers.A, numbers.AAAA], config))
    assert answer.outcome is Outcome.ANSWER
    assert name_to_text(answer.name) == "www.example."
    assert {record.type for record in answer.records} == {numbers.A, numbers.AAAA}
    assert asyncio.run(lookup("nobody.example.", [numbers.A], config)).outcome is Outcome.NO_NAME
    assert asyncio.run(lookup("alias.example", [numbers.AAAA], config)).outcome is Outcome.NO_DATA


def test_a_lookup_takes_what_was_cut_by_tcp(serve):
    server = serve("cut")
    config = StubConfig((Server(parse_address("127.0.0.1"), server.port),))
    answer = asyncio.run(lookup("long.example.", [numbers.TXT], config))
    assert len(answer.records) == 20


def test_a_lookup_without_anybody_ends():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, socket.create_server(("127.0.0.1", 0)) as taken:
        silent.bind(("127.0.0.1", 0))
        servers = (
            Server(parse_address("127.0.0.1"), silent.getsockname()[1]),
            Server(parse_address("127.0.0.1"), taken.getsockname()[1]),
        )
        config = StubConfig(servers, timeout=0.1, attempts=1)
        assert asyncio.run(lookup("www.example.", [numbers.A], config)).outcome is Outcome.TRY_AGAIN


def test_messages_on_a_stream_come_in_any_pieces():
    core = StreamQueries()
    whole = b"".join(len(one).to_bytes(2, "big") + one for one in (b"a", b"", b"x" * 300))
    got = []
    for byte in whole:
        core.receive(bytes((byte,)), 0.0)
        while (message := core.next_event()) is not None:
            got.append(message)
    assert got == [b"a", b"", b"x" * 300]
    core.receive(b"", 0.0)
    assert core.closed


def test_over_tls(serve):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    plain = serve()

    async def main():
        async def relay(reader, writer):
            to_plain = await asyncio.open_connection("::1", plain.port)
            for source, target in ((reader, to_plain[1]), (to_plain[0], writer)):
                target.write(await source.read(65536))

        async with await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            return await ask(f"tls://127.0.0.1:{port}", WWW)

    with authority.cert_pem.tempfile() as file:
        import os

        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = file
        try:
            reply = asyncio.run(main())
        finally:
            del os.environ["SSL_CERT_FILE"]
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before
    assert [record.data for record in reply.message.answer] == [ADDRESS]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("server", ["10.0.0.1", "fd00::1"])
def test_in_a_world_with_loss(seed, server):
    """The command line itself, on a simulated host: retransmission and TCP on our own stack."""
    lines = []
    with World(seed, output=lambda host, stream, line: lines.append((host, line))) as world:
        for name in ("server", "client"):
            world.host(name)
            world.link(name, latency="15ms", loss="10%")
        world.hosts["server"].run(f"{PROGRAM} 53", daemon=True)
        words = f"-m catenet resolve --timeout 1s --attempts 20 +short www.example A long.example TXT @{server}"
        world.hosts["client"].run(words, start=0.1)
        world.run(600)
        (client,) = [process for process in world.processes if not process.daemon]
        assert client.status == 0, lines
    assert [line for host, line in lines if host == "client"] == ["192.0.2.1"] + ['"' + "A" * 255 + '"'] * 20


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_many_questions_at_once_share_a_connection_and_find_their_answers(serve, monkeypatch, scheme):
    server = serve()
    accepted = []
    kind = type(server.servers[1])
    get = kind.get_request
    monkeypatch.setattr(kind, "get_request", lambda self: (accepted.append(1), get(self))[1])
    questions = [WWW, LONG, Question(name_from_text("alias.example."), numbers.A)] * 20

    async def main():
        async with Client() as client:
            queries = [client.ask(url(server, scheme), Query(one, edns=Edns(payload=4096))) for one in questions]
            return await asyncio.gather(*queries)

    replies = asyncio.run(main())
    assert [reply.message.question for reply in replies] == questions
    assert len(accepted) == (1 if scheme == "tcp" else 20)


def test_a_kept_connection_that_the_server_has_closed_is_dialled_again():
    async def main():
        connections = []

        async def answer_once(reader, writer):
            connections.append(1)
            size = int.from_bytes(await reader.readexactly(2), "big")
            query = parse(await reader.readexactly(size))
            message = pack(query.id, numbers.QR, query.question)
            writer.write(len(message).to_bytes(2, "big") + message)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server, Client() as client:
            place = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for _ in range(3):
                await client.ask(place, Query(WWW))
        return connections

    assert asyncio.run(main()) == [1, 1, 1]
