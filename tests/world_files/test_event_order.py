"""Events are checked at load as they will find the world, after those before them; mistakes name their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.wire.address import format_address
from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.worldfile import WorldFileError, parse_world

NETWORKS = """[[networks]]
name = "home"
address = "192.168.1.0/24"
configure = "dhcp"
[[networks]]
name = "isp"
[hosts.phone]
network = "home"
[hosts.far]
network = "isp"
[routers.gate]
networks = ["home", "isp"]
"""
HOME = "[[events]]\nat = 100\nrenumber = 'home'\nto = '192.168.9.0/24'\n"
PHONE = "[[events]]\nat = 200\nrenumber = 'phone'\nto = '{}'\n"
MOVE = "[[events]]\nat = 150\nmove = 'phone'\nto = 'isp'\n"


def build(text: str) -> World:
    world = World(1, output=lambda host, stream, line: None)
    build_world(parse_world(text.encode(), Path("w")), world, lambda line: None)
    return world


@pytest.mark.parametrize("is_first", [True, False])
def test_a_host_in_the_prefix_that_its_network_is_given_before(is_first: bool) -> None:
    parts = [HOME, PHONE.format("192.168.9.200")]
    with build(NETWORKS + "".join(parts if is_first else reversed(parts))) as world:
        world.run(12 * 3600, deadlock=False)
        assert "192.168.9.200" in [format_address(one) for one in world.addresses("phone")]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (HOME + PHONE.format("192.168.9.7"), "w:20: 192.168.9.7 is none that DHCP gives on network 'home': it gives"),
        (HOME + PHONE.format("192.168.8.7"), "w:20: 192.168.8.7 is in no network of phone"),
        (PHONE.format("192.168.8.7"), "w:16: 192.168.8.7 is in no network of phone"),
        (HOME.replace("100", "300") + PHONE.format("192.168.9.200"), "w:20: 192.168.9.200 is in no network of phone"),
        (MOVE + PHONE.format("192.168.1.200"), "w:20: 192.168.1.200 is in no network of phone"),
        (HOME.replace("9.0/24", "9.0"), "w:16: '192.168.9.0' needs a prefix length, as 192.168.9.0/24"),
        (HOME.replace("192.168.9.0/24", "172.16.0.0/30"), "w:16: 172.16.0.0/30 is too small for DHCP"),
        (
            HOME.replace("'home'", "'isp'"),
            "w:15: network 'isp' gives its hosts no addresses: it needs configure = 'dhcp'",
        ),
    ],
)
def test_events_that_cannot_be_are_refused_at_their_line(events: str, message: str) -> None:
    with pytest.raises(WorldFileError) as error:
        build(NETWORKS + events)
    assert str(error.value).startswith(message)


def test_a_host_where_it_has_moved() -> None:
    with build(NETWORKS + MOVE + PHONE.format("10.0.1.200")) as world:
        world.run(300, deadlock=False)
        assert "10.0.1.200" in [format_address(one) for one in world.addresses("phone")]


def test_a_network_that_cannot_be_configured_is_refused_at_its_line() -> None:
    with pytest.raises(WorldFileError, match=r"^w:3: 192\.168\.1\.0/30 is too small for DHCP"):
        build(NETWORKS.replace("192.168.1.0/24", "192.168.1.0/30"))
