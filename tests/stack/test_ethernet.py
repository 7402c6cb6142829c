import random

import pytest

from catenet.stack.autoconf import Autoconfiguration, NameServers
from catenet.stack.dhcp import DhcpClient, DhcpState, LeaseChange
from catenet.stack.endpoint import ANY4, ANY6, Fault, Name
from catenet.stack.ethernet import AddressConflict
from catenet.stack.fragments import split
from catenet.stack.interface import AddressState
from catenet.stack.neighbours import NeighbourState
from catenet.stack.stack import Stack
from catenet.wire import dhcp, ethernet, icmp, ip, nd, udp
from catenet.wire.address import BROADCAST, Prefix, is_link_local, parse_address, parse_interface, solicited_node
from catenet.wire.dhcp import DhcpMessage, Option
from catenet.wire.ethernet import ArpPacket, Frame

from .net import Network, address

ANY = {4: ANY4, 6: ANY6}
TEXTS = {4: ("10.0.0.1/24", "10.0.0.2/24"), 6: ("fd00::1/64", "fd00::2/64")}
both = pytest.mark.parametrize("version", [4, 6])


def link(number):
    return b"\x02\x00\x00\x00\x00" + bytes((number,))


def station(net, number, *texts, **settings):
    stack = Stack(random.Random(number))
    for name, value in settings.items():
        setattr(stack.settings, name, value)
    stack.add_interface(link_address=link(number), addresses=tuple(map(parse_interface, texts)))
    net.stacks.append(stack)
    return stack


def lan(version, **settings):
    net = Network()
    one, other = (station(net, n + 1, TEXTS[version][n], **settings) for n in range(2))
    net.wire((one, 2), (other, 2))
    return net, one, other, *(parse_interface(text)[0] for text in TEXTS[version])


def port(stack):
    return stack.interfaces[2].port


def entry(stack, neighbour):
    return port(stack).neighbours.get(neighbour)


def frames(net):
    found = [ethernet.parse_frame(raw) for _, _, raw in net.seen]
    net.seen.clear()
    return found


def questions(net, version):
    """Frames that ask for a neighbour: (to many?, target)."""
    found = []
    for frame in frames(net):
        many = ethernet.is_group(frame.destination)
        if version == 4 and frame.ethertype == ethernet.ARP:
            packet = ethernet.parse_arp(frame.payload)
            if packet.operation == 1:
                found.append((many, packet.target))
        elif version == 6 and frame.ethertype == ethernet.ETHERTYPES[6]:
            packet = ip.parse(frame.payload)
            if packet.protocol == 58:
                message = icmp.parse(packet.payload, packet.source, packet.destination)
                read = nd.parse(message) if isinstance(message, icmp.Other) else None
                if isinstance(read, nd.NeighborSolicitation):
                    found.append((many, read.target))
    return found


@both
def test_a_question_then_data(version):
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
def test_confirmation_from_above_saves_the_question(version):
    net, one, _, _, b = lan(version)
    client = one.udp_endpoint(version)
    client.send_to(b"x", Name(b, 53))
    net.run(46)
    port(one).neighbours.confirm(b, net.now)
    assert entry(one, b).state is NeighbourState.REACHABLE


@both
def test_nobody_answers(version):
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
def test_the_table_is_bounded(version):
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
    assert not one.is_local(new)
    net.run(5)
    assert one.is_local(new)
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
    assert not one.is_local(b)
    assert one.interfaces[2].find(b).state is AddressState.DUPLICATED
    assert isinstance(one.next_event(), AddressConflict)
    assert other.is_local(b)


@both
def test_two_that_try_the_same_address_both_give_way_or_one_gets_it(version):
    net, one, other, _, _ = lan(version)
    new, length = parse_interface("10.0.0.50/24" if version == 4 else "fd00::50/64")
    for stack in (one, other):
        port(stack).add_address(new, length)
    net.run(10)
    assert one.is_local(new) + other.is_local(new) <= 1


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


# Autoconfiguration.

ROUTER = parse_address("fe80::ff")


def advertise(stack, now, *options, lifetime=1800, source=ROUTER, hop_limit=255, **fields):
    everyone = address("ff02::1")
    message = nd.RouterAdvertisement(64, lifetime=lifetime, options=options, **fields)
    data = icmp.build(nd.build(message), source, everyone)
    packet = ip.build(ip.IpPacket(source, everyone, 58, data, hop_limit))
    stack.receive(ethernet.build_frame(Frame(ethernet.group_address(everyone), link(99), 0x86DD, packet)), now, 2)


