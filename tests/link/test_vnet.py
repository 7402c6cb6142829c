"""The header that a TUN device puts before packets: what a stack learns of it, and what it says."""

import struct

import pytest

from catenet.link.vnet import accept, header_for
from catenet.wire import ip, tcp, udp
from catenet.wire.checksum import pseudo_sum
from catenet.wire.offload import Large, complete

ADDRESSES = {4: (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))), 6: (bytes(15) + b"\x01", bytes(15) + b"\x02")}
HEADER = struct.Struct("=BBHHHH")
START = {4: 20, 6: 40}


def tcp_packet(version: int, payload: bytes = b"data", summed: bool = False) -> bytes:
    source, destination = ADDRESSES[version]
    data = tcp.pack(pseudo_sum(source, destination, 6), 1, 2, 3, 4, tcp.ACK, 5, 0, b"", payload, summed)
    return ip.pack(source, destination, 6, data, 64)


def udp_packet(version: int, payload: bytes = b"data") -> bytes:
    source, destination = ADDRESSES[version]
    return ip.pack(source, destination, 17, udp.build(udp.UdpDatagram(1, 2, payload), source, destination), 64)


@pytest.mark.parametrize("version", [4, 6])
def test_a_segment_asks_for_its_checksum(version):
    assert HEADER.unpack(header_for(tcp_packet(version))) == (1, 0, 0, 0, START[version], 16)


@pytest.mark.parametrize("version", [4, 6])
def test_a_large_segment_asks_to_be_cut(version):
    header = HEADER.unpack(header_for(Large.of(tcp_packet(version, bytes(5000)), 1448)))
    assert header == (1, {4: 1, 6: 4}[version], START[version] + 20, 1448, START[version], 16)


@pytest.mark.parametrize("version", [4, 6])
def test_other_protocols_ask_for_nothing(version):
    assert header_for(udp_packet(version)) == bytes(10)
    assert header_for(tcp_packet(version, summed=True)) == bytes(10)


@pytest.mark.parametrize("version", [4, 6])
def test_a_long_frame_is_viewed_and_not_copied(version):
    packet = tcp_packet(version, bytes(5000))
    seen = accept(HEADER.pack(1, 1, 0, 1448, START[version], 16) + packet, 4096)
    assert isinstance(seen, memoryview)
    assert seen == packet


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"data", b"odd", b""])
def test_a_checksum_left_out_of_a_datagram_is_put_in(version, payload):
    whole = udp_packet(version, payload)
    source, destination = ADDRESSES[version]
    start = START[version]
    partial = (pseudo_sum(source, destination, 17) + 8 + len(payload)) % 65535
    without = whole[: start + 6] + partial.to_bytes(2, "big") + whole[start + 8 :]
    assert accept(HEADER.pack(1, 0, 0, 0, start, 6) + without, 4096) == whole


def test_an_impossible_checksum_position_changes_nothing():
    packet = udp_packet(4)
    assert accept(HEADER.pack(1, 0, 0, 0, 500, 6) + packet, 4096) == packet


def test_an_empty_frame_is_no_error():
    assert accept(bytes(10), 4096) == b""
    assert complete(tcp_packet(4, summed=True)) == tcp_packet(4, summed=True)
