"""Bodies of HTTP/1.1 messages: by length, in chunks (RFC 9112 section 7.1), until the connection closes."""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.fields import FRAMING_TRAILERS
from catenet.http.h1.head import CHUNKED, UNTIL_CLOSE
from catenet.http.h1.lines import read_line

__all__ = ["Body"]

# No blanks, at most 2**60; an extension has no meaning here and a limit (section 7.1.1).
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_CHUNK_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*" % (_TOKEN, _TOKEN, _QUOTED)
).fullmatch
_LINE_LIMIT = 256


class Body:
    """Cuts one body out of the stream. `done` once its last byte has been seen."""

    __slots__ = ("_chunked", "_left", "_state", "_trailer_limit", "done", "trailers", "until_close")

    def __init__(self, length: int, trailer_limit: int) -> None:
        self.until_close = length == UNTIL_CLOSE
        self._chunked = length == CHUNKED
        self._left = max(length, 0)
        self._state = _SIZE
        self._trailer_limit = trailer_limit
        self.trailers: list[tuple[bytes, bytes]] = []
        self.done = length == 0

    def feed(self, data: bytes, position: int) -> tuple[list[bytes], int]:
        """Return pieces of body from `position` on, and where in `data` the first byte not taken is."""
        if self.until_close:
            return ([data[position:]] if position < len(data) else []), len(data)
        if not self._chunked:
            piece = data[position : position + self._left]
            self._left -= len(piece)
            self.done = not self._left
            return ([piece] if piece else []), position + len(piece)
        pieces: list[bytes] = []
        while not self.done:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                if piece:
                    pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = _AFTER
            line = self._line(data, position)
            if line is None:
                break
            position += len(line) + 2
            self._take_line(line)
        return pieces, position

    def _line(self, data: bytes, position: int) -> bytes | None:
        stop = data.find(b"\n", position) - 1
        if stop >= -1 and (stop < position or data[stop] != 13):
            raise HttpError("bare LF in a chunked body")  # no CRLF need ever follow
        limit = self._trailer_limit if self._state == _TRAILERS else _LINE_LIMIT
        if (stop if stop >= 0 else len(data)) - position > limit:
            raise HttpError("a line of a chunked body is too long")
        return None if stop < 0 else data[position:stop]

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE:
            match = _CHUNK_SIZE(line)
            if match is None:
                raise HttpError("malformed chunk size")
            self._left = int(match[1], 16)
            self._state = _DATA if self._left else _TRAILERS
        elif self._state == _AFTER:
            if line:
                raise HttpError("a chunk is longer than its size")
            self._state = _SIZE
        elif line:
            self._trailer_limit -= len(line)
            field = read_line(line)
            if field[0] in FRAMING_TRAILERS:
                raise HttpError("a trailer about framing or routing")
            self.trailers.append(field)
        else:
            self.done = True


_SIZE, _DATA, _AFTER, _TRAILERS = range(4)