def prefix(text="2001:db8::/64", valid=86400, preferred=14400, on_link=True, autonomous=True):
    parsed = Prefix.parse(text)
    return nd.PrefixInformation(parsed.address, parsed.length, on_link, autonomous, valid, preferred)


def configured(**settings):
    net = Network()
    stack = station(net, 1, **settings)
    net.wire((stack, 2))
    autoconf = Autoconfiguration(stack, port(stack))
    autoconf.start()
    net.run(3)
    return net, stack, autoconf


def of_prefix(stack, text="2001:db8::/64"):
    return [each for each in stack.interfaces[2].addresses if each.address in Prefix.parse(text)]


def test_a_host_configures_itself():
    net, stack, autoconf = configured()
    local = stack.interfaces[2].link_local()
    assert local is not None
    assert any(ip.parse(frame.payload).destination == address("ff02::2") for frame in frames(net))
    source = nd.LinkAddress(1, link(99))
    servers = nd.DnsServers(600, (address("2001:db8::53"),))
    advertise(stack, net.now, source, prefix(), nd.Mtu(1400), servers)
    net.run(3)
    (made,) = of_prefix(stack)
    assert made.state is AddressState.PREFERRED
    assert made.address[8:] != local[8:]
    assert stack.interfaces[2].mtu == 1400
    assert autoconf.routers() == [ROUTER]
    far = address("2001:db8:ffff::1")
    route = stack.route(far)
    assert (route.next_hop, route.source) == (ROUTER, made.address)
    assert stack.route(address("2001:db8::77")).next_hop == address("2001:db8::77")
    assert isinstance(stack.next_event(), NameServers)
    assert port(stack).neighbours.get(ROUTER).router


def test_solicitations_back_off_until_a_router_answers():
    net, stack, _ = configured()
    net.run(1000)
    asked = [1 for frame in frames(net) if ip.parse(frame.payload).destination == address("ff02::2")]
    assert 6 <= len(asked) <= 10
    advertise(stack, net.now, prefix())
    net.run(10)
    frames(net)
    net.run(10000)
    assert not [1 for frame in frames(net) if ip.parse(frame.payload).destination == address("ff02::2")]


def test_lifetimes_run_out():
    net, stack, autoconf = configured()
    advertise(stack, net.now, prefix(valid=100, preferred=50), lifetime=70)
    net.run(10)
    (made,) = of_prefix(stack)
    net.run(45)
    assert made.state is AddressState.DEPRECATED
    assert stack.is_local(made.address)
    net.run(20)
    assert autoconf.routers() == []
    net.run(30)
    assert of_prefix(stack) == []
    assert not stack.is_local(made.address)


def test_validity_cannot_be_cut_short_by_one_packet():
    net, stack, _ = configured()
    advertise(stack, net.now, prefix(valid=86400))
    net.run(3)
    advertise(stack, net.now, prefix(valid=1, preferred=1))
    net.run(7000)
    assert len(of_prefix(stack)) == 1
    net.run(300)
    assert of_prefix(stack) == []


def test_advertisements_that_do_not_count():
    net, stack, autoconf = configured()
    advertise(stack, net.now, prefix(), hop_limit=254)
    advertise(stack, net.now, prefix(), source=address("2001:db8::1"))
    advertise(stack, net.now, prefix("2001:db8::/48"), prefix("fe80::/64"), prefix(preferred=90000))
    net.run(3)
    assert len(stack.interfaces[2].addresses) == 1
    assert autoconf.routers() == [ROUTER]
    advertise(stack, net.now, lifetime=0)
    assert autoconf.routers() == []


def test_many_advertisements_do_not_fill_memory():
    net, stack, autoconf = configured()
    for number in range(300):
        source = b"\xfe\x80" + bytes(12) + number.to_bytes(2, "big")
        advertise(stack, net.now, prefix(f"2001:db8:{number:x}::/64"), source=source)
    net.run(3)
    assert len(autoconf.routers()) <= 8
    assert len(stack.interfaces[2].addresses) <= 17
    assert len(stack.routes.entries()) < 100


def test_preferred_routers_and_routes():
    net, stack, autoconf = configured()
    better = address("fe80::fe")
    special = Prefix.parse("2001:db8:5::/48")
    advertise(stack, net.now)
    advertise(stack, net.now, nd.RouteInformation(special, 0, 600), source=better, preference=1)
    assert autoconf.routers() == [better, ROUTER]
    advertise(stack, net.now, source=better, preference=-1)
    assert autoconf.routers() == [ROUTER, better]
    net.run(3)
    assert stack.hop(address("2001:db8:5::1")).next_hop == better
    assert stack.hop(address("2001:db8:6::1")).next_hop == ROUTER


