"""Zones of a world follow a host that gets another address; caches keep the old one as long as they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.worldfile import parse_world

pytest.importorskip("cryptography")

WORLD = """
[link]
latency = "5ms"

[[networks]]
name = "lan"
NETWORK

[dns]
sign = SIGN
ttl = "60s"

[dns.zones."example."]
hosts = ["ns"]
names.www = "web"

[routers.gate]
networks = ["lan", "other"]

[[networks]]
name = "other"

[hosts.ns]
[hosts.web]
[hosts.client]
run = "ask.py"
start = "5s"

[[events]]
at = "30s"
EVENT
"""
ASK = """
import socket, sys, time
begun, last = time.monotonic(), None
while time.monotonic() - begun < 900:
    try:
        found = sorted({entry[4][0] for entry in socket.getaddrinfo("www.example", 80, FAMILY)})
    except OSError as error:
        found = error
    if str(found) != str(last):
        print(round(time.monotonic() - begun + 5), found, flush=True)
        last = found
    time.sleep(1)
try:
    print(socket.gethostbyaddr(last[0])[0], flush=True)
except OSError as error:
    print(error)
"""


def lines(folder: Path, text: str, family: str, **words: str) -> list[str]:
    for key, value in words.items():
        text = text.replace(key, value)
    text = "\n".join([text[text.index("[[networks]]") :], text[: text.index("[[networks]]")]])
    (folder / "ask.py").write_text(ASK.replace("FAMILY", family))
    source = f"{text}\n[world]\nduration = '20min'\n"
    printed: list[str] = []
    with World(1, directory=folder, output=lambda *line: printed.append(" ".join(line))) as world:
        build_world(parse_world(source.encode(), folder / "w.toml"), world, lambda text: None)
        world.run(1200, check=False)
    return [line.removeprefix("client stdout ") for line in printed if line.startswith("client")]


@pytest.mark.parametrize("sign", ["false", "true"])
def test_a_host_with_another_address_is_found_when_caches_have_forgotten(tmp_path: Path, sign: str) -> None:
    found = lines(tmp_path, WORLD, "socket.AF_INET", NETWORK="", SIGN=sign, EVENT='renumber = "web"\nto = "10.0.0.77"')
    (first, second, reverse) = found
    assert first == "5 ['10.0.0.2']"
    when = int(second.split()[0])
    assert second.endswith("['10.0.0.77']")
    assert 30 < when <= 66, "the stub and the resolver may have it for a minute"
    assert when > 60
    assert reverse == "web.world"


def test_a_deprecated_address_has_no_name_any_more(tmp_path: Path) -> None:
    event = 'renumber = "web"\nto = "fd00::77"\nkeep = "10min"'
    found = lines(tmp_path, WORLD, "socket.AF_INET6", NETWORK="", SIGN="false", EVENT=event)
    assert [line.partition(" ")[2] for line in found[:2]] == ["['fd00::2']", "['fd00::77']"]


def test_hosts_that_are_renumbered_by_their_network(tmp_path: Path) -> None:
    network = 'address = ["192.168.1.0/24"]\nconfigure = "dhcp"\nlifetime = "10min"'
    event = 'renumber = "lan"\nto = "192.168.9.0/24"'
    found = lines(tmp_path, WORLD, "socket.AF_INET", NETWORK=network, SIGN="false", EVENT=event)
    addresses = [line.partition(" ")[2][:11] for line in found[:2]]
    assert addresses == ["['192.168.1", "['192.168.9"]
    assert 300 < int(found[1].split()[0]) < 400, "when it has renewed, and a minute later"


def test_a_resolver_that_is_renumbered_is_asked_where_it_is(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        WORLD,
        "socket.AF_INET",
        NETWORK="",
        SIGN="false",
        EVENT='renumber = ["dns-resolver", "ns", "dns-top"]',
    )
    assert found == ["5 ['10.0.0.2']", "web.world"]
