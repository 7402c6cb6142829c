"""What queues do to real TCP: a bulk transfer beside small questions, over a slow link."""

import socket
import time

import pytest

from catenet.stack.settings import Settings
from catenet.world.world import World

VERSIONS = pytest.mark.parametrize("version", [4, 6])
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def sink(version):
    with socket.create_server(("", 9000), family=FAMILIES[version]) as listener, listener.accept()[0] as peer:
        while peer.recv(65536):
            pass


def bulk(address, size):
    with socket.create_connection((address, 9000)) as peer:
        peer.sendall(bytes(size))
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""


def echo(version):
    with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as user:
        user.bind(("", 7))
        while True:
            data, peer = user.recvfrom(100)
            user.sendto(data, peer)


def ask(version, address, round_trips):
    with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as user:
        user.settimeout(3)
        for _ in range(30):
            began = time.monotonic()
            user.sendto(b"?", (address, 7))
            try:
                user.recv(100)
                round_trips.append(time.monotonic() - began)
            except TimeoutError:
                round_trips.append(3.0)
            time.sleep(0.1)


def run(version, queue, ecn=0):
    """Round trips of small questions beside a bulk transfer, and the counters of the slow direction."""
    round_trips = []
    address = {4: "10.0.0.9", 6: "fd00::9"}[version]
    with World(seed=1) as world:
        server = world.host("server", address, settings=Settings(tcp_ecn=ecn))
        client = world.host("client", {4: "10.0.0.8", 6: "fd00::8"}[version], settings=Settings(tcp_ecn=ecn))
        world.link("client", rate="10Mbit", latency="10ms", queue=queue)
        server.run(sink, version)
        server.run(echo, version, daemon=True)
        client.run(bulk, address, 5_000_000)
        client.run(ask, version, address, round_trips, start=1.0)
        world.run(until=60)
        [port] = world.topology.ports_of("client")
        return sorted(round_trips), port.up.counters


@VERSIONS
def test_a_long_queue_makes_everybody_wait_and_fq_codel_does_not(version):
    waiting, _ = run(version, "1000 packets")
    shielded, counters = run(version, "fq_codel")
    assert waiting[-3] > 0.15
    assert shielded[15] < 0.03
    assert shielded[-3] < 0.05
    assert counters.drops["aqm"] > 0


@VERSIONS
@pytest.mark.parametrize("queue", ["codel", "fq_codel", "dualpi2"])
def test_connections_that_negotiated_ecn_are_marked_and_lose_nothing(version, queue):
    round_trips, counters = run(version, queue, ecn=1)
    assert counters.marked > 0
    assert counters.drops.get("aqm", 0) <= 1  # the questions are no ECN traffic
    assert round_trips[15] < 0.08


@VERSIONS
@pytest.mark.parametrize("queue", ["codel", "dualpi2"])
def test_controlled_queues_keep_the_delay_low_for_all(version, queue):
    round_trips, counters = run(version, queue)
    assert counters.marked == 0
    assert counters.drops["aqm"] > 0
    assert round_trips[15] < 0.08
