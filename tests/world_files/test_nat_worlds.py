"""Worlds with a NAT: what hosts see, what world files say, what reports tell."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World
from catenet.world.observe.report import make_report
from catenet.world.scenario.worldfile import WorldFileError, parse_world

HEAD = """\
[[networks]]
name = "lan"
[[networks]]
name = "wan"
[hosts.pc]
network = "lan"
"""


def home(lines: list[str], seed: int = 1, **options: Any) -> World:
    world = World(seed, output=lambda host, stream, line: lines.append(f"{host} {line}"))
    world.network("lan", "192.168.1.0/24", "fd01::/64")
    world.network("wan", "203.0.113.0/24", "fd02::/64")
    for name in ("pc", "tv"):
        world.host(name, network="lan")
    world.host("gate", network=["lan", "wan"], forwarding=True)
    world.host("server", network="wan")
    for name in world.hosts:
        world.link(name, latency="5ms", loss="1%", duplicate="1%", reorder="2%", corrupt="0.5%")
    world.nat("gate", **options)
    return world


def server() -> None:
    listener = socket.create_server(("", 80))
    for _ in range(4):
        connection, peer = listener.accept()
        print(peer[0])
        connection.sendall(b"x" * 30_000)
        connection.close()


def client() -> None:
    for _ in range(2):
        with socket.create_connection(("server", 80)) as sock:
            size = 0
            while data := sock.recv(65_536):
                size += len(data)
        print(size)


@pytest.mark.parametrize("mapping", ["endpoint-independent", "address-and-port-dependent"])
@pytest.mark.parametrize("seed", range(5))
def test_transfers_cross_a_nat_over_bad_links_alike_with_one_seed(seed: int, mapping: str) -> None:
    hashes = []
    for _ in range(2):
        lines: list[str] = []
        world = home(lines, seed, mapping=mapping, ports="20000-29999" if seed % 2 else "preserve")
        world.hosts["server"].run(server)
        for name in ("pc", "tv"):
            world.hosts[name].run(client, start=0.1)
        with world:
            world.run(200)
        assert sorted(lines) == [*["pc 30000"] * 2, *["server 203.0.113.1"] * 4, *["tv 30000"] * 2]
        hashes.append(world.trace.hexdigest())
    assert hashes[0] == hashes[1]


def test_a_restart_of_the_router_forgets_all_and_the_report_names_what_was_dropped() -> None:
    lines: list[str] = []
    world = World(1, output=lambda host, stream, line: lines.append(f"{host} {line}"))
    world.network("lan")
    world.network("wan")
    world.host("pc", network="lan")
    world.host("gate", network=["lan", "wan"], forwarding=True)
    world.host("server", network="wan")
    world.nat("gate", timeouts={"udp_unanswered": "30s"})

    def pc() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            sock.sendto(b"register", ("server", 9))
            for _ in range(3):
                try:
                    print(sock.recv(100).decode())
                except TimeoutError:
                    print("nothing")

    def push() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 9))
            peer = sock.recvfrom(100)[1]
            for number in range(3):
                time.sleep(10)
                sock.sendto(f"push {number}".encode(), peer)

    world.hosts["server"].run(push)
    world.hosts["pc"].run(pc, start=0.1)
    world.at(25, world.hosts["gate"].restart)
    with world:
        world.run(200)
    assert lines == ["pc push 0", "pc push 1", "pc nothing"]
    report = make_report(world, virtual=0, wall=0)
    assert next(host.drops for host in report.hosts if host.name == "gate") == {"no mapping": 1}


def test_a_nat_needs_a_router_and_networks_that_it_is_on() -> None:
    world = World()
    world.network("lan")
    world.network("wan")
    world.host("pc", network="lan")
    world.host("gate", network=["lan", "wan"], forwarding=True)
    for router, options, message in (
        ("pc", {}, "'pc' is no router"),
        ("gat", {}, "unknown host 'gat'; did you mean 'gate'"),
        ("gate", {"outside": "wam"}, "not on network 'wam'; did you mean 'wan'"),
        ("gate", {"maping": 1}, "unknown key 'maping'; did you mean 'mapping'"),
        ("gate", {"forward": "tcp 80 -> nobody"}, "nobody"),
    ):
        with pytest.raises(ValueError, match=message):
            world.nat(router, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nat = 1", "nat must be true, false or a table, not 1"),
        ("nat.mapping = 'symmetric'", "mapping: must be one of endpoint-independent, address-dependent, "),
        ("nat.filter = 'x'", "unknown key 'filter'; did you mean 'filtering'?"),
        ("nat.outside = 'wam'", "'wam' is no network of this router; did you mean 'wan'?"),
        ("nat.timeouts.upd = '1s'", "unknown time-out 'upd'; did you mean 'udp'?"),
        ("nat.timeouts.udp = '0s'", "udp must be more than 0"),
        ("nat.forward = 'tcp 80'", "forward: 'tcp 80' is no forwarded port; write for example 'tcp 8080 -> server:80'"),
        ("nat.forward = 'tcp 80 -> cp'", "unknown host 'cp'; did you mean 'pc'?"),
        ("nat.forward = ['tcp 80 -> pc', 'tcp 80 -> pc:81']", "forward: tcp 80 is forwarded twice"),
        ("nat.ports = '5-1'", "ports: must be 'preserve' or two ports as '20000-29999', not '5-1'"),
        ("nat.limit = 0", "limit: must be a number from 1 to 1000000, not 0"),
        ("nat.refresh = true", "refresh: must be 'outbound' or 'both', not True"),
        ("nat.unknown = 'rst'", "unknown: must be one of map, drop, reset, not 'rst'"),
        ("nat.hairpin = 1", "hairpin: must be true or false, not 1"),
    ],
)
def test_mistakes_are_told_at_their_line(text: str, message: str) -> None:
    source = f'{HEAD}[routers.gate]\nnetworks = ["lan", "wan"]\n{text}\n'
    with pytest.raises(WorldFileError) as error:
        parse_world(source.encode(), Path("world.toml"))
    assert str(error.value).startswith(f"world.toml:9: {message}")
