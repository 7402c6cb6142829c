"""The kernel's masquerade and our NAT get the same packets; what comes out is the same, byte by byte.

The kernel is a router between two TUN devices in a namespace, by nftables: masquerade outwards, and as a router at home
it drops what comes in unasked. Where the two differ on purpose the test says so.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers import environment, tool

from catenet.stack.nat.config import NatConfig, NatTimeouts
from catenet.stack.stack import Stack
from catenet.wire import icmp, ip, tcp, udp
from catenet.wire.address import parse_address
from catenet.wire.icmp import Echo, ErrorMessage, Problem
from catenet.wire.tcp import TcpSegment
from catenet.wire.udp import UdpDatagram

pytestmark = [pytest.mark.root, pytest.mark.peer("nft"), pytest.mark.timeout(120)]

PROGRAM = Path(__file__).parent / "programs" / "kernel_router.py"
INSIDE, OTHER, GATE, OUT, PEER, SECOND = (
    parse_address(text)
    for text in ("192.168.0.2", "192.168.0.3", "192.168.0.1", "203.0.113.1", "203.0.113.7", "203.0.113.8")
)
MTU = 1400
RULES = """
table ip home {
  chain translate { type nat hook postrouting priority 100; oifname "out0" masquerade; }
  chain forwarded { type nat hook prerouting priority -100; iifname "out0" tcp dport 8080 dnat to 192.168.0.3:80; }
  chain unasked {
    type filter hook input priority 0;
    iifname "out0" ct state established,related accept
    iifname "out0" drop
  }
}
"""

Result = dict[str, list[bytes]]
"""Packets that came out, by side."""


def datagram(source: bytes, port: int, destination: bytes, to: int, data: bytes = b"x", **fields: Any) -> bytes:
    payload = udp.build(UdpDatagram(port, to, data), source, destination)
    return ip.build(ip.IpPacket(source, destination, 17, payload, fields.pop("hop_limit", 64), **fields))


def segment(
    source: bytes, port: int, destination: bytes, to: int, flags: int, numbers: tuple[int, int], data: bytes = b""
) -> bytes:
    built = tcp.build(TcpSegment(port, to, *numbers, flags, 65_000, payload=data), source, destination)
    return ip.build(ip.IpPacket(source, destination, 6, built, 64, dont_fragment=True))


def echo(source: bytes, destination: bytes, identifier: int, reply: bool = False) -> bytes:
    built = icmp.build(Echo(reply, identifier, 1, b"data"), source, destination)
    return ip.build(ip.IpPacket(source, destination, 1, built, 64))


def error(source: bytes, destination: bytes, problem: Problem, quoted: bytes) -> bytes:
    built = icmp.build(ErrorMessage(problem, quoted[:28]), source, destination)
    return ip.build(ip.IpPacket(source, destination, 1, built, 64))


class Kernel:
    """The kernel's router."""

    def __init__(self, namespace: Any, folder: Path) -> None:
        self.namespace = namespace
        fence = ip.build(ip.IpPacket(INSIDE, GATE, 1, icmp.build(Echo(False, 1, 1, b"that was all"), INSIDE, GATE), 64))
        self.child = namespace.start(sys.executable, str(PROGRAM), fence.hex(), stdin=-1)
        assert self.child.stdout.readline() == "open\n"
        namespace.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=1")
        for device, address in (("in0", "192.168.0.1/24"), ("out0", "203.0.113.1/24")):
            namespace.run("ip", "addr", "add", address, "dev", device)
            namespace.run("ip", "link", "set", device, "up")
        namespace.run("ip", "link", "set", "out0", "mtu", str(MTU))
        (folder / "rules").write_text(RULES)
        namespace.run(tool("nft"), "-f", str(folder / "rules"), env=environment())

    def send(self, side: str, packet: bytes) -> Result:
        self.child.stdin.write(f"{side} {packet.hex()}\n")
        self.child.stdin.flush()
        found = json.loads(self.child.stdout.readline())
        return {name: [bytes.fromhex(each) for each in packets] for name, packets in found.items()}


