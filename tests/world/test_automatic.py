"""Hosts that get their addresses by SLAAC, DHCPv4 and DHCPv6, and are renumbered by these."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from catenet.stack.interface import AddressState
from catenet.wire import ip
from catenet.wire.address import Prefix, format_address, parse_address
from catenet.world import World
from catenet.world.scenario.worldfile import WorldFileError, parse_world

PROGRAMS = Path(__file__).parent / "programs"
FOUR, SIX = "192.168.1.0/24", "fd01::/64"


def world(configure: str | Iterable[str], seed: int = 1, lifetime: float = 600) -> World:
    made = World(seed, directory=PROGRAMS, output=lambda *line: lines.append(" ".join(line)))
    lines: list[str] = []
    made.lines = lines  # type: ignore[attr-defined]
    made.network("home", FOUR, SIX, configure=configure, lifetime=lifetime)
    made.network("far", "10.9.0.0/24", "fd02::/64")
    made.host("gate", network=["home", "far"], forwarding=True)
    made.host("phone", network="home")
    made.host("server", network="far")
    return made


def lines_of(made: World) -> list[str]:
    return made.lines  # type: ignore[attr-defined, no-any-return]


def shown(made: World, name: str = "phone") -> list[str]:
    return [format_address(address) for address in made.addresses(name)]


def kinds(made: World) -> set[str]:
    """What protocols were on the wire, seen in the captured packets."""
    found: set[str] = set()

    def look(port: int, direction: int, packet: bytes, now: float) -> None:
        parsed = ip.parse(packet)
        if parsed.protocol == 58:
            found.add({133: "rs", 134: "ra", 135: "ns", 136: "na"}.get(parsed.payload[0], ""))
        elif parsed.protocol == 17:
            found.add(str(min(int.from_bytes(parsed.payload[:2], "big"), int.from_bytes(parsed.payload[2:4], "big"))))

    made.trace.taps.append(look)
    return found


@pytest.mark.parametrize(
    ("configure", "seen", "in_prefixes"),
    [
        ("slaac", {"rs", "ra", "ns"}, {FOUR: "192.168.1.2", SIX: None}),
        ("dhcp", {"67"}, {FOUR: "192.168.1.128", SIX: "fd01::2"}),
        ("dhcpv6", {"ra", "546"}, {SIX: "fd01::1:0"}),
        (("slaac", "dhcp"), {"ra", "67"}, {FOUR: "192.168.1.128", SIX: None}),
        (("slaac", "dhcpv6"), {"ra", "546"}, {SIX: None}),
    ],
)
def test_addresses_come_by_packets(configure: str, seen: set[str], in_prefixes: dict[str, str | None]) -> None:
    with world(configure) as made:
        on_wire = kinds(made)
        got: list[Any] = []
        made.host("phone").run(lambda: got.append((made.now, shown(made))))
        made.run(60)
        assert seen <= on_wire
        for text, expected in in_prefixes.items():
            inside = [each for each in shown(made) if parse_address(each) in Prefix.parse(text)]
            assert inside
            assert expected is None or expected in inside
        (when, at_start) = got[0]
        assert set(shown(made)[:1]) <= set(at_start)
        assert when < 5, "programs start when the addresses are there"


def test_every_host_has_its_own_and_the_same_seed_the_same() -> None:
    hashes = set()
    for _ in range(2):
        with world(("slaac", "dhcp", "dhcpv6")) as made:
            for number in range(20):
                made.host(f"more{number}", network="home")
            made.run(30, deadlock=False)
            every = [address for name in made.hosts for address in made.addresses(name)]
            assert len(every) == len(set(every)) > 60
            hashes.add(made.trace.hexdigest())
    assert len(hashes) == 1


def test_a_network_where_nobody_gives_addresses() -> None:
    made = World(1)
    made.network("home", FOUR, configure="dhcp")
    made.host("phone", network="home")
    with pytest.raises(ValueError, match="nobody gives addresses on network 'home': there is no router on it"):
        made.run(1)


def test_programs_do_not_wait_for_ever() -> None:
    with world("dhcp") as made:
        made.partition("gate")
        started: list[float] = []
        made.host("phone").run(lambda: started.append(made.now))
        made.run(60)
        assert started == [15.0]


def test_a_restarted_host_asks_again_and_gets_what_it_had() -> None:
    with world(("dhcp", "slaac")) as made:
        made.run(30, deadlock=False)
        before = shown(made)
        made.host("phone").crash()
        made.run(40, deadlock=False)
        made.host("phone").restart()
        assert made.topology.addresses("phone") == [], "the switch has forgotten, too"
        made.run(60, deadlock=False)
        assert sorted(shown(made)) == sorted(before)


def test_leases_outlive_a_restart_of_the_server() -> None:
    with world(("dhcp", "dhcpv6"), lifetime=100) as made:
        made.run(30, deadlock=False)
        before = shown(made)
        made.host("gate").restart()
        made.run(500, deadlock=False)
        assert shown(made) == before


def renumbering(made: World, version: int) -> dict[str, Any]:
    """Run the program whose host loses its address; what it found."""
    peer = {4: "10.9.0.2", 6: "fd02::2"}[version]
    made.host("server").run("echo_server.py", daemon=True)
    made.host("phone").run(f"losing_address.py {version} {peer}", start=1)
    made.run(4000)
    (found,) = [line for line in lines_of(made) if "{" in line]
    return json.loads(found[found.index("{") :])  # type: ignore[no-any-return]


LOST: dict[int, dict[str, Any]] = {
    4: {
        "send": "ok",
        "bound sendto": "ENETUNREACH",
        "connected send": "ENETUNREACH",
        "bound connect": "ENETUNREACH",
        "connection keeps its name": True,
        "new connection": True,
        "end": "ETIMEDOUT",
    },
    6: {
        "deprecated, bind": True,
        "deprecated, connection": True,
        "deprecated, new connection from the old": False,
        "send": "ok",
        "bound sendto": "ok",
        "connected send": "ok",
        "bound connect": "ok",
        "connection keeps its name": True,
        "new connection": True,
        "end": "ETIMEDOUT",
    },
}
"""What Linux 6.1 does, as `test_as_on_the_kernel` asks it."""


def test_a_network_renumbered_by_dhcp() -> None:
    """The server refuses what it gave (NAK), and gives an address of the new prefix."""
    with world("dhcp") as made:
        made.at(100, made.renumber, "home", "192.168.9.0/24")
        assert renumbering(made, 4) == LOST[4]
        assert shown(made)[-1] == "192.168.9.128"
        assert made.now > 300, "not before it renewed"


def test_a_network_renumbered_by_slaac() -> None:
    """The old prefix is advertised with lifetimes of 0: deprecated at once, gone when its time is over (RFC 4862)."""
    with world("slaac") as made:
        states: list[tuple[int, list[str]]] = []
        for when in (50, 105, 655):
            made.at(when, lambda: states.append((round(made.now), shown(made))))
        made.at(100, made.renumber, "home", "fd09::/64")
        assert renumbering(made, 6) == LOST[6]
        prefixes = [[each[:5] for each in now if each.startswith("fd0")] for _, now in states]
        assert prefixes == [["fd01:"], ["fd09:", "fd01:"], ["fd09:"]]


def test_addresses_do_not_become_deprecated_between_advertisements() -> None:
    with world("slaac", lifetime=60) as made:
        made.run(20, deadlock=False)
        before = shown(made)
        seen: set[AddressState] = set()
        for when in range(20, 600):
            made.run(when, deadlock=False)
            seen |= {entry.state for entry in made.host("phone").stack.interfaces[2].addresses}
        assert (shown(made), seen) == (before, {AddressState.PREFERRED})


def test_a_network_renumbered_by_dhcpv6() -> None:
    with world("dhcpv6") as made:
        made.at(100, made.renumber, "home", "fd09::/64")
        made.run(1000, deadlock=False)
        assert "fd09::1:0" in shown(made)
        assert "fd01::1:0" not in shown(made)


@pytest.mark.parametrize(
    ("configure", "wanted", "address"),
    [
        ("dhcp", "192.168.1.200", "192.168.1.200"),
        ("dhcp", (), "192.168.1.129"),
        ("dhcpv6", "fd01::1:7777", "fd01::1:7777"),
        ("dhcpv6", (), "fd01::1:1"),
    ],
)
def test_one_host_renumbered_by_a_server(configure: str, wanted: str, address: str) -> None:
    with world(configure) as made:
        made.run(60, deadlock=False)
        made.renumber("phone", wanted)
        made.run(100, deadlock=False)
        assert {"192.168.1.128", "fd01::1:0"} & set(shown(made)), "it is so until it renews"
        made.run(400, deadlock=False)
        assert address in shown(made)
        assert not {"192.168.1.128", "fd01::1:0"} & set(shown(made))


def test_whoever_slept_through_a_renumbering_asks_when_it_wakes() -> None:
    with world(("dhcp", "dhcpv6"), lifetime=86_400) as made:
        made.at(50, made.pause, "phone")
        made.at(100, made.renumber, "home", ["192.168.9.0/24", "fd09::/64"])
        made.at(200, made.resume, "phone")
        made.run(230, deadlock=False)
        assert {"192.168.9.128", "fd09::1:0"} <= set(shown(made))
        assert not {"192.168.1.128", "fd01::1:0"} & set(shown(made))


def test_a_host_that_moves_asks_where_it_comes() -> None:
    """From DHCP and SLAAC to addresses that are given out, to DHCPv6, and back."""
    with world(("slaac", "dhcp")) as made:
        made.network("lab", "172.16.0.0/24", "fd03::/64", configure="dhcpv6")
        made.host("lab-gate", network=["lab", "far"], forwarding=True)
        made.host("old-timer", network="lab")
        seen = []
        for name, when in (("home", 30), ("far", 31), ("lab", 60), ("home", 90)):
            made.move("phone", name)
            made.run(when, deadlock=False)
            seen.append({each.partition(":")[0] if ":" in each else each for each in shown(made)})
        assert seen == [
            {"192.168.1.128", "fd01"},
            {"10.9.0.4", "fd02"},
            {"172.16.0.3", "fd03"},
            {"192.168.1.128", "fd01"},
        ]
        made.host("phone").restart()
        made.run(120, deadlock=False)
        assert "192.168.1.128" in shown(made)


def test_a_connection_of_a_host_that_moves_times_out_and_a_new_one_works() -> None:
    with world("dhcp") as made:
        made.at(100, made.move, "phone", "far")
        assert renumbering(made, 4) == LOST[4]
        assert shown(made)[0] == "10.9.0.3"


def test_a_laptop_carried_elsewhere_while_it_sleeps() -> None:
    with world("dhcp") as made:
        made.network("cafe", "10.20.0.0/24", configure="dhcp")
        made.host("hotspot", network=["cafe", "far"], forwarding=True)
        made.at(50, made.pause, "phone")
        made.at(100, made.move, "phone", "cafe")
        made.at(200, made.resume, "phone")
        made.run(230, deadlock=False)
        assert "10.20.0.128" in shown(made)
        assert not [each for each in shown(made) if each.startswith("192.168")]


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("gate", "far", "gate cannot move: others find their way by it"),
        ("phone", "fax", "unknown network 'fax'; did you mean 'far'"),
        ("server2", "home", "server2 cannot move: it is on several networks"),
    ],
)
def test_moves_that_cannot_be(name: str, to: str, message: str) -> None:
    made = world("dhcp")
    made.host("server2", network=["home", "far"])
    with pytest.raises(ValueError, match=message):
        made.move(name, to)
    with pytest.raises(ValueError, match=message):
        made.check_addresses(name, network=to)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ('move = "phone"', "w:11: move needs a network: to = 'NAME'"),
        ('move = "phone"\nto = "hme"', r"w:13: unknown network 'hme'; did you mean 'home'\?"),
        ('move = "gate"\nto = "home"', "w:12: gate cannot move: others find their way by it"),
    ],
)
def test_mistakes_in_moves(event: str, message: str) -> None:
    source = """[[networks]]
