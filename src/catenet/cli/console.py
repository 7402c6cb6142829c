"""What a run shows: each host's lines behind its name, events of the world, and a progress line in its time.

The streams are those of the moment of making, because within a run `sys.stdout` is the running program's.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TextIO

from catenet.printable import printable, say, shown, write

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Console"]

COLOURS: Final = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""SGR codes of hosts in their order: cyan, yellow, green, magenta, blue, and their bright variants."""

DIM: Final = 2


def _is_plain() -> bool:
    """Whether colours are unwanted. It is asked on terminals only: a variable that is missing raises within, and takes
    memory from which programs have theirs, whose addresses would depend on it (`world/engine/layout.py`).
    """
    return "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


class Console:
    """Shows lines of hosts; on a terminal with colours and a progress line at the bottom.

    `aside`: all goes to standard error, for what is to stand on standard output stands there alone. `quiet`: only what
    programs print, and what goes wrong. `timestamps`: each line has its time. `tables`: they are shown wherever they
    go; otherwise on a terminal, where a person looks.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        label: str,
        *,
        aside: bool = False,
        quiet: bool = False,
        timestamps: bool = False,
        tables: bool = False,
    ) -> None:
        self._err: TextIO = sys.stderr
        self._out: TextIO = self._err if aside else sys.stdout
        self._quiet = quiet
        self._timestamps = timestamps
        names = list(hosts)
        self._width = max((len(name) for name in [*names, "world"]), default=5)
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        self._label = printable(label)
        self._coloured = {stream: stream.isatty() and not _is_plain() for stream in (self._out, self._err)}
        self._live = self._coloured[self._err] and not quiet
        self._tables = not quiet and (tables or self._out.isatty())
        self._status = ""
        self._failed: OSError | None = None
        self.now: Callable[[], float] = float
        self.epoch = 0.0
        """What the clock of the day shows when `now` is 0, in seconds since 1970."""

    def line(self, host: str, stream: str, text: str) -> None:
        """Show one line that a host's program wrote. That it cannot be shown is told by `check`: not to the program."""
        if self._failed is None:
            try:
                self._print(self._out if stream == "stdout" else self._err, host, text, self._colours.get(host, DIM))
            except OSError as error:
                self._failed = error

    def check(self) -> None:
        """Raise the `OSError` of a line that could not be shown."""
        if self._failed is not None:
            raise self._failed

    def announce(self, text: str) -> None:
        """Show that something happens to the world."""
        if self._quiet:
            return
        self._print(self._out, "world", shown(f"{self.now():.3f} s: {text}", self._out), DIM)

    def progress(self, now: float) -> None:
        """Show how far the world's time has come. Raises `OSError` if lines cannot be shown any more."""
        self.check()
        if self._live:
            self._wipe()
            self._status = _cut(f"{self._label}: {now:.1f} s", self._columns())
            write(f"\x1b[{DIM}m{self._status}\x1b[0m", self._err)
            self._err.flush()

    def finish(self) -> None:
        """Take the progress line away. Raises `OSError` if lines could not be shown."""
        self.check()
        self._wipe()
        self._err.flush()

    def tables(self, make: Callable[[], Iterable[Table]]) -> None:
        """Show tables, if that is wanted."""
        from catenet.tables import show

        for table in make() if self._tables else ():
            show(table, self._out)

    def say(self, text: str) -> None:
        """Show a line that is no host's."""
        if not self._quiet:
            say(text, file=self._out)

    def complain(self, text: str) -> None:
        """Show a line that is no host's, and no good news."""
        say(text, file=self._err)

    def _print(self, out: TextIO, name: str, text: str, colour: int) -> None:
        status = self._status
        self._wipe()
        head = f"{shown(name, out):<{self._width}} |"
        if self._coloured[out]:
            head = f"\x1b[{colour}m{head}\x1b[0m"
        if self._timestamps:
            head = f"{head} {self._timestamp()}"
        write(f"{head} {text}\n", out)
        out.flush()
        if status:
            self._status = status
            write(f"\x1b[{DIM}m{status}\x1b[0m", self._err)
            self._err.flush()

    def _timestamp(self) -> str:
        """The time of the day in the world (RFC 3339), as in its programs' logs and in captures of its packets."""
        moment = datetime.fromtimestamp(self.epoch, UTC) + timedelta(seconds=self.now())
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _wipe(self) -> None:
        if self._status:
            self._err.write("\r\x1b[K")
            self._status = ""

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._err.fileno()).columns or 80
        except OSError:
            return 80


def _cut(text: str, columns: int) -> str:
    """Cut what stands for a moment only to less than a line, which the next one can wipe away."""
    room = columns - 1
    for position, character in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 0:
            return text[:position]
    return text
