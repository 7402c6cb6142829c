"""A host with name servers: who waits while a name is looked up, what its files show, what is remembered."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catenet.wire.address import parse_address
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world import World

pytestmark = pytest.mark.slow(10)

PROGRAMS = Path(__file__).parents[2] / "posix" / "programs"
RULES = {"www.example A": "@ A 192.0.2.1", "www.example AAAA": "@ AAAA 2001:db8::1", "slow.example *": "SILENT"}
CONFIG = StubConfig((Server(parse_address("10.0.0.1")),), (name_from_text("example."),))


class Net:
    """A world of a name server and a client, 20 ms apart; what the client prints, and what the server was asked."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.world = World(1, directory=PROGRAMS, output=lambda host, stream, line: self._line(host, line))
        self.log = folder / "log"
        (folder / "script.json").write_text(json.dumps(RULES))
        server = self.world.host("ns")
        server.run(["scripted_server.py", str(folder / "script.json"), str(self.log), "10.0.0.1"], daemon=True)
        self.client = self.world.host("client")
        self.world.link("client", latency="10ms")
        self.client.use_name_servers(CONFIG)

    def _line(self, host: str, line: str) -> None:
        if host == "client":
            self.lines.append(line)

    def run(self, program: Callable[[], object] | str, until: float = 100.0) -> list[str]:
        self.client.run(program, start=1.0)
        self.world.run(until)
        return self.lines

    def queries(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    made = Net(tmp_path)
    with made.world:
        yield made


def test_only_the_thread_that_asks_waits(net: Net) -> None:
    def program() -> None:
        def look_up() -> None:
            socket.getaddrinfo("www", 80)
            print("found", round(time.monotonic() - begun, 3))

        begun = time.monotonic()
        thread = threading.Thread(target=look_up)
        thread.start()
        time.sleep(0.005)
        print("meanwhile", round(time.monotonic() - begun, 3))
        thread.join()

    assert net.run(program) == ["meanwhile 0.005", "found 0.02"]


def test_an_event_loop_goes_on(net: Net) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        lookups = asyncio.gather(
            *(loop.getaddrinfo(name, 80) for name in ("www", "none", "www.example")), return_exceptions=True
        )
        ticks = 0
        while not lookups.done():
            ticks += 1
            await asyncio.sleep(0.001)
        print(ticks >= 20, [type(each).__name__ for each in await lookups], round(loop.time() - begun, 3))
        waits = loop.create_task(loop.getaddrinfo("slow", 80))
        await asyncio.sleep(0.1)
        waits.cancel()
        print(isinstance((await asyncio.gather(waits, return_exceptions=True))[0], asyncio.CancelledError))
        print(await loop.getnameinfo(("192.0.2.9", 80), socket.NI_NUMERICSERV))

    lines = net.run(lambda: asyncio.run(main()))
    assert lines == ["True ['list', 'gaierror', 'list'] 0.041", "True", "('192.0.2.9', '80')"]


def test_a_signal_is_handled_while_a_name_is_looked_up_and_may_end_it(net: Net) -> None:
    def program() -> None:
        import signal

        signal.signal(signal.SIGALRM, lambda number, frame: print("alarm", round(time.monotonic() - begun, 3)))
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        print(len(socket.getaddrinfo("www", 80, type=socket.SOCK_STREAM)), round(time.monotonic() - begun, 3))

        def interrupt(number: int, frame: object) -> None:
            raise InterruptedError("enough")

        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        try:
            socket.getaddrinfo("slow", 80)
        except InterruptedError as error:
            print(error, round(time.monotonic() - begun, 3))

    assert net.run(program) == ["alarm 0.01", "2 0.02", "enough 1.02"]


def test_a_crash_takes_a_lookup_with_it(net: Net) -> None:
    starts: list[float] = []

    def program() -> None:
        starts.append(time.monotonic())
        socket.getaddrinfo("slow" if len(starts) == 1 else "www", 80)
        print("found")

    net.world.at(2.0, net.client.crash)
    net.world.at(3.0, net.client.restart)
    assert net.run(program) == ["found"]
    assert len(starts) == 2


def test_the_sockets_of_a_lookup_are_gone_after_it(net: Net) -> None:
    def program() -> None:
        for name in ("www", "none", "slow.example."):
            try:
                socket.getaddrinfo(name, 80)
            except socket.gaierror:
                pass

    net.run(program)
    assert len(net.queries()) >= 6
    assert not net.client.stack.udp.ports.by_port
    assert not net.client.kernel.open_files()


def test_nothing_is_remembered_unless_the_host_is_told_to(net: Net) -> None:
    def program() -> None:
        for _ in range(3):
            socket.getaddrinfo("www", 80)
            socket.getaddrinfo("www", 80, socket.AF_INET)
            time.sleep(25)

    net.run(program, 200)
    assert len(net.queries()) == 9


def test_a_stub_with_a_memory_asks_again_when_the_records_have_had_their_time(net: Net) -> None:
    net.client.use_name_servers(replace(CONFIG, cache=True))

    def program() -> None:
        for _ in range(3):
            socket.getaddrinfo("www", 80)
            socket.getaddrinfo("www", 80, socket.AF_INET)
            time.sleep(25)
        time.sleep(10)
        socket.getaddrinfo("www", 80)

    net.run(program, 200)
    assert len(net.queries()) == 4


def test_a_name_in_an_address_is_looked_up_too(net: Net) -> None:
    def program() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("www", 9))
            print(sock.getpeername())
            sock.sendto(b"x", ("www.example", 9))

    assert net.run(program) == ["('192.0.2.1', 9)"]
    assert len(net.queries()) == 2


