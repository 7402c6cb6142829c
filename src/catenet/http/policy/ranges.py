"""Byte ranges (RFC 9110 section 14): what a client asks for, what a server sends, several parts in one body."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["ContentRange", "Unsatisfiable", "parse_content_range", "parse_range", "part_heads", "range_value"]

MAX_RANGES = 64
"""Ranges of one request; more are taken for an attack, and the whole is sent (RFC 9110 section 17.15)."""

_SPEC = re.compile(r"([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18})", re.ASCII).fullmatch
_CONTENT = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE).fullmatch


class Unsatisfiable(Exception):
    """No range of the request lies in the content: status 416, with `Content-Range: bytes */size`."""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """`Content-Range`: bytes from `start` up to, without, `stop` of `size` (None: not known).

    `start` and `stop` are None in an answer with status 416, which only says the size.
    """

    start: int | None
    stop: int | None
    size: int | None

    def __str__(self) -> str:
        size = "*" if self.size is None else str(self.size)
        return (
            f"bytes */{size}"
            if self.start is None or self.stop is None
            else f"bytes {self.start}-{self.stop - 1}/{size}"
        )


def parse_range(value: str | None, size: int) -> list[tuple[int, int]] | None:
    """Return the ranges as (start, stop), ordered as asked; None if the field is to be ignored: the whole is sent.

    Ignored are other units, malformed fields, more than 64 ranges, and more than two that overlap. Ranges that lie
    beyond the content are dropped. Raises `Unsatisfiable` if none is left.
    """
    unit, equals, text = (value or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    specs = text.split(",", MAX_RANGES)
    if len(specs) > MAX_RANGES:
        return None
    found = []
    for spec in specs:
        match = _SPEC(spec.strip(" \t"))
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            return None
        if match[3] is not None:
            start, stop = max(0, size - int(match[3])), size
        else:
            start, stop = int(match[1]), size if match[2] is None else min(int(match[2]) + 1, size)
        if start < stop:
            found.append((start, stop))
    if not found:
        raise Unsatisfiable(f"no range of {value!r} lies in {size} bytes")
    return None if _overlaps(found) > 2 else found


def _overlaps(found: list[tuple[int, int]]) -> int:
    reached, count = -1, 0
    for start, stop in sorted(found):
        count += start < reached
        reached = max(reached, stop)
    return count


def parse_content_range(value: str | None) -> ContentRange | None:
    """Return what the field says, None if it is malformed or contradicts itself (RFC 9110 section 14.4)."""
    match = None if value is None else _CONTENT(value.strip())
    if match is None:
        return None
    size = None if match[3] == "*" else int(match[3])
    if match[1] is None:
        return None if size is None else ContentRange(None, None, size)
    start, stop = int(match[1]), int(match[2]) + 1
    return ContentRange(start, stop, size) if start < stop and (size is None or stop <= size) else None


def range_value(start: int, stop: int | None = None) -> str:
    """Return the value of a Range field for bytes from `start` up to, without, `stop` (None: to the end)."""
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def part_heads(
    ranges: Iterable[tuple[int, int]], size: int, boundary: str, content_type: str | None
) -> Iterator[tuple[bytes, int, int]]:
    """Yield what stands before each part of `multipart/byteranges`, and the part's start and stop; last the end.

    The last is (closing delimiter, 0, 0), so that lengths add up to the Content-Length (RFC 9110 section 14.6).
    """
    kind = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    for at, (start, stop) in enumerate(ranges):
        before = "\r\n" if at else ""
        head = f"{before}--{boundary}\r\n{kind}Content-Range: {ContentRange(start, stop, size)}\r\n\r\n"
        yield head.encode("latin-1"), start, stop
    yield f"\r\n--{boundary}--\r\n".encode("latin-1"), 0, 0
