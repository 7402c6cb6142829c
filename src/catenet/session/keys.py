"""Keys of a session and proofs of having them: X25519 (RFC 7748), HKDF (RFC 5869), HMAC-SHA-256 (RFC 2104).

The secret never crosses the network, neither when a session begins nor later. Entropy is handed in. Without the
package `cryptography` the exchange is computed here, in some milliseconds instead of a tenth of one; keys are used
once, so that its time tells nothing that lasts.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

__all__ = ["Keys", "derive", "exchange", "ladder", "public_key", "same"]

MIN_SHARED_KEY: Final = 16
"""Bytes of a shared key: a proof lets its receiver try shorter ones without asking."""

_P: Final = 2**255 - 19
_A24: Final = 121665
_BASE: Final = b"\x09" + bytes(31)
_LABEL: Final = b"catenet session 1"


@dataclass(frozen=True, slots=True)
class Keys:
    """What both ends of a session, and nobody else, can prove to have; one key for each direction."""

    client: bytes
    server: bytes

    def client_proof(self, about: bytes, *parts: bytes) -> bytes:
        """Return the client's proof of something that was said."""
        return _proof(self.client, about, parts)

    def server_proof(self, about: bytes, *parts: bytes) -> bytes:
        """Return the server's."""
        return _proof(self.server, about, parts)


def same(one: bytes, other: bytes) -> bool:
    """Whether two proofs are equal, in a time that does not depend on them."""
    return hmac.compare_digest(one, other)


def derive(shared: bytes, key: bytes, nonces: bytes, transcript: bytes) -> Keys:
    """Return the keys: `shared` of the exchange, `key` that both had before or `b""`, and what was said, hashed."""
    prk = hmac.digest(nonces, shared + key, "sha256")
    context = _LABEL + hashlib.sha256(transcript).digest()
    first = hmac.digest(prk, context + b"client\x01", "sha256")
    second = hmac.digest(prk, context + b"server\x01", "sha256")
    return Keys(first, second)


def _proof(key: bytes, about: bytes, parts: tuple[bytes, ...]) -> bytes:
    # Lengths are part of it, so that no two lists of parts are the same bytes.
    body = b"".join(len(part).to_bytes(4, "big") + part for part in (about, *parts))
    return hmac.digest(key, body, "sha256")


def public_key(private: bytes) -> bytes:
    """Return the public key of 32 random bytes."""
    return _x25519(private, _BASE)


def exchange(private: bytes, public: bytes) -> bytes | None:
    """Return what both ends can compute; None for a public key that makes it known to all (RFC 7748 section 6.1)."""
    shared = _x25519(private, public)
    return None if same(shared, bytes(32)) else shared


def _x25519(private: bytes, public: bytes) -> bytes:
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    except ImportError:
        return ladder(private, public)
    key = X25519PrivateKey.from_private_bytes(private)
    if public == _BASE:
        return key.public_key().public_bytes_raw()
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # of low order
        return bytes(32)


def ladder(private: bytes, public: bytes) -> bytes:
    """Return X25519 of a scalar and a coordinate of 32 bytes each (RFC 7748 section 5)."""
    scalar = int.from_bytes(private, "little") & ~7 & (1 << 254) - 1 | 1 << 254
    x1 = int.from_bytes(public, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for bit in range(254, -1, -1):
        now = scalar >> bit & 1
        if swap != now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % _P, b * b % _P, d * a % _P, c * b % _P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * (da - cb) ** 2 % _P
        x2, z2 = aa * bb % _P, e * (aa + _A24 * e) % _P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")
