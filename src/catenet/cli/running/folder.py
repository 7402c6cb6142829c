"""The folder of a run in which its hosts have theirs: by the same name in every run, as programs see it."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catenet.folder.partial import is_name_of

__all__ = ["state_folder"]


@contextmanager
def state_folder(*what: object) -> Iterator[Path]:
    """Make an empty folder with a name that follows from what is run, and remove it at the end.

    Another run of the same at the same time gets another name; what a killed run has left is used again.
    """
    digest = hashlib.sha256(repr((os.geteuid(), *what)).encode()).hexdigest()[:8]
    for number in itertools.count():
        folder = Path(tempfile.gettempdir()) / (f"catenet-{digest}-{number}" if number else f"catenet-{digest}")
        lock = _lock(folder)
        if lock is None:
            continue
        try:
            for path in [*folder.iterdir()]:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
        return


def _lock(folder: Path) -> int | None:
    """Make a folder, if there is none, and lock it for this run; None if it is another's."""
    while True:
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            pass
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # removed meanwhile by the run whose it was
            continue
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not is_name_of(None, str(folder), descriptor):
            os.close(descriptor)
            continue
        if os.fstat(descriptor).st_uid == os.geteuid():
            return descriptor
        os.close(descriptor)
        return None