def test_a_silent_router_comes_last():
    net, stack, autoconf = configured()
    second = address("fe80::fe")
    advertise(stack, net.now, prefix())
    advertise(stack, net.now, source=second, preference=-1)
    net.run(3)
    stack.udp_endpoint(6).send_to(b"x", Name(address("2001:db8:9::1"), 1))
    net.run(5)
    assert autoconf.routers() == [second, ROUTER]


def test_redirect():
    net, stack, _ = configured()
    advertise(stack, net.now, nd.LinkAddress(1, link(99)), prefix())
    net.run(3)
    far, better = address("2001:db8:9::1"), address("fe80::fe")
    own = of_prefix(stack)[0].address

    def redirect(source, target):
        message = nd.build(nd.Redirect(target, far, (nd.LinkAddress(2, link(98)),)))
        packet = ip.IpPacket(source, own, 58, icmp.build(message, source, own), 255)
        stack.receive(ethernet.build_frame(Frame(link(1), link(99), 0x86DD, ip.build(packet))), net.now, 2)

    redirect(address("fe80::bad"), better)
    assert stack.hop(far).next_hop == ROUTER
    redirect(ROUTER, address("2001:db8::5"))
    assert stack.hop(far).next_hop == ROUTER
    redirect(ROUTER, better)
    assert stack.hop(far).next_hop == better
    assert port(stack).neighbours.get(better).link == link(98)
    net.run(601)
    assert stack.hop(far).next_hop == ROUTER


def test_another_identifier_when_the_address_is_taken():
    net = Network()
    stack = station(net, 1)
    net.wire((stack, 2))
    Autoconfiguration(stack, port(stack)).start()
    (first,) = stack.interfaces[2].addresses
    for _ in range(3):
        net.run(0.5)
    taken = first.address
    answer = nd.build(nd.NeighborAdvertisement(taken, options=(nd.LinkAddress(2, link(66)),)))
    everyone = address("ff02::1")
    packet = ip.build(ip.IpPacket(taken, everyone, 58, icmp.build(answer, taken, everyone), 255))
    stack.receive(ethernet.build_frame(Frame(b"\x33\x33\x00\x00\x00\x01", link(66), 0x86DD, packet)), net.now, 2)
    net.run(5)
    (second,) = stack.interfaces[2].addresses
    assert second.address != taken
    assert is_link_local(second.address)
    assert second.state is AddressState.PREFERRED


def test_our_own_probe_looped_back_is_no_duplicate():
    net = Network()
    stack = station(net, 1, "fd00::1/64")
    net.wire((stack, 2))
    port(stack).add_address(address("fd00::50"), 64)
    net.run(1.0)
    net.settle()
    probes = [raw for _, _, raw in net.seen if ethernet.parse_frame(raw).destination[:2] == b"\x33\x33"]
    if not probes:
        net.run(0.1)
        probes = [raw for _, _, raw in net.seen]
    frame = ethernet.parse_frame(probes[0])
    stack.receive(ethernet.build_frame(frame._replace(source=link(66))), net.now, 2)
    net.run(3)
    assert stack.is_local(address("fd00::50"))
    assert ip.parse(frame.payload).destination == solicited_node(address("fd00::50"))


# DHCP.


class Server:
    """A DHCP server made of a stack's UDP endpoint, with what a test wants to go wrong."""

    def __init__(self, net, lease=3600):
        self.net = net
        self.stack = station(net, 2, "10.0.0.2/24")
        self.endpoint = self.stack.udp_endpoint(4)
        self.endpoint.set_option("SO_BROADCAST", 1)
        self.endpoint.bind(Name(ANY4, dhcp.SERVER_PORT))
        self.lease = lease
        self.offered = address("10.0.0.100")
        self.seen = []
        self.silent = False
        self.refuse = False
        self.routes = b""
        self.endpoint.on_ready = self.wake

    def wake(self):
        self.stack.timers.call_at(self.stack.now, self.serve)

    def serve(self):
        while (datagram := self.endpoint.receive_from()) is not None:
            message = dhcp.parse(datagram.data)
            self.seen.append(message)
            if self.silent or message.type not in (dhcp.DISCOVER, dhcp.REQUEST):
                continue
            kind = dhcp.OFFER if message.type == dhcp.DISCOVER else dhcp.NAK if self.refuse else dhcp.ACK
            options = {
                Option.SERVER_IDENTIFIER: address("10.0.0.2"),
                Option.LEASE_TIME: self.lease.to_bytes(4, "big"),
                Option.SUBNET_MASK: address("255.255.255.0"),
                Option.ROUTERS: address("10.0.0.254"),
                Option.DNS_SERVERS: address("10.0.0.53"),
            }
            if self.routes:
                options[Option.CLASSLESS_ROUTES] = self.routes
            reply = DhcpMessage(
                kind, message.transaction, message.client_link, True, yours=self.offered, options=options
            )
            target = BROADCAST if message.broadcast else message.client
            self.endpoint.send_to(dhcp.build(reply), Name(target, dhcp.CLIENT_PORT))

    def types(self):
        found = [message.type for message in self.seen]
        self.seen.clear()
        return found


