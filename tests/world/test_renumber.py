"""Hosts that get other addresses while programs run: what becomes of names, connections and sockets."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from catenet.wire.address import format_address
from catenet.world import World
from catenet.world.scenario.worldfile import WorldFileError, parse_world

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def pair(seed: int = 1) -> tuple[World, list[str]]:
    lines: list[str] = []
    world = World(seed, output=lambda host, stream, line: lines.append(f"{host} {line}"))
    for name in ("phone", "server"):
        world.host(name)
        world.link(name, latency="5ms")
    return world, lines


def shown(world: World, name: str) -> list[str]:
    return [format_address(address) for address in world.addresses(name)]


def test_addresses_are_the_next_free_ones_or_those_asked_for() -> None:
    world, _ = pair()
    world.renumber("phone")
    assert shown(world, "phone") == ["10.0.0.3", "fd00::3"]
    world.renumber("server")
    assert shown(world, "server") == ["10.0.0.4", "fd00::4"]
    world.renumber("phone", "10.0.0.77")
    assert shown(world, "phone") == ["fd00::3", "10.0.0.77"]
    world.renumber("phone", "fd00::77", keep=10)
    assert shown(world, "phone") == ["10.0.0.77", "fd00::77", "fd00::3"]
    for wanted, message in (
        ("10.0.0.4", r"10\.0\.0\.4 of phone is server's already"),
        ("10.9.0.2", r"10\.9\.0\.2 is in no network of phone"),
        ("10.0.0", "10.0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            world.renumber("phone", wanted)
    with pytest.raises(ValueError, match="unknown host 'phon'; did you mean 'phone'"):
        world.renumber("phon")
    world.hosts["phone"].restart()
    assert set(shown(world, "phone")) == {"10.0.0.77", "fd00::77", "fd00::3"}


def code(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


@pytest.mark.parametrize("version", [4, 6])
def test_sockets_of_an_address_that_is_gone(version: int) -> None:
    """As on Linux 6.1, which was asked: a veth pair, two addresses, the one in use deleted."""
    world, _ = pair()
    family = FAMILIES[version]
    found: dict[str, str] = {}
    got: list[bytes] = []

    def server() -> None:
        connection, _ = socket.create_server(("", 80), family=family).accept()
        connection.settimeout(40)
        try:
            while data := connection.recv(100):
                got.append(data)
        except TimeoutError:
            pass

    def phone() -> None:
        peer = socket.getaddrinfo("server", 80, family)[0][4]
        tcp = socket.create_connection((peer[0], 80))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        own = tcp.getsockname()[0]
        tcp.send(b"a")
        udp, connected = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        for each in (udp, connected):
            each.bind((own, 0))
        connected.connect((peer[0], 9))
        time.sleep(2)
        found["tcp send"] = code(lambda: tcp.send(b"b"))
        found["udp sendto"] = code(lambda: udp.sendto(b"x", (peer[0], 9)))
        found["udp send"] = code(lambda: connected.send(b"x"))
        found["udp connect"] = code(lambda: udp.connect((peer[0], 9)))
        found["bind"] = code(lambda: socket.socket(family).bind((own, 0)))
        assert tcp.getsockname()[0] == own
        found["tcp end"] = code(lambda: tcp.recv(1))

    world.host("server").run(server)
    world.host("phone").run(phone, start=0.1)
    world.at(1, world.renumber, "phone")
    with world:
        world.run(200)
    udp = "ENETUNREACH" if version == 4 else "ok"
    assert found == {
        "tcp send": "ok",
        "udp sendto": udp,
        "udp send": udp,
        "udp connect": udp,
        "bind": "EADDRNOTAVAIL",
        "tcp end": "ETIMEDOUT",
    }
    assert got == ([b"a"] if version == 4 else [b"a", b"b"])


@pytest.mark.parametrize("version", [4, 6])
def test_a_deprecated_address_keeps_its_connections_and_gets_no_new_ones(version: int) -> None:
    world, lines = pair()
    family = FAMILIES[version]

    def server() -> None:
        listener = socket.create_server(("", 80), family=family)
        first, _ = listener.accept()
        second, peer = listener.accept()
        print(peer[0])
        print(first.recv(10), second.recv(10))
        address = socket.getaddrinfo("phone", 80, family)[0][4][0]
        print(address == peer[0])

    def phone() -> None:
        address = socket.getaddrinfo("server", 80, family)[0][4][0]
        with socket.create_connection((address, 80)) as first:
            time.sleep(5)
            with socket.create_connection((address, 80)) as second:
                first.send(b"old")
                second.send(b"new")
                time.sleep(70)

    world.host("server").run(server)
    world.host("phone").run(phone, start=0.1)
    world.at(2, world.renumber, "phone", keep=60)
    with world:
        world.run(100)
    new = {4: "10.0.0.3", 6: "fd00::3"}[version]
    assert lines == [f"server {new}", "server b'old' b'new'", "server True"]
    assert shown(world, "phone") == ["10.0.0.3", "fd00::3"]


def test_one_seed_gives_one_trace_whatever_changes() -> None:
    for seed in range(6):
        hashes = []
        for _ in range(2):
            world, lines = pair(seed)
            world.link("phone", latency="10ms", loss="2%", jitter="3ms")

            def server() -> None:
                listener = socket.create_server(("", 80))
                while True:
                    connection, peer = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        print(peer[0])
                        connection.sendall(bytes(20_000))

            def phone() -> None:
                for _ in range(6):
                    try:
                        with socket.create_connection(("10.0.0.2", 80), timeout=3) as sock:
                            while sock.recv(10_000):
                                pass
                    except TimeoutError:
                        print("again")
                    time.sleep(0.5)

            world.host("server").run(server, daemon=True)
            world.host("phone").run(phone, start=0.1)
            moments = world.generator("moves")
            for _ in range(3):
                keep = moments.choice([0.0, 2.0])
                world.at(moments.uniform(0.1, 4), world.renumber, "phone", keep=keep)
            with world:
                world.run(400)
            assert len({line for line in lines if line.startswith("server")}) > 1
            hashes.append(world.trace.hexdigest())
        assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("renumber = 'b'", "3: unknown host or network 'b'"),
        ("renumber = 'a'\nto = '10.0'", "4: to: "),
        ("renumber = 'a'\nfor = '1s'", "4: 'for' goes with"),
        ("pause = 'a'\nkeep = '1s'", "4: unknown key 'keep'"),
        ("renumber = ['a', 'c']\nto = '10.0.0.9'", "4: 'to' goes with one host"),
    ],
)
def test_mistakes_are_told_at_their_line(text: str, message: str) -> None:
    source = f"[hosts]\n[[events]]\n{text}\nat = 1\n[hosts.a]\n[hosts.c]\n"
    with pytest.raises(WorldFileError) as error:
        parse_world(source.encode(), Path("world.toml"))
    assert str(error.value).startswith(f"world.toml:{message}")
