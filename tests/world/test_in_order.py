"""Packets under way wait in a queue per flow; they arrive as if each had an entry of its own in the hub's heap."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from catenet.link.properties import LinkProperties, QueueProperties
from catenet.world.engine.hub import Hub
from catenet.world.network.topology import Topology


def packet(source: int, destination: int, size: int) -> bytes:
    return bytes([0x45]) + bytes(11) + bytes([10, 0, 0, source]) + bytes([10, 0, 0, destination]) + bytes(size)


def world(hub: Hub, hosts: int, properties: LinkProperties) -> tuple[Topology, list[tuple[float, str, bytes]]]:
    topology, arrived = Topology(hub, seed=1), []
    for number in range(hosts):
        port = topology.attach(f"h{number}", properties=LinkProperties(latency=0.01))
        port.attach(lambda data, now, name=port.host: arrived.append((hub.now, name, data)))
        if number:
            topology.link("h0", port.host, properties)
    return topology, arrived


@pytest.mark.parametrize("rate", [None, 1e6])
def test_what_is_under_way_has_one_entry_per_flow(rate: float | None) -> None:
    hub = Hub()
    topology, arrived = world(hub, 4, LinkProperties(latency=0.5, rate=rate))
    for number in range(30):
        topology.ports[0].send(packet(1, 2 + number % 3, number), 0.0)
    hub.put_on_links()
    assert len(hub.heap) == 3
    hub.run()
    assert len(arrived) == 30
    assert not hub.heap


def run_with(in_order: bool) -> list[tuple[float, str, bytes]]:
    hub, draw = Hub(), random.Random(5)
    topology, arrived = world(hub, 5, LinkProperties(latency=0.02, rate=1e6))
    ports = topology.ports

    def send() -> None:
        one, other = draw.sample(range(5), 2)
        for _ in range(draw.randrange(1, 4)):
            # Sizes and moments of which many give the same time of arrival.
            ports[one].send(packet(one + 1, other + 1, 105), hub.now)
        if draw.random() < 0.01:
            topology.link("h0", "h1", LinkProperties(latency=draw.choice([0.001, 0.02]), rate=1e6))
        if not in_order:  # from the second packet of a flow on
            for port in ports:
                for path in port.paths.values():
                    path.in_order = None

    for step in range(1, 1500):
        hub.call_at(step * 0.001, send)
    hub.run()
    return arrived


def test_order_and_moments_are_those_of_an_entry_per_packet() -> None:
    assert run_with(True) == run_with(False)


def cross_a_switch(
    in_order: bool, properties: list[LinkProperties]
) -> tuple[list[tuple[float, str, bytes]], list[object]]:
    """Hosts on one network, each with a link of its own; what arrived, and what the links have counted."""
    hub, draw, arrived = Hub(), random.Random(7), list[tuple[float, str, bytes]]()
    topology = Topology(hub, seed=2)
    for number, each in enumerate(properties):
        port = topology.attach(f"h{number}", properties=each)
        port.attach(lambda data, now, name=port.host: arrived.append((hub.now, name, data)))
    ports = topology.ports
    if not in_order:
        for network in topology.networks.values():
            find = network.find_path

            def slow_path(*names: Any, find: Callable[..., Any] = find) -> Any:
                found = find(*names)
                found.in_order = None
                return found

            network.find_path = slow_path

    def send() -> None:
        one, other = draw.sample(range(len(ports)), 2)
        ports[one].send(packet(one + 1, other + 1, draw.choice((10, 105, 1480, 1481, 3000))), hub.now)

    for step in range(1, 800):
        hub.call_at(step * 0.001, send)
    hub.run()
    links = [link for port in ports for link in (port.up, port.down)]
    return arrived, [[getattr(link.counters, name) for name in ("packets", "bytes", "drops")] for link in links]


PLAIN = LinkProperties(latency=0.02)
LINKS = {
    "plain": [PLAIN, LinkProperties(latency=0.001), LinkProperties()],
    "of limited rate": [PLAIN, LinkProperties(latency=0.001, rate=1e6), LinkProperties(rate=1e5)],
    "of short queues": [PLAIN, LinkProperties(rate=1e5, queue=QueueProperties(packets=2)), LinkProperties()],
    "of jitter": [PLAIN, LinkProperties(latency=0.05, jitter=0.03), LinkProperties(rate=1e6, jitter=0.001)],
    "of losses": [PLAIN, LinkProperties(loss=0.3), LinkProperties(duplicate=0.3), LinkProperties(reorder=0.3)],
    "of other sizes": [LinkProperties(mtu=3100), PLAIN, LinkProperties(mtu=1400)],
}


@pytest.mark.parametrize("kind", LINKS)
def test_two_links_carry_the_same_with_queues_and_without(kind: str) -> None:
    with_queues, without = (cross_a_switch(in_order, LINKS[kind]) for in_order in (True, False))
    assert len(with_queues[0]) > 100
    assert with_queues == without
