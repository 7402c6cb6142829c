"""Whether options are what they can be: one line that names the field, and the nearest valid choice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["check_choice", "check_numbers"]


def check_choice(field: str, value: object, choices: Iterable[str]) -> None:
    """Raise `ValueError` unless `value` is one of `choices`."""
    known = list(choices)
    if value in known:
        return
    near = difflib.get_close_matches(str(value).lower(), known, n=1)
    hint = f"; do you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{field}={value!r}: there are {', '.join(known)}{hint}")


def check_numbers(options: object, fields: Iterable[str], least: int = 0, none: bool = False) -> None:
    """Raise `ValueError` for a field that is no number of at least `least`; `none`: None will do."""
    for field in fields:
        value = getattr(options, field)
        if value is None and none:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= least:  # nor NaN
            raise ValueError(f"{field}={value!r}: must be a number of at least {least}{', or None' if none else ''}")
