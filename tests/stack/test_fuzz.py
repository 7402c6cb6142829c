"""The whole input path fed with mutated captures: nothing escapes, nothing grows."""

import io
import random
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catenet.stack.configuration import configure
from catenet.stack.endpoint import ANY4, ANY6, Name, StackError
from catenet.stack.stack import Stack
from catenet.wire import checksum, ethernet, icmp, ip, tcp
from catenet.wire.address import Prefix, parse_interface
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter, read_pcapng

from .lan import link
from .net import Network, address, pair

ANY = {4: ANY4, 6: ANY6}
TEXTS = {4: ("10.0.0.1/24", "10.0.0.2/24"), 6: ("fd00::1/64", "fd00::2/64")}


def conversation(version, on_ethernet):
    """A capture of all that two hosts can say: datagrams, fragments, pings, errors, groups, connections."""
    net = Network()
    stacks = []
    for number in (1, 2):
        stack = Stack(random.Random(number))
        text = TEXTS[version][number - 1]
        stack.add_interface(addresses=(parse_interface(text),), link_address=link(number) if on_ethernet else b"")
        if on_ethernet:
            configure(stack, 2)
        net.stacks.append(stack)
        stacks.append(stack)
    one, other = stacks
    net.wire((one, 2), (other, 2))
    target = parse_interface(TEXTS[version][1])[0]
    server = other.tcp_endpoint(version)
    server.bind(Name(target, 80))
    server.listen(5)
    client = one.tcp_endpoint(version)
    client.connect(Name(target, 80))
    net.run(0.5)
    accepted = server.accept()
    client.send(bytes(range(256)) * 20)
    accepted.send(b"answer" * 100)
    net.run(0.5)
    client.close()
    net.run(0.5)
    udp = one.udp_endpoint(version)
    for size in (0, 100, 4000):
        udp.send_to(bytes(size), Name(target, 53))
    group = address("239.1.1.1" if version == 4 else "ff05::5")
    udp.join(group, 2)
    udp.send_to(b"group", Name(group, 53))
    one.echo_endpoint(version).send_to(bytes((8 if version == 4 else 128, *bytes(60))), Name(target))
    net.run(3)
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface("eth0", LINKTYPE_ETHERNET if on_ethernet else LINKTYPE_RAW)
    for _, _, raw in net.seen:
        writer.write(0, 0.0, raw)
    return [packet.data for packet in read_pcapng(file.getvalue())]


CAPTURES = {(version, lan): conversation(version, lan) for version in (4, 6) for lan in (False, True)}
cases = pytest.mark.parametrize(("version", "on_ethernet"), list(CAPTURES))


def victim(version, on_ethernet):
    """A host with all kinds of endpoints open, that also routes."""
    stack = Stack(random.Random(9))
    stack.settings.ip_forward = 1
    texts = TEXTS[version]
    addresses = tuple(map(parse_interface, texts))
    stack.add_interface(addresses=addresses, link_address=link(2) if on_ethernet else b"")
    stack.add_interface(addresses=(parse_interface("172.16.0.1/12" if version == 4 else "fd01::1/16"),))
    if on_ethernet:
        configure(stack, 2)
    stack.add_route(Prefix(ANY[version], 0), 3)
    server = stack.tcp_endpoint(version)
    server.bind(Name(ANY[version], 80))
    server.listen(5)
    listening = stack.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    listening.join(address("239.1.1.1" if version == 4 else "ff05::5"), 2)
    echo = stack.echo_endpoint(version)
    echo.bind(Name(ANY[version], 0))
    return stack, server, [listening, echo]


