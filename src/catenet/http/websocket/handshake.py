"""The opening handshake, both sides, over HTTP/1.1 (RFC 6455 section 4) and HTTP/2 (RFC 8441).

A server reads an `Opening` from a request head and accepts or refuses it; a client makes the request head and checks
what comes back. Nothing here does I/O.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.http.websocket import deflate as pmd
from catenet.http.websocket.deflate import Deflate, DeflateOptions
from catenet.http.websocket.errors import HandshakeError
from catenet.http.websocket.extensions import Extension, build_extensions, is_token, parse_extensions

__all__ = ["Agreement", "ClientHandshake", "Opening", "accept_key", "is_opening", "read_opening"]

VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SUBPROTOCOLS: Final = b"sec-websocket-protocol"
_EXTENSIONS: Final = b"sec-websocket-extensions"
_OURS: Final = frozenset((
    b"connection", b"upgrade", b"host", b"content-length", b"transfer-encoding", b"sec-websocket-key",
    b"sec-websocket-version", b"sec-websocket-accept", _SUBPROTOCOLS, _EXTENSIONS,
))  # fmt: skip
"""Fields that the handshake itself sets."""


def accept_key(key: bytes) -> bytes:
    """Return Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


# Server.


@dataclass(frozen=True, slots=True)
class Opening:
    """What a client asks for. `subprotocols` in its order; `origin` is that of a browser's page, else None."""

    version: int
    subprotocols: tuple[str, ...]
    extensions: tuple[Extension, ...]
    origin: str | None
    key: bytes

    def choose(self, known: Sequence[str]) -> str | None:
        """Return the first subprotocol of the client that is `known`."""
        return next((name for name in self.subprotocols if name in known), None)

    def check_origin(self, allowed: Sequence[str]) -> None:
        """Raise `HandshakeError` (403) if a page asks whose origin is not `allowed`; programs have no origin."""
        if self.origin is not None and self.origin.lower() not in [origin.lower() for origin in allowed]:
            raise HandshakeError("pages of this origin may not connect", 403)

    def accept(
        self, subprotocol: str | None = None, options: DeflateOptions | None = None, fields: Fields = ()
    ) -> tuple[ResponseHead, Deflate | None]:
        """Return the head that answers, and what is agreed on about compression; `options` None: none is.

        Raises `ValueError` for a subprotocol that the client has not offered, and for fields of the handshake's own.
        """
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError(f"subprotocol {subprotocol!r} is none of those that the client offers")
        _check_fields(fields)
        said: list[tuple[bytes, bytes]] = []
        if self.version == 1:
            said += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
            said.append((b"sec-websocket-accept", accept_key(self.key)))
        if subprotocol is not None:
            said.append((_SUBPROTOCOLS, subprotocol.encode()))
        agreed = None if options is None else pmd.agree(self.extensions, options)
        if agreed is not None:
            said.append((_EXTENSIONS, build_extensions([agreed[0]]).encode()))
        head = ResponseHead(101 if self.version == 1 else 200, (*said, *fields))
        return head, None if agreed is None else agreed[1]


def is_opening(head: RequestHead) -> bool:
    """Whether a request means to open a WebSocket, well or badly."""
    if head.protocol == b"websocket":
        return True
    return head.method == b"GET" and b"websocket" in _listed(head, b"upgrade")


def read_opening(head: RequestHead, version: int) -> Opening:
    """Return what the client asks for; `version` is that of HTTP, 1 or 2. Raises `HandshakeError`."""
    key = b""
    if version == 1:
        key = _check_upgrade(head)
    if _one(head, b"sec-websocket-version") != VERSION:
        said = (b"sec-websocket-version", VERSION)
        raise HandshakeError("the version of WebSocket is 13", 426 if version == 1 else 400, (said,))
    offered = [name.decode("latin-1") for name in _values(head, _SUBPROTOCOLS)]
    if not all(is_token(name) for name in offered) or len(set(offered)) != len(offered):
        raise HandshakeError("Sec-WebSocket-Protocol is malformed", 400)
    origin = head.get(b"origin")
    return Opening(
        version, tuple(offered), _extensions(head), None if origin is None else origin.decode("latin-1"), key
    )


