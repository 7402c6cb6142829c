"""Worlds with `[dns]`: every program asks over UDP, from the root down; what is broken on purpose fails."""

from __future__ import annotations

import ast
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catenet.testing.names.turns import Turns
from catenet.wire.dns.message import Question, pack, parse
from catenet.wire.dns.numbers import CNAME, QR, A
from catenet.wire.dns.record import make_record
from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.worldfile import parse_world

pytest.importorskip("cryptography")

pytestmark = pytest.mark.slow(10)

ZONES = """
[link]
latency = "5ms"

[dns]
sign = true
ttl = "60s"

[dns.zones."example."]
hosts = ["ns1", "ns2"]
[dns.zones."example.".names]
www = ["web1", "web2", "192.0.2.7"]
"@" = "web1"
alias = "www.example."
turns = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]

[dns.zones."expired.test."]
fault = "expired"
names.www = "web1"

[dns.zones."bogus.test."]
fault = "bogus"
names.www = "web1"

[dns.zones."lame.test."]
hosts = "ns1"
fault = "lame"
names.www = "web1"

[dns.zones."slow.test."]
hosts = "ns1"
fault = "slow"
names.www = "web1"

[dns.zones."cut.test."]
hosts = "ns2"
fault = "truncate"
names.www = "web1"

[dns.zones."unsigned.test."]
sign = false
names.www = "web2"

[dns.zones."below.example."]
hosts = "ns2"
names.www = "web2"

[hosts.ns1]
[hosts.ns2]
[hosts.web1]
[hosts.web2]
[hosts.client]
"""


def run(
    text: str,
    host: str,
    program: Callable[[], object] | str,
    folder: Path = Path(),
    until: float = 600.0,
    seed: int = 1,
) -> tuple[list[str], World]:
    """Run a program on a host of a world; what it printed, and the world, which has ended."""
    lines: list[str] = []
    plan = parse_world(text.encode(), folder / "world.toml")
    with World(seed, output=lambda name, stream, line: lines.append(line) if name == host else None) as world:
        build_world(plan, world, lambda line: None)
        world.hosts[host].run(program, start=0.01)
        world.run(until, check=callable(program))
    return lines, world


def look_up(*names: str, family: int = socket.AF_INET) -> Callable[[], None]:
    """A program that prints what it finds."""

    def program() -> None:
        for name in names:
            try:
                found = socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)
            except socket.gaierror as error:
                print(name, (error.errno == socket.EAI_AGAIN and "again") or error.errno)
            else:
                print(name, *sorted(entry[4][0] for entry in found))

    return program


def test_one_line_gives_names_to_everybody() -> None:
    text = "[dns]\n[hosts.server]\n[hosts.other]\n[hosts.client]\n"

    def program() -> None:
        look_up("server", "other.world", "client", "none")()
        print(socket.gethostbyaddr("10.0.0.1"))
        print(socket.getnameinfo(("fd00::2", 80, 0, 0), 0))
        print(open("/etc/resolv.conf").read().split())
        print(open("/etc/hosts").read().split()[-4:])

    lines, world = run(text, "client", program)
    assert lines == [
        "server 10.0.0.1",
        "other.world 10.0.0.2",
        "client 10.0.0.3",
        "none -2",
        "('server.world', [], ['10.0.0.1'])",
        "('other.world', 'http')",
        "['nameserver', '10.0.0.6', 'search', 'world']",
        "['10.0.0.3', 'client', 'fd00::3', 'client']",
    ]
    assert world.hosts["dns-root"].counters()["UdpInDatagrams"] > 0
    assert world.hosts["client"].counters()["UdpInDatagrams"] > 0


def test_zones_are_served_by_their_hosts_and_found_from_the_root() -> None:
    lines, world = run(ZONES, "client", look_up("www.example.", "example.", "www.below.example.", "alias.example."))
    assert lines == [
        "www.example. 10.0.0.3 10.0.0.4 192.0.2.7",
        "example. 10.0.0.3",
        "www.below.example. 10.0.0.4",
        "alias.example. 10.0.0.3 10.0.0.4 192.0.2.7",
    ]
    for host in ("dns-root", "ns2", "dns-resolver"):
        assert world.hosts[host].counters()["UdpInDatagrams"] > 0


def test_what_is_broken_on_purpose_fails_and_the_rest_does_not() -> None:
    names = [f"www.{zone}.test." for zone in ("expired", "bogus", "lame", "slow", "cut", "unsigned")]
    lines, world = run(ZONES, "client", look_up(*names))
    assert lines == [
        "www.expired.test. again",
        "www.bogus.test. again",
        "www.lame.test. again",
        "www.slow.test. 10.0.0.3",
        "www.cut.test. 10.0.0.3",
        "www.unsigned.test. 10.0.0.4",
    ]
    assert world.hosts["ns2"].counters()["in_segments"] > 0, "what was cut was asked for by TCP"


@pytest.mark.parametrize(
    ("zone", "reason"), [("expired", "expired"), ("bogus", "signature"), ("lame", ""), ("unsigned", None)]
)
def test_the_resolver_says_what_is_wrong(zone: str, reason: str | None) -> None:
    lines, _ = run(ZONES, "client", f"-m catenet resolve www.{zone}.test. @dns-resolver --json")
    answer: dict[str, Any] = json.loads(lines[0])
    assert answer["rcode"] == ("NOERROR" if reason is None else "SERVFAIL")
    assert ("ad" in answer["flags"]) is False
    if reason:
        assert any(reason in each["text"] for each in answer["ede"]), answer["ede"]


def test_a_signed_zone_is_secure() -> None:
    lines, _ = run(ZONES, "client", "-m catenet resolve www.example. @dns-resolver --json")
    assert "ad" in json.loads(lines[0])["flags"]


