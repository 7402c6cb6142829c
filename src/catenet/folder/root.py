"""A folder out of which no path leads: every component is opened by itself, below the one before.

A link is read and its target walked in the same way, so that links inside of the folder work and those that leave it do
not, whoever changes them meanwhile. Rejected: to resolve a path and then compare prefixes, which races; openat2(2),
which Python does not offer, and which worlds and older kernels do not have.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import BinaryIO, Final

__all__ = ["PARTIAL", "Root"]

MAX_LINKS: Final = 32
PARTIAL: Final = ".catenet-upload-"
"""How the names of uploads that go on begin; nobody can ask for them."""
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting: a FIFO that has taken the place of a file meanwhile would wait for its writer.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_LINKS: Final = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


class Root:
    """A folder that is served. `hidden`: names that begin with a dot count too."""

    def __init__(self, path: str, hidden: bool = False) -> None:
        """Open the folder. Raises `OSError`."""
        self.path = path
        self.hidden = hidden
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the folder."""
        os.close(self.descriptor)

    def shows(self, name: str) -> bool:
        """Whether a name may be seen."""
        return not name.startswith(PARTIAL) and (self.hidden or not name.startswith("."))

    def open(self, names: Sequence[str]) -> tuple[int, os.stat_result]:
        """Return a descriptor of the file or folder and what it is. The caller closes it. Raises `OSError`.

        What is neither a file nor a folder, is hidden, or lies outside does not exist.
        """
        if not all(map(self.shows, names)):
            raise _missing()
        if not names:
            descriptor = os.open(".", _FOLDER, dir_fd=self.descriptor)
            return descriptor, os.fstat(descriptor)
        return _Walk(self.descriptor).open(list(names))

    def open_folder(self, names: Sequence[str]) -> int:
        """Return a descriptor of a folder. Raises `OSError`."""
        descriptor, found = self.open(names)
        if not stat.S_ISDIR(found.st_mode):
            os.close(descriptor)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return descriptor

    def open_file(self, names: Sequence[str]) -> tuple[BinaryIO, os.stat_result] | None:
        """Return a regular file; None: there is none. Raises `OSError` for what hinders."""
        try:
            descriptor, found = self.open(names)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return None
        return os.fdopen(descriptor, "rb", buffering=0), found

    def lacks(self, names: Sequence[str]) -> bool:
        """Whether there is no such file, as one call says; what may be there is `open`'s to find."""
        try:
            os.stat("/".join(names), dir_fd=self.descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            pass
        return False


class _Walk:
    """One path being walked: descriptors of the folders from the root down, and how many links have been followed."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._opened: list[int] = []
        self._links = 0

    @property
    def _here(self) -> int:
        return self._opened[-1] if self._opened else self._root

    def open(self, names: list[str]) -> tuple[int, os.stat_result]:
        names.reverse()  # the next is the last
        try:
            while len(names) > 1:
                self._step(names)
            return self._last(names)
        finally:
            for descriptor in self._opened:
                os.close(descriptor)

    def _step(self, names: list[str]) -> None:
        """Go into the next folder, or to where a link leads."""
        name = names.pop()
        if name == "..":
            if not self._opened:
                raise _missing()  # a link that leaves
            os.close(self._opened.pop())
            return
        try:
            self._opened.append(os.open(name, _FOLDER, dir_fd=self._here))
        except OSError as error:
            if error.errno not in _LINKS or not self._follow(name, names):
                raise

    def _last(self, names: list[str]) -> tuple[int, os.stat_result]:
        while names:
            if len(names) > 1 or names[0] == "..":
                self._step(names)
                continue
            name = names.pop()
            found = os.stat(name, dir_fd=self._here, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                self._follow(name, names)
            elif stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                return _opened(name, self._here, _FOLDER if stat.S_ISDIR(found.st_mode) else _FILE)
            else:
                raise _missing()  # to open a device or a FIFO may have effects
        descriptor = os.open(".", _FOLDER, dir_fd=self._here)  # a link has led to a folder above
        return descriptor, os.fstat(descriptor)

    def _follow(self, name: str, names: list[str]) -> bool:
        """Put the target of a link in its place; False if it is none."""
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError:
            return False
        self._links += 1
        if target.startswith("/") or self._links > MAX_LINKS:
            raise _missing()
        names.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
        return True


def _opened(name: str, folder: int, flags: int) -> tuple[int, os.stat_result]:
    descriptor = os.open(name, flags, dir_fd=folder)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
        return descriptor, found
    os.close(descriptor)
    raise _missing()  # it has been replaced


def _missing() -> OSError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
