"""DNS over QUIC (RFC 9250): our client and our server, each beside dnspython's, and with each other under abuse."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.dns.server.running import ZONE

pytest.importorskip("aioquic")

import dns.asyncquery
import dns.message
import trustme
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset

from catenet.dns.client import Client, Query
from catenet.dns.server import quic
from catenet.dns.server.config import ServerConfig, ZoneConfig
from catenet.dns.server.counters import Board
from catenet.dns.server.quic import QuicServer
from catenet.dns.server.service import Service
from catenet.net import client_context
from catenet.net.datagram import DatagramPeer
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import NXDOMAIN, RD, TXT, A

CLIENT, SERVER = DatagramPeer(("192.0.2.1", 1000)), DatagramPeer(("192.0.2.2", 853))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zone, a certificate with its key, and who signed it."""
    path = tmp_path_factory.mktemp("quic")
    (path / "example.org.zone").write_text(ZONE)
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path / "cert.pem"))
    authority.cert_pem.write_to_path(str(path / "ca.pem"))
    return path


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, Service]]:
    config = ServerConfig(zones=(ZoneConfig(file=str(folder / "example.org.zone")),), recursive=False)
    service = Service(lambda: config, Board(1))
    await service.start(["quic://127.0.0.1:0"], certificate=(str(folder / "cert.pem"), None))
    try:
        yield service.urls[0], service
    finally:
        await service.close()


def question(name: str = "www.example.org.", kind: int = A) -> Query:
    return Query(Question(name_from_text(name), kind), edns=Edns())


def test_questions_on_one_connection_and_a_server_that_goes_away(folder: Path) -> None:
    async def main() -> None:
        async with Client(tls=client_context(str(folder / "ca.pem"))) as client:
            async with serving(folder) as (url, service):
                asked = [client.ask(url, question(name)) for name in ("www.example.org.", "no.such.net.") * 20]
                replies = await asyncio.gather(*asked)
                assert {len(reply.message.answer) for reply in replies[::2]} == {1}
                large = await client.ask(url, question("large.example.org.", TXT))
                assert len(large.message.answer) == 60 and len(large.message.data) > 1500
                assert service.counters.values["queries_quic"] == 41
                with pytest.raises(OSError, match="unable to get local issuer certificate"):
                    async with Client() as stranger:
                        await stranger.ask(url, question(), attempt_timeout=60)
                with pytest.raises(OSError, match=r"doesn't match|not valid"):
                    await client.ask(url, question(), server_name="other.example", attempt_timeout=60)
            with pytest.raises(OSError, match="quic://"):
                await client.ask(url, question(), attempt_timeout=1, attempts=1)
            async with serving(folder) as (url, _):
                assert (await client.ask(url, question("nx.nx.example.org."))).message.rcode != NXDOMAIN

    asyncio.run(asyncio.wait_for(main(), 60))


def test_dnspython_asks_our_server(folder: Path) -> None:
    async def main() -> None:
        async with serving(folder) as (url, _):
            port = int(url.rpartition(":")[2])
            query = dns.message.make_query("www.example.org", "A")
            verify = str(folder / "ca.pem")
            answer = await dns.asyncquery.quic(query, "127.0.0.1", 20, port, verify=verify, server_hostname="localhost")
            assert [str(one) for one in answer.answer[0]] == ["192.0.2.3"]

    asyncio.run(asyncio.wait_for(main(), 60))


class Wire:
    """A client of aioquic and our server's core, without sockets or clocks."""

    def __init__(self, folder: Path, service: Service) -> None:
        assert service._server is not None
        self.server: QuicServer = service._server._quic_cores()[0]
        configuration = QuicConfiguration(alpn_protocols=["doq"], server_name="localhost")
        configuration.load_verify_locations(str(folder / "ca.pem"))
        self.client = QuicConnection(configuration=configuration)
        self.now = asyncio.get_running_loop().time()
        self.client.connect(SERVER, now=self.now)
        self.events: list[object] = []

    def exchange(self) -> None:
        """Carry datagrams to and fro until there are none."""
        for _ in range(50):
            self.now += 0.001
            sent = [data for data, _ in self.client.datagrams_to_send(self.now)]
            for data in sent:
                self.server.receive(data, CLIENT, self.now)
            answers = [data for data, peer in self.server.transmit(self.now) if peer is CLIENT]
            for data in answers:
                self.client.receive_datagram(data, SERVER, self.now)
            while (event := self.client.next_event()) is not None:
                self.events.append(event)
            if not sent and not answers:
                return

    def ended(self) -> int | None:
        """The code with which the server ended the connection; it is told when that has been said for a while."""
        self.client.handle_timer(self.now + 30)
        while (event := self.client.next_event()) is not None:
            self.events.append(event)
        return next((event.error_code for event in self.events if isinstance(event, ConnectionTerminated)), None)


