"""Telling an interrupt of the program from an exception of the code that it interrupted.

The interpreter runs signal handlers between two instructions of whatever the main thread executes, and what they raise
(Ctrl-C, or `sys.exit()` in a handler of SIGTERM) goes up through that code. A server must not take that for a failure
of the call which happened to run, nor the `sys.exit()` of a call for the end of the program.
"""

from __future__ import annotations

import asyncio
import dis
import signal
import threading
from types import FrameType, TracebackType

__all__ = ["is_interrupt"]

_RAISE = dis.opmap["RAISE_VARARGS"]


def is_interrupt(error: BaseException) -> bool:
    """Whether a signal handler raised this, so that it is for the program and not for the call; cheap if it is not.

    A handler in Python is a frame of the traceback whose caller was handed to it (`signal.signal`: `handler(signum,
    frame)`). The interpreter's own for Ctrl-C has no frame: it raises where there is no `raise`.
    """
    if isinstance(error, Exception | asyncio.CancelledError):
        return False
    traceback = error.__traceback__
    if traceback is None or threading.current_thread() is not threading.main_thread():
        return False
    while (inner := traceback.tb_next) is not None:
        if _was_handed(inner.tb_frame, traceback.tb_frame):
            return True
        traceback = inner
    return isinstance(error, KeyboardInterrupt) and not _at_raise(traceback) and _raises_on_a_signal()


def _was_handed(frame: FrameType, caller: FrameType) -> bool:
    values = frame.f_locals.values()
    return any(value is caller or (type(value) is tuple and any(one is caller for one in value)) for value in values)


def _at_raise(traceback: TracebackType) -> bool:
    code = traceback.tb_frame.f_code.co_code
    return traceback.tb_lasti < len(code) and code[traceback.tb_lasti] == _RAISE


def _raises_on_a_signal() -> bool:
    return any(signal.getsignal(number) is signal.default_int_handler for number in signal.valid_signals())
