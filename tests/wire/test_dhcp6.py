"""DHCPv6 messages: what is built is read, what is broken raises `Malformed` alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import Malformed, dhcp6
from catenet.wire.dhcp6 import Association, Dhcp6Message, LeasedAddress, OptionCode, Status

from .strategies import addresses, u8, u16, u24, u32

statuses = st.builds(Status, u16, st.text(max_size=20))
associations = st.builds(
    Association,
    u32,
    u32,
    u32,
    st.lists(st.builds(LeasedAddress, addresses(6), u32, u32), max_size=5).map(tuple),
    st.none() | statuses,
)
messages = st.builds(Dhcp6Message, u8, u24, st.lists(st.tuples(u16, st.binary(max_size=80)), max_size=8).map(tuple))


@given(messages)
def test_messages_round_trip(message):
    assert dhcp6.parse(dhcp6.build(message)) == message


@given(associations)
def test_associations_round_trip(association):
    assert dhcp6.parse_association(dhcp6.build_association(association)) == association


@given(statuses)
def test_statuses_round_trip(status):
    assert dhcp6.parse_status(dhcp6.build_status(status)) == status


@given(messages, st.data())
def test_broken_messages_raise_only_malformed(message, data):
    raw = bytearray(dhcp6.build(message))
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(u8)
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for read in (dhcp6.parse, dhcp6.parse_association, dhcp6.parse_status):
        try:
            read(cut)
        except Malformed:
            pass


def test_a_solicit_of_rfc_8415_byte_by_byte():
    duid = dhcp6.duid_ll(bytes.fromhex("02005e100001"))
    message = Dhcp6Message(
        1,
        0x123456,
        (
            (OptionCode.CLIENT_ID, duid),
            (OptionCode.IA_NA, dhcp6.build_association(Association(7))),
            (OptionCode.ELAPSED_TIME, bytes(2)),
        ),
    )
    assert dhcp6.build(message).hex(" ", 4) == (
        "01123456 0001000a 00030001 02005e10 00010003 000c0000 00070000 00000000 00000008 00020000"
    )


def test_identifiers_of_all_four_kinds():
    link = bytes.fromhex("02005e100001")
    assert dhcp6.duid_llt(link, 0x01020304).hex() == "0001000101020304" + link.hex()
    assert dhcp6.duid_en(32473, b"\x0c\xc0").hex() == "000200007ed90cc0"
    assert dhcp6.duid_ll(link).hex() == "00030001" + link.hex()
    assert dhcp6.duid_uuid(bytes(range(16))).hex() == "0004" + bytes(range(16)).hex()


@pytest.mark.parametrize("size", [0, 2, 131])
def test_identifiers_of_impossible_lengths_are_none(size):
    message = Dhcp6Message(1, 1, ((OptionCode.CLIENT_ID, bytes(size)),))
    assert message.duid(OptionCode.CLIENT_ID) is None


def test_no_more_addresses_are_read_than_a_server_would_give():
    many = Association(1, addresses=tuple(LeasedAddress(bytes([*range(15), n]), 1, 1) for n in range(200)))
    assert len(dhcp6.parse_association(dhcp6.build_association(many)).addresses) == 16
    message = Dhcp6Message(7, 1, ((OptionCode.DNS_SERVERS, bytes(16 * 200)),))
    assert len(message.addresses(OptionCode.DNS_SERVERS)) == 16


@pytest.mark.parametrize(
    "message", [Dhcp6Message(256, 1), Dhcp6Message(1, 1 << 24), Dhcp6Message(1, 1, ((70000, b""),))]
)
def test_what_does_not_fit_is_a_value_error(message):
    with pytest.raises(ValueError, match="dhcp6"):
        dhcp6.build(message)
