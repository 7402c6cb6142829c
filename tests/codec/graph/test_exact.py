"""What is taken for right at a glance is right: the slow check finds nothing wrong with it."""

from __future__ import annotations

import collections
import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NewType, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.codec.graph import u8
from catenet.codec.graph.checks import checks_of, look, run
from catenet.codec.graph.exact import exact_of


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    one: int
    other: str


@dataclass(frozen=True)
class Base:
    number: int = 0


class Heir(Base):
    pass


class Texts(list[str]):
    pass


_LEAVES = [int, float, complex, str, bytes, bool, None, Base, Heir, Pair, Colour, list, dict, tuple, set, Texts]
_LEAVES += [Any, object, Annotated[int, u8], Annotated[str, "told"], Literal["a", 1], NewType("Name", str)]


def _containers(inner: Any) -> Any:
    single = st.builds(lambda kind, one: kind[one], st.sampled_from([list, set, frozenset, collections.deque]), inner)
    rows = st.builds(lambda one: tuple[one, ...], inner)
    fixed = st.builds(lambda one, other: tuple[one, other], inner, inner)
    tables = st.builds(lambda one, other: dict[one, other], inner, inner)
    unions = st.builds(lambda some: Union[tuple(some)], st.lists(inner, min_size=1, max_size=4))  # noqa: UP007 - of any
    return single | rows | fixed | tables | unions


def _hashable(value: Any) -> bool:
    return not isinstance(value, bytearray)


_HINTS = st.recursive(st.sampled_from(_LEAVES), _containers, max_leaves=5)
_SCALARS = st.sampled_from(
    [0, 7, 300, True, 1.5, 2j, "a", "b", b"x", bytearray(b"x"), None, Base(), Heir(), Pair(1, "x"), Colour.RED, ()]
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(_SCALARS.filter(_hashable), max_size=3).map(set)
        | st.lists(_SCALARS.filter(_hashable), max_size=3).map(frozenset)
        | st.dictionaries(_SCALARS.filter(_hashable), inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.lists(st.sampled_from([1, "a"]), max_size=2).map(Texts)
    ),
    max_leaves=5,
)


def _right(value: Any, check: Any) -> bool:
    todo: Any = []
    try:
        look("field", value, check, todo)
        run(todo)
    except ValueError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(hint=_HINTS, none=st.booleans(), value=_VALUES)
def test_nothing_is_taken_for_right_that_is_refused(hint: Any, none: bool, value: Any) -> None:
    check = checks_of(hint, none)
    if check is not None:
        exact = exact_of(hint, none)
        if type(value) in exact.types or exact.holds(value):
            assert _right(value, check)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 1), (float, 1), (str, "a"), (Base | None, None), (Base, Base()), (list[Base], [Base(), Base()]),
        (list[int | None] | None, [1, None]), (dict[str, float], {"a": 1, "b": 1.5}), (tuple[str, ...], ("a", "b")),
        (list[Any], [1, "a"]), (frozenset[int], frozenset((1, 2))), (Annotated[str, "told"], "a"),
    ],
)  # fmt: skip
def test_the_usual_is_seen_at_a_glance(hint: Any, value: Any) -> None:
    exact = exact_of(hint)
    assert type(value) in exact.types or exact.holds(value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (list[int] | list[str], ["a"]), (list[int] | list, ["a"]), (list | list[int], ["a"]),
        (tuple[int, ...] | Pair, Pair(1, "x")), (dict[str, int] | dict[str, str], {"a": "b"}),
        (dict[str, int] | dict, {"a": "b"}), (tuple[int, str] | tuple[str, ...], ("a", "b")),
        (list[int], ["a"]), (list[list[int]], [[1]]), (tuple[int, str], (1, "a")), (Annotated[int, u8], 1),
        (Base, Heir()), (Literal["a"], "a"), (dict[str, int], {1: 1}), (list[int], Texts(["a"])),
    ],
)  # fmt: skip
def test_the_rest_is_looked_at_closely(hint: Any, value: Any) -> None:
    exact = exact_of(hint)
    assert type(value) not in exact.types and not exact.holds(value)