name = "home"
[[networks]]
name = "isp"
[hosts.phone]
network = "home"
[hosts.far]
network = "isp"
[routers.gate]
networks = ["home", "isp"]
[[events]]
"""
    with pytest.raises(WorldFileError, match=message):
        parse_world(f"{source}{event}\nat = 5\n".encode(), Path("w"))


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("home", (), "network 'home' needs its new prefixes"),
        ("home", "192.168.9.0", "'192.168.9.0' needs a prefix length, as 192.168.9.0/24"),
        ("home", "192.168.1.128/25", r"192.168.1.128/25 is in use on network 'home'"),
        ("home", "10.9.0.0/25", r"10.9.0.0/25 is in use on network 'far'"),
        ("home", "fd09::/64", "hosts of network 'home' have no address like fd09::/64 by configuration"),
        ("home", "172.16.0.0/30", "172.16.0.0/30 is too small for DHCP"),
        ("phone", "192.168.1.7", "192.168.1.7 is none that DHCP gives on network 'home': it gives 192.168.1.128 to"),
        ("phone", "172.16.0.7", "172.16.0.7 is in no network of phone"),
        ("hom", (), "unknown host 'hom'"),
    ],
)
def test_renumbering_that_cannot_be(name: str, to: str, message: str) -> None:
    made = world("dhcp")
    with pytest.raises(ValueError, match=message):
        made.renumber(name, to)
    with pytest.raises(ValueError, match=message):
        made.check_addresses(name, (to,) if to else ())


def test_a_host_cannot_be_renumbered_alone_by_slaac() -> None:
    with world("slaac") as made:
        made.run(10, deadlock=False)
        with pytest.raises(ValueError, match="phone has its IPv6 address by SLAAC: renumber its network, 'home'"):
            made.renumber("phone", "fd01::77")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('configure = "dchp"', r"w:3: configure: must be of slaac, dhcp, dhcpv6, not 'dchp'; did you mean 'dhcp'\?"),
        ('lifetime = "1h"', "w:3: 'lifetime' goes with 'configure'"),
        ('configure = "dhcp"\nlifetime = "1s"', "w:4: lifetime: must be a minute or more"),
        ('configure = "dhcp"\nby = "gat"', r"w:4: unknown host 'gat'; did you mean 'gate'\?"),
        ('configure = "dhcp"\nby = "far"', "w:3: nobody gives addresses on network 'home': host 'far' is not on it"),
        ('configure = "dhcp"', None),
        ('configure = ["slaac", "dhcp"]\nby = "phone"', None),
    ],
)
def test_mistakes_in_a_world_file(text: str, message: str | None) -> None:
    source = f"""[[networks]]
