"""Heads of HTTP messages, as values that HTTP/1.1 and HTTP/2 share (RFC 9110 section 6)."""

from __future__ import annotations

from typing import Any

__all__ = ["FIELD_OVERHEAD", "Fields", "RequestHead", "ResponseHead", "first", "list_size"]

Fields = tuple[tuple[bytes, bytes], ...]
"""Header or trailer fields in order; names in lower case, values without surrounding blanks."""

FIELD_OVERHEAD = 32


def list_size(fields: Fields) -> int:
    """Return the size of a field section as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 section 6.5.2)."""
    return sum([len(name) + len(value) for name, value in fields]) + FIELD_OVERHEAD * len(fields)


class RequestHead:
    """The head of a request. Immutable but for `note`, and shared: equal header blocks decode to one object.

    `authority` is `:authority` or `Host`; `path` is the target with its query. `note` belongs to whoever
    consumes the head and may hold what it derived from it, so that a head that comes a thousand times is read once.
    """

    __slots__ = ("authority", "fields", "h2", "length", "method", "note", "path", "scheme")

    def __init__(
        self, method: bytes, path: bytes, fields: Fields = (), authority: bytes = b"", scheme: bytes = b"http"
    ) -> None:
        self.method = method
        self.path = path
        self.fields = fields
        self.authority = authority
        self.scheme = scheme
        self.note: Any = None
        self.h2: Fields | None = None  # the same with pseudo-header fields, once it has been sent over HTTP/2
        self.length: int | None = None  # Content-Length, if it was received with one

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field called `name` (lower case), or None."""
        return first(self.fields, name)

    def __repr__(self) -> str:
        return f"RequestHead({self.method!r}, {self.path!r}, {self.fields!r}, {self.authority!r}, {self.scheme!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestHead) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.method, self.path, self.fields, self.authority, self.scheme


class ResponseHead:
    """The head of a response: a status code of three digits, and fields. `note` as in `RequestHead`."""

    __slots__ = ("fields", "h1", "h2", "length", "note", "status")

    def __init__(self, status: int, fields: Fields = ()) -> None:
        self.status = status
        self.fields = fields
        self.note: Any = None
        self.h2: Fields | None = None  # the same with pseudo-header fields, once it has been sent over HTTP/2
        self.h1: bytes | None = None  # the same as bytes without framing, once it has been sent over HTTP/1.1
        self.length: int | None = None  # Content-Length, if it was received with one

    def get(self, name: bytes) -> bytes | None:
        """Return the value of the first field called `name` (lower case), or None."""
        return first(self.fields, name)

    def __repr__(self) -> str:
        return f"ResponseHead({self.status}, {self.fields!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResponseHead) and self.status == other.status and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((self.status, self.fields))


def first(fields: Fields, name: bytes) -> bytes | None:
    """Return the value of the first field called `name` (lower case), or None."""
    for key, value in fields:
        if key == name:
            return value
    return None