class Ours:
    """Our router, between the same networks."""

    def __init__(self, **options: Any) -> None:
        self.stack = Stack(random.Random(1))
        self.stack.settings.ip_forward = 1
        self.now = 0.0
        for address, mtu in ((GATE, 1500), (OUT, MTU)):
            self.stack.add_interface(mtu=mtu, addresses=((address, 24),))
        forwards = {(6, 8080): (OTHER, 80)}
        self.stack.use_nat(NatConfig((3,), forwards=forwards, refresh_inbound=True, **options))

    def send(self, side: str, packet: bytes) -> Result:
        self.stack.receive(packet, self.now, {"in": 2, "out": 3}[side])
        found: Result = {"in": [], "out": []}
        for interface, each in self.stack.transmit(self.now):
            found[{2: "in", 3: "out"}[interface]].append(each)
        return found


@pytest.fixture
def kernel(namespace: Any, tmp_path: Path) -> Iterator[Kernel]:
    return Kernel(namespace, tmp_path)  # type: ignore[return-value]


class Both:
    """The two beside each other."""

    def __init__(self, kernel: Kernel, **options: Any) -> None:
        self.kernel, self.ours = kernel, Ours(**options)

    def same(self, side: str, packet: bytes) -> Result:
        """What came out of both, which was the same bytes."""
        theirs, ours = self.kernel.send(side, packet), self.ours.send(side, packet)
        assert shown(theirs) == shown(ours)
        assert theirs == ours
        return ours

    def one(self, side: str, packet: bytes) -> bytes:
        """The one packet that came out of both, on the other side."""
        found = self.same(side, packet)
        (only,) = found["out" if side == "in" else "in"]
        assert not found[side]
        return only

    def nothing(self, side: str, packet: bytes) -> None:
        assert self.same(side, packet) == {"in": [], "out": []}


def shown(result: Result) -> dict[str, list[str]]:
    """Packets for people, so that a difference can be read."""
    return {side: [str(ip.parse(each)) for each in packets] for side, packets in result.items()}


def ports(packet: bytes) -> tuple[int, int]:
    payload = ip.parse(packet).payload
    return int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")


def test_datagrams_mapping_and_filtering(kernel: Kernel) -> None:
    both = Both(kernel)
    sent = both.one("in", datagram(INSIDE, 5000, PEER, 53))
    assert (ip.parse(sent).source, ports(sent)) == (OUT, (5000, 53))
    back = both.one("out", datagram(PEER, 53, OUT, 5000, b"answer"))
    assert ip.parse(back).destination == INSIDE
    both.nothing("out", datagram(PEER, 54, OUT, 5000))  # another port of the peer
    both.nothing("out", datagram(SECOND, 53, OUT, 5000))  # another peer
    both.nothing("out", datagram(PEER, 53, OUT, 5001))  # no mapping
    sent = both.one("in", datagram(INSIDE, 5000, SECOND, 53))
    assert ports(sent) == (5000, 53), "one outside port for all peers"
    assert both.one("out", datagram(SECOND, 53, OUT, 5000))


def test_two_hosts_with_one_port(kernel: Kernel) -> None:
    """The second gets another port, which each chooses by chance; what is sent to it reaches the second."""
    both = Both(kernel)
    both.one("in", datagram(INSIDE, 5000, PEER, 53))
    for router in (both.kernel, both.ours):
        (sent,) = router.send("in", datagram(OTHER, 5000, PEER, 53))["out"]
        outside = ports(sent)[0]
        assert outside != 5000
        (back,) = router.send("out", datagram(PEER, 53, OUT, outside))["in"]
        assert (ip.parse(back).destination, ports(back)[1]) == (OTHER, 5000)


def test_where_linux_shares_a_port_between_hosts_ours_does_not(kernel: Kernel) -> None:
    """To different peers Linux lets two hosts have one outside port; RFC 4787 REQ-3 forbids what comes of it."""
    both = Both(kernel)
    both.one("in", datagram(INSIDE, 5000, PEER, 53))
    found = [ports(router.send("in", datagram(OTHER, 5000, SECOND, 53))["out"][0])[0] for router in (kernel, both.ours)]
    assert found[0] == 5000
    assert found[1] != 5000


