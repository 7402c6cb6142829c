import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.rpc.client.picker import PickFirst, RoundRobin, picker_for


def test_pick_first():
    picker = PickFirst()
    picker.update(["a", "b"])
    assert (picker.pick(), picker.wanted()) == (None, ("a", "b"))
    picker.set_ready("b", True)
    picker.set_ready("a", True)
    assert (picker.pick(), picker.wanted()) == ("b", ("b",))
    picker.set_ready("b", False)
    assert picker.pick() is None
    picker.set_ready("a", True)
    picker.update(["b"])
    assert picker.pick() is None
    picker.set_ready("stranger", True)
    assert picker.pick() is None


@given(st.integers())
def test_round_robin_is_fair(seed):
    picker = RoundRobin(random.Random(seed))
    picker.update(["a", "b", "c"])
    for address in ("a", "b", "c"):
        picker.set_ready(address, True)
    picked = [picker.pick() for _ in range(9)]
    assert all(sorted(picked[start : start + 3]) == ["a", "b", "c"] for start in (0, 3, 6))
    picker.set_ready("b", False)
    assert sorted(picker.pick() for _ in range(4)) == ["a", "a", "c", "c"]
    picker.update(["c", "d"])
    assert [picker.pick() for _ in range(2)] == ["c", "c"]


def test_policies():
    assert isinstance(picker_for("round_robin", random.Random()), RoundRobin)
    assert isinstance(picker_for("pick_first", random.Random()), PickFirst)
    with pytest.raises(ValueError, match="there are pick_first"):
        picker_for("best", random.Random())
