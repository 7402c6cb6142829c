"""One run of several: a process of its own, what it printed, and why it failed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from catenet.cli import UsageError
from catenet.printable import shown, write

__all__ = ["Child"]

USAGE: Final = 2
_LINE: Final = re.compile(r"\S+ +\| ")
"""How lines of hosts begin."""


class Child:
    """A run whose figures and output are kept in a folder."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, *, alone: bool = False
    ) -> None:
        """Start it. `alone`: on one processor."""
        self._folder = folder
        folder.mkdir()
        before = os.sched_getaffinity(0) if alone else set()
        with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
            if alone:
                os.sched_setaffinity(0, {min(before)})
            try:
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
                )
            finally:
                if alone:
                    os.sched_setaffinity(0, before)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    def wait(self, seconds: float | None = None) -> int:
        """Wait until it is over and return its exit status; -1 after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return -1

    def stop(self) -> None:
        """End it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def status(self) -> int:
        """Its exit status."""
        return self._process.wait()

    def figures(self) -> dict[str, Any]:
        """Return what its `--json` holds; empty when it came to no end."""
        try:
            found = json.loads((self._folder / "figures.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def check_usage(self) -> None:
        """UsageError if it was for the command line, or the world file, that it did not run."""
        if self.status == USAGE and not self.figures():
            lines = self.text("stderr").splitlines() or ["it did not run"]
            raise UsageError(lines[-1].removeprefix("catenet: "))

    def text(self, stream: str) -> str:
        """Return what it printed on `stdout` or `stderr`."""
        return (self._folder / stream).read_bytes().decode(errors="replace")

    def lines(self) -> list[str]:
        """What its hosts printed, and what happened to them, line by line."""
        text = self.text("stdout") + self.text("stderr")
        return [line for line in text.split("\n") if _LINE.match(line)]

    def show(self, *, aside: bool = False) -> None:
        """Print what it printed; `aside`: all of it on standard error."""
        for stream, file in (("stdout", sys.stderr if aside else sys.stdout), ("stderr", sys.stderr)):
            if file is not None:
                write(shown(self.text(stream), file, keep="\n\t"), file)
                file.flush()

    def reason(self) -> str:
        """Say in one line why it failed; empty if it did not."""
        status = self.status
        if status == 0:
            return ""
        figures = self.figures()
        if figures.get("deadlock"):
            return f"deadlock: {figures['deadlock'].splitlines()[0]}"
        failed = [
            f"{process['host']}: {process['name']} ended with status {process['exit_status']}"
            for process in figures.get("processes", ())
            if process["end"] == "failed"
        ]
        if failed:
            return "; ".join(failed)
        if status < 0:
            return f"the run was killed by {signal.Signals(-status).name}"
        last = self.text("stderr").strip().rpartition("\n")[2]
        return f"the run ended with status {status}" + (f": {last}" if last else "")
