"""Extension fields of NTS in packets of NTP (RFC 8915 section 5), and the algorithms that protect them. Pure.

`protect` makes a packet of a header and fields; `Protected` is what one is read as. Fields behind the authenticator are
not protected, and so do not count; neither does a MAC.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from catenet.ntp.errors import Malformed
from catenet.ntp.packet import HEADER_LENGTH, Extension, Packet

__all__ = [
    "AUTHENTICATOR",
    "COOKIE",
    "NONCE_LENGTH",
    "PLACEHOLDER",
    "UNIQUE_ID",
    "UNIQUE_ID_LENGTH",
    "Protected",
    "aead_open",
    "aead_seal",
    "protect",
    "read",
    "read_fields",
]

UNIQUE_ID: Final = 0x0104
COOKIE: Final = 0x0204
PLACEHOLDER: Final = 0x0304
AUTHENTICATOR: Final = 0x0404

UNIQUE_ID_LENGTH: Final = 32
"""Octets that a client draws; a server takes no fewer (section 5.3)."""
NONCE_LENGTH: Final = 16
"""Of both sides. With as many in a request a server has room for its own (section 5.6)."""
_LENGTHS: Final = struct.Struct(">HH")
_FIELD: Final = struct.Struct(">HH")


@functools.lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESSIV:
    """Made once for a server's own key, and for those of clients that ask often: it costs as much as its use."""
    return AESSIV(key)


def aead_seal(key: bytes, nonce: bytes, associated: bytes, plain: bytes) -> bytes:
    """Encrypt by AEAD_AES_SIV_CMAC (RFC 5297); the length of the key says which."""
    return _cipher(key).encrypt(plain, [associated, nonce])


def aead_open(key: bytes, nonce: bytes, associated: bytes, sealed: bytes) -> bytes | None:
    """Decrypt likewise; None for what is not authentic."""
    try:
        return _cipher(key).decrypt(sealed, [associated, nonce])
    except InvalidTag:
        return None


def protect(header: bytes, fields: Sequence[Extension], key: bytes, nonce: bytes, secret: bytes = b"") -> bytes:
    """Return a packet of a header and fields with an authenticator at its end; `secret`: encrypted fields."""
    signed = header + b"".join(one.build() for one in fields)
    sealed = aead_seal(key, nonce, signed, secret)
    body = _LENGTHS.pack(len(nonce), len(sealed)) + _padded(nonce) + _padded(sealed)
    return signed + Extension(AUTHENTICATOR, body).build()


def _padded(data: bytes) -> bytes:
    return data.ljust((len(data) + 3) & ~3, b"\0")


@dataclass(frozen=True, slots=True)
class Protected:
    """What is protected in a packet, before it is known to be authentic.

    Attributes:
        unique_id: by which a client knows the answer to its request.
        cookies: the bodies of fields with cookies.
        placeholders: lengths of the bodies of those in place of cookies.
        signed: the octets that are authenticated.
        nonce, sealed: of the authenticator; None without one.
    """

    unique_id: bytes
    cookies: tuple[bytes, ...]
    placeholders: tuple[int, ...]
    signed: bytes
    nonce: bytes = b""
    sealed: bytes | None = None

    def open(self, key: bytes) -> bytes | None:
        """Return the encrypted fields, None if the packet is not authentic."""
        if self.sealed is None:
            return None
        return aead_open(key, self.nonce, self.signed, self.sealed)


def read(data: bytes, packet: Packet) -> Protected:
    """Return what is protected in a packet. Raises `Malformed`, among others for a field that is there twice."""
    at = HEADER_LENGTH
    identifiers: list[bytes] = []
    cookies: list[bytes] = []
    placeholders: list[int] = []
    nonce, sealed = b"", None
    for one in packet.extensions:
        if one.type == AUTHENTICATOR:
            nonce, sealed = _read_authenticator(one.body)
            break
        at += 4 + len(one.body)
        if one.type == UNIQUE_ID:
            identifiers.append(one.body)
        elif one.type == COOKIE:
            cookies.append(one.body)
        elif one.type == PLACEHOLDER:
            placeholders.append(len(one.body))
    if len(identifiers) > 1 or len(cookies) > 1:
        raise Malformed("a field that may be there once is there twice")
    identifier = identifiers[0] if identifiers else b""
    return Protected(identifier, tuple(cookies), tuple(placeholders), data[:at], nonce, sealed)


def _read_authenticator(body: bytes) -> tuple[bytes, bytes]:
    if len(body) < _LENGTHS.size:
        raise Malformed("an authenticator without lengths")
    nonce_length, sealed_length = _LENGTHS.unpack_from(body)
    begin = _LENGTHS.size + ((nonce_length + 3) & ~3)
    if not nonce_length or begin + sealed_length > len(body):
        raise Malformed("an authenticator that is too short for what it holds")
    return body[_LENGTHS.size : _LENGTHS.size + nonce_length], body[begin : begin + sealed_length]


def read_fields(data: bytes) -> tuple[Extension, ...]:
    """Return the fields that were encrypted. They may be shorter than others (section 5.6). Raises `Malformed`."""
    found: list[Extension] = []
    at = 0
    while at < len(data):
        if len(data) - at < _FIELD.size:
            raise Malformed("an encrypted field that is cut off")
        kind, length = _FIELD.unpack_from(data, at)
        if length < _FIELD.size or length % 4 or at + length > len(data):
            raise Malformed(f"an encrypted field of {length} octets")
        found.append(Extension(kind, data[at + _FIELD.size : at + length]))
        at += length
    return tuple(found)
