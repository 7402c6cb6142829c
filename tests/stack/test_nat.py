"""NAT on a router: mappings, filters, time-outs, errors, fragments, limits; in virtual time, between perfect wires."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.stack.endpoint import Name, StackError
from catenet.stack.nat.config import Behaviour, NatConfig, NatTimeouts, Unknown
from catenet.stack.nat.flows import rewrite, rewrite_error
from catenet.wire import icmp, ip, tcp, udp
from catenet.wire.address import parse_address
from catenet.wire.checksum import is_valid, pseudo_sum
from catenet.wire.icmp import Echo, ErrorMessage, Problem
from catenet.wire.udp import UdpDatagram

from .net import Network, address

INSIDE, OTHER, GATE, OUT, PEER, SECOND = (
    address(text) for text in ("192.168.0.2", "192.168.0.3", "192.168.0.1", "203.0.113.1", "203.0.113.7", "203.0.113.8")
)
APDM = Behaviour.ADDRESS_AND_PORT_DEPENDENT
ADM = Behaviour.ADDRESS_DEPENDENT
EIM = Behaviour.ENDPOINT_INDEPENDENT


class Home:
    """Two hosts inside, a router, two peers outside; `offload` as in worlds."""

    def __init__(self, mtu: int = 1500, offload: bool = False, **options: Any) -> None:
        self.net = Network()
        self.inside, self.other = self.net.host("192.168.0.2/24"), self.net.host("192.168.0.3/24")
        self.gate = self.net.host("192.168.0.1/24", ip_forward=1)
        self.outside = self.net.attach(self.gate, "203.0.113.1/24", mtu=mtu)
        self.peer, self.second = self.net.host("203.0.113.7/24"), self.net.host("203.0.113.8/24")
        self.net.wire((self.inside, 2), (self.other, 2), (self.gate, 2))
        self.net.wire((self.gate, 3), (self.peer, 2), (self.second, 2))
        for host in (self.inside, self.other):
            host.add_route(_any(), 2, GATE)
        for host in self.net.stacks:
            host.set_offload(offload)
        self.gate.use_nat(NatConfig((self.outside,), **options))

    @property
    def drops(self) -> Any:
        return self.gate.nat.drops

    def udp(self, stack: Any, port: int) -> Any:
        endpoint = stack.udp_endpoint(4)
        endpoint.bind(Name(bytes(4), port))
        return endpoint

    def send(self, endpoint: Any, to: Any, port: int, data: bytes = b"x") -> None:
        endpoint.send_to(data, Name(to, port))
        self.net.settle()

    def got(self, endpoint: Any) -> Any:
        """(data, address, port) of the next datagram, None without any."""
        found = endpoint.receive_from()
        return None if found is None else (bytes(found.data), found.source.address, found.source.port)


def _any() -> Any:
    from catenet.wire.address import Prefix

    return Prefix(bytes(4), 0)


@pytest.mark.parametrize("offload", [False, True])
def test_datagrams_go_out_by_the_routers_address_and_answers_come_back(offload: bool) -> None:
    home = Home(offload=offload)
    one, peer = home.udp(home.inside, 5000), home.udp(home.peer, 53)
    home.send(one, PEER, 53, b"question")
    assert home.got(peer) == (b"question", OUT, 5000)
    home.send(peer, OUT, 5000, b"answer")
    assert home.got(one) == (b"answer", PEER, 53)
    assert home.drops == {}


def test_two_inside_endpoints_with_one_port_get_two_outside() -> None:
    home = Home()
    ends = [home.udp(host, 5000) for host in (home.inside, home.other)]
    peer = home.udp(home.peer, 53)
    ports = []
    for end in ends:
        home.send(end, PEER, 53)
        ports.append(home.got(peer)[2])
    assert ports[0] == 5000 and ports[1] != 5000
    for end, port in zip(ends, ports, strict=True):
        home.send(peer, OUT, port, str(port).encode())
        assert home.got(end)[0] == str(port).encode()


@pytest.mark.parametrize(("mapping", "ports"), [(EIM, 1), (ADM, 2), (APDM, 4)])
def test_a_mapping_depends_on_what_of_the_peer_it_is_told(mapping: Behaviour, ports: int) -> None:
    """RFC 4787 section 4.1: one inside endpoint, two peers with two ports each."""
    home = Home(mapping=mapping)
    one = home.udp(home.inside, 5000)
    seen = set()
    for stack, to in ((home.peer, PEER), (home.second, SECOND)):
        for port in (1, 2):
            end = home.udp(stack, port)
            home.send(one, to, port)
            seen.add(home.got(end)[1:])
    assert len(seen) == ports


@pytest.mark.parametrize(("filtering", "passes"), [(EIM, 3), (ADM, 2), (APDM, 1)])
def test_who_may_answer_is_told_too(filtering: Behaviour, passes: int) -> None:
    """RFC 4787 section 5: the peer, another port of it, another host."""
    home = Home(filtering=filtering)
    one = home.udp(home.inside, 5000)
    home.send(one, PEER, 53)
    for stack, port in ((home.peer, 53), (home.peer, 54), (home.second, 53)):
        home.send(home.udp(stack, port), OUT, 5000)
    count = 0
    while home.got(one) is not None:
        count += 1
    assert count == passes
    assert home.drops == ({} if passes == 3 else {"filtered": 3 - passes})


def test_what_nobody_asked_for_is_dropped_and_counted() -> None:
    home = Home()
    peer = home.udp(home.peer, 53)
    home.send(peer, OUT, 5000)
    assert home.drops == {"no mapping": 1}
    home.peer.add_route(_any(), 2, OUT)  # somebody who knows the inside by its addresses
    home.send(peer, INSIDE, 5000)
    assert home.drops == {"no mapping": 2}


def test_the_router_keeps_its_own_sockets() -> None:
    home = Home()
    own, peer = home.udp(home.gate, 5000), home.udp(home.peer, 53)
    one = home.udp(home.inside, 5000)
    home.send(one, PEER, 53)
    port = home.got(peer)[2]
    assert port != 5000
    home.send(peer, OUT, 5000, b"to the router")
    assert home.got(own)[0] == b"to the router"


@pytest.mark.parametrize(("answered", "seconds"), [(False, 120), (True, 300)])
def test_udp_times_out(answered: bool, seconds: int) -> None:
    home = Home()
    one, peer = home.udp(home.inside, 5000), home.udp(home.peer, 53)
    home.send(one, PEER, 53)
    if answered:
        home.send(peer, OUT, 5000)
        assert home.got(one) is not None
    home.net.run(seconds - 1)
    assert home.gate.nat.table.find_outside(udp.PROTOCOL, (OUT, 5000), home.net.now) is not None
    home.net.run(1)
    home.send(peer, OUT, 5000)
    assert home.got(one) is None and home.drops == {"no mapping": 1}


@pytest.mark.parametrize("both", [False, True])
def test_what_comes_from_outside_keeps_udp_alive_only_where_asked(both: bool) -> None:
    home = Home(refresh_inbound=both)
    one, peer = home.udp(home.inside, 5000), home.udp(home.peer, 53)
    home.send(one, PEER, 53)
    for _ in range(4):
        home.send(peer, OUT, 5000)
        home.net.run(100)
    home.send(peer, OUT, 5000)
    count = 0
    while home.got(one) is not None:
        count += 1
    assert count == (5 if both else 3)


def connect(home: Home) -> Any:
    """A TCP connection from inside: (client, server)."""
    listener = home.peer.tcp_endpoint(4)
    listener.bind(Name(bytes(4), 80))
    listener.listen(5)
    client = home.inside.tcp_endpoint(4)
    client.bind(Name(bytes(4), 4000))
    client.connect(Name(PEER, 80))
    home.net.settle()
    server = listener.accept()
    assert server is not None
    return client, server


@pytest.mark.parametrize("offload", [False, True])
def test_tcp_is_carried_in_both_directions(offload: bool) -> None:
    home = Home(offload=offload)
    client, server = connect(home)
    assert server.peer().address == OUT
    for sender, receiver in ((client, server), (server, client)):
        data = random.Random(1).randbytes(50_000)
        at, got = 0, b""
        while len(got) < len(data):
            at += sender.send(data[at : at + 20_000]) or 0
            home.net.run(0.1)
            got += bytes(receiver.receive(65_536) or b"")
        assert got == data


def test_an_idle_connection_is_kept_for_two_hours_and_four_minutes() -> None:
    home = Home(unknown=Unknown.DROP)
    client, server = connect(home)
    home.net.run(7439)
    server.send(b"still there")
    home.net.run(1)
    assert bytes(client.receive(100)) == b"still there"
    home.net.run(7441)
    server.send(b"and now")
    home.net.run(1)
    assert client.receive(100) is None and home.drops["no mapping"] >= 1


@pytest.mark.parametrize("unknown", list(Unknown))
def test_segments_of_no_session(unknown: Unknown) -> None:
    """After a restart of the NAT: Linux makes a new session, others drop, or reset."""
    home = Home(unknown=unknown)
    client, server = connect(home)
    home.gate.use_nat(home.gate.nat.config)
    client.send(b"hello")
    home.net.run(5)
    got = server.receive(100)
    if unknown is Unknown.MAP:
        assert bytes(got) == b"hello" and home.drops == {}
        return
    assert got is None and home.drops["no mapping"] >= 1
    if unknown is Unknown.RESET:
        with pytest.raises(StackError, match="reset"):
            client.receive(100)


def test_a_closed_connection_is_forgotten_after_four_minutes() -> None:
    home = Home(timeouts=NatTimeouts(tcp_transitory=50))
    client, server = connect(home)
    client.close()
    home.net.run(1)
    server.receive(10)
    server.close()
    home.net.run(1)
    table = home.gate.nat.table
    assert table.find_outside(tcp.PROTOCOL, (OUT, 4000), home.net.now) is not None
    home.net.run(50)
    assert table.find_outside(tcp.PROTOCOL, (OUT, 4000), home.net.now) is None
    assert len(table) == 0


def ping(home: Home, stack: Any, to: Any, identifier: int, hop_limit: int = 64) -> None:
    body = icmp.build(Echo(False, identifier, 1, b"data"), INSIDE, to)
    stack.output.send(stack.interfaces[2].addresses[0].address, to, 1, body, hop_limit=hop_limit)
    stack.output.mark_dirty()
    home.net.settle()


def received(home: Home, stack: Any) -> list[Any]:
    """Packets that came to a stack by its wire since the last time."""
    mine = [raw for sender, index, raw in home.net.seen if (stack, 2) in home.net.wires[sender, index]]
    home.net.seen.clear()
    own = stack.interfaces[2].addresses[0].address
    return [packet for packet in map(ip.parse, mine) if packet.destination == own]


def test_pings_are_told_apart_by_their_identifiers() -> None:
    home = Home()
    for stack in (home.inside, home.other):
        ping(home, stack, PEER, 77)
        (reply,) = received(home, stack)
        message = icmp.parse(reply.payload, reply.source, reply.destination)
        assert isinstance(message, Echo) and message.reply and message.identifier == 77 and reply.source == PEER
    assert len(home.gate.nat.table) == 2
    ping(home, home.peer, OUT, 5)  # the router answers for itself
    assert received(home, home.peer)[0].source == OUT


def test_an_error_comes_back_about_the_packet_that_was_sent() -> None:
    home = Home()
    one = home.udp(home.inside, 5000)
    home.send(one, PEER, 9)  # nobody there
    (error,) = received(home, home.inside)
    message = icmp.parse(error.payload, error.source, error.destination)
    assert isinstance(message, ErrorMessage) and message.problem is Problem.PORT_UNREACHABLE
    quoted = ip.parse(message.quoted, quoted=True)
    assert (quoted.source, quoted.destination) == (INSIDE, PEER)
    assert bytes(quoted.payload[:2]) == (5000).to_bytes(2, "big")
    assert is_valid(message.quoted[:20])
    assert is_valid(quoted.payload, pseudo_sum(INSIDE, PEER, 17) + len(quoted.payload))
    with pytest.raises(StackError, match="refused"):
        connected = home.udp(home.inside, 5001)
        connected.connect(Name(PEER, 9))
        connected.send_to(b"x")
        home.net.settle()
        home.got(connected)


def test_an_error_from_inside_names_the_router() -> None:
    home = Home(filtering=EIM)
    one, peer = home.udp(home.inside, 5000), home.udp(home.peer, 53)
    home.send(one, PEER, 53)
    one.close()
    home.net.seen.clear()
    home.send(peer, OUT, 5000, b"too late")
    (error,) = [packet for packet in received(home, home.peer) if packet.protocol == 1]
    message = icmp.parse(error.payload, error.source, error.destination)
    assert isinstance(message, ErrorMessage) and error.source == OUT
    quoted = ip.parse(message.quoted, quoted=True)
    assert (quoted.source, quoted.destination) == (PEER, OUT) and is_valid(message.quoted[:20])


def test_the_router_speaks_of_the_packet_as_its_sender_knows_it() -> None:
    home = Home(mtu=1000)
    one = home.udp(home.inside, 5000)
    one.set_option("IP_MTU_DISCOVER", 2)
    home.send(one, PEER, 53, bytes(1200))
    message = icmp.parse((error := received(home, home.inside)[0]).payload, error.source, error.destination)
    assert isinstance(message, ErrorMessage)
    assert (message.problem, message.value, error.source) == (Problem.PACKET_TOO_BIG, 1000, GATE)
    assert ip.parse(message.quoted, quoted=True).source == INSIDE
    ping(home, home.inside, PEER, 1, hop_limit=1)
    (error,) = received(home, home.inside)
    message = icmp.parse(error.payload, error.source, error.destination)
    assert isinstance(message, ErrorMessage) and message.problem is Problem.HOP_LIMIT


@pytest.mark.parametrize("backwards", [False, True])
def test_fragments_are_put_together_first(backwards: bool) -> None:
    """RFC 4787 REQ-14: in whatever order they come."""
    home = Home()
    one, peer = home.udp(home.inside, 5000), home.udp(home.peer, 53)
    one.set_option("IP_MTU_DISCOVER", 0)
    peer.set_option("IP_MTU_DISCOVER", 0)
    held: list[Any] = []

    def turn(packet: Any) -> Any:
        parsed = ip.parse(packet)
        if not parsed.is_fragment:
            return [packet]
        held.append(packet)
        if parsed.more_fragments:
            return []
        found = held[::-1] if backwards else held[:]
        held.clear()
        return found

    home.net.meddle = turn
    home.send(one, PEER, 53, bytes(5000))
    assert home.got(peer) == (bytes(5000), OUT, 5000)
    home.send(peer, OUT, 5000, bytes(4000))
    assert home.got(one) == (bytes(4000), PEER, 53)


def test_fragments_that_never_become_a_packet_are_bounded_and_forgotten() -> None:
    home = Home()
    home.gate.settings.ipfrag_high_thresh = 20_000
    for number in range(100):
        packet = ip.IpPacket(INSIDE, PEER, 17, bytes(800), identification=number, more_fragments=True)
        home.gate.receive(ip.build(packet), 0.0, 2)
    reassembler = home.gate.nat._reassembler
    assert 0 < reassembler.size <= 20_000
    home.net.run(40)
    assert reassembler.size == 0


def test_hosts_inside_reach_each_other_by_their_outside_endpoints() -> None:
    """RFC 4787 REQ-9: and see each other's outside endpoints."""
    home = Home(filtering=EIM)
    one, other = home.udp(home.inside, 5000), home.udp(home.other, 6000)
    home.send(one, PEER, 53)
    home.send(other, OUT, 5000, b"hairpin")
    assert home.got(one) == (b"hairpin", OUT, 6000)
    home.send(one, OUT, 6000, b"back")
    assert home.got(other) == (b"back", OUT, 5000)
    closed = Home(filtering=EIM, hairpin=False)
    one, other = closed.udp(closed.inside, 5000), closed.udp(closed.other, 6000)
    closed.send(one, PEER, 53)
    closed.send(other, OUT, 5000)
    assert closed.got(one) is None


