"""Small files that have just been sent, so that the next one who asks costs one look instead of six calls.

What is kept counts for a second, and only while the file is the same: inode, size, times. So a change is seen at once,
and a compressed form that appears beside its file after that second.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final

from catenet.http.message import RequestHead, ResponseHead

__all__ = ["LARGEST", "Recent"]

LARGEST: Final = 64 << 10
MOST_BYTES: Final = 16 << 20
LONGEST: Final = 1024
"""Bytes of a target."""
VALID: Final = 1.0
"""Seconds."""
_CHANGING: Final = frozenset((
    b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range",
))  # fmt: skip

Signature = tuple[int, int, int, int]


@dataclass(slots=True)
class _Kept:
    path: str
    signature: Signature
    until: float
    head: ResponseHead
    body: bytes


class Recent:
    """What has been sent of one folder, by the targets of requests; bounded, and cleared when full."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._kept: dict[bytes, _Kept] = {}
        self._size = 0

    def find(self, head: RequestHead, now: float) -> tuple[ResponseHead, bytes] | None:
        """Return the answer to a request, if it is known: a GET without conditions and ranges."""
        kept = self._kept.get(head.path)
        if kept is None or now > kept.until or head.method != b"GET":
            return None
        for name, _ in head.fields:
            if name in _CHANGING:
                return None
        try:
            found = os.stat(kept.path, dir_fd=self._folder)
        except OSError:
            return None
        return (kept.head, kept.body) if _signature(found) == kept.signature else None

    def keep(
        self, target: bytes, path: str, found: os.stat_result, head: ResponseHead, body: bytes, now: float
    ) -> None:
        """Remember the answer that a file makes, unless it may still change within one tick of its clock."""
        if time.time() - max(found.st_mtime, found.st_ctime) < VALID:
            return
        if len(target) > LONGEST:
            return  # one file has as many targets as a client likes to write
        if self._size + _cost(target, body) > MOST_BYTES:
            self._kept.clear()
            self._size = 0
        replaced = self._kept.get(target)
        self._size += _cost(target, body) - (0 if replaced is None else _cost(target, replaced.body))
        self._kept[target] = _Kept(path, _signature(found), now + VALID, head, body)


def _cost(target: bytes, body: bytes) -> int:
    """Return about how much memory an answer takes: an empty file takes some too."""
    return len(body) + 3 * len(target) + 2048  # the target, the path, and the head with what is around


def _signature(found: os.stat_result) -> Signature:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
