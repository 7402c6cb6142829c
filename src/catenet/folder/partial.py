"""A file that is being uploaded: written under a name that nobody can ask for, and given its own at the end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import time
from typing import Final, Self

from catenet.folder.root import PARTIAL
from catenet.folder.thread import in_thread

__all__ = ["MAX_AGE", "NoRoom", "Partial", "completed_size", "free_space", "is_name_of", "new_token", "sweep"]

MAX_AGE: Final = 86400
"""Seconds for which an upload that has been broken off can be resumed."""
_COMPLETE: Final = ".complete"
"""How the name of a note ends that says of an upload that it is complete."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(OSError):
    """The file system is full, or a quota is."""


def new_token(length: int | None) -> str:
    """Return a name that cannot be guessed; it holds the length of the upload, which has to survive us."""
    return secrets.token_hex(16) + ("" if length is None else f"-{length}")


class Partial:
    """An upload in an open folder. Closed by `close`, which does not remove it."""

    def __init__(self, folder: int, token: str, descriptor: int, size: int) -> None:
        self.token = token
        self.size = size
        self._folder = folder
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: int, token: str) -> Self:
        """Begin one. Raises `OSError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(PARTIAL + token, flags, 0o666, dir_fd=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return cls(folder, token, descriptor, 0)

    @classmethod
    def resume(cls, folder: int, token: str) -> Self | None:
        """Open one that has been begun; None: there is none. Raises `BlockingIOError` while another one writes."""
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(PARTIAL + token, flags, dir_fd=folder)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        if not is_name_of(folder, PARTIAL + token, descriptor):  # it has been published since it was opened
            os.close(descriptor)
            return None
        return cls(folder, token, descriptor, os.fstat(descriptor).st_size)

    async def write(self, pieces: list[bytes]) -> None:
        """Append bytes, by another thread, because a disk may be slow. Raises `NoRoom`, `OSError`."""
        if pieces:
            await in_thread(self.write_now, pieces)

    def write_now(self, pieces: list[bytes]) -> None:
        """Append bytes. Raises `NoRoom`, `OSError`."""
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    count = os.write(self._descriptor, rest)
                    self.size += count
                    rest = rest[count:]
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise NoRoom(error.errno, error.strerror) from None
            raise

    def publish(self, name: str, overwrite: bool) -> None:
        """Give the file its name, at once and whole. Raises `FileExistsError` if there is something, `OSError`."""
        partial = PARTIAL + self.token
        try:
            if overwrite:
                os.replace(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                return
            os.link(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            # Who published it before has perhaps been killed before the other name was gone.
            if not is_name_of(self._folder, name, self._descriptor):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            self._publish_without_links(partial, name)
            return
        os.unlink(partial, dir_fd=self._folder)

    def _publish_without_links(self, partial: str, name: str) -> None:
        """A file system without hard links: take the name first, which only one can."""
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=self._folder))
        os.replace(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def remove(self) -> None:
        """Forget the upload."""
        _remove(self._folder, PARTIAL + self.token)

    def note_complete(self) -> None:
        """Leave a note for whoever asks later, in this process or another, until `sweep`; before `publish`.

        Whoever finds the partial file does not look for it. A disk that has no room for it costs nothing but the note.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            descriptor = os.open(PARTIAL + self.token + _COMPLETE, flags, 0o666, dir_fd=self._folder)
            try:
                os.write(descriptor, b"%d\n" % self.size)
            finally:
                os.close(descriptor)

    def forget_complete(self) -> None:
        """Take the note back: it could not be published."""
        _remove(self._folder, PARTIAL + self.token + _COMPLETE)

    def close(self) -> None:
        """Let another one go on with it."""
        os.close(self._descriptor)


def completed_size(folder: int, token: str) -> int | None:
    """Return the size of an upload that is complete, as `Partial.note_complete` has noted it; None: nobody has."""
    try:
        descriptor = os.open(PARTIAL + token + _COMPLETE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            return int(os.read(descriptor, 32))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None


def is_name_of(folder: int | None, name: str, descriptor: int) -> bool:
    """Whether a file is still at a name, in a folder or as a whole path, by which it was opened."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _remove(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def free_space(folder: int) -> int:
    """Return how many bytes may still be written to the file system of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def sweep(folder: int) -> None:
    """Remove uploads that nobody has gone on with for `MAX_AGE`, and notes of that age."""
    oldest = time.time() - MAX_AGE
    with os.scandir(folder) as scan, contextlib.suppress(OSError):
        for entry in scan:
            if entry.name.startswith(PARTIAL) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.name, dir_fd=folder)
