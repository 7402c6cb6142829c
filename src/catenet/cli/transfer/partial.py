"""A file that is complete under its name, or not there: what has come so far is `NAME.part`, renamed at the end.

Beside it `NAME.part.json` notes which version of the file the bytes are of (its entity tag or date), and of a download
in parts which of them are there, so that a later call can go on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from catenet.cli.transfer.codes import Code, TransferError

__all__ = ["Partial", "State"]


@dataclass(slots=True)
class State:
    """What is known of the bytes in a partial file. `done`: parts as [start, stop], None if it only grew at its end."""

    url: str = ""
    validator: str = ""
    size: int | None = None
    done: list[list[int]] | None = None


def write_error(path: Path | str, error: OSError) -> TransferError:
    """Return what to say when a file cannot be written."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason += "; what has come is kept, free some room and go on with --continue"
    return TransferError(Code.WRITE, f"cannot write {path}: {reason}")


@dataclass(slots=True)
class Partial:
    """One download to `path`. Methods raise `TransferError`."""

    path: Path
    state: State = field(default_factory=State)
    _file: BinaryIO | None = None
    _noted: bool = False

    @property
    def part(self) -> Path:
        """Where the bytes are until they are all there."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        """Where it stands what they are."""
        return self.path.with_name(f"{self.path.name}.part.json")

    @property
    def direct(self) -> bool:
        """Whether the path is no regular file (a device, a FIFO): it is written as it comes."""
        try:
            return not stat.S_ISREG(self.path.stat().st_mode)
        except OSError:
            return False

    def held(self) -> int:
        """Bytes that are there to go on from: of a partial file, else of the file itself; 0 if there are none."""
        self.state = self._read_note() if self.part.exists() else State()
        for path in (self.part, self.path):
            try:
                found = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                return found.st_size
        return 0

    def open(self, keep: bool) -> int:
        """Open it for writing; return the size of what is kept. Without a partial file the file itself becomes it."""
        try:
            if self.direct:
                self._file = self.path.open("wb", buffering=0)
                return 0
            if keep and not self.part.exists() and self.path.exists():
                self.path.rename(self.part)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self.part, flags, 0o666), "r+b", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not keep:
                self._file.truncate(0)
                self.note.unlink(missing_ok=True)
            return self._file.seek(0, os.SEEK_END)
        except OSError as error:
            self.close()
            if error.errno in (errno.EAGAIN, errno.EACCES) and isinstance(error, BlockingIOError):
                raise TransferError(Code.WRITE, f"another download is writing {self.part}") from None
            if error.errno == errno.ELOOP:
                raise TransferError(Code.WRITE, f"{self.part} is a link: it is not written through") from None
            raise write_error(self.path, error) from None

    def write(self, data: bytes) -> None:
        """Append."""
        assert self._file is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise write_error(self.path, error) from None

    def write_at(self, offset: int, data: bytes) -> None:
        """Write a piece of a part."""
        assert self._file is not None
        try:
            view = memoryview(data)
            while view:
                count = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise write_error(self.path, error) from None

    def reserve(self, size: int) -> None:
        """Make the file as large as it will be; it takes room as it is filled."""
        assert self._file is not None
        try:
            self._file.truncate(size)
        except OSError as error:
            raise write_error(self.path, error) from None

    def remember(self) -> None:
        """Write down what the bytes are, whole or not at all."""
        if self._file is None or self.direct:
            return
        fresh = self.note.with_name(f"{self.note.name}.new")
        try:
            fresh.unlink(missing_ok=True)  # of a process that was killed; a link is not followed
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "w") as file:
                json.dump(asdict(self.state), file)
            fresh.replace(self.note)
            self._noted = True
        except OSError:
            fresh.unlink(missing_ok=True)  # then it begins from the start another time

    def hashed(self, algorithm: str) -> str:
        """Return the checksum of what is there."""
        import hashlib

        assert self._file is not None
        found = hashlib.new(algorithm, usedforsecurity=False)
        self._file.seek(0)
        while piece := self._file.read(1 << 20):
            found.update(piece)
        return found.hexdigest()

    def finish(self) -> None:
        """All is there: it gets its name."""
        direct = self.direct
        self._release()
        if direct:
            return
        try:
            self.part.replace(self.path)
            self.note.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(self.path, error) from None

    def discard(self) -> None:
        """What is there is worth nothing."""
        if self._file is None or self.direct:
            self._release()
            return
        self._release()
        for path in (self.part, self.note):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave it as it is, to go on later; what is empty goes."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if not self.direct and os.fstat(self._file.fileno()).st_size == 0 and not self._noted:
                self.part.unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read_note(self) -> State:
        try:
            found: Any = json.loads(self.note.read_text())
            done = found["done"]
            if done is not None:
                done = [[int(start), int(stop)] for start, stop in done]
            size = found["size"]
            return State(str(found["url"]), str(found["validator"]), None if size is None else int(size), done)
        except (OSError, ValueError, KeyError, TypeError):
            return State()
