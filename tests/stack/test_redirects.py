"""Redirects: a router tells a neighbour of the better first hop, and the neighbour goes that way for a while."""

import pytest

from catenet.stack.endpoint import Name
from catenet.wire import ethernet, icmp, ip, nd
from catenet.wire.address import Prefix, parse_interface

from .lan import both, link, station
from .net import Network, address

# Host, router, better router, and a host beyond the better one; link-local addresses of the routers.
TEXTS = {
    4: ("10.0.0.1/24", "10.0.0.254/24", "10.0.0.253/24", "10.9.9.9", "10.0.0.254", "10.0.0.253"),
    6: ("fd00::1/64", "fd00::fe/64", "fd00::fd/64", "fd09::9", "fe80::fe", "fe80::fd"),
}
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


class Lan:
    def __init__(self, version, **settings):
        self.net = net = Network()
        host, router, better, far, gateway, second = TEXTS[version]
        self.version = version
        self.far, self.gateway, self.second = map(address, (far, gateway, second))
        local = {4: (), 6: ("fe80::1/64",)}[version]
        self.host = station(net, 1, host, *local, **settings)
        self.router = station(net, 2, router, *([f"{gateway}/64"] if version == 6 else []), ip_forward=1)
        self.better = station(net, 3, better, *([f"{second}/64"] if version == 6 else []), ip_forward=1)
        net.wire((self.host, 2), (self.router, 2), (self.better, 2))
        self.host.add_route(Prefix.parse(DEFAULT[version]), 2, self.gateway)
        self.router.add_route(Prefix(self.far, len(self.far) * 8), 2, self.second)
        self.better.add_interface(addresses=(parse_interface(f"{far}/{24 if version == 4 else 64}"),))
        self.endpoint = self.host.udp_endpoint(version)
        self.listener = self.better.udp_endpoint(version)
        self.listener.bind(Name(self.far, 9))

    def talk(self):
        self.endpoint.send_to(b"hello", Name(self.far, 9))
        self.net.run(0.1)

    def redirects(self, stack):
        """Redirects that a stack has sent, as (IP packet, message)."""
        found = []
        for sender, interface, raw in self.net.seen:
            if sender is not stack or interface != 2:
                continue
            frame = ethernet.parse_frame(raw)
            if frame.ethertype != ethernet.ARP:
                packet = ip.parse(frame.payload)
                if packet.protocol == icmp.PROTOCOLS[self.version] and packet.payload[0] in (5, 137):
                    found.append((packet, icmp.parse(packet.payload, packet.source, packet.destination)))
        return found


@both
def test_a_host_adopts_a_redirect(version):
    lan = Lan(version)
    lan.talk()
    assert lan.listener.receive_from().data == b"hello"  # the packet that was redirected got there all the same
    assert len(lan.redirects(lan.router)) == 1
    assert lan.host.output.hop(lan.far).next_hop == lan.second
    forwarded = lan.router.counters[version].ip.ForwDatagrams
    lan.talk()
    assert lan.listener.receive_from().data == b"hello"
    assert lan.router.counters[version].ip.ForwDatagrams == forwarded
    assert lan.host.counters[version].icmp.InRedirects == lan.router.counters[version].icmp.OutRedirects == 1
    lan.net.run(601)
    assert lan.host.output.hop(lan.far).next_hop == lan.gateway
    assert len(lan.host.icmp.redirects) == 0


def test_what_the_message_for_ipv6_says():
    lan = Lan(6)
    lan.talk()
    lan.talk()
    ((packet, message),) = lan.redirects(lan.router)
    read = nd.parse(message)
    assert (packet.source, packet.hop_limit) == (lan.gateway, 255)
    assert (read.target, read.destination) == (lan.second, lan.far)
    (quoted,) = [option for option in read.options if isinstance(option, nd.RedirectedHeader)]
    assert ip.parse(quoted.packet, quoted=True).destination == lan.far


@both
def test_settings_of_both_sides(version):
    lan = Lan(version, accept_redirects=0)
    lan.talk()
    assert lan.redirects(lan.router)
    assert lan.host.output.hop(lan.far).next_hop == lan.gateway
    lan = Lan(version)
    lan.router.settings.send_redirects = 0
    lan.talk()
    assert not lan.redirects(lan.router)
    lan = Lan(version, ip_forward=1)  # a router has its routes from elsewhere
    lan.talk()
    assert lan.host.output.hop(lan.far).next_hop == lan.gateway


