"""Stateless autoconfiguration: addresses, routers, and what else they say."""

from catenet.stack.endpoint import Name
from catenet.stack.ethernet.autoconf import Autoconfiguration
from catenet.stack.ethernet.name_servers import NameServers
from catenet.stack.interface import AddressState
from catenet.wire import ethernet, icmp, ip, nd
from catenet.wire.address import Prefix, is_link_local, parse_address, solicited_node
from catenet.wire.ethernet import Frame

from .lan import frames, link, port, station
from .net import Network, address

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
    route = stack.output.route(far)
    assert (route.next_hop, route.source) == (ROUTER, made.address)
    assert stack.output.route(address("2001:db8::77")).next_hop == address("2001:db8::77")
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
    assert stack.address_table.is_local(made.address)
    net.run(20)
    assert autoconf.routers() == []
    net.run(30)
    assert of_prefix(stack) == []
    assert not stack.address_table.is_local(made.address)


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
    assert stack.output.hop(address("2001:db8:5::1")).next_hop == better
    assert stack.output.hop(address("2001:db8:6::1")).next_hop == ROUTER


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
    assert stack.output.hop(far).next_hop == ROUTER
    redirect(ROUTER, address("2001:db8::5"))
    assert stack.output.hop(far).next_hop == ROUTER
    redirect(ROUTER, better)
    assert stack.output.hop(far).next_hop == better
    assert port(stack).neighbours.get(better).link == link(98)
    net.run(601)
    assert stack.output.hop(far).next_hop == ROUTER


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
    assert stack.address_table.is_local(address("fd00::50"))
    assert ip.parse(frame.payload).destination == solicited_node(address("fd00::50"))


def told(stack):
    """The last event about name servers; None without one."""
    found = None
    while (event := stack.next_event()) is not None:
        found = event if isinstance(event, NameServers) else found
    return found


def test_name_servers_and_domains_are_known_as_long_as_routers_say():
    net, stack, _ = configured()
    one, two = address("2001:db8::53"), address("2001:db8::54")
    first, second = b"\5first\0", b"\6second\7example\0"
    advertise(stack, net.now, nd.DnsServers(60, (one,)), nd.DnsSearch(600, (first, second)))
    assert told(stack) == NameServers(2, (one,), (first, second))
    advertise(stack, net.now, nd.DnsServers(60, (one,)), nd.DnsSearch(600, (first, second)))
    assert told(stack) is None, "nothing has changed"
    advertise(stack, net.now, nd.DnsServers(0xFFFFFFFF, (two,)), nd.DnsSearch(0, (first,)))
    assert told(stack) == NameServers(2, (one, two), (second,))
    net.run(61)
    assert told(stack) == NameServers(2, (two,), (second,))
    net.run(600)
    assert told(stack) == NameServers(2, (two,), ())
    net.run(100_000)
    assert told(stack) is None


def test_a_router_can_fill_no_memory_with_name_servers():
    net, stack, autoconf = configured()
    nobody = nd.DnsServers(60, (address("ff02::1"), address("::")))
    advertise(stack, net.now, nobody)
    assert told(stack) is None
    for start in range(0, 300, 30):
        addresses = tuple(address(f"2001:db8::{number}") for number in range(start, start + 30))
        domains = tuple(b"\3%03d\0" % number for number in range(start, start + 30))
        advertise(stack, net.now, nd.DnsServers(60, addresses), nd.DnsSearch(60, domains))
    assert (len(autoconf.names.servers), len(autoconf.names.search)) == (8, 8)


def test_a_driver_is_told_of_events():
    net, stack, _ = configured()
    calls = []
    stack.on_event = lambda: calls.append(told(stack))
    advertise(stack, net.now, nd.DnsServers(60, (address("2001:db8::53"),)))
    assert calls == [NameServers(2, (address("2001:db8::53"),), ())]
