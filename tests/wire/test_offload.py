"""Checksums left out and put in, large packets and their segments, in both IP versions."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.link.simulated import flip_bit
from catenet.stack.ip import fragments
from catenet.wire import Malformed, ip, tcp, udp
from catenet.wire.checksum import is_valid, pseudo_sum
from catenet.wire.offload import as_gso, complete, cut, is_unsummed

ADDRESSES = {4: (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))), 6: (bytes(15) + b"\x01", bytes(15) + b"\x02")}


def segment(version: int, payload: bytes, flags: int = tcp.ACK, offloaded: bool = False, seq: int = 1000) -> bytes:
    source, destination = ADDRESSES[version]
    options = tcp.encode_timestamps(7, 8)
    data = tcp.pack(pseudo_sum(source, destination, 6), 1, 2, seq, 3, flags, 500, 0, options, payload, not offloaded)
    return ip.pack(source, destination, 6, data, 64, 0, 77, True)


def datagram(version: int, payload: bytes, offloaded: bool = False) -> bytes:
    source, destination = ADDRESSES[version]
    data = udp.build(udp.UdpDatagram(1, 2, payload), source, destination, offload=offloaded)
    return ip.pack(source, destination, 17, data, 64, 0, 77, True)


PARSERS = {segment: tcp.parse, datagram: udp.parse}
MADE = pytest.mark.parametrize("make", PARSERS)


@MADE
@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(max_size=3000))
def test_completing_gives_the_packet_that_was_packed_whole(version, make, payload):
    whole = make(version, payload)
    assert complete(make(version, payload, offloaded=True)) == whole
    assert complete(whole) == whole


@pytest.mark.parametrize("version", [4, 6])
def test_a_sum_of_nothing_is_written_all_ones_in_datagrams(version):
    source, destination = ADDRESSES[version]
    fits = -(pseudo_sum(source, destination, 17) + 8) % 65535
    packet = datagram(version, bytes(fits), offloaded=True)
    start = 20 if version == 4 else 40
    assert packet[start + 6 : start + 8] == b"\xff\xff"
    assert is_unsummed(packet)
    assert complete(packet) == datagram(version, bytes(fits))


@pytest.mark.parametrize("version", [4, 6])
def test_completing_leaves_other_protocols_alone(version):
    source, destination = ADDRESSES[version]
    partial = (pseudo_sum(source, destination, 58) + 8) % 65535
    packet = ip.pack(source, destination, 58, bytes(6) + partial.to_bytes(2, "big"), 64)
    assert complete(packet) == packet


@MADE
@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(min_size=1, max_size=3000), mtu=st.integers(100, 1500))
def test_fragments_carry_a_whole_checksum(version, make, payload, mtu):
    packet = ip.parse(make(version, payload, offloaded=True))._replace(identification=7)
    pieces = fragments.split(packet, mtu)
    data = b"".join(bytes(piece.payload) for piece in pieces)
    assert data == ip.parse(make(version, payload)).payload


@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(min_size=1, max_size=6000), mss=st.integers(1, 1500), seq=st.integers(0, 0xFFFFFFFF))
def test_a_large_packet_is_cut_into_valid_segments(version, payload, mss, seq):
    flags = tcp.ACK | tcp.PSH | tcp.FIN | tcp.CWR
    pieces = cut(as_gso(segment(version, payload, flags, True, seq), mss))
    source, destination = ADDRESSES[version]
    collected, at = b"", seq
    for number, piece in enumerate(pieces):
        packet = ip.parse(complete(piece))
        parsed = tcp.parse(packet.payload, source, destination)
        assert parsed.seq == at & 0xFFFFFFFF
        assert parsed.options.timestamps == (7, 8)
        assert bool(parsed.flags & tcp.CWR) == (number == 0)
        assert bool(parsed.flags & (tcp.PSH | tcp.FIN)) == (piece is pieces[-1])
        if version == 4:
            assert packet.identification == 77 + number & 0xFFFF
        at += len(parsed.payload)
        collected += bytes(parsed.payload)
    assert collected == payload
    assert all(len(piece) <= mss + 72 for piece in pieces)


def test_a_pseudo_header_sum_is_no_checksum():
    packet = ip.parse(segment(4, b"some bytes", offloaded=True))
    assert not is_valid(packet.payload, pseudo_sum(packet.source, packet.destination, 6) + len(packet.payload))


@MADE
@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(max_size=100))
def test_a_receiver_knows_a_checksum_that_was_left_out(version, make, payload):
    source, destination = ADDRESSES[version]
    packet = make(version, payload, offloaded=True)
    assert is_unsummed(packet)
    data, parse = ip.parse(packet).payload, PARSERS[make]
    assert parse(data, source, destination, offload=True).payload == payload
    with pytest.raises(Malformed):
        parse(data, source, destination)


@MADE
@pytest.mark.parametrize("version", [4, 6])
@given(payload=st.binary(max_size=100), offloaded=st.booleans(), seed=st.integers(0, 1000))
def test_a_damaged_packet_is_never_believed(version, make, payload, offloaded, seed):
    damaged = flip_bit(make(version, payload, offloaded=offloaded), Random(seed))
    assert not is_unsummed(damaged)
    try:
        packet = ip.parse(damaged)
    except Malformed:
        return
    if packet.protocol == (6 if make is segment else 17) and not packet.is_fragment:
        same = (packet.hop_limit, packet.traffic_class, packet.flow_label) == (64, 0, 0)
        if same:
            with pytest.raises(Malformed):
                PARSERS[make](packet.payload, packet.source, packet.destination, offload=True)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("protocol", "where"), [(6, 16), (17, 6)])
def test_a_sum_of_nothing_may_be_written_as_all_ones(version, protocol, where):
    """Linux's sums are never 0, whatever addresses and length come to."""
    source, destination = ADDRESSES[version]
    rest = pseudo_sum(source[:-2] + bytes(2), destination, protocol) + 40
    source = source[:-2] + (-rest % 65535).to_bytes(2, "big")
    data = bytearray(40)
    data[12] = 0x50
    data[where : where + 2] = b"\xff\xff"
    assert is_unsummed(ip.pack(source, destination, protocol, bytes(data), 64))
    if protocol == 6:
        assert len(tcp.parse(bytes(data), source, destination, offload=True).payload) == 20
