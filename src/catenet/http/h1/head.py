"""Heads of HTTP/1.1 messages (RFC 9112 sections 3 to 6).

The grammar is checked twice: by one regular expression that admits nothing two readers could take in two ways (bare LF,
bare CR, obs-fold, blanks before a colon, controls), then by `httptools`. What comes often is remembered by its bytes.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import httptools

from catenet.http.errors import HttpError, StreamError
from catenet.http.fields import check_fields, content_length
from catenet.http.message import Fields, Prepared, RequestHead, ResponseHead, first

__all__ = [
    "CHUNKED",
    "UNTIL_CLOSE",
    "H1Memo",
    "ParsedHead",
    "build",
    "can_begin",
    "prepare_request",
    "prepare_response",
]

_FIELD_LINES = rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\x20-\x7e\x80-\xff\t]*\r\n)*\r\n"
_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]\r\n" + _FIELD_LINES).fullmatch
_RESPONSE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\x20-\x7e\x80-\xff\t]*)?\r\n" + _FIELD_LINES).fullmatch
_REQUEST_BEGINNING = re.compile(rb"\r?\Z|[!#$%&'*+\-.^_`|~0-9A-Za-z]").match
_RESPONSE_BEGINNING = b"HTTP/1."
_ABSOLUTE = re.compile(rb"https?://([^/?#@]*)([^#]*)", re.IGNORECASE).fullmatch

# The machine alone says how a body is framed and what becomes of the connection; TE: trailers means something in HTTP/2
# only.
_MACHINE_FIELDS = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te"))

_AUTHORITY_FORM = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+):[0-9]{1,5}").fullmatch

_MEMO_HEADS = 1024
_MEMO_HEAD_LIMIT = 2048

UNTIL_CLOSE = -1
"""A body that ends with its connection."""
CHUNKED = -2
"""A body in chunks."""

# Python's table has names of RFC 7231 for these.
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Content Too Large", 416: b"Range Not Satisfiable", 422: b"Unprocessable Content",
    499: b"Client Closed Request",
}  # fmt: skip


class ParsedHead:
    """A head and what it says about its message: `length` of the body (or `CHUNKED`, `UNTIL_CLOSE`)."""

    __slots__ = ("head", "keep_alive", "length", "minor", "plain", "upgrade")

    def __init__(self, head: Any, minor: int) -> None:
        self.head = head
        self.minor = minor
        options = _tokens(head.fields, b"connection")
        self.keep_alive = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        # RFC 9110 section 7.8: not without the option, and not in HTTP/1.0.
        upgrades = minor == 1 and b"upgrade" in options
        self.upgrade = tuple(_tokens(head.fields, b"upgrade")) if upgrades else ()
        self.plain = False
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
    if method == b"CONNECT":
        authority, path = _connect_target(path), b""
    elif absolute is not None:
        authority, path = absolute[1], absolute[2] if absolute[2][:1] == b"/" else b"/" + absolute[2]
    elif path[:1] != b"/" and not (path == b"*" and method == b"OPTIONS"):
        raise HttpError("malformed request target")
    head = RequestHead(method, path, fields, authority)
    parsed = ParsedHead(head, minor)
    parsed.length = _body_length(fields, minor, 0)
    if method == b"CONNECT" and parsed.length:
        raise HttpError("CONNECT with a body")  # whoever forwards it would take the body for bytes of the tunnel
    head.upgrade = parsed.upgrade
    # RFC 9110 section 10.1.1: in a request of HTTP/1.0 it means nothing.
    head.expects = minor == 1 and (head.get(b"expect") or b"").lower() == b"100-continue"
    head.special = head.expects or bool(head.upgrade) or method in (b"HEAD", b"CONNECT")
    parsed.plain = minor == 1 and not head.special
    return parsed


def _connect_target(target: bytes) -> bytes:
    """RFC 9112 section 3.2.3: host and port, and nothing else."""
    if not _AUTHORITY_FORM(target):
        raise HttpError("the target of CONNECT is not host:port")
    return target


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


def prepare_request(head: RequestHead) -> Prepared:
    """Write a request head but for its framing, once for all requests with it. Raises `ValueError`."""
    if head.protocol is not None:
        raise ValueError("HTTP/1.1 has no CONNECT with :protocol")
    target = head.authority if head.method == b"CONNECT" else head.path
    line = head.method + b" " + target + b" HTTP/1.1"
    if line.count(b" ") != 2 or not head.method or not target:
        raise ValueError(f"malformed request target {target!r} or method {head.method!r}")
    prepared = head.h1 = _prepare([line, b"host: " + head.authority], head.fields)
    expects = first(head.fields, b"expect")
    prepared.expects = expects is not None and expects.lower() == b"100-continue"
    if prepared.closes or prepared.upgrade or prepared.expects or head.method in (b"HEAD", b"CONNECT"):
        prepared.plain = False
    return prepared


def prepare_response(head: ResponseHead) -> Prepared:
    """Write a response head but for its framing, once for all responses with it. Raises `ValueError`."""
    status = head.status
    prepared = head.h1 = _prepare([b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b""))], head.fields)
    if prepared.closes or status < 200 or status == 204 or status == 304:
        prepared.plain = False
    return prepared


def build(prepared: Prepared, framing: Fields) -> bytes:
    """Return the bytes of a head; `framing` are fields about body and connection."""
    return prepared.data + b"".join([name + b": " + value + b"\r\n" for name, value in framing]) + b"\r\n"


def _prepare(lines: list[bytes], fields: Fields) -> Prepared:
    closes, upgrade = False, b""
    for name, value in fields:
        if name not in _MACHINE_FIELDS:
            lines.append(name + b": " + value)
            upgrade = value if name == b"upgrade" else upgrade
        elif name == b"connection" and b"close" in value.lower():
            closes = True
    if upgrade:
        lines.append(b"connection: upgrade")
    lines.append(b"")
    data = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if data.count(b"\n") != breaks or data.count(b"\r") != breaks or b"\0" in data:
        raise ValueError("a head has a line break in it")  # one more line would be another field, or another message
    prepared = Prepared(data)
    prepared.closes = closes
    prepared.upgrade = tuple(_tokens(((b"upgrade", upgrade),), b"upgrade")) if upgrade else ()
    declared = first(fields, b"content-length")
    if declared is not None:
        prepared.length = _declared(declared)
    return prepared


def _declared(value: bytes) -> int:
    if not value.isdigit() or len(value) > 15:
        raise ValueError(f"Content-Length {value!r} is not a number")
    return int(value)
