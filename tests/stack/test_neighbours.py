"""Neighbours and duplicate addresses on Ethernet, ARP and neighbour discovery alike."""

from catenet.stack.endpoint import Fault, Name
from catenet.stack.ethernet.neighbours import NeighbourState
from catenet.stack.ethernet.port import AddressConflict
from catenet.stack.interface import AddressState
from catenet.stack.ip.fragments import split
from catenet.wire import ethernet, icmp, ip, nd
from catenet.wire.address import BROADCAST, Prefix, parse_interface
from catenet.wire.ethernet import ArpPacket, Frame

from .lan import ANY, both, entry, frames, lan, link, port, questions
from .net import address


@both
def test_a_neighbour_is_resolved_before_data_is_sent(version):
    net, one, other, a, b = lan(version)
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    client = one.udp_endpoint(version)
    for text in (b"1", b"2", b"3"):
        client.send_to(text, Name(b, 53))
    net.settle()
    assert [listening.receive_from().data for _ in range(3)] == [b"1", b"2", b"3"]
    assert entry(one, b).state is NeighbourState.REACHABLE
    assert entry(one, b).link == link(2)
    assert entry(other, a).state in (NeighbourState.STALE, NeighbourState.DELAY)
    assert questions(net, version) == [(True, b)]


@both
def test_unreachability_detection(version):
    net, one, other, _, b = lan(version)
    client = one.udp_endpoint(version)
    client.send_to(b"x", Name(b, 53))
    net.settle()
    net.run(46)
    assert entry(one, b).state is NeighbourState.STALE
    frames(net)
    client.send_to(b"x", Name(b, 53))
    net.settle()
    assert entry(one, b).state is NeighbourState.DELAY
    net.run(5.5)
    assert entry(one, b).state is NeighbourState.REACHABLE
    assert questions(net, version)[0] == (False, b)
    other.set_up(2, False)
    net.run(46)
    client.send_to(b"x", Name(b, 53))
    net.run(10)
    assert entry(one, b) is None
    assert questions(net, version) == [(False, b)] * 3


@both
def test_confirmation_from_above_saves_a_solicitation(version):
    net, one, _, _, b = lan(version)
    client = one.udp_endpoint(version)
    client.send_to(b"x", Name(b, 53))
    net.run(46)
    port(one).neighbours.confirm(b, net.now)
    assert entry(one, b).state is NeighbourState.REACHABLE


@both
def test_an_unanswered_neighbour_ends_in_an_error(version):
    net, one, _, _, _ = lan(version)
    missing = address("10.0.0.77" if version == 4 else "fd00::77")
    client = one.udp_endpoint(version)
    client.set_option("IP_RECVERR", 1)
    client.connect(Name(missing, 53))
    for _ in range(200):
        client.send_to(b"x")
    assert len(entry(one, missing).waiting) == one.settings.neigh_unres_qlen
    net.run(4)
    assert entry(one, missing) is None
    assert client.take_error() is Fault.HOST_UNREACHABLE
    assert questions(net, version) == [(True, missing)] * 3


@both
def test_the_neighbour_cache_is_bounded(version):
    net, one, _, _, _ = lan(version, neigh_gc_thresh3=32)
    port(one).neighbours.add_permanent(address("10.0.0.9"), link(9))
    prefix = Prefix.parse("10.0.0.0/24" if version == 4 else "fd00::/64")
    client = one.udp_endpoint(version)
    for number in range(10, 200):
        client.send_to(b"x", Name(prefix.host(number), 9))
    net.settle()
    assert len(port(one).neighbours) == 32
    assert entry(one, address("10.0.0.9")).state is NeighbourState.PERMANENT


@both
def test_what_nobody_asked_for_is_not_learned(version):
    _, one, _, a, b = lan(version)
    if version == 4:
        payload = ethernet.build_arp(ArpPacket(2, link(66), b, link(1), a))
        frame = Frame(link(1), link(66), ethernet.ARP, payload)
    else:
        answer = nd.build(nd.NeighborAdvertisement(b, False, True, True, (nd.LinkAddress(2, link(66)),)))
        packet = ip.IpPacket(b, a, 58, icmp.build(answer, b, a), 255)
        frame = Frame(link(1), link(66), ethernet.ETHERTYPES[6], ip.build(packet))
    one.receive(ethernet.build_frame(frame), 0.0, 2)
    assert entry(one, b) is None


def test_neighbour_discovery_from_afar_does_not_count():
    net, one, _, a, b = lan(6)
    one.udp_endpoint(6).send_to(b"x", Name(b, 9))
    net.settle()
    answer = nd.build(nd.NeighborAdvertisement(b, False, True, True, (nd.LinkAddress(2, link(66)),)))
    packet = ip.IpPacket(b, a, 58, icmp.build(answer, b, a), 254)
    one.receive(ethernet.build_frame(Frame(link(1), link(66), 0x86DD, ip.build(packet))), 0.0, 2)
    assert entry(one, b).link == link(2)
    local = ethernet.build_frame(Frame(link(1), link(66), 0x86DD, ip.build(packet._replace(hop_limit=255))))
    one.receive(local, 0.0, 2)
    assert entry(one, b).link == link(66)


