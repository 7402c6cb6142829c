"""BIND's `$GENERATE`: records that differ by a number (BIND 9 Administrator Reference Manual, "Zone File")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["numbers_of_range", "substitute"]

_RANGE: Final = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?", re.ASCII)
_PLACE: Final = re.compile(r"\\\$|\$\$|\$(?:\{([^}]*)\})?")
_MODIFIER: Final = re.compile(r"(-?\d{1,10})(?:,(\d{1,3})(?:,([doxXnN]))?)?", re.ASCII)
MOST: Final = 0x7FFF_FFFF
MOST_RECORDS: Final = 1 << 20
"""Of one directive: more is a slip, which would fill the memory."""


def numbers_of_range(word: str) -> range:
    """The numbers of `FIRST-LAST` or `FIRST-LAST/STEP`. Raises ValueError."""
    match = _RANGE.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is no range; write FIRST-LAST or FIRST-LAST/STEP")
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if last > MOST:
        raise ValueError(f"{word!r} goes beyond {MOST}")
    if first > last or step < 1:
        raise ValueError(f"{word!r} is no range: it goes from a number up to a larger one, in steps of at least 1")
    numbers = range(first, last + 1, step)
    if len(numbers) > MOST_RECORDS:
        raise ValueError(f"{word!r} makes {len(numbers)} records; at most {MOST_RECORDS} are made")
    return numbers


def substitute(template: str, number: int) -> str:
    r"""The template with `$` and `${OFFSET,WIDTH,BASE}` replaced; `\$` and `$$` are dollars. Raises ValueError."""

    def place(match: re.Match[str]) -> str:
        if match[0] in ("\\$", "$$"):
            return "\\$"
        return str(number) if match[1] is None else _modified(match[1], number)

    return _PLACE.sub(place, template)


def _modified(modifier: str, number: int) -> str:
    match = _MODIFIER.fullmatch(modifier)
    if match is None:
        raise ValueError(
            f"'${{{modifier}}}' is no modifier; write ${{OFFSET,WIDTH,BASE}} with a base of d, o, x, X, n or N"
        )
    number += int(match[1])
    width, base = int(match[2] or 0), match[3] or "d"
    if number < 0:
        raise ValueError(f"'${{{modifier}}}' makes a number below 0")
    if base in "nN":
        text = ".".join(_nibbles(number, width))
        return text.upper() if base == "N" else text
    return format(number, f"0{width}{base}" if width else base)


def _nibbles(number: int, width: int) -> Iterator[str]:
    """Hexadecimal digits from the lowest on, as names below ip6.arpa have them; `width` counts the dots too."""
    left = width
    while True:
        yield format(number & 15, "x")
        number >>= 4
        left -= 2
        if number == 0 and left <= 0:
            return
