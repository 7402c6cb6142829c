from hypothesis import given
from hypothesis import strategies as st

from catenet.wire import checksum


def reference(data):
    """RFC 1071, word by word."""
    if len(data) % 2:
        data += b"\0"
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | data[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=200))
def test_equals_the_loop_over_words(data):
    assert checksum.checksum(data) == reference(data)


def test_checksums_of_both_zeros_of_ones_complement():
    assert checksum.checksum(b"\0\0") == 0xFFFF
    assert checksum.checksum(b"\xff\xff") == 0
    assert not checksum.is_valid(b"\0\0")


@given(st.binary(min_size=4, max_size=100), st.integers(0, 0xFFFF))
def test_incremental_update_is_the_full_sum(data, word):
    data = b"\x01" + data[1 : len(data) // 2 * 2]
    old = data[2] << 8 | data[3]
    changed = data[:2] + word.to_bytes(2, "big") + data[4:]
    assert checksum.update(checksum.checksum(data), old, word) == checksum.checksum(changed)


@given(st.binary(max_size=2000))
def test_residue_is_the_sum_with_bytes_swapped(data):
    assert (checksum.residue(data) << 8) % 65535 == checksum.sum_words(data) % 65535


@given(st.binary(min_size=1, max_size=64))
def test_a_packet_with_its_checksum_is_valid(data):
    data = b"\x45" + data + bytes(1 - len(data) % 2)
    value = checksum.checksum(data)
    assert checksum.is_valid(data + value.to_bytes(2, "big"))
