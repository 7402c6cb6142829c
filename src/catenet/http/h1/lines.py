"""Field lines of HTTP/1.1 (RFC 9112 section 5): one grammar for heads and trailers, each line read once.

The grammar admits nothing that two readers could take in two ways: no bare LF or CR, no obs-fold, no blank before the
colon, no controls. What it admits is what `catenet.http.fields` admits, so nothing has to check it again.
"""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.message import Fields

__all__ = ["Field", "LineMemo", "read_line"]

Field = tuple[bytes, bytes]

# Blanks are stripped afterwards: beside another repetition that admits them, a wrong value costs their number squared.
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\x20-\x7e\x80-\xff\t]*)").fullmatch

_MEMO_LINES = 4096
_MEMO_LINE_LIMIT = 512
# Whoever shares the memo could learn from timing whether a whole line is known.
_SECRETS = frozenset(
    (b"authorization", b"cookie", b"proxy-authorization", b"set-cookie", b"x-api-key", b"x-auth-token", b"x-csrf-token")
)
_FRAMING_NAMES = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"expect"))
_OTHER, _FRAMING, _SECRET = range(3)


def read_line(line: bytes) -> tuple[bytes, bytes]:
    """Return name (in lower case) and value of one field line without its CRLF. Raises `HttpError`."""
    match = _LINE(line)
    if match is None:
        raise HttpError("malformed field line")
    name, value = match.groups()
    return name.lower(), value.strip(b" \t")


class LineMemo:
    """Field lines by their bytes, shared by the connections of one server or client; bounded, without secrets."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Field, int]] = {}

    def read(self, section: bytes) -> tuple[Fields, list[Field], bool]:
        """Read a section, which is lines joined by CRLF. Raises `HttpError`.

        Returns the fields, those of them that say something about the message or its connection, and whether there is a
        secret among them.
        """
        if not section:
            return (), [], False
        fields: list[Field] = []
        framing: list[Field] = []
        known, secret = self._known.get, False
        for line in section.split(b"\r\n"):
            found = known(line)
            if found is None:
                found = self._read_new(line)
            field, kind = found
            fields.append(field)
            if kind == _FRAMING:
                framing.append(field)
            elif kind == _SECRET:
                secret = True
        return tuple(fields), framing, secret

    def _read_new(self, line: bytes) -> tuple[Field, int]:
        field = read_line(line)
        if field[0] in _SECRETS:
            return field, _SECRET
        found = field, _FRAMING if field[0] in _FRAMING_NAMES else _OTHER
        if len(line) <= _MEMO_LINE_LIMIT:
            if len(self._known) >= _MEMO_LINES:
                self._known.clear()
            self._known[line] = found
        return found
