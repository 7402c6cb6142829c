"""What waits in the queue of a link has not left: crashes, partitions and changes of the link find it there."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from catenet.world import World

SIZE = 972
"""Data of a datagram that makes an IPv4 packet of 1,000 bytes."""
RATE = 1e6
EACH = 0.008
"""Seconds that one of them takes at 1 Mbit/s."""
KINDS = ["network", "own", "router"]
QUEUES = ["droptail", "codel 1000 packets", "fq_codel 1000 packets", "dualpi2 1000 packets"]
FAULTS: dict[str, dict[str, Any]] = {"plain": {}, "jitter": {"jitter": "1ms"}, "all copies": {"duplicate": 1}}


class Line:
    """A sends numbered datagrams to b over one slow link; when which arrived."""

    def __init__(self, kind: str = "network", side: str = "a", version: int = 4, **properties: Any) -> None:
        self.world = world = World(1)
        self.kind, self.side, self.version = kind, side, version
        self.arrived: list[tuple[float, int]] = []
        if kind == "router":
            world.network("near")
            world.network("far")
            world.host("a", network="near")
            world.host("r", network=["near", "far"], forwarding=True)
            world.host("b", network="far")
        else:
            world.host("a")
            world.host("b")
        world.host("c", network="near" if kind == "router" else None)
        self.set(rate=RATE, latency="100ms", **properties)
        world.hosts["b"].run(self.listen, daemon=True)

    def set(self, **properties: Any) -> None:
        self.world.link(*(("a", "b") if self.kind == "own" else (self.side,)), **properties)

    def listen(self) -> None:
        with socket.socket(socket.AF_INET6 if self.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10**6)
            sock.bind(("", 9))
            while True:
                data = sock.recv(2000)
                self.arrived.append((self.world.now, int.from_bytes(data[:2], "big")))

    def send(self, first: int, count: int, name: str = "b") -> None:
        with socket.socket(socket.AF_INET6 if self.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, 32, 10**6)  # SO_SNDBUFFORCE: all at once
            family = socket.AF_INET6 if self.version == 6 else socket.AF_INET
            address = socket.getaddrinfo(name, 9, family, socket.SOCK_DGRAM)[0][4]
            room = SIZE if self.version == 4 else SIZE - 20
            for number in range(first, first + count):
                sock.sendto(number.to_bytes(2, "big") + bytes(room - 2), address)

    def run(self, *sends: tuple[float, int, int], until: float = 20.0) -> list[int]:
        for when, first, count in sends:
            self.world.hosts["a"].run(self.send, first, count, start=when)
        self.world.hosts["c"].run(time.sleep, until)
        with self.world:
            self.world.run(until=until, check=False)
        return [number for _, number in self.arrived]


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_takes_what_has_not_left_and_what_is_on_the_wire_arrives(kind: str, version: int) -> None:
    line = Line(kind, version=version)
    line.world.at(1.1, line.world.hosts["a"].crash)
    arrived = line.run((1.0, 0, 300))
    # 12 had left after 0.1 s; the one that was being sent then never arrives, and none before its time.
    assert arrived == list(range(12))
    assert line.arrived[-1][0] == pytest.approx(1.0 + 12 * EACH + 0.1)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("faults", FAULTS)
def test_no_queue_outlives_its_host(queue: str, faults: str) -> None:
    line = Line(queue=queue, **FAULTS[faults])
    line.world.at(1.1, line.world.hosts["a"].crash)
    line.world.at(1.5, line.world.hosts["a"].restart)
    line.run((1.0, 0, 300))
    # When it is up again, its program sends them again.
    first = {number for when, number in line.arrived if when < 1.6}
    assert first <= set(range(13)) and len(first) >= 11  # DualPI2 may have dropped one
    assert max(when for when, _ in line.arrived if when < 1.6) < 1.2 + 0.002


def test_a_host_that_restarts_begins_with_an_empty_queue() -> None:
    line = Line()
    line.world.at(1.1, line.world.hosts["a"].restart)
    arrived = line.run((1.0, 0, 30), until=3.0)
    # Booted again, its program sends its 30 again, at once.
    assert arrived == [*range(12), *range(30)]
    assert line.arrived[12][0] == pytest.approx(1.1 + EACH + 0.1)
    drops = line.world.topology.ports_of("a")[0].up.counters.drops
    assert drops == {"crash": 18}


def test_what_waits_for_a_crashed_host_at_the_switch_is_not_its_own() -> None:
    """The queue of the receiver's link is the switch's: what leaves it when the host is up again arrives."""
    line = Line(side="b")
    line.world.at(1.1, line.world.hosts["b"].crash)
    line.world.at(1.301, line.world.hosts["b"].restart)
    arrived = line.run((1.0, 0, 100))
    assert arrived == list(range(25, 100))


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("queue", ["droptail", "codel 1000 packets"])
def test_a_partition_stops_what_leaves_a_queue_while_it_stands(kind: str, side: str, queue: str) -> None:
    line = Line(kind, side, queue=queue)
    world = line.world
    if queue != "droptail":  # no more than what CoDel leaves alone
        line.set(rate=RATE * 100, latency="100ms", queue=queue)
    each = EACH if queue == "droptail" else EACH / 100
    ends = ("a", "r") if kind == "router" and side == "a" else ("a", "b")
    world.at(1 + 10.5 * each, world.partition, *ends)
    world.at(1 + 20.5 * each, world.heal)
    arrived = line.run((1.0, 0, 50))
    assert arrived == [*range(10), *range(20, 50)]


def test_a_partition_stops_nobody_else() -> None:
    line = Line()
    world = line.world
    world.at(1 + 5.5 * EACH, world.partition, "c", "b")
    world.at(1 + 6.5 * EACH, world.partition, "c")
    assert line.run((1.0, 0, 50)) == list(range(50))


@pytest.mark.parametrize("cut", ["a", "r"])
def test_a_partition_at_a_router_is_met_where_it_stands(cut: str) -> None:
    """Packets of a wait in front of b, behind the router."""
    line = Line("router", side="b")
    world = line.world
    world.at(1 + 10.5 * EACH, world.partition, cut, "b")
    assert line.run((1.0, 0, 50)) == list(range(10))


def test_copies_for_many_are_stopped_one_by_one(version: int) -> None:
    group = "239.1.2.3" if version == 4 else "ff15::1"
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    heard: dict[str, int] = {"b": 0, "c": 0}
    world = World(1)

    def listen() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 9))
            if version == 4:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4))
            else:
                wanted = socket.inet_pton(family, group) + (2).to_bytes(4, "little")
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)
            while True:
                sock.recv(2000)
                heard[socket.gethostname()] += 1

    def speak() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            for _ in range(50):
                sock.sendto(bytes(SIZE - (0 if version == 4 else 20)), (group, 9))

    world.host("a").run(speak, start=1.0)
    world.host("d").run(time.sleep, 5)
    for name in heard:
        world.host(name).run(listen, daemon=True)
    world.link("a", rate=RATE)
    world.at(1 + 10.5 * EACH, world.partition, "a", "b")
    with world:
        world.run(until=5.0)
    assert heard == {"b": 10, "c": 50}


CHANGES: dict[str, dict[str, Any]] = {
    "slower": {"rate": RATE / 4},
    "faster": {"rate": RATE * 4},
    "without end": {"rate": "unlimited"},
    "by CoDel": {"rate": RATE * 2, "queue": "codel 1000 packets"},
}


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_rate_is_that_of_what_waits_and_nothing_overtakes(kind: str, side: str, change: str) -> None:
    """The link is set to another rate after 10.5 of 40 packets, and 40 more are sent behind them."""
    line = Line(kind, side)
    properties = CHANGES[change]
    line.world.at(1 + 10.5 * EACH, lambda: line.set(latency="100ms", **properties))
    arrived = line.run((1.0, 0, 40), (1.0 + 11 * EACH, 40, 20))
    assert arrived == list(range(60)) or (change == "by CoDel" and arrived == sorted(arrived))
    rate = properties["rate"]
    each = 0.0 if rate == "unlimited" else SIZE_ON_WIRE * 8 / rate
    expected = 1 + 10.5 * EACH + 0.1 + (0.5 + 29) * each  # half of the one being sent, and 29 behind it
    if change != "by CoDel":
        assert line.arrived[39][0] == pytest.approx(expected)


SIZE_ON_WIRE = 1000


def test_a_queue_is_handed_from_one_discipline_to_the_next() -> None:
    line = Line()
    for place, queue in enumerate(("fq_codel", "dualpi2", "droptail", "codel", "droptail")):
        text = f"{queue} 1000 packets"
        line.world.at(1.01 + place * 0.02, lambda text=text: line.set(rate=RATE, latency="100ms", queue=text))
    assert line.run((1.0, 0, 12)) == list(range(12))
    assert [when for when, _ in line.arrived] == pytest.approx([1.1 + EACH * (1 + number) for number in range(12)])


def test_a_change_counts_every_packet_once() -> None:
    line = Line(loss=0.5)
    for place in range(5):
        line.world.at(1.01 + place / 20, lambda: line.set(rate=RATE, latency="100ms", loss=0.5))
    arrived = line.run((1.0, 0, 40))
    up, down = line.world.topology.ports_of("a")[0].up, line.world.topology.ports_of("b")[0].down
    assert up.counters.packets == 40
    assert len(arrived) + up.counters.drops["loss"] == 40
    assert down.counters.packets == up.counters.packets - up.counters.drops["loss"]


@pytest.mark.parametrize("rate", [None, 1e8])
@pytest.mark.parametrize("jitter", ["0ms", "20ms"])
@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_shorter_way_does_not_let_packets_overtake(kind: str, side: str, jitter: str, rate: float | None) -> None:
    line = Line(kind, side)
    line.set(rate=rate, latency="200ms", jitter=jitter)

    def steadily() -> None:
        for number in range(300):
            line.send(number, 1)
            time.sleep(0.002)

    line.world.hosts["a"].run(steadily, start=1.0)
    line.world.at(1.2, lambda: line.set(rate=rate, latency="10ms", jitter=jitter))
    line.world.at(1.4, lambda: line.set(rate=rate, latency="100ms"))
    line.world.at(1.5, lambda: line.set(rate=rate, latency="1ms", jitter=jitter))
    assert line.run() == list(range(300))
    # Long after the changes the latency is that of the link, and no more.
    assert line.arrived[-1][0] == pytest.approx(1.0 + 299 * 0.002 + 0.001, abs=0.0211 if jitter == "20ms" else 1e-3)


def test_a_change_while_idle_delays_nothing() -> None:
    line = Line()
    line.set(rate=RATE, latency="5s")
    line.world.at(2.0, lambda: line.set(rate=RATE, latency="10ms"))
    line.run((1.0, 0, 1), (9.0, 1, 1), until=12)
    assert [when for when, _ in line.arrived] == pytest.approx([6.0 + EACH, 9.01 + EACH])


def test_what_waits_for_an_own_link_takes_the_network_when_it_is_taken_away() -> None:
    line = Line("own")
    world = line.world
    world.at(1 + 10.5 * EACH, world.topology.unlink, "a", "b")
    world.at(3.0, lambda: world.link("a", latency="1ms"))  # later changes of the host find it in order
    assert sorted(line.run((1.0, 0, 40), (4.0, 40, 1))) == list(range(41))
    assert sum(1 for when, _ in line.arrived if when < 1 + 10.6 * EACH) == 30
    assert world.topology.ports_of("a")[0].mtu == 1500


def test_in_order_queues_keep_sequence_and_moments_of_the_slow_path() -> None:
    """In-order queues against one event per packet, with everything that may happen to a queue."""
    told = []
    for general in (False, True):
        line = Line()
        world = line.world
        if general:
            for network in world.topology.networks.values():
                find = network.find_path

                def without(*names: Any, find: Callable[..., Any] = find) -> Any:
                    found = find(*names)
                    if not isinstance(found, str):
                        found.in_order = None
                    return found

                network.find_path = without
        world.at(1.05, lambda line=line: line.set(rate=RATE * 2, latency="20ms"))
        world.at(1.1, world.partition, "a", "b")
        world.at(1.12, world.heal)
        world.at(1.2, lambda line=line: line.set(rate=RATE / 2, latency="50ms"))
        world.at(1.5, world.hosts["a"].crash)
        line.run((1.0, 0, 60), (1.15, 60, 30), (1.3, 90, 3))
        told.append((line.arrived, world.trace.hexdigest()))
    assert told[0] == told[1]
    assert 20 < len(told[0][0]) < 90