def mutate(rng, raw, on_ethernet):
    """Flip, cut, stretch, splice; then often repair the checksums, so that the damage gets deeper in."""
    data = bytearray(raw)
    for _ in range(rng.randrange(1, 5)):
        kind = rng.randrange(5)
        at = rng.randrange(len(data)) if data else 0
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del data[at : at + rng.randrange(1, 20)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        else:
            data[at : at + 8] = rng.randbytes(8)
    if rng.random() < 0.7:
        start = 14 if on_ethernet else 0
        return bytes(data[:start]) + repair(bytes(data[start:]))
    return bytes(data)


def repair(packet):
    """Make lengths and checksums right again where the packet is still one."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        size = (packet[0] & 15) * 4
        if not 20 <= size <= len(packet):
            return packet
        head = packet[:2] + len(packet).to_bytes(2, "big") + packet[4:10] + b"\0\0" + packet[12:size]
        head = head[:10] + checksum.checksum(head).to_bytes(2, "big") + head[12:]
        return head + repair_transport(packet[9], packet[12:16], packet[16:20], packet[size:])
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        head = packet[:4] + (len(packet) - 40).to_bytes(2, "big") + packet[6:40]
        return head + repair_transport(packet[6], packet[8:24], packet[24:40], packet[40:])
    return packet


def repair_transport(protocol, source, destination, data):
    at = {6: 16, 17: 6, 1: 2, 58: 2, 2: 2}.get(protocol)
    if at is None or len(data) < at + 2:
        return data
    if protocol == 17:
        data = data[:4] + len(data).to_bytes(2, "big") + data[6:]
    initial = 0
    if protocol in (6, 17, 58):
        initial = checksum.pseudo_sum(source, destination, protocol) + len(data)
    data = data[:at] + b"\0\0" + data[at + 2 :]
    return data[:at] + checksum.checksum(data, initial).to_bytes(2, "big") + data[at + 2 :]


def sizes(stack):
    """Everything in a stack that a peer could make grow."""
    neighbours = stack.interfaces[2].ethernet
    return {
        "fragments": stack.reassembler.size,
        "paths": len(stack.path_mtus),
        "routes": len(stack.routes.entries()),
        "addresses": len(stack.interfaces[2].addresses),
        "neighbours": len(neighbours.neighbours) if neighbours is not None else 0,
        "connections": len(stack.tcp.connections),
    }


LIMITS = {
    "fragments": 4 << 20,
    "paths": 4096,
    "routes": 100,
    "addresses": 20,
    "neighbours": 1024,
    "connections": 300,
}


def pump(stack, now, endpoints, server):
    stack.transmit(now)
    deadline = stack.next_deadline()
    if deadline is not None and deadline <= now:
        stack.handle_timeout(now)
        stack.transmit(now)
    for endpoint in endpoints:
        for _ in range(100):
            try:
                if endpoint.receive_from() is None:
                    break
            except StackError:
                continue
    accepted = server.accept()
    if accepted is not None:
        accepted.close()


@cases
@pytest.mark.parametrize("seed", range(3))
def test_mutated_captures(version, on_ethernet, seed):
    rng = random.Random(seed)
    stack, server, endpoints = victim(version, on_ethernet)
    capture = CAPTURES[version, on_ethernet]
    assert len(capture) > 15
    now = 0.0
    for _ in range(1500):
        raw = rng.choice(capture)
        if rng.random() < 0.95:
            raw = mutate(rng, raw, on_ethernet)
        stack.receive(raw, now, 2)
        now += rng.choice((0.0, 0.0, 0.001, 0.3))
        pump(stack, now, endpoints, server)
    for name, size in sizes(stack).items():
        assert size <= LIMITS[name], name
    assert stack.counters[version].ip.InHdrErrors > 0
    assert stack.counters[version].ip.InDelivers > 0


@cases
def test_memory_stays_where_it_is(version, on_ethernet):
    """Twice as many packets need no more memory: what is kept is bounded."""
    rng = random.Random(5)
    stack, server, endpoints = victim(version, on_ethernet)
    capture = CAPTURES[version, on_ethernet]
    now = 0.0
    used = []
    tracemalloc.start()
    try:
        for number in range(2400):
            stack.receive(mutate(rng, rng.choice(capture), on_ethernet), now, 2)
            now += 0.5
            pump(stack, now, endpoints, server)
            if number % 800 == 799:
                now += 400
                pump(stack, now, endpoints, server)
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert used[2] - used[1] < 300_000


@cases
@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_garbage_never_raises_in_the_stack(version, on_ethernet, data):
    stack, _, _ = victim(version, on_ethernet)
    body = data.draw(st.binary(max_size=100))
    if on_ethernet:
        ethertype = data.draw(st.sampled_from((0x0800, 0x86DD, 0x0806, 0x1234)))
        body = ethernet.build_frame(
            ethernet.Frame(data.draw(st.sampled_from((link(2), b"\xff" * 6))), link(1), ethertype, body)
        )
    stack.receive(body, 0.0, 2)
    stack.receive(memoryview(body), 0.0, 2)
    stack.transmit(0.0)


@pytest.mark.parametrize("version", [4, 6])
def test_a_flood_of_beginnings_is_bounded(version):
    _, _, other, _a, b = pair(version)
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(16)
    prefix = Prefix.parse("20.0.0.0/8" if version == 4 else "2001:db8::/64")
    other.add_route(Prefix(ANY[version], 0), 2)
    for number in range(1, 5000):
        source = prefix.host(number)
        syn = tcp.build(tcp.TcpSegment(number % 60000 + 1, 80, number, flags=tcp.SYN), source, b)
        other.receive(ip.build(ip.IpPacket(source, b, 6, syn)), 0.0)
        if number % 100 == 0:
            other.transmit(0.0)
    assert len(other.tcp.connections) < 600


@pytest.mark.parametrize("version", [4, 6])
def test_errors_about_errors_do_not_ping_pong(version):
    net, one, _other, a, b = pair(version)
    kind = icmp.PROTOCOLS[version]
    inner = ip.build(ip.IpPacket(b, a, 17, bytes(8)))
    message = icmp.build(icmp.ErrorMessage(icmp.Problem.PORT_UNREACHABLE, inner), a, b)
    one.receive(ip.build(ip.IpPacket(b, a, kind, message)), 0.0)
    one.receive(ip.build(ip.IpPacket(b, a, kind, bytes(8))), 0.0)
    net.settle()
    assert net.seen == []


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("seed", range(6))
def test_a_live_connection_beside_mutations_of_its_own_segments(version, seed):
    """Mutated copies with right checksums and sequence numbers reach every corner that the peer's packets do."""
    rng = random.Random(seed)
    features = {
        "tcp_ecn": rng.choice((0, 1, 3)),
        "tcp_mtu_probing": rng.choice((0, 2)),
        "tcp_syncookies": rng.choice((1, 2)),
        "tcp_congestion_control": rng.choice(("reno", "cubic", "bbr")),
        "tcp_sack": rng.choice((0, 1, 1)),
        "tcp_timestamps": rng.choice((0, 1, 1)),
        "tcp_max_syn_backlog": rng.choice((2, 1024)),
    }
    net, one, other, _, b = pair(version, **features)
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(50)

    def meddle(packet):
        copies = [mutate(rng, packet, False) for _ in range(rng.randrange(3))]
        return [packet, *copies] if rng.random() < 0.7 else [*copies, packet]

    net.meddle = meddle
    open_ends = []
    carried = 0
    for _ in range(15):
        client = one.tcp_endpoint(version)
        client.connect(Name(b, 80))
        open_ends.append(client)
        for _ in range(20):
            net.run(rng.choice((0.0, 0.01, 0.5)))
            accepted = server.accept()
            if accepted is not None:
                open_ends.append(accepted)
            for end in open_ends:
                try:
                    end.send(rng.randbytes(rng.randrange(1, 4000)))
                    while data := end.receive(65536):
                        carried += len(data)
                except StackError:
                    continue
        for end in open_ends:
            end.close()
        open_ends.clear()
    net.meddle = None
    net.run(1000)
    assert carried > 0
    assert len(one.tcp.connections) + len(other.tcp.connections) < 40


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("start", [0.0, 5.0])
def test_two_ends_that_disagree_do_not_acknowledge_each_other_for_ever(version, start):
    """Somebody put data into both directions: each end acknowledges what the other never sent (RFC 5961 5, 7)."""
    net, one, other, a, b = pair(version)
    net.now = start
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(1)
    client = one.tcp_endpoint(version)
    client.connect(Name(b, 80))
    net.settle()
    for _, _, raw in net.seen[-3:]:
        packet = ip.parse(raw)
        segment = tcp.parse(packet.payload, packet.source, packet.destination)
        if segment.flags == tcp.ACK:
            break
    one_next, other_next = segment.seq, segment.ack
    for source, target, stack, seq, ack, ports in (
        (a, b, other, one_next, other_next, (segment.source_port, 80)),
        (b, a, one, other_next, one_next, (80, segment.source_port)),
    ):
        forged = tcp.TcpSegment(*ports, seq, ack, tcp.ACK | tcp.PSH, 500, 0, segment.options, b"forged")
        stack.receive(ip.build(ip.IpPacket(source, target, 6, tcp.build(forged, source, target))), net.now)
    net.seen.clear()
    net.settle()
    assert len(net.seen) < 10
