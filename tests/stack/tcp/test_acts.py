"""Whatever programs, administrators and networks do to a connection: fast paths and parking change nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import ADDRESSES, PREFIX, Net
from tests.stack.tcp.test_parking import park_all
from tests.stack.tcp.test_predict import mutate, variables

from catenet.stack.endpoint import StackError
from catenet.wire import icmp, ip
from catenet.wire.ecn import mark
from catenet.wire.icmp import ErrorMessage, Problem

VERSIONS = (4, 6)
LINK = 2
OPTIONS = (
    ("TCP_NODELAY", 1),
    ("TCP_CORK", 1),
    ("TCP_CORK", 0),
    ("IP_TOS", 0x28),
    ("IP_TTL", 9),
    ("IPV6_UNICAST_HOPS", 9),
    ("IP_MTU_DISCOVER", 0),
    ("SO_RCVBUF", 3000),
    ("SO_SNDBUF", 5000),
    ("SO_BINDTODEVICE", LINK),
    ("SO_KEEPALIVE", 1),
    ("SO_OOBINLINE", 1),
    ("SO_TIMESTAMPING", 0x1 | 0x2 | 0x10 | 0x80 | 0x200),
    ("TCP_NOTSENT_LOWAT", 1000),
    ("TCP_USER_TIMEOUT", 3000),
    ("TCP_WINDOW_CLAMP", 2000),
    ("SO_MAX_PACING_RATE", 100_000),
    ("TCP_CONGESTION", b"reno"),
    ("TCP_CONGESTION", b"bbr"),
)
SETTINGS = (
    {},
    {},
    {},
    {"tcp_ecn": 1},
    {"tcp_ecn": 3},
    {"tcp_sack": 0},
    {"tcp_timestamps": 0},
    {"tcp_mtu_probing": 2, "tcp_base_mss": 500},
    {"tcp_truesize": 1},
    {"tcp_window_scaling": 0},
    {"tcp_congestion_control": "bbr"},
    {"default_qdisc": "fq"},
    {"ip_default_ttl": 77},
)


class Table:
    """Two hosts and their connection, on which acts are tried one by one."""

    def __init__(self, version: int, short: bool, parks: bool, changes: dict[str, object]) -> None:
        self.net = net = Net(version)
        self.parks = parks
        for stack in net.hosts:
            stack.set_offload(True)
            stack.set_fast_paths(short)
            for name, value in changes.items():
                assert hasattr(stack.settings, name)
                setattr(stack.settings, name, value)
        self.ends = net.pair()[:2]
        self.chance = random.Random(1)
        self.read: list[object] = []
        self.last: list[bytes] = [b"", b""]
        self.ways: list[tuple[str, int]] = [("", 0), ("", 0)]
        for number in (0, 1):
            net.filters[number] = lambda packet, now, number=number: self.carry(number, packet)

    def carry(self, number: int, packet: bytes) -> list[tuple[float, bytes]]:
        """What the next packets of a host meet with."""
        self.last[number] = packet
        how, left = self.ways[number]
        delay = self.net.delay
        if not left:
            return [(delay, packet)]
        self.ways[number] = how, left - 1
        if how == "drop":
            return []
        if how == "late":
            return [(delay + 0.003, packet)]
        if how == "twice":
            return [(delay, packet), (delay + 0.02, packet)]
        if how == "mark":
            return [(delay, mark(packet) or packet)]
        return [(delay, mutate(packet, self.chance)), (delay + 0.001, packet)]

    def act(self, act: str, side: int, value: int) -> None:
        """Do one thing on one side."""
        net, end, stack = self.net, self.ends[side], self.net.hosts[side]
        try:
            if act == "write":
                end.send(bytes(value))
            elif act == "urgent":
                end.send(b"!" * (value % 3 + 1), urgent=True)
            elif act == "more":
                end.send(bytes(value), more=True)
            elif act == "record":
                end.send(bytes(value % 3000), end_of_record=True)
            elif act == "read":
                self.read.append(bytes(end.receive(value + 1) or b""))
            elif act == "peek":
                self.read.append(bytes(end.receive(value + 1, peek=True) or b""))
            elif act == "option":
                end.set_option(*OPTIONS[value % len(OPTIONS)])
            elif act == "mtu":
                stack.set_mtu(LINK, 1280 + value % 220)
            elif act == "move":
                address = ADDRESSES[net.version][side]
                stack.remove_address(LINK, address)
                net.run(value % 3 * 0.1)
                stack.add_address(LINK, address, PREFIX[net.version])
            elif act == "too big" and self.last[side]:
                self.refuse(side, 1280 + value % 220)
            elif act == "shut":
                end.shutdown(False, True)
            else:
                self.ways[side] = act, 1 + value % 4
        except StackError as error:
            self.read.append((act, error.fault))

    def refuse(self, side: int, mtu: int) -> None:
        """A router says that the last packet was too big."""
        source, destination = ADDRESSES[self.net.version][1 - side], ADDRESSES[self.net.version][side]
        message = icmp.build(ErrorMessage(Problem.PACKET_TOO_BIG, self.last[side][:400], mtu), source, destination)
        protocol = 1 if self.net.version == 4 else 58
        packet = ip.build(ip.IpPacket(source, destination, protocol, message))
        self.net.hosts[side].receive(packet, self.net.now)

    def pause(self, seconds: float) -> None:
        """Let time pass; idle connections are parked afterwards."""
        self.net.run(seconds)
        if self.parks and seconds > 1:
            park_all(self.net)


def outcome(version: int, acts, changes: dict[str, object], short: bool, parks: bool = False):
    """What came of it: packets, what was read, counters, and every variable at the end."""
    table = Table(version, short, parks, changes)
    for (act, side, value), silence in acts:
        table.act(act, side, value)
        table.pause(silence)
    table.pause(0.5)
    for number, end in enumerate(table.ends):
        for act, value in (("read", 100_000), ("write", 10)):
            table.act(act, number, value)
        table.read.append((end.state, end.readiness()))
    table.net.run(0.5)
    return table.net.log, table.read, variables(table.net)


NUMBERS = st.one_of(st.sampled_from((0, 1, 100, 1000, 1448, 5000, 30_000)), st.integers(0, 3000))
DEEDS = (
    "write",
    "write",
    "write",
    "read",
    "read",
    "urgent",
    "more",
    "record",
    "peek",
    "option",
    "option",
    "mtu",
    "move",
)
FATES = ("mtu", "move", "too big", "shut", "drop", "drop", "late", "late", "twice", "mark", "mutate")
ACTS = st.lists(
    st.tuples(
        st.tuples(st.sampled_from(DEEDS + FATES), st.integers(0, 1), NUMBERS),
        st.sampled_from((0.0, 0.0, 0.011, 0.011, 0.05, 0.3, 2.0, 20.0)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=50, deadline=None)
@given(acts=ACTS, changes=st.sampled_from(SETTINGS))
def test_fast_paths_change_nothing(version, acts, changes):
    short, general = (outcome(version, acts, changes, how) for how in (True, False))
    for one, other in zip(short, general, strict=True):
        assert one == other


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=25, deadline=None)
@given(acts=ACTS, changes=st.sampled_from(SETTINGS))
def test_parking_changes_nothing(version, acts, changes):
    parked, awake = (outcome(version, acts, changes, True, how) for how in (True, False))
    assert parked[:2] == awake[:2]
    assert parked[2][0] == awake[2][0]
