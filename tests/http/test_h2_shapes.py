"""Blocks that differ in their literals are read by what stays: it changes nothing about what they mean."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http.errors import HttpError, StreamError
from catenet.http.h2 import huffman
from catenet.http.h2.heads import HeadReader
from catenet.http.h2.hpack import Decoder, Memo

NUMBER = itertools.count(1000)
PATH, COOKIE, REFERER, LENGTH = 4, 32, 51, 28


def string(value, huff=True):
    coded = huffman.encode(value) if huff else value
    assert len(coded) < 127
    return bytes(((0x80 if huff else 0) | len(coded),)) + coded


def literal(index, value, huff=True, never=False):
    assert index < 127
    first = (0x10 if never else 0) | min(index, 15)
    return bytes((first,) if index < 15 else (first, index - 15)) + string(value, huff)


def named(name, value):
    return b"\x00" + string(name) + string(value)


# :method GET, :scheme http, :authority h (indexed), user-agent u (indexed): the table has two entries afterwards.
FIRST = b"\x82\x86\x41" + string(b"h") + b"\x84\x7a" + string(b"u")


def block(path=b"/a", *more):
    return b"\x82\x86\xbf" + literal(PATH, path) + b"\xbe" + b"".join(more)


def decoder(memo=None, limit=1 << 14):
    made = Decoder(HeadReader().request, memo or Memo(), limit)
    made.decode(FIRST)
    return made


def warm(*more, memo=None, limit=1 << 14):
    made = decoder(memo, limit)
    for _ in range(6):
        number = next(NUMBER)
        assert made.decode(block(b"/%d" % number, *more)).path == b"/%d" % number
    assert made._shape is not None
    return made


def meaning(decode, data):
    try:
        head = decode(data)
    except (HttpError, StreamError) as error:
        return type(error), str(error)
    if head is None or isinstance(head, tuple):
        return head
    return (head, head.length, head.special, head.expects)


paths = st.sampled_from([b"/", b"/a?b", b"", b"*", b"/ ", b"/\x7f", b"/\xff", b"/#", b"a", b"/" + b"x" * 60, b"/\r"])
values = st.sampled_from([b"", b"a", b" a", b"a ", b"a\nb", b"\0", b"\x80", b"a" * 60])
holes = st.lists(
    st.one_of(
        st.builds(literal, st.sampled_from([COOKIE, REFERER, LENGTH, 35, 38]), values, st.booleans(), st.booleans()),
        st.builds(named, st.sampled_from([b"x-a", b"te", b"X", b":path", b":scheme", b"connection"]), values),
        st.just(b"\x84"),
        st.just(b"\x3f"),
    ),
    max_size=3,
)
GOOD = literal(COOKIE, b"a=b", True, True), literal(REFERER, b"http://h/", False), named(b"x-a", b"y")


@settings(deadline=None, max_examples=200)
@given(paths, holes, st.integers(0, 3), st.integers(0, 80), st.integers(0, 255))
def test_a_block_means_the_same_whether_its_shape_is_known(path, more, keep, cut, byte):
    machine = warm(*GOOD)
    data = block(path, *GOOD[:keep], *more)
    damaged = data[:cut] + bytes((byte,)) + data[cut + 1 :]
    for one in (data, damaged, block(path, *GOOD), data[:cut]):
        fresh = decoder()
        expected = meaning(fresh.decode, one)
        found = machine._shape.read(one, 1 << 14)
        assert found is None or (found, found.length, found.special, found.expects) == expected
        if fresh._table.entries == machine._table.entries:
            assert meaning(warm(*GOOD).decode, one) == expected


def test_the_usual_ones_are_read_by_their_shape():
    machine = warm(*GOOD)
    head = machine._shape.read(block(b"/new", literal(COOKIE, b"c=d", True, True), *GOOD[1:]), 1 << 14)
    assert head == decoder().decode(block(b"/new", literal(COOKIE, b"c=d", True, True), *GOOD[1:]))
    assert head.get(b"cookie") == b"c=d" and head.authority == b"h" and head.scheme == b"http"


def test_another_table_is_another_meaning():
    machine = warm(*GOOD)
    machine.decode(b"\x82\x86\x41" + string(b"other") + b"\x84")  # what was the second entry is the third
    assert machine._table is not machine._shape_table
    found = meaning(machine.decode, block(b"/", *GOOD))
    fresh = decoder()
    fresh.decode(b"\x82\x86\x41" + string(b"other") + b"\x84")
    assert found == meaning(fresh.decode, block(b"/", *GOOD))


@pytest.mark.parametrize("odd", [literal(LENGTH, b"1"), named(b"te", b"trailers"), named(b"host", b"h"),
                                 named(b"expect", b"100-continue"), named(b":protocol", b"x")])  # fmt: skip
def test_what_says_more_than_that_it_is_there_has_no_shape(odd):
    machine = decoder()
    for number in range(8):
        meaning(machine.decode, block(b"/%d" % number, odd))
    assert machine._shape is None


def test_the_limit_counts_what_differs():
    machine = warm(limit=300)
    assert machine.decode(block(b"/" + b"x" * 100)) is None
    assert machine.decode(block(b"/x")).path == b"/x"


def test_secrets_are_not_remembered_and_others_are():
    memo = Memo()
    machine = warm(literal(COOKIE, b"sesame", True, True), memo=memo)
    before = memo._count, len(memo._once)
    for _ in range(5):
        machine.decode(block(b"/same", literal(COOKIE, b"other", True, True)))
    assert (memo._count, len(memo._once)) == before
    machine = warm(memo=memo)
    heads = [machine.decode(block(b"/again")) for _ in range(3)]
    assert heads[0] == heads[1] and heads[1] is heads[2]
    for number in range(5000):
        machine.decode(block(b"/%d" % number))
    assert len(memo._once) <= 4096


def test_connections_do_not_share_a_shape():
    memo = Memo()
    first = warm(literal(COOKIE, b"sesame", True, True), memo=memo)
    other = decoder(memo)
    assert first._shape is not None and other._shape is None
    head = other.decode(block(b"/", literal(COOKIE, b"mine", True, True)))
    assert head.get(b"cookie") == b"mine"