@both
def test_frames_for_others_are_left_alone(version):
    _, one, _, a, b = lan(version)
    kind = icmp.PROTOCOLS[version]
    packet = ip.build(ip.IpPacket(b, a, kind, icmp.build(icmp.Echo(False, 1, 1), b, a)))
    for destination in (link(9), ethernet.BROADCAST):
        one.receive(ethernet.build_frame(Frame(destination, link(2), ethernet.ETHERTYPES[version], packet)), 0.0, 2)
        assert one.transmit(0.0) == []
    one.receive(ethernet.build_frame(Frame(link(1), link(2), ethernet.ETHERTYPES[version], packet)), 0.0, 2)
    assert len(one.transmit(0.0)) == 1


@both
def test_groups_and_broadcasts_have_link_addresses(version):
    net, one, other, _, _ = lan(version)
    group = address("239.1.2.3" if version == 4 else "ff05::3")
    listening = other.udp_endpoint(version)
    listening.bind(Name(ANY[version], 53))
    listening.join(group, 2)
    net.run(2)
    frames(net)
    client = one.udp_endpoint(version)
    client.set_option("SO_BROADCAST", 1)
    client.send_to(b"x", Name(group, 53))
    net.settle()
    assert listening.receive_from().data == b"x"
    assert frames(net)[0].destination == ethernet.group_address(group)
    if version == 4:
        for everyone in (BROADCAST, address("10.0.0.255")):
            client.send_to(b"y", Name(everyone, 53))
            net.settle()
            assert listening.receive_from().data == b"y"
            assert frames(net)[0].destination == ethernet.BROADCAST


@both
def test_tcp_over_ethernet(version):
    net, one, other, _, b = lan(version)
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(1)
    client = one.tcp_endpoint(version)
    client.connect(Name(b, 80))
    net.run(1)
    client.send(b"hello")
    net.run(1)
    assert bytes(server.accept().receive(10)) == b"hello"


# Duplicate addresses.


@both
def test_a_free_address_is_taken_and_announced(version):
    net, one, other, _, _ = lan(version)
    new, length = parse_interface("10.0.0.50/24" if version == 4 else "fd00::50/64")
    port(one).add_address(new, length)
    assert not one.address_table.is_local(new)
    net.run(5)
    assert one.address_table.is_local(new)
    assert one.interfaces[2].find(new).state is AddressState.PREFERRED
    client = other.udp_endpoint(version)
    client.connect(Name(new, 9))
    client.send_to(b"x")
    net.settle()
    assert client.take_error() is Fault.CONNECTION_REFUSED


@both
def test_a_taken_address_is_left_to_its_owner(version):
    net, one, other, _, b = lan(version)
    port(one).add_address(b, 24 if version == 4 else 64)
    net.run(5)
    assert not one.address_table.is_local(b)
    assert one.interfaces[2].find(b).state is AddressState.DUPLICATED
    assert isinstance(one.next_event(), AddressConflict)
    assert other.address_table.is_local(b)


@both
def test_two_that_try_the_same_address_both_give_way_or_one_gets_it(version):
    net, one, other, _, _ = lan(version)
    new, length = parse_interface("10.0.0.50/24" if version == 4 else "fd00::50/64")
    for stack in (one, other):
        port(stack).add_address(new, length)
    net.run(10)
    assert one.address_table.is_local(new) + other.address_table.is_local(new) <= 1


@both
def test_a_conflict_is_reported_and_the_address_defended_once(version):
    _net, one, _, a, _ = lan(version)
    if version == 4:
        payload = ethernet.build_arp(ArpPacket(1, link(66), a, bytes(6), a))
        frame = Frame(ethernet.BROADCAST, link(66), ethernet.ARP, payload)
    else:
        everyone = address("ff02::1")
        answer = nd.build(nd.NeighborAdvertisement(a, False, False, True, (nd.LinkAddress(2, link(66)),)))
        packet = ip.IpPacket(a, everyone, 58, icmp.build(answer, a, everyone), 255)
        frame = Frame(ethernet.group_address(everyone), link(66), 0x86DD, ip.build(packet))
    for moment in (1.0, 2.0, 12.0):
        one.receive(ethernet.build_frame(frame), moment, 2)
        assert len(one.transmit(moment)) == (0 if moment == 2.0 else 1)
        assert one.next_event() == AddressConflict(2, a, link(66))


def test_neighbour_discovery_does_not_come_in_fragments():
    """RFC 6980: else a guard on the switch could be got past."""
    _, one, _, a, _ = lan(6)
    stranger = address("fd00::9")
    message = nd.NeighborSolicitation(a, (nd.LinkAddress(1, link(66)), nd.UnknownOption(200, bytes(46))))
    data = icmp.build(nd.build(message), stranger, a)
    whole = ip.IpPacket(stranger, a, 58, data, 255, identification=9)
    for piece in split(whole, 40 + 8 + 40):
        one.receive(ethernet.build_frame(Frame(link(1), link(66), 0x86DD, ip.build(piece))), 0.0, 2)
    assert one.counters[6].ip.ReasmOKs == 1
    assert one.transmit(0.0) == []
    assert entry(one, stranger) is None
    one.receive(ethernet.build_frame(Frame(link(1), link(66), 0x86DD, ip.build(whole))), 0.0, 2)
    assert len(one.transmit(0.0)) == 1
