"""A program as an end: what comes goes to its standard input, its standard output comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Mapping, Sequence
from typing import Final

from catenet.cli import UsageError
from catenet.net.ends import PipeEnd

__all__ = ["Program", "command_of"]

PATIENCE: Final = 2.0
"""Seconds for a program to end by itself when its input has ended, and again when it is told to."""
AFTERLIFE: Final = 0.2


def command_of(exec_line: str | None, shell_line: str | None) -> list[str] | None:
    """Return the words of `--exec` or `--shell`; None without both. Raises `UsageError`."""
    if shell_line is not None:
        return ["/bin/sh", "-c", shell_line]
    if exec_line is None:
        return None
    try:
        words = shlex.split(exec_line)
    except ValueError as error:
        raise UsageError(f"--exec {exec_line}: {error}") from None
    if not words:
        raise UsageError("--exec: which program?")
    if shutil.which(words[0]) is None:
        raise UsageError(f"--exec {exec_line}: {_why_not(words[0])}")
    return words


def _why_not(program: str) -> str:
    """Why nothing can be run by this name, as the kernel or a shell would say it."""
    if os.sep not in program:
        return f"no program {program!r} in PATH"
    if not os.path.exists(program):
        return f"no such file: {program}"
    return f"{program} is a directory" if os.path.isdir(program) else f"{program} may not be executed"


class Program:
    """A running program; `end` is its standard input and output."""

    def __init__(self, process: asyncio.subprocess.Process, end: PipeEnd) -> None:
        self.end = end
        self._process = process

    @classmethod
    async def start(cls, words: Sequence[str], variables: Mapping[str, str]) -> Program:
        """Start it, in a session of its own. Raises `OSError`."""
        its_input, ours_out = os.pipe2(os.O_CLOEXEC)
        ours_in, its_output = os.pipe2(os.O_CLOEXEC)
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=its_input,
                stdout=its_output,
                start_new_session=True,
                env={**os.environ, **variables},
                preexec_fn=_keep_standard_streams,
            )
        except BaseException:
            os.close(ours_in)
            os.close(ours_out)
            raise
        finally:
            os.close(its_input)
            os.close(its_output)
        for descriptor in (ours_in, ours_out):
            os.set_blocking(descriptor, False)
        loop = asyncio.get_running_loop()
        return cls(process, PipeEnd(loop, ours_in, ours_out, words[0], afterlife=AFTERLIFE))

    async def finish(self) -> int:
        """See to it that it ends, and return its exit status; negative: the signal that ended it."""
        self.end.close()
        for signo in (signal.SIGTERM, signal.SIGKILL):
            try:
                async with asyncio.timeout(PATIENCE):
                    return await self._process.wait()
            except TimeoutError:
                self._kill(signo)
        return await self._process.wait()

    def kill(self) -> None:
        """End it and what it has started, at once."""
        self._kill(signal.SIGKILL)

    def _kill(self, signo: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signo)


def _keep_standard_streams() -> None:
    """Let a program inherit nothing else: uvloop's copies of its streams would keep them open when it closes them."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if int(name) > 2:
                os.set_inheritable(int(name), False)
