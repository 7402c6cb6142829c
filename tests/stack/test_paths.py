"""What arrives over bad paths: datagrams whole or not at all, connections whatever the MTU on the way."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.stack.endpoint import ANY4, ANY6, Name
from catenet.wire import icmp, ip

from .net import routed

ANY = {4: ANY4, 6: ANY6}
both = pytest.mark.parametrize("version", [4, 6])


@both
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_datagrams_arrive_whole_or_not_at_all(version, data):
    seed = data.draw(st.integers(0, 1 << 32))
    smallest = 576 if version == 4 else 1280
    mtus = data.draw(st.tuples(st.integers(smallest, 2000), st.integers(smallest, 2000)))
    net, one, _, other, a, b = routed(version, mtus=mtus)
    rng = random.Random(seed)
    loss = data.draw(st.sampled_from((0.0, 0.05, 0.3)))
    held = []

    def meddle(packet):
        out = [packet] * rng.choice((1, 1, 1, 2)) if rng.random() >= loss else []
        if held and rng.random() < 0.5:
            out.append(held.pop())
        if out and rng.random() < 0.2:
            held.append(out.pop())
        return out

    net.meddle = meddle
    listening = other.udp_endpoint(version)
    listening.set_option("SO_RCVBUFFORCE", 1 << 24)
    listening.bind(Name(ANY[version], 53))
    client = one.udp_endpoint(version)
    client.set_option("IP_MTU_DISCOVER", 0)
    sent = set()
    for number in range(20):
        size = rng.choice((0, 1, rng.randrange(6000), rng.randrange(60000)))
        payload = number.to_bytes(2, "big") + rng.randbytes(size)
        sent.add(payload)
        client.send_to(payload, Name(b, 53))
        net.settle()
    net.run(1000)
    received = []
    while (got := listening.receive_from()) is not None:
        assert got.data in sent
        assert got.source.address == a
        received.append(got.data)
    if not loss:
        assert received
    assert other.reassembler.size == 0


def transfer(net, one, other, version, size, seconds):
    """Send `size` bytes from one to the other over TCP; what has arrived after so many seconds."""
    target = other.interfaces[2].addresses[0].address
    server = other.tcp_endpoint(version)
    server.bind(Name(target, 80))
    server.listen(1)
    client = one.tcp_endpoint(version)
    client.connect(Name(target, 80))
    net.run(1)
    accepted = server.accept()
    assert accepted is not None
    data = random.Random(1).randbytes(size)
    position, got = 0, bytearray()
    end = net.now + seconds
    while len(got) < size and net.now < end:
        position += client.send(data[position:]) or 0
        net.run(0.05)
        while chunk := accepted.receive(1 << 20):
            got += chunk
    return bytes(got) == data


@both
@pytest.mark.parametrize(("mtu", "narrow"), [(1500, 1300), (1500, 1280), (9000, 1500)])
def test_tcp_finds_the_path_mtu(version, mtu, narrow):
    net, one, router, other, _, b = routed(version, mtus=(mtu, mtu))
    router.set_mtu(3, narrow)
    assert transfer(net, one, other, version, 200_000, 20)
    assert one.output.path_mtu(b) == narrow
    # IPv4 and IPv6 alike, nothing was cut on the way.
    assert other.counters[version].ip.ReasmReqds == 0


@both
def test_tcp_gets_past_a_router_that_does_not_tell(version):
    net, one, router, other, _, _ = routed(version, tcp_mtu_probing=1)
    router.set_mtu(3, 1300)

    def silent(packet):
        parsed = ip.parse(packet)
        return [] if parsed.protocol == icmp.PROTOCOLS[version] else [packet]

    net.meddle = silent
    assert transfer(net, one, other, version, 50_000, 120)
    assert router.counters[version].ip.FragFails > 0


@both
def test_tcp_goes_on_when_the_path_narrows(version):
    net, one, router, other, _, b = routed(version)
    target = other.interfaces[2].addresses[0].address
    server = other.tcp_endpoint(version)
    server.bind(Name(target, 80))
    server.listen(1)
    client = one.tcp_endpoint(version)
    client.connect(Name(target, 80))
    net.run(1)
    accepted = server.accept()
    got = 0
    for round_number in range(20):
        if round_number == 5:
            router.set_mtu(3, 1300)
        client.send(bytes(20_000))
        net.run(0.5)
        while chunk := accepted.receive(1 << 20):
            got += len(chunk)
    assert got == 400_000
    assert one.output.path_mtu(b) == 1300
