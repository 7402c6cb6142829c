"""`resolv` in world files: which servers a host asks, and every mistake at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.stub import Server, StubConfig
from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.worldfile import WorldFileError, parse_world

WORLD = """\
[resolv]
servers = ["ns", "10.9.9.9", "fd00::99"]
search = ["a.example", "b.example."]
ndots = 2

[hosts.ns]

[hosts.plain]

[hosts.own.resolv]
servers = "plain"
timeout = "2s"
attempts = 3
rotate = true
tcp = true
edns = true
cache = true
search = []
"""


def config(text: str, host: str) -> StubConfig | None:
    with World() as world:
        build_world(parse_world(text.encode(), Path("world.toml")), world, lambda line: None)
        return world.hosts[host].name_service


def test_what_holds_for_all_hosts_and_what_one_says_otherwise() -> None:
    servers = Server(bytes((10, 0, 0, 1))), Server(bytes((10, 9, 9, 9))), Server(b"\xfd" + bytes(14) + b"\x99")
    search = name_from_text("a.example."), name_from_text("b.example.")
    assert config(WORLD, "plain") == StubConfig(servers, search, ndots=2)
    assert config(WORLD, "ns") == StubConfig(servers, search, ndots=2)
    assert config(WORLD, "own") == StubConfig(
        (Server(bytes((10, 0, 0, 2))),),
        (),
        ndots=2,
        timeout=2.0,
        attempts=3,
        rotate=True,
        use_tcp=True,
        edns=True,
        cache=True,
    )


def test_without_it_nobody_is_asked() -> None:
    assert config("[hosts.a]\n", "a") is None
    assert config("[hosts.a]\n[hosts.b.resolv]\nservers = 'a'\n", "a") is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("server = 'a'", 2, "unknown key 'server'; did you mean 'servers'?"),
        ("servers = 'hots'", 2, "servers: 'hots' is neither a host nor an address; did you mean 'host'?"),
        ("servers = []", 2, "servers: a host asks one to 3 servers, not 0"),
        ("servers = ['host', 'host', 'host', 'host']", 2, "servers: a host asks one to 3 servers, not 4"),
        ("ndots = 1", 1, "resolv needs servers: servers = ['NAME or ADDRESS', ...]"),
        ("servers = 'host'\nndots = 16", 3, "ndots: must be a whole number from 0 to 15, not 16"),
        ("servers = 'host'\nndots = true", 3, "ndots: must be a whole number from 0 to 15, not True"),
        ("servers = 'host'\ntimeout = '1.5s'", 3, "timeout: must be a whole number from 1 to 30, not 1.5"),
        ("servers = 'host'\nattempts = 0", 3, "attempts: must be a whole number from 1 to 5, not 0"),
        ("servers = 'host'\nrotate = 1", 3, "rotate: must be true or false, not 1"),
        ("servers = 'host'\nsearch = 'a..b'", 3, "search: 'a..b' has an empty label"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(text: str, line: int, message: str) -> None:
    for table, more in (("[hosts.host.resolv]", ""), ("[resolv]", "\n[hosts.host]")):
        with pytest.raises(WorldFileError) as caught:
            parse_world(f"{table}\n{text}{more}\n".encode(), Path("world.toml"))
        assert str(caught.value) == f"world.toml:{line}: {message}"
