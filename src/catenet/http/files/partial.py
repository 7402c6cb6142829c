"""A file that is being uploaded: written under a name that nobody can ask for, and given its own at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import time
from typing import Final

from catenet.http.files.answer import Refused
from catenet.http.files.root import PARTIAL
from catenet.http.files.thread import in_thread
from catenet.http.server.exchange import Disconnected, Exchange

__all__ = ["MAX_AGE", "Partial", "free_space", "new_token", "sweep"]

MAX_AGE: Final = 86400
"""Seconds for which an upload that has been broken off can be resumed."""
GATHERED: Final = 256 << 10
"""Bytes that are written at once, by another thread: a disk may be slow."""
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    def create(cls, folder: int, token: str) -> Partial:
        """Begin one. Raises `OSError`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(PARTIAL + token, flags, 0o666, dir_fd=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return cls(folder, token, descriptor, 0)

    @classmethod
    def resume(cls, folder: int, token: str) -> Partial | None:
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
        return cls(folder, token, descriptor, os.fstat(descriptor).st_size)

    async def receive(self, exchange: Exchange, limit: int) -> None:
        """Append the body of a request. What has come is kept, whatever happens.

        Raises `Refused` (413 beyond `limit` bytes in all, 507 without room), `Disconnected`.
        """
        pieces: list[bytes] = []
        gathered = 0
        try:
            while piece := await exchange.read():
                if self.size + gathered + len(piece) > limit:
                    raise Refused(413)
                pieces.append(piece)
                gathered += len(piece)
                if gathered >= GATHERED:
                    taken, pieces, gathered = pieces, [], 0
                    await self.write(taken)
        except (Disconnected, asyncio.CancelledError):
            with contextlib.suppress(Refused):
                self._write(pieces)
            raise
        await self.write(pieces)

    async def write(self, pieces: list[bytes]) -> None:
        """Append bytes. Raises `Refused`."""
        if pieces:
            await in_thread(self._write, pieces)

    def _write(self, pieces: list[bytes]) -> None:
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    count = os.write(self._descriptor, rest)
                    self.size += count
                    rest = rest[count:]
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise Refused(507) from None
            raise

    def publish(self, name: str, overwrite: bool) -> None:
        """Give the file its name, at once and whole. Raises `Refused` (409) if there is something already."""
        partial = PARTIAL + self.token
        try:
            if overwrite:
                os.replace(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                return
            os.link(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            raise Refused(409) from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            self._publish_without_links(partial, name)
            return
        os.unlink(partial, dir_fd=self._folder)

    def _publish_without_links(self, partial: str, name: str) -> None:
        """A file system without hard links: take the name first, which only one can."""
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=self._folder))
        except FileExistsError:
            raise Refused(409) from None
        os.replace(partial, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def remove(self) -> None:
        """Forget the upload."""
        with contextlib.suppress(OSError):
            os.unlink(PARTIAL + self.token, dir_fd=self._folder)

    def close(self) -> None:
        """Let another one go on with it."""
        os.close(self._descriptor)


def free_space(folder: int) -> int:
    """Return how many bytes may still be written to the file system of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def sweep(folder: int) -> None:
    """Remove uploads that nobody has gone on with for `MAX_AGE`."""
    oldest = time.time() - MAX_AGE
    with os.scandir(folder) as scan, contextlib.suppress(OSError):
        for entry in scan:
            if entry.name.startswith(PARTIAL) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.name, dir_fd=folder)
