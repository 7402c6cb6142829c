"""Type hints as checks of values: whether what came is what the class says of its field.

A hint that says nothing that can be checked here (a protocol, a callable, a type variable) checks nothing. As the type
system has it, an int is a float, and a bool an int. What is in containers is looked at too, each pair of container and
hint once.
"""

from __future__ import annotations

import struct
import types
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Union

from catenet.codec.graph.integers import FloatWidth, IntWidth

__all__ = ["MAY_BE", "Check", "Todo", "checks_of", "look", "run"]

Todo = list[tuple[str, Any, "Check"]]
Check = Callable[[Any, Todo], str]
"""Return what is wrong with a value, or nothing; what is inside of it is put off to `todo`."""

MAY_BE: dict[type, tuple[type, ...]] = {
    float: (float, int),
    complex: (complex, float, int),
    bytes: (bytes, bytearray, memoryview),
}
"""What else will do for a class."""


def checks_of(hint: Any, none: bool = False) -> Check | None:
    """Return the check of a hint, or None if it allows anything. `none`: None is the default, so it is allowed."""
    check = _of(hint, 0)
    if check is None or not none:
        return check
    inner = check
    return lambda value, todo: "" if value is None else inner(value, todo)


def look(name: str, value: Any, check: Check, todo: Todo) -> None:
    """Check a field; raise `ValueError` that names it. What is inside is put off to `todo`."""
    inner: Todo = []
    wrong = check(value, inner)
    if wrong:
        raise ValueError(f"{name}: {wrong}")
    todo += [(name, one, further) for _, one, further in inner]


def run(todo: Todo) -> None:
    """Check what was put off; raise `ValueError` that names the field."""
    seen: set[tuple[int, int]] = set()
    while todo:
        name, value, check = todo.pop()
        key = (id(value), id(check))
        if isinstance(value, (list, tuple, dict, set, frozenset)):
            if key in seen:
                continue
            seen.add(key)
        look(name, value, check, todo)


def _of(hint: Any, depth: int) -> Check | None:
    if depth > 50 or hint is Any or isinstance(hint, (str, typing.ForwardRef, typing.TypeVar)):
        return None
    if hint is None or hint is type(None):
        return lambda value, todo: "" if value is None else f"must be None, not {_named(value)}"
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _annotated(hint, depth)
    if origin is Literal:
        allowed = typing.get_args(hint)
        return lambda value, todo: "" if value in allowed else f"must be one of {allowed}"
    if origin in (Union, types.UnionType):
        return _union([_of(one, depth + 1) for one in typing.get_args(hint)])
    if isinstance(hint, typing.NewType):
        return _of(hint.__supertype__, depth + 1)
    if isinstance(origin, type):
        return _container(origin, typing.get_args(hint), depth)
    return _class(hint) if isinstance(hint, type) else None


def _class(cls: type) -> Check | None:
    if cls is object or getattr(cls, "_is_protocol", False):
        return None
    allowed = MAY_BE.get(cls, (cls,))

    def check(value: Any, todo: Todo) -> str:
        return "" if isinstance(value, allowed) else f"must be {cls.__qualname__}, not {_named(value)}"

    return check


def _named(value: Any) -> str:
    return type(value).__qualname__


def _annotated(hint: Any, depth: int) -> Check | None:
    base = _of(hint.__origin__, depth + 1)
    width = next((one for one in hint.__metadata__ if isinstance(one, (IntWidth, FloatWidth))), None)
    if isinstance(width, IntWidth):
        low, high = width.lowest, width.highest

        def in_range(value: Any, todo: Todo) -> str:
            if not isinstance(value, int):
                return base(value, todo) if base else f"must be int, not {_named(value)}"
            return "" if low <= value <= high else f"must be from {low} to {high}"

        return in_range
    if width is not None and width.bits == 32:

        def fits(value: Any, todo: Todo) -> str:
            if not isinstance(value, (int, float)):
                return base(value, todo) if base else f"must be float, not {_named(value)}"
            try:
                struct.pack("<f", value)
            except (OverflowError, struct.error):
                return "is beyond the range of a float of 32 bits"
            return ""

        return fits
    return base


def _union(checks: list[Check | None]) -> Check | None:
    known = [check for check in checks if check is not None]
    if len(known) != len(checks):
        return None

    def check(value: Any, todo: Todo) -> str:
        complaints = []
        for one in known:
            inner: Todo = []
            wrong = one(value, inner)
            if not wrong:
                # Which of two lists is meant shows in what they hold: only a single candidate is looked into.
                if len(known) <= 2:
                    todo += inner
                return ""
            complaints.append(wrong)
        return complaints[0]

    return check


def _container(origin: type, arguments: tuple[Any, ...], depth: int) -> Check | None:
    outer = _class(origin)
    if outer is None or not arguments:
        return outer
    of_items: Callable[[Any, Todo], None]
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return _fixed_tuple(outer, [_of(one, depth + 1) for one in arguments])
    if origin in (list, set, frozenset, tuple):
        of_items = _items(_of(arguments[0], depth + 1), iter)
    elif origin is dict and len(arguments) == 2:
        keys = _items(_of(arguments[0], depth + 1), iter)
        values = _items(_of(arguments[1], depth + 1), lambda value: value.values())

        def of_items(value: Any, todo: Todo) -> None:
            keys(value, todo)
            values(value, todo)
    else:
        return outer

    def check(value: Any, todo: Todo) -> str:
        wrong = outer(value, todo)
        if not wrong:
            of_items(value, todo)
        return wrong

    return check


def _items(check: Check | None, each: Callable[[Any], Iterable[Any]]) -> Callable[[Any, Todo], None]:
    if check is None:
        return lambda value, todo: None

    def look(value: Any, todo: Todo) -> None:
        todo.extend(("", one, check) for one in each(value))

    return look


def _fixed_tuple(outer: Check, checks: list[Check | None]) -> Check:
    def check(value: Any, todo: Todo) -> str:
        wrong = outer(value, todo)
        if not wrong and len(value) != len(checks):
            return f"must have {len(checks)} members, not {len(value)}"
        if not wrong:
            todo.extend(("", one, check) for one, check in zip(value, checks, strict=True) if check is not None)
        return wrong

    return check
