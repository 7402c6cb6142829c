"""Requests of one shape: the same method and lines, but for the target and for the values of a few fields.

A browser's requests differ in their path, in Cookie and Referer. Read line by line each costs as much as the rest of
its answer; one regular expression, made of the lines that stay, reads target and values in one step. It admits a part
of what the grammar admits (`h1/head.py`, `h1/lines.py`); what it does not match is read there. No field that speaks of
framing is among those that may differ, so all requests of a shape are framed alike.

Expressions are dear to make (a millisecond), and who sends other lines each time would have us make them for nothing.
So a shape has to come often, there are few, and whenever they are all forgotten they have to come twice as often.
"""

from __future__ import annotations

import re

from catenet.http.h1.head import Framing
from catenet.http.h1.lines import LineMemo
from catenet.http.message import Fields, RequestHead

__all__ = ["Shape", "Shapes"]

_TARGET = rb" (/[\x21\x22\x24-\x7e\x80-\xff]*+) HTTP/1\.1\r\n"
_VALUE = rb": ([\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*+(?<![ \t]))?)"
"""Field content after one blank (RFC 9110 section 5.5); each byte is looked at once."""
_OFTEN = 32
"""Requests of a shape until it gets an expression."""
_SHAPES = 64
_COUNTED = 1024
_LINES = 48
_HOLES = 8
_BYTES = 4096


class Shape:
    """What requests of one shape have in common."""

    __slots__ = ("_fields", "_holes", "_match", "_method", "framing")

    def __init__(self, pattern: bytes, method: bytes, fields: Fields, holes: tuple[int, ...], framing: Framing) -> None:
        self.framing = framing
        self._match = re.compile(pattern).fullmatch
        self._method = method
        self._fields = fields
        self._holes = tuple([(hole, fields[hole][0]) for hole in holes])

    def read(self, data: bytes) -> RequestHead | None:
        """Return the head of a request that is nothing but a head of this shape, or None."""
        found = self._match(data)
        if found is None:
            return None
        values = found.groups()
        fields = list(self._fields)
        at = 1
        for hole, name in self._holes:
            fields[hole] = (name, values[at])
            at += 1
        return RequestHead(self._method, values[0], tuple(fields), self.framing.host or b"")


class Shapes:
    """Shapes of the requests to one server; bounded, and without the values that differ."""

    __slots__ = ("_counts", "_known", "_often")

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], Shape] = {}
        self._counts: dict[tuple[bytes, ...], int] = {}
        self._often = _OFTEN

    def of(self, head: RequestHead, framing: Framing, section: bytes, lines: LineMemo) -> Shape | None:
        """Return the shape of a request that has been read, if others had it often enough; `section`: its lines."""
        if head.path[:1] != b"/" or head.special or framing.length or not framing.usual or len(section) > _BYTES:
            return None
        parts = [head.method]
        holes = []
        for line in section.split(b"\r\n")[:-1]:
            if lines.knows(line):
                parts.append(line)
            else:
                name = line.partition(b":")[0]
                if lines.frames(name):
                    return None
                holes.append(len(parts) - 1)
                parts.append(name)  # a line that is known has a colon
        key = tuple(parts)
        shape = self._known.get(key)
        if shape is None and holes and len(holes) <= _HOLES and len(key) <= _LINES:
            shape = self._count(key, tuple(holes), head, framing)
        return shape

    def _count(
        self, key: tuple[bytes, ...], holes: tuple[int, ...], head: RequestHead, framing: Framing
    ) -> Shape | None:
        counts = self._counts
        count = counts[key] = counts.get(key, 0) + 1
        if count < self._often:
            if len(counts) > _COUNTED:
                counts.clear()
            return None
        del counts[key]
        if len(self._known) >= _SHAPES:
            self._known.clear()
            self._often *= 2
        parts = [re.escape(part) for part in key]
        for hole in holes:
            parts[hole + 1] += _VALUE
        pattern = parts[0] + _TARGET + b"".join([part + rb"\r\n" for part in parts[1:]]) + rb"\r\n"
        empty = tuple([(name, b"" if at in holes else value) for at, (name, value) in enumerate(head.fields)])
        shape = self._known[key] = Shape(pattern, head.method, empty, holes, framing)
        return shape
