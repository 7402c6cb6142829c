"""The folder of a server: what a request names, files to be read, files to be stored when they are complete."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from catenet.folder.partial import NoRoom, Partial, free_space, new_token
from catenet.folder.root import Root
from catenet.folder.thread import in_thread
from catenet.tftp.errors import ErrorCode, TftpError

__all__ = ["Reading", "Storing", "refusal"]

MAX_NAME: Final = 255
MAX_DEPTH: Final = 128
CHUNK: Final = 512 << 10
_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", None)


def names_of(name: str) -> list[str]:
    """Return the components of a request's name, from the folder down. Raises `TftpError`.

    Boot loaders write paths as DOS does, and from a root that is the folder. `..` is refused instead of being resolved.
    """
    names = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not names or name.endswith("/"):
        raise TftpError(ErrorCode.NOT_FOUND)
    if ".." in names or len(names) > MAX_DEPTH or any(len(os.fsencode(part)) > MAX_NAME for part in names):
        raise TftpError(ErrorCode.ACCESS)
    return names


def refusal(error: OSError) -> TftpError:
    """What a client is told about a failure: no more than the protocol has words for."""
    if isinstance(error, TftpError):
        return error
    if isinstance(error, NoRoom):
        return TftpError(ErrorCode.DISK_FULL)
    if isinstance(error, FileExistsError):
        return TftpError(ErrorCode.EXISTS)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return TftpError(ErrorCode.NOT_FOUND)
    if isinstance(error, (PermissionError, IsADirectoryError)) or error.errno == errno.EROFS:
        return TftpError(ErrorCode.ACCESS)
    return TftpError(ErrorCode.UNDEFINED, "the file cannot be read or written")


class Reading:
    """A file that is read from its beginning to its end; `size` is what it had when it was opened."""

    def __init__(self, root: Root, name: str) -> None:
        """Open it. Raises `OSError`."""
        opened = root.open_file(names_of(name))
        if opened is None:
            raise TftpError(ErrorCode.NOT_FOUND)
        self._file, found = opened
        self.size = found.st_size
        self._offset = 0

    async def next(self, block: int) -> bytes | bytearray:
        """Return the next bytes, a multiple of `block` unless they are the last; empty at the end. Raises `OSError`."""
        size = min(max(1, CHUNK // block) * block, self.size - self._offset)
        data: bytes | bytearray | None = self._at_once(size) if size else b""
        if data is None:
            data = await in_thread(os.pread, self._file.fileno(), size, self._offset)
        if len(data) != size:
            raise OSError(errno.EIO, "the file has become shorter")
        self._offset += len(data)
        return data

    def _at_once(self, size: int) -> bytes | bytearray | None:
        """What the page cache has; None: a disk may have to be waited for."""
        if _AT_ONCE is None:
            return None
        buffer = bytearray(size)
        try:
            count = os.preadv(self._file.fileno(), [buffer], self._offset, _AT_ONCE)
        except OSError:
            return None
        return buffer if count == size else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(slots=True)
class Storing:
    """A file that is written beside its name and gets it at the end."""

    name: str
    partial: Partial
    overwrite: bool
    folder: int

    @classmethod
    def begin(cls, root: Root, name: str, size: int | None, overwrite: bool) -> Storing:
        """Begin one of `size` bytes, None: nobody knows. Raises `OSError`."""
        *folders, last = names_of(name)
        if not root.shows(last):
            raise TftpError(ErrorCode.ACCESS)
        folder = root.open_folder(folders)
        try:
            _check_target(folder, last, overwrite)
            if size is not None and size > free_space(folder):
                raise TftpError(ErrorCode.DISK_FULL)
            return cls(last, Partial.create(folder, new_token(None)), overwrite, folder)
        except BaseException:
            os.close(folder)
            raise

    async def write(self, data: bytes) -> None:
        """Append bytes. Raises `OSError`."""
        await self.partial.write([data])

    def publish(self) -> None:
        """All is there: the file gets its name. Raises `OSError`."""
        self.partial.publish(self.name, self.overwrite)

    def close(self) -> None:
        """Forget what has not been published."""
        self.partial.remove()
        self.partial.close()
        os.close(self.folder)


def _check_target(folder: int, name: str, overwrite: bool) -> None:
    """Raise `TftpError` if there is something that may not be replaced."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise TftpError(ErrorCode.ACCESS)
    if not overwrite:
        raise TftpError(ErrorCode.EXISTS)
