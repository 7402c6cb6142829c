"""The fast paths of UDP change nothing: the same packets, datagrams and counters with and without them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stack.net import pair, unsummed_pair

from catenet.stack.endpoint import Name, StackError
from catenet.wire.checksum import checksum, pseudo_sum
from catenet.wire.offload import is_unsummed

VERSIONS = (4, 6)
SIZES = (0, 1, 7, 12, 13, 100, 1000, 1452, 1472, 1473, 5000)
OPTIONS = (
    ("IP_TTL", 7),
    ("IP_TOS", 0x2C),
    ("IP_TOS", 3),
    ("IP_MTU_DISCOVER", 0),
    ("IP_MTU_DISCOVER", 2),
    ("IP_MTU_DISCOVER", 3),
    ("SO_NO_CHECK", 1),
    ("SO_BINDTODEVICE", 2),
    ("SO_RCVBUF", 1),
    ("SO_SNDBUF", 1),
)


def mutate(packet: bytes, chance: random.Random, repair: bool) -> bytes:
    """Change one of the first bytes; `repair` makes the checksums right again."""
    version = packet[0] >> 4
    start = 20 if version == 4 else 40
    changed = bytearray(packet)
    at = chance.randrange(min(len(packet), start + 12))
    changed[at] = (changed[at] + chance.choice((1, 2, 3, 16, 128, 255))) & 0xFF
    if repair and version == 4:
        changed[10:12] = bytes(2)
        changed[10:12] = checksum(changed[:20]).to_bytes(2, "big")
    if repair and len(packet) >= start + 8:
        source, destination = (changed[12:16], changed[16:20]) if version == 4 else (changed[8:24], changed[24:40])
        changed[start + 6 : start + 8] = bytes(2)
        total = pseudo_sum(bytes(source), bytes(destination), 17) + len(packet) - start
        changed[start + 6 : start + 8] = checksum(changed[start:], total).to_bytes(2, "big")
    return bytes(changed)


def converse(version, acts, short, offload):
    """Two hosts with an endpoint that anybody may send to and one that is connected; what came of a list of acts.

    `offload`: both leave checksums to the devices.
    """
    net, one, other, here, there = pair(version)
    chance = random.Random(len(acts))
    for stack in (one, other):
        stack.set_fast_paths(short)
        stack.set_offload(offload)
    servers = [other.udp_endpoint(version), other.udp_endpoint(6)]
    for port, server in enumerate(servers, 7):
        server.bind(Name(bytes(4 if server.version == 4 else 16), port))
    client, free = one.udp_endpoint(version), one.udp_endpoint(version)
    client.connect(Name(there, 7))
    received = []
    for act, value in acts:
        try:
            if act == "send":
                client.send_to(bytes(value))
            elif act == "send to":
                free.send_to(bytes(value), Name(there, 7 + value % 2))
            elif act == "answer":
                servers[0].send_to(bytes(value), Name(here, client.local().port))
            elif act == "option":
                for endpoint in (client, *servers):
                    endpoint.set_option(*OPTIONS[value % len(OPTIONS)])
            elif act == "meddle":
                net.meddle = (
                    None if value % 3 == 0 else lambda packet, v=value: [packet, mutate(packet, chance, v % 3 == 1)]
                )
            elif act == "shut":
                servers[value % 2].shutdown(True, False)
            elif act == "move":
                other.remove_address(2, there)
                if value % 2:
                    other.add_address(2, there, 24 if version == 4 else 64)
            elif act == "mtu":
                one.set_mtu(2, 1280 + value % 300)
            else:
                client.connect(Name(there, 7 + value % 2))
        except StackError as error:
            received.append(error.fault)
        net.settle()
        for endpoint in (client, free, *servers):
            while value % 5 and (datagram := endpoint.receive_from()) is not None:
                received.append(datagram)
    return received, [(index, packet) for _, index, packet in net.seen], [one.snapshot(), other.snapshot()]


SENDS = st.tuples(st.sampled_from(("send", "send to", "answer")), st.sampled_from(SIZES))
OTHERS = st.tuples(
    st.sampled_from(("option", "meddle", "meddle", "shut", "move", "mtu", "connect")), st.integers(0, 100)
)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=150, deadline=None)
@given(acts=st.lists(st.one_of(SENDS, SENDS, SENDS, OTHERS), max_size=30), offload=st.booleans())
def test_fast_paths_change_nothing(version, acts, offload):
    short, general = (converse(version, acts, on, offload) for on in (True, False))
    for mine, its in zip(short, general, strict=True):
        assert mine == its


@pytest.mark.parametrize("version", VERSIONS)
def test_datagrams_after_the_first_take_the_fast_paths(version):
    net, one, other, _, there = pair(version)
    server = other.udp_endpoint(version)
    server.bind(Name(bytes(len(there)), 7))
    client = one.udp_endpoint(version)
    client.connect(Name(there, 7))
    client.send_to(b"first of all")
    net.settle()
    # The slow paths would make both of these anew.
    outward, inward = client._outgoing, list(other.udp.incoming_flows.values())
    assert outward is not None
    for number in range(5):
        client.send_to(b"%d and so on" % number)
    net.settle()
    assert client._outgoing is outward
    assert [flow is known for flow, known in zip(other.udp.incoming_flows.values(), inward, strict=True)] == [True]
    assert [server.receive_from().data for _ in range(6)][4:] == [b"3 and so on", b"4 and so on"]


@pytest.mark.parametrize("version", VERSIONS)
def test_checksums_are_left_to_devices_that_see_to_them(version):
    net, _, _, server, client = unsummed_pair(version)
    for size in (10, 20, 5000):
        client.send_to(bytes(size))
    net.settle()
    packets = [packet for _, _, packet in net.seen]
    assert [is_unsummed(packet) for packet in packets] == [True, True] + [False] * (len(packets) - 2)
    assert [len(server.receive_from().data) for _ in range(3)] == [10, 20, 5000]
