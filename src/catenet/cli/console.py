"""What a run shows: each host's lines behind its name, events of the world, and a progress line in its time.

The streams are those of the moment of making, because within a run `sys.stdout` is the running program's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

__all__ = ["Console"]

COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""SGR codes of hosts in their order: cyan, yellow, green, magenta, blue, and their bright kin."""

DIM: Final = 2


class Console:
    """Shows lines of hosts; on a terminal with colours and a progress line at the bottom."""

    def __init__(self, hosts: Iterable[str], label: str) -> None:
        self._out: TextIO = sys.stdout
        self._err: TextIO = sys.stderr
        names = list(hosts)
        self._width = max((len(name) for name in [*names, "world"]), default=5)
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        self._label = label
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self._coloured = {stream: stream.isatty() and not plain for stream in (self._out, self._err)}
        self._live = self._coloured[self._err]
        self._status = ""
        self.now: Callable[[], float] = float

    def line(self, host: str, stream: str, text: str) -> None:
        """Show one line that a host's program wrote."""
        self._print(self._out if stream == "stdout" else self._err, host, text, self._colours.get(host, DIM))

    def announce(self, text: str) -> None:
        """Show that something happens to the world."""
        self._print(self._out, "world", f"{self.now():.3f} s: {text}", DIM)

    def progress(self, now: float) -> None:
        """Show how far the world's time has come."""
        if self._live:
            self._wipe()
            self._status = f"{self._label}: {now:.1f} s"
            self._err.write(f"\x1b[{DIM}m{self._status}\x1b[0m")
            self._err.flush()

    def finish(self) -> None:
        """Take the progress line away."""
        self._wipe()
        self._err.flush()

    def rich(self) -> RichConsole:
        """A console of rich for tables, as wide as a file may be when it is no terminal."""
        from rich.console import Console as RichConsole

        return RichConsole(file=self._out, width=None if self._out.isatty() else 120, highlight=False)

    def _print(self, out: TextIO, name: str, text: str, colour: int) -> None:
        status = self._status
        self._wipe()
        head = f"{name:<{self._width}} |"
        if self._coloured[out]:
            head = f"\x1b[{colour}m{head}\x1b[0m"
        out.write(f"{head} {text}\n")
        out.flush()
        if status:
            self._status = status
            self._err.write(f"\x1b[{DIM}m{status}\x1b[0m")
            self._err.flush()

    def _wipe(self) -> None:
        if self._status:
            self._err.write("\r\x1b[K")
            self._status = ""
