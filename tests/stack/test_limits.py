"""Every queue that strangers can fill, attacked: three times the packets need no more memory than one time."""

import gc
import random
import sys
import types
from collections import deque

import pytest

from catenet.stack.endpoint import ANY4, ANY6, Name
from catenet.stack.group.querier import Querier
from catenet.stack.tcp.control import states
from catenet.wire import ethernet, icmp, ip, multicast, nd, tcp, udp
from catenet.wire.address import Prefix, parse_interface
from catenet.wire.icmp import Problem

from .lan import link, station
from .net import Network, address, pair

pytestmark = pytest.mark.slow(60)

ANY = {4: ANY4, 6: ANY6}
HERE = {4: "10.0.0.2/24", 6: "fd00::2/64"}
EVERYWHERE = {4: Prefix.parse("20.0.0.0/8"), 6: Prefix.parse("2001:db8::/32")}
ON_LINK = {4: Prefix.parse("10.0.0.0/16"), 6: Prefix.parse("fd00::/64")}
VERSIONS = pytest.mark.parametrize("version", [4, 6])


class Victim:
    """A host with an address, a default route, and `receive` for what strangers send it."""

    def __init__(self, version, ethernet_too=False, **settings):
        self.version = version
        self.net = Network()
        if ethernet_too:
            wide = "10.0.0.2/16" if version == 4 else "fd00::2/64"
            self.stack = station(self.net, 2, wide, **settings)
        else:
            self.stack = self.net.host(HERE[version], **settings)
            self.stack.add_route(Prefix(ANY[version], 0), 2)
        self.here = parse_interface(HERE[version])[0]
        self.net.wire((self.stack, 2))

    def packet(self, source, protocol, payload, **fields):
        self.stack.receive(ip.build(ip.IpPacket(source, self.here, protocol, payload, **fields)), self.net.now, 2)

    def segment(self, source, *fields):
        segment = tcp.TcpSegment(*fields)
        self.packet(source, tcp.PROTOCOL, tcp.build(segment, source, self.here))

    def frame(self, source_link, ethertype, payload, destination=None):
        frame = ethernet.Frame(destination or link(2), source_link, ethertype, payload)
        self.stack.receive(ethernet.build_frame(frame), self.net.now, 2)

    def settle(self):
        """Let the host answer, and forget the answers."""
        self.stack.transmit(self.net.now)

    def stranger(self, number):
        return EVERYWHERE[self.version].host(number + 1)


class Connected(Victim):
    """With a connection from a stranger, whose next sequence number is `next`."""

    def __init__(self, version, **settings):
        super().__init__(version, **settings)
        self.server = self.stack.tcp_endpoint(version)
        self.server.bind(Name(ANY[version], 80))
        self.server.listen(16)
        self.peer = self.stranger(0)
        self.next = 1000
        self.connection = self.handshake(1234)
        self.accepted = self.server.accept()

    def handshake(self, port):
        options = tcp.TcpOptions(mss=1400, window_scale=7, sack_permitted=True)
        self.segment(self.peer, port, 80, self.next - 1, 0, tcp.SYN, 65535, 0, options)
        key = self.stack.tcp.key(self.peer, self.here, port, 80)
        request = self.stack.tcp.connections[key]
        self.segment(self.peer, port, 80, self.next, request.iss + 1, tcp.ACK, 65535)
        self.settle()
        return self.stack.tcp.connections[key]

    def data(self, offset, data, flags=tcp.ACK):
        c = self.connection
        self.segment(
            self.peer, 1234, 80, self.next + offset, c.snd_una & 0xFFFFFFFF, flags, 65535, 0, tcp.TcpOptions(), data
        )


def fragments_of_many(version):
    """Middles of packets that never become whole."""
    victim = Victim(version, ipfrag_high_thresh=256 << 10)
    more = {"fragment_offset": 8, "more_fragments": True}

    def attack(number):
        victim.packet(victim.stranger(number), 17, bytes(8), identification=number & 0xFFFF or 1, **more)

    return victim, attack, 1000, lambda: len(victim.stack.reassembler)


