import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import Malformed
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, CapturedPacket, PcapngWriter, read_pcapng


def capture():
    file = io.BytesIO()
    writer = PcapngWriter(file)
    alice = writer.add_interface("alice/eth0")
    bob = writer.add_interface("bob", LINKTYPE_ETHERNET)
    writer.write(alice, 1.000000001, b"\x45abc")
    writer.write(bob, 2.5, b"frame", comment="lost")
    return file.getvalue()


def test_round_trip():
    first, second = read_pcapng(capture())
    assert first == CapturedPacket(0, "alice/eth0", pytest.approx(1.000000001, abs=1e-10), b"\x45abc", 4, LINKTYPE_RAW)
    assert second == CapturedPacket(1, "bob", 2.5, b"frame", 5, LINKTYPE_ETHERNET)


def test_an_offset_keeps_the_nanoseconds():
    file = io.BytesIO()
    writer = PcapngWriter(file, offset=1_735_689_600)
    writer.add_interface("a")
    writer.write(0, 1.000000001, b"x")
    (packet,) = read_pcapng(file.getvalue())
    assert (packet.offset, packet.time) == (1_735_689_600, pytest.approx(1.000000001, abs=1e-10))


def test_snap_length_cuts_but_remembers():
    file = io.BytesIO()
    writer = PcapngWriter(file, snap_length=3)
    writer.add_interface("a")
    writer.write(0, 0.0, b"abcdef")
    (packet,) = read_pcapng(file.getvalue())
    assert (packet.data, packet.original_length) == (b"abc", 6)


def test_big_endian_microseconds_and_unknown_blocks():
    def block(kind, body):
        return struct.pack(">II", kind, len(body) + 12) + body + struct.pack(">I", len(body) + 12)

    data = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(">HHI", 101, 0, 0)) + block(0x99, b"skip")
    data += block(6, struct.pack(">IIIII", 0, 0, 1_500_000, 4, 4) + b"data") + block(3, struct.pack(">I", 4) + b"more")
    packets = list(read_pcapng(data))
    assert [(packet.time, packet.data) for packet in packets] == [(1.5, b"data"), (0.0, b"more")]


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 255))
def test_garbage_raises_only_malformed(tail, position, value):
    data = bytearray(capture() + tail)
    data[position % len(data)] = value
    try:
        list(read_pcapng(bytes(data)))
    except Malformed:
        pass
