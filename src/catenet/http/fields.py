"""What HTTP fields may look like, and how HTTP/2 pseudo-header fields become heads (RFC 9113 section 8, 9110 5).

Strict on purpose: whatever a proxy and a server could read in two ways (bare CR, blanks around names, a length said
twice) is malformed here, for HTTP/1.1 and HTTP/2 alike.
"""

from __future__ import annotations

import re

from catenet.http.errors import StreamError
from catenet.http.message import Fields, RequestHead, ResponseHead, first

__all__ = ["AUTHORITY", "FRAMING_TRAILERS", "check_fields", "read_request", "read_response"]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
# Visible characters, obs-text, blanks inside (RFC 9110 section 5.5). Controls other than HTAB are refused, not only
# the three that RFC 9113 section 8.2.1 names.
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?)?").fullmatch
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# No fragment: one reader cuts it off and another does not.
_TARGET = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]+").fullmatch
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch
_ADDRESS = rb"\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9\-._~%]+)?\]"
AUTHORITY = re.compile(
    rb"(?:(?:%b|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?)?" % _ADDRESS
).fullmatch
"""Host and port after RFC 3986 section 3.2, without userinfo; or nothing."""

# Fields that speak about one connection have no meaning in HTTP/2 (RFC 9113 section 8.2.2).
_CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


FRAMING_TRAILERS = frozenset((b"content-length", b"transfer-encoding", b"host"))
"""What has been decided when trailers come; whoever merges them into the head would decide again (RFC 9110 6.5.1)."""


def _check_trailers(fields: Fields) -> Fields:
    check_h2_fields(fields)
    for name, _ in fields:
        if name in FRAMING_TRAILERS:
            raise StreamError("a trailer about framing or routing")
    return fields


def check_fields(fields: Fields) -> None:
    """Raise `StreamError` for a name or value that HTTP does not allow (pseudo-header fields included)."""
    for name, value in fields:
        if not _NAME(name):
            raise StreamError(f"field name {name!r} is not a lower-case token")
        if not _VALUE(value):
            raise StreamError(f"value of field {name.decode()} has controls or blanks at its ends")


def check_h2_fields(fields: Fields) -> None:
    """As `check_fields`, and no connection-specific field."""
    check_fields(fields)
    for name, value in fields:
        if name in _CONNECTION_FIELDS or (name == b"te" and value.lower() != b"trailers"):
            raise StreamError(f"connection-specific field {name.decode()} in HTTP/2")


def content_length(fields: Fields) -> int | None:
    """Return the Content-Length, or None; raise `StreamError` for one that is said twice or is no number."""
    values = [value for name, value in fields if name == b"content-length"]
    if not values:
        return None
    # RFC 9110 section 8.6 lets equal duplicates pass; nobody sends them in good faith.
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 15:
        raise StreamError("Content-Length is repeated or not a number")
    return int(values[0])


def read_request(fields: Fields) -> RequestHead | Fields:
    """Turn the fields of a block that a client sent into a request head, or into trailers."""
    if not fields or not fields[0][0].startswith(b":"):
        return _check_trailers(fields)
    pseudo, rest = _split(fields, (b":method", b":scheme", b":authority", b":path", b":protocol"))
    method = pseudo.get(b":method", b"")
    authority = _authority(pseudo, rest)
    protocol = pseudo.get(b":protocol")
    if not _METHOD(method):
        raise StreamError("missing or wrong :method")
    if protocol is not None and (method != b"CONNECT" or not authority or not _METHOD(protocol)):
        raise StreamError(":protocol without CONNECT or :authority, or not a token")  # RFC 8441 section 4
    if method == b"CONNECT" and protocol is None:
        # Section 8.5: authority only.
        if b":scheme" in pseudo or b":path" in pseudo or not authority:
            raise StreamError("CONNECT with :scheme or :path, or without :authority")
        head = RequestHead(method, b"", rest, authority, b"")
        head.special = True
        return head
    path, scheme = pseudo.get(b":path", b""), pseudo.get(b":scheme", b"")
    if not authority and scheme in (b"http", b"https"):
        raise StreamError("neither :authority nor Host")  # RFC 9110 section 4.2.1: an empty host is to be refused
    if not _SCHEME(scheme) or not _TARGET(path) or not (path[:1] == b"/" or (path == b"*" and method == b"OPTIONS")):
        raise StreamError("missing or wrong :scheme or :path")
    head = RequestHead(method, path, rest, authority, scheme, protocol)
    head.length = content_length(rest) if protocol is None else None
    head.expects = (first(rest, b"expect") or b"").lower() == b"100-continue"
    head.special = head.expects or method in (b"HEAD", b"CONNECT")
    return head


def _authority(pseudo: dict[bytes, bytes], fields: Fields) -> bytes:
    hosts = [value for name, value in fields if name == b"host"]
    authority = pseudo.get(b":authority", hosts[0] if hosts else b"")
    # Section 8.3.1: a Host that differs is how requests are smuggled past virtual hosts.
    if len(hosts) > 1 or (hosts and hosts[0].lower() != authority.lower()) or not AUTHORITY(authority):
        raise StreamError(":authority and Host disagree or are malformed")
    return authority


def read_response(fields: Fields) -> ResponseHead | Fields:
    """Turn the fields of a block that a server sent into a response head, or into trailers."""
    if not fields or not fields[0][0].startswith(b":"):
        return _check_trailers(fields)
    pseudo, rest = _split(fields, (b":status",))
    status = pseudo.get(b":status", b"")
    if len(status) != 3 or not status.isdigit() or status < b"100":
        raise StreamError("missing or wrong :status")
    head = ResponseHead(int(status), rest)
    head.length = content_length(rest)
    return head


def _split(fields: Fields, allowed: tuple[bytes, ...]) -> tuple[dict[bytes, bytes], Fields]:
    """Take the pseudo-header fields off the front; each at most once, none after a regular field (section 8.3)."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if not name.startswith(b":"):
            break
        if name in pseudo or name not in allowed or not _VALUE(value):
            raise StreamError(f"pseudo-header field {name!r} is unknown, repeated or malformed")
        pseudo[name] = value
    rest = fields[len(pseudo) :]
    check_h2_fields(rest)
    return pseudo, rest