name = "home"
{text}
[[networks]]
name = "isp"
[hosts.phone]
network = "home"
[hosts.far]
network = "isp"
[routers.gate]
networks = ["home", "isp"]
"""
    if message is None:
        assert parse_world(source.encode(), Path("w")).networks[0].autoconf is not None
        return
    with pytest.raises(WorldFileError, match=message):
        parse_world(source.encode(), Path("w"))


@pytest.mark.root
@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", [4, 6])
def test_as_on_the_kernel(namespaces: Any, version: int) -> None:
    """The same program on Linux: an address deprecated, then expired (IPv6), or taken away (IPv4)."""
    here, there = namespaces(), namespaces()
    here.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there.name)
    old, new, peer, length = {
        4: ("10.9.1.1", "10.9.1.2", "10.9.1.9", 24),
        6: ("fd09::1", "fd0a::1", "fd09::9", 64),
    }[version]
    nodad = ("nodad",) if version == 6 else ()
    for namespace, address in ((here, old), (there, peer)):
        namespace.run("ip", "addr", "add", f"{address}/{length}", "dev", "eth0", *nodad)
        namespace.run("ip", "link", "set", "eth0", "up")
    if version == 6:  # the route to the network ends with the old address; by a router there would be another
        here.run("ip", "route", "add", f"{peer}/128", "dev", "eth0")
        there.run("ip", "addr", "add", "fd0a::9/64", "dev", "eth0", "nodad")
    server = there.start(sys.executable, str(PROGRAMS / "echo_server.py"))
    assert "listening" in server.stdout.readline()
    program = here.start(sys.executable, str(PROGRAMS / "losing_address.py"), str(version), peer)
    assert program.stdout.readline() == f"ready {old}\n"
    here.run("ip", "addr", "add", f"{new}/{length}", "dev", "eth0", *nodad)
    if version == 6:
        lifetimes = ("valid_lft", "5", "preferred_lft", "0")
        here.run("ip", "addr", "change", f"{old}/{length}", "dev", "eth0", *lifetimes)
    else:
        here.run("sysctl", "-w", "net.ipv4.conf.eth0.promote_secondaries=1")
        here.run("ip", "addr", "del", f"{old}/{length}", "dev", "eth0")
    assert json.loads(program.stdout.readline()) == LOST[version]
