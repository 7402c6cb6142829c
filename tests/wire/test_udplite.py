"""UDP-Lite datagrams: what is built is read; what the checksum does not cover may change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import udplite
from catenet.wire.errors import Malformed
from catenet.wire.udp import UdpDatagram

PORTS = st.integers(0, 65535)
COVERED = st.one_of(st.just(0), st.integers(8, 65535))


@pytest.mark.parametrize("size", [4, 16])
@given(data=st.binary(max_size=60), ports=st.tuples(PORTS, PORTS), covered=COVERED)
def test_round_trip(size: int, data: bytes, ports: tuple[int, int], covered: int) -> None:
    source, destination = bytes(range(1, size + 1)), bytes(range(50, size + 50))
    datagram = UdpDatagram(*ports, data)
    built = udplite.build(datagram, source, destination, covered)
    assert udplite.parse(built, source, destination) == datagram
    length = 8 + len(data)
    assert udplite.coverage(built) == (covered if 0 < covered < length else length)
    for at in range(length):
        changed = bytes([*built[:at], built[at] ^ 0x40, *built[at + 1 :]])
        if at >= udplite.coverage(built):
            assert udplite.parse(changed, source, destination).payload != data
        elif not 4 <= at < 6:  # another coverage, which may be as right by chance
            with pytest.raises(Malformed):
                udplite.parse(changed, source, destination)


def test_malformed() -> None:
    source, destination = bytes(4), bytes(4)
    built = udplite.build(UdpDatagram(1, 2, b"data"), source, destination)
    for data in (built[:7], built[:4] + b"\0\x07" + built[6:], built[:4] + b"\0\x0d" + built[6:], built[:6] + b"\0\0"):
        with pytest.raises(Malformed):
            udplite.parse(data, source, destination)
    with pytest.raises(ValueError, match="cover"):
        udplite.build(UdpDatagram(1, 2, b""), source, destination, 7)
    with pytest.raises(ValueError, match="ports"):
        udplite.build(UdpDatagram(1, 70_000, b""), source, destination)
