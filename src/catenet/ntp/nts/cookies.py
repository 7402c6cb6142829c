"""A server's cookies: the client's keys, sealed by a key that only the server has (RFC 8915 section 6). Pure.

The server keeps nothing of its clients. Its own key is another one each day, made by HKDF of the one before, and two
days later that is forgotten: who steals a key opens no cookies from before. Processes that began with one secret have
the same keys without telling each other.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Final

from catenet.ntp.nts.fields import NONCE_LENGTH, aead_open, aead_seal
from catenet.ntp.nts.records import AEAD_KEY_LENGTHS

__all__ = ["SECRET_LENGTH", "CookieKeys", "SessionKeys"]

ROTATION: Final = 86_400.0
"""Seconds for which a key seals."""
KEPT: Final = 2
"""Keys before that one which still open."""
SECRET_LENGTH: Final = 32
_HEAD: Final = struct.Struct(">I")
_ALGORITHM: Final = struct.Struct(">HH")
_LABEL: Final = b"catenet NTS cookie key"


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What a cookie holds."""

    algorithm: int
    to_server: bytes
    to_client: bytes


class CookieKeys:
    """The keys of a server.

    Args:
        secret: 32 random octets; the key of the day that `now` is in.
        now: Unix time in seconds.
        rng: draws nonces; for real servers `random.SystemRandom()`.
        rotation: seconds for which a key seals.
    """

    def __init__(self, secret: bytes, now: float, rng: random.Random, rotation: float = ROTATION) -> None:
        if len(secret) != SECRET_LENGTH:
            raise ValueError(f"a secret of {len(secret)} octets: {SECRET_LENGTH}")
        self._rng = rng
        self._rotation = rotation
        self._number = int(now // rotation)
        self._keys = {self._number: secret}

    def seal(self, keys: SessionKeys, now: float) -> bytes:
        """Return a cookie."""
        self._rotate(now)
        head = _HEAD.pack(self._number & 0xFFFFFFFF)
        nonce = self._rng.randbytes(NONCE_LENGTH)
        plain = _ALGORITHM.pack(keys.algorithm, 0) + keys.to_server + keys.to_client
        return head + nonce + aead_seal(self._keys[self._number], nonce, head, plain)

    def open(self, cookie: bytes, now: float) -> SessionKeys | None:
        """Return what a cookie holds; None for one of others, or one that is too old."""
        self._rotate(now)
        head, nonce = cookie[: _HEAD.size], cookie[_HEAD.size : _HEAD.size + NONCE_LENGTH]
        sealed = cookie[_HEAD.size + NONCE_LENGTH :]
        if len(nonce) != NONCE_LENGTH or not sealed:
            return None
        key = self._keys.get(_HEAD.unpack(head)[0])
        plain = None if key is None else aead_open(key, nonce, head, sealed)
        return None if plain is None else _read(plain)

    def _rotate(self, now: float) -> None:
        """Make the keys of the days that have begun; a clock that goes back changes nothing."""
        number = int(now // self._rotation)
        while self._number < number:
            key = self._keys[self._number]
            self._number += 1
            self._keys[self._number] = _next(key)
            self._keys.pop(self._number - KEPT - 1, None)


def _next(key: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=SECRET_LENGTH, salt=None, info=_LABEL).derive(key)


def _read(plain: bytes) -> SessionKeys | None:
    try:
        algorithm, _ = _ALGORITHM.unpack_from(plain)
        length = AEAD_KEY_LENGTHS[algorithm]
    except (struct.error, KeyError):
        return None
    keys = plain[_ALGORITHM.size :]
    if len(keys) != 2 * length:
        return None
    return SessionKeys(algorithm, keys[:length], keys[length:])
