"""Names of local sockets (unix(7)): abstract ones, which are a host's, and paths, which are files.

`bind` makes a file, which stays when the socket closes and keeps others from the name until it is removed. Whoever
connects finds the socket by the file and not by its name, so links, renamed files and relative paths lead there too.
"""

from __future__ import annotations

import errno
import os
import stat
from os import access, mknod
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.posix.arguments import check, flat
from catenet.posix.errors import os_error

if TYPE_CHECKING:
    from catenet.posix.local import LocalSocket

__all__ = ["ALL_MAY", "Key", "LocalNames", "read_name"]

NAME_LIMIT: Final = 108
ALL_MAY: Final = 0o777
"""Mode of a socket's file, but for the mask of the process (sock_alloc in Linux)."""

_status: Final = os.stat

Key: TypeAlias = "tuple[bytes, int, int]"
"""An abstract name, the type of socket and 0; or no name, and device and number of a file."""


class LocalNames:
    """What is bound on one host. Each type of socket has abstract names of its own; a path is one file for all."""

    def __init__(self) -> None:
        self._bound: dict[Key, LocalSocket] = {}
        self._automatic = 0

    def bind(self, name: bytes, holder: LocalSocket) -> Key:
        """Bind, and return what `release` takes; EADDRINUSE, and for paths what mknod(2) has."""
        if name[:1] == b"\0":
            key = (name, holder.type, 0)
            if key in self._bound:
                raise os_error(errno.EADDRINUSE)
        else:
            key = _make_file(name)  # what is bound to this number was bound to a file that is gone
        self._bound[key] = holder
        return key

    def free_abstract_name(self, kind: int) -> bytes:
        """Return an abstract name of five hexadecimal digits that no socket of this type has."""
        while True:
            self._automatic += 1
            name = b"\0%05x" % self._automatic
            if (name, kind, 0) not in self._bound:
                return name

    def find(self, name: bytes, kind: int) -> LocalSocket:
        """Return the socket bound to a name; ECONNREFUSED, EPROTOTYPE, and for paths EACCES and what stat(2) has."""
        holder = self._bound.get((name, kind, 0) if name[:1] == b"\0" else _key_of_file(name))
        if holder is None:
            raise os_error(errno.ECONNREFUSED)
        if holder.type != kind:
            raise os_error(errno.EPROTOTYPE)
        return holder

    def release(self, key: Key, holder: LocalSocket) -> None:
        """Free what a socket was bound to; its file stays."""
        if self._bound.get(key) is holder:
            del self._bound[key]


def _make_file(path: bytes) -> Key:
    try:
        mknod(path, stat.S_IFSOCK | ALL_MAY)
        found = _status(path, follow_symlinks=False)
    except OSError as error:
        number = error.errno or errno.EIO
        raise os_error(errno.EADDRINUSE if number == errno.EEXIST else number) from None
    return b"", found.st_dev, found.st_ino


def _key_of_file(path: bytes) -> Key:
    try:
        found = _status(path)
    except OSError as error:
        raise os_error(error.errno or errno.EIO) from None
    if not access(path, os.W_OK):
        raise os_error(errno.EACCES)
    if not stat.S_ISSOCK(found.st_mode):
        raise os_error(errno.ECONNREFUSED)
    return b"", found.st_dev, found.st_ino


def read_name(address: object) -> bytes:
    """A name as programs give it: an abstract one as it is, a path up to its first zero."""
    if isinstance(address, str):
        name = os.fsencode(address)
    else:
        if not isinstance(address, bytes):
            check("send", address)
        name = bytes(flat(address))
    if len(name) > NAME_LIMIT or (len(name) == NAME_LIMIT and name[:1] != b"\0"):
        raise OSError("AF_UNIX path too long")
    return name if name[:1] == b"\0" else name.partition(b"\0")[0]
