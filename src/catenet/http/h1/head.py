"""Heads of HTTP/1.1 messages (RFC 9112 sections 3 to 6).

The grammar is checked twice: by one regular expression that admits nothing two readers could take in two ways (bare LF,
bare CR, obs-fold, blanks before a colon, controls), then by `httptools`. What comes often is remembered by its bytes.
"""

from __future__ import annotations

import re
from typing import Any

import httptools

from catenet.http.errors import HttpError, StreamError
from catenet.http.fields import check_fields, content_length
from catenet.http.message import Fields, RequestHead, ResponseHead

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "H1Memo",
    "ParsedHead",
    "build_request",
    "build_response",
    "can_begin",
]

_FIELD_LINES = rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\x20-\x7e\x80-\xff\t]*\r\n)*\r\n"
_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]\r\n" + _FIELD_LINES).fullmatch
_RESPONSE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\x20-\x7e\x80-\xff\t]*)?\r\n" + _FIELD_LINES).fullmatch
_REQUEST_BEGINNING = re.compile(rb"\r?\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]").match
_RESPONSE_BEGINNING = b"HTTP/1."
_ABSOLUTE = re.compile(rb"https?://([^/?#@]*)([^#]*)", re.IGNORECASE).fullmatch

_MEMO_HEADS = 1024
_MEMO_HEAD_LIMIT = 2048

UNTIL_CLOSE = -1
"""A body that ends with its connection."""
CHUNKED = -2
"""A body in chunks."""

_REASONS = {
    100: b"Continue", 200: b"OK", 304: b"Not Modified", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden",
    404: b"Not Found", 405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict",
    413: b"Content Too Large", 415: b"Unsupported Media Type", 429: b"Too Many Requests",
    431: b"Request Header Fields Too Large", 499: b"Client Closed Request", 500: b"Internal Server Error",
    501: b"Not Implemented", 503: b"Service Unavailable", 504: b"Gateway Timeout", 505: b"HTTP Version Not Supported",
}  # fmt: skip


class ParsedHead:
    """A head and what it says about its message: `length` of the body (or `CHUNKED`, `UNTIL_CLOSE`)."""

    __slots__ = ("expects_continue", "head", "keep_alive", "length", "minor")

    def __init__(self, head: Any, minor: int) -> None:
        self.head = head
        self.minor = minor
        options = _tokens(head.fields, b"connection")
        self.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        # RFC 9110 section 10.1.1: in a request of HTTP/1.0 it means nothing.
        self.expects_continue = minor == 1 and (head.get(b"expect") or b"").lower() == b"100-continue"
        self.length = 0


class H1Memo:
    """Heads by their bytes, shared by the connections of one server or client; bounded."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, ParsedHead] = {}

    def request(self, data: bytes) -> ParsedHead:
        """Parse a request head with its empty line; raise `HttpError`."""
        return self._heads.get(data) or self._keep(data, parse_request(data))

    def known(self, data: bytes) -> ParsedHead | None:
        """Return what the head was parsed to before, if it was."""
        return self._heads.get(data)

    def response(self, data: bytes) -> ParsedHead:
        """Parse a response head with its empty line; raise `HttpError`."""
        return self._heads.get(data) or self._keep(data, parse_response(data))

    def _keep(self, data: bytes, parsed: ParsedHead) -> ParsedHead:
        if len(data) <= _MEMO_HEAD_LIMIT and parsed.head.get(b"authorization") is None:
            if len(self._heads) >= _MEMO_HEADS:
                self._heads.clear()
            self._heads[data] = parsed
        return parsed


class _Collector:
    """The callbacks of `httptools`."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def can_begin(data: bytes, is_request: bool) -> bool:
    """Whether these bytes, of which more may come, can be the beginning of a head."""
    if is_request:
        return _REQUEST_BEGINNING(data) is not None
    return data[: len(_RESPONSE_BEGINNING)] == _RESPONSE_BEGINNING[: len(data)]


def parse_request(data: bytes) -> ParsedHead:
    """Parse a request head; raise `HttpError`."""
    if not _REQUEST(data):
        raise HttpError("malformed request head")
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    _feed(parser, data)
    fields = tuple(collector.fields)
    check_fields(fields)
    method = parser.get_method()
    minor = int(parser.get_http_version()[-1])
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (minor == 1 and not hosts):
        raise HttpError("a request needs exactly one Host")  # RFC 9112 section 3.2
    authority, path = hosts[0] if hosts else b"", collector.target
    absolute = _ABSOLUTE(path)
    if absolute is not None:
        authority, path = absolute[1], absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2]
    elif path[:1] != b"/" and not (path == b"*" and method == b"OPTIONS") and method != b"CONNECT":
        raise HttpError("malformed request target")
    parsed = ParsedHead(RequestHead(method, path, fields, authority), minor)
    parsed.length = _body_length(fields, minor, 0)
    return parsed


def parse_response(data: bytes) -> ParsedHead:
    """Parse a response head; raise `HttpError`."""
    if not _RESPONSE(data):
        raise HttpError("malformed response head")
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    _feed(parser, data)
    fields = tuple(collector.fields)
    check_fields(fields)
    minor = int(parser.get_http_version()[-1])
    parsed = ParsedHead(ResponseHead(parser.get_status_code(), fields), minor)
    parsed.length = _body_length(fields, minor, UNTIL_CLOSE)
    return parsed


def _feed(parser: Any, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # an Upgrade that nobody asked for is ignored (RFC 9110 section 7.8)
    except httptools.HttpParserError as error:
        raise HttpError(f"malformed head: {error}") from None


def _body_length(fields: Fields, minor: int, default: int) -> int:
    """Apply RFC 9112 section 6.3, and refuse what it calls an attack rather than repair it."""
    codings = _tokens(fields, b"transfer-encoding")
    try:
        length = content_length(fields)
    except StreamError as error:
        raise HttpError(str(error)) from None
    if not codings:
        return default if length is None else length
    if length is not None or codings != [b"chunked"] or minor == 0:
        raise HttpError("Transfer-Encoding beside Content-Length, or other than chunked")
    return CHUNKED


def _tokens(fields: Fields, name: bytes) -> list[bytes]:
    values = [value for key, value in fields if key == name]
    return [token.strip(b" \t").lower() for value in values for token in value.split(b",")] if values else []


def build_request(head: RequestHead, framing: Fields) -> bytes:
    """Return the bytes of a request head; `framing` are fields about the body."""
    lines = [head.method + b" " + head.path + b" HTTP/1.1\r\nhost: " + head.authority]
    return _build(lines, head.fields, framing)


def build_response(head: ResponseHead, framing: Fields) -> bytes:
    """Return the bytes of a response head; `framing` are fields about body and connection."""
    begun = head.h1
    if begun is None:
        status = b"HTTP/1.1 %d %b" % (head.status, _REASONS.get(head.status, b""))
        begun = head.h1 = _build([status], head.fields, ())[:-2]
    return begun + b"".join([name + b": " + value + b"\r\n" for name, value in framing]) + b"\r\n"


def _build(lines: list[bytes], fields: Fields, framing: Fields) -> bytes:
    # The machine alone says how a body is framed; TE: trailers means something in HTTP/2 only.
    lines += [name + b": " + value for name, value in fields if name not in (b"content-length", b"te")]
    lines += [name + b": " + value for name, value in framing]
    lines.append(b"\r\n")
    return b"\r\n".join(lines)
