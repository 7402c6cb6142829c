import itertools

import pytest

from catenet.link.properties import LinkProperties
from catenet.wire.address import Prefix, format_address, parse_address
from catenet.world import World
from catenet.world.engine.hub import Hub
from catenet.world.network.topology import StaticRoute, Topology
from catenet.world.network.trace import Trace


def packet(source, destination, payload=b"x"):
    """The part of an IP packet that switches look at."""
    source, destination = parse_address(source), parse_address(destination)
    if len(source) == 4:
        return bytes([0x45]) + bytes(11) + source + destination + payload
    return bytes([0x60]) + bytes(7) + source + destination + payload


def inbox(port):
    received = []
    port.attach(lambda data, now: received.append((now, data)))
    return received


@pytest.fixture
def clock():
    return Hub()


@pytest.fixture
def topology(clock):
    return Topology(clock, seed=1)


VERSIONS = pytest.mark.parametrize("version", [4, 6])


def address(topology, host, version):
    return next(format_address(a) for a in topology.addresses(host) if len(a) == (4 if version == 4 else 16))


def test_addresses_are_given_out_in_order(topology):
    topology.attach("a")
    topology.attach("b")
    topology.add_network("far")
    topology.attach("c", "far")
    texts = {host: [format_address(a) for a in topology.addresses(host)] for host in "abc"}
    assert texts == {
        "a": ["10.0.0.1", "fd00::1"],
        "b": ["10.0.0.2", "fd00::2"],
        "c": ["10.0.1.1", "fd00:0:0:1::1"],
    }


def test_given_addresses_stay_and_are_not_given_again(topology):
    topology.attach("a", addresses=["10.0.0.2"])
    topology.attach("b")
    topology.attach("c")
    assert [format_address(a) for a in topology.addresses("a")] == ["10.0.0.2"]
    assert address(topology, "b", 4) == "10.0.0.3"
    assert address(topology, "c", 4) == "10.0.0.4"
    with pytest.raises(ValueError, match="is b's already"):
        topology.attach("d", addresses=["10.0.0.3/24"])


def test_a_thousand_hosts_have_a_thousand_addresses(topology):
    for number in range(1000):
        topology.attach(f"h{number}")
    addresses = [a for n in range(1000) for a in topology.addresses(f"h{n}")]
    assert len(set(addresses)) == 2000
    assert not any(len(a) == 4 and a[3] in (0, 255) for a in addresses)


@VERSIONS
def test_a_packet_crosses_both_links(clock, topology, version):
    a = topology.attach("a", properties=LinkProperties(latency=0.010))
    b = topology.attach("b", properties=LinkProperties(latency=0.005))
    c = topology.attach("c")
    boxes = [inbox(port) for port in (a, b, c)]
    sent = packet(address(topology, "a", version), address(topology, "b", version))
    a.send(sent, 0.0)
    clock.run()
    assert boxes == [[], [(0.015, sent)], []]
    assert a.up.counters.packets == b.down.counters.packets == 1


@VERSIONS
def test_a_slow_downward_link_queues_what_two_hosts_send(clock, topology, version):
    a, b = topology.attach("a"), topology.attach("b")
    c = topology.attach("c", properties=LinkProperties(rate=8_000))
    box = inbox(c)
    for port in (a, b):
        sent = packet(address(topology, port.host, version), address(topology, "c", version))
        port.send(sent + bytes(100 - len(sent)), 0.0)
    clock.run()
    assert [when for when, _ in box] == pytest.approx([0.1, 0.2])


@VERSIONS
def test_a_dedicated_link_replaces_the_way_over_the_network(clock, topology, version):
    a = topology.attach("a", properties=LinkProperties(latency=1))
    b = topology.attach("b", properties=LinkProperties(latency=1))
    topology.link("a", "b", LinkProperties(latency=0.25, mtu=1280))
    box = inbox(b)
    a.send(packet(address(topology, "a", version), address(topology, "b", version)), 0.0)
    clock.run()
    assert [when for when, _ in box] == [0.25]
    peer = parse_address(address(topology, "b", version))
    assert StaticRoute(Prefix(peer, len(peer) * 8), 0, 1280) in topology.routes("a")


@pytest.mark.parametrize("destination", ["224.0.0.1", "255.255.255.255", "10.0.0.255", "ff02::1"])
def test_multicast_and_broadcast_reach_everybody_else_on_the_network(clock, topology, destination):
    version = 6 if ":" in destination else 4
    ports = [topology.attach(name) for name in "abc"]
    topology.add_network("far")
    ports.append(topology.attach("d", "far"))
    boxes = [inbox(port) for port in ports]
    ports[0].send(packet(address(topology, "a", version), destination), 0.0)
    clock.run()
    assert [len(box) for box in boxes] == [0, 1, 1, 0]


