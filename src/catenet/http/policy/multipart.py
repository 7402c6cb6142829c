"""`multipart/form-data` (RFC 7578) and URL-encoded forms: written as a stream, read within limits.

The reader is that of any multipart body (RFC 2046 section 5.1); it looks at each byte a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote_plus

from catenet.http.headers import Headers
from catenet.http.policy.parameters import extended_value, parse_parameters

__all__ = [
    "FormFile", "Multipart", "MultipartError", "MultipartParser", "Part", "PartData", "PartEnd", "boundary_of",
    "form_body",
]  # fmt: skip

PIECE = 64 << 10
MAX_PARTS = 1000
MAX_HEAD = 16 << 10
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch


class MultipartError(ValueError):
    """A body is no multipart body, ends too early, or is over a limit."""


@dataclass(slots=True)
class FormFile:
    """A file in a form: `content` in whole, as pieces, or as a file that is read from where it stands now.

    `length` in bytes, None if it is not known (a file's is found out). An empty `content_type` is left out.
    """

    content: bytes | BinaryIO | Iterable[bytes]
    filename: str | None = None
    content_type: str = "application/octet-stream"
    length: int | None = None
    _start: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.content, bytes):
            self.length = len(self.content)
        elif isinstance(self.content, list | tuple):
            self.length = sum(len(piece) for piece in self.content)
        elif hasattr(self.content, "seek"):
            file: BinaryIO = self.content  # type: ignore[assignment]
            try:
                self._start = file.tell()
                self.length = file.seek(0, 2) - self._start
                file.seek(self._start)
            except OSError:
                self._start = None  # a pipe

    @property
    def replayable(self) -> bool:
        """Whether `pieces` can be taken twice."""
        return isinstance(self.content, bytes | list | tuple) or self._start is not None

    def pieces(self) -> Iterator[bytes]:
        """Yield the content; of a file that can be sought always the same."""
        if isinstance(self.content, bytes):
            yield self.content
        elif hasattr(self.content, "read"):
            file: BinaryIO = self.content  # type: ignore[assignment]
            if self._start is not None:
                file.seek(self._start)
            while piece := file.read(PIECE):
                yield piece
        else:
            yield from self.content


class Multipart:
    """A form to be sent: (name, text or file) in order. `boundary` is drawn by the caller and in none of the parts."""

    def __init__(self, fields: Iterable[tuple[str, str | bytes | FormFile]], boundary: str) -> None:
        if not _BOUNDARY(boundary):
            raise ValueError(f"{boundary!r} is no boundary")
        self.boundary = boundary
        self._parts = [(self._head(name, value), self._file(value)) for name, value in fields]
        self._end = f"--{boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def length(self) -> int | None:
        """The length of the body in bytes, None if that of a part is not known."""
        total = len(self._end)
        for head, file in self._parts:
            if file.length is None:
                return None
            total += len(head) + file.length + 2
        return total

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent twice, after a redirect or a failure."""
        return all(file.replayable for _, file in self._parts)

    def __iter__(self) -> Iterator[bytes]:
        for head, file in self._parts:
            yield head
            yield from file.pieces()
            yield b"\r\n"
        yield self._end

    def _head(self, name: str, value: str | bytes | FormFile) -> bytes:
        lines = [f'--{self.boundary}\r\nContent-Disposition: form-data; name="{_escape(name)}"']
        if isinstance(value, FormFile):
            if value.filename is not None:
                lines[0] += f'; filename="{_escape(value.filename)}"'
            if re.search(r"[\x00-\x1f\x7f]", value.content_type):
                raise ValueError(f"{value.content_type!r} is no media type")
            if value.content_type:
                lines.append(f"Content-Type: {value.content_type}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    @staticmethod
    def _file(value: str | bytes | FormFile) -> FormFile:
        if isinstance(value, FormFile):
            return value
        return FormFile(value.encode() if isinstance(value, str) else value)


def _escape(name: str) -> str:
    """As browsers do (WHATWG HTML, section 4.10.21.8); a backslash stays."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def form_body(fields: Sequence[tuple[str, str]]) -> bytes:
    """Return fields as `application/x-www-form-urlencoded`."""
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).encode()


# Reading.


@dataclass(frozen=True, slots=True)
class Part:
    """A part begins. `name` and `filename` are as Content-Disposition has them: never a path to write to."""

    headers: Headers
    name: str | None
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """A piece of the part's content."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part has ended."""


def boundary_of(content_type: str | None) -> str | None:
    """Return the boundary that a Content-Type names, None if it is no multipart type or has none."""
    parsed = None if content_type is None else parse_parameters(content_type)
    if parsed is None or not parsed[0].lower().startswith("multipart/"):
        return None
    boundary = parsed[1].get("boundary", "")
    return boundary if _BOUNDARY(boundary) else None


class MultipartParser:
    """Reads a body as it comes. What comes before the first delimiter and after the last is dropped, within limits."""

    def __init__(self, boundary: str, max_parts: int = MAX_PARTS, max_head: int = MAX_HEAD) -> None:
        if not _BOUNDARY(boundary):
            raise MultipartError(f"{boundary!r} is no boundary")
        self._delimiter = b"\r\n--" + boundary.encode()
        self._max_parts = max_parts
        self._max_head = max_head
        self._buffer = bytearray(b"\r\n")  # the first delimiter may be the first line
        self._state = self._preamble
        self._skipped = 0
        self._parts = 0
        self._ended = False

    def feed(self, data: bytes) -> list[Part | PartData | PartEnd]:
        """Return what the next bytes complete; raise `MultipartError`."""
        events: list[Part | PartData | PartEnd] = []
        if self._ended:
            self._skip(len(data))
            return events
        self._buffer += data
        while self._state(events):
            pass
        return events

    def finish(self) -> None:
        """The body has ended; raise `MultipartError` if it ends before its last delimiter."""
        if not self._ended:
            raise MultipartError("the multipart body ends too early")

    def _skip(self, count: int) -> None:
        self._skipped += count
        if self._skipped > self._max_head:
            raise MultipartError(f"more than {self._max_head} bytes outside of the parts of a multipart body")

    def _preamble(self, events: list[Part | PartData | PartEnd]) -> bool:
        before, found = self._until_delimiter()
        self._skip(len(before))
        return found

    def _content(self, events: list[Part | PartData | PartEnd]) -> bool:
        before, found = self._until_delimiter()
        if before:
            events.append(PartData(before))
        if found:
            events.append(PartEnd())
        return found

    def _until_delimiter(self) -> tuple[bytes, bool]:
        """Take off what certainly stands before the next delimiter; with the delimiter, if it is there."""
        buffer, delimiter = self._buffer, self._delimiter
        at = buffer.find(delimiter)
        if at < 0:
            # Only from the last CR on can it be the beginning of a delimiter.
            at = max(0, len(buffer) - len(delimiter) + 1)
            at = found if (found := buffer.find(b"\r", at)) >= 0 else len(buffer)
            before = bytes(memoryview(buffer)[:at])
            del buffer[:at]
            return before, False
        before = bytes(memoryview(buffer)[:at])
        del buffer[: at + len(delimiter)]
        self._state = self._after_delimiter
        return before, True

    def _after_delimiter(self, events: list[Part | PartData | PartEnd]) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        if buffer.startswith(b"--"):
            self._ended = True
            self._skip(len(buffer) - 2)
            buffer.clear()
            self._state = self._preamble
            return False
        end = buffer.find(b"\r\n")
        line = bytes(buffer[: end if end >= 0 else len(buffer)])
        if line.strip(b" \t\r" if end < 0 else b" \t"):
            raise MultipartError("a delimiter of a multipart body is followed by other bytes on its line")
        if end < 0:
            self._check_head(len(buffer))
            return False
        del buffer[:end]  # the line end stays: a head without fields is an empty line
        self._parts += 1
        if self._parts > self._max_parts:
            raise MultipartError(f"a multipart body of more than {self._max_parts} parts")
        self._state = self._head
        return True

    def _head(self, events: list[Part | PartData | PartEnd]) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            self._check_head(len(self._buffer))
            return False
        self._check_head(end)
        head = bytes(self._buffer[2:end]) if end else b""
        del self._buffer[: end + 2]
        events.append(_part(head))
        self._state = self._content_start
        return True

    def _content_start(self, events: list[Part | PartData | PartEnd]) -> bool:
        """The line end of the head may be that of the next delimiter: then there is no content (RFC 2046)."""
        start = bytes(self._buffer[: len(self._delimiter)])
        if len(start) < len(self._delimiter) and self._delimiter.startswith(start):
            return False
        if start != self._delimiter:
            del self._buffer[:2]
        self._state = self._content
        return True

    def _check_head(self, size: int) -> None:
        if size > self._max_head:
            raise MultipartError(f"the head of a part is over its limit of {self._max_head} bytes")


def _part(head: bytes) -> Part:
    headers = Headers()
    for line in head.split(b"\r\n") if head else []:
        name, colon, value = line.partition(b":")
        try:
            if not colon:
                raise ValueError("no colon")
            headers.add(name.decode("ascii"), value.decode("utf-8", "surrogateescape"))
        except ValueError:
            raise MultipartError(f"{line[:80]!r} is no field of a part") from None
    parsed = parse_parameters(headers.get("content-disposition", ""))
    parameters = {} if parsed is None else parsed[1]
    filename = parameters.get("filename")
    if filename is None and "filename*" in parameters:
        filename = extended_value(parameters["filename*"])
    return Part(headers, parameters.get("name"), filename)
