import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.stack.endpoint import ANY4, ANY6, Fault, Name, StackError
from catenet.stack.ip.fragments import split
from catenet.wire import icmp, ip, tcp, udp
from catenet.wire.address import BROADCAST, LOOPBACK, Prefix, format_address
from catenet.wire.icmp import Echo, ErrorMessage, Problem
from catenet.wire.ip import DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING, IpPacket
from catenet.wire.tcp import TcpSegment
from catenet.wire.udp import UdpDatagram

from .net import address, pair, routed

ANY = {4: ANY4, 6: ANY6}
both = pytest.mark.parametrize("version", [4, 6])


def replies(stack, now=0.0):
    """What the stack sends, as parsed packets."""
    return [ip.parse(packet) for _, packet in stack.transmit(now)]


def message_of(packet):
    return icmp.parse(packet.payload, packet.source, packet.destination)


def only_error(stack, now=0.0):
    (packet,) = replies(stack, now)
    message = message_of(packet)
    assert isinstance(message, ErrorMessage)
    return message


def datagram(source, destination, port=9, payload=b"x", **fields):
    data = udp.build(UdpDatagram(1234, port, payload), source, destination)
    return IpPacket(source, destination, udp.PROTOCOL, data, **fields)


def echo(source, destination, size=56, **fields):
    data = icmp.build(Echo(False, 7, 1, bytes(size)), source, destination)
    return IpPacket(source, destination, icmp.PROTOCOLS[4 if len(source) == 4 else 6], data, **fields)


@both
@pytest.mark.parametrize("size", [0, 56, 1472, 1473, 65507])
def test_echo_is_answered(version, size):
    _net, _, other, a, b = pair(version)
    packet = echo(a, b, size, traffic_class=4, identification=5)
    for piece in split(packet, 1500) if size > 1400 else [packet]:
        other.receive(ip.build(piece), 0.0)
    pieces = replies(other)
    assert all(ip.header_length(piece) + len(piece.payload) <= 1500 for piece in pieces)
    assert {(piece.source, piece.destination, piece.traffic_class) for piece in pieces} == {(b, a, 4)}
    whole = pieces[0]._replace(payload=b"".join(piece.payload for piece in pieces))
    assert message_of(whole) == Echo(True, 7, 1, bytes(size))


@both
def test_ping_socket(version):
    net, one, _, _a, b = pair(version)
    endpoint = one.echo_endpoint(version)
    request = bytes((8 if version == 4 else 128, 0, 0, 0, 0, 0, 0, 9)) + b"data"
    endpoint.send_to(request, Name(b, 0))
    net.settle()
    got = endpoint.receive_from()
    assert got.source.address == b
    assert got.data[0] == (0 if version == 4 else 129)
    assert got.data[6:] == request[6:]
    assert int.from_bytes(got.data[4:6], "big") == endpoint.local().port
    with pytest.raises(StackError) as error:
        endpoint.send_to(b"\x05" + request[1:], Name(b, 0))
    assert error.value.fault is Fault.INVALID
    other_id = one.echo_endpoint(version)
    other_id.bind(Name(ANY[version], endpoint.local().port ^ 1))
    endpoint.send_to(request, Name(b, 0))
    net.settle()
    assert other_id.receive_from() is None


@both
def test_no_answer_to_errors_broadcasts_and_impossible_sources(version):
    _, _, other, a, b = pair(version)
    many = address("10.0.0.255") if version == 4 else address("ff02::1")
    size = 4 if version == 4 else 16
    error = icmp.build(ErrorMessage(Problem.PORT_UNREACHABLE, bytes(28)), a, b)
    packets = [
        datagram(a, many),
        datagram(bytes(size), b),
        datagram(LOOPBACK[version], b),
        datagram(b, b),
        IpPacket(a, b, icmp.PROTOCOLS[version], error),
    ]
    if version == 4:
        packets.append(datagram(BROADCAST, b))
        packets.append(datagram(many, b))
        packets.append(datagram(address("224.0.0.1"), b))
    else:
        packets.append(datagram(many, b))
    for packet in packets:
        other.receive(ip.build(packet), 0.0)
        assert other.transmit(0.0) == []


