"""A parked connection comes back as it was: the same packets with and without parking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import Net, transfer

from catenet.stack.tcp.parking import Parked, may_park

VERSIONS = (4, 6)


def park_all(net: Net) -> int:
    """Park what may be parked on both hosts; how many that were."""
    idle = [c for stack in net.hosts for c in stack.tcp.lot.live if may_park(c)]
    for c in idle:
        c.layer.lot.park(c)
    return len(idle)


def talk(version: int, turns: list[tuple[bool, int, float]], parking: bool, algorithm: str = "cubic"):
    """A conversation: who says how much, then how long a silence; what crossed the link, how many parkings."""
    net = Net(version)
    client, server, _ = net.pair()
    client.set_option("TCP_CONGESTION", algorithm.encode())
    parked = 0
    for from_client, size, silence in turns:
        speaker, hearer = (client, server) if from_client else (server, client)
        assert transfer(net, speaker, hearer, b"x" * size) == b"x" * size
        net.run(silence)
        if parking:
            parked += park_all(net)
    client.close()
    net.run(1.0)
    assert server.receive(1) == b""
    server.close()
    net.run(1.0)
    return net.log, parked


TURNS = st.lists(st.tuples(st.booleans(), st.integers(1, 100_000), st.sampled_from((0.0, 0.5, 5.0, 300.0))), max_size=6)


@pytest.mark.parametrize("version", VERSIONS)
@given(turns=TURNS, algorithm=st.sampled_from(("cubic", "reno", "bbr")))
def test_parking_changes_no_packet(version, turns, algorithm):
    assert talk(version, turns, True, algorithm)[0] == talk(version, turns, False, algorithm)[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_idle_connections_are_parked_again_and_again(version):
    turns = [(True, 10, 5.0), (False, 10, 5.0), (True, 3000, 5.0)]
    assert talk(version, turns, True)[1] == 6


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_under_way_is_not_parked(version):
    net = Net(version)
    client, server, _ = net.pair()
    net.run(5.0)
    client.send(b"unread")
    net.run(5.0)
    assert park_all(net) == 1
    assert client.parked is not None
    assert server.parked is None
    assert server.receive(100) == b"unread"


@pytest.mark.parametrize("version", VERSIONS)
def test_names_and_figures_of_a_parked_connection(version):
    net = Net(version)
    client, _, _ = net.pair()
    net.run(5.0)
    before = client.local(), client.peer(), client.state, client.readiness(), client.info()
    assert park_all(net) == 2
    assert isinstance(net.a.tcp.connections[next(iter(net.a.tcp.connections))], Parked)
    assert (client.local(), client.peer(), client.state, client.readiness(), client.info()) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_many_idle_connections_are_parked_by_themselves_and_share_shapes(version):
    net = Net(version)
    listener = net.listener(backlog=1000)
    net.a.tcp.lot.limit = net.b.tcp.lot.limit = 10
    clients = []
    for _ in range(100):
        client = net.a.tcp_endpoint(version)
        client.connect(net.name(1, 80))
        clients.append(client)
        net.run(5.0)
        assert listener.accept() is not None
        net.a.tcp.lot.limit = net.b.tcp.lot.limit = 10
    assert len(net.a.tcp.lot.live) <= 11
    assert len(net.a.tcp.connections) == 100
    assert all(client.send(b"x") == 1 for client in clients)