def _check_upgrade(head: RequestHead) -> bytes:
    """Check what RFC 6455 section 4.2.1 asks of a request; return its key."""
    if head.method != b"GET":
        raise HandshakeError("a WebSocket is opened by GET", 405, ((b"allow", b"GET"),))
    if b"websocket" not in _listed(head, b"upgrade") or b"upgrade" not in _listed(head, b"connection"):
        said = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
        raise HandshakeError("this is a WebSocket: Upgrade and Connection are missing", 426, said)
    key = _one(head, b"sec-websocket-key")
    try:
        decoded = base64.b64decode(key, validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != 16:
        raise HandshakeError("Sec-WebSocket-Key is not 16 bytes in Base64", 400)
    if head.get(b"content-length") not in (None, b"0") or head.get(b"transfer-encoding") is not None:
        raise HandshakeError("a request that opens a WebSocket has no body", 400)
    return key


# Client.


@dataclass(frozen=True, slots=True)
class Agreement:
    """What client and server have agreed on. `head` is the server's answer."""

    head: ResponseHead
    subprotocol: str | None
    deflate: Deflate | None


@dataclass(frozen=True, slots=True)
class ClientHandshake:
    """What a client asks for; `nonce` are 16 random bytes, which only HTTP/1.1 uses."""

    nonce: bytes
    subprotocols: tuple[str, ...] = ()
    options: DeflateOptions | None = field(default_factory=DeflateOptions)
    origin: str | None = None
    fields: Fields = ()

    def __post_init__(self) -> None:
        for name in self.subprotocols:
            if not is_token(name):
                raise ValueError(f"subprotocol {name!r} is no token")
        _check_fields(self.fields)

    def request(self, authority: bytes, path: bytes, *, version: int = 1, scheme: bytes = b"http") -> RequestHead:
        """Return the head of the request, for HTTP/1.1 or 2; over HTTP/2 its `protocol` is `websocket` (RFC 8441)."""
        said: list[tuple[bytes, bytes]] = []
        if version == 1:
            said += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
            said.append((b"sec-websocket-key", base64.b64encode(self.nonce)))
        said.append((b"sec-websocket-version", VERSION))
        if self.origin is not None:
            said.append((b"origin", self.origin.encode()))
        if self.subprotocols:
            said.append((_SUBPROTOCOLS, ", ".join(self.subprotocols).encode()))
        if self.options is not None:
            said.append((_EXTENSIONS, build_extensions([pmd.offer(self.options)]).encode()))
        fields = (*said, *self.fields)
        if version == 1:
            return RequestHead(b"GET", path, fields, authority, scheme)
        return RequestHead(b"CONNECT", path, fields, authority, scheme, b"websocket")

    def check(self, head: ResponseHead, version: int = 1) -> Agreement:
        """Return what the server's answer agrees on. Raises `HandshakeError`."""
        if head.status != (101 if version == 1 else 200):
            raise HandshakeError(f"the server answers {head.status} instead of a WebSocket", head.status, head.fields)
        if version == 1:
            upgrade, connection = _listed(head, b"upgrade"), _listed(head, b"connection")
            if upgrade != [b"websocket"] or b"upgrade" not in connection:
                raise _wrong(head, "does not upgrade to websocket")
            if _one(head, b"sec-websocket-accept") != accept_key(base64.b64encode(self.nonce)):
                raise _wrong(head, "has another key accepted")
        return Agreement(head, self._subprotocol(head), self._deflate(head))

    def _subprotocol(self, head: ResponseHead) -> str | None:
        said = [value for name, value in head.fields if name == _SUBPROTOCOLS]
        if not said:
            return None
        chosen = said[0].decode("latin-1")
        if len(said) > 1 or chosen not in self.subprotocols:
            raise _wrong(head, "speaks a subprotocol that was not offered")
        return chosen

    def _deflate(self, head: ResponseHead) -> Deflate | None:
        try:
            said = _extensions(head)
        except HandshakeError:
            raise _wrong(head, "has malformed extensions") from None
        if not said:
            return None
        agreed = pmd.check_agreed(said[0], self.options) if self.options is not None and len(said) == 1 else None
        if agreed is None:
            raise _wrong(head, "has extensions that were not offered")
        return agreed


def _wrong(head: ResponseHead, what: str) -> HandshakeError:
    return HandshakeError(f"the server's answer {what}", head.status, head.fields)


def _values(head: RequestHead | ResponseHead, name: bytes) -> list[bytes]:
    """Return the members of a list field (RFC 9110 section 5.6.1)."""
    joined = b",".join([value for key, value in head.fields if key == name])
    return [part for piece in joined.split(b",") if (part := piece.strip(b" \t"))]


def _listed(head: RequestHead | ResponseHead, name: bytes) -> list[bytes]:
    return [value.lower() for value in _values(head, name)]


def _one(head: RequestHead | ResponseHead, name: bytes) -> bytes:
    """Return the value of a field that occurs once, else nothing."""
    values = [value for key, value in head.fields if key == name]
    return values[0] if len(values) == 1 else b""


def _extensions(head: RequestHead | ResponseHead) -> tuple[Extension, ...]:
    values = [value.decode("latin-1") for name, value in head.fields if name == _EXTENSIONS]
    try:
        return tuple(parse_extensions(", ".join(values)))
    except ValueError as error:
        raise HandshakeError(str(error), 400) from None


def _check_fields(fields: Fields) -> None:
    for name, _ in fields:
        if name in _OURS:
            raise ValueError(f"the field {name.decode('latin-1')} belongs to the handshake")