@both
def test_unknown_protocol(version):
    _, _, other, a, b = pair(version)
    other.receive(ip.build(IpPacket(a, b, 200, b"12345678")), 0.0)
    error = only_error(other)
    assert error.problem is Problem.PROTOCOL_UNREACHABLE
    assert error.value == (0 if version == 4 else 6)
    assert other.counters[version].ip.InUnknownProtos == 1


@both
def test_errors_are_rate_limited(version):
    _, _, other, a, b = pair(version)
    other.counters[version].icmp.OutMsgs = 0
    packet = ip.build(datagram(a, b))
    for _ in range(50):
        other.receive(packet, 0.0)
    assert len(other.transmit(0.0)) == 6
    other.receive(packet, 1.0)
    other.receive(packet, 1.0)
    assert len(other.transmit(1.0)) == 1
    assert other.counters[version].icmp.OutRateLimitHost > 0


@both
def test_errors_to_many_are_limited_together(version):
    _, _, other, _, b = pair(version)
    other.add_route(Prefix(ANY[version], 0), 2)
    prefix = Prefix.parse("20.0.0.0/8" if version == 4 else "2001:db8::/64")
    for number in range(1, 300):
        other.receive(ip.build(datagram(prefix.host(number), b)), 0.0)
    assert len(other.transmit(0.0)) == 50
    assert other.counters[version].icmp.OutRateLimitGlobal == 249


@both
def test_errors_quote_as_much_as_they_may(version):
    _, _, other, a, b = pair(version)
    other.receive(ip.build(datagram(a, b, payload=bytes(1400))), 0.0)
    ((_, packet),) = other.transmit(0.0)
    assert len(packet) == (576 if version == 4 else 1280)


@both
def test_a_router_routes(version):
    net, one, router, other, a, b = routed(version)
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    one.udp_endpoint(version).send_to(b"x", Name(b, 53))
    net.settle()
    got = listening.receive_from()
    assert got.source.address == a
    assert got.hop_limit == 63
    assert router.counters[version].ip.ForwDatagrams == 1


@both
def test_hop_limit_ends_at_the_router(version):
    net, one, _, _, _, b = routed(version)
    client = one.udp_endpoint(version)
    client.set_option("IP_RECVERR", 1)
    client.set_option("IP_TTL", 1)
    client.connect(Name(b, 53))
    client.send_to(b"x")
    net.settle()
    queued = client.receive_error()
    assert queued.report.problem is Problem.HOP_LIMIT
    assert queued.fault is Fault.HOST_UNREACHABLE
    assert format_address(queued.report.offender) in ("10.0.0.254", "fd00::254")


@both
def test_a_router_without_route_says_so(version):
    net, one, _, _, _, _ = routed(version)
    client = one.udp_endpoint(version)
    client.set_option("IP_RECVERR", 1)
    client.connect(Name(address("192.0.2.1" if version == 4 else "2001:db8::1"), 53))
    client.send_to(b"x")
    net.settle()
    assert client.take_error() is Fault.NETWORK_UNREACHABLE


@both
def test_hosts_do_not_forward(version):
    net, one, router, _, _, b = routed(version)
    router.settings.ip_forward = 0
    one.udp_endpoint(version).send_to(b"x", Name(b, 53))
    net.settle()
    assert router.counters[version].ip.InAddrErrors == 1
    assert router.counters[version].ip.ForwDatagrams == 0


@both
def test_path_mtu_discovery(version):
    net, one, router, other, _, b = routed(version, mtus=(1500, 1300))
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    client = one.udp_endpoint(version)
    client.connect(Name(b, 53))
    assert client.get_option("IP_MTU") == 1500
    client.send_to(bytes(1400))
    net.settle()
    assert listening.receive_from() is None
    assert router.counters[version].ip.FragFails == 1
    assert client.get_option("IP_MTU") == 1300
    with pytest.raises(StackError) as error:
        client.send_to(bytes(1400))
    assert error.value.fault is Fault.MESSAGE_TOO_LONG
    client.send_to(bytes(1400))
    net.settle()
    assert len(listening.receive_from().data) == 1400
    assert other.counters[version].ip.ReasmOKs == 1
    client.set_option("IP_MTU_DISCOVER", 2)
    with pytest.raises(StackError) as error:
        client.send_to(bytes(1400))
    assert error.value.fault is Fault.MESSAGE_TOO_LONG
    net.run(601)
    net.settle()
    client.set_option("IP_MTU_DISCOVER", 3)
    assert client.send_to(bytes(1400)) == 1400
    net.settle()
    assert listening.receive_from() is None