def test_echoes(kernel: Kernel) -> None:
    both = Both(kernel)
    both.one("in", echo(INSIDE, PEER, 7))
    assert ip.parse(both.one("out", echo(PEER, OUT, 7, reply=True))).destination == INSIDE
    both.nothing("out", echo(SECOND, OUT, 7, reply=True))
    both.nothing("out", echo(PEER, OUT, 8, reply=True))
    for router in (both.kernel, both.ours):
        (sent,) = router.send("in", echo(OTHER, PEER, 7))["out"]
        message = icmp.parse(ip.parse(sent).payload, OUT, PEER)
        assert isinstance(message, Echo)
        assert message.identifier != 7
        (back,) = router.send("out", echo(PEER, OUT, message.identifier, reply=True))["in"]
        assert ip.parse(back).destination == OTHER


def test_a_connection(kernel: Kernel) -> None:
    both = Both(kernel)
    syn, syn_ack, ack, fin, rst = tcp.SYN, tcp.SYN | tcp.ACK, tcp.ACK, tcp.FIN | tcp.ACK, tcp.RST

    def out(flags: int, numbers: tuple[int, int], data: bytes = b"") -> bytes:
        return both.one("in", segment(INSIDE, 6000, PEER, 80, flags, numbers, data))

    def back(flags: int, numbers: tuple[int, int], data: bytes = b"") -> bytes:
        return both.one("out", segment(PEER, 80, OUT, 6000, flags, numbers, data))

    out(syn, (100, 0))
    back(syn_ack, (500, 101))
    out(ack, (101, 501))
    out(ack, (101, 501), b"question")
    back(ack, (501, 109), b"answer")
    both.nothing("out", segment(SECOND, 80, OUT, 6000, syn, (1, 0)))
    both.nothing("out", segment(PEER, 81, OUT, 6000, syn, (1, 0)))
    out(fin, (109, 507))
    back(fin, (507, 110))
    out(ack, (110, 508))
    both.one("in", segment(INSIDE, 6001, PEER, 80, syn, (100, 0)))
    assert ip.parse(both.one("out", segment(PEER, 80, OUT, 6001, rst | tcp.ACK, (0, 101)))).destination == INSIDE


def test_a_segment_of_no_known_connection_makes_a_session(kernel: Kernel) -> None:
    both = Both(kernel)
    both.one("in", segment(INSIDE, 6000, PEER, 80, tcp.ACK, (100, 200), b"data"))
    both.one("out", segment(PEER, 80, OUT, 6000, tcp.ACK, (200, 104)))


def test_a_forwarded_port(kernel: Kernel) -> None:
    both = Both(kernel)
    sent = both.one("out", segment(PEER, 999, OUT, 8080, tcp.SYN, (1, 0)))
    assert (ip.parse(sent).destination, ports(sent)) == (OTHER, (999, 80))
    back = both.one("in", segment(OTHER, 80, PEER, 999, tcp.SYN | tcp.ACK, (7, 2)))
    assert (ip.parse(back).source, ports(back)) == (OUT, (8080, 999))
    both.nothing("out", segment(PEER, 999, OUT, 8081, tcp.SYN, (1, 0)))


@pytest.mark.parametrize("problem", [Problem.PORT_UNREACHABLE, Problem.ADDRESS_UNREACHABLE, Problem.HOP_LIMIT])
def test_errors_about_what_was_sent(kernel: Kernel, problem: Problem) -> None:
    """From the peer or a router on the way: to the host inside, about the packet that it knows."""
    both = Both(kernel)
    sent = both.one("in", datagram(INSIDE, 5000, PEER, 53, b"question"))
    for source in (PEER, SECOND):
        came = both.one("out", error(source, OUT, problem, sent))
        message = icmp.parse(ip.parse(came).payload, source, INSIDE)
        assert isinstance(message, ErrorMessage)
        assert ip.parse(message.quoted, quoted=True).source == INSIDE
    stranger = datagram(OUT, 5001, PEER, 53, b"question")
    both.nothing("out", error(PEER, OUT, problem, stranger))


def test_errors_from_inside(kernel: Kernel) -> None:
    both = Both(kernel)
    both.one("in", datagram(INSIDE, 5000, PEER, 53))
    came = both.one("out", datagram(PEER, 53, OUT, 5000, b"too late"))
    sent = both.one("in", error(INSIDE, PEER, Problem.PORT_UNREACHABLE, came))
    message = icmp.parse(ip.parse(sent).payload, OUT, PEER)
    assert isinstance(message, ErrorMessage)
    assert ip.parse(message.quoted, quoted=True).destination == OUT


