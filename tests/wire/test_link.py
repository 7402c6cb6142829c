import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import Malformed, dhcp, ethernet
from catenet.wire.address import Prefix, parse_address
from catenet.wire.dhcp import DhcpMessage
from catenet.wire.ethernet import ArpPacket, Frame

from .strategies import addresses, u16, u32

links = st.binary(min_size=6, max_size=6)


@given(links, links, st.integers(0x600, 0xFFFF), st.binary(max_size=60))
def test_frames_round_trip(destination, source, ethertype, payload):
    frame = Frame(destination, source, ethertype, payload)
    assert ethernet.parse_frame(ethernet.build_frame(frame)) == frame


@given(st.integers(1, 10), links, addresses(4), links, addresses(4), st.binary(max_size=18))
def test_arp_round_trip(operation, link, sender, other_link, target, padding):
    packet = ArpPacket(operation, link, sender, other_link, target)
    assert ethernet.parse_arp(ethernet.build_arp(packet) + padding) == packet


@given(st.binary(max_size=60))
def test_link_garbage_raises_only_malformed(data):
    for parse in (ethernet.parse_frame, ethernet.parse_arp, dhcp.parse):
        try:
            parse(data)
        except Malformed:
            pass


def test_group_addresses():
    assert ethernet.group_address(parse_address("239.129.2.3")).hex(":") == "01:00:5e:01:02:03"
    assert ethernet.group_address(parse_address("ff02::1:ff00:1")).hex(":") == "33:33:ff:00:00:01"


def test_link_address_text():
    assert ethernet.parse_link_address("02:00:5e:10:00:ff") == bytes.fromhex("02005e1000ff")
    assert ethernet.format_link_address(bytes.fromhex("02005e1000ff")) == "02:00:5e:10:00:ff"
    for text in ("", "02:00:5e:10:00", "02:00:5e:10:00:gg", "2:0:5e:10:0:ff", "+2:00:5e:10:00:f"):
        with pytest.raises(ValueError, match="Ethernet address"):
            ethernet.parse_link_address(text)


messages = st.builds(
    DhcpMessage,
    st.integers(1, 8),
    u32,
    links,
    st.booleans(),
    u16,
    st.booleans(),
    addresses(4),
    addresses(4),
    addresses(4),
    addresses(4),
    st.dictionaries(st.sampled_from((1, 3, 6, 12, 51, 54, 55, 61, 121, 200)), st.binary(max_size=600), max_size=5),
)


@given(messages)
def test_dhcp_round_trip(message):
    assert dhcp.parse(dhcp.build(message)) == message


@given(messages, st.data())
def test_broken_dhcp_raises_only_malformed(message, data):
    raw = bytearray(dhcp.build(message))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        dhcp.parse(bytes(raw[: data.draw(st.integers(200, len(raw)))]))
    except Malformed:
        pass


def test_overloaded_options_are_read_from_file_and_name():
    raw = bytearray(dhcp.build(DhcpMessage(dhcp.DHCPOFFER, 1, bytes(6), reply=True)))
    raw[108:113] = b"\x0c\x02ab\xff"
    raw[44:49] = b"\x0f\x02cd\xff"
    raw = raw[:243] + b"\x34\x01\x03\xff"
    message = dhcp.parse(bytes(raw))
    assert message.options == {12: b"ab", 15: b"cd"}


@given(st.lists(st.tuples(st.builds(Prefix.of, addresses(4), st.integers(0, 32)), addresses(4)), max_size=5))
def test_classless_routes_round_trip(routes):
    assert dhcp.parse_routes(dhcp.build_routes(routes)) == routes


@given(st.binary(max_size=30))
def test_broken_routes_raise_only_malformed(value):
    try:
        dhcp.parse_routes(value)
    except Malformed:
        pass