def test_ipv4_routers_cut_what_may_be_cut():
    net, one, router, other, _, b = routed(4, mtus=(1500, 600))
    listening = other.udp_endpoint(4)
    listening.bind(Name(ANY4, 53))
    client = one.udp_endpoint(4)
    client.set_option("IP_MTU_DISCOVER", 0)
    data = random.Random(1).randbytes(4000)
    client.send_to(data, Name(b, 53))
    net.settle()
    assert listening.receive_from().data == data
    assert router.counters[4].ip.FragOKs == 3


@both
def test_path_mtu_is_not_believed_from_liars(version):
    _net, one, _, _, a, b = routed(version)
    quoted = ip.build(datagram(a, b, dont_fragment=True))

    def tell(mtu, quote=quoted):
        message = icmp.build(ErrorMessage(Problem.PACKET_TOO_BIG, quote, mtu), b, a)
        one.receive(ip.build(IpPacket(b, a, icmp.PROTOCOLS[version], message)), 0.0)

    tell(1400)
    assert one.output.path_mtu(b) == 1500, "nobody here has sent the quoted datagram"
    sender = one.udp_endpoint(version)
    sender.bind(Name(ANY[version], 1234))
    tell(9000)
    assert one.output.path_mtu(b) == 1500
    tell(1400, ip.build(datagram(b, a)))
    assert one.output.path_mtu(b) == 1500
    tell(100)
    assert one.output.path_mtu(b) == (552 if version == 4 else 1500)
    assert one.output.path_mtu(a) == (65536 if version == 6 else 65535)
    if version == 4:
        client = one.udp_endpoint(4)
        client.send_to(bytes(1000), Name(b, 53))
        assert not any(packet.dont_fragment for packet in replies(one))


@both
def test_many_path_mtus_do_not_fill_memory(version):
    _, one, _, _, a, b = routed(version)
    prefix = Prefix.parse("20.0.0.0/8" if version == 4 else "2001:db8::/64")
    one.udp_endpoint(version).bind(Name(ANY[version], 1234))
    for number in range(5000):
        quoted = ip.build(datagram(a, prefix.host(number)))
        message = icmp.build(ErrorMessage(Problem.PACKET_TOO_BIG, quoted, 1400), b, a)
        one.receive(ip.build(IpPacket(b, a, icmp.PROTOCOLS[version], message)), 0.0)
    assert len(one.path_mtus) == 4096


# Fragments.


def fragmented(version, size=100, cut=64):
    _, _, other, a, b = pair(version)
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    data = bytes(range(size))
    head = 20 if version == 4 else 48
    pieces = split(datagram(a, b, 53, data, identification=77), head + cut)
    return other, listening, pieces, data


@both
@given(st.data())
@settings(deadline=None, max_examples=40)
def test_fragments_in_any_order_with_duplicates(version, data):
    stack, listening, pieces, payload = fragmented(version)
    order = data.draw(st.permutations(pieces + pieces[:1]))
    for piece in order:
        stack.receive(ip.build(piece), 0.0)
    got = listening.receive_from()
    assert got is not None
    assert got.data == payload
    assert len(stack.reassembler) in (0, 1)


@both
def test_a_missing_fragment_ends_in_an_error_to_the_sender(version):
    stack, listening, pieces, _ = fragmented(version)
    stack.receive(ip.build(pieces[0]), 0.0)
    timeout = 30.0 if version == 4 else 60.0
    assert stack.next_deadline() == timeout
    stack.handle_timeout(timeout - 1)
    assert stack.transmit(timeout - 1) == []
    stack.handle_timeout(timeout)
    assert only_error(stack, timeout).problem is Problem.REASSEMBLY_TIME
    assert stack.reassembler.size == 0
    stack.receive(ip.build(pieces[1]), timeout)
    assert listening.receive_from() is None
    stack.handle_timeout(200.0)
    assert stack.transmit(200.0) == []
    assert stack.counters[version].ip.ReasmTimeout == 2