@both
def test_redirects_sent_are_limited_in_number(version):
    lan = Lan(version, accept_redirects=0)
    for _ in range(100):
        lan.talk()
    assert 5 < len(lan.redirects(lan.router)) < 20


@both
def test_no_redirect_when_the_packet_leaves_by_another_interface(version):
    lan = Lan(version)
    elsewhere = parse_interface("10.7.0.1/24" if version == 4 else "fd07::1/64")
    index = lan.router.add_interface(addresses=(elsewhere,)).index
    lan.router.add_route(Prefix.parse("10.8.0.0/16" if version == 4 else "fd08::/64"), index)
    lan.endpoint.send_to(b"hello", Name(address("10.8.0.1" if version == 4 else "fd08::1"), 9))
    lan.net.run(0.1)
    assert lan.router.counters[version].ip.ForwDatagrams == 1
    assert not lan.redirects(lan.router)


def forged(lan, source, target, destination, quoted_source):
    """A redirect as an attacker on the link makes it."""
    own = next(e.address for e in lan.host.interfaces[2].addresses)
    if lan.version == 4:
        inner = ip.build(ip.IpPacket(quoted_source, destination, 17, bytes(8)))
        body, hop_limit = icmp.Other(5, 1, target + inner), 64
    else:
        body, hop_limit = nd.build(nd.Redirect(target, destination, ())), 255
    data = icmp.build(body, source, own)
    packet = ip.build(ip.IpPacket(source, own, icmp.PROTOCOLS[lan.version], data, hop_limit))
    frame = ethernet.Frame(link(1), link(66), ethernet.ETHERTYPES[lan.version], packet)
    lan.host.receive(ethernet.build_frame(frame), lan.net.now, 2)


@both
@pytest.mark.parametrize("lie", ["sender", "target", "own target", "own destination", "group", "quoted"])
def test_lies_are_not_believed(version, lie):
    lan = Lan(version)
    own = next(e.address for e in lan.host.interfaces[2].addresses)
    source, target, destination, quoted = lan.gateway, lan.second, lan.far, own
    if lie == "sender":
        source = address("10.0.0.66" if version == 4 else "fe80::66")
    elif lie == "target":
        target = address("10.6.6.6" if version == 4 else "fd06::6")
    elif lie == "own target":
        target = own
    elif lie == "own destination":
        destination = own
    elif lie == "group":
        destination = address("239.1.1.1" if version == 4 else "ff05::1")
    elif version == 4:
        quoted = address("10.0.0.66")
    else:
        source = address("fd00::fe")  # not link-local
    forged(lan, source, target, destination, quoted)
    assert len(lan.host.icmp.redirects) == 0
    if lie == "quoted":
        forged(lan, lan.gateway, lan.second, lan.far, own)
        assert len(lan.host.icmp.redirects) == 1


@both
def test_many_redirects_do_not_fill_memory(version):
    lan = Lan(version)
    own = next(e.address for e in lan.host.interfaces[2].addresses)
    prefix = Prefix.parse("20.0.0.0/8" if version == 4 else "2001:db8::/32")
    for number in range(1, 1000):
        forged(lan, lan.gateway, lan.second, prefix.host(number), own)
    assert len(lan.host.icmp.redirects) == 256
    assert len(lan.host.routes.entries()) < 300
    assert lan.host.output.hop(prefix.host(1)).next_hop == lan.gateway
    assert lan.host.output.hop(prefix.host(999)).next_hop == lan.second


@both
def test_a_better_router_that_dies_is_left(version):
    lan = Lan(version)
    lan.talk()
    assert lan.host.output.hop(lan.far).next_hop == lan.second
    lan.router.settings.send_redirects = 0
    lan.net.wires[lan.router, 2] = [(lan.host, 2)]
    lan.net.wires[lan.host, 2] = [(lan.router, 2)]
    lan.net.wires[lan.better, 2] = []
    for _ in range(400):
        lan.talk()
    assert lan.host.output.hop(lan.far).next_hop == lan.gateway
