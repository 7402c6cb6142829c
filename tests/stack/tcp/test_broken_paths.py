"""Timeouts that are not congestion: no way (RFC 6069), thin streams, Fast Open through boxes that cannot bear it."""

from __future__ import annotations

import itertools

import pytest

from catenet.stack.tcp.control import states
from catenet.wire import icmp, ip, tcp
from catenet.wire.icmp import Problem

from .tcpnet import ADDRESSES, Net

both = pytest.mark.parametrize("version", [4, 6])


def segments(net, host=0, since=0):
    """(time, segment) of what a host sent."""
    out = []
    for at, number, raw in net.log[since:]:
        if number == host and ip.parse(raw).protocol == tcp.PROTOCOL:
            out.append((at, parsed(raw)))
    return out


def parsed(raw):
    packet = ip.parse(raw)
    return tcp.parse(packet.payload, packet.source, packet.destination)


def cut(net, answer=None):
    """Let nothing of the first host through; `answer(packet)` may send an ICMP error back."""

    def swallow(packet, now):
        if answer is not None:
            answer(packet)
        return []

    net.filters[0] = swallow


def unreachable(net, packet, problem):
    """The router's message about `packet`, to the first host."""
    router = bytes((10, 0, 0, 254)) if net.version == 4 else ADDRESSES[6][0][:-1] + b"\xfe"
    here = ADDRESSES[net.version][0]
    body = icmp.build(icmp.ErrorMessage(problem, packet[:100]), router, here)
    net.a.receive(ip.build(ip.IpPacket(router, here, icmp.PROTOCOLS[net.version], body)), net.now + 0.001)


def gaps(net, since):
    times = [at for at, segment in segments(net, since=since) if segment.payload]
    return [round(b - a, 2) for a, b in itertools.pairwise(times)]


@both
@pytest.mark.parametrize("problem", [Problem.NO_ROUTE, Problem.ADDRESS_UNREACHABLE])
def test_unreachable_takes_back_the_doubling_of_the_timeout(version, problem):
    net = Net(version)
    client, _, _ = net.pair()
    since = len(net.log)
    pending = []
    cut(net, pending.append)
    client.send(b"data")
    for _ in range(200):
        net.step()
        while pending:
            unreachable(net, pending.pop(), problem)
        if len(gaps(net, since)) >= 8:
            break
    intervals = gaps(net, since)[1:]
    assert max(intervals) < 2.2 * min(intervals), intervals
    assert client.connection.state == states.ESTABLISHED
    net.filters[0] = None
    assert net.run(2, lambda: client.unsent() == 0)


@both
@pytest.mark.parametrize("problem", [None, Problem.PORT_UNREACHABLE, Problem.HOP_LIMIT])
def test_other_errors_leave_the_doubling_alone(version, problem):
    net = Net(version)
    client, _, _ = net.pair()
    since = len(net.log)
    pending = []
    cut(net, pending.append)
    client.send(b"data")
    while len(gaps(net, since)) < 7:
        net.step()
        while pending:
            packet = pending.pop()
            if problem is not None:
                unreachable(net, packet, problem)
    intervals = gaps(net, since)
    assert intervals[-1] > 1.9 * intervals[-2] > 3.6 * intervals[-3]


@both
def test_an_error_that_quotes_later_data_takes_nothing_back(version):
    """The message must be about the segment that was retransmitted (RFC 6069 4.2)."""
    net = Net(version)
    client, _, _ = net.pair()
    pending = []
    cut(net, pending.append)
    client.send(bytes(5000))
    while client.connection.backoff < 3:
        net.step()
    later = next(
        p for p in pending if tcp.quoted_ports(ip.parse(p).payload)[2] != client.connection.snd_una & 0xFFFFFFFF
    )
    unreachable(net, later, Problem.NO_ROUTE)
    assert client.connection.backoff == 3
    unreachable(net, pending[-1], Problem.NO_ROUTE)
    assert client.connection.backoff == 2


@both
@pytest.mark.parametrize("by", ["option", "setting", None])
def test_thin_streams_may_keep_their_timeout(version, by):
    net = Net(version)
    if by == "setting":
        net.a.settings.tcp_thin_linear_timeouts = 1
    client, accepted, _ = net.pair()
    if by == "option":
        client.set_option("TCP_THIN_LINEAR_TIMEOUTS", 1)
    client.send(b"first")
    net.run(1)
    assert accepted.receive(10) == b"first"
    since = len(net.log)
    cut(net)
    client.send(b"x")
    net.run(20)
    intervals = gaps(net, since)[1:]  # the first is the loss probe's
    if by is None:
        assert intervals[4] > 10 * intervals[0]
    else:
        assert len(intervals) > 8
        assert max(intervals[:5]) < 1.5 * min(intervals[:5])
        assert intervals[8] > 1.8 * intervals[7]


