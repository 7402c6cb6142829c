import pytest

from catenet.stack.datagram.datagram import Control
from catenet.stack.endpoint import ANY4, ANY6, Fault, Name, Readiness, StackError
from catenet.wire.address import LOOPBACK

from .net import address, pair

ANY = {4: ANY4, 6: ANY6}

both = pytest.mark.parametrize("version", [4, 6])


def fault_of(call, *args, **kwargs):
    with pytest.raises(StackError) as error:
        call(*args, **kwargs)
    return error.value.fault


def server(stack, version, port=53, where=None):
    endpoint = stack.udp_endpoint(version)
    endpoint.bind(Name(where or ANY[version], port))
    return endpoint


@both
def test_a_datagram_arrives_and_is_answered(version):
    net, one, other, a, b = pair(version)
    listening = server(other, version)
    client = one.udp_endpoint(version)
    assert client.send_to(b"question", Name(b, 53)) == 8
    assert listening.readiness() == Readiness.OUT | Readiness.WRBAND
    net.settle()
    assert listening.readiness() == Readiness.IN | Readiness.OUT | Readiness.WRBAND
    assert listening.unread() == 8
    assert listening.receive_from(peek=True).data == b"question"
    got = listening.receive_from()
    assert got.data == b"question"
    assert got.source == Name(a, client.local().port)
    assert got.destination == Name(b, 53, 2)
    assert got.hop_limit == 64
    assert listening.receive_from() is None
    listening.send_to(b"answer", got.source)
    net.settle()
    assert client.receive_from().data == b"answer"
    assert one.counters[version].udp.OutDatagrams == 1
    assert one.counters[version].udp.InDatagrams == 1


@both
def test_empty_and_longest_datagrams(version):
    net, one, other, _a, b = pair(version)
    listening = server(other, version)
    client = one.udp_endpoint(version)
    longest = 65507 if version == 4 else 65527
    data = bytes(range(256)) * 256
    for size in (0, 1, 1472, 1473, 9000, longest):
        client.send_to(data[:size], Name(b, 53))
        net.settle()
        assert listening.receive_from().data == data[:size]
    assert fault_of(client.send_to, data[: longest + 1], Name(b, 53)) is Fault.MESSAGE_TOO_LONG
    assert other.counters[version].ip.ReasmOKs == (3 if version == 4 else 4)


@both
def test_loopback_needs_no_interface(version):
    _net, one, _, a, _ = pair(version)
    listening = server(one, version)
    for target in (LOOPBACK[version], a):
        client = one.udp_endpoint(version)
        client.send_to(b"x", Name(target, 53))
        assert one.transmit(0.0) == []
        assert listening.receive_from().source.address == target


@both
def test_a_connected_socket_is_told_that_nobody_listens(version):
    net, one, other, a, b = pair(version)
    client = one.udp_endpoint(version)
    client.connect(Name(b, 9))
    assert client.local().address == a
    client.send_to(b"x")
    net.settle()
    assert client.readiness() & Readiness.ERR
    assert fault_of(client.send_to, b"y") is Fault.CONNECTION_REFUSED
    assert client.send_to(b"y") == 1
    net.settle()
    assert fault_of(client.receive_from) is Fault.CONNECTION_REFUSED
    assert client.receive_from() is None
    assert other.counters[version].udp.NoPorts == 2
    unconnected = one.udp_endpoint(version)
    unconnected.send_to(b"x", Name(b, 9))
    net.settle()
    assert unconnected.take_error() is None


@both
def test_error_queue(version):
    net, one, _other, _a, b = pair(version)
    client = one.udp_endpoint(version)
    client.set_option("IP_RECVERR", 1)
    client.send_to(b"payload", Name(b, 9))
    net.settle()
    queued = client.receive_error()
    assert queued.fault is Fault.CONNECTION_REFUSED
    assert queued.destination == Name(b, 9)
    assert queued.data == b"payload"
    assert queued.report.offender == b
    assert client.receive_error() is None
    assert not client.readiness() & Readiness.ERR


