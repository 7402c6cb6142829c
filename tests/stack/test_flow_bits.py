"""Each bit and length of a datagram of a known conversation: the fast path declines it, or does as the slow path."""

from __future__ import annotations

import pytest
from tests.stack.net import pair, unsummed_pair

from catenet.stack.endpoint import Name, StackError
from catenet.wire import icmp, ip
from catenet.wire.checksum import checksum, pseudo_sum
from catenet.wire.icmp import ErrorMessage, Problem

VERSIONS = (4, 6)
OTHER_LINK = 3
UDP = 17


def summed(packet: bytes) -> bytes:
    """The packet with the checksum of its IPv4 header made right."""
    if packet[0] >> 4 != 4 or len(packet) < 20:
        return packet
    blank = packet[:10] + bytes(2) + packet[12:]
    return blank[:10] + checksum(blank[: max(20, (packet[0] & 15) << 2)]).to_bytes(2, "big") + blank[12:]


def whole(packet: bytes, start: int, unsummed: bool = False) -> bytes:
    """The packet with all its checksums made right, that of UDP perhaps left to a device."""
    if len(packet) < start + 8:
        return summed(packet)
    addresses = (packet[12:16], packet[16:20]) if start == 20 else (packet[8:24], packet[24:40])
    blank = packet[: start + 6] + bytes(2) + packet[start + 8 :]
    pseudo = pseudo_sum(*addresses, UDP) + len(packet) - start
    check = pseudo % 65535 if unsummed else checksum(blank[start:], pseudo)
    return summed(blank[: start + 6] + (check or 0xFFFF).to_bytes(2, "big") + blank[start + 8 :])


def variants(packet: bytes, start: int) -> list[bytes]:
    """What a network may make of a packet; of each change both what a link and what a malicious host would send."""
    changed = []
    for bit in range((start + 8) * 8):
        damaged = bytearray(packet)
        damaged[bit >> 3] ^= 128 >> (bit & 7)
        changed += [bytes(damaged), summed(bytes(damaged)), whole(bytes(damaged), start)]
    field = 2 if start == 20 else 4
    marked = bytearray(packet)
    marked[1] |= 3 if start == 20 else 0x30
    blank = packet[: start + 6] + bytes(2) + packet[start + 8 :]
    changed += [whole(bytes(marked), start), blank, whole(packet, start, True)]
    for size in (0, 20, 28, 39, 40, 44, 45, 46, 47, start + 7, start + 8, len(packet) - 1):
        cut = packet[:size]
        changed += [cut, cut[:field] + max(0, size - (0 if start == 20 else 40)).to_bytes(2, "big") + cut[field + 2 :]]
        changed.append(summed(changed[-1]))
    for more in (1, 2, 9):
        longer = packet + bytes(more)
        told = longer[:field] + (len(longer) - (0 if start == 20 else 40)).to_bytes(2, "big") + longer[field + 2 :]
        changed += [longer, summed(told), whole(told, start)]
        said = told[: start + 4] + (len(longer) - start).to_bytes(2, "big") + told[start + 6 :]
        changed += [summed(said), whole(said, start), whole(said, start, True)]
    return changed


def received(version: int, short: bool, offload: bool) -> list[object]:
    """What came of each variant, by its own interface and by another."""
    net, one, other, _, there = pair(version)
    net.attach(other, "10.9.0.1/24" if version == 4 else "fd09::1/64")
    for stack in (one, other):
        stack.set_fast_paths(short)
        stack.set_offload(offload)
    server, client = other.udp_endpoint(version), one.udp_endpoint(version)
    server.bind(Name(bytes(len(there)), 7))
    client.connect(Name(there, 7))
    for _ in range(2):
        client.send_to(bytes(range(30)))
        net.settle()
        assert server.receive_from() is not None
    packet = net.seen[-1][2]
    outcomes: list[object] = []
    for each in variants(packet, 20 if version == 4 else 40):
        for interface in (2, OTHER_LINK):
            other.receive(each, 0.0, interface)
            told = [server.receive_from(), other.snapshot(), other.transmit(0.0)]
            other.receive(packet, 0.0, 2)
            outcomes.append([each, interface, *told, server.receive_from()])
    return outcomes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("offload", [False, True])
