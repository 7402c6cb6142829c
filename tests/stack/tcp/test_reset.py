"""What was written leaves before the reset that ends the connection, as far as the windows let it, in one instant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.stack.tcp.tcpnet import Net

from catenet.stack.endpoint import Fault, Name, StackError
from catenet.stack.tcp.control import states
from catenet.stack.tcp.user.endpoint import TcpEndpoint
from catenet.wire import ip
from catenet.wire.offload import GsoPacket, complete, cut
from catenet.wire.tcp import RST, parse

LOOPBACK = {4: bytes((127, 0, 0, 1)), 6: bytes(15) + b"\x01"}


def close_unread(endpoint: TcpEndpoint) -> None:
    assert endpoint.unread()
    endpoint.close()


def close_at_once(endpoint: TcpEndpoint) -> None:
    endpoint.set_option("SO_LINGER", 0)
    endpoint.close()


ENDS: dict[str, Callable[[TcpEndpoint], None]] = {
    "unread": close_unread,
    "linger": close_at_once,
    "abort": TcpEndpoint.abort,
    "disconnect": TcpEndpoint.disconnect,
}


def pieces(packet: bytes) -> list[bytes]:
    """What a device makes of a packet."""
    return [complete(piece) for piece in (cut(packet) if isinstance(packet, GsoPacket) else [packet])]


def everything(endpoint: TcpEndpoint) -> bytes:
    """What can be read; what follows is the reset."""
    data = b""
    with pytest.raises(StackError) as error:
        while got := endpoint.receive(1 << 20):
            data += got
    assert error.value.fault is Fault.CONNECTION_RESET
    return data


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1, 5_000, 200_000])
@pytest.mark.parametrize("cuts", [False, True], ids=["segments", "cutting device"])
def test_data_written_before_a_reset_arrives_before_it(version: int, end: str, size: int, cuts: bool) -> None:
    net = Net(version)
    if cuts:
        for host in net.hosts:
            host.set_offload(True, 65_000)
        net.filters[1] = lambda packet, now: [(net.delay, piece) for piece in pieces(packet)]
    client, server, _ = net.pair()
    client.send(b"request")
    net.run(1)
    net.log.clear()
    content = bytes(range(250)) * 800
    server.send(content[:size])
    ENDS[end](server)
    net.run(1)
    window = 10 * (1448 if version == 4 else 1428)  # the initial congestion window
    assert everything(client) == content[: min(size, window)]
    began = net.log[0][0]
    sent = [ip.parse(piece) for at, _, packet in net.log if at == began for piece in pieces(packet)]
    resets = [bool(parse(each.payload, each.source, each.destination).flags & RST) for each in sent]
    assert resets == [False] * (len(sent) - 1) + [True]
    assert not net.a.tcp.connections
    assert not net.b.tcp.connections


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("end", ENDS)
def test_on_loopback_the_peer_takes_what_it_can(version: int, end: str) -> None:
    """Acknowledgments come back within the call there, so the congestion window is no limit, but the peer's is."""
    net = Net(version)
    host = net.a
    listener = host.tcp_endpoint(version)
    listener.bind(Name(LOOPBACK[version], 80))
    listener.listen(1)
    client = host.tcp_endpoint(version)
    client.set_option("SO_RCVBUF", 200_000)
    client.connect(Name(LOOPBACK[version], 80))
    net.run(1)
    server = listener.accept()
    assert server is not None
    client.send(b"request")
    net.run(1)
    assert server.send(bytes(1_000_000)) == 1_000_000
    ENDS[end](server)
    net.run(1)
    assert 65_536 < len(everything(client)) <= 200_000
    assert not host.tcp.connections
    assert not host.tcp.resets


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("end", ["linger", "abort", "disconnect"])
@pytest.mark.parametrize("state", [states.LAST_ACK, states.CLOSING])
def test_no_reset_when_everything_was_said(version: int, end: str, state: int) -> None:
    net = Net(version)
    client, server, _ = net.pair()
    if state == states.LAST_ACK:
        client.close()
        net.run(1)
        server.shutdown(False, True)
        net.pump()
    else:
        server.shutdown(False, True)
        client.shutdown(False, True)
        net.pump()
        net.filters[0] = lambda packet, now: []
        net.run(0.01)
    assert server.connection is not None
    assert server.connection.state == state
    net.log.clear()
    ENDS[end](server)
    net.pump()
    assert not net.log
    assert not net.b.tcp.connections
