"""Heads of HTTP/1.1 messages as they come (RFC 9112 sections 3 to 6).

The framing of a request depends on the bytes behind its target alone ("HTTP/1.1" and the fields): they are remembered
as a `Block`, and a head that differs in its target only costs one regular expression. Of a block that is new only the
lines that are new are read (`h1/lines.py`).
"""

from __future__ import annotations

import re

from catenet.http.errors import HttpError
from catenet.http.fields import AUTHORITY
from catenet.http.h1.lines import Field, LineMemo
from catenet.http.message import Fields, RequestHead, ResponseHead

__all__ = ["CHUNKED", "UNTIL_CLOSE", "Block", "H1Memo", "ParsedResponse", "begins", "can_begin"]

begins = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21\x22\x24-\x7e\x80-\xff]+) (?=HTTP/1\.[01]\r\n)").match
"""Method and target at the beginning of a request head; no fragment, which one reader cuts off and another does not."""
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\x20-\x7e\x80-\xff\t]*)?").fullmatch
_REQUEST_BEGINNING = re.compile(rb"\r?\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]").match
_RESPONSE_BEGINNING = b"HTTP/1."
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_AUTHORITY_FORM = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+):[0-9]{1,5}").fullmatch

_MEMO_HEADS = 1024
_MEMO_HEAD_LIMIT = 4096
_BLOCK_HEADS = 64

UNTIL_CLOSE = -1
"""A body that ends with its connection."""
CHUNKED = -2
"""A body in chunks."""


class _Framing:
    """What the fields of a head say about its message and its connection; `declared` is Content-Length."""

    __slots__ = ("declared", "expects", "fields", "host", "keep_alive", "length", "minor", "upgrade")

    def __init__(self, fields: Fields, framing: list[Field], minor: int, default: int) -> None:
        self.fields = fields
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
                if self.declared is not None or not value.isdigit() or len(value) > 15:
                    raise HttpError("Content-Length is repeated or not a number")
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


class Block(_Framing):
    """What follows the target of a request: `length` of its body (or `CHUNKED`), and the heads that were seen with it.

    `plain`: HTTP/1.1 without `expects` and `upgrade`; `usual`: the connection also goes on.
    """

    __slots__ = ("_heads", "plain", "usual")

    def __init__(self, fields: Fields, framing: list[Field], minor: int) -> None:
        super().__init__(fields, framing, minor, 0)
        if minor == 1 and self.host is None:
            raise HttpError("a request needs a Host")
        if self.host is not None and not AUTHORITY(self.host):
            raise HttpError("malformed Host")
        self.plain = minor == 1 and not self.expects and not self.upgrade
        self.usual = self.plain and self.keep_alive
        self._heads: dict[bytes, RequestHead] = {}

    def head(self, line: bytes, method: bytes, target: bytes) -> RequestHead:
        """Return the head that begins with `line`: the same object if it was made before. Raises `HttpError`."""
        head = self._heads.get(line)
        if head is None:
            if target[:1] == b"/":
                head = RequestHead(method, target, self.fields, self.host or b"")
                if method == b"CONNECT":
                    raise HttpError("the target of CONNECT is not host:port")
            else:
                head = self._other_form(method, target)
            if self.declared is not None:
                head.length = self.declared
            if not self.plain or method == b"HEAD" or method == b"CONNECT":
                head.expects, head.upgrade = self.expects, self.upgrade
                head.special = True
            if len(self._heads) >= _BLOCK_HEADS:
                self._heads.clear()
            self._heads[line] = head
        return head

    def _other_form(self, method: bytes, target: bytes) -> RequestHead:
        """Absolute-form, authority-form or asterisk-form (RFC 9112 section 3.2); Host then counts for nothing."""
        if method == b"CONNECT":
            if not _AUTHORITY_FORM(target):
                raise HttpError("the target of CONNECT is not host:port")
            if self.length:
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
        return RequestHead(method, target, self.fields, self.host or b"")


class ParsedResponse(_Framing):
    """A response head, and what it says about its message: `length` (or `CHUNKED`, `UNTIL_CLOSE`).

    `usual`: the response is a final one with a body, and the connection goes on.
    """

    __slots__ = ("head", "usual")

    def __init__(self, status: int, fields: Fields, framing: list[Field], minor: int) -> None:
        super().__init__(fields, framing, minor, UNTIL_CLOSE)
        self.head = ResponseHead(status, fields)
        self.usual = self.keep_alive and status >= 200 and status != 204 and status != 304
        if self.declared is not None:
            self.head.length = self.declared


class H1Memo:
    """Blocks and response heads by their bytes, shared by the connections of one server or client; bounded.

    What has secrets in it is not kept: a connection remembers its own last head.
    """

    __slots__ = ("_blocks", "_lines", "_responses")

    def __init__(self) -> None:
        self._lines = LineMemo()
        self._blocks: dict[bytes, Block] = {}
        self._responses: dict[bytes, ParsedResponse] = {}

    def block(self, data: bytes) -> Block:
        """Parse what follows the target of a request, up to the empty line. Raises `HttpError`."""
        block = self._blocks.get(data)
        if block is None:
            # Without fields: what mypyc compiles fails for a slice that ends before it begins.
            fields, framing, secret = self._lines.read(data[10:-4] if len(data) > 14 else b"")
            block = Block(fields, framing, 1 if data[7:8] == b"1" else 0)
            if not secret and len(data) <= _MEMO_HEAD_LIMIT:
                if len(self._blocks) >= _MEMO_HEADS:
                    self._blocks.clear()
                self._blocks[data] = block
        return block

    def response(self, data: bytes) -> ParsedResponse:
        """Parse a response head with its empty line; raise `HttpError`."""
        parsed = self._responses.get(data)
        if parsed is None:
            line, _, section = data.partition(b"\r\n")
            match = _STATUS_LINE(line)
            if match is None:
                raise HttpError("malformed status line")
            fields, framing, secret = self._lines.read(section[:-4] if len(section) > 4 else b"")
            parsed = ParsedResponse(int(match[2]), fields, framing, 1 if match[1] == b"1" else 0)
            if not secret and len(data) <= _MEMO_HEAD_LIMIT:
                if len(self._responses) >= _MEMO_HEADS:
                    self._responses.clear()
                self._responses[data] = parsed
        return parsed


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