def fragments_of_one(version):
    """One packet in pieces of eight bytes, as many as fit, again and again."""
    victim = Victim(version, ipfrag_high_thresh=256 << 10)

    def attack(number):
        offset = 8 + number % 8000 * 16
        victim.packet(
            victim.stranger(number // 8000), 17, bytes(8), identification=1, fragment_offset=offset & 0xFFF8,
            more_fragments=True,
        )  # fmt: skip

    return victim, attack, 3000, lambda: victim.stack.reassembler.size


def half_open(cookies):
    def prepare(version):
        victim = Connected(version, tcp_syncookies=cookies, tcp_max_syn_backlog=64)

        def attack(number):
            source = victim.stranger(number % 300)
            options = tcp.TcpOptions(mss=1400, timestamps=(number, 0), sack_permitted=True, window_scale=7)
            victim.segment(source, 1 + number % 60000, 80, number, 0, tcp.SYN, 65535, 0, options)

        return victim, attack, 600, lambda: len(victim.stack.tcp.connections)

    return prepare


def never_accepted(version):
    """Handshakes that are complete, for a program that does not accept."""
    victim = Connected(version, tcp_syncookies=1)

    def attack(number):
        port = 2000 + number
        victim.segment(victim.peer, port, 80, 999, 0, tcp.SYN, 65535, 0, tcp.TcpOptions(mss=1400))
        request = victim.stack.tcp.connections.get(victim.stack.tcp.key(victim.peer, victim.here, port, 80))
        if request is not None:
            victim.segment(victim.peer, port, 80, 1000, request.iss + 1, tcp.ACK, 65535)

    return victim, attack, 1000, lambda: len(victim.stack.tcp.connections)


def fast_opens(version):
    """SYNs with data and good cookies, never acknowledged."""
    victim = Connected(version, tcp_fastopen=2 | 0x200)
    victim.server.set_option("TCP_FASTOPEN", 10)

    def attack(number):
        options = tcp.TcpOptions(mss=1400)
        victim.segment(victim.peer, 2000 + number, 80, 999, 0, tcp.SYN, 65535, 0, options, bytes(500))
        while (accepted := victim.server.accept()) is not None:
            accepted.close()

    return victim, attack, 600, lambda: len(victim.stack.tcp.connections)


def ranges_out_of_order(version):
    """Every other byte of the window."""
    victim = Connected(version, tcp_rmem=(4096, 32768, 32768))
    window = victim.connection.rcv_wnd

    def attack(number):
        victim.data(1 + 2 * number % (window - 2), b"x")

    return victim, attack, 4500, lambda: len(victim.connection.reassembly.ranges)


def bytes_after_a_gap(version):
    """The whole window but its first byte, in segments of one byte."""
    victim = Connected(version, tcp_rmem=(4096, 8192, 8192))

    def attack(number):
        victim.data(1 + number % 3900, b"x")

    return victim, attack, 4000, lambda: victim.connection.reassembly.size


def bytes_unread(version):
    """The whole window in segments of one byte, to a program that does not read; then the same again."""
    victim = Connected(version, tcp_rmem=(4096, 8192, 8192))

    def attack(number):
        victim.data(number, b"x")

    return victim, attack, 4500, lambda: victim.accepted.unread()


def neighbours(version):
    """Strangers on the link ask for us."""
    victim = Victim(version, ethernet_too=True)

    def attack(number):
        who = ON_LINK[version].host(number % 50_000 + 100)
        station_link = b"\x02" + number.to_bytes(5, "big")
        if version == 4:
            body = ethernet.build_arp(ethernet.ArpPacket(1, station_link, who, bytes(6), victim.here))
            victim.frame(station_link, ethernet.ARP, body)
            return
        message = nd.build(nd.NeighborSolicitation(victim.here, (nd.LinkAddress(1, station_link),)))
        packet = ip.IpPacket(who, victim.here, 58, icmp.build(message, who, victim.here), 255)
        victim.frame(station_link, 0x86DD, ip.build(packet))

    return victim, attack, 1500, lambda: len(victim.stack.interfaces[2].ethernet.neighbours)


def unresolved(version):
    """Pings from addresses on the link that nobody has: answers wait for neighbours that do not exist."""
    victim = Victim(version, ethernet_too=True)

    def attack(number):
        who = ON_LINK[version].host(number % 50_000 + 100)
        body = icmp.build(icmp.Echo(False, 1, number & 0xFFFF, bytes(1000)), who, victim.here)
        packet = ip.IpPacket(who, victim.here, icmp.PROTOCOLS[version], body)
        victim.frame(link(66), ethernet.ETHERTYPES[version], ip.build(packet))

    return victim, attack, 1500, lambda: len(victim.stack.interfaces[2].ethernet.neighbours)


def conflicts(version):
    """Somebody claims our address all the time."""
    victim = Victim(version, ethernet_too=True)

    def attack(number):
        station_link = b"\x02" + number.to_bytes(5, "big")
        if version == 4:
            body = ethernet.build_arp(ethernet.ArpPacket(1, station_link, victim.here, bytes(6), victim.here))
            victim.frame(station_link, ethernet.ARP, body)
            return
        message = nd.build(nd.NeighborAdvertisement(victim.here, options=(nd.LinkAddress(2, station_link),)))
        everyone = address("ff02::1")
        packet = ip.IpPacket(victim.here, everyone, 58, icmp.build(message, victim.here, everyone), 255)
        victim.frame(station_link, 0x86DD, ip.build(packet), b"\x33\x33\x00\x00\x00\x01")

    return victim, attack, 1500, lambda: len(victim.stack._events)


def path_mtus(version):
    """Routers that know a narrow link on the way to everywhere we talk to."""
    victim = Victim(version)
    endpoint = victim.stack.udp_endpoint(version)
    endpoint.bind(Name(ANY[version], 53))

    def attack(number):
        far = victim.stranger(number)
        inner = ip.IpPacket(victim.here, far, 17, udp.build(udp.UdpDatagram(53, 53, bytes(1400)), victim.here, far))
        quoted = ip.build(inner)[:500]
        body = icmp.build(icmp.ErrorMessage(Problem.PACKET_TOO_BIG, quoted, 1300), far, victim.here)
        victim.packet(far, icmp.PROTOCOLS[version], body)

    return victim, attack, 4500, lambda: len(victim.stack.path_mtus)


def datagrams_unread(version):
    """Datagrams without data."""
    victim = Victim(version)
    endpoint = victim.stack.udp_endpoint(version)
    endpoint.bind(Name(ANY[version], 53))

    def attack(number):
        source = victim.stranger(number % 3000)
        victim.packet(source, 17, udp.build(udp.UdpDatagram(9, 53, b""), source, victim.here))

    return victim, attack, 3000, lambda: len(endpoint._queue)


def replies_unread(version):
    """Echo replies that nobody asked for."""
    victim = Victim(version)
    endpoint = victim.stack.echo_endpoint(version)
    endpoint.bind(Name(ANY[version], 7))

    def attack(number):
        source = victim.stranger(number % 3000)
        body = icmp.build(icmp.Echo(True, 7, number & 0xFFFF, b""), source, victim.here)
        victim.packet(source, icmp.PROTOCOLS[version], body)

    return victim, attack, 3000, lambda: len(endpoint._queue)


def errors_unread(version):
    """Errors for a socket that wants them and does not look."""
    victim = Victim(version)
    endpoint = victim.stack.udp_endpoint(version)
    endpoint.bind(Name(ANY[version], 53))
    endpoint.set_option("IP_RECVERR" if version == 4 else "IPV6_RECVERR", 1)

    def attack(number):
        far = victim.stranger(number)
        inner = ip.IpPacket(victim.here, far, 17, udp.build(udp.UdpDatagram(53, 53, bytes(400)), victim.here, far))
        body = icmp.build(icmp.ErrorMessage(Problem.PORT_UNREACHABLE, ip.build(inner)), far, victim.here)
        victim.packet(far, icmp.PROTOCOLS[version], body)

    return victim, attack, 1000, lambda: len(endpoint._errors)


def closed_ports(version):
    """Datagrams from everywhere to ports that are closed: answers, limiters, routes."""
    victim = Victim(version)

    def attack(number):
        source = victim.stranger(number)
        victim.packet(source, 17, udp.build(udp.UdpDatagram(9, 9, b"?"), source, victim.here))

    return victim, attack, 4500, lambda: len(victim.stack.output._hops)


def queries(version):
    """A querier that asks for groups and sources without end."""
    victim = Victim(version)
    endpoint = victim.stack.udp_endpoint(version)
    group = address("239.1.1.1" if version == 4 else "ff05::5")
    endpoint.join(group, 2)
    victim.settle()

    def attack(number):
        sources = tuple(victim.stranger(number * 50 + each) for each in range(50))
        source = address("10.0.0.9" if version == 4 else "fe80::9")
        query = multicast.Query(group, 10.0, sources=sources)
        body = multicast.build_igmp(query) if version == 4 else icmp.build(multicast.build_mld(query), source, group)
        options = {"options": b"\x94\x04\0\0"} if version == 4 else {"extensions": ((0, b"\x05\x02\0\0\1\0"),)}
        packet = ip.IpPacket(source, group, 2 if version == 4 else 58, body, 1, **options)
        victim.stack.receive(ip.build(packet), victim.net.now, 2)

    return victim, attack, 500, lambda: len(victim.stack.timers._heap)


def time_waits(version):
    """Connections that we close first."""
    victim = Connected(version, tcp_max_tw_buckets=50)
    _, one, other, _, b = pair(version, tcp_max_tw_buckets=50)
    net = Network()
    net.stacks = [one, other]
    net.wire((one, 2), (other, 2))
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(10)

    def attack(number):
        client = one.tcp_endpoint(version)
        client.connect(Name(b, 80))
        net.run(0.001)
        server.accept().close()
        net.run(0.001)
        client.close()
        net.run(0.001)
        net.seen.clear()

    victim.stack = other
    return victim, attack, 120, lambda: other.tcp.time_waits


def orphans(version):
    """Connections that our program closes and whose peers never acknowledge the end."""
    victim = Connected(version, tcp_max_orphans=50)

    def attack(number):
        victim.handshake(2000 + number)
        victim.server.accept().close()
        victim.settle()

    return victim, attack, 300, lambda: len(victim.stack.tcp.connections)


ATTACKS = {
    "fragments of many": (fragments_of_many, 250),
    "fragments of one": (fragments_of_one, 260 << 10),
    "half open, cookies": (half_open(1), 20),
    "half open, no cookies": (half_open(0), 70),
    "never accepted": (never_accepted, 40),
    "fast opens": (fast_opens, 30),
    "ranges out of order": (ranges_out_of_order, 4096),
    "bytes after a gap": (bytes_after_a_gap, 17_000),
    "bytes unread": (bytes_unread, 33_000),
    "neighbours": (neighbours, 1024),
    "unresolved": (unresolved, 1024),
    "conflicts": (conflicts, 1024),
    "path mtus": (path_mtus, 4096),
    "datagrams unread": (datagrams_unread, 300),
    "replies unread": (replies_unread, 300),
    "errors unread": (errors_unread, 300),
    "closed ports": (closed_ports, 4096),
    "queries": (queries, 2000),
    "time waits": (time_waits, 50),
    "orphans": (orphans, 60),
}
_MOST_MEMORY = 12 << 20
_CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


@VERSIONS
@pytest.mark.parametrize("name", ATTACKS)
def test_three_times_the_packets_need_no_more_memory(version, name):
    prepare, limit = ATTACKS[name]
    victim, attack, rounds, size = prepare(version)
    held, blocks = [], []
    gc.collect()
    before = sys.getallocatedblocks()
    for end in (rounds, 2 * rounds, 3 * rounds):
        for number in range(end - rounds, end):
            attack(number)
            if number % 50 == 0:
                victim.settle()
        victim.settle()
        victim.stack.tcp.timers._compact()  # what is swept now and then shall not blur the figures
        gc.collect()
        blocks.append(sys.getallocatedblocks() - before)
        held.append(held_by(victim))
    assert 0 < size() <= limit
    assert held[2] < max(1.3 * held[1], held[1] + 100_000), held
    assert blocks[2] < max(1.3 * blocks[1], blocks[1] + 1500), f"kept by others: {blocks}"
    assert held[2] < _MOST_MEMORY


def held_by(root):
    """Bytes of all objects that are reached from one, without code.

    Not tracemalloc, which makes each packet cost five times as much.
    """
    seen, waiting, total = set(), [root], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _CODE):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


