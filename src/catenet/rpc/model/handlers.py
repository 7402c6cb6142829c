"""What a handler is called and where it stands, for whoever has written it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from catenet.net.failures import Mistake

__all__ = ["check_handler", "place_of", "wrong_answer"]


def place_of(handler: Callable[..., Any]) -> str:
    """Return `module:function (file:line)`; without the place if it is no function of Python."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = inspect.unwrap(getattr(handler, "__func__", handler))
    name = f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"
    code = getattr(function, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def check_handler(handler: Callable[..., Any]) -> None:
    """Raise `ValueError` if it cannot be called with a request and a context."""
    try:
        signature = inspect.signature(handler, follow_wrapped=False)
    except (ValueError, TypeError):  # of a callable that does not tell
        return
    try:
        signature.bind(None, None)
    except TypeError:
        raise ValueError(f"{place_of(handler)} takes {signature}, and is called with (request, context)") from None


def wrong_answer(handler: Callable[..., Any], answer: object, wanted: str, verb: str = "returned") -> Mistake:
    """Return the error of a handler that answers what is none."""
    return Mistake(f"{place_of(handler)} {verb} {type(answer).__name__}, not {wanted}")
