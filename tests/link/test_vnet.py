"""The header that a TUN device puts before packets: what a stack learns of it, and what it says."""

import struct

import pytest

from catenet.link.vnet import accept, header_for
from catenet.wire import ip, tcp, udp
from catenet.wire.checksum import pseudo_sum
from catenet.wire.offload import as_gso, complete

ADDRESSES = {4: (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))), 6: (bytes(15) + b"\x01", bytes(15) + b"\x02")}
HEADER = struct.Struct("=BBHHHH")
START = {4: 20, 6: 40}


def tcp_packet(version: int, payload: bytes = b"data", summed: bool = False) -> bytes:
    source, destination = ADDRESSES[version]
    data = tcp.pack(pseudo_sum(source, destination, 6), 1, 2, 3, 4, tcp.ACK, 5, 0, b"", payload, summed)
    return ip.pack(source, destination, 6, data, 64)


def udp_packet(version: int, payload: bytes = b"data", summed: bool = True) -> bytes:
    source, destination = ADDRESSES[version]
    data = udp.build(udp.UdpDatagram(1, 2, payload), source, destination, offload=not summed)
    return ip.pack(source, destination, 17, data, 64)


@pytest.mark.parametrize("version", [4, 6])
def test_packets_ask_for_their_checksums(version):
    assert HEADER.unpack(header_for(tcp_packet(version))) == (1, 0, 0, 0, START[version], 16)
    assert HEADER.unpack(header_for(udp_packet(version, summed=False))) == (1, 0, 0, 0, START[version], 6)


@pytest.mark.parametrize("version", [4, 6])
def test_a_large_segment_asks_to_be_cut(version):
    header = HEADER.unpack(header_for(as_gso(tcp_packet(version, bytes(5000)), 1448)))
    assert header == (1, {4: 1, 6: 4}[version], START[version] + 20, 1448, START[version], 16)


@pytest.mark.parametrize("version", [4, 6])
def test_what_has_its_checksum_asks_for_nothing(version):
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
def test_a_datagram_is_taken_as_the_kernel_has_left_it(version, payload):
    packet = udp_packet(version, payload, summed=False)
    assert accept(HEADER.pack(1, 0, 0, 0, START[version], 6) + packet, 4096) == packet


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("payload", [b"data", b"odd", b""])
def test_a_checksum_left_out_inside_of_a_tunnel_is_put_in(version, payload):
    source, destination = ADDRESSES[version]
    around = ip.pack(source, destination, 47, b"\0\0\x08\0", 64)
    inner = ip.parse(udp_packet(version, payload)).payload
    partial = (pseudo_sum(source, destination, 17) + 8 + len(payload)) % 65535
    without = inner[:6] + partial.to_bytes(2, "big") + inner[8:]
    frame = HEADER.pack(1, 0, 0, 0, len(around), 6) + around + without
    assert accept(frame, 4096) == around + inner


def test_an_impossible_checksum_position_changes_nothing():
    packet = udp_packet(4)
    assert accept(HEADER.pack(1, 0, 0, 0, 500, 6) + packet, 4096) == packet


def test_an_empty_frame_is_no_error():
    assert accept(bytes(10), 4096) == b""
    assert complete(tcp_packet(4, summed=True)) == tcp_packet(4, summed=True)