@both
def test_a_connected_socket_receives_from_its_peer_only(version):
    net, one, other, a, b = pair(version)
    listening = server(other, version)
    stranger, friend = one.udp_endpoint(version), one.udp_endpoint(version)
    friend.bind(Name(ANY[version], 7000))
    listening.connect(Name(a, 7000))
    stranger.send_to(b"strange", Name(b, 53))
    friend.send_to(b"friend", Name(b, 53))
    net.settle()
    assert listening.receive_from().data == b"friend"
    assert listening.receive_from() is None
    listening.disconnect()
    assert listening.local() == Name(ANY[version], 53)
    stranger.send_to(b"strange", Name(b, 53))
    net.settle()
    assert listening.receive_from().data == b"strange"


@both
def test_connected_socket_is_preferred_to_the_wildcard(version):
    net, one, other, a, b = pair(version)
    wide = other.udp_endpoint(version)
    narrow = other.udp_endpoint(version)
    for endpoint in (wide, narrow):
        endpoint.set_option("SO_REUSEADDR", 1)
        endpoint.bind(Name(ANY[version], 53))
    client = one.udp_endpoint(version)
    client.bind(Name(a, 7000))
    narrow.connect(Name(a, 7000))
    client.send_to(b"x", Name(b, 53))
    net.settle()
    assert narrow.receive_from() is not None
    assert wide.receive_from() is None


def test_dual_stack():
    net, one, other, a, b = pair(4)
    dual = server(other, 6)
    client = one.udp_endpoint(6)
    client.send_to(b"v4 by a v6 socket", Name(b, 53))
    net.settle()
    got = dual.receive_from()
    assert got.source.address == a
    dual.send_to(b"back", got.source)
    net.settle()
    assert client.receive_from().data == b"back"
    only = other.udp_endpoint(6)
    only.set_option("IPV6_V6ONLY", 1)
    only.bind(Name(ANY6, 5353))
    client.send_to(b"x", Name(b, 5353))
    net.settle()
    assert only.receive_from() is None
    assert fault_of(only.send_to, b"x", Name(a, 1)) is Fault.NETWORK_UNREACHABLE


def test_a_send_that_fails_takes_a_port_all_the_same():
    _, one, _, a, _ = pair(4)
    only = one.udp_endpoint(6)
    only.set_option("IPV6_V6ONLY", 1)
    assert fault_of(only.send_to, b"x", Name(a, 1)) is Fault.NETWORK_UNREACHABLE
    assert fault_of(only.bind, Name(ANY6, 5353)) is Fault.INVALID
    fresh = one.udp_endpoint(4)
    assert fault_of(fresh.send_to, b"x") is Fault.DESTINATION_REQUIRED
    assert fresh.local().port


def test_dual_stack_conflicts():
    _, _, other, _, _ = pair(4)
    server(other, 6, 53)
    four = other.udp_endpoint(4)
    assert fault_of(four.bind, Name(ANY4, 53)) is Fault.ADDRESS_IN_USE
    only = other.udp_endpoint(6)
    only.set_option("IPV6_V6ONLY", 1)
    only.bind(Name(ANY6, 54))
    other.udp_endpoint(4).bind(Name(ANY4, 54))


@both
def test_binding_rules(version):
    _, one, _, a, b = pair(version)
    first = server(one, version, 53, a)
    assert fault_of(first.bind, Name(a, 54)) is Fault.INVALID
    assert fault_of(one.udp_endpoint(version).bind, Name(a, 53)) is Fault.ADDRESS_IN_USE
    assert fault_of(one.udp_endpoint(version).bind, Name(ANY[version], 53)) is Fault.ADDRESS_IN_USE
    assert fault_of(one.udp_endpoint(version).bind, Name(b, 53)) is Fault.ADDRESS_NOT_AVAILABLE
    one.udp_endpoint(version).bind(Name(LOOPBACK[version], 53))
    free = one.udp_endpoint(version)
    free.set_option("IP_FREEBIND", 1)
    free.bind(Name(b, 53))
    first.close()
    server(one, version, 53, a)
    four = one.udp_endpoint(4)
    assert fault_of(four.bind, Name(ANY6, 1)) is Fault.ADDRESS_FAMILY


