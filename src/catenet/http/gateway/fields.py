"""What a gateway changes in heads (RFC 9110 section 7.6, RFC 7239): pure.

What speaks of one connection ends with it; who has asked, and for what, is added. What a client says about that itself
counts only where it is trusted.
"""

from __future__ import annotations

import re
from typing import Final

from catenet.http.message import Fields, RequestHead, ResponseHead, one_cookie
from catenet.net.target import host_and_port

__all__ = ["forwarded", "request_fields", "response_fields", "trailer_fields", "via_of"]

_HOP: Final = frozenset((
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
    b"transfer-encoding", b"upgrade", b"http2-settings",
))  # fmt: skip
"""Fields about one connection (RFC 9110 section 7.6.1, RFC 7540 section 3.2.1)."""
_MACHINE: Final = frozenset((b"host", b"content-length", b"expect"))
"""Fields that are said again, about the request that is made."""
_ORIGIN: Final = frozenset((
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip",
))  # fmt: skip
"""Who has asked for what."""
_KEPT: Final = frozenset((b"cache-control", b"authorization", b"cookie", b"host", b"content-type", b"content-length"))
"""Fields that no Connection field may take away: they are of the whole way."""
_NO_TRAILERS: Final = _MACHINE | frozenset((
    b"authorization", b"cache-control", b"content-encoding", b"content-range", b"content-type", b"cookie",
    b"max-forwards", b"range", b"set-cookie", b"trailer", b"via",
))  # fmt: skip
"""Fields that frame, route, modify or authenticate (RFC 9110 section 6.5.1): a server may merge trailers into heads."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


def _ends_here(fields: Fields) -> frozenset[bytes]:
    """Names that the Connection field names too."""
    named = [
        token.strip(b" \t").lower() for name, value in fields if name == b"connection" for token in value.split(b",")
    ]
    return frozenset(named) - _KEPT | _HOP


def _is_about_origin(name: bytes) -> bool:
    """Whether a field says who has asked; servers read `_` and `-` as one (CGI)."""
    return name.replace(b"_", b"-") in _ORIGIN


def request_fields(head: RequestHead, origin: Fields, via: bytes, *, trusted: bool) -> Fields:
    """Return the fields of the request that is made for `head`.

    `origin`: what `forwarded` says; `trusted`: what the client says of others before it stays before it.
    """
    dropped = _ends_here(head.fields) | _MACHINE
    said = {name: value for name, value in head.fields if name in _ORIGIN} if trusted else {}
    fields = [field for field in head.fields if field[0] not in dropped and not _is_about_origin(field[0])]
    for name, value in origin:
        before = said.get(name)
        if before is not None and name in (b"forwarded", b"x-forwarded-for"):
            fields.append((name, before + b", " + value))
        else:
            fields.append((name, value if before is None else before))
    if any(name == b"te" and b"trailers" in value.lower() for name, value in head.fields):
        fields.append((b"te", b"trailers"))
    return one_cookie(_with_via(fields, via))


def response_fields(head: ResponseHead, via: bytes) -> Fields:
    """Return the fields of the response that passes `head` on."""
    dropped = _ends_here(head.fields)
    return _with_via([field for field in head.fields if field[0] not in dropped], via)


def trailer_fields(head: RequestHead | ResponseHead, trailers: Fields) -> Fields:
    """Return what may follow the body, of the `trailers` that followed that of `head` (RFC 9110 section 6.5.1)."""
    if not trailers:
        return ()
    dropped = _ends_here(head.fields) | _NO_TRAILERS
    return tuple(field for field in trailers if field[0] not in dropped and not _is_about_origin(field[0]))


def _with_via(fields: list[tuple[bytes, bytes]], via: bytes) -> Fields:
    before = [value for name, value in fields if name == b"via"]
    kept = [field for field in fields if field[0] != b"via"]
    return (*kept, (b"via", b", ".join([*before, via])))


def via_of(fields: Fields) -> list[bytes]:
    """Return who says to have passed a message on (RFC 9110 section 7.6.3)."""
    entries = [entry.split() for name, value in fields if name == b"via" for entry in value.split(b",")]
    return [words[1] for words in entries if len(words) > 1]


def forwarded(client: tuple[str, int] | None, scheme: str, authority: bytes, port: int | None) -> Fields:
    """Return who has asked for what, as `Forwarded` (RFC 7239) and as the fields that were there before it."""
    address = client[0].partition("%")[0] if client is not None else ""
    node = "unknown" if not address else f'"{host_and_port(address, 0)[:-2]}"' if ":" in address else address
    said = [f"for={node}".encode(), b"proto=" + scheme.encode()]
    fields: list[tuple[bytes, bytes]] = [(b"x-forwarded-proto", scheme.encode())]
    if address:
        fields.append((b"x-forwarded-for", address.encode()))
    if authority and b'"' not in authority and b"\\" not in authority:
        said.append(b"host=" + (authority if _TOKEN(authority) else b'"' + authority + b'"'))
        fields.append((b"x-forwarded-host", authority))
    if port is not None:
        fields.append((b"x-forwarded-port", b"%d" % port))
    return ((b"forwarded", b";".join(said)), *fields)
