"""What handlers raise, brought to the log: each failure with its call and its traceback, a flood of one kind counted.

An exception is logged as an error. A program that has not configured logging gets it on standard error: the logging
module's last resort.
"""

from __future__ import annotations

import logging
import threading
import traceback as tracebacks
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from catenet.printable import printable

__all__ = ["BURST", "KINDS", "FailureLog", "Mistake", "bounded", "text_of"]

MAX_TEXT: Final = 8 << 10
"""Characters of a message, or of the text of one exception, that are logged; requests get into both."""
MAX_TRACEBACK: Final = 64 << 10
"""Characters of a traceback that are logged, with those of the exceptions before it."""

BURST: Final = 10
"""Failures of one kind that are shown at once; after that one in each INTERVAL, and the others are counted."""
INTERVAL: Final = 1.0
"""Seconds."""
KINDS: Final = 256
"""Kinds that are kept apart; what is beyond is forgotten, the oldest first."""

_CALLERS: Final = ("catenet.rpc.", "catenet.http.", "catenet.net.", "asyncio.", "concurrent.futures.")
"""Modules between the event loop and a handler."""

Kind = tuple[str, str, int]
"""What failed, the type of the exception, the line that raised it."""


class Mistake(TypeError):
    """A handler has not kept to what is asked of it; the text names its line, which is on no traceback."""


@dataclass(slots=True)
class _Budget:
    """How many more failures of a kind may be shown, as of when; how many were not."""

    left: float
    when: float
    hidden: int = 0

    def spend(self, now: float) -> bool:
        """Refill, and take one if there is one."""
        self.left = min(self.left + (now - self.when) / INTERVAL, BURST)
        self.when = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class FailureLog:
    """The failures of one server, in the log of `logger`. Threads may use it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._kinds: dict[Kind, _Budget] = {}
        self._lock = threading.Lock()

    def digest(self, now: float) -> None:
        """Log how many failures were not shown, of the kinds of which one may be shown again."""
        if self._kinds:
            self._tell(lambda budget: budget.spend(now))

    def close(self) -> None:
        """Log how many failures were not shown, of all kinds."""
        self._tell(lambda budget: True)
        self._kinds.clear()

    def failed(self, what: str, caller: str, error: BaseException, now: float, kind: str = "") -> None:
        """Log that `what`, which `caller` asked for, has ended with `error`; `now` in seconds of any clock.

        What the same line of code raises for the same `kind` is shown as often as `BURST` and `INTERVAL` say; without
        `kind` that is `what`.
        """
        traceback = _without_ours(error.__traceback__)
        key = (kind or what, type(error).__qualname__, _last_line(traceback))
        with self._lock:
            budget = self._kinds.get(key)
            if budget is None:
                if len(self._kinds) >= KINDS:
                    self._kinds.pop(next(iter(self._kinds)))
                budget = self._kinds[key] = _Budget(BURST, now)
            shown = budget.spend(now)
            more, budget.hidden = (budget.hidden, 0) if shown else (0, budget.hidden + 1)
        if shown:
            text = f" ({more:,} more were not shown)" if more else ""
            if isinstance(error, Mistake):
                self._logger.error("%s called by %s failed: %s%s", what, caller, error, text)
                return
            details = (type(error), error, traceback)
            self._logger.error("%s called by %s failed: %s%s", what, caller, key[1], text, exc_info=details)

    def _tell(self, may: Callable[[_Budget], bool]) -> None:
        with self._lock:
            due = [(kind, budget) for kind, budget in self._kinds.items() if budget.hidden and may(budget)]
            counts = [(kind, budget.hidden) for kind, budget in due]
            for _, budget in due:
                budget.hidden = 0
        for (what, name, _), count in counts:
            self._logger.error("%s failed: %s, %s more were not shown", what, name, f"{count:,}")


def text_of(error: BaseException) -> str:
    """Return the text of an exception that a handler raised, or its type's name; its `__str__` may raise too."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return text or type(error).__name__


def _cut(text: str, limit: int) -> str:
    """Return the text with what is beyond a limit left out of its middle: tracebacks end with what matters."""
    excess = len(text) - limit
    if excess <= 0:
        return text
    return f"{text[: limit // 2]}... ({excess:,} characters cut) ...{text[-(limit // 2) :]}"


def bounded(record: logging.LogRecord) -> bool:
    """Bound one record and escape what would forge lines or move a terminal; `exc_info` stays as it is.

    A filter for the logger of a `FailureLog`.
    """
    message = record.getMessage()
    safe = printable(_cut(message, MAX_TEXT))
    if safe != message:
        record.msg, record.args = safe, ()
    if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
        kind, error, traceback = record.exc_info
        record.exc_text = _rendered(tracebacks.TracebackException(kind, error, traceback, compact=True))
    return True


def _rendered(told: tracebacks.TracebackException) -> str:
    """Return a traceback as the logging module shows it, the text of each exception on a line of bounded length."""
    left = [told]
    while left:
        one = left.pop()
        vars(one)["_str"] = printable(_cut(str(one), MAX_TEXT))
        # Whatever a program has put there, a text or not.
        notes = getattr(one, "__notes__", None)
        if isinstance(notes, list | tuple):
            one.__notes__ = [printable(_cut(str(note), MAX_TEXT)) for note in notes[:10]]
        left += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other is not None]
    text = _cut("".join(told.format()).rstrip("\n"), MAX_TRACEBACK)
    return printable(text, keep="\n\t")


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out how the handler was called; what is left begins with its own code, unless it never came to that."""
    own = traceback
    while own is not None and str(own.tb_frame.f_globals.get("__name__", "")).startswith(_CALLERS):
        own = own.tb_next
    return own or traceback


def _last_line(traceback: TracebackType | None) -> int:
    line = 0
    while traceback is not None:
        line, traceback = traceback.tb_lineno, traceback.tb_next
    return line
