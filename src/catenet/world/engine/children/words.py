"""Words of the messages between a kernel and a child (`wire.py`), and errors as they travel.

From the kernel: (thread, kind, now, value, signals): who goes on, with what, what time it is, and signals whose
handlers the main thread is to run first. From a child: a word and its arguments; its thread is the one in turn.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from catenet.posix.errors import CallNotModelled

__all__ = ["AGAIN", "DIE", "ERROR", "MAIN", "VALUE", "error_from", "packed_error"]

VALUE: Final = 0
ERROR: Final = 1
AGAIN: Final = 2
"""The call was interrupted by signals: it is to be made again when their handlers have run."""
DIE: Final = 3

MAIN: Final = 0
"""Number of a child's main thread."""

_ERRORS: Final[dict[str, type[Exception]]] = {
    each.__name__: each
    for each in (
        CallNotModelled,
        OSError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
        socket.gaierror,
        socket.herror,
    )
}


def packed_error(error: Exception) -> tuple[str, tuple[Any, ...]]:
    """An error as it travels: the name of a class and arguments; OSError makes its subclass of the number itself."""
    name = type(error).__name__
    if isinstance(error, OSError) and name not in _ERRORS:
        if isinstance(error, TimeoutError) and error.errno is None:
            return "TimeoutError", error.args
        name = "OSError"
    return (name if name in _ERRORS else "RuntimeError"), tuple([each for each in error.args if _travels(each)])


def _travels(value: object) -> bool:
    return value is None or isinstance(value, int | str | bytes | float)


def error_from(packed: tuple[str, tuple[Any, ...]]) -> Exception:
    """The error that has travelled."""
    name, args = packed
    return TimeoutError(*args) if name == "TimeoutError" else _ERRORS.get(name, RuntimeError)(*args)
