"""`[dns]` in world files: what is read, what is made that nobody wrote, and every mistake at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.stub import Server
from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.dns import DnsPlan, ZonePlan
from catenet.world.scenario.worldfile import WorldFileError, WorldPlan, parse_world

HOSTS = "[hosts.ns1]\n[hosts.ns2]\n[hosts.web]\n"


def read(text: str, folder: Path = Path()) -> WorldPlan:
    return parse_world(text.encode(), folder / "world.toml")


def zones_of(plan: DnsPlan | None) -> dict[str, ZonePlan]:
    assert plan is not None
    return {zone.name.decode("latin-1").replace("\0", ""): zone for zone in plan.zones}


def test_without_the_table_there_is_nothing() -> None:
    assert read(HOSTS).dns is None


def test_the_table_alone_makes_a_hierarchy() -> None:
    plan = read(f"[dns]\n{HOSTS}")
    dns = plan.dns
    assert dns is not None
    assert {zone.name: zone.hosts for zone in dns.zones} == {
        ROOT: ("dns-root",),
        name_from_text("arpa."): ("dns-top",),
        name_from_text("world."): ("dns-top",),
    }
    assert dns.resolvers == ("dns-resolver",)
    assert dns.made == ("dns-root", "dns-top", "dns-resolver")
    assert [host.name for host in plan.hosts] == ["ns1", "ns2", "web", *dns.made]
    assert (dns.sign, dns.cache, dns.ttl, dns.domain) == (False, True, 300, name_from_text("world."))


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "filed.zone").write_text("")
    dns = read(
        f"""
[dns]
domain = "lab.example"
sign = true
ttl = "60s"
resolver = ["web", "ns1"]
cache = false

[dns.zones."."]
hosts = "ns1"

[dns.zones."Example."]
hosts = ["ns1", "ns2"]
ttl = 30
[dns.zones."Example.".names]
www = ["web", "192.0.2.1", "2001:db8::1"]
"@" = "web"
alias = "www.other.test."
near = {{ lan = "web", wan = ["ns1", "ns2"] }}

[dns.zones."deep.other.test"]
file = "filed.zone"
hosts = "ns2"
sign = false

[dns.zones."late.test."]
fault = "expired"

[[networks]]
name = "lan"
[[networks]]
name = "wan"
{HOSTS}
""",
        tmp_path,
    ).dns
    assert dns is not None
    assert (dns.domain, dns.sign, dns.ttl, dns.cache) == (name_from_text("lab.example."), True, 60, False)
    assert dns.resolvers == ("web", "ns1")
    assert dns.made == ("dns-top",)
    found = {zone.name: zone for zone in dns.zones}
    assert found[name_from_text("example.")] == ZonePlan(
        name_from_text("example."),
        ("ns1", "ns2"),
        ttl=30,
        names={
            "www": ("web", "192.0.2.1", "2001:db8::1"),
            "@": ("web",),
            "alias": ("www.other.test.",),
            "near": {"lan": ("web",), "wan": ("ns1", "ns2")},
        },
    )
    assert found[name_from_text("deep.other.test.")].file == (tmp_path / "filed.zone").absolute()
    assert found[name_from_text("deep.other.test.")].sign is False
    assert found[name_from_text("late.test.")].fault == "expired"
    assert found[ROOT].hosts == ("ns1",)
    assert {name_from_text("test."), name_from_text("arpa."), name_from_text("lab.example.")} <= found.keys()


def test_hosts_ask_the_resolver_of_their_network_first_unless_they_ask_others() -> None:
    text = """
