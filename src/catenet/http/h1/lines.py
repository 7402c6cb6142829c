"""Field lines of HTTP/1.1 (RFC 9112 section 5): one grammar for heads and trailers, each line read once.

The grammar admits nothing that two readers could take in two ways: no bare LF or CR, no obs-fold, no blank before the
colon, no controls. What it admits is what `catenet.http.fields` admits, so nothing has to check it again.

A browser repeats most of its lines in each request, and a few differ every time. So a line is remembered when it comes
for the second time: those that never come again take no place, and cost little more than to look for them.
"""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.message import Fields

__all__ = ["Field", "LineMemo", "read_line"]

Field = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_IN_VALUES = bytes((9, *range(0x20, 0x7F), *range(0x80, 0x100)))
"""Field content and blanks (RFC 9110 section 5.5)."""

_MEMO_LINES = 4096
_MEMO_LINE_LIMIT = 512
_MEMO_FRAMING = 512
_MEMO_NAMES = 512
_MEMO_NAME_LIMIT = 64
_RUN_LINES = 32
_MISSES = 8
"""Sections that begin otherwise until another beginning is remembered."""
# Whoever shares the memo could learn from timing whether a whole line is known.
_SECRETS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-api-key", b"x-auth-token", b"x-csrf-token")
)
_FRAMING_NAMES = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect"))


def read_line(line: bytes) -> Field:
    """Return name (in lower case) and value of one field line without its CRLF. Raises `HttpError`."""
    name, _, value = line.partition(b":")
    if not _NAME(name) or len(name) == len(line) or value.translate(None, _IN_VALUES):
        raise HttpError("malformed field line")
    return name.lower(), value.strip(b" \t")


class LineMemo:
    """Field lines by their bytes, shared by the connections of one server or client; bounded, without secrets."""

    __slots__ = ("_framing", "_known", "_misses", "_names", "_once", "_read", "_run", "_run_fields", "_run_framing",
                 "_secret")  # fmt: skip

    def __init__(self) -> None:
        # Lines that end with CR, as only LF is cut off: one byte is faster to look for than two.
        self._known: dict[bytes, Field] = {}
        self._once: set[bytes] = set()
        self._framing: dict[bytes, Field] = {}
        self._names: dict[bytes, bytes] = {}
        # Lines with which a section began, all of them known: heads of one kind of client begin alike.
        self._run = b""
        self._run_fields: Fields = ()
        self._run_framing: tuple[Field, ...] = ()
        self._misses = 0
        # Of the section that is being read.
        self._read: list[Field] = []
        self._secret = False

    def read(self, section: bytes) -> tuple[Fields, tuple[Field, ...], bool]:
        """Read a section: lines, each with its CRLF. Raises `HttpError`.

        Returns the fields, those of them that say something about the message or its connection, and whether there is a
        secret among them.
        """
        run = self._run
        begins_alike = section.startswith(run)
        lines = (section[len(run) :] if begins_alike else section).split(b"\n")
        if lines.pop():
            raise HttpError("malformed field line")
        self._read.clear()
        self._secret = False
        known = self._known.get
        fields = tuple([known(line) or self._read_other(line) for line in lines])
        if begins_alike and run:
            return self._run_fields + fields, self._run_framing + tuple(self._read), self._secret
        self._misses += 1
        if self._misses % _MISSES == 0:
            self._take_run(lines)
        return fields, tuple(self._read), self._secret

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
        """Read a line that is about framing, or is not known."""
        field = self._framing.get(line)
        if field is None:
            field = self._read_new(line)
            name = field[0]
            if name in _SECRETS:
                self._secret = True
                return field
            if name not in _FRAMING_NAMES:
                if len(line) <= _MEMO_LINE_LIMIT:
                    self._remember(line, field)
                return field
            if len(line) <= _MEMO_LINE_LIMIT and name != b"content-length":
                if len(self._framing) >= _MEMO_FRAMING:
                    self._framing.clear()
                self._framing[line] = field
        self._read.append(field)
        return field

    def _read_new(self, line: bytes) -> Field:
        """The same as `read_line`, of a line with its CR; names are fewer than lines."""
        if line[-1:] != b"\r":
            raise HttpError("bare LF in a head")
        name, _, value = line.partition(b":")
        lower = self._names.get(name)
        if lower is None:
            field = read_line(line[:-1])
            if len(name) <= _MEMO_NAME_LIMIT:
                if len(self._names) >= _MEMO_NAMES:
                    self._names.clear()
                self._names[name] = field[0]
            return field
        if value.translate(None, _IN_VALUES) != b"\r":
            raise HttpError("malformed field line")
        return lower, value.strip(b" \t\r")

    def _remember(self, line: bytes, field: Field) -> None:
        once = self._once
        if line in once:
            if len(self._known) >= _MEMO_LINES:
                self._known.clear()
            self._known[line] = field
        else:
            if len(once) >= _MEMO_LINES:
                once.clear()
            once.add(line)
