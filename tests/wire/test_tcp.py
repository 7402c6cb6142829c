import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import Malformed, tcp
from catenet.wire.checksum import pseudo_sum
from catenet.wire.options import split_options
from catenet.wire.tcp import TcpOptions, TcpSegment

from .strategies import address_pairs, tcp_segments

V4 = (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))


@given(tcp_segments, address_pairs)
def test_what_is_built_parses_to_the_same_value(segment, pair):
    assert tcp.parse(tcp.build(segment, *pair), *pair) == segment


@given(tcp_segments, address_pairs, st.booleans())
def test_views_parse_as_bytes_do(segment, pair, verify):
    data = tcp.build(segment, *pair)
    assert tcp.parse(memoryview(data), *pair, verify) == segment


@given(tcp_segments, address_pairs, st.data())
def test_one_flipped_bit_never_passes(segment, pair, data):
    raw = bytearray(tcp.build(segment, *pair))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        tcp.parse(bytes(raw), *pair)


@given(st.binary(max_size=80), address_pairs, st.booleans())
def test_garbage_raises_only_malformed(data, pair, verify):
    try:
        segment = tcp.parse(data, *pair, verify)
    except Malformed:
        return
    assert segment.source_port == int.from_bytes(data[:2], "big")
    assert data.endswith(segment.payload)


@given(st.binary(max_size=40))
def test_option_garbage_never_raises(raw):
    options = tcp.parse_options(raw)
    assert isinstance(options, TcpOptions)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("020405b4", TcpOptions(mss=1460)),
        ("020405b40402080a0000000100000000" + "01030307", TcpOptions(1460, 7, True, (), (1, 0))),
        ("0101050a0000000100000002", TcpOptions(sack=((1, 2),))),
        ("0101080a0000000500000006", TcpOptions(timestamps=(5, 6))),
        ("22020101", TcpOptions(fast_open=b"")),
        ("fe04f989", TcpOptions(fast_open=b"", fast_open_experimental=True)),
        ("ac0b000001000002000003" + "01", TcpOptions(accecn=(0, (1, 2, 3)))),
        ("ae05000007", TcpOptions(accecn=(1, (7,)))),
        ("1c04803c", TcpOptions(user_timeout=0x803C)),
        ("0000020405b4", TcpOptions()),
        ("0205aabbcc", TcpOptions(unknown=((2, b"\xaa\xbb\xcc"),))),
        ("020405b402", TcpOptions(mss=1460)),
        ("020405b40301", TcpOptions(mss=1460)),
        ("020405b4020400ff", TcpOptions(mss=255)),
    ],
)
def test_options_of_the_wire(raw, expected):
    assert tcp.parse_options(bytes.fromhex(raw)) == expected


def test_options_stand_in_the_order_of_linux():
    syn = TcpOptions(mss=1460, window_scale=7, sack_permitted=True, timestamps=(1, 0))
    kinds = [kind for kind, _ in split_options(tcp.encode_options(syn))]
    assert kinds == [2, 4, 8, 1, 3]
    assert tcp.encode_options(TcpOptions(timestamps=(1, 2))) == tcp.encode_timestamps(1, 2)


def test_a_syn_of_linux_is_parsed_and_built():
    """A SYN that the Linux kernel sent, with its checksum."""
    raw = bytes.fromhex("9d2e1f90a4c1e0c200000000a002ffd7fe3000000204ffd70402080a2b6f4c4d0000000001030307")
    lo = bytes((127, 0, 0, 1))
    segment = tcp.parse(raw, lo, lo, verify=False)
    assert segment.flags == tcp.SYN
    assert segment.options == TcpOptions(65495, 7, True, (), (0x2B6F4C4D, 0))
    rebuilt = tcp.build(segment, lo, lo)
    assert rebuilt[:16] == raw[:16]
    assert rebuilt[18:] == raw[18:]


def test_pack_equals_build():
    segment = TcpSegment(1, 2, 3, 4, tcp.ACK, 5, 6, TcpOptions(timestamps=(7, 8)), b"odd")
    packed = tcp.pack(pseudo_sum(*V4, 6), 1, 2, 3, 4, tcp.ACK, 5, 6, tcp.encode_timestamps(7, 8), b"odd")
    assert packed == tcp.build(segment, *V4)


@pytest.mark.parametrize(
    "segment",
    [
        TcpSegment(70000, 2, 3),
        TcpSegment(1, 2, 1 << 32),
        TcpSegment(1, 2, 3, options=TcpOptions(sack=((1, 2),) * 5)),
        TcpSegment(1, 2, 3, options=TcpOptions(mss=1 << 16)),
    ],
)
def test_values_out_of_range_are_the_callers_fault(segment):
    with pytest.raises(ValueError, match=r"tcp|options"):
        tcp.build(segment, *V4)


def test_quoted_ports():
    data = tcp.build(TcpSegment(1, 2, 3), *V4)
    assert tcp.quoted_ports(data[:8]) == (1, 2, 3)
    with pytest.raises(Malformed):
        tcp.quoted_ports(data[:7])


def test_flag_names():
    assert tcp.flag_names(tcp.SYN | tcp.ACK) == "SYN|ACK"
    assert tcp.flag_names(0) == "-"
