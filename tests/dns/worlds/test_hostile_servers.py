"""What a host's stub makes of servers that send whatever they like: an answer or an error, in time, within bounds."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

import pytest

from catenet.wire.address import parse_address
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.numbers import QR, RA, TC, A
from catenet.wire.dns.record import make_record
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world import World

pytestmark = pytest.mark.slow(10)

CONFIG = StubConfig((Server(parse_address("10.0.0.1")),), timeout=1.0, attempts=1)
Answers = Callable[[bytes, random.Random], list[bytes]]


def right(data: bytes, flags: int = 0) -> bytes:
    query = parse(data)
    assert query.question is not None
    records = [make_record(query.question.name, A, 60, bytes((192, 0, 2, 1)))] if query.question.type == A else []
    return pack(query.id, QR | RA | flags, query.question, records)


def garbage(data: bytes, chance: random.Random) -> list[bytes]:
    answer = right(data)
    mangled = [bytearray(answer) for _ in range(50)]
    for each in mangled:
        each[chance.randrange(2, len(each))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del each[chance.randrange(len(each)) :]
    return [chance.randbytes(chance.randrange(100)) for _ in range(50)] + [bytes(each) for each in mangled]


def flood(data: bytes, chance: random.Random) -> list[bytes]:
    query = parse(data)
    return [pack(number, QR | RA, query.question) for number in range(3000) if number != query.id]


def off_path(data: bytes, chance: random.Random) -> list[bytes]:
    query = parse(data)
    assert query.question is not None
    other = Question(b"\5other\7example\0", A)
    forged = make_record(query.question.name, A, 60, bytes((6, 6, 6, 6)))
    return [
        pack(query.id ^ 1, QR | RA, query.question, [forged]),
        pack(query.id, QR | RA, other, [forged]),
        pack(query.id, RA, query.question, [forged]),
        right(data),
    ]


def ask(udp: Answers, tcp: Callable[[socket.socket], None] | None = None, seed: int = 1) -> tuple[object, float]:
    """Ask a server of such habits; what getaddrinfo said, and after how many seconds."""
    told: list[object] = []

    def serve_udp() -> None:
        chance = random.Random(seed)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 53))
            while True:
                data, client = sock.recvfrom(4096)
                for answer in udp(data, chance):
                    sock.sendto(answer, client)

    def serve_tcp() -> None:
        with socket.create_server(("", 53)) as listener:
            while tcp is not None:
                with listener.accept()[0] as connection:
                    try:
                        tcp(connection)
                    except OSError:
                        pass

    def program() -> None:
        begun = time.monotonic()
        try:
            found: object = [entry[4][0] for entry in socket.getaddrinfo("www.example.", 80, 0, socket.SOCK_STREAM)]
        except socket.gaierror as error:
            found = error.errno
        told.extend((found, time.monotonic() - begun))

    with World(seed) as world:
        server = world.host("server")
        server.run(serve_udp, daemon=True)
        if tcp is not None:
            server.run(serve_tcp, daemon=True)
        client = world.host("client")
        client.use_name_servers(CONFIG)
        client.run(program, start=1.0)
        world.run(200)
        assert not client.stack.udp.ports.by_port
    assert isinstance(told[1], float)
    return told[0], told[1]


@pytest.mark.parametrize("seed", range(10))
def test_garbage_is_no_answer_and_the_right_one_behind_it_is(seed: int) -> None:
    found, took = ask(lambda data, chance: [*garbage(data, chance), right(data)], seed=seed)
    # One bit of the address, or of the code, may be what was changed: then it is an answer.
    assert isinstance(found, list) or found in (socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_NODATA)
    assert took <= 5.0


@pytest.mark.parametrize("answers", [flood, lambda data, chance: [b""] * 100])
def test_a_flood_of_other_answers_ends_with_the_wait(answers: Answers) -> None:
    assert ask(answers) == (socket.EAI_AGAIN, 1.0)


def test_what_was_not_asked_for_is_not_believed() -> None:
    assert ask(off_path) == (["192.0.2.1"], 0.0)


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    return [right(data, TC)]


def end(connection: socket.socket) -> None:
    connection.recv(1)


def silence(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def half(connection: socket.socket) -> None:
    connection.sendall(b"\1\0" + bytes(100))
    silence(connection)


def empty_messages(connection: socket.socket) -> None:
    connection.sendall(bytes(2) * 50_000)
    silence(connection)


def without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"\xff\xff" + bytes(65_535))
        time.sleep(0.05)


def byte_by_byte(connection: socket.socket) -> None:
    data = b""
    while len(data) < 4 or len(data) < 2 * (2 + int.from_bytes(data[:2], "big")):
        data += connection.recv(1000)
    size = 2 + int.from_bytes(data[:2], "big")
    for query in (data[2:size], data[size + 2 :]):
        answer = right(query)
        for byte in len(answer).to_bytes(2, "big") + answer:
            connection.sendall(bytes((byte,)))
            time.sleep(0.001)


@pytest.mark.parametrize(
    ("tcp", "found", "longest"),
    [
        (end, socket.EAI_AGAIN, 0.0),
        (silence, socket.EAI_AGAIN, 1.0),
        (half, socket.EAI_AGAIN, 1.0),
        (empty_messages, socket.EAI_AGAIN, 1.0),
        (without_end, socket.EAI_AGAIN, 1.0),
        (byte_by_byte, ["192.0.2.1"], 0.3),
        (None, socket.EAI_AGAIN, 0.0),
    ],
)
def test_servers_by_tcp(tcp: Callable[[socket.socket], None] | None, found: object, longest: float) -> None:
    told, took = ask(cut, tcp)
    assert told == found
    assert took <= longest
