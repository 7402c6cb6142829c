"""Topologies with programs on them: routers, links of different size, multicast, links that change."""

import socket
import struct
import time

import pytest

from catenet.link.properties import LinkProperties
from catenet.wire.address import format_address
from catenet.world.engine.hub import Hub
from catenet.world.network.topology import StaticRoute, Topology
from catenet.world.world import World

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def receive(version, sizes):
    with socket.create_server(("", 9000), family=FAMILIES[version]) as listener:
        while True:
            with listener.accept()[0] as peer:
                total = 0
                while data := peer.recv(65536):
                    total += len(data)
                sizes.append(total)
                peer.sendall(b"done")


def send(version, name, done):
    with socket.socket(FAMILIES[version]) as peer:
        peer.connect(socket.getaddrinfo(name, 9000, FAMILIES[version], socket.SOCK_STREAM)[0][4])
        peer.sendall(bytes(300_000))
        time.sleep(5)
        done.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(10) == b"done"


@VERSIONS
def test_large_packets_get_over_routers_whose_links_are_small(version):
    sizes, done = [], []
    with World(seed=1) as world:
        for name in ("a", "b", "c"):
            world.network(name)
        world.host("near", network=["a", "b"], forwarding=True)
        world.host("far", network=["b", "c"], forwarding=True, link=LinkProperties(mtu=1300))
        world.host("server", network="c").run(receive, version, sizes, daemon=True)
        world.host("left", network="a").run(send, version, "server", done)
        world.host("middle", network="b").run(send, version, "server", done)
        world.link("middle", "far", mtu=1290, latency="5ms")
        world.run(until=60)
        headers = {4: 40, 6: 60}[version] + 12
        assert sizes == [300_000, 300_000]
        assert sorted(done) == [1290 - headers, 1300 - headers]
        dropped = {cause for port in world.topology.ports for cause in port.down.counters.drops}
        assert "mtu" not in dropped


def test_a_route_knows_the_smallest_link_on_its_way():
    topology = Topology(Hub())
    topology.add_network("a")
    topology.add_network("b")
    topology.attach("host", "a")
    topology.attach("gate", "a", properties=LinkProperties(mtu=1400))
    topology.attach("gate", "b")
    topology.add_router("gate")
    routes = {str(route.prefix): route for route in topology.routes("host")}
    assert routes["10.0.1.0/24"] == StaticRoute(routes["10.0.1.0/24"].prefix, 0, 1400)
    assert routes["10.0.0.2/32"].mtu == routes["fd00::2/128"].mtu == 1400
    assert routes["10.0.0.0/24"].mtu == 0
    topology.link("host", "gate", LinkProperties(mtu=9000))
    routes = {str(route.prefix): route for route in topology.routes("host")}
    assert routes["10.0.0.2/32"].mtu == routes["10.0.1.0/24"].mtu == 0
    assert routes["10.0.0.0/24"].mtu == routes["0.0.0.0/0"].mtu == 1500


def member(version, group, heard):
    family = FAMILIES[version]
    packed = socket.inet_pton(family, group)
    with socket.socket(family, socket.SOCK_DGRAM) as user:
        user.bind(("", 5000))
        if version == 4:
            user.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + bytes(4))
        else:
            user.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + struct.pack("@I", 0))
        heard.append(user.recv(100))


@VERSIONS
def test_members_of_a_group_hear_and_others_do_not(version):
    group = {4: "239.1.2.3", 6: "ff15::7"}[version]
    heard, other = [], []

    def speak():
        with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as user:
            user.sendto(b"hello", (group, 5000))

    with World(seed=1) as world:
        world.host("one").run(member, version, group, heard)
        world.host("two").run(member, version, group, heard)
        other_group = {4: "239.9.9.9", 6: "ff15::9"}[version]
        world.host("three").run(member, version, other_group, other, daemon=True)
        world.host("speaker").run(speak, start=1.0)
        world.run(until=10)
    assert heard == [b"hello", b"hello"]
    assert other == []


@VERSIONS
def test_a_link_may_change_its_mtu_in_the_middle_of_a_transfer(version):
    sizes, done = [], []
    with World(seed=1) as world:
        world.host("server").run(receive, version, sizes, daemon=True)
        world.host("client").run(send, version, "server", done)
        world.link("client", rate="2Mbit", latency="5ms")
        world.at(0.3, lambda: world.link("client", rate="2Mbit", latency="5ms", mtu=1280))
        world.run(until=60)
    assert sizes == [300_000]
    assert done == [1280 - {4: 40, 6: 60}[version] - 12]


def test_given_addresses_go_to_the_networks_that_they_lie_in():
    with World() as world:
        world.network("lan", "192.168.1.0/24", "fd01::/64")
        world.network("wan", "10.7.0.0/16", "fd07::/64")
        given = ["10.7.0.1", "192.168.1.1", "fd07::1", "fd01::1", "203.0.113.5/28"]
        world.host("gate", given, network=["lan", "wan"], forwarding=True)
        lan, wan = world.topology.ports_of("gate")
        shown = [[f"{format_address(a)}/{n}" for a, n in port.addresses if a[0] != 0xFE] for port in (lan, wan)]
        assert shown == [["192.168.1.1/24", "fd01::1/64", "203.0.113.5/28"], ["10.7.0.1/16", "fd07::1/64"]]
        world.host("plain", network=["lan", "wan"])
        assert [len(port.addresses) for port in world.topology.ports_of("plain")] == [3, 3]
