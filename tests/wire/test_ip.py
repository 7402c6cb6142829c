import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import Malformed, icmp, ip, multicast, nd, udp
from catenet.wire.address import Prefix
from catenet.wire.errors import HeaderProblem
from catenet.wire.ip import IpPacket
from catenet.wire.udp import UdpDatagram

from .strategies import address_pairs, addresses, u8, u16, u32

# Numbers that are no extension header, so that the payload is not read as one.
protocols = st.sampled_from((1, 2, 6, 17, 58, 59, 132, 255))
offsets = st.integers(0, 100).map(lambda units: units * 8)
payloads = st.integers(0, 8).flatmap(lambda units: st.binary(min_size=units * 8, max_size=units * 8))
options4 = st.integers(0, 10).flatmap(lambda words: st.binary(min_size=words * 4, max_size=words * 4))
bodies = st.integers(1, 4).flatmap(lambda units: st.binary(min_size=units * 8 - 2, max_size=units * 8 - 2))
extensions = st.lists(st.tuples(st.sampled_from((43, 60)), bodies), max_size=3).map(tuple)

packets4 = st.builds(
    IpPacket,
    addresses(4),
    addresses(4),
    protocols,
    payloads,
    u8,
    u8,
    u16,
    st.just(0),
    st.booleans(),
    st.booleans(),
    offsets,
    options4,
    st.just(()),
)
packets6 = st.builds(
    IpPacket,
    addresses(6),
    addresses(6),
    protocols,
    payloads,
    u8,
    u8,
    u32,
    st.integers(0, 0xFFFFF),
    st.just(True),
    st.booleans(),
    offsets,
    st.just(b""),
    extensions,
)
packets = packets4 | packets6


@given(packets)
def test_what_is_built_parses_to_the_same_value(packet):
    data = ip.build(packet)
    assert ip.parse(data) == packet
    assert ip.header_length(packet) == len(data) - len(packet.payload)


@given(packets, st.binary(max_size=20))
def test_padding_of_the_link_is_cut_off(packet, padding):
    assert ip.parse(ip.build(packet) + padding) == packet


@given(packets, st.integers(0, 60))
def test_a_cut_packet_is_malformed_and_a_quotation_is_not(packet, size):
    data = ip.build(packet)
    cut = data[: min(size, len(data) - 1)]
    with pytest.raises(Malformed):
        ip.parse(cut)
    if len(cut) >= ip.header_length(packet):
        quoted = ip.parse(cut, quoted=True)
        assert quoted.source == packet.source
        assert quoted.protocol == packet.protocol


@given(st.binary(max_size=120))
def test_garbage_raises_only_malformed(data):
    for head in (b"\x45", b"\x60", b"\x4f", b""):
        try:
            ip.parse(head + data)
        except Malformed:
            pass


@given(packets4, st.data())
def test_a_flipped_bit_in_the_ipv4_header_is_found(packet, data):
    raw = bytearray(ip.build(packet))
    # A flipped version makes another packet of it, which may parse.
    bit = data.draw(st.integers(0, (20 + len(packet.options)) * 8 - 1).filter(lambda bit: bit not in range(4, 8)))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        ip.parse(bytes(raw))


def test_hop_by_hop_options_only_come_first():
    two = ((43, bytes(6)), (0, bytes(6)))
    data = ip.build(IpPacket(bytes(16), bytes(16), 59, b"", extensions=two))
    with pytest.raises(HeaderProblem) as error:
        ip.parse(data)
    assert error.value.pointer == 40
    assert error.value.code == HeaderProblem.UNKNOWN_NEXT_HEADER


def test_an_atomic_fragment_is_a_whole_packet():
    packet = ip.parse(ip.build(IpPacket(bytes(16), bytes(16), 17, b"12345678", identification=7)))
    assert not packet.is_fragment
    assert packet.identification == 7


def test_a_fragment_of_a_broken_length_is_answered():
    data = ip.build(IpPacket(bytes(16), bytes(16), 17, b"123", identification=7, more_fragments=True))
    with pytest.raises(HeaderProblem) as error:
        ip.parse(data)
    assert error.value.pointer == 4


