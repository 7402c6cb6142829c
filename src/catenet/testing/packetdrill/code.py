"""Code blocks: Python that checks what the stack says of a connection at that moment.

All blocks of a script share one namespace. Before each, the `tcpi_` values of the socket under test are put into it, as
`getsockopt(TCP_INFO)` of Linux would give them.

A block is any Python, so that it may end its interpreter, replace it, close its files or leave threads behind. Blocks
hence run in a child process of the script's own, which is made at the first of them and answers each with what went
wrong; whatever keeps it from answering fails the script.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from textwrap import dedent
from typing import Any, BinaryIO, Final, NoReturn

from catenet.testing.packetdrill.symbols import TCP_INFO_SYMBOLS

__all__ = ["CodeRunner"]

_PATIENCE: Final = 10.0
"""Seconds of real time that threads of a script's blocks may go on after its end."""
_GRACE: Final = 1.0
"""Seconds of real time that a child may take to end when it has closed its files."""


class CodeRunner:
    """Runs the blocks of one script."""

    def __init__(self) -> None:
        self._pid = 0
        self._requests: BinaryIO | None = None
        self._answers: BinaryIO | None = None

    def run(self, text: str, values: Mapping[str, int]) -> str | None:
        """Run a block with the values of the moment; what went wrong, None for nothing."""
        if not self._pid:
            self._start()
        return self._ask({"text": dedent(text), "values": dict(values)})

    def finish(self) -> str | None:
        """The script is over: what went wrong in threads, at the interpreter's end or with it, None for nothing."""
        return self._ask({}) if self._pid else None

    def close(self) -> None:
        """Put an end to the child, if there is one; to be called in any case."""
        for pipe in (self._requests, self._answers):
            if pipe is not None:
                pipe.close()
        self._requests = self._answers = None
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _start(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what is buffered would be written by both
        requests, answers = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the child does not need
            pid = os.fork()
        if not pid:
            try:
                os.close(requests[1])
                os.close(answers[0])
                _serve(requests[0], answers[1])
            finally:
                os._exit(1)
        os.close(requests[0])
        os.close(answers[1])
        self._pid = pid
        self._requests, self._answers = os.fdopen(requests[1], "wb"), os.fdopen(answers[0], "rb")

    def _ask(self, request: dict[str, Any]) -> str | None:
        assert self._requests is not None
        assert self._answers is not None
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
            answer = self._answers.readline()
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            return f"the code ended its interpreter ({self._reap()}): a block has to come to its end"
        wrong: str | None = json.loads(answer)
        return wrong

    def _reap(self) -> str:
        """Wait for the end of the child, which says nothing any more; how it ended."""
        until = time.monotonic() + _GRACE
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        while not pid:
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)  # it may have become another program, or have closed its files
            time.sleep(0.001)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        self._pid = 0
        code = os.waitstatus_to_exitcode(status)
        return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


def _serve(requests: int, answers: int) -> NoReturn:
    """The child: run block after block until the parent wants no more."""
    _begin_anew()
    process = os.getpid()
    namespace: dict[str, object] = {"__name__": "packetdrill", **TCP_INFO_SYMBOLS}
    left: list[str] = []
    threading.excepthook = lambda args: left.append(_error_of(args.exc_value, "a thread of the code"))
    sys.unraisablehook = lambda args: left.append(_error_of(args.exc_value, "the code"))
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            if request:
                namespace.update(request["values"])
                wrong = _run(request["text"], namespace)
            else:
                wrong = _end()
            if os.getpid() != process:
                break  # a block has forked: the copy has nothing to say
            _flush()
            os.write(answers, json.dumps(wrong or (left[0] if left else None)).encode() + b"\n")
    os._exit(0)


def _begin_anew() -> None:
    """Forget what the parent has set up for its own end and for signals."""
    atexit._clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(text: str, namespace: dict[str, object]) -> str | None:
    try:
        exec(compile(text + "\n\n", "<code>", "exec"), namespace)  # a last line may end in a backslash
    except AssertionError as error:
        return f"assertion failed: {_assertion(text, error)}"
    except SystemExit as error:
        return f"the code called sys.exit({error.code!r}): a block has to come to its end"
    except BaseException as error:  # whatever it is, it is the block's
        return _error_of(error, "code")
    return None


def _end() -> str | None:
    """End the interpreter of a code block as Python ends: wait for threads, call exit handlers."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(_PATIENCE)
            if thread.is_alive():
                return f"thread {thread.name} of the code does not end"
    atexit._run_exitfuncs()
    return None


def _flush() -> None:
    """Show what the block has printed, if its output is still there."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _error_of(error: BaseException | None, where: str) -> str:
    return f"{type(error).__name__} in {where}: {error}"


def _assertion(text: str, error: AssertionError) -> str:
    """The source of the assertion and the value that the script attached to it."""
    frames = traceback.extract_tb(error.__traceback__)
    number = next((frame.lineno for frame in reversed(frames) if frame.filename == "<code>"), None)
    lines = text.splitlines()
    source = lines[number - 1].strip() if number and number <= len(lines) else "assert"
    return source + (f" (value: {error})" if str(error) else "")