@pytest.mark.parametrize("mapping", [EIM, APDM])
def test_forwarded_ports_lead_inside(mapping: Behaviour) -> None:
    home = Home(mapping=mapping, forwards={(17, 8053): (INSIDE, 53)})
    server, peer, near = home.udp(home.inside, 53), home.udp(home.peer, 4000), home.udp(home.other, 4000)
    for end, seen in ((peer, (PEER, 4000)), (near, (OUT, 4000))):
        home.send(end, OUT, 8053, b"question")
        assert home.got(server) == (b"question", *seen)
        home.send(server, *seen, b"answer")
        assert home.got(end) == (b"answer", OUT, 8053)


def test_a_full_table_drops_and_tells() -> None:
    """RFC 5508 REQ-8: communication administratively prohibited."""
    home = Home(limit=3)
    one = home.udp(home.inside, 5000)
    for port in range(1, 6):
        home.send(one, PEER, port)
    assert len(home.gate.nat.table) == 3 and home.drops == {"table full": 2}
    problems = [icmp.parse(p.payload, p.source, p.destination) for p in received(home, home.inside) if p.source == GATE]
    assert [m.problem for m in problems if isinstance(m, ErrorMessage)] == [Problem.PROHIBITED] * 2
    home.net.run(200)
    home.send(one, PEER, 6)
    assert home.drops == {"table full": 2}


