"""A parked connection comes back as it was: the same packets with and without parking, and the same variables."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import Net, transfer
from tests.stack.tcp.test_predict import plain

from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.parking.pool import Parked, may_park
from catenet.stack.tcp.user.endpoint import TcpEndpoint

VERSIONS = (4, 6)


def park_all(net: Net) -> int:
    """Park what may be parked on both hosts; how many that were."""
    idle = [c for stack in net.hosts for c in stack.tcp.idle_pool.live if may_park(c)]
    for c in idle:
        c.layer.idle_pool.park(c)
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
def test_a_busy_connection_is_not_parked(version):
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
def test_many_idle_connections_are_parked_by_themselves(version):
    net = Net(version)
    listener = net.listener(backlog=1000)
    net.a.tcp.idle_pool.limit = net.b.tcp.idle_pool.limit = 10
    clients = []
    for _ in range(100):
        client = net.a.tcp_endpoint(version)
        client.connect(net.name(1, 80))
        clients.append(client)
        net.run(5.0)
        assert listener.accept() is not None
        net.a.tcp.idle_pool.limit = net.b.tcp.idle_pool.limit = 10
    assert len(net.a.tcp.idle_pool.live) <= 11
    assert len(net.a.tcp.connections) == 100
    assert all(client.send(b"x") == 1 for client in clients)


# What says who a connection is, or is as `may_park` wants it.
FIXED = frozenset(
    [
        "accecn",
        "buffered",
        "ca_state",
        "chrono",
        "congestion",
        "delack_at",
        "delayed_ack",
        "destination",
        "destination_port",
        "endpoint",
        "error",
        "fast_open",
        "header",
        "keepalive_at",
        "key",
        "layer",
        "memory",
        "metrics",
        "mtu_probing",
        "pending",
        "push_marks",
        "rack",
        "rate",
        "reassembly",
        "received",
        "record_ends",
        "recovery",
        "rtt",
        "sent",
        "settings",
        "shutdown",
        "soft_error",
        "source",
        "source_port",
        "state",
        "timer_at",
        "tuning",
        "tx_timestamps",
        "urgent_byte",
        "wake_at",
        "work",
    ]
)
COMPONENTS = ("chrono", "congestion", "delayed_ack", "rack", "rate", "recovery", "rtt", "tuning")
NUMBERS = st.one_of(st.integers(0, 5), st.integers(0, 1 << 20), st.integers(0, 1 << 33))
BY_NAME = {
    "spent": st.tuples(NUMBERS, NUMBERS, NUMBERS),
    "hop_limit": st.none() | st.integers(1, 255),
    "min_track": st.none() | st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3),
    "options": st.dictionaries(st.sampled_from(("SO_LINGER", "IP_TOS")), st.integers(0, 9) | st.binary(max_size=4)),
    "tlp_high_seq": st.none() | NUMBERS,
    "undo_marker": st.none() | NUMBERS,
}


def names_of(kind: type) -> list[str]:
    """Variables of a class, compiled or not."""
    return [
        name
        for each in kind.__mro__
        for name in vars(each).get("__mypyc_attrs__") or vars(each).get("__slots__", ())
        if name not in FIXED and not name.startswith("__")
    ]


def values_for(name: str, value: object) -> st.SearchStrategy[object]:
    """Values that a variable may have."""
    if name in BY_NAME:
        return BY_NAME[name]
    if isinstance(value, bool):
        return st.booleans()
    return st.floats(0, 1e9) if isinstance(value, float) else NUMBERS


@functools.cache
def trio(version: int) -> tuple[Net, list[TcpEndpoint]]:
    """Three idle connections of one host, the last with losses behind it."""
    net = Net(version)
    ends = [net.pair(80 + number)[0] for number in range(3)]
    net.filters[0] = lambda packet, now: []
    ends[2].send(b"lost")
    net.run(0.1)
    net.filters[0] = None
    net.run(500.0)
    return net, ends


def park_and_return(net: Net, ends: list[TcpEndpoint], count: int) -> None:
    """Park the first, then others, so that it finds their objects when it comes back."""
    for c in [end.connection for end in ends[:count]]:
        assert c is not None
        assert may_park(c)
        net.a.tcp.idle_pool.park(c)


def places_in(c: Connection) -> list[tuple[str, str]]:
    """Variables by the component that has them, "" for the connection itself."""
    return [("", name) for name in names_of(Connection)] + [
        (owner, name) for owner in COMPONENTS for name in names_of(type(getattr(c, owner)))
    ]


def owner_of(c: Connection, owner: str) -> object:
    """The component of that name, or the connection."""
    return getattr(c, owner) if owner else c


def changed(c: Connection, changes: list[tuple[str, str, object]]) -> None:
    """Set variables of a connection or of its components."""
    for owner, name, value in changes:
        setattr(owner_of(c, owner), name, value)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_variable_comes_back(version):
    net, ends = trio(version)
    c = ends[0].connection
    assert c is not None
    before = [plain(end.connection) for end in ends]
    for owner, name in places_in(c):
        c = ends[0].connection
        assert c is not None
        usual = getattr(owner_of(c, owner), name)
        kinds = {bool: not usual, dict: {"IP_TOS": 4}, list: [(1, 2)], tuple: (1, 2, 3), type(None): 77}
        changed(c, [(owner, name, kinds.get(type(usual), 123_456 if usual != 123_456 else 0))])
        odd = plain(c)
        park_and_return(net, ends, 2)
        assert plain(ends[0].connection) == odd, name
        assert plain(ends[1].connection) == before[1], name
        c = ends[0].connection
        assert c is not None
        changed(c, [(owner, name, usual)])
        park_and_return(net, ends, 2)
        assert plain(ends[0].connection) == before[0], name


@st.composite
def changes_of(draw: st.DrawFn) -> list[tuple[str, str, object]]:
    """Some variables and values for them."""
    c = trio(4)[1][0].connection
    assert c is not None
    chosen = draw(st.lists(st.sampled_from(places_in(c)), max_size=12, unique=True))
    return [(owner, name, draw(values_for(name, getattr(owner_of(c, owner), name)))) for owner, name in chosen]


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=150)
@given(data=st.data(), count=st.integers(1, 3), clean=st.booleans())
def test_parking_restores_any_state(version, data, count, clean):
    net, ends = trio(version)
    before = []
    for end in ends:
        c = end.connection
        assert c is not None
        changed(c, data.draw(changes_of()))
        before.append(plain(c))
    for _ in range(2):
        park_and_return(net, ends, count)
        if clean:
            for template in net.a.tcp.idle_pool._templates:
                template.objects.clear()
        assert [plain(end.connection) for end in ends] == before


@pytest.mark.parametrize("lossy", [False, True])
def test_messages_that_wander_leave_few_live(lossy):
    net = Net(4)
    listener = net.listener(backlog=1000)
    pools = [stack.tcp.idle_pool for stack in net.hosts]
    for pool in pools:
        pool.limit = 10
    pairs = []
    for _ in range(60):
        client = net.a.tcp_endpoint(4)
        client.connect(net.name(1, 80))
        net.run(5.0)
        pairs.append((client, listener.accept()))
    for turn in range(3):
        for number, (client, server) in enumerate(pairs):
            if lossy and number % 3 == turn:
                net.filters[0] = lambda packet, now: []
            client.send(b"to and")
            net.run(0.05)
            net.filters[0] = None
            net.run(5.0)
            assert server.receive(100) == b"to and"
            server.send(b"fro")
            net.run(5.0)
            assert client.receive(100) == b"fro"
            assert all(len(pool.live) <= 11 for pool in pools)
    for stack in net.hosts:
        assert len(stack.tcp.connections) == 60
        assert sum(isinstance(each, Parked) for each in stack.tcp.connections.values()) >= 49
