"""Field lines of HTTP/1.1 (RFC 9112 section 5): one grammar for heads and trailers, each line read once.

The grammar admits nothing that two readers could take in two ways: no bare LF or CR, no obs-fold, no blank before the
colon, no controls. What it admits is what `catenet.http.fields` admits, so nothing has to check it again.

A browser repeats most of its lines in each request, and a few differ every time. So a line is remembered when it comes
for the second time; those of fields that are secret, or known to differ, never are. Of a line that is not known only
the value has to be read: names are few, and what is said of a name is remembered with it.
"""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.message import Fields

__all__ = ["KNOWN", "SECRET", "Field", "LineMemo", "read_line"]

Field = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_IN_VALUES = bytes((9, *range(0x20, 0x7F), *range(0x80, 0x100)))
"""Field content and blanks (RFC 9110 section 5.5)."""

KNOWN, NEW, SECRET = 0, 1, 2
"""Of the lines of a section: all were known; bits: some were new, or of fields that differ; some were secret."""

_MEMO_LINES = 4096
_MEMO_LINE_LIMIT = 512
_MEMO_FRAMING = 512
_MEMO_NAMES = 512
_MEMO_NAME_LIMIT = 64
_RUN_LINES = 32
_MISSES = 8
"""Sections that begin otherwise until another beginning is remembered."""

# What is said of a name.
_PLAIN, _FRAMES, _LENGTH, _DIFFERS, _IS_SECRET = range(5)
_KINDS = {
    # Whoever shares the memo could learn from timing whether a whole line is known.
    **dict.fromkeys(
        (b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-api-key", b"x-auth-token",
         b"x-csrf-token"), _IS_SECRET),
    **dict.fromkeys((b"host", b"connection", b"transfer-encoding", b"upgrade", b"expect"), _FRAMES),
    b"content-length": _LENGTH,
    # To remember them would cost more than it saves.
    **dict.fromkeys(
        (b"referer", b"if-none-match", b"if-modified-since", b"range", b"traceparent", b"x-request-id",
         b"x-forwarded-for", b"sec-websocket-key", b"date", b"etag", b"last-modified", b"age"), _DIFFERS),
}  # fmt: skip


def read_line(line: bytes) -> Field:
    """Return name (in lower case) and value of one field line without its CRLF. Raises `HttpError`."""
    name, _, value = line.partition(b":")
    if not _NAME(name) or len(name) == len(line) or value.translate(None, _IN_VALUES):
        raise HttpError("malformed field line")
    return name.lower(), value.strip(b" \t")


class LineMemo:
    """Field lines by their bytes, shared by the connections of one server or client; bounded, without secrets."""

    __slots__ = ("_framing", "_known", "_misses", "_names", "_once", "_read", "_run", "_run_fields", "_run_framing",
                 "_state")  # fmt: skip

    def __init__(self) -> None:
        # Lines that end with CR, as only LF is cut off: one byte is faster to look for than two.
        self._known: dict[bytes, Field] = {}
        self._once: set[bytes] = set()
        self._framing: dict[bytes, Field] = {}
        # Names as they are written, with that in lower case and what is said of it.
        self._names: dict[bytes, tuple[bytes, int]] = {}
        # Lines with which a section began, all of them known: heads of one kind of client begin alike.
        self._run = b""
        self._run_fields: Fields = ()
        self._run_framing: tuple[Field, ...] = ()
        self._misses = 0
        # Of the section that is being read.
        self._read: list[Field] = []
        self._state = KNOWN

    def read(self, section: bytes) -> tuple[Fields, tuple[Field, ...], int]:
        """Read a section: lines, each with its CRLF. Raises `HttpError`.

        Returns the fields, those of them that say something about the message or its connection, and `KNOWN`, or the
        sum of `NEW` and `SECRET`.
        """
        run = self._run
        begins_alike = section.startswith(run)
        lines = (section[len(run) :] if begins_alike else section).split(b"\n")
        if lines.pop():
            raise HttpError("malformed field line")
        if self._read:
            self._read.clear()
        self._state = KNOWN
        known = self._known.get
        fields = tuple([known(line) or self._read_other(line) for line in lines])
        if begins_alike and run:
            return self._run_fields + fields, self._run_framing + tuple(self._read), self._state
        self._misses += 1
        if self._misses % _MISSES == 0:
            self._take_run(lines)
        return fields, tuple(self._read), self._state

    def knows(self, line: bytes) -> bool:
        """Whether a line without its CRLF is remembered."""
        line += b"\r"
        return line in self._known or line in self._framing

    def frames(self, name: bytes) -> bool:
        """Whether fields of this name, which has been read, speak about the message or its connection."""
        entry = self._names.get(name)
        return entry is None or entry[1] in (_FRAMES, _LENGTH)

    def _take_run(self, lines: list[bytes]) -> None:
        run: list[bytes] = []
        fields: list[Field] = []
        framing: list[Field] = []
        for line in lines:
            noted = self._framing.get(line)
            field = noted or self._known.get(line)
            if field is None or len(run) >= _RUN_LINES:
                break
            if noted is not None:
                framing.append(noted)
            run.append(line + b"\n")
            fields.append(field)
        self._run, self._run_fields, self._run_framing = b"".join(run), tuple(fields), tuple(framing)

    def _read_other(self, line: bytes) -> Field:
        """Read a line that is about framing, or is not known: the same as `read_line`, of a line with its CR."""
        field = self._framing.get(line)
        if field is not None:
            self._read.append(field)
            return field
        name, _, value = line.partition(b":")
        entry = self._names.get(name) or self._learn(name, line)
        if value.translate(None, _IN_VALUES) != b"\r" or line[-1:] != b"\r":
            raise HttpError("malformed field line" if line[-1:] == b"\r" else "bare LF in a head")
        lower, kind = entry
        field = lower, value.strip(b" \t\r")
        if kind == _DIFFERS:
            self._state |= NEW
        elif kind == _IS_SECRET:
            self._state |= SECRET
        else:
            self._note(line, field, kind)
        return field

    def _learn(self, name: bytes, line: bytes) -> tuple[bytes, int]:
        if line[-1:] != b"\r":
            raise HttpError("bare LF in a head")
        lower = read_line(line[:-1])[0]
        entry = lower, _KINDS.get(lower, _PLAIN)
        if len(name) <= _MEMO_NAME_LIMIT:
            if len(self._names) >= _MEMO_NAMES:
                self._names.clear()
            self._names[name] = entry
        return entry

    def _note(self, line: bytes, field: Field, kind: int) -> None:
        """Remember a line, if there is a use in it."""
        self._state |= NEW
        if kind != _PLAIN:
            self._read.append(field)
        if len(line) > _MEMO_LINE_LIMIT or kind == _LENGTH:
            return
        if kind == _FRAMES:
            if len(self._framing) >= _MEMO_FRAMING:
                self._framing.clear()
            self._framing[line] = field
            return
        once = self._once
        if line in once:
            if len(self._known) >= _MEMO_LINES:
                self._known.clear()
            self._known[line] = field
        else:
            if len(once) >= _MEMO_LINES:
                once.clear()
            once.add(line)