@both
def test_ephemeral_ports_are_random_and_come_back(version):
    _, one, _, _, b = pair(version, ip_local_port_range=(50000, 50009))
    endpoints = [one.udp_endpoint(version) for _ in range(10)]
    for endpoint in endpoints:
        endpoint.bind(Name(ANY[version], 0))
    ports = [endpoint.local().port for endpoint in endpoints]
    assert sorted(ports) == list(range(50000, 50010))
    assert ports != sorted(ports)
    assert fault_of(one.udp_endpoint(version).bind, Name(ANY[version], 0)) is Fault.ADDRESS_IN_USE
    endpoints[3].close()
    again = one.udp_endpoint(version)
    again.send_to(b"", Name(b, 1))
    assert again.local().port == ports[3]


@both
def test_reuseport_spreads_by_flow(version):
    net, one, other, _a, b = pair(version)
    group = []
    for _ in range(4):
        endpoint = other.udp_endpoint(version)
        endpoint.set_option("SO_REUSEPORT", 1)
        endpoint.bind(Name(ANY[version], 53))
        group.append(endpoint)
    outsider = other.udp_endpoint(version)
    assert fault_of(outsider.bind, Name(ANY[version], 53)) is Fault.ADDRESS_IN_USE
    clients = [one.udp_endpoint(version) for _ in range(40)]
    for client in clients:
        client.send_to(b"1", Name(b, 53))
        client.send_to(b"2", Name(b, 53))
    net.settle()
    for endpoint in group:
        sources = []
        while (got := endpoint.receive_from()) is not None:
            sources.append(got.source)
        assert sources
        assert all(sources.count(source) == 2 for source in sources)


@both
def test_full_receive_buffer_drops_and_counts(version):
    net, one, other, _, b = pair(version)
    listening = server(other, version)
    listening.set_option("SO_RCVBUF", 4096)
    assert listening.get_option("SO_RCVBUF") == 8192
    client = one.udp_endpoint(version)
    for _ in range(20):
        client.send_to(bytes(1000), Name(b, 53))
    net.settle()
    received = 0
    while listening.receive_from() is not None:
        received += 1
    assert 0 < received < 20
    assert other.counters[version].udp.RcvbufErrors == 20 - received


@both
def test_full_send_buffer_blocks_until_transmit(version):
    _, one, _, _, b = pair(version)
    client = one.udp_endpoint(version)
    woken = []
    client.on_ready = lambda: woken.append(client.readiness())
    client.set_option("SO_SNDBUF", 1)
    sent = 0
    while client.send_to(bytes(1000), Name(b, 53)) is not None:
        sent += 1
        assert sent < 100
    assert not client.readiness() & Readiness.OUT
    assert len(one.transmit(0.0)) == sent
    assert client.readiness() & Readiness.OUT
    assert woken


@both
def test_socket_options_of_udp(version):
    net, one, other, _a, b = pair(version)
    listening = server(other, version)
    client = one.udp_endpoint(version)
    client.set_option("IP_TTL" if version == 4 else "IPV6_UNICAST_HOPS", 7)
    client.set_option("IP_TOS" if version == 4 else "IPV6_TCLASS", 0xB8)
    client.send_to(b"x", Name(b, 53))
    client.send_to(b"x", Name(b, 53), Control(hop_limit=3, traffic_class=4))
    net.settle()
    first, second = listening.receive_from(), listening.receive_from()
    assert (first.hop_limit, first.traffic_class) == (7, 0xB8)
    assert (second.hop_limit, second.traffic_class) == (3, 4)
    assert fault_of(client.set_option, "IP_TTL", 256) is Fault.INVALID
    assert fault_of(client.set_option, "TCP_NODELAY", 1) is Fault.NO_PROTOCOL_OPTION
    assert fault_of(client.get_option, "TCP_NODELAY") is Fault.NO_PROTOCOL_OPTION
    assert client.get_option("IP_TTL") == 7
    assert listening.get_option("IP_TTL") == 64