@given(st.binary(max_size=64), u16, u16, address_pairs, st.booleans())
def test_udp_round_trip(payload, source_port, destination_port, pair, checksum):
    datagram = UdpDatagram(source_port, destination_port, payload)
    data = udp.build(datagram, *pair, checksum=checksum)
    assert udp.parse(data, *pair) == datagram
    assert udp.parse(data + b"trailing", *pair) == datagram


@given(st.binary(max_size=40), address_pairs)
def test_udp_garbage_raises_only_malformed(data, pair):
    try:
        udp.parse(data, *pair)
    except Malformed:
        pass


def test_udp_without_checksum_is_for_ipv4_only():
    data = udp.build(UdpDatagram(1, 2, b"x"), bytes(4), bytes(4), checksum=False)
    assert data[6:8] == b"\0\0"
    with pytest.raises(Malformed):
        udp.parse(data, bytes(16), bytes(16))


problems = {
    4: [problem for problem in icmp.Problem if icmp.numbers(problem, 4)],
    6: [problem for problem in icmp.Problem if icmp.numbers(problem, 6)],
}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("problem", icmp.Problem)
def test_icmp_errors_round_trip(version, problem):
    pair = (b"\1" * (4 if version == 4 else 16),) * 2
    message = icmp.ErrorMessage(problem, b"quoted packet", 0)
    if problem not in problems[version]:
        with pytest.raises(ValueError, match="no number"):
            icmp.build(message, *pair)
        return
    data = icmp.build(message, *pair)
    assert icmp.parse(data, *pair) == message
    assert icmp.is_error(data, version)


@given(st.booleans(), u16, u16, st.binary(max_size=50), address_pairs)
def test_icmp_echo_round_trip(reply, identifier, sequence, data, pair):
    message = icmp.Echo(reply, identifier, sequence, data)
    raw = icmp.build(message, *pair)
    assert icmp.parse(raw, *pair) == message
    assert not icmp.is_error(raw, 4 if len(pair[0]) == 4 else 6)


@pytest.mark.parametrize(("version", "value"), [(4, 1400), (6, 1280)])
def test_packet_too_big_carries_the_mtu(version, value):
    pair = (b"\1" * (4 if version == 4 else 16),) * 2
    message = icmp.ErrorMessage(icmp.Problem.PACKET_TOO_BIG, b"quoted", value)
    assert icmp.parse(icmp.build(message, *pair), *pair) == message


@pytest.mark.parametrize("version", [4, 6])
def test_parameter_problem_carries_the_pointer(version):
    pair = (b"\1" * (4 if version == 4 else 16),) * 2
    message = icmp.ErrorMessage(icmp.Problem.ERRONEOUS_FIELD, b"quoted", 40)
    assert icmp.parse(icmp.build(message, *pair), *pair) == message


domains = st.lists(st.binary(min_size=1, max_size=63), min_size=1, max_size=3).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)
link_addresses = st.builds(nd.LinkAddress, st.sampled_from((1, 2)), st.binary(min_size=6, max_size=6))
nd_options = st.lists(
    st.one_of(
        link_addresses,
        st.builds(nd.PrefixInformation, addresses(6), st.integers(0, 128), st.booleans(), st.booleans(), u32, u32),
        st.builds(nd.Mtu, u32),
        st.builds(nd.Nonce, st.binary(min_size=6, max_size=6)),
        st.builds(nd.RedirectedHeader, payloads),
        st.builds(
            nd.RouteInformation,
            st.builds(Prefix.of, addresses(6), st.integers(0, 128)),
            st.sampled_from((-1, 0, 1)),
            u32,
        ),
        st.builds(nd.DnsServers, u32, st.lists(addresses(6), min_size=1, max_size=3).map(tuple)),
        st.builds(nd.DnsSearch, u32, st.lists(domains, min_size=1, max_size=3).map(tuple)),
        st.builds(nd.UnknownOption, st.just(200), st.binary(min_size=14, max_size=14)),
    ),
    max_size=4,
).map(tuple)
nd_messages = st.one_of(
    st.builds(nd.RouterSolicitation, nd_options),
    st.builds(
        nd.RouterAdvertisement, u8, st.booleans(), st.booleans(), st.sampled_from((-1, 0, 1)), u16, u32, u32, nd_options
    ),
    st.builds(nd.NeighborSolicitation, addresses(6), nd_options),
    st.builds(nd.NeighborAdvertisement, addresses(6), st.booleans(), st.booleans(), st.booleans(), nd_options),
    st.builds(nd.Redirect, addresses(6), addresses(6), nd_options),
)