@both
def test_overlap_drops_the_packet(version):
    stack, listening, pieces, _ = fragmented(version)
    first, last = pieces
    shifted = last._replace(fragment_offset=last.fragment_offset - 8, payload=b"overlaps" + bytes(last.payload))
    stack.receive(ip.build(first), 0.0)
    stack.receive(ip.build(shifted), 0.0)
    assert stack.counters[version].ip.ReasmOverlaps == 1
    stack.receive(ip.build(last), 0.0)
    assert listening.receive_from() is None


@both
def test_contradicting_ends_drop_the_packet(version):
    stack, _, pieces, _ = fragmented(version)
    _, last = pieces
    stack.receive(ip.build(last), 0.0)
    stack.receive(ip.build(last._replace(fragment_offset=last.fragment_offset + 80)), 0.0)
    assert stack.counters[version].ip.ReasmFails == 1
    stack.receive(ip.build(last), 0.0)
    stack.receive(ip.build(last._replace(fragment_offset=800, payload=bytes(8), more_fragments=True)), 0.0)
    assert stack.counters[version].ip.ReasmFails == 2
    assert len(stack.reassembler) == 0


@both
def test_tiny_fragments_are_refused(version):
    _, _, other, a, b = pair(version)
    segment = tcp.build(TcpSegment(1, 2, 3, flags=tcp.SYN), a, b)
    whole = IpPacket(a, b, tcp.PROTOCOL, segment, identification=3)
    tiny = whole._replace(payload=segment[:8], more_fragments=True)
    rest = whole._replace(payload=segment[8:], fragment_offset=8)
    for piece in (tiny, rest):
        other.receive(ip.build(piece), 0.0)
    assert len(other.reassembler) == 0
    assert other.counters[version].ip.ReasmFails == 2
    if version == 6:
        assert only_error(other).problem is Problem.INCOMPLETE_FIRST_FRAGMENT


@both
def test_fragments_do_not_fill_memory(version):
    _, _, other, a, b = pair(version, ipfrag_high_thresh=100_000)
    for number in range(1, 2000):
        piece = IpPacket(a, b, 17, bytes(1000), identification=number, more_fragments=True)
        other.receive(ip.build(piece), 0.0)
        assert other.reassembler.size <= 100_000
    assert len(other.reassembler) > 40


@both
@pytest.mark.parametrize(("codepoints", "expected"), [((2, 2), 2), ((2, 3), 3), ((0, 3), None), ((0, 0), 0)])
def test_congestion_marks_survive_reassembly(version, codepoints, expected):
    stack, listening, pieces, _ = fragmented(version)
    for piece, codepoint in zip(pieces, codepoints, strict=True):
        stack.receive(ip.build(piece._replace(traffic_class=codepoint)), 0.0)
    got = listening.receive_from()
    assert (None if got is None else got.traffic_class) == expected


def test_fragment_identifications_differ():
    _, one, _, _, b = pair(6)
    client = one.udp_endpoint(6)
    seen = set()
    for _ in range(20):
        client.send_to(bytes(2000), Name(b, 1))
        seen |= {packet.identification for packet in replies(one)}
    assert len(seen) == 20


@both
def test_options_ahead_of_the_transport(version):
    _, _, other, a, b = pair(version)
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    if version == 4:
        other.receive(ip.build(datagram(a, b, 53, options=b"\x94\x04\x00\x00")), 0.0)
    else:
        known = ((HOP_BY_HOP, b"\x05\x02\x00\x00\x01\x00"), (DESTINATION_OPTIONS, b"\x01\x04\x00\x00\x00\x00"))
        other.receive(ip.build(datagram(a, b, 53, extensions=known)), 0.0)
    assert listening.receive_from().data == b"x"


def test_ipv4_option_errors():
    _, _, other, a, b = pair(4)
    other.receive(ip.build(datagram(a, b, options=b"\x01\x07\x20\x00")), 0.0)
    error = only_error(other)
    assert (error.problem, error.value) == (Problem.ERRONEOUS_FIELD, 21)
    source_route = b"\x83\x07\x04" + b + b"\x00"
    other.receive(ip.build(datagram(a, b, options=source_route)), 0.0)
    assert other.transmit(0.0) == []
    assert other.counters[4].ip.InHdrErrors == 2


