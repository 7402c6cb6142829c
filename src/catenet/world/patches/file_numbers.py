"""Numbers of files (inodes): programs put them into ETags, FTP's listings and names of locks, and so into packets.

A host's programs see them count from NUMBERS, in the order in which they ask, which is the same in every run. Two names
of one file have one number, and a file keeps its number while its host runs. A file to which the file system gives the
number of one that is gone has that one's here too, as on any machine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.host import Host

__all__ = ["apply", "number_of"]

NUMBERS: Final = 1000
"""The number of the first file."""

_lstat: Final = os.lstat


def number_of(host: Host, status: os.stat_result) -> int:
    """The number that a host's programs see. Descriptors of the host itself, which have no device, have their own."""
    if not status.st_dev:
        return status.st_ino
    boot, numbers = host.file_numbers
    if boot != host.boots:
        numbers = {}
        host.file_numbers = host.boots, numbers
    return numbers.setdefault((status.st_dev, status.st_ino), NUMBERS + len(numbers))


def apply(patcher: Patcher) -> None:
    """Patch the one way to a number that leads round `os.stat`; the status of files asks this module itself."""
    original = os.DirEntry.inode

    def inode(entry: os.DirEntry[str]) -> int:
        task = current.task
        if task is None or task.process.world.is_real:
            return original(entry)
        try:
            status = _lstat(entry.path)
        except OSError:  # gone, or of a directory by descriptor
            return original(entry)
        return number_of(task.process.host, status)

    patcher.method(os.DirEntry, "inode", copy_identity(inode, original))