def test_a_range_of_ports_can_run_out() -> None:
    home = Home(preserve_ports=False, ports=(7000, 7001), mapping=APDM)
    one = home.udp(home.inside, 5000)
    for port in range(1, 4):
        home.send(one, PEER, port)
    assert home.drops == {"no port": 1}


def test_other_protocols_and_damaged_errors_do_not_pass() -> None:
    home = Home()
    home.inside.output.send(INSIDE, PEER, 47, bytes(40))
    home.net.settle()
    assert home.drops == {"untranslatable": 1}
    one = home.udp(home.inside, 5000)
    home.send(one, PEER, 53)
    home.net.seen.clear()
    sent = ip.build(ip.IpPacket(OUT, PEER, 17, udp.build(UdpDatagram(5000, 53, b"x"), OUT, PEER)))
    body = icmp.build(ErrorMessage(Problem.PORT_UNREACHABLE, sent), SECOND, OUT)
    damaged = body[:2] + bytes((body[2] ^ 1,)) + body[3:]
    home.gate.receive(ip.build(ip.IpPacket(SECOND, OUT, 1, damaged)), home.net.now, 3)
    home.net.settle()
    assert received(home, home.inside) == []
    home.gate.receive(ip.build(ip.IpPacket(SECOND, OUT, 1, body)), home.net.now, 3)
    home.net.settle()
    assert len(received(home, home.inside)) == 1


