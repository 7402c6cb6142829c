"""The folder of a run in which its hosts have theirs: by the same name in every run, as programs see it."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["state_folder"]


@contextmanager
def state_folder() -> Iterator[Path]:
    """Make a folder by the first name that is free, and remove it at the end: runs at the same time have others."""
    for number in itertools.count():
        folder = Path(tempfile.gettempdir()) / f"catenet-{os.geteuid()}-{number}"
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            continue
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
