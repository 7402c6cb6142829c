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


def check_numbers(
    options: object,
    fields: Iterable[str],
    least: float = 0,
    most: float | None = None,
    *,
    none: bool = False,
    whole: bool = False,
) -> None:
    """Raise `ValueError` for a field that is no number from `least` to `most`.

    `none`: None will do; `whole`: a float will not.
    """
    for field in fields:
        value = getattr(options, field)
        if value is None and none:
            continue
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not value >= least or (most is not None and value > most):  # NaN is neither
            kind = "a whole number" if whole else "a number"
            bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise ValueError(f"{field}={value!r}: must be {kind} {bounds}{', or None' if none else ''}")
