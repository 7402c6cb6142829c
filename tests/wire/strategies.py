"""Hypothesis strategies for wire values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from catenet.wire.tcp import TcpOptions, TcpSegment

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
versions = st.sampled_from((4, 6))


def addresses(version: int) -> Any:
    size = 4 if version == 4 else 16
    return st.binary(min_size=size, max_size=size)


address_pairs = versions.flatmap(lambda version: st.tuples(addresses(version), addresses(version)))
cookies = st.sampled_from((0, 4, 6, 8, 10, 12, 14, 16)).flatmap(lambda size: st.binary(min_size=size, max_size=size))
u24 = st.integers(0, 0xFFFFFF)

# Not all options fit 40 bytes together, so a segment has one of the combinations that can occur.
tcp_options = st.one_of(
    st.just(TcpOptions()),
    st.builds(
        TcpOptions,
        mss=st.none() | u16,
        window_scale=st.none() | u8,
        sack_permitted=st.booleans(),
        timestamps=st.none() | st.tuples(u32, u32),
    ),
    st.builds(
        TcpOptions,
        sack=st.lists(st.tuples(u32, u32), max_size=3).map(tuple),
        timestamps=st.none() | st.tuples(u32, u32),
    ),
    st.builds(TcpOptions, sack=st.lists(st.tuples(u32, u32), max_size=4).map(tuple)),
    st.builds(
        TcpOptions,
        mss=st.none() | u16,
        accecn=st.none() | st.tuples(st.integers(0, 1), st.lists(u24, max_size=3).map(tuple)),
        user_timeout=st.none() | u16,
    ),
    st.builds(TcpOptions, fast_open=cookies, fast_open_experimental=st.booleans(), mss=st.none() | u16),
    st.builds(TcpOptions, md5=st.binary(min_size=16, max_size=16), mss=st.none() | u16),
    st.builds(TcpOptions, ao=st.binary(min_size=2, max_size=20)),
    st.builds(
        TcpOptions,
        unknown=st.lists(st.tuples(st.sampled_from((6, 9, 30, 253)), st.binary(max_size=6)), max_size=4).map(tuple),
    ),
)

tcp_segments = st.builds(
    TcpSegment, u16, u16, u32, u32, st.integers(0, 0x1FF), u16, u16, tcp_options, st.binary(max_size=60)
)
