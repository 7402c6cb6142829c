"""When the names of a connection in TIME-WAIT may be taken anew, and what a port's table keeps."""

from __future__ import annotations

import pytest
from tests.stack.tcp.tcpnet import ADDRESSES, Net

from catenet.stack.endpoint import Fault, Name, StackError
from catenet.stack.tcp.user.endpoint import TcpEndpoint

LOOPBACK = {4: bytes((127, 0, 0, 1)), 6: bytes(15) + b"\x01"}
PORT = 40_000


class Client:
    """A host with one ephemeral port, whose connection to a server ended in TIME-WAIT on its side."""

    def __init__(self, version: int, place: str, **settings: int) -> None:
        self.net = Net(version)
        self.version = version
        host = self.net.a
        host.settings.ip_local_port_range = (PORT, PORT)
        for name, value in settings.items():
            setattr(host.settings, name, value)
        server = self.net.b if place == "link" else host
        address = {"loopback": LOOPBACK, "own": {version: ADDRESSES[version][0]}}.get(
            place, {version: ADDRESSES[version][1]}
        )
        self.peer = Name(address[version], 80)
        self.listener = server.tcp_endpoint(version)
        self.listener.bind(Name(bytes(len(self.peer.address)), 80))
        self.listener.listen(10)
        self.end(self.connect())

    def connect(self, port: int = 0) -> TcpEndpoint:
        client = self.net.a.tcp_endpoint(self.version)
        if port:
            client.bind(Name(bytes(len(self.peer.address)), port))
        client.connect(self.peer, now=self.net.now)
        assert self.net.run(10, lambda: client.state == "ESTABLISHED")
        return client

    def end(self, client: TcpEndpoint) -> None:
        assert self.listener.listener is not None
        assert self.net.run(1, lambda: bool(self.listener.readiness()))
        child = self.listener.accept()
        assert child is not None
        client.close()
        self.net.run(0.1)
        child.close()
        self.net.run(0.1)

    def may_connect(self, port: int = 0) -> bool:
        try:
            self.connect(port)
        except StackError as error:
            assert error.fault is Fault.ADDRESS_NOT_AVAILABLE
            return False
        return True


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("place", "settings", "expected"),
    [
        ("loopback", {}, True),
        ("loopback", {"tcp_tw_reuse": 0}, False),
        ("loopback", {"tcp_tw_reuse": 1}, True),
        ("loopback", {"tcp_timestamps": 0}, False),
        ("own", {}, False),
        ("own", {"tcp_tw_reuse": 1}, True),
        ("link", {}, False),
        ("link", {"tcp_tw_reuse": 1}, True),
        ("link", {"tcp_tw_reuse": 1, "tcp_timestamps": 0}, False),
        ("link", {"tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 5000}, False),
    ],
)
def test_ports_come_back(version: int, place: str, settings: dict[str, int], expected: bool) -> None:
    """As Linux 6.18 does it: not before `tcp_tw_reuse_delay`, though nothing happens meanwhile that tells the time."""
    client = Client(version, place, **settings)
    assert not client.may_connect()
    client.net.now += 1.5
    assert client.may_connect() is expected
    client.net.now += 60
    client.net.run(1)
    assert client.may_connect() is not expected  # the port is taken, or TIME-WAIT is over


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("timestamps", "expected"), [(1, True), (0, False)])
def test_a_port_that_was_bound_is_there_at_once(version: int, timestamps: int, expected: bool) -> None:
    client = Client(version, "link", tcp_timestamps=timestamps)
    client.net.a.tcp.remove(next(iter(client.net.a.tcp.connections.values())))
    bound = client.net.a.tcp_endpoint(version)
    bound.set_option("SO_REUSEADDR", 1)
    bound.bind(Name(bytes(len(client.peer.address)), 81))
    bound.connect(client.peer)
    assert client.net.run(10, lambda: bound.state == "ESTABLISHED")
    client.end(bound)
    again = client.net.a.tcp_endpoint(version)
    again.set_option("SO_REUSEADDR", 1)
    again.bind(Name(bytes(len(client.peer.address)), 81))
    if expected:
        again.connect(client.peer)
        assert client.net.run(10, lambda: again.state == "ESTABLISHED")
    else:
        with pytest.raises(StackError) as error:
            again.connect(client.peer)
        assert error.value.fault is Fault.ADDRESS_NOT_AVAILABLE


@pytest.mark.parametrize("version", [4, 6])
def test_the_port_table_is_empty_after_all_connections(version: int) -> None:
    """However connections end, and whatever is set while they live, the table of ports is empty afterwards."""
    net = Net(version)
    for number in range(8):
        client, server, listener = net.pair(80 + number, SO_REUSEADDR=number & 1)
        second = net.a.tcp_endpoint(version)
        second.connect(net.name(1, 80 + number))
        net.run(1)
        client.set_option("SO_REUSEADDR", 1 - (number & 1))
        server.set_option("SO_REUSEPORT", 1)
        listener.close()
        (client.abort, client.close, server.abort, server.close)[number & 3]()
        net.run(1)
        for each in (client, server, second):
            each.close()
    net.run(500)
    for host in net.hosts:
        assert not host.tcp.connections
        assert host.tcp.ports.in_use() == 0


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("flags", "shares"), [((), False), (("ADDR",), True), (("PORT",), False), (("ADDR", "PORT"), False)]
)
@pytest.mark.parametrize("setting", [0, 1])
def test_ip_autobind_reuse(version: int, flags: tuple[str, ...], shares: bool, setting: int) -> None:
    """Values of Linux 6.18."""
    host = Net(version).a
    host.settings.ip_local_port_range = (PORT, PORT + 1)
    host.settings.ip_autobind_reuse = setting
    bound = 0
    for _ in range(5):
        endpoint = host.tcp_endpoint(version)
        for flag in flags:
            endpoint.set_option(f"SO_REUSE{flag}", 1)
        try:
            endpoint.bind(Name(LOOPBACK[version]))
        except StackError as error:
            assert error.fault is Fault.ADDRESS_IN_USE
        else:
            bound += 1
    assert bound == (5 if shares and setting else 2)
