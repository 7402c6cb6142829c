"""What a host's process leaves behind when it ends in the midst of its work: memory that the world's process has too.

An answer comes at the end of a request. What programs have said before, and which have started and ended, would be
lost with a process that gives none. So the process notes these things here as well, and the time of the turns that it
gives its programs. A note costs a system call, the time a store.
"""

from __future__ import annotations

import contextlib
import marshal
from io import BytesIO
from mmap import PAGESIZE, mmap
from posix import close, memfd_create, pread, pwrite  # what they are outside of worlds
from typing import Any, Final

from catenet.world.engine.children.wire import PRIVATE

__all__ = ["Journal", "Notes"]

TIME, ANSWERS, END = range(3)
"""Cells: when the last turn began, answers that were given before the notes, how many bytes these are."""
ROOM: Final = 1 << 40
"""Bytes between the notes of two hosts: a file in memory takes room only where something was written."""


class Notes:
    """The file of all hosts of a world, one descriptor for all."""

    def __init__(self) -> None:
        self.descriptor = memfd_create("catenet")
        PRIVATE.add(self.descriptor)

    def close(self) -> None:
        """Close it; harmless to repeat."""
        if self.descriptor >= 0:
            PRIVATE.discard(self.descriptor)
            close(self.descriptor)
            self.descriptor = -1


class Journal:
    """Of one host's process, which writes it; the world's process reads it when the other has ended."""

    def __init__(self, notes: Notes, rank: int) -> None:
        """`rank`: number of the host among those that share the file."""
        self._notes = notes
        self._begin = rank * ROOM
        self._size = 0
        self.cells: memoryview[float] = memoryview(mmap(-1, PAGESIZE)).cast("d")
        """The first is the time at which the last turn began."""
        self.answers = 0
        """Answers given, and for the world's process those that have come."""

    # In the host's process.

    def note(self, item: tuple[Any, ...]) -> None:
        """Note an item of the next answer."""
        with contextlib.suppress(OSError):  # a program in C has closed what is not its own
            self._size += pwrite(self._notes.descriptor, marshal.dumps(item), self._begin + self._size)
            self.cells[END] = self._size

    def begin(self) -> None:
        """Begin anew, when an answer was given."""
        self.answers += 1
        self.cells[ANSWERS] = self.answers
        if self._size:
            self.cells[END] = self._size = 0

    # In the world's.

    def read(self) -> tuple[float, list[tuple[Any, ...]]]:
        """When the last turn began, and the items of which no answer came."""
        time, answers, size = self.cells[:3].tolist()
        items: list[tuple[Any, ...]] = []
        if answers == self.answers and 0 < size < ROOM:
            with contextlib.suppress(EOFError, ValueError, TypeError, OSError, MemoryError):
                notes = BytesIO(pread(self._notes.descriptor, int(size), self._begin))
                while True:
                    items.append(marshal.load(notes))
        return time, items