def test_what_is_held_is_counted():
    """Each kind of buffer that a queue may have."""
    victim = Victim(4)
    before = held_by(victim)
    for extra in (bytes(50_000), [bytes(100)] * 6000, memoryview(bytearray(60_000)), deque(range(1000, 8000))):
        victim.extra = extra
        assert held_by(victim) - before > 45_000, type(extra)


@VERSIONS
def test_a_querier_remembers_a_bounded_number_of_groups(version):
    victim = Victim(version)
    querier = Querier(victim.stack, 2)
    prefix = Prefix.parse("239.0.0.0/8" if version == 4 else "ff05::/64")
    packet = ip.IpPacket(address("10.0.0.9" if version == 4 else "fe80::9"), victim.here, 2, b"")
    for number in range(1, 9000):
        querier.receive(multicast.Membership(prefix.host(number)), packet, victim.net.now, 2)
    assert len(querier.listeners(victim.net.now)) == 4096
    victim.net.run(1000)
    assert querier.listeners(victim.net.now) == []


@VERSIONS
def test_legitimate_clients_get_in_during_a_flood(version):
    """SYN cookies keep no state, so a full queue of half-open connections shuts nobody out (RFC 4987 3.6)."""
    net, one, other, a, b = pair(version)
    server = other.tcp_endpoint(version)
    server.bind(Name(b, 80))
    server.listen(16)
    other.add_route(Prefix(ANY[version], 0), 2)
    rng = random.Random(1)
    for number in range(60):
        for _ in range(50):
            source = EVERYWHERE[version].host(rng.randrange(1, 1 << 20))
            syn = tcp.TcpSegment(rng.randrange(1, 65536), 80, rng.getrandbits(32), flags=tcp.SYN)
            other.receive(ip.build(ip.IpPacket(source, b, 6, tcp.build(syn, source, b))), net.now)
        client = one.tcp_endpoint(version)
        client.connect(Name(b, 80))
        net.run(0.01)
        accepted = server.accept()
        assert accepted is not None, number
        assert accepted.peer().address == a
        accepted.send(b"welcome" * 1000)
        net.run(0.1)
        assert client.receive(10_000) == b"welcome" * 1000
        client.close()
        accepted.close()
        net.run(0.1)
    assert other.tcp.counters.cookies_received > 50


