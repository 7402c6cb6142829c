"""NTS on sockets: keys and time from one server, by programs and from the command line, on both IP versions."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time

import pytest
from tests.net.loops import run  # noqa: F401
from tests.ntp.nts.conversation import Files
from tests.ntp.serving import serving

from catenet.cli import main
from catenet.ntp.asking import Route, receive
from catenet.ntp.association import Association, PollRange
from catenet.ntp.client import query
from catenet.ntp.nts.client import KeysError, NtsServer, establish
from catenet.ntp.nts.server import serve_securely
from catenet.ntp.nts.tls import client_context
from catenet.ntp.reference import Stated
from catenet.ntp.server import ServerOptions

CLOSED = "the server has closed the connection"
GPS = Stated(1, b"GPS\0")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("nts"))


def serve(files, host="127.0.0.1", **words):
    return serve_securely([f"ntp://{host}:0"], [f"nts://{host}:0"], GPS, ServerOptions(), cert=files.cert, **words)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_time_by_keys(run, files, host):  # noqa: F811
    async def work():
        async with await serve(files, host) as server:
            found = await query([server.urls[1]], patience=30, ca=files.ca)
            answer = found.answers[0]
            assert (answer.verdict, answer.secure, answer.problem) == ("truechimer", True, "")
            assert abs(found.selection.offset) <= found.selection.error_bound
            assert server.counters.authenticated == 1

    run(work())


def test_who_is_not_trusted_is_not_asked(files, tmp_path):
    async def work():
        async with await serve(files) as server:
            found = await query([server.urls[1]], ca=Files(tmp_path).ca)
            assert found.answers[0].verdict == "unreachable"
            assert found.answers[0].problem.endswith("the server's certificate is not accepted")
            assert server.counters.requests == 0

    asyncio.run(work())


@pytest.mark.parametrize(
    ("says", "why"),
    [(b"", "the connection was closed"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS: wrong version number")],
)
def test_who_speaks_something_else(files, says, why):
    async def work():
        async def speak(reader, writer):
            await reader.read(100)
            writer.write(says)
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises(KeysError) as failed:
                await establish("127.0.0.1", port, client_context(files.ca))
        assert str(failed.value) in (
            f"no keys from 127.0.0.1:{port}: {one}" for one in (why, "the server has closed the connection")
        )
        with pytest.raises(KeysError, match="cannot connect to"):
            await establish("127.0.0.1", port, client_context(files.ca))

    asyncio.run(work())


def test_a_server_that_has_no_keys_is_not_asked_again_at_once(files):
    async def work():
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            keys = NtsServer.make("127.0.0.1", port, client_context(files.ca), random.Random(1))
            with pytest.raises(KeysError, match="closed"):
                await keys.locate()
            with pytest.raises(KeysError, match="asked again later"):
                await keys.locate()

    asyncio.run(work())


def test_plain_tls_clients_get_nothing(files):
    """One that offers no ALPN, and one of TLS 1.2."""

    async def work():
        async with await serve(files) as server:
            port = int(server.urls[1].rpartition(":")[2])
            context = ssl.create_default_context(cafile=files.ca)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"\x80\x01\0\x02\0\0\x80\x04\0\x02\0\x0f\x80\0\0\0")
            try:
                assert await reader.read(100) == b""
            except (ssl.SSLError, ConnectionError):
                pass
            writer.close()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)

    asyncio.run(work())


def test_a_server_that_starts_again_is_followed(files):
    """Its cookies are new ones; the client is told by NTSN, and gets keys again."""

    async def work():
        async with await serve(files) as first, await serve(files) as second:
            port_of = [int(url.rpartition(":")[2]) for url in (*first.urls, *second.urls)]
            keys = NtsServer.make("127.0.0.1", port_of[1], client_context(files.ca), random.Random(1))
            association = Association(random.Random(1), polls=PollRange(0, 0), protection=keys.session)
            assert await ask(association, keys)
            keys.place, keys.port = ("127.0.0.1", port_of[2]), port_of[3]
            assert not await ask(association, keys)
            assert keys.session.needs_keys
            assert await ask(association, keys)

    asyncio.run(work())


async def ask(association, keys):
    """One exchange; whether it was a good one."""
    with await Route("", 0, keys).connect() as sock:
        sock.send(association.poll(time.time()))
        return association.receive(await receive(sock), time.time()) is not None


def test_the_command_line(files, capsys):
    words = ["--stratum", "2", "--nts", "--cert", files.cert, "--workers", "2"]
    listen = ["ntp://127.0.0.1:0", "nts://127.0.0.1:0"]
    with serving(*words, listen=listen) as (urls, _):
        assert main(["ntp", "--json", "--ca", files.ca, "--timeout", "30s", "--samples", "2", urls[1]]) == 0
        found = json.loads(capsys.readouterr().out)["servers"][0]
        assert (found["verdict"], found["nts"], found["resolved"]) == ("truechimer", True, "127.0.0.1")
        assert main(["ntp", "--nts", "--ca", files.cert, "--timeout", "30s", urls[1].removeprefix("nts://")]) == 1
        assert "certificate is not accepted" in capsys.readouterr().err
        assert main(["get", "-s", "--cacert", files.ca, urls[1]]) == 0
        assert capsys.readouterr().out.startswith("20")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--nts"], "needs --tls, or --cert (and --key)"),
        (["--cert", "x"], "--cert and --tls go with --nts"),
        (["--nts", "--cert", "no.pem"], "no.pem: No such file or directory"),
        (["--listen", "nts://127.0.0.1:0", "--cert", "x"], "where the time is told is missing"),
        (["--nts", "--client-ca", "x", "--cert", "x"], "--client-ca: clients of NTS have no certificates"),
    ],
)
def test_mistakes_are_one_line(capsys, words, complaint):
    assert main(["serve", "ntp", "--stratum", "1", *words]) == 2
    out, err = capsys.readouterr()
    assert not out and complaint in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["a..b", "x" * 70])
def test_names_that_can_be_none(capsys, name):
    assert main(["ntp", "--nts", name]) == 1
    assert f"no keys from {name}:4460: '{name}' is no name of a host" in capsys.readouterr().err


def test_authorities_that_are_none(capsys, tmp_path):
    assert main(["ntp", "--nts", "--ca", str(tmp_path / "no.pem"), "127.0.0.1"]) == 2
    assert "--ca: " in capsys.readouterr().err