def test_fast_and_slow_path_agree_on_every_bit_and_length(version, offload):
    for short, general in zip(*(received(version, on, offload) for on in (True, False)), strict=True):
        assert short == general


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sum_of_zero_is_sent_as_all_ones(version):
    """RFC 768: zero says that there is none. Two bytes of data run through all sums."""
    net, one, other, _, there = pair(version)
    server, client = other.udp_endpoint(version), one.udp_endpoint(version)
    server.bind(Name(bytes(len(there)), 7))
    client.connect(Name(there, 7))
    start = 20 if version == 4 else 40
    client.send_to(bytes(2))
    net.settle()
    rest = int.from_bytes(net.seen[-1][2][start + 6 : start + 8], "big")
    client.send_to(rest.to_bytes(2, "big"))
    net.settle()
    assert net.seen[-1][2][start + 6 : start + 8] == b"\xff\xff"
    assert [server.receive_from().data for _ in range(2)] == [bytes(2), rest.to_bytes(2, "big")]
    packet = net.seen[-1][2]
    other.receive(packet[: start + 6] + bytes(2) + packet[start + 8 :], 0.0, 2)
    # IPv4 takes it as a datagram without a checksum; IPv6 has none such (RFC 8200 8.1).
    assert (server.receive_from() is not None) is (version == 4)
    assert sum(counters.udp.InCsumErrors for counters in other.counters.values()) == (version == 6)


@pytest.mark.parametrize("version", VERSIONS)
def test_multicast_and_hosts_without_path_discovery_take_the_slow_path(version):
    seen = []
    for short in (True, False):
        net, one, other, _, there = pair(version, ip_no_pmtu_disc=1)
        one.set_fast_paths(short)
        server, client = other.udp_endpoint(version), one.udp_endpoint(version)
        server.bind(Name(bytes(len(there)), 7))
        group = bytes((224, 0, 0, 99)) if version == 4 else bytes.fromhex("ff02" + "00" * 13 + "63")
        for name in (Name(there, 7), Name(group, 7)):
            for _ in range(3):
                client.send_to(b"x", name)
        net.settle()
        seen.append([packet for *_, packet in net.seen])
    assert seen[0] == seen[1]
    assert len(seen[0]) >= 6


def test_a_path_too_narrow_to_be_believed_is_sent_to_without_dont_fragment():
    seen = []
    for short in (True, False):
        net, one, other, here, there = pair(4)
        one.set_fast_paths(short)
        server, client = other.udp_endpoint(4), one.udp_endpoint(4)
        server.bind(Name(bytes(4), 7))
        client.connect(Name(there, 7))
        for _ in range(2):
            client.send_to(bytes(500))
            net.settle()
        message = icmp.build(ErrorMessage(Problem.PACKET_TOO_BIG, net.seen[-1][2][:100], 300), there, here)
        one.receive(ip.build(ip.IpPacket(there, here, 1, message)), 0.0, 2)
        with pytest.raises(StackError):
            client.send_to(b"")
        for size in (500, 10, 10, 10):
            client.send_to(bytes(size))
            net.settle()
        seen.append([packet for *_, packet in net.seen])
    assert seen[0] == seen[1]
    assert [packet[6] for packet in seen[0]][:2] == [0x40, 0x40]
    assert [packet[6] for packet in seen[0]][-3:] == [0, 0, 0]


@pytest.mark.parametrize("version", VERSIONS)
def test_checksums_count_again_after_offload_is_turned_off(version):
    net, _, other, server, client = unsummed_pair(version)
    for _ in range(3):
        client.send_to(b"left")
        net.settle()
        assert server.receive_from() is not None
    other.set_offload(False)
    other.receive(net.seen[-1][2], 0.0, 2)
    assert server.receive_from() is None
    assert sum(counters.udp.InCsumErrors for counters in other.counters.values()) == 1
