import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import address as a
from catenet.wire.address import Prefix, format_address, parse_address

from .strategies import addresses

both = addresses(4) | addresses(6)


@given(both)
def test_text_round_trip(value):
    assert parse_address(format_address(value)) == value


@given(both.filter(lambda value: not a.is_v4_mapped(value)))
def test_text_is_canonical(value):
    assert format_address(value) == str(ipaddress.ip_address(value))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_canonical_text(text, canonical):
    assert format_address(parse_address(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.256", "1::2::3", "host", "fe80::1%eth0", "10.0.0.1/8", "01.2.3.4"]
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(ValueError, match="not an IPv4 or IPv6 address"):
        parse_address(text)


@given(both, st.data())
def test_prefix_agrees_with_ipaddress(value, data):
    length = data.draw(st.integers(0, len(value) * 8))
    prefix = Prefix.of(value, length)
    network = ipaddress.ip_network((value, length), strict=False)
    assert str(prefix) == network.exploded if len(value) == 4 else str(network)
    assert value in prefix
    assert Prefix.parse(str(prefix)) == prefix
    other = data.draw(addresses(4 if len(value) == 4 else 6))
    assert (other in prefix) == (ipaddress.ip_address(other) in network)


def test_interface_text():
    assert a.parse_interface("10.0.0.2/24") == (bytes((10, 0, 0, 2)), 24)
    assert a.parse_interface("::1") == (a.LOOPBACK[6], 128)
    for text in ("10.0.0.2/33", "10.0.0.2/", "10.0.0.2/x", "::1/129", "10.0.0.2/-1"):
        with pytest.raises(ValueError, match="prefix length"):
            a.parse_interface(text)


@given(both.filter(lambda value: not a.is_v4_mapped(value)))
def test_predicates_agree_with_ipaddress(value):
    reference = ipaddress.ip_address(value)
    assert a.is_multicast(value) == reference.is_multicast
    assert a.is_loopback(value) == reference.is_loopback
    assert a.is_link_local(value) == reference.is_link_local
    assert a.is_unspecified(value) == reference.is_unspecified


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("ff02::1", 2),
        ("ff05::2", 5),
        ("ff0e::1", 14),
        ("fe80::1", 2),
        ("::1", 2),
        ("fec0::1", 5),
        ("2001:db8::1", 14),
        ("127.0.0.1", 2),
        ("169.254.1.1", 2),
        ("10.0.0.1", 14),
        ("224.0.0.5", 2),
        ("::ffff:169.254.0.1", 2),
    ],
)
def test_scopes(text, scope):
    assert a.scope(parse_address(text)) == scope


def test_derived_addresses():
    assert format_address(a.solicited_node(parse_address("fe80::2aa:ff:fe28:9c5a"))) == "ff02::1:ff28:9c5a"
    mapped = a.to_v4_mapped(parse_address("10.0.0.1"))
    assert a.is_v4_mapped(mapped)
    assert a.from_v4_mapped(mapped) == parse_address("10.0.0.1")
    assert Prefix.parse("10.1.0.0/16").broadcast() == bytes((10, 1, 255, 255))
    assert Prefix.parse("10.1.0.0/31").broadcast() is None
    assert Prefix.parse("fd00::/64").host(5) == parse_address("fd00::5")
    with pytest.raises(ValueError, match="no address number 4"):
        Prefix.parse("10.1.0.0/30").host(4)


@given(st.integers(0, 128))
def test_common_prefix_length(length):
    one = bytes(16)
    other = (1 << 127 >> length).to_bytes(16, "big") if length < 128 else one
    assert a.common_prefix_length(one, other) == length