@both
def test_segmentation(version):
    net, one, other, _a, b = pair(version)
    listening = server(other, version)
    client = one.udp_endpoint(version)
    assert client.send_to(bytes(2500), Name(b, 53), Control(segment_size=1000)) == 2500
    net.settle()
    assert [len(listening.receive_from().data) for _ in range(3)] == [1000, 1000, 500]


@both
def test_sending_without_a_route_fails(version):
    _, one, _, _, _ = pair(version)
    far = address("192.0.2.1" if version == 4 else "2001:db8::1")
    client = one.udp_endpoint(version)
    assert fault_of(client.send_to, b"x", Name(far, 1)) is Fault.NETWORK_UNREACHABLE
    assert fault_of(client.connect, Name(far, 1)) is Fault.NETWORK_UNREACHABLE
    assert fault_of(client.send_to, b"x") is Fault.DESTINATION_REQUIRED
    one.set_up(2, False)
    near = address("10.0.0.9" if version == 4 else "fd00::9")
    assert fault_of(client.send_to, b"x", Name(near, 1)) is Fault.NETWORK_DOWN


def test_broadcast_needs_permission():
    net, one, other, _a, _b = pair(4)
    listening = server(other, 4)
    mine = server(one, 4)
    client = one.udp_endpoint(4)
    everyone, subnet = address("255.255.255.255"), address("10.0.0.255")
    for target in (everyone, subnet):
        assert fault_of(client.send_to, b"x", Name(target, 53)) is Fault.ACCESS
    client.set_option("SO_BROADCAST", 1)
    for target in (everyone, subnet):
        client.send_to(b"all", Name(target, 53))
        net.settle()
        assert listening.receive_from().destination.address == target
        assert mine.receive_from().destination.address == target
    client.send_to(b"no one listens", Name(subnet, 9))
    net.settle()
    assert other.counters[4].icmp.OutMsgs == 0


@both
def test_shutdown_and_close(version):
    _net, one, _other, _a, b = pair(version)
    client = one.udp_endpoint(version)
    assert fault_of(client.shutdown, True, True) is Fault.NOT_CONNECTED
    assert client.readiness() & Readiness.HUP
    client = one.udp_endpoint(version)
    client.connect(Name(b, 53))
    client.shutdown(False, True)
    assert fault_of(client.send_to, b"x") is Fault.BROKEN_PIPE
    client.close()
    client.close()
    assert fault_of(client.send_to, b"x") is Fault.INVALID
    assert one.udp.endpoints() == []


@both
def test_flipped_bits_are_counted_and_dropped(version):
    net, one, other, _a, b = pair(version)
    listening = server(other, version)
    net.meddle = lambda packet: [packet[:-1] + bytes((packet[-1] ^ 1,))]
    one.udp_endpoint(version).send_to(b"x", Name(b, 53))
    net.settle()
    assert listening.receive_from() is None
    assert other.counters[version].udp.InCsumErrors == 1


@both
def test_the_unspecified_address_is_this_host(version):
    _, one, _, _, _ = pair(version)
    listening = server(one, version)
    client = one.udp_endpoint(version)
    client.send_to(b"x", Name(ANY[version], 53))
    one.transmit(0.0)
    assert listening.receive_from().destination.address == LOOPBACK[version]
    client.connect(Name(ANY[version], 53))
    assert client.peer().address == LOOPBACK[version]


def test_link_local_needs_to_know_which_link():
    net, one, other, _, _ = pair(6)
    local = address("fe80::2")
    other.add_address(2, local, 64)
    one.add_address(2, address("fe80::1"), 64)
    listening = server(other, 6)
    client = one.udp_endpoint(6)
    assert fault_of(client.connect, Name(local, 53)) is Fault.INVALID
    client.connect(Name(local, 53, 2))
    assert client.local() == Name(address("fe80::1"), client.local().port, 2)
    client.send_to(b"x")
    net.settle()
    got = listening.receive_from()
    assert got.source == Name(address("fe80::1"), client.local().port, 2)
    assert fault_of(one.udp_endpoint(6).bind, Name(address("fe80::1"), 9)) is Fault.INVALID
    one.udp_endpoint(6).bind(Name(address("fe80::1"), 9, 2))