def client_and_server(**options):
    net = Network()
    stack = station(net, 1)
    server = Server(net, **options)
    net.wire((stack, 2), (server.stack, 2))
    client = DhcpClient(stack, port(stack), "alice")
    client.start()
    return net, stack, server, client


def test_dhcp_gives_an_address_routes_and_servers():
    net, stack, server, client = client_and_server()
    net.run(10)
    assert server.types() == [dhcp.DISCOVER, dhcp.REQUEST]
    assert client.state is DhcpState.BOUND
    assert stack.is_local(address("10.0.0.100"))
    route = stack.route(address("192.0.2.1"))
    assert (route.next_hop, route.source) == (address("10.0.0.254"), address("10.0.0.100"))
    event = stack.next_event()
    assert isinstance(event, LeaseChange)
    assert event.lease.dns_servers == (address("10.0.0.53"),)
    client.stop()
    net.settle()
    net.run(1)
    assert server.types() == [dhcp.RELEASE]
    assert not stack.is_local(address("10.0.0.100"))


def test_dhcp_prefers_classless_routes():
    net, stack, server, _ = client_and_server()
    server.routes = dhcp.build_routes([(Prefix.parse("172.16.0.0/12"), address("10.0.0.253"))])
    net.run(10)
    assert stack.route(address("172.16.1.1")).next_hop == address("10.0.0.253")
    with pytest.raises(Exception, match="unreachable"):
        stack.route(address("192.0.2.1"))


def test_dhcp_renews_then_rebinds_then_begins_anew():
    net, stack, server, client = client_and_server(lease=1000)
    net.run(10)
    server.types()
    net.run(600)
    assert server.types() == [dhcp.REQUEST]
    assert client.state is DhcpState.BOUND
    server.silent = True
    net.run(600)
    assert client.state is DhcpState.RENEWING
    renewals = server.seen[:]
    assert renewals
    assert all(message.client == address("10.0.0.100") for message in renewals)
    net.run(200)
    assert client.state is DhcpState.REBINDING
    net.run(300)
    assert client.state is DhcpState.SELECTING
    assert not stack.is_local(address("10.0.0.100"))
    server.silent = False
    net.run(100)
    assert client.state is DhcpState.BOUND


def test_dhcp_asks_again_ever_more_rarely():
    net, _, server, client = client_and_server()
    server.silent = True
    net.run(300)
    assert client.state is DhcpState.SELECTING
    assert 6 <= len(server.types()) <= 9


def test_dhcp_refused_begins_anew():
    net, stack, server, client = client_and_server()
    server.refuse = True
    net.run(60)
    assert client.lease is None
    assert 4 <= server.types().count(dhcp.REQUEST) <= 8
    server.refuse = False
    net.run(100)
    assert client.state is DhcpState.BOUND
    assert stack.is_local(address("10.0.0.100"))


def test_dhcp_declines_an_address_that_somebody_has():
    net, stack, server, client = client_and_server()
    server.offered = address("10.0.0.2")
    net.run(8)
    assert dhcp.DECLINE in server.types()
    assert not stack.is_local(address("10.0.0.2"))
    server.offered = address("10.0.0.101")
    net.run(30)
    assert client.state is DhcpState.BOUND
    assert stack.is_local(address("10.0.0.101"))


def test_dhcp_ignores_strangers():
    net, stack, server, client = client_and_server()
    server.silent = True
    net.run(2)
    reply = DhcpMessage(dhcp.OFFER, 12345, link(1), True, yours=address("10.0.0.9"))
    data = udp.build(udp.UdpDatagram(67, 68, dhcp.build(reply)), address("10.0.0.66"), BROADCAST)
    packet = ip.build(ip.IpPacket(address("10.0.0.66"), BROADCAST, 17, data))
    stack.receive(ethernet.build_frame(Frame(ethernet.BROADCAST, link(66), 0x0800, packet)), net.now, 2)
    net.run(1)
    assert client.state is DhcpState.SELECTING


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
