"""How far transfers are, on a terminal: a bar with rate and time left; nothing anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from catenet.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bar"]


class Bar:
    """One transfer's bar, on standard error. It shows itself with the first bytes."""

    def __init__(self, name: str, visible: bool) -> None:
        self._name = printable(name)
        self._visible = visible and sys.stderr is not None and sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self.total: int | None = None
        self.done = 0

    def begin(self, total: int | None, done: int = 0) -> None:
        """There are `total` bytes (None: nobody knows), of which `done` are there."""
        self.total, self.done = total, done
        if self._progress is not None and self._task is not None:
            self._progress.reset(self._task, total=total, completed=done)

    def advance(self, count: int) -> None:
        """So many more have come."""
        self.done += count
        if not self._visible:
            return
        if self._progress is None:
            self._show()
        assert self._progress is not None and self._task is not None
        self._progress.update(self._task, completed=self.done)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
        self._progress = Progress(
            *columns, Speed(), TimeRemainingColumn(), console=Console(stderr=True), transient=False
        )
        self._progress.start()
        self._task = self._progress.add_task(self._name, total=self.total, completed=self.done)

    def end(self) -> None:
        """Take the last look."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._task = None
