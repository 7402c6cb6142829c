"""Heads of HTTP/1.1 messages as they come (RFC 9112 sections 3 to 6).

The framing of a request depends on the bytes behind its target alone ("HTTP/1.1" and the fields): they are remembered
as a `Block`, and a head that differs in its target only costs one regular expression.
"""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.fields import AUTHORITY, is_tunnel_target
from catenet.http.h1.lines import Field
from catenet.http.message import Fields, RequestHead, ResponseHead

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "Block",
    "Framing",
    "ParsedResponse",
    "begins",
    "can_begin",
    "read_status_line",
    "request_framing",
]

begins = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e\x80-\xff]+) (?=HTTP/1\.[01]\r\n)").match
"""Method and target at the beginning of a request head; no fragment, which one reader cuts off and another does not."""
read_status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\x20-\x7e\x80-\xff\t]*)?").fullmatch
_REQUEST_BEGINNING = re.compile(rb"\r?\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]").match
_RESPONSE_BEGINNING = b"HTTP/1."
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch

_BLOCK_HEADS = 64

UNTIL_CLOSE = -1
"""A body that ends with its connection."""
CHUNKED = -2
"""A body in chunks."""


class Framing:
    """What the fields of a head say about its message and its connection; `declared` is Content-Length.

    `length`: of the body, or `CHUNKED`, `UNTIL_CLOSE`. `plain`: HTTP/1.1 without `expects` and `upgrade`; `usual`: the
    connection also goes on.
    """

    __slots__ = ("declared", "expects", "host", "keep_alive", "length", "minor", "plain", "upgrade", "usual")

    def __init__(self, framing: tuple[Field, ...], minor: int, default: int) -> None:
        self.minor = minor
        self.host: bytes | None = None
        self.expects = False
        self.declared: int | None = None
        options: list[bytes] = []
        codings: list[bytes] = []
        upgrade: list[bytes] = []
        for name, value in framing:
            if name == b"host":
                if self.host is not None:
                    raise HttpError("Host is repeated")  # RFC 9112 section 3.2
                self.host = value
            elif name == b"content-length":
                # RFC 9110 section 8.6 lets equal duplicates pass; nobody sends them in good faith.
                if self.declared is not None or not value.isdigit():
                    raise HttpError("Content-Length is repeated or not a number")
                if len(value) > 15:
                    raise HttpError("Content-Length is too large")
                self.declared = int(value)
            elif name == b"connection":
                options += _tokens(value)
            elif name == b"transfer-encoding":
                codings += _tokens(value)
            elif name == b"upgrade":
                upgrade += _tokens(value)
            else:
                self.expects = minor == 1 and value.lower() == b"100-continue"  # RFC 9110 section 10.1.1
        self.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        # RFC 9110 section 7.8: not without the option, and not in HTTP/1.0.
        self.upgrade = tuple(upgrade) if upgrade and minor == 1 and b"upgrade" in options else ()
        self.length = _body_length(self.declared, codings, minor, default)
        self.plain = minor == 1 and not self.expects and not self.upgrade
        self.usual = self.plain and self.keep_alive


def request_framing(fields: tuple[Field, ...], minor: int) -> Framing:
    """Return what these fields of a request say. Raises `HttpError`."""
    framing = Framing(fields, minor, 0)
    if minor == 1 and framing.host is None:
        raise HttpError("a request needs a Host")
    if framing.host is not None and not AUTHORITY(framing.host):
        raise HttpError("malformed Host")
    return framing


class Block:
    """What follows the target of a request: its fields, and the heads that were seen with it.

    `varies`: it had lines that were not known, as the next one of the same client is likely to have.
    """

    __slots__ = ("_heads", "fields", "framing", "varies")

    def __init__(self, fields: Fields, framing: Framing, varies: bool) -> None:
        self.fields = fields
        self.framing = framing
        self.varies = varies
        self._heads: dict[bytes, RequestHead] | None = None

    def head(self, line: bytes, method: bytes, target: bytes) -> RequestHead:
        """Return the head that begins with `line`: the same object if it was made before. Raises `HttpError`."""
        heads = self._heads
        head = None if heads is None else heads.get(line)
        if head is None:
            framing = self.framing
            if target[:1] == b"/":
                head = RequestHead(method, target, self.fields, framing.host or b"")
                if method == b"CONNECT":
                    raise HttpError("the target of CONNECT is not host:port")
            else:
                head = self._other_form(method, target)
            if framing.declared is not None:
                head.length = framing.declared
            if not framing.plain or method == b"HEAD" or method == b"CONNECT":
                head.expects, head.upgrade = framing.expects, framing.upgrade
                head.special = True
            if heads is None or len(heads) >= _BLOCK_HEADS:
                self._heads = {line: head}
            else:
                heads[line] = head
        return head

    def _other_form(self, method: bytes, target: bytes) -> RequestHead:
        """Absolute-form, authority-form or asterisk-form (RFC 9112 section 3.2); Host then counts for nothing."""
        if method == b"CONNECT":
            if not is_tunnel_target(target):
                raise HttpError("the target of CONNECT is not host:port")
            if self.framing.length:
                raise HttpError("CONNECT with a body")  # one reader would take the body for bytes of the tunnel
            return RequestHead(method, b"", self.fields, target)
        absolute = _ABSOLUTE(target)
        if absolute is not None:
            authority, path = absolute.groups()
            if not authority or not AUTHORITY(authority):
                raise HttpError("malformed request target")
            return RequestHead(method, path if path[:1] == b"/" else b"/" + path, self.fields, authority)
        if target != b"*" or method != b"OPTIONS":
            raise HttpError("malformed request target")
        return RequestHead(method, target, self.fields, self.framing.host or b"")


class ParsedResponse(Framing):
    """A response head, and what it says about its message.

    `usual`: the response is a final one with a body, and the connection goes on.
    """

    __slots__ = ("head",)

    def __init__(self, status: int, fields: Fields, framing: tuple[Field, ...], minor: int) -> None:
        super().__init__(framing, minor, UNTIL_CLOSE)
        self.head = ResponseHead(status, fields)
        self.usual = self.keep_alive and status >= 200 and status != 204 and status != 304
        if self.declared is not None:
            self.head.length = self.declared


def can_begin(data: bytes, is_request: bool) -> bool:
    """Whether these bytes, of which more may come, can be the beginning of a head."""
    if is_request:
        return _REQUEST_BEGINNING(data) is not None
    return data[: len(_RESPONSE_BEGINNING)] == _RESPONSE_BEGINNING[: len(data)]


def _body_length(length: int | None, codings: list[bytes], minor: int, default: int) -> int:
    """Apply RFC 9112 section 6.3, and refuse what it calls an attack rather than repair it."""
    if not codings:
        return default if length is None else length
    if length is not None or codings != [b"chunked"] or minor == 0:
        raise HttpError("Transfer-Encoding beside Content-Length, or other than chunked")
    return CHUNKED


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t").lower() for token in value.split(b",")]
