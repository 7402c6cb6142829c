"""The syntax of Sec-WebSocket-Extensions (RFC 6455 section 9.1)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Extension", "Parameters", "build_extensions", "is_token", "parse_extensions"]

Parameters = tuple[tuple[str, str | None], ...]
Extension = tuple[str, Parameters]
"""A name, and parameters in order; None is one without a value."""

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PIECE: Final = re.compile(rf"[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*)\"))?[ \t]*([,;]|$)")
_IS_TOKEN: Final = re.compile(_TOKEN)
_ESCAPED: Final = re.compile(r"\\(.)")
_MOST: Final = 64
"""Extensions and parameters in one field."""


def is_token(text: str) -> bool:
    """Whether `text` is a token (RFC 9110 section 5.6.2)."""
    return _IS_TOKEN.fullmatch(text) is not None


def parse_extensions(text: str) -> list[Extension]:
    """Return the extensions in a field's value. Raises `ValueError`."""
    found: list[tuple[str, list[tuple[str, str | None]]]] = []
    position, in_parameters = 0, False
    for _ in range(_MOST):
        if position >= len(text) and not in_parameters:
            return [(name, tuple(parameters)) for name, parameters in found]
        match = _PIECE.match(text, position)
        if match is None:
            break
        name, token, quoted, end = match.groups()
        value = token if quoted is None else _ESCAPED.sub(r"\1", quoted)
        if quoted is not None and not is_token(value):
            break  # section 9.1: what is quoted must be a token too
        if in_parameters:
            found[-1][1].append((name.lower(), value))
        elif value is None:
            found.append((name.lower(), []))
        else:
            break
        in_parameters = end == ";"
        position = match.end()
    raise ValueError("Sec-WebSocket-Extensions is malformed")


def build_extensions(extensions: list[Extension]) -> str:
    """Return the value of a field."""
    return ", ".join(
        "; ".join([name, *(key if value is None else f"{key}={value}" for key, value in parameters)])
        for name, parameters in extensions
    )
