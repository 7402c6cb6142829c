"""Text in pieces: where its lines end, and newlines of one kind made those of another.

Both take a stream as it comes and hold no more than one unfinished line. Pure; a line costs the same whether it comes
whole or byte by byte.
"""

from __future__ import annotations

__all__ = ["ANY", "CRLF", "LF", "LineTooLong", "Lines", "Newlines"]

LF = 0
"""A line ends by LF; a CR before it belongs to the end."""
CRLF = 1
"""A line ends by CR LF; either alone is part of the line."""
ANY = 2
"""A line ends by CR, LF, or CR LF."""


class LineTooLong(ValueError):
    """A line is longer than its limit; `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.limit = limit


class Lines:
    """Cuts a stream into lines, without their ends; `limit`: bytes that one may have, `ending`: LF, CRLF or ANY.

    `held`: bytes of the line that has not ended.
    """

    def __init__(self, limit: int, ending: int = LF) -> None:
        if limit < 1 or ending not in (LF, CRLF, ANY):
            raise ValueError(f"limit {limit}, ending {ending}")
        self._limit = limit
        self._ending = ending
        self._pieces: list[bytes] = []
        self._after_cr = False
        self.held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes. Raises `LineTooLong`; the stream is of no use then."""
        if self._ending == ANY:
            return self._feed_any(data)
        ended = data.split(b"\n")
        last = ended.pop()
        lines: list[bytes] = []
        for piece in ended:
            line = self._take(piece)
            if line.endswith(b"\r"):
                line = line[:-1]
            elif self._ending == CRLF:
                self._hold(line + b"\n")
                continue
            if len(line) > self._limit:
                raise LineTooLong(self._limit)
            lines.append(line)
        self._hold(last)
        return lines

    def end(self) -> bytes:
        """Return what is left at the end of the stream: a line that has no end, `b""` as a rule."""
        self._after_cr = False
        return self._take(b"")

    def _feed_any(self, data: bytes) -> list[bytes]:
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        self._after_cr = self._after_cr or data.endswith(b"\r")
        ended = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        last = ended.pop()
        lines: list[bytes] = []
        for piece in ended:
            line = self._take(piece)
            if len(line) > self._limit:
                raise LineTooLong(self._limit)
            lines.append(line)
        self._hold(last)
        return lines

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self.held += len(piece)
            # A CR may be half of an end.
            if self.held > self._limit + 1 or (self.held > self._limit and not piece.endswith(b"\r")):
                raise LineTooLong(self._limit)
            if len(self._pieces) >= 256:  # of a line that comes byte by byte
                self._pieces = [b"".join(self._pieces)]

    def _take(self, piece: bytes) -> bytes:
        if not self._pieces:
            return piece
        self._pieces.append(piece)
        line = b"".join(self._pieces)
        self._pieces = []
        self.held = 0
        return line


class Newlines:
    """Makes LF and CR LF the newline `to`, which is one of them; a CR alone is left as it is."""

    def __init__(self, to: bytes) -> None:
        if to not in (b"\n", b"\r\n"):
            raise ValueError(f"no newline: {to!r}")
        self._to = to
        self._has_cr = False

    def feed(self, data: bytes) -> bytes:
        """Return what can be said of the stream with `data`; a CR at the end waits for what follows it."""
        if self._has_cr:
            data = b"\r" + data
        self._has_cr = data.endswith(b"\r")
        if self._has_cr:
            data = data[:-1]
        data = data.replace(b"\r\n", b"\n")
        return data if self._to == b"\n" else data.replace(b"\n", b"\r\n")

    def end(self) -> bytes:
        """Return what waits, at the end of the stream."""
        left = b"\r" if self._has_cr else b""
        self._has_cr = False
        return left
