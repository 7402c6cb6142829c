"""Exceptions that nobody can catch, handed to `sys.unraisablehook` as the interpreter does."""

from __future__ import annotations

import functools
import sys
from typing import Any

__all__ = ["write_unraisable"]


class _Raiser:
    """Its end raises what nobody can catch."""

    def __del__(self) -> None:
        raise RuntimeError


@functools.cache
def _arguments_type() -> Any:
    """The type of the hook's argument, which has no name: only the interpreter makes such objects."""
    found: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda arguments: found.append(type(arguments))
    try:
        _Raiser()
    finally:
        sys.unraisablehook = hook
    return found[0]


def write_unraisable(message: str, thing: object) -> None:
    """Tell the hook of the exception that is being handled: `message` says what was ignored, `thing` where."""
    kind, error, trace = sys.exc_info()
    sys.unraisablehook(_arguments_type()((kind, error, trace, message, thing)))
