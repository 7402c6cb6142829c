"""Destinations that no connection has, and those that need leave: the kernel, with a network of its own, knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World

sys.path.insert(0, str(Path(__file__).parent))
import reaching

ADDRESSES = ["10.9.0.1/24", "fd00:9::1/64"]


def on_a_simulated_host(function: Any) -> Any:
    got: list[Any] = []
    with World() as world:
        world.network("lan", "10.9.0.0/24", "fd00:9::/64")
        world.host("host", ADDRESSES).run(lambda: got.append(function()))
        world.run(1000)
    return json.loads(json.dumps(got[0]))


@pytest.mark.root
def test_reachable_addresses_are_those_of_the_kernel(namespace: Any) -> None:
    namespace.run("ip", "link", "add", "far", "type", "veth", "peer", "name", "near")
    for link in ("far", "near"):
        namespace.run("ip", "link", "set", link, "addrgenmode", "none")
    for address in (*ADDRESSES, "fe80::1234/64"):
        options = ("nodad",) if ":" in address else ()
        namespace.run("ip", "address", "add", address, "dev", "near", *options)
    for link in ("near", "far"):
        namespace.run("ip", "link", "set", link, "up")
    namespace.run("ip", "route", "add", "default", "via", "10.9.0.2")
    namespace.run("ip", "route", "add", "default", "via", "fd00:9::2")
    namespace.run("ip", "-6", "route", "add", "multicast", "ff00::/8", "dev", "near", "table", "local", "metric", "1")
    program = Path(reaching.__file__)
    everywhere, within = json.loads(namespace.run(sys.executable, str(program)).stdout)
    assert on_a_simulated_host(reaching.reach_all) == everywhere
    assert on_a_simulated_host(reaching.loopback_addresses) == within


@pytest.mark.parametrize("address", reaching.RESERVED)
def test_no_default_route_leads_to_reserved_addresses(address: str) -> None:
    """A connection there would wait for two minutes for an answer that no host takes (RFC 1122 3.2.1.3)."""
    none = "::" if ":" in address else "0.0.0.0"
    assert on_a_simulated_host(lambda: reaching.reach(address)) == [address, *["ENETUNREACH", none] * 5]