@VERSIONS
def test_partition_and_heal(clock, topology, version):
    ports = {name: topology.attach(name) for name in "abc"}
    boxes = {name: inbox(port) for name, port in ports.items()}

    def reached():
        for one, other in itertools.permutations("abc", 2):
            ports[one].send(packet(address(topology, one, version), address(topology, other, version)), clock.now)
        clock.run()
        counts = {name: len(box) for name, box in boxes.items()}
        for box in boxes.values():
            box.clear()
        return counts

    assert reached() == {"a": 2, "b": 2, "c": 2}
    topology.partition("a", "b")
    assert reached() == {"a": 1, "b": 1, "c": 2}
    assert ports["a"].undeliverable.drops == {"partition": 1}
    topology.heal()
    topology.partition(["c"])
    assert reached() == {"a": 1, "b": 1, "c": 0}
    topology.heal()
    assert reached() == {"a": 2, "b": 2, "c": 2}
    with pytest.raises(ValueError, match="unknown host 'aa'"):
        topology.partition("aa", "b")


def chain(topology, length):
    """left - n0 - r0 - n1 - r1 - ... - right."""
    for number in range(length):
        topology.add_network(f"n{number}")
    topology.attach("left", "n0")
    topology.attach("right", f"n{length - 1}")
    for number in range(length - 1):
        topology.attach(f"r{number}", f"n{number}")
        topology.attach(f"r{number}", f"n{number + 1}")
        topology.add_router(f"r{number}")


@VERSIONS
def test_the_switch_hands_packets_for_other_networks_to_the_next_router(clock, topology, version):
    chain(topology, 3)
    first, last = topology.ports_of("left")[0], topology.ports_of("right")[0]
    r0, r1 = topology.ports_of("r0"), topology.ports_of("r1")
    boxes = [inbox(port) for port in (r0[0], r1[0], last)]
    sent = packet(address(topology, "left", version), address(topology, "right", version))
    first.send(sent, 0.0)
    clock.run()
    r0[1].send(sent, 0.0)
    clock.run()
    r1[1].send(sent, 0.0)
    clock.run()
    assert [len(box) for box in boxes] == [1, 1, 1]


def test_routes_of_a_router_lead_the_shortest_way(topology):
    chain(topology, 3)
    routes = {str(route.prefix): route.port for route in topology.routes("r0")}
    assert routes["10.0.0.0/24"] == 0
    assert routes["10.0.1.0/24"] == routes["10.0.2.0/24"] == 1
    assert routes["fd00:0:0:2::/64"] == 1


def test_unowned_addresses_and_unreachable_networks_are_counted(clock, topology):
    a = topology.attach("a")
    topology.add_network("island")
    topology.attach("b", "island")
    a.send(packet("10.0.0.1", "10.0.0.99"), 0.0)
    a.send(packet("10.0.0.1", "10.0.1.1"), 0.0)
    assert a.undeliverable.drops == {"unreachable": 2}
    assert not clock.heap


def test_change_holds_for_later_packets_only(clock, topology):
    a, b = topology.attach("a"), topology.attach("b")
    box = inbox(b)
    a.send(packet("10.0.0.1", "10.0.0.2"), 0.0)
    topology.change("a", LinkProperties(latency=0.5))
    a.send(packet("10.0.0.1", "10.0.0.2"), 0.0)
    clock.run()
    assert [when for when, _ in box] == [0.0, 0.5]


def run_lossy(seed):
    clock, trace = Hub(), Trace()
    topology = Topology(clock, seed, trace)
    properties = LinkProperties(latency=0.01, jitter=0.005, loss=0.1, duplicate=0.1, reorder=0.1, corrupt=0.1)
    a, b = (topology.attach(name, properties=properties) for name in "ab")
    box = inbox(b)
    for number in range(500):
        a.send(packet("10.0.0.1", "10.0.0.2", number.to_bytes(4, "big")), 0.001 * number)
    clock.run()
    return trace.hexdigest(), box


def test_the_trace_hash_is_that_of_the_seed():
    (one, box), (again, _), (other, _) = run_lossy(1), run_lossy(1), run_lossy(2)
    assert one == again != other
    assert 300 < len(box) < 500


@pytest.mark.parametrize(
    "mistake",
    [
        lambda world: world.link("a", "a"),
        lambda world: world.link(world.hosts["a"], "a", loss="1%"),
        lambda world: world.partition("a", "a"),
        lambda world: world.partition("a", world.hosts["a"]),
        lambda world: world.partition(["a", "b"], ["b"]),
        lambda world: world.partition(iter(["b", "b"])),
        lambda world: world.host("c", network=["n", "n"]),
    ],
)
def test_a_host_is_not_joined_with_or_cut_off_from_itself(mistake):
    with World() as world:
        world.network("n")
        world.host("a")
        world.host("b")
        with pytest.raises(ValueError, match=r"itself|twice"):
            mistake(world)
        assert "c" not in world.hosts