def about(result: Result, side: str) -> tuple[Any, ...]:
    """What an error of the router itself says, apart from how much it quotes."""
    (packet,) = result[side]
    parsed = ip.parse(packet)
    message = icmp.parse(parsed.payload, parsed.source, parsed.destination)
    assert isinstance(message, ErrorMessage)
    quoted = ip.parse(message.quoted, quoted=True)
    return parsed.source, parsed.destination, message.problem, message.value, quoted.source, quoted.destination


@pytest.mark.parametrize(
    "packet",
    [
        datagram(INSIDE, 5000, PEER, 53, hop_limit=1),
        datagram(INSIDE, 5000, PEER, 53, bytes(1450), dont_fragment=True),
    ],
    ids=["hop limit", "too big"],
)
def test_errors_of_the_router_itself(kernel: Kernel, packet: bytes) -> None:
    both = Both(kernel)
    theirs, ours = both.kernel.send("in", packet), both.ours.send("in", packet)
    assert about(theirs, "in") == about(ours, "in")
    assert theirs["out"] == ours["out"] == []


def test_fragments_are_put_together_before_they_are_translated(kernel: Kernel) -> None:
    both = Both(kernel)
    whole = ip.parse(datagram(INSIDE, 5000, PEER, 53, bytes(range(256)) * 8))
    data = whole.payload
    first = ip.build(whole._replace(payload=data[:1000], identification=9, more_fragments=True))
    last = ip.build(whole._replace(payload=data[1000:], identification=9, fragment_offset=1000))
    both.nothing("in", first)
    found = [router.send("in", last)["out"] for router in (both.kernel, both.ours)]
    pieces = [[ip.parse(each) for each in packets] for packets in found]
    joined = [b"".join(bytes(each.payload) for each in packets) for packets in pieces]
    assert joined[0] == joined[1]
    assert {each.source for packets in pieces for each in packets} == {OUT}
    assert joined[0][8:] == data[8:]


def test_a_time_out(kernel: Kernel) -> None:
    """Of one second, after which the kernel is asked: it may be later, and has forgotten all the more."""
    kernel.namespace.run(
        "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=1", "net.netfilter.nf_conntrack_udp_timeout_stream=1"
    )
    both = Both(kernel, timeouts=NatTimeouts(udp=1, udp_unanswered=1))
    both.one("in", datagram(INSIDE, 5000, PEER, 53))
    time.sleep(1.2)
    both.ours.now = 1.2
    both.nothing("out", datagram(PEER, 53, OUT, 5000))
    both.one("in", datagram(INSIDE, 5000, PEER, 53))


def hairpin(router: Kernel | Ours) -> bytes | None:
    """What reaches a host inside of what another sends to its forwarded port, by the outside address."""
    found = router.send("in", segment(INSIDE, 6000, OUT, 8080, tcp.SYN, (1, 0)))["in"]
    return next((each for each in found if ip.parse(each).destination == OTHER), None)


def test_hairpins_which_linux_does_by_rules_of_their_own(kernel: Kernel, tmp_path: Path) -> None:
    """With those both reach the host; Linux shows the inside address of the router, ours the outside one (REQ-9)."""
    both = Both(kernel)
    assert hairpin(kernel) is None
    (tmp_path / "more").write_text(
        "add rule ip home forwarded ip daddr 203.0.113.1 tcp dport 8080 dnat to 192.168.0.3:80\n"
        'add rule ip home translate ip saddr 192.168.0.0/24 oifname "in0" masquerade\n'
    )
    kernel.namespace.run(tool("nft"), "-f", str(tmp_path / "more"), env=environment())
    for router, source in ((kernel, GATE), (both.ours, OUT)):
        reached = hairpin(router)
        assert reached is not None
        assert (ip.parse(reached).source, ports(reached)[1]) == (source, 80)


def test_what_has_no_ports_linux_translates_and_ours_drops(kernel: Kernel) -> None:
    packet = ip.build(ip.IpPacket(INSIDE, PEER, 253, b"experiment", 64))
    both = Both(kernel)
    assert [ip.parse(each).source for each in kernel.send("in", packet)["out"]] == [OUT]
    assert both.ours.send("in", packet) == {"in": [], "out": []}
