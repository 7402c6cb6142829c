"""Whatever a peer sends, nothing is raised, memory stays bounded, and bytes never written are never delivered."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import ADDRESSES, Net

from catenet.stack.endpoint import Name, StackError
from catenet.stack.tcp.control.connection import Connection
from catenet.wire import ip, tcp
from catenet.wire.icmp import ErrorMessage, Problem, build
from catenet.wire.tcp import TcpOptions, TcpSegment

near = st.integers(-70_000, 70_000) | st.sampled_from([-1, 0, 1, 1448, 2**31 - 1, 2**31, -(2**31)])
blocks = st.lists(st.tuples(near, near), max_size=4)
segments = st.fixed_dictionaries(
    {
        "seq": near,
        "ack": near,
        "flags": st.integers(0, 511),
        "window": st.integers(0, 65535),
        "urgent": st.integers(0, 65535),
        "size": st.sampled_from([0, 0, 1, 100, 1448, 9000]),
        "sack": blocks,
        "stamps": st.none() | st.tuples(near, near),
        "mss": st.none() | st.integers(0, 65535),
        "scale": st.none() | st.integers(0, 255),
        "fast_open": st.none() | st.binary(min_size=8, max_size=8),
        "accecn": st.none() | st.tuples(st.integers(0, 1), st.lists(st.integers(0, 2**24 - 1), max_size=3)),
        "ecn": st.integers(0, 3),
        "wait": st.sampled_from([0.0, 0.0, 0.001, 0.3, 5.0]),
    }
)


def forge(net: Net, shape: dict, port: int, c: Connection | None) -> bytes:
    """A packet from host 0 to host 1, its numbers near those of the connection."""
    base = c.rcv_nxt if c is not None else 0
    una = c.snd_una if c is not None else 0
    options = TcpOptions(mss=shape["mss"], window_scale=shape["scale"], fast_open=shape["fast_open"])
    options.sack = tuple(((una + left) & 0xFFFFFFFF, (una + right) & 0xFFFFFFFF) for left, right in shape["sack"][:1])
    if shape["accecn"] is not None and not options.fast_open:
        options.accecn = (shape["accecn"][0], tuple(shape["accecn"][1]))
        options.mss = options.window_scale = None
    elif shape["stamps"] is not None and not options.fast_open:
        recent = c.ts_recent if c is not None else 0
        options.timestamps = ((recent + shape["stamps"][0]) & 0xFFFFFFFF, shape["stamps"][1] & 0xFFFFFFFF)
    segment = TcpSegment(
        port,
        80,
        (base + shape["seq"]) & 0xFFFFFFFF,
        (una + shape["ack"]) & 0xFFFFFFFF,
        shape["flags"],
        shape["window"],
        shape["urgent"],
        options,
        bytes(shape["size"]),
    )
    source, destination = ADDRESSES[net.version]
    return ip.build(
        ip.IpPacket(source, destination, 6, tcp.build(segment, source, destination), traffic_class=shape["ecn"])
    )


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shapes=st.lists(segments, max_size=25),
    mode=st.sampled_from(["listen", "syn-sent", "established", "closing", "fin-wait"]),
    ecn=st.sampled_from([1, 3]),
    busy=st.booleans(),
)
def test_forged_segments_in_every_state(version, shapes, mode, ecn, busy):
    net = Net(version)
    for host in net.hosts:
        host.settings.tcp_ecn = ecn
        host.settings.tcp_fastopen = 0x603
    port = 5000
    if mode == "listen":
        net.listener()
        victim = None
    elif mode == "syn-sent":
        victim = net.b.tcp_endpoint(version)
        victim.bind(Name(ADDRESSES[version][1], 80))
        net.filters = [None, lambda packet, now: []]
        victim.connect(Name(ADDRESSES[version][0], port))
    else:
        client, victim, _ = net.pair()
        port = client.local().port
        if mode == "closing":
            victim.shutdown(False, True)
        elif mode == "fin-wait":
            victim.close()
        if busy and mode == "established":
            net.filters = [None, lambda packet, now: []]
            victim.send(bytes(50_000))
    net.pump()
    for shape in shapes:
        found = net.b.tcp.connections.get(net.b.tcp.key(ADDRESSES[version][0], ADDRESSES[version][1], port, 80))
        c = found if isinstance(found, Connection) else None
        net.b.receive(forge(net, shape, port, c), net.now)
        net.run(shape["wait"])
        if victim is not None and shape["size"] & 1:
            try:
                victim.receive(1000)
                victim.readiness()
                victim.info()
            except StackError:
                pass
        if c is not None:
            assert c.packets_out >= 0 and c.retransmitted_out >= 0 and c.cwnd >= 1
            assert 0 <= c.sacked_out <= c.packets_out
            assert 0 <= c.lost_out <= c.packets_out
            assert c.packets_out == sum(sent.count for sent in c.sent)
            held = sum(map(len, c.received)) + (c.reassembly.size if c.reassembly is not None else 0)
            assert held <= c.receive_buffer + 20_000
    net.run(30)


@pytest.mark.parametrize("version", [4, 6])
def test_mutated_traffic_never_raises(version):
    rng = random.Random(version)
    net = Net(version)

    def mutate(packet: bytes, now: float) -> list[tuple[float, bytes]]:
        if rng.random() < 0.3:
            parsed = ip.parse(packet)
            raw = bytearray(parsed.payload)
            for _ in range(rng.randrange(1, 4)):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            raw[16:18] = b"\0\0"
            total = int.from_bytes(parsed.source + parsed.destination + bytes(raw) + bytes(len(raw) & 1), "big")
            raw[16:18] = (-(total + 6 + len(raw)) % 65535).to_bytes(2, "big")
            packet = ip.build(parsed._replace(payload=bytes(raw)))
        return [(0.01, packet)]

    net.filters = [mutate, mutate]
    for _ in range(40):
        listener = net.listener(port=1000 + _)
        client = net.a.tcp_endpoint(version)
        client.connect(net.name(1, 1000 + _))
        net.run(3)
        server = listener.accept()
        for end in (client, server):
            try:
                if end is not None:
                    end.send(rng.randbytes(5000))
            except StackError:
                pass
        net.run(3)
        client.close()
        if server is not None:
            server.close()
        listener.close()
    net.filters = [None, None]
    net.run(4000)
    assert not net.a.tcp.connections and not net.b.tcp.connections


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=30, deadline=None)
@given(problem=st.sampled_from(list(Problem)), offset=near, mtu=st.integers(0, 70_000))
def test_forged_icmp_about_nothing_in_flight_changes_nothing(version, problem, offset, mtu):
    net = Net(version)
    client, server, _ = net.pair()
    c = client.connection
    if -1 <= offset <= 0:
        offset = 1000
    quoted_segment = tcp.build(
        TcpSegment(c.source_port, c.destination_port, (c.snd_una + offset) & 0xFFFFFFFF, 0, 16, 100),
        c.source,
        c.destination,
    )
    quoted = ip.build(ip.IpPacket(c.source, c.destination, 6, quoted_segment))
    try:
        message = build(ErrorMessage(problem, quoted, mtu), ADDRESSES[version][1], ADDRESSES[version][0])
    except (ValueError, KeyError):
        return
    protocol = 1 if version == 4 else 58
    packet = ip.build(ip.IpPacket(ADDRESSES[version][1], ADDRESSES[version][0], protocol, message))
    before = c.mss
    net.a.receive(packet, net.now)
    assert client.state == "ESTABLISHED" and c.mss == before and client.take_error() is None
    client.send(b"still here")
    net.run(1)
    assert server.receive(100) == b"still here"
