"""Heads of HTTP/1.1 messages that are to be sent, as bytes; written once for each head, whatever is sent with it."""

from __future__ import annotations

from http import HTTPStatus

from catenet.http.message import Fields, Prepared, RequestHead, ResponseHead, first

__all__ = ["build", "prepare_request", "prepare_response"]

# Python's table has names of RFC 7231 for these.
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Content Too Large",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
    499: b"Client Closed Request",
}

# The machine alone says how a body is framed and what becomes of the connection; TE: trailers means something in HTTP/2
# only.
_MACHINE_FIELDS = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te"))


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
    prepared.upgrade = tuple([token.strip(b" \t").lower() for token in upgrade.split(b",")]) if upgrade else ()
    declared = first(fields, b"content-length")
    if declared is not None:
        prepared.length = _declared(declared)
    return prepared


def _declared(value: bytes) -> int:
    if not value.isdigit() or len(value) > 15:
        raise ValueError(f"Content-Length {value!r} is not a number")
    return int(value)
