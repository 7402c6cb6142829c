"""Each bit and length of a segment that is expected: the fast path declines it, or does as the slow path does."""

from __future__ import annotations

import pytest
from tests.stack.tcp.tcpnet import ADDRESSES, Net
from tests.stack.tcp.test_predict import variables

from catenet.stack.endpoint import Name, StackError
from catenet.stack.tcp.user.endpoint import TcpEndpoint
from catenet.wire.checksum import checksum

VERSIONS = (4, 6)
LINK = 2
OPTIONS = 12


def talk(net: Net, client: TcpEndpoint, server: TcpEndpoint) -> None:
    """Let a connection grow old: its windows are known, and ACKs wait for data to ride on."""
    for _ in range(20):
        for speaker, hearer in ((client, server), (server, client)):
            speaker.send(bytes(1000))
            net.run(0.0101)
            assert len(hearer.receive(5000)) == 1000
    net.run(0.05)


def provoke(net: Net, client: TcpEndpoint, server: TcpEndpoint, kind: str) -> None:
    """Have the client send what the server expects: "data", an "ack" of what it said before, or both."""
    if kind != "data":
        server.send(bytes(100))
        net.pump()
    if kind != "ack":
        net.run(0.0101)
        client.send(bytes(100))


class Twins:
    """The same two hosts and connection twice: with the fast paths and without."""

    def __init__(self, version: int, timestamps: int = 1) -> None:
        self.nets = [Net(version) for _ in range(2)]
        self.both = 0
        """Segments altered that carried data as well as an acknowledgment of data."""
        self.ends = []
        for net, short in zip(self.nets, (True, False), strict=True):
            for stack in net.hosts:
                stack.set_offload(True)
                stack.set_fast_paths(short)
                stack.settings.tcp_timestamps = timestamps
            client, server, _ = net.pair()
            talk(net, client, server)
            self.ends.append((client, server))

    @property
    def taken(self) -> int:
        """Segments that have taken the fast path."""
        return sum(stack.tcp.counters.in_predicted for stack in self.nets[0].hosts)

    def exchange(self, kind: str, alter) -> None:
        """Let the server get what `alter` makes of an expected segment, then itself, and compare what comes of it."""
        for net, (client, server) in zip(self.nets, self.ends, strict=True):
            provoke(net, client, server, kind)
            altered = []

            def meddle(packet: bytes, now: float, net=net, altered=altered, server=server):
                copies = [] if altered else [(net.delay, alter(packet))]
                if copies and len(packet) > 100 and server.connection is not None:
                    self.both += server.connection.packets_out
                altered.extend(each for _, each in copies)
                return [*copies, (net.delay + 0.0001, packet)]

            net.filters[0] = meddle
            net.run(0.1, lambda altered=altered: bool(altered))
            net.run(0.05 if altered else 1.0)
            net.filters[0] = None
            assert altered
            for end in (client, server):
                try:
                    end.receive(5000)
                except StackError as error:
                    net.log.append((net.now, 3, str(error.fault).encode()))
            net.run(0.1)
        self.compare()

    def compare(self) -> None:
        """The same packets at the same times, and the same counts, since the last comparison."""
        short, general = self.nets
        assert short.log == general.log
        for one, other in zip(short.hosts, general.hosts, strict=True):
            counts = [stack.snapshot() | stack.tcp.counters.snapshot() | {"in_predicted": 0} for stack in (one, other)]
            assert counts[0] == counts[1]
        for net in self.nets:
            net.log.clear()


def summed(packet: bytes) -> bytes:
    """The packet with the checksum of its IPv4 header made right."""
    if packet[0] >> 4 != 4 or len(packet) < 20:
        return packet
    start = max(20, (packet[0] & 15) << 2)
    blank = packet[:10] + bytes(2) + packet[12:]
    return blank[:10] + checksum(blank[:start]).to_bytes(2, "big") + blank[12:]


def flip(packet: bytes, bit: int, repair: bool) -> bytes:
    changed = bytearray(packet)
    changed[bit >> 3] ^= 128 >> (bit & 7)
    return summed(bytes(changed)) if repair else bytes(changed)