def test_files_show_the_servers_of_the_host(net: Net) -> None:
    def program() -> None:
        print(repr(Path("/etc/resolv.conf").read_text()))
        with open("/etc/resolv.conf", "rb") as file:
            print(file.name, file.read(10))
        descriptor = os.open("/etc/resolv.conf", os.O_RDONLY)
        print(os.read(descriptor, 10))
        os.close(descriptor)
        with open(b"/etc/hosts") as file:
            print(repr(file.read()))
        for call in (lambda: open("/etc/resolv.conf", "a"), lambda: os.open("/etc/hosts", os.O_RDWR)):
            try:
                call()
            except OSError as error:
                print(errno.errorcode[error.errno or 0], error.filename)

    table = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
    table += "10.0.0.1\tns\nfd00::1\tns\n10.0.0.2\tclient\nfd00::2\tclient\n"
    assert net.run(program) == [
        repr("nameserver 10.0.0.1\nsearch example\n"),
        "/etc/resolv.conf b'nameserver'",
        "b'nameserver'",
        repr(table),
        "EROFS /etc/resolv.conf",
        "EROFS /etc/hosts",
    ]


def test_files_of_other_hosts_are_the_machines(net: Net) -> None:
    with open("/etc/hosts") as file:
        expected = file.read()
    net.client.use_name_servers(None)
    assert net.run(lambda: print(Path("/etc/hosts").read_text() == expected)) == ["True"]


def test_resolvers_that_programs_bring_along_find_the_servers(net: Net) -> None:
    def program() -> None:
        import dns.asyncresolver

        import dns.resolver

        found: Any = dns.resolver.resolve("www", "A", search=True)
        print(found.canonical_name, [each.address for each in found])

        async def main() -> None:
            found: Any = await dns.asyncresolver.resolve("www.example", "AAAA")
            print([each.address for each in found])

        asyncio.run(main())

    assert net.run(program) == ["www.example. ['192.0.2.1']", "['2001:db8::1']"]


def test_the_command_line_asks_the_servers_of_its_host(net: Net) -> None:
    assert net.run("-m catenet resolve +short www.example A AAAA") == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize("seed", [1, 2])
def test_ports_and_numbers_of_queries_are_the_seeds_and_differ(seed: int) -> None:
    def sent() -> list[bytes]:
        packets: list[bytes] = []
        with World(seed) as world:
            server = world.host("ns")
            client = world.host("client")
            client.use_name_servers(CONFIG)
            world.trace.taps.append(
                lambda *args: packets.append(next(each for each in args if isinstance(each, bytes)))
            )

            def listen() -> None:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.bind(("", 53))
                    while True:
                        sock.recv(1000)

            server.run(listen, daemon=True)
            client.run(lambda: asyncio.run(ask()))
            world.run(100)
        return packets

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.getaddrinfo(f"a{n}.", 80) for n in range(5)), return_exceptions=True)

    first, again = sent(), sent()
    queries = {packet[20:22] + packet[28:30] for packet in first if packet[22:24] == b"\0\x35"}
    assert first == again
    assert len(queries) == 20
    assert len({query[:2] for query in queries}) > 15