def test_several_addresses_come_by_turns() -> None:
    def program() -> None:
        print([socket.gethostbyname("turns.example.") for _ in range(6)])

    text = ZONES.replace("[dns]\n", "[dns]\ncache = false\n")
    lines, _ = run(text, "client", program)
    order = ast.literal_eval(lines[0])
    assert order[:3] == order[3:]
    assert sorted(order[:3]) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


NETWORKS = """
[dns]
resolver = ["inner", "outer"]
[dns.zones."example."]
hosts = "ns"
[dns.zones."example.".names]
www = { lan = "192.0.2.1", wan = "192.0.2.2" }
both = "192.0.2.3"

[[networks]]
name = "lan"
[[networks]]
name = "wan"
[routers.gate]
networks = ["lan", "wan"]
[hosts.ns]
network = "wan"
[hosts.inner]
network = "lan"
[hosts.outer]
network = "wan"
[hosts.near]
network = "lan"
[hosts.far]
network = "wan"
"""


@pytest.mark.parametrize(("host", "address"), [("near", "192.0.2.1"), ("far", "192.0.2.2")])
def test_answers_depend_on_the_network_of_who_asks(host: str, address: str) -> None:
    lines, _ = run(NETWORKS, host, look_up("www.example.", "both.example."))
    assert lines == [f"www.example. {address}", "both.example. 192.0.2.3"]


def test_a_zone_of_a_master_file_gets_the_delegations_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "one.zone").write_text(
        "$TTL 60\n@ SOA ns1 host 1 1 1 1 1\n NS ns1\nns1 A 10.0.0.1\nwww A 192.0.2.9\nmail MX 5 www\n"
    )
    text = ZONES.replace('[dns.zones."bogus.test."]\nfault = "bogus"\nnames.www = "web1"', "")
    text += '[dns.zones."one.test."]\nfile = "one.zone"\nhosts = "ns1"\n'
    text += '[dns.zones."two.one.test."]\nhosts = "ns2"\nnames.www = "web2"\n'
    lines, _ = run(text, "client", look_up("www.one.test.", "www.two.one.test."), tmp_path)
    assert lines == ["www.one.test. 192.0.2.9", "www.two.one.test. 10.0.0.4"]


def test_a_mistake_in_a_master_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "one.zone").write_text("$TTL 60\n@ SOA ns1 host 1 1 1 1 1\nwww AA 192.0.2.9\n")
    text = '[dns]\n[dns.zones."one.test."]\nfile = "one.zone"\nhosts = "ns1"\n[hosts.ns1]\n'
    plan = parse_world(text.encode(), tmp_path / "world.toml")
    lines: list[str] = []
    with World(1, output=lambda name, stream, line: lines.append(line)) as world:
        build_world(plan, world, lambda line: None)
        world.run(1, check=False)
        assert [process.status for process in world.hosts["ns1"].processes] == [2]
    assert len(lines) == 1
    assert lines[0].startswith(f"{tmp_path}/one.zone:3: ")


def test_the_same_seed_sends_the_same_packets_and_another_one_others() -> None:
    def digest(seed: int) -> str:
        return run(ZONES, "client", look_up("www.example.", "www.slow.test."), seed=seed)[1].trace.hexdigest()

    first = digest(1)
    assert digest(1) == first
    assert digest(2) != first


def test_a_server_that_comes_back_after_a_crash_is_asked_again() -> None:
    text = ZONES + '[[events]]\nat = "1s"\ncrash = ["ns1", "ns2"]\nfor = "20s"\n'

    def program() -> None:
        for seconds in (0.5, 3.0, 60.0):
            time.sleep(seconds)
            look_up(f"www{'' if seconds == 0.5 else '.below'}.example.")()

    lines, _ = run(text, "client", program, until=1000)
    assert lines == [
        "www.example. 10.0.0.3 10.0.0.4 192.0.2.7",
        "www.below.example. again",
        "www.below.example. 10.0.0.4",
    ]


def test_hosts_that_are_made_are_hosts_like_others() -> None:
    text = """
[dns]
[hosts.a]
[hosts.client]
resolv = { servers = ["dns-resolver"] }
[[links]]
between = ["client", "dns-resolver"]
latency = "100ms"
[[events]]
at = "10s"
crash = "dns-resolver"
for = "20s"
[[events]]
at = "40s"
partition = ["dns-root", "dns-top"]
"""

    def program() -> None:
        for at in (1, 15, 35):
            time.sleep(at - time.monotonic() % 1000)
            begun = time.monotonic()
            look_up("a.world.")()
            print(round(time.monotonic() - begun, 1))

    lines, _ = run(text.replace("[dns]\n", "[dns]\ncache = false\n"), "client", program)
    assert lines == ["a.world. 10.0.0.1", "0.2", "a.world. again", "10.0", "a.world. 10.0.0.1", "0.2"]


def test_addresses_change_places_and_nothing_else() -> None:
    name = b"\3www\0"
    addresses = [make_record(name, A, 60, bytes((192, 0, 2, last))) for last in (1, 2, 3)]
    answer = pack(7, QR, Question(b"\1a\0", A), [make_record(b"\1a\0", CNAME, 60, name), *addresses])
    turns = Turns()
    seen = [turns.turn(answer) for _ in range(4)]
    assert seen[0] == seen[3] == answer
    assert [[each.data[3] for each in parse(data).answer[1:]] for data in seen] == [
        [1, 2, 3],
        [2, 3, 1],
        [3, 1, 2],
        [1, 2, 3],
    ]
    assert turns.turn(b"") == b""
    assert turns.turn(answer[:-1]) == answer[:-1]
