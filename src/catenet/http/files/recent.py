"""Small files that have just been sent, so that the next one who asks costs one look instead of six calls.

What is kept counts only while the file is the same: device, inode, size, times; each request looks. So a change of the
file is seen at once. A compressed form that appears beside it is seen after a second: then the folder must be the same
too, or the file is opened anew, as it is every half minute in any case: a form may be a link to what is there only now.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final

from catenet.http.message import RequestHead, ResponseHead

__all__ = ["CONDITIONS", "LARGEST", "RENEWALS", "Recent"]

LARGEST: Final = 64 << 10
MOST_BYTES: Final = 16 << 20
MOST_FOLDERS: Final = 1024
LONGEST: Final = 1024
"""Bytes of a target."""
VALID: Final = 1.0
"""Seconds for which nobody looks at the folder."""
RENEWALS: Final = 30
"""How often that time may begin again."""
CONDITIONS: Final = frozenset((
    b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range",
))  # fmt: skip
"""Fields that make another answer of a file."""

Signature = tuple[int, int, int, int, int]


@dataclass(slots=True)
class _Kept:
    path: str
    signature: Signature
    until: float
    head: ResponseHead
    body: bytes
    folder: Signature | None
    """Of the folder that the file is in; None: what else is there may change without a trace in it."""
    renewals: int = RENEWALS


class Recent:
    """What has been sent of one folder, by the paths of requests; bounded, and cleared when full.

    `queries`: what follows the path means nothing for a file.
    """

    def __init__(self, folder: int, queries: bool = True) -> None:
        self._folder = folder
        self._queries = queries
        self._kept: dict[bytes, _Kept] = {}
        self._folders: dict[str, tuple[float, Signature | None]] = {}
        self._size = 0

    def find(self, head: RequestHead, now: float) -> tuple[ResponseHead, bytes] | None:
        """Return the answer to a request, if it is known: a GET without conditions and ranges."""
        path = head.path
        kept = self._kept.get(path)
        if kept is None:
            if self._queries and b"?" in path:
                kept = self._kept.get(path[: path.index(b"?")])
            if kept is None:
                return None
        if head.method != b"GET" or (now > kept.until and not self._renewed(kept, now)):
            return None
        for name, _ in head.fields:
            if name in CONDITIONS:
                return None
        try:
            found = os.stat(kept.path, dir_fd=self._folder)
        except OSError:
            return None
        device, inode, size, modified, changed = kept.signature
        same = (
            found.st_mtime_ns == modified
            and found.st_ctime_ns == changed
            and found.st_size == size
            and found.st_ino == inode
            and found.st_dev == device
        )
        return (kept.head, kept.body) if same else None

    def keep(
        self,
        target: bytes,
        path: str,
        found: os.stat_result,
        head: ResponseHead,
        body: bytes,
        now: float,
        alone: bool = False,
    ) -> None:
        """Remember the answer that a file makes, unless it may still change within one tick of its clock.

        `alone`: there is no compressed form of it, not even one that is too old to be sent.
        """
        if not _settled(found):
            return
        target = self._key(target)
        if len(target) > LONGEST or b"?" in target:
            return  # one file has as many targets as a client likes to write
        if self._size + _cost(target, body) > MOST_BYTES:
            self._kept.clear()
            self._size = 0
        replaced = self._kept.get(target)
        self._size += _cost(target, body) - (0 if replaced is None else _cost(target, replaced.body))
        folder = self._folder_of(path, now)[1] if alone else None
        self._kept[target] = _Kept(path, _signature(found), now + VALID, head, body, folder)

    def _key(self, target: bytes) -> bytes:
        return target.partition(b"?")[0] if self._queries else target

    def _renewed(self, kept: _Kept, now: float) -> bool:
        """Whether nothing has come into the folder, or gone, since the file was opened."""
        if kept.folder is None or not kept.renewals:
            return False
        until, signature = self._folder_of(kept.path, now)
        if signature != kept.folder:
            return False
        kept.until = until
        kept.renewals -= 1
        return True

    def _folder_of(self, path: str, now: float) -> tuple[float, Signature | None]:
        """Return until when nobody looks at the folder of a file again, and its signature, if it can be relied on.

        One look is for all files in it.
        """
        folder = path.rpartition("/")[0] or "."
        looked = self._folders.get(folder)
        if looked is None or now > looked[0]:
            try:
                found = os.stat(folder, dir_fd=self._folder)
                looked = now + VALID, _signature(found) if _settled(found) else None
            except OSError:
                looked = now + VALID, None
            if len(self._folders) >= MOST_FOLDERS:
                self._folders.clear()
            self._folders[folder] = looked
        return looked


def _settled(found: os.stat_result) -> bool:
    """Whether another change would show: a clock ticks too slowly to tell two changes apart."""
    return time.time() - max(found.st_mtime, found.st_ctime) >= VALID


def _cost(target: bytes, body: bytes) -> int:
    """Return about how much memory an answer takes: an empty file takes some too."""
    return len(body) + 3 * len(target) + 2048  # the target, the path, and the head with what is around


def _signature(found: os.stat_result) -> Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
