"""Heads of HTTP messages, as values that HTTP/1.1 and HTTP/2 share (RFC 9110 section 6)."""

from __future__ import annotations

from typing import Any

__all__ = ["FIELD_OVERHEAD", "Fields", "Prepared", "RequestHead", "ResponseHead", "first", "list_size", "one_cookie"]

Fields = tuple[tuple[bytes, bytes], ...]
"""Header or trailer fields in order; names in lower case, values without surrounding blanks."""

FIELD_OVERHEAD = 32


def list_size(fields: Fields) -> int:
    """Return the size of a field section as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 section 6.5.2)."""
    return sum([len(name) + len(value) for name, value in fields]) + FIELD_OVERHEAD * len(fields)


class Prepared:
    """A head as HTTP/1.1 sends it: `data` lacks what the machine says about framing and connection, and the empty line.

    `length`: the Content-Length that the head declares; `closes`: it asks for the end of the connection; `upgrade`: the
    protocols it offers, in lower case; `expects`: it waits for 100 Continue. `plain`: none of these but `length`, and
    no method or status with rules of its own. `whole` is the head of the last plain reply with it, whose body had
    `size` bytes.
    """

    __slots__ = ("closes", "data", "expects", "length", "plain", "size", "upgrade", "whole")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length: int | None = None
        self.closes = False
        self.upgrade: tuple[bytes, ...] = ()
        self.expects = False
        self.plain = True
        self.size = -1
        self.whole = b""

    def extended(self, lines: bytes) -> Prepared:
        """Return the same with more field lines, none of which concerns framing or connection."""
        made = Prepared(self.data + lines)
        made.length, made.closes, made.upgrade = self.length, self.closes, self.upgrade
        made.expects, made.plain = self.expects, self.plain
        return made


class RequestHead:
    """The head of a request. Immutable but for `note`, and shared: equal header blocks decode to one object.

    `authority` is `:authority` or `Host`, of CONNECT its target; `path` is the target with its query, of CONNECT empty.
    `protocol` is `:protocol` (RFC 8441). `note` belongs to whoever consumes the head and may hold what it derived from
    it, so that a head that comes a thousand times is read once.
    """

    # Defaults in the class are of what is seldom asked: the interpreter finds five times faster what an instance has.
    h1: Prepared | None = None
    """The same as HTTP/1.1 sends it, once it has been sent,"""
    h2: Fields | None = None
    """and with pseudo-header fields, as HTTP/2 does."""
    expects: bool = False
    """Whether it was received with `Expect: 100-continue`."""
    upgrade: tuple[bytes, ...] = ()
    """The protocols to which its client would change this connection, in lower case, if it was received with any."""

    def __init__(
        self,
        method: bytes,
        path: bytes,
        fields: Fields = (),
        authority: bytes = b"",
        scheme: bytes = b"http",
        protocol: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.fields = fields
        self.authority = authority
        self.scheme = scheme
        self.protocol = protocol
        self.note: Any = None
        self.length: int | None = None
        """Content-Length, if it was received with one."""
        self.special = False
        """Whether its method, `expects` or `upgrade` have rules of their own."""
        self.usual = False
        """Whether it was received over HTTP/2, without Content-Length, and nothing in it has rules of its own."""

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
        return self.method, self.path, self.fields, self.authority, self.scheme, self.protocol


class ResponseHead:
    """The head of a response: a status code of three digits, and fields. `note` as in `RequestHead`."""

    def __init__(self, status: int, fields: Fields = ()) -> None:
        self.status = status
        self.fields = fields
        self.note: Any = None
        self.length: int | None = None
        """Content-Length, if it was received with one, or an application has given it one."""
        self.h1: Prepared | None = None
        """The same as HTTP/1.1 sends it, once it has been sent,"""
        self.h2: Fields | None = None
        """and with pseudo-header fields, as HTTP/2 does."""

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


def one_cookie(fields: Fields) -> Fields:
    """Return fields with one `cookie`, of the pieces that HTTP/2 may have cut it into (RFC 9113 section 8.2.3)."""
    cookies = [value for name, value in fields if name == b"cookie"]
    if len(cookies) < 2:
        return fields
    return (*(field for field in fields if field[0] != b"cookie"), (b"cookie", b"; ".join(cookies)))