@given(nd_messages)
def test_neighbour_discovery_round_trip(message):
    other = nd.build(message)
    raw = icmp.build(other, bytes(16), bytes(16))
    parsed = icmp.parse(raw, bytes(16), bytes(16))
    assert isinstance(parsed, icmp.Other)
    assert nd.parse(parsed) == message


@given(st.integers(128, 145), st.integers(0, 1), st.binary(max_size=80))
def test_icmpv6_garbage_raises_only_malformed(kind, code, body):
    for read in (nd.parse, multicast.parse_mld):
        try:
            read(icmp.Other(kind, code, body))
        except Malformed:
            pass


@given(st.binary(max_size=40))
def test_icmp_garbage_raises_only_malformed(data):
    for size in (4, 16):
        try:
            icmp.parse(data, bytes(size), bytes(size), verify=False)
        except Malformed:
            pass


def membership(version):
    group = addresses(version)
    sources = st.lists(group, max_size=3).map(tuple)
    record = st.builds(
        multicast.GroupRecord, st.integers(1, 6), group, sources, st.sampled_from((b"", b"abcd", b"12345678"))
    )
    times = st.integers(0, 120).map(lambda tenths: tenths / 10)
    return st.one_of(
        st.builds(
            multicast.Query,
            group,
            times,
            st.just(3),
            st.booleans(),
            st.integers(0, 7),
            st.integers(0, 127).map(float),
            sources,
        ),
        st.builds(lambda each, time: multicast.Query(each, time, 2), group, times.filter(bool)),
        st.builds(multicast.Report, st.lists(record, max_size=3).map(tuple)),
        st.builds(multicast.Membership, group, st.just(2)),
        st.builds(multicast.Leave, group),
    )


@given(membership(4))
def test_igmp_round_trip(message):
    assert multicast.parse_igmp(multicast.build_igmp(message)) == message


@given(membership(6))
def test_mld_round_trip(message):
    assert multicast.parse_mld(multicast.build_mld(message)) == message


@given(st.binary(max_size=40))
def test_igmp_garbage_raises_only_malformed(data):
    try:
        multicast.parse_igmp(data)
    except Malformed:
        pass


@pytest.mark.parametrize("seconds", [0.1, 12.7, 12.8, 31.0, 100.0, 3174.4, 10_000.0])
def test_long_times_are_rounded_down_to_what_the_code_can_say(seconds):
    query = multicast.parse_igmp(multicast.build_igmp(multicast.Query(bytes(4), seconds)))
    assert isinstance(query, multicast.Query)
    assert query.response_time <= seconds
    assert query.response_time >= min(seconds, 3174.4) * 15 / 16


@pytest.mark.parametrize(
    "names", [b"\1a", b"\1a\0\0\1b\0", b"\7example\xc0\0", b"\77" + b"a" * 63, b"\0", (b"\77" + b"a" * 63) * 4 + b"\0"]
)
def test_domains_that_are_none_stay_an_unknown_option(names: bytes) -> None:
    """RFC 8106 5.2: whole names one after another, without compression, zeros behind them."""
    body = bytes(6) + names + bytes(-len(names) % 8)
    if names[-1]:
        body = body[:-1] + b"\1"
    message = nd.RouterSolicitation((nd.UnknownOption(31, body),))
    assert nd.parse(nd.build(message)) == message
