"""What the option dictionary of a socket holds, and what is kept beside it."""

from __future__ import annotations

import pytest
from tests.stack.tcp.tcpnet import Net

from catenet.stack.ip.routes import RouteMetrics
from catenet.stack.tcp.control.constants import RCVBUF_LOCK, SNDBUF_LOCK
from catenet.wire.address import Prefix


@pytest.fixture(params=[4, 6])
def net(request) -> Net:
    return Net(request.param)


def test_options_are_what_the_program_has_set(net):
    for host in net.hosts:
        host.settings.tcp_fastopen = 3 | 4  # without cookies
        peer = net.name(1 - net.hosts.index(host), 0).address
        host.add_route(Prefix(peer, len(peer) * 8), 2, metrics=RouteMetrics(initcwnd=3, ecn=True))
    listener = net.listener(80, SO_RCVBUF=50_000, TCP_NODELAY=1)
    client = net.a.tcp_endpoint(net.version)
    client.set_option("SO_SNDBUF", 40_000)
    client.set_option("TCP_FASTOPEN_CONNECT", 1)
    client.connect(net.name(1, 80))
    assert client.waits_for_data()
    client.expect_data()
    assert client.send(b"first") == 5 and not client.waits_for_data()
    assert net.run(5, lambda: bool(listener.listener and listener.listener.queue))
    server = listener.accept()
    asked = {"SO_SNDBUF": 80_000, "TCP_FASTOPEN_CONNECT": 1}
    assert client.options == client.connection.options == asked
    assert server.options == server.connection.options == {"SO_RCVBUF": 100_000, "TCP_NODELAY": 1}
    assert client.connection.cwnd >= 3 and client.connection.metrics is None
    client.disconnect()
    assert client.options == asked


def test_accepted_connections_inherit_a_fixed_buffer(net):
    listener = net.listener(80, SO_RCVBUF=50_000)
    client = net.a.tcp_endpoint(net.version)
    client.set_option("SO_SNDBUF", 40_000)
    client.connect(net.name(1, 80))
    assert net.run(5, lambda: bool(listener.listener and listener.listener.queue))
    server = listener.accept()
    assert client.locks == client.connection.locks == SNDBUF_LOCK
    assert server.locks == server.connection.locks == RCVBUF_LOCK
    data = bytes(2_000_000)
    sent = got = 0
    while got < len(data):
        sent += client.send(data[sent : sent + 100_000]) or 0
        net.step()
        got += len(server.receive(1 << 20) or b"")
    assert client.connection.send_buffer == 80_000 and server.connection.receive_buffer == 100_000
