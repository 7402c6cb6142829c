"""The resolver on sockets: UDP, TCP, TLS, servers that are not there; and as programs use it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest
import trustme
from tests.dns import name_server
from tests.dns.resolver.hierarchy import rrset

from catenet.dns import Resolver, ResolverConfig, SyncResolver
from catenet.dns.resolver import ForwardZone, LocalZone, Recursor
from catenet.wire.address import parse_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import NOERROR, NXDOMAIN, SERVFAIL, TXT, A
from catenet.wire.dns.stub import Server

ADDRESSES = ["127.0.0.1", "::1"]
WWW = Question(name_from_text("www.example."), A)


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[list[name_server.Server]]:
    """Name servers; they end with the test."""
    started: list[name_server.Server] = []
    yield started
    for one in started:
        one.close()


def start(servers: list[name_server.Server], *habits: str) -> name_server.Server:
    servers.append(name_server.start(0, habits))
    return servers[-1]


def forwarding(port: int, address: str = "127.0.0.1", **settings: object) -> ResolverConfig:
    zone = ForwardZone(ROOT, (Server(parse_address(address), port),))
    return ResolverConfig(forwards=(zone,), do_not_query=(), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ADDRESSES)
def test_udp_and_tcp_for_what_was_cut(servers: list[name_server.Server], address: str) -> None:
    server = start(servers, "cut")

    async def main() -> None:
        async with Recursor(forwarding(server.port, address)) as recursor:
            response = await recursor.resolve(WWW)
            assert (response.rcode, response.answer[0].data) == (NOERROR, (bytes((192, 0, 2, 1)),))
            again = await recursor.resolve(WWW)
            assert again.answer[0].data == response.answer[0].data
            other = await recursor.resolve(Question(name_from_text("none.example."), A))
            assert other.rcode == NXDOMAIN
            assert not recursor.core._pending

    asyncio.run(main())
    assert [udp for _, udp in server.queries] == [True, False, True, False]


def test_many_questions_share_a_connection(servers: list[name_server.Server]) -> None:
    server = start(servers)

    async def main() -> None:
        async with Recursor(forwarding(server.port, tcp_only=True)) as recursor:
            names = [name_from_text(f"n{number}.example.") for number in range(50)]
            found = await asyncio.gather(*(recursor.resolve(Question(name, A)) for name in names))
            assert {one.rcode for one in found} == {NXDOMAIN}
            assert len(recursor._upstream._connections) == 1

    asyncio.run(main())


def test_forged_answers_are_passed_over(servers: list[name_server.Server]) -> None:
    server = start(servers, "forge")

    async def main() -> None:
        async with Recursor(forwarding(server.port)) as recursor:
            response = await recursor.resolve(WWW)
            assert response.answer[0].data == (bytes((192, 0, 2, 1)),)

    asyncio.run(main())


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("tcp_only", [False, True])
def test_nobody_listens(address: str, tcp_only: bool) -> None:
    """A refused connection, or ICMP, is told at once."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
        taken.bind(("::1", 0))
        port = taken.getsockname()[1]

    async def main() -> None:
        async with Recursor(forwarding(port, address, tcp_only=tcp_only)) as recursor:
            async with asyncio.timeout(20):
                response = await recursor.resolve(WWW)
            assert response.rcode == SERVFAIL
            assert "unreachable" in response.reason

    asyncio.run(main())


def test_a_question_can_be_given_up(servers: list[name_server.Server]) -> None:
    server = start(servers, "silent=1000")

    async def main() -> None:
        async with Recursor(forwarding(server.port)) as recursor:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await recursor.resolve(WWW)
            assert not recursor.core._clients
            waiting = asyncio.ensure_future(recursor.resolve(Question(name_from_text("other.example."), TXT)))
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


@pytest.mark.parametrize(("name", "rcode"), [("dns.example", NOERROR), ("other.example", SERVFAIL), ("", NOERROR)])
def test_forwarders_over_tls_are_who_they_say(name: str, rcode: int) -> None:
    """RFC 7858: the certificate must name the forwarder; without a name anybody will do."""
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("dns.example").configure_cert(server_tls)
    authority.configure_trust(client_tls)
    answers = name_server.Server([])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while size := await reader.readexactly(2):
                for answer in answers.answer(await reader.readexactly(int.from_bytes(size, "big")), 65_535):
                    writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls)
        port = server.sockets[0].getsockname()[1]
        zone = ForwardZone(ROOT, (Server(parse_address("127.0.0.1"), port),), tls=name)
        async with Recursor(ResolverConfig(forwards=(zone,), do_not_query=()), tls=client_tls) as recursor:
            assert (await recursor.resolve(WWW)).rcode == rcode
        server.close()

    asyncio.run(main())


def test_programs_ask_by_text(servers: list[name_server.Server]) -> None:
    server = start(servers)

    async def main() -> None:
        async with Resolver([f"udp://127.0.0.1:{server.port}"]) as resolver:
            answer = await resolver.resolve("alias.example")
            assert (answer.rcode, answer.canonical, answer.data) == ("NOERROR", "www.example.", ["192.0.2.1"])
            assert [one.address for one in answer.rdatas] == ["192.0.2.1"]  # type: ignore[attr-defined]
            assert 0 < answer.ttl <= 60
            assert await resolver.addresses("www.example") == ["2001:db8::1", "192.0.2.1"]
            assert (await resolver.resolve("none.example", "MX")).rcode == "NXDOMAIN"
            with pytest.raises(ValueError, match="not a record type"):
                await resolver.resolve("www.example", "AAAAA")

    asyncio.run(main())


def test_programs_without_an_event_loop(servers: list[name_server.Server]) -> None:
    server = start(servers)
    with SyncResolver([f"[::1]:{server.port}"]) as resolver:
        assert resolver.resolve("www.example.", "A").data == ["192.0.2.1"]
        assert resolver.addresses("www.example.") == ["2001:db8::1", "192.0.2.1"]
    assert len(server.queries) == 2  # the first answer was kept


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="named by its address"):
        SyncResolver(["udp://dns.example"])
    with pytest.raises(ValueError, match="with TLS and servers without"):
        SyncResolver(["udp://192.0.2.1", "tls://192.0.2.1"])


def test_local_names_need_no_server() -> None:
    zone = LocalZone(name_from_text("lan."), "static", (rrset("router.lan. 300 A 10.0.0.1"),))
    with SyncResolver(recursive=True, config=ResolverConfig(local_zones=(zone,))) as resolver:
        assert resolver.resolve("router.lan").data == ["10.0.0.1"]
        assert resolver.resolve("other.lan").rcode == "NXDOMAIN"
        assert resolver.addresses("localhost") == ["::1", "127.0.0.1"]