def trial(version: int, kind: str, alterations) -> int:
    """Try each alteration on twins that take the fast path; how many segments took it."""
    twins, before, taken, both = Twins(version), 0, 0, 0
    for alter in alterations:
        twins.exchange(kind, alter)
        if twins.taken == before or any(end.state != "ESTABLISHED" for end in twins.ends[0]):
            # What was altered has left its traces (a reset, urgent data): begin anew.
            assert len({str(variables(net)) for net in twins.nets}) == 1
            taken += twins.taken
            both += twins.both
            twins = Twins(version)
        before = twins.taken
    assert len({str(variables(net)) for net in twins.nets}) == 1
    assert kind != "both" or both + twins.both > len(alterations)
    return taken + twins.taken


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["both", "data", "ack"])
def test_every_bit_of_the_headers(version, kind):
    start = 20 if version == 4 else 40
    bits = range(0 if kind == "both" else start * 8, (start + 20 + OPTIONS) * 8)
    assert trial(version, kind, [lambda packet, bit=bit: flip(packet, bit, True) for bit in bits]) > len(bits)


def test_every_bit_of_an_ipv4_header_with_its_checksum_as_it_was():
    assert trial(4, "both", [lambda packet, bit=bit: flip(packet, bit, False) for bit in range(160)]) > 160


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["both", "ack"])
def test_packets_that_are_longer_or_shorter_than_they_say(version, kind):
    where = 2 if version == 4 else 4

    def said(packet: bytes, more: int) -> bytes:
        length = int.from_bytes(packet[where : where + 2], "big") + more & 0xFFFF
        return summed(packet[:where] + length.to_bytes(2, "big") + packet[where + 2 :])

    changes = (1, 2, 8, 12, 31, 32, 33, 51)
    alterations = [lambda packet, more=more: packet + bytes(more) for more in changes]
    alterations += [lambda packet, less=less: packet[:-less] for less in changes]
    alterations += [lambda packet, more=more: said(packet, more) for more in changes]
    alterations += [lambda packet, less=less: said(packet, -less) for less in changes]
    alterations += [lambda packet, less=less: said(packet[:-less], -less) for less in changes]
    assert trial(version, kind, alterations) > len(alterations)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["both", "ack"])
def test_timestamps_that_were_not_agreed_on(version, kind):
    start = 20 if version == 4 else 40
    where = 2 if version == 4 else 4

    def stamped(packet: bytes) -> bytes:
        length = int.from_bytes(packet[where : where + 2], "big") + OPTIONS
        pseudo = int.from_bytes(packet[start + 16 : start + 18], "big") + OPTIONS
        header = bytearray(packet[: start + 20])
        header[where : where + 2] = length.to_bytes(2, "big")
        header[start + 12] += OPTIONS << 2
        header[start + 16 : start + 18] = (pseudo % 65535).to_bytes(2, "big")
        return summed(bytes(header) + bytes.fromhex("0101080a0000000100000000") + packet[start + 20 :])

    twins = Twins(version, timestamps=0)
    for _ in range(3):
        twins.exchange(kind, stamped)
    assert twins.taken == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mark", [1, 2, 3])
def test_marks_of_a_connection_without_ecn(version, mark):
    def marked(packet: bytes) -> bytes:
        first = int.from_bytes(packet[:2], "big") | (mark if version == 4 else mark << 4)
        return summed(first.to_bytes(2, "big") + packet[2:])

    assert trial(version, "both", [marked] * 3) > 3


@pytest.mark.parametrize("version", VERSIONS)
def test_a_connection_of_the_host_with_itself_takes_nothing_from_outside(version):
    """Nor does one with another host take what comes by the loopback."""
    logs = []
    for short in (True, False):
        net = Net(version)
        host = net.a
        host.set_offload(True)
        host.set_fast_paths(short)
        listener = net.listener(host=0)
        client = host.tcp_endpoint(version)
        client.connect(Name(ADDRESSES[version][0], 80))
        net.run(0.1)
        server = listener.accept()
        kept = []
        host.output.mark_dirty()
        client.send(b"looped")
        host.tcp.transmit(net.now)
        kept.extend(packet for packet, _ in host.output.loop)
        host.output.loop.clear()
        assert len(kept) == 1
        host.receive(kept[0], net.now, LINK)
        assert server.receive(100) is None
        host.receive(kept[0], net.now, 1)
        assert server.receive(100) == b"looped"
        logs.append((host.snapshot(), host.tcp.counters.snapshot() | {"in_predicted": 0}))
    assert logs[0] == logs[1]