# Fast Open.


def fast_open_net(version, timeout):
    net = Net(version)
    for stack in net.hosts:
        stack.settings.tcp_fastopen = 3
        stack.settings.tcp_fastopen_blackhole_timeout_sec = timeout
    listener = net.listener(TCP_FASTOPEN=5)
    return net, listener


def fast_open(net, data=b"hello"):
    client = net.a.tcp_endpoint(net.version)
    client.set_option("TCP_FASTOPEN_CONNECT", 1)
    client.connect(net.name(1, 80))
    client.send(data)
    net.pump()
    return client


def syn_options(net):
    return next(s for _, s in reversed(segments(net)) if s.flags & tcp.SYN)


def exchange(net, listener):
    """A whole connection with data both ways."""
    client = fast_open(net)
    net.run(1)
    accepted = listener.accept()
    accepted.send(b"answer")
    net.run(1)
    assert client.receive(100) == b"answer"
    client.close()
    accepted.receive(100)
    accepted.receive(100)
    accepted.close()
    net.run(1)


@both
@pytest.mark.parametrize("timeout", [0, 3600])
def test_fast_open_pauses_after_its_packets_vanish(version, timeout):
    net, listener = fast_open_net(version, timeout)
    exchange(net, listener)
    exchange(net, listener)
    assert syn_options(net).payload == b"hello"

    def box(packet, now):
        segment = parsed(packet)
        swallowed = segment.flags & tcp.SYN and (segment.options.fast_open is not None or segment.payload)
        return [] if swallowed or (segment.payload and not segment.flags & tcp.SYN) else [(0.01, packet)]

    net.filters[0] = box
    client = fast_open(net)
    net.run(60)
    assert client.connection.retransmits > 2
    net.filters[0] = None
    client.close()
    net.run(200)
    fast_open(net).close()
    fresh = syn_options(net)
    assert (fresh.options.fast_open is None and not fresh.payload) == bool(timeout)
    if not timeout:
        return
    net.run(20_000)
    fast_open(net).close()
    assert syn_options(net).options.fast_open is not None  # the pause is over


@both
def test_pauses_in_a_row_grow_until_it_works(version):
    net, listener = fast_open_net(version, 10)
    cookies = net.a.tcp.cookies
    second = 1_000_000
    cookies.pause(0)
    assert cookies.is_paused(10 * second - 1, 10)
    assert not cookies.is_paused(10 * second, 10)
    for _ in range(20):
        cookies.pause(0)
    assert cookies.is_paused(640 * second - 1, 10)
    assert not cookies.is_paused(640 * second, 10)
    net.now += 1000
    net.a.transmit(net.now)
    exchange(net, listener)
    assert not cookies.is_paused(1, 10)


@both
def test_an_answer_of_which_only_the_fin_comes_is_a_black_hole(version):
    net, listener = fast_open_net(version, 3600)
    exchange(net, listener)
    client = fast_open(net)
    net.run(1)
    accepted = listener.accept()

    def box(packet, now):
        return [] if parsed(packet).payload else [(0.01, packet)]

    net.filters[1] = box
    accepted.send(b"answer")
    net.run(0.1)
    accepted.shutdown(False, True)
    net.run(0.1)
    client.abort()
    net.run(1)
    fast_open(net)
    assert syn_options(net).options.fast_open is None


@both
def test_a_reset_out_of_place_right_after_fast_open_is_a_black_hole(version):
    net, listener = fast_open_net(version, 3600)
    exchange(net, listener)
    client = fast_open(net)
    net.run(0.1)
    c = client.connection
    here, there = ADDRESSES[version]
    forged = tcp.TcpSegment(80, c.source_port, (c.rcv_nxt + 10) & 0xFFFFFFFF, 0, tcp.RST)
    net.a.receive(ip.build(ip.IpPacket(there, here, 6, tcp.build(forged, there, here))), net.now)
    assert c.state == states.ESTABLISHED
    fast_open(net)
    assert syn_options(net).options.fast_open is None