@pytest.mark.parametrize(
    ("extension", "pointer", "problem"),
    [
        ((DESTINATION_OPTIONS, b"\x1e\x04\x00\x00\x00\x00"), None, None),
        ((DESTINATION_OPTIONS, b"\x5e\x04\x00\x00\x00\x00"), None, False),
        ((DESTINATION_OPTIONS, b"\x9e\x04\x00\x00\x00\x00"), 42, Problem.UNKNOWN_OPTION),
        ((HOP_BY_HOP, b"\x00\xde\x03\x00\x00\x00"), 43, Problem.UNKNOWN_OPTION),
        ((ROUTING, b"\x00\x01\x00\x00\x00\x00"), 42, Problem.ERRONEOUS_FIELD),
        ((ROUTING, b"\x00\x00\x00\x00\x00\x00"), None, None),
    ],
)
def test_ipv6_extension_headers(extension, pointer, problem):
    _, _, other, a, b = pair(6)
    listening = other.udp_endpoint(6)
    listening.bind(Name(ANY6, 53))
    other.receive(ip.build(datagram(a, b, 53, extensions=(extension,))), 0.0)
    if problem is None:
        assert listening.receive_from() is not None
        return
    assert listening.receive_from() is None
    if problem is False:
        assert other.transmit(0.0) == []
        return
    error = only_error(other)
    assert (error.problem, error.value) == (problem, pointer)


def test_misplaced_hop_by_hop_options_are_answered():
    _, _, other, a, b = pair(6)
    two = ((DESTINATION_OPTIONS, b"\x01\x04\0\0\0\0"), (HOP_BY_HOP, b"\x01\x04\0\0\0\0"))
    other.receive(ip.build(datagram(a, b, extensions=two)), 0.0)
    error = only_error(other)
    assert (error.problem, error.value) == (Problem.PROTOCOL_UNREACHABLE, 40)


@both
def test_unknown_interfaces_and_those_down_receive_nothing(version):
    _, _, other, a, b = pair(version)
    packet = ip.build(echo(a, b))
    other.receive(packet, 0.0, 9)
    other.set_up(2, False)
    other.receive(packet, 0.0, 2)
    assert other.transmit(0.0) == []
    assert other.counters[version].ip.InReceives == 0


@both
def test_the_driver_is_woken_once(version):
    _, _, other, a, b = pair(version)
    woken = []
    other.on_dirty = lambda: woken.append(1)
    for _ in range(3):
        other.receive(ip.build(echo(a, b)), 0.0)
    assert woken == [1]
    assert len(other.transmit(0.0)) == 3
    assert woken == [1]
    other.receive(ip.build(echo(a, b)), 0.0)
    assert woken == [1, 1]


@both
def test_snapshot_has_the_names_of_nstat(version):
    _, _, other, a, b = pair(version)
    other.receive(ip.build(echo(a, b)), 0.0)
    values = other.snapshot()
    suffix = "" if version == 4 else "6"
    assert values[f"Ip{suffix}InReceives"] == 1
    assert values[f"Icmp{suffix}InEchos"] == 1
    assert values[f"Icmp{suffix}OutEchoReps"] == 1


@both
def test_the_driver_is_woken_for_an_earlier_deadline(version):
    stack, _, pieces, _ = fragmented(version)
    woken = []
    stack.on_dirty = lambda: woken.append(stack.next_deadline())
    stack.receive(ip.build(pieces[0]), 0.0)
    assert woken == [30.0 if version == 4 else 60.0]


def test_nobody_makes_us_answer_to_a_broadcast_address():
    """A forged SYN from the network's broadcast address is no reason to send everybody a segment."""
    _, _, other, _, b = pair(4)
    everyone = address("10.0.0.255")
    syn = tcp.build(TcpSegment(1, 80, 1, flags=tcp.SYN), everyone, b)
    other.receive(ip.build(IpPacket(everyone, b, tcp.PROTOCOL, syn)), 0.0)
    assert other.transmit(0.0) == []
    assert other.counters[4].ip.InAddrErrors == 1


@both
def test_congestion_marks_are_counted(version):
    _, _, other, a, b = pair(version)
    segment = tcp.build(TcpSegment(1, 80, 1, flags=tcp.SYN), a, b)
    other.receive(ip.build(IpPacket(a, b, tcp.PROTOCOL, segment, traffic_class=3)), 0.0)
    other.receive(ip.build(datagram(a, b, traffic_class=3)), 0.0)
    assert other.counters[version].ip.InCEPkts == 2