endpoints = st.tuples(st.binary(min_size=4, max_size=4), st.integers(0, 65535))


@given(endpoints, endpoints, st.none() | endpoints, st.none() | endpoints, st.binary(max_size=50), st.booleans())
def test_a_rewritten_packet_is_the_one_that_its_new_endpoints_would_have_sent(
    source: Any, destination: Any, new_source: Any, new_destination: Any, data: bytes, offload: bool
) -> None:
    def sent(one: Any, other: Any) -> bytes:
        body = udp.build(UdpDatagram(one[1], other[1], data), one[0], other[0], True, offload)
        return ip.build(ip.IpPacket(one[0], other[0], 17, body))

    before = sent(source, destination)
    after = rewrite(before, new_source, new_destination)
    wanted = ip.parse(sent(new_source or source, new_destination or destination))
    assert ip.parse(after) == wanted
    error = icmp.build(ErrorMessage(Problem.PORT_UNREACHABLE, before), PEER, OUT)
    raw = rewrite_error(ip.build(ip.IpPacket(PEER, OUT, 1, error)), None, INSIDE, new_source, new_destination)
    outer = ip.parse(raw)
    message = icmp.parse(outer.payload, outer.source, outer.destination)
    assert isinstance(message, ErrorMessage) and ip.parse(message.quoted) == wanted


@given(st.binary(max_size=80), st.sampled_from([1, 6, 17, 47]), st.booleans(), st.integers(0, 2))
def test_whatever_comes_does_no_harm(data: bytes, protocol: int, inwards: bool, part: int) -> None:
    home = Home(filtering=EIM)
    one = home.udp(home.inside, 5000)
    home.send(one, PEER, 53)
    ends = (PEER, OUT) if inwards else (INSIDE, PEER)
    packet = ip.IpPacket(*ends, protocol, data, fragment_offset=8 if part == 2 else 0, more_fragments=part == 1)
    try:
        raw = ip.build(packet)
    except ValueError:
        return
    home.gate.receive(raw, 1.0, 3 if inwards else 2)
    home.net.settle()
    assert parse_address("203.0.113.1") == OUT