[dns]
resolver = ["far", "near"]
[[networks]]
name = "lan"
[[networks]]
name = "wan"
[routers.gate]
networks = ["lan", "wan"]
[hosts.near]
network = "lan"
[hosts.far]
network = "wan"
[hosts.client]
network = "lan"
[hosts.own]
network = "lan"
resolv = { servers = "192.0.2.53", search = [] }
[hosts.patient]
network = "wan"
resolv = { attempts = 5, cache = false }
"""
    with World() as world:
        build_world(read(text), world, lambda line: None)
        near, far = (Server(world.addresses(name)[0]) for name in ("near", "far"))
        asked = {name: host.name_service for name, host in world.hosts.items()}
    client, own, patient = asked["client"], asked["own"], asked["patient"]
    assert client is not None and own is not None and patient is not None
    assert client.servers == (near, far)
    assert client.search == (name_from_text("world."),)
    assert client.cache
    assert (own.servers[0].address, own.search) == (bytes((192, 0, 2, 53)), ())
    assert (patient.servers, patient.attempts, patient.cache) == ((far, near), 5, False)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[dns]\nsigned = true", 2, "unknown key 'signed'; did you mean 'sign'?"),
        ("[dns]\nsign = 1", 2, "sign: must be true or false, not 1"),
        ("[dns]\ndomain = 'a..b'", 2, "domain: 'a..b' has an empty label"),
        ("[dns]\ndomain = ''", 2, "domain: must be a text, not ''"),
        ("[dns]\nttl = '1.5s'", 2, "ttl: must be whole seconds, up to 604800, not '1.5s'"),
        ("[dns]\nttl = '200h'", 2, "ttl: must be whole seconds, up to 604800, not '200h'"),
        ("[dns]\nresolver = 'wbe'", 2, "resolver: unknown host 'wbe'; did you mean 'web'?"),
        ("[dns]\nresolver = ['web', 'web']", 2, "resolver: names a host twice"),
        ("[dns]\nresolver = []", 2, "resolver: needs at least one host"),
        ("[dns]\nzones = 1", 2, "zones must be a table, not 1"),
        ("[dns.zones]\n'a.' = 1", 2, "a. must be a table, not 1"),
        ("[dns.zones.'a..b']", 1, "'a..b' has an empty label"),
        ("[dns.zones.'a.']\n[dns.zones.'A']", 2, "there is a zone a. already"),
        ("[dns.zones.'a.']\nhost = 'ns1'", 2, "unknown key 'host'; did you mean 'hosts'?"),
        ("[dns.zones.'a.']\nhosts = 'ns3'", 2, "hosts: unknown host 'ns3'; did you mean 'ns2'?"),
        ("[dns.zones.'a.']\nfault = 'expire'", 2, "fault: must be one of expired, bogus, lame…did you mean 'expired'?"),
        ("[dns.zones.'a.']\nfault = 'bogus'", 2, "fault 'bogus' is about signatures: [dns] needs sign = true"),
        (
            "[dns]\nsign = true\n[dns.zones.'a.']\nsign = false\nfault = 'expired'",
            5,
            "fault 'expired' is about signatures…",
        ),
        ("[dns.zones.'a.'.names]\nwww = 'wbe'", 2, "www: 'wbe' is no host, address, or name…did you mean 'web'?"),
        ("[dns.zones.'a.'.names]\nwww = ['b.', 'web']", 2, "www: 'b.' is an alias, beside which there can be nothing"),
        ("[dns.zones.'a.'.names]\nwww = []", 2, "www: needs a host, an address, or a name with a dot at its end"),
        ("[dns.zones.'a.'.names]\n'www.b.' = 'web'", 2, "www.b.: 'www.b.' is not in the zone a."),
        ("[dns.zones.'a.'.names]\nwww = { lan = 'web' }", 2, "www: unknown network 'lan'"),
        ("[dns.zones.'a.']\nfile = 'none.zone'", 2, "file: no file 'none.zone' in …did you mean 'one.zone'?"),
        ("[dns]\n[hosts.dns-root]", 2, "[dns] makes a host 'dns-root' itself: give this one another name"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(text: str, line: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "one.zone").write_text("")
    with pytest.raises(WorldFileError) as caught:
        read(f"{text}\n{HOSTS}", tmp_path)
    prefix = f"{tmp_path}/world.toml:{line}: "
    assert str(caught.value).startswith(prefix)
    said = str(caught.value).removeprefix(prefix)
    assert "\n" not in said
    start, _, end = message.partition("…")
    assert said.startswith(start)
    assert said.endswith(end)


def test_a_file_and_names_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "one.zone").write_text("")
    with pytest.raises(WorldFileError, match="in its file or here, not in both"):
        read(f"[dns.zones.'a.']\nfile = 'one.zone'\nnames.www = 'web'\n{HOSTS}", tmp_path)
