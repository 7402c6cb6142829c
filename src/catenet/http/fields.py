"""What HTTP fields, and what stands in for fields in HTTP/2, may look like (RFC 9110 section 5, 9113 section 8).

Strict on purpose: whatever a proxy and a server could read in two ways (bare CR, blanks around names, a length said
twice) is malformed here, for HTTP/1.1 and HTTP/2 alike.
"""

from __future__ import annotations

import re

from catenet.http.errors import StreamError
from catenet.http.message import Fields

__all__ = [
    "ADDRESS_LIST",
    "AUTHORITY",
    "FRAMING_TRAILERS",
    "check_fields",
    "check_h2_fields",
    "content_length",
    "is_method",
    "is_scheme",
    "is_target",
    "is_tunnel_target",
    "is_value",
]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
# Visible characters, obs-text, blanks inside (RFC 9110 section 5.5). Controls other than HTAB are refused, not only
# the three that RFC 9113 section 8.2.1 names.
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\x20-\x7e\x80-\xff\t]*[\x21-\x7e\x80-\xff])?)?").fullmatch
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
# No fragment: one reader cuts it off and another does not.
_TARGET = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]+").fullmatch
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*").fullmatch
_ADDRESS = rb"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9\-._~%]+)?"  # IPv6 by its characters, with a zone (RFC 6874)
_FUTURE = rb"[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+"
_HOST = rb"(?:\[(?:%b|%b)\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%%[0-9A-Fa-f]{2})+)" % (_ADDRESS, _FUTURE)
AUTHORITY = re.compile(rb"(?:%b(?::[0-9]*)?)?" % _HOST).fullmatch
"""Host and port after RFC 3986 section 3.2, without userinfo; or nothing. The port has any number of digits."""
ADDRESS_LIST = re.compile(rb"(?:(?:\[%b\]|[0-9.]+):[0-9]+,)+(?:\[%b\]|[0-9.]+):[0-9]+" % (_ADDRESS, _ADDRESS)).fullmatch
"""What gRPC's C core calls a server of a list of addresses (`ipv4:` and `ipv6:` of its `naming.md`)."""
_HOST_AND_PORT = re.compile(rb"%b:0*+([0-9]{1,5})" % _HOST).fullmatch

# Fields that speak about one connection have no meaning in HTTP/2 (RFC 9113 section 8.2.2).
_CONNECTION_FIELDS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


FRAMING_TRAILERS = frozenset((b"content-length", b"transfer-encoding", b"host"))
"""What has been decided when trailers come; whoever merges them into the head would decide again (RFC 9110 6.5.1)."""


def check_fields(fields: Fields) -> None:
    """Raise `StreamError` for a name or value that HTTP does not allow (pseudo-header fields included)."""
    for name, value in fields:
        if not _NAME(name):
            raise StreamError(f"field name {name!r} is not a lower-case token")
        if not _VALUE(value):
            raise StreamError(f"value of field {name.decode()} has controls or blanks at its ends")


def check_h2_fields(fields: Fields) -> None:
    """Raise `StreamError` for a field that speaks about one connection."""
    for name, value in fields:
        if name in _CONNECTION_FIELDS or (name == b"te" and value.lower() != b"trailers"):
            raise StreamError(f"connection-specific field {name.decode()} in HTTP/2")


def content_length(fields: Fields) -> int | None:
    """Return the Content-Length, or None; raise `StreamError` for one that is said twice, no number or too large."""
    values = [value for name, value in fields if name == b"content-length"]
    if not values:
        return None
    # RFC 9110 section 8.6 lets equal duplicates pass; nobody sends them in good faith.
    if len(values) > 1 or not values[0].isdigit():
        raise StreamError("Content-Length is repeated or not a number")
    if len(values[0]) > 15:
        raise StreamError("Content-Length is too large")
    return int(values[0])


def is_value(value: bytes) -> bool:
    """Whether it is field content (RFC 9110 section 5.5), without blanks at its ends."""
    return _VALUE(value) is not None


def is_method(value: bytes) -> bool:
    """Whether it is a token (RFC 9110 section 5.6.2)."""
    return _METHOD(value) is not None


def is_target(value: bytes) -> bool:
    """Whether it has the characters of a request's target."""
    return _TARGET(value) is not None


def is_tunnel_target(value: bytes) -> bool:
    """Whether it is what a CONNECT asks for: a host, and a port that there can be (RFC 9110 section 9.3.6)."""
    found = _HOST_AND_PORT(value)
    return found is not None and int(found[1]) < 1 << 16


def is_scheme(value: bytes) -> bool:
    """Whether it is a scheme (RFC 3986 section 3.1)."""
    return _SCHEME(value) is not None
