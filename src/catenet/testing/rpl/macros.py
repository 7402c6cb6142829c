"""`${…}` in expressions and expected files: variables, arithmetic from left to right, a few functions."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

__all__ = ["MacroError", "expand"]

_VARIABLE: Final = re.compile(r"\$(\w+)")
_OPERATION: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([-+*/])\s*(\d+(?:\.\d+)?)")


class MacroError(ValueError):
    """A macro has no value: a variable that is not set, a value out of its range, a brace that is not closed."""


def expand(text: str, variables: Mapping[str, str], now: float, timeout: float) -> str:
    """Replace each `${…}` in `text` by its value.

    Args:
        text: may hold macros, also within macros.
        variables: values of names, which may hold macros too.
        now: what `${time}` says, in seconds.
        timeout: what `${timeout}` says: seconds until the resolver does something by itself.

    Raises:
        MacroError: a macro has no value.
    """
    while (start := text.find("${")) >= 0:
        end = _closing(text, start)
        inner = expand(text[start + 2 : end], variables, now, timeout)
        text = text[:start] + _value(inner, variables, now, timeout) + text[end + 1 :]
    return text


def _closing(text: str, start: int) -> int:
    depth = 0
    for at in range(start, len(text)):
        if text.startswith("${", at):
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
    raise MacroError(f"no brace closes {text[start:]!r}")


def _value(text: str, variables: Mapping[str, str], now: float, timeout: float) -> str:
    if text == "time":
        return str(int(now))
    if text == "timeout":
        return str(int(timeout))
    text = _arithmetic(_VARIABLE.sub(lambda found: _variable(found[1], variables), text))
    word, _, rest = text.partition(" ")
    if word == "ctime":
        return time.asctime(time.gmtime(_number(rest)))
    if word == "range":
        return _range(rest)
    return text


def _variable(name: str, variables: Mapping[str, str]) -> str:
    try:
        return variables[name]
    except KeyError:
        raise MacroError(f"${name} is not set") from None


def _arithmetic(text: str) -> str:
    while (found := _OPERATION.search(text)) is not None:
        first, sign, second = float(found[1]), found[2], float(found[3])
        if sign == "/" and not second:
            raise MacroError(f"{found[0]}: division by zero")
        results = {"+": first + second, "-": first - second, "*": first * second}
        result = results[sign] if sign in results else first / second
        text = f"{text[: found.start()]}{result:.12g}{text[found.end() :]}"
        if result < 0:
            break
    return text


def _range(text: str) -> str:
    words = text.split()
    if len(words) != 3:
        raise MacroError(f"range needs three numbers, not {text!r}")
    least, value, most = map(_number, words)
    if not least <= value <= most:
        raise MacroError(f"{value:.12g} is not between {least:.12g} and {most:.12g}")
    return f"{value:.12g}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise MacroError(f"{text!r} is no number") from None
