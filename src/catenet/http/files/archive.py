"""A folder as one file, made while it is being sent: tar (POSIX pax) and zip (with Zip64)."""

from __future__ import annotations

import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Generator, Iterator
from typing import Any, Final

from catenet.folder.root import Root

__all__ = ["KINDS"]

PIECE: Final = 256 << 10
MAX_DEPTH: Final = 100
"""Folders in each other; each costs an open descriptor."""
Pieces = Generator[bytes, None, None]
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)


def _members(root: Root, folder: int, prefix: str, depth: int = 0) -> Iterator[tuple[str, os.stat_result, int | None]]:
    """Yield path, state and descriptor (None: a folder) of what is in an open folder, in order; links are left out."""
    with os.scandir(folder) as scan:
        names = sorted(entry.name for entry in scan if root.shows(entry.name) and not entry.is_symlink())
    for name in names:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY
            elif stat.S_ISREG(found.st_mode):
                flags = os.O_RDONLY | os.O_NONBLOCK
            else:
                continue
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError:
            continue  # it has gone, or may not be read
        try:
            found = os.fstat(descriptor)
            path = prefix + name
            if stat.S_ISDIR(found.st_mode):
                yield path + "/", found, None
                if depth < MAX_DEPTH:
                    yield from _members(root, descriptor, path + "/", depth + 1)
            elif stat.S_ISREG(found.st_mode):
                yield path, found, descriptor
        finally:
            os.close(descriptor)


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield exactly `size` bytes: what a file has lost meanwhile is filled with zeros, what it has won is left out."""
    while size:
        piece = os.read(descriptor, min(size, PIECE))
        if not piece:
            while size:
                yield bytes(min(size, PIECE))
                size -= min(size, PIECE)
            return
        yield piece
        size -= len(piece)


def tar_pieces(root: Root, folder: int, name: str) -> Pieces:
    """Yield the folder as tar, everything below `name/`."""
    for path, found, descriptor in _members(root, folder, f"{name}/"):
        info = tarfile.TarInfo(path.rstrip("/"))
        info.mtime = int(found.st_mtime)
        info.mode = stat.S_IMODE(found.st_mode) & 0o755
        if descriptor is None:
            info.type = tarfile.DIRTYPE
        else:
            info.size = found.st_size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if descriptor is not None:
            yield from _content(descriptor, found.st_size)
            yield bytes(-found.st_size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


class _Sink:
    """The file that `zipfile` writes to: it cannot seek, and keeps what has been written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def zip_pieces(root: Root, folder: int, name: str) -> Pieces:
    """Yield the folder as zip, everything below `name/`; a few 100 bytes of each file are noted until the end."""
    sink = _Sink()
    out: Any = sink
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, found, descriptor in _members(root, folder, f"{name}/"):
            info = zipfile.ZipInfo(os.fsencode(path).decode(errors="replace"), _moment(found.st_mtime))
            info.external_attr = (found.st_mode & 0o777755) << 16
            if descriptor is None:
                archive.writestr(info, b"")
            else:
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as member:
                    for piece in _content(descriptor, found.st_size):
                        member.write(piece)
                        if data := sink.take():
                            yield data
            if data := sink.take():
                yield data
    yield sink.take()


def _moment(seconds: float) -> tuple[int, int, int, int, int, int]:
    try:
        found = time.gmtime(seconds)
    except (OverflowError, ValueError, OSError):
        return _EARLIEST
    moment = (found.tm_year, found.tm_mon, found.tm_mday, found.tm_hour, found.tm_min, found.tm_sec)
    return moment if 1980 <= found.tm_year <= 2107 else _EARLIEST


KINDS: Final = {"tar": (tar_pieces, b"application/x-tar"), "zip": (zip_pieces, b"application/zip")}
"""How a folder is packed, by the word in the query, and the type of the result."""
