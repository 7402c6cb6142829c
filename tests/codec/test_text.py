"""Lines and newlines: the same whether a stream comes whole or in pieces, with limits, without quadratic cost."""

import itertools
import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catenet.codec.text import ANY, CRLF, LF, Lines, LineTooLong, Newlines

TEXT = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"bc", b""])).map(b"".join)
CUTS = st.lists(st.integers(0, 40))


def pieces(data, cuts):
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[one:two] for one, two in itertools.pairwise(places)] or [b""]


def expected(data, ending):
    ends = {LF: rb"\r?\n", CRLF: rb"\r\n", ANY: rb"\r\n|\r|\n"}[ending]
    return re.split(ends, data)


@given(TEXT, CUTS, st.sampled_from([LF, CRLF, ANY]))
@example(b"a\r\nb", [2], ANY)
@example(b"a\r\rb\r\n\n", [2, 6], LF)
@example(b"\r\n", [1], CRLF)
def test_lines_do_not_depend_on_pieces(data, cuts, ending):
    lines = Lines(100, ending)
    found = [line for piece in pieces(data, cuts) for line in lines.feed(piece)]
    assert [*found, lines.end()] == expected(data, ending)
    assert lines.held == 0


@pytest.mark.parametrize("ending", [LF, CRLF, ANY])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_line_has_its_limit_whether_it_ends_or_not(ending, step):
    for data in (b"x" * 10 + b"\r\n", b"x" * 10):
        lines = Lines(10, ending)
        for start in range(0, len(data), step):
            lines.feed(data[start : start + step])
    for data in (b"x" * 11 + b"\r\n", b"x" * 12, b"x" * 11 + b"y\r"):
        lines = Lines(10, ending)
        with pytest.raises(LineTooLong, match="longer than 10 bytes") as caught:
            for start in range(0, len(data), step):
                lines.feed(data[start : start + step])
        assert caught.value.limit == 10


def test_a_long_line_byte_by_byte_costs_no_square():
    lines = Lines(1 << 20)
    for _ in range(100_000):
        assert lines.feed(b"x") == []
        assert lines.held <= 100_000
    assert lines.feed(b"\n") == [b"x" * 100_000]


@pytest.mark.parametrize(("limit", "ending"), [(0, LF), (5, 7)])
def test_wrong_calls(limit, ending):
    with pytest.raises(ValueError):
        Lines(limit, ending)
    with pytest.raises(ValueError, match="no newline"):
        Newlines(b"\r")


@given(TEXT, CUTS, st.sampled_from([b"\n", b"\r\n"]))
@example(b"a\r\n", [2], b"\n")
@example(b"\r\r\n", [1, 2], b"\r\n")
def test_newlines_do_not_depend_on_pieces(data, cuts, to):
    change = Newlines(to)
    found = b"".join([*map(change.feed, pieces(data, cuts)), change.end()])
    assert found == re.sub(rb"\r?\n", lambda _: to, data)


def test_translation_is_undone():
    data = bytes(random.Random(1).choices(b"ab\n", k=10_000))
    there, back = Newlines(b"\r\n"), Newlines(b"\n")
    assert back.feed(there.feed(data)) + back.end() == data
