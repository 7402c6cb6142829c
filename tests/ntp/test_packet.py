import math
import random
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catenet.ntp.errors import Malformed
from catenet.ntp.packet import MAX_PACKET, Extension, Mac, Mode, Packet, parse
from catenet.ntp.timestamp import (
    difference,
    from_unix,
    from_unix_ns,
    short_from_seconds,
    short_to_seconds,
    to_unix,
)

ERA_1 = 2_085_978_496.0
"""The Unix time at which timestamps begin anew: 7 February 2036, 06:28:16."""

octets = st.binary(max_size=60)
macs = st.builds(Mac, st.integers(0, 2**32 - 1), st.sampled_from((b"", b"m" * 16, b"s" * 20)))
packets = st.builds(
    Packet,
    mode=st.integers(0, 7),
    version=st.integers(1, 4),
    leap=st.integers(0, 3),
    stratum=st.integers(0, 255),
    poll=st.integers(-128, 127),
    precision=st.integers(-128, 127),
    root_delay=st.integers(0, 2**32 - 1),
    root_dispersion=st.integers(0, 2**32 - 1),
    reference_id=st.binary(min_size=4, max_size=4),
    reference=st.integers(0, 2**64 - 1),
    origin=st.integers(0, 2**64 - 1),
    receive=st.integers(0, 2**64 - 1),
    transmit=st.integers(0, 2**64 - 1),
    extensions=st.lists(st.builds(Extension, st.integers(0, 65535), octets), max_size=4).map(tuple),
    mac=st.none() | macs,
).filter(lambda packet: packet.version == 4 or not packet.extensions)


@given(packets)
def test_what_can_be_built_is_read_back(packet):
    data = packet.build()
    assert len(data) % 4 == 0
    found = parse(data)
    assert found.build() == data
    assert replace(found, extensions=()) == replace(packet, extensions=())
    for one, original in zip(found.extensions, packet.extensions, strict=True):
        assert (one.type, one.body.rstrip(b"\0")) == (original.type, original.body.rstrip(b"\0"))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: Packet().build() + tail))
@example(b"")
@example(b"\x23" * (MAX_PACKET + 4))
@example(Packet().build() + b"\0\1\0\0" * 7)
def test_octets_of_anybody_are_a_packet_or_malformed(data):
    try:
        packet = parse(data)
    except Malformed:
        return
    assert packet.build() == data


@pytest.mark.parametrize(
    ("tail", "why"),
    [
        (b"\1\4\0\x1a" + bytes(24), "an extension field of 26 octets"),
        (b"\1\4\0\x0c" + bytes(24), "an extension field of 12 octets"),
        (b"\1\4\1\0" + bytes(24), "an extension field of 256 octets"),
        (bytes(12), "12 octets at the end are no MAC"),
    ],
)
def test_what_is_wrong_is_said(tail, why):
    with pytest.raises(Malformed, match=why):
        parse(Packet().build() + tail)


def test_version_5_and_version_0_are_not_read():
    for first in (0x2B, 0x03):
        with pytest.raises(Malformed, match="version"):
            parse(bytes([first]) + bytes(47))


OLD = Packet(version=3, extensions=(Extension(1, bytes(28)),))


def test_packets_before_version_4_have_no_fields():
    data = replace(OLD, version=4).build()
    with pytest.raises(Malformed, match="an extension field in a packet of version 3"):
        parse(bytes((0x1B,)) + data[1:])


def test_a_field_out_of_range_is_the_callers_mistake():
    for wrong in (Packet(stratum=256), Packet(transmit=-1), Packet(mac=Mac(1, b"short")), OLD):
        with pytest.raises(ValueError):
            wrong.build()


def test_the_last_field_without_a_mac_cannot_be_taken_for_one():
    data = Packet(extensions=(Extension(0x104, b"x"),)).build()
    assert len(data) == 48 + 28
    assert len(Packet(extensions=(Extension(0x104, b"x"),), mac=Mac(1, bytes(16))).build()) == 48 + 16 + 20


def test_kiss_codes():
    assert Packet(mode=Mode.SERVER, reference_id=b"RATE").kiss_code == "RATE"
    assert Packet(mode=Mode.SERVER, reference_id=b"\xff\x1b\0\0").kiss_code == "\\xff\x1b"
    assert Packet(mode=Mode.SERVER, stratum=1, reference_id=b"GPS\0").kiss_code == ""
    assert Packet(mode=Mode.CLIENT, reference_id=b"RATE").kiss_code == ""


near_2036 = st.floats(ERA_1 - 1e6, ERA_1 + 1e6)


@given(near_2036, st.floats(-1e6, 1e6))
@example(ERA_1, -1.0)
@example(ERA_1 - 0.5, 1.0)
def test_times_around_the_end_of_an_era(time, distance):
    other = time + distance
    assert math.isclose(difference(from_unix(other), from_unix(time)), other - time, abs_tol=1e-6)
    assert math.isclose(to_unix(from_unix(other), time), other, abs_tol=1e-6)


def test_the_era_wraps_in_2036():
    assert from_unix(ERA_1 - 1) == 0xFFFFFFFF << 32
    assert from_unix(ERA_1) == 1  # 0 would say that the time is not known
    assert from_unix(ERA_1 + 1) == 1 << 32
    assert from_unix_ns(int(ERA_1 - 1) * 10**9) == 0xFFFFFFFF << 32
    assert difference(from_unix(ERA_1 + 1), from_unix(ERA_1 - 1)) == 2.0


def test_nanoseconds_and_seconds_agree():
    rng = random.Random(3)
    for _ in range(200):
        time = rng.randrange(0, 4 * 10**18)
        assert abs(difference(from_unix_ns(time), from_unix(time / 1e9))) < 1e-6


@given(st.floats(0, 65535))
def test_short_durations_are_rounded_up(seconds):
    assert 0 <= short_to_seconds(short_from_seconds(seconds)) - seconds <= 2**-16


def test_short_durations_end():
    assert short_from_seconds(1e9) == 2**32 - 1
    assert short_from_seconds(-1) == 0
