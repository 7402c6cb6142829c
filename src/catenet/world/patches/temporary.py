"""`tempfile`: the temporary directory of a process is its host's, and it draws the names of its files itself.

The module has both once in an interpreter, also when that runs several processes, or has asked before it was forked.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

_original_directory = tempfile._gettempdir  # type: ignore[attr-defined]
_default_directory = tempfile._get_default_tempdir  # type: ignore[attr-defined]
_Names = tempfile._RandomNameSequence  # type: ignore[attr-defined]


def _directory(process: Process) -> str | bytes:
    """What `tempfile.gettempdir` returns: what the program has set, or the one that its environment names."""
    outside = process.host.machines_temporary
    if outside is None:
        found: str | bytes = _original_directory()
        return found
    # The very object: a program may set the same name.
    if tempfile.tempdir is not None and tempfile.tempdir is not outside:
        return tempfile.tempdir
    if tempfile.tempdir is None:  # by which a program asks to look again
        tempfile.tempdir = outside
        process.temporary = None
    if process.temporary is None:
        own = process.host.environment["TMPDIR"]
        usable = os.environ.get("TMPDIR") == own and os.access(own, os.W_OK | os.X_OK)
        process.temporary = own if usable else _default_directory()
    return process.temporary


def _names(process: Process) -> Iterator[str]:
    if process.file_names is None:
        process.file_names = _Names()
    return process.file_names


def apply(patcher: Patcher) -> None:
    """Patch what all functions of `tempfile` ask."""
    patcher.function(tempfile, "_gettempdir", _directory)
    patcher.function(tempfile, "_get_candidate_names", _names)