@VERSIONS
def test_cookies_open_nothing_long_after_the_flood(version):
    """A listener that has not been flooded of late takes no ACK for the end of a handshake."""
    victim, attack, _, _ = half_open(1)(version)
    for number in range(100):
        attack(number)
    assert victim.stack.tcp.counters.cookies_sent > 50
    guesses = random.Random(1)
    failures = []
    for pause in (100, 200):
        victim.net.now += pause
        victim.settle()
        before = victim.stack.tcp.counters.cookies_failed
        for number in range(200):
            victim.segment(victim.peer, 3000 + number, 80, number, guesses.getrandbits(32), tcp.ACK, 65535)
        failures.append(victim.stack.tcp.counters.cookies_failed - before)
    assert failures == [200, 0]


@VERSIONS
def test_challenges_of_a_host_are_limited_and_their_number_is_no_secret_told(version):
    """The limit differs from second to second, or counting challenges would tell who talks to whom (CVE-2016-5696)."""
    victim = Connected(version, tcp_challenge_ack_limit=100, tcp_invalid_ratelimit=0)
    counts = []
    for _ in range(12):
        before = victim.stack.tcp.counters.challenge_acks
        for _ in range(400):
            victim.data(50, b"", tcp.RST)
            victim.stack.output.out.clear()
        counts.append(victim.stack.tcp.counters.challenge_acks - before)
        victim.net.now += 1.001
    assert victim.connection.state == states.ESTABLISHED
    assert 50 <= min(counts) <= max(counts) <= 150
    assert len(set(counts)) > 6
