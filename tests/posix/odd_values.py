"""What the scenarios of odd arguments share: odd values, and results that both sides can show.

Every such scenario gives a dictionary from a call, written out, to what came of it: a difference names its call.
"""

from __future__ import annotations

import array
import math
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Index:
    """An int by `__index__` alone."""

    def __index__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return "Index()"


class Broken:
    """Fails where a number is asked for."""

    def __index__(self) -> int:
        raise ZeroDivisionError("broken")

    def fileno(self) -> int:
        raise ZeroDivisionError("broken")

    def __repr__(self) -> str:
        return "Broken()"


class Fileno:
    """Something with a descriptor that may be no number."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def fileno(self) -> Any:
        return self.number

    def __repr__(self) -> str:
        return f"Fileno({self.number!r})"


class Text(str):
    """A str of a class of its own."""


class Nothing:
    """Nothing that any call takes."""

    def __repr__(self) -> str:
        return "Nothing()"


BIG = [1 << 31, -(1 << 31), -(1 << 31) - 1, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 1 << 100]
SMALL = [-1, 0, 1, 9, 255, 256, 1024, 1025, 65535, 65536, (1 << 31) - 1]
NUMBERS: tuple[Any, ...] = (None, True, 1.5, math.nan, "x", b"x", [], Nothing(), Index(), Broken(), *SMALL, *BIG)
"""What is given for an int."""


def released() -> memoryview:
    view = memoryview(bytearray(3))
    view.release()
    return view


def readable() -> list[Any]:
    """What is given for bytes to send."""
    whole = memoryview(b"abcdef")
    plain = [b"", b"abc", bytearray(b"abc"), whole, whole[::2], whole[::-1], array.array("i", [1, 2])]
    return [*plain, memoryview(bytearray(6)).cast("B", (2, 3)), released(), "abc", None, 5, [b"abc"], Nothing()]


def writable() -> list[Any]:
    """What is given for memory to receive into."""
    nine = memoryview(bytearray(9))
    return [
        *readable(),
        *(bytearray(size) for size in (0, 3, 300)),
        nine[2:7],
        nine[::2],
        nine.toreadonly(),
        array.array("b"),
    ]


def tell(thing: Any) -> Any:
    """A result as both sides can show it."""
    if isinstance(thing, socket.socket):
        found = (thing.family, thing.type, thing.proto, thing.gettimeout())
        thing.close()
        return found
    if isinstance(thing, tuple | list):
        return type(thing)(tell(part) for part in thing)
    return thing


def told(call: Callable[..., Any], *args: Any, **words: Any) -> Any:
    """Result, or class, errno and text of the exception."""
    try:
        return tell(call(*args, **words))
    except Exception as error:
        text = re.sub(r"0x[0-9a-f]+", "0x…", str(error))
        return type(error).__name__, getattr(error, "errno", None), text


def written(call: str, args: Iterable[Any]) -> str:
    shown = (re.sub(r" at 0x[0-9a-f]+", "", repr(arg)) for arg in args)
    return f"{call}({', '.join(text if len(text) < 80 else text[:77] + '…' for text in shown)})"


def varied(good: tuple[Any, ...], *odd: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Good arguments with one of them replaced at a time; `odd` has what each is replaced by."""
    yield good
    for place, things in enumerate(odd):
        for thing in things:
            yield (*good[:place], thing, *good[place + 1 :])