def framed(number: int = 0, edns: Edns | None = None, extra: bytes = b"") -> bytes:
    data = pack(number, RD, Question(name_from_text("www.example.org."), A), edns=edns)
    return len(data).to_bytes(2, "big") + data + extra


@pytest.mark.parametrize(
    "data",
    [
        framed(number=1),
        framed(edns=Edns(options=((11, b""),))),
        framed(extra=b"more"),
        b"\0",
        b"\0\x05abc",
        b"\0\x03abc",
        framed()[:2] + framed()[2:4] + b"\x80" + framed()[5:],
    ],
    ids=["id", "keepalive", "two", "cut", "short", "no query", "response"],
)
def test_what_rfc_9250_forbids_ends_the_connection(folder: Path, data: bytes) -> None:
    async def main() -> None:
        async with serving(folder) as (_, service):
            wire = Wire(folder, service)
            wire.client.send_stream_data(0, data, end_stream=True)
            wire.exchange()
            ended = wire.ended()
            answered = any(isinstance(event, StreamDataReceived) for event in wire.events)
            assert ended == quic.PROTOCOL_ERROR and not answered

    asyncio.run(main())


def test_who_does_not_read_its_answers_is_cut_off(folder: Path) -> None:
    async def main() -> None:
        async with serving(folder) as (_, service):
            wire = Wire(folder, service)
            wire.exchange()
            data = pack(0, RD, Question(name_from_text("large.example.org."), TXT))
            query = len(data).to_bytes(2, "big") + data
            # What acknowledges never comes back: the server has all answers to keep.
            for stream in range(0, 600, 4):
                wire.client.send_stream_data(stream, query, end_stream=True)
            sizes = []
            for _ in range(200):
                wire.now += 0.001
                for data, _ in wire.client.datagrams_to_send(wire.now):
                    wire.server.receive(data, CLIENT, wire.now)
                for data, _ in wire.server.transmit(wire.now)[:1]:
                    wire.client.receive_datagram(data, SERVER, wire.now)
                sizes += [sum(one.owed.values()) for one in wire.server._connections]
            assert max(sizes) < service.config.settings.most_stream_output + 70_000

    asyncio.run(main())


def test_forged_beginnings_are_asked_to_come_back(folder: Path) -> None:
    async def main() -> None:
        async with serving(folder) as (_, service):
            wires = [Wire(folder, service) for _ in range(quic.MOST_HANDSHAKES + 20)]
            for wire in wires:
                for data, _ in wire.client.datagrams_to_send(wire.now):
                    wire.server.receive(data, CLIENT, wire.now)
            assert wire.server.connections == quic.MOST_HANDSHAKES
            wire.server.transmit(wire.now)
            late = Wire(folder, service)
            late.client.send_stream_data(0, framed(), end_stream=True)
            late.exchange()
            assert any(isinstance(event, StreamDataReceived) for event in late.events)
            late.server.handle_timeout(late.now + 1000)
            late.server.transmit(late.now + 1000)
            assert late.server.connections == 0 and not late.server._by_id

    asyncio.run(main())


def test_too_many_queries_at_once_are_refused_by_stream(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(folder) as (_, service):
            wire = Wire(folder, service)
            wire.exchange()
            monkeypatch.setattr(wire.server.chain, "lane", lambda address: None)
            monkeypatch.setattr(wire.server.chain, "receive", lambda *_: b"")  # it waits
            for stream in range(0, 4 * 120, 4):
                wire.client.send_stream_data(stream, framed(), end_stream=True)
            wire.exchange()
            resets = [event.error_code for event in wire.events if isinstance(event, StreamReset)]
            assert resets == [quic.EXCESSIVE_LOAD] * 20 and not wire.server.idle

    asyncio.run(main())


def test_noise_raises_nothing(folder: Path) -> None:
    async def main() -> None:
        async with serving(folder) as (_, service):
            chance = random.Random(9250)
            wire = Wire(folder, service)
            for _ in range(300):
                wire.now += 0.001
                for data, _ in wire.client.datagrams_to_send(wire.now):
                    changed = bytearray(data)
                    for _ in range(chance.randrange(4)):
                        changed[chance.randrange(len(changed))] = chance.randrange(256)
                    wire.server.receive(bytes(changed), CLIENT, wire.now)
                    wire.server.receive(chance.randbytes(chance.randrange(1500)), CLIENT, wire.now)
                for data, peer in wire.server.transmit(wire.now):
                    if peer is CLIENT and chance.random() < 0.5:
                        wire.client.receive_datagram(data, SERVER, wire.now)
                wire.client.send_ping(1)
            wire.server.handle_timeout(wire.now + 1000)
            wire.server.transmit(wire.now + 1000)
            assert wire.server.connections == 0

    asyncio.run(main())
