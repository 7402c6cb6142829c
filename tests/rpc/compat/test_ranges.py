"""Ranges of reserved numbers: the same as looking at each number."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.compat.ranges import Ranges

NUMBERS = st.integers(0, 30)
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6)


@given(ranges=RANGES, old=st.tuples(NUMBERS, NUMBERS))
def test_what_is_missing_is_what_none_of_them_has(ranges, old):
    have = {number for start, end in ranges for number in range(start, end + 1)}
    made = Ranges(ranges)
    assert {number for number in range(32) if number in made} == have
    found = made.missing(old)
    assert [number for start, end in found for number in range(start, end + 1)] == [
        number for number in range(old[0], old[1] + 1) if number not in have
    ]
    assert all(end + 1 < start for (_, end), (start, _) in pairwise(found))
