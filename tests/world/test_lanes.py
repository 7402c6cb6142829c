"""Packets under way wait in a queue per flow; they arrive as if each had an entry of its own in the hub's heap."""

import random

import pytest

from catenet.link.properties import LinkProperties
from catenet.world.hub import Hub
from catenet.world.topology import Topology


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
    assert len(hub.heap) == 3
    hub.run()
    assert len(arrived) == 30
    assert not hub.heap


def run_with(lanes: bool) -> list[tuple[float, str, bytes]]:
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
        if not lanes:  # from the second packet of a flow on
            for port in ports:
                for flow in port.flows.values():
                    flow.lane = None

    for step in range(1, 1500):
        hub.call_at(step * 0.001, send)
    hub.run()
    return arrived


def test_order_and_moments_are_those_of_an_entry_per_packet() -> None:
    assert run_with(True) == run_with(False)
