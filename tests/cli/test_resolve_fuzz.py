"""catenet resolve and servers that answer anything: a status and a line, no traceback, no wait without end."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from catenet.cli import main
from catenet.wire.dns import numbers
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Question, pack
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.record import make_record

NAME = name_from_text("www.example.")
SERVER = name_from_text("ns.example.")
STATUSES = {0, 1, 9, 10}


def data_of_all_kinds(rng: random.Random) -> list[tuple[int, bytes]]:
    """Data of many types, right and wrong."""
    soa = SERVER + NAME + bytes(20)
    return [
        (numbers.A, bytes(4)),
        (numbers.AAAA, bytes(16)),
        (numbers.NS, SERVER),
        (numbers.CNAME, NAME),
        (numbers.DNAME, SERVER),
        (numbers.SOA, soa),
        (numbers.MX, b"\0\1" + SERVER),
        (numbers.SRV, bytes(6) + SERVER),
        (numbers.TXT, b"\x05\x1b[31m"),
        (numbers.RRSIG, rng.randbytes(18) + NAME + rng.randbytes(20)),
        (numbers.NSEC, NAME + rng.randbytes(6)),
        (numbers.DNSKEY, rng.randbytes(12)),
        (numbers.DS, rng.randbytes(36)),
        (rng.randrange(300, 65536), rng.randbytes(rng.randrange(40))),
    ]


def answer(rng: random.Random, query: bytes) -> bytes:
    """A message that answers, with anything in it."""
    flags = (
        numbers.QR | rng.choice((0, numbers.AA, numbers.RA, numbers.AD, numbers.TC)) | rng.choice((0, 0, 0, 2, 3, 5, 9))
    )
    if rng.random() < 0.5:
        flags |= numbers.RA
    owner = rng.choice((NAME, NAME, SERVER, b"\0"))
    kinds = data_of_all_kinds(rng)
    sections = [
        [
            make_record(owner, kind, rng.choice((0, 60, 2**31, 2**32 - 1)), data, rng.choice((1, 1, 1, 3)))
            for kind, data in rng.sample(kinds, rng.randrange(5))
        ]
        for _ in range(3)
    ]
    codes = (3, 8, 10, 11, 15, rng.randrange(65536))
    options = tuple((rng.choice(codes), rng.randbytes(rng.randrange(30))) for _ in range(3))
    edns = Edns(rng.randrange(65536), rng.randrange(65536), options, rng.randrange(3), rng.randrange(2))
    end = 12
    while query[end]:
        end += 1 + query[end]
    kind = int.from_bytes(query[end + 1 : end + 3], "big")
    asked = Question(query[12 : end + 1], kind)
    return pack(int.from_bytes(query[:2], "big"), flags, asked, *sections, edns=rng.choice((None, edns)))


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The message with some bytes changed, cut off, put in, or as it is."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
        at = rng.randrange(2, len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2 if len(changed) > 14:
                del changed[max(at, 12) :]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(8))
    return bytes(changed)


def over_tcp(rng: random.Random, query: bytes) -> bytes:
    """Messages behind their lengths, which may lie."""
    pieces = []
    for _ in range(rng.randrange(4)):
        message = mutated(rng, answer(rng, query))
        pieces.append((len(message) + rng.choice((0, 0, 0, 1, 40))).to_bytes(2, "big") + message)
    return b"".join(pieces)


def over_http(rng: random.Random, query: bytes) -> bytes:
    """A response, more or less."""
    body = mutated(rng, answer(rng, b"\0\0" + query[2:]))
    status = rng.choice((b"200 OK", b"200 OK", b"204 No Content", b"404 Not Found", b"99 x", b"302 Found"))
    fields = [
        b"content-type: " + rng.choice((b"application/dns-message", b"text/html\x1b[31m", b"")),
        b"content-length: %d" % (len(body) + rng.choice((0, 0, 0, -1, 1, 70000))),
        b"age: " + rng.choice((b"0", b"30", b"x", b"9" * 30)),
    ]
    return mutated(rng, b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + body)


class Fuzzer:
    """A server on the loopback, by UDP and TCP, that says what the test of the moment wants."""

    def __init__(self) -> None:
        self.say: Callable[[bytes], bytes] = lambda query: query
        self.say_on_stream: Callable[[bytes], bytes] = lambda query: query
        while True:
            self.tcp = socket.create_server(("127.0.0.1", 0))
            self.port = self.tcp.getsockname()[1]
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.udp.bind(("127.0.0.1", self.port))
                break
            except OSError:  # somebody else has this port for UDP
                self.tcp.close()
                self.udp.close()
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def serve_udp(self) -> None:
        while True:
            try:
                query, client = self.udp.recvfrom(65536)
                self.udp.sendto(self.say(query), client)
            except OSError:
                if self.udp.fileno() < 0:
                    return

    def serve_tcp(self) -> None:
        while True:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_client, args=(client,), daemon=True).start()

    def serve_client(self, client: socket.socket) -> None:
        with client:
            client.settimeout(5)
            try:
                data = client.recv(65536)
                if data:
                    client.sendall(self.say_on_stream(data))
                    client.shutdown(socket.SHUT_WR)
                    client.recv(65536)
            except OSError:
                pass

    def close(self) -> None:
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()
        self.udp.close()


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[Fuzzer]:
    server = Fuzzer()
    yield server
    server.close()


def resolve(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    status = main(["resolve", "--timeout", "40ms", "--attempts", "1", *words])
    shown = capsys.readouterr()
    assert status in STATUSES, shown.err
    lines = shown.err.splitlines()
    assert all(line.startswith("catenet resolve: ") for line in lines), shown.err
    assert len(lines) <= 9
    assert lines or status != 9


@pytest.mark.parametrize("block", range(4))
def test_datagrams(fuzzer: Fuzzer, capsys: pytest.CaptureFixture[str], block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        fuzzer.say = lambda query, rng=rng: mutated(rng, answer(rng, query))  # type: ignore[misc]
        fuzzer.say_on_stream = lambda data, rng=rng: over_tcp(rng, data[2:])  # type: ignore[misc]
        output = rng.choice(((), ("--json",), ("+short",), ("+multiline", "+dnssec", "+ttlunits"), ("--explain",)))
        resolve(capsys, "www.example", rng.choice(("A", "TXT", "DNSKEY", "ANY")), f"@127.0.0.1:{fuzzer.port}", *output)


@pytest.mark.parametrize("block", range(2))
def test_streams_and_transfers(fuzzer: Fuzzer, capsys: pytest.CaptureFixture[str], block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        fuzzer.say_on_stream = lambda data, rng=rng: over_tcp(rng, data[2:])  # type: ignore[misc]
        words = rng.choice((("+tcp",), ("AXFR",), ("IXFR=7",), ("AXFR", "--json"), ("AXFR", "+short", "+onesoa")))
        resolve(capsys, "www.example", f"@127.0.0.1:{fuzzer.port}", *words)


def query_of(data: bytes) -> bytes:
    """The query in a request."""
    body = data.partition(b"\r\n\r\n")[2]
    return body if len(body) > 12 else b"\0\0\1\0\0\1\0\0\0\0\0\0" + NAME + b"\0\1\0\1"


@pytest.mark.parametrize("block", range(2))
def test_http(fuzzer: Fuzzer, capsys: pytest.CaptureFixture[str], block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        fuzzer.say_on_stream = lambda data, rng=rng: over_http(rng, query_of(data))  # type: ignore[misc]
        resolve(capsys, "www.example", f"@http://127.0.0.1:{fuzzer.port}/dns-query")


@pytest.mark.parametrize("block", range(2))
def test_traces(fuzzer: Fuzzer, capsys: pytest.CaptureFixture[str], block: int, tmp_path) -> None:
    hints = tmp_path / "hints"
    hints.write_text(". 60 NS ns.example.\nns.example. 60 A 127.0.0.1\n")
    anchor = tmp_path / "anchor"
    anchor.write_text(f". IN DS 1 8 2 {'ab' * 32}\n")
    for seed in range(block * 25, block * 25 + 25):
        rng = random.Random(seed)
        fuzzer.say = lambda query, rng=rng: mutated(rng, answer(rng, query))  # type: ignore[misc]
        fuzzer.say_on_stream = lambda data, rng=rng: over_tcp(rng, data[2:])  # type: ignore[misc]
        words = rng.choice(((), ("--json",), ("--explain",)))
        files = ("--root-hints", str(hints), "--trust-anchor", str(anchor))
        resolve(capsys, "www.example", "--trace", "-p", str(fuzzer.port), *files, *words)
