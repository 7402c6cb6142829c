"""Public keys and what a parent says of them: DNSKEY and DS records (RFC 4034 2, 5)."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from catenet.dns.dnssec.algorithms import CURVES, RSA_HASHES, Verify, make_verifier, rsa_numbers
from catenet.wire.dns.name import fold
from catenet.wire.errors import Malformed

__all__ = [
    "DIGESTS",
    "ENTRY_POINT",
    "PROTOCOL",
    "REVOKED",
    "SHA1",
    "SHA256",
    "SHA384",
    "ZONE_KEY",
    "Ds",
    "Key",
    "ds_from_data",
    "ds_from_key",
    "key_tag",
]

ZONE_KEY: Final = 0x0100
"""Flag: it signs a zone (RFC 4034 2.1.1)."""
REVOKED: Final = 0x0080
"""Flag: it is trusted for nothing but saying so (RFC 5011 2.1)."""
ENTRY_POINT: Final = 0x0001
"""Flag: a key signing key, as a hint (RFC 4034 2.1.1)."""
PROTOCOL: Final = 3

SHA1: Final = 1
SHA256: Final = 2
SHA384: Final = 4
_DIGESTS: Final[dict[int, Callable[[bytes], bytes]]] = {
    SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    SHA256: lambda data: hashlib.sha256(data).digest(),
    SHA384: lambda data: hashlib.sha384(data).digest(),
}
DIGESTS: Final = frozenset(_DIGESTS)
"""Digest types that we can compute. GOST (3, 5) and SM3 (6) are as if unknown."""


def key_tag(data: bytes) -> int:
    """Key tag of a DNSKEY's record data (RFC 4034 appendix B)."""
    if len(data) > 6 and data[3] == 1:  # B.1: RSA/MD5 takes it from the modulus
        return int.from_bytes(data[-3:-1], "big")
    total = (sum(data[0::2]) << 8) + sum(data[1::2])
    return (total + (total >> 16)) & 0xFFFF


class Key:
    """A public key of a zone.

    Attributes:
        data: the DNSKEY's record data.
        flags, algorithm: fields of it.
        public: its public key field.
        tag: number by which signatures and DS records name it; several keys can have the same.
    """

    __slots__ = ("_verify", "algorithm", "data", "flags", "protocol", "public", "tag")

    def __init__(self, data: bytes) -> None:
        if len(data) < 4:
            raise Malformed("dns: DNSKEY is cut off")
        self.data = data
        self.flags = data[0] << 8 | data[1]
        self.protocol = data[2]
        self.algorithm = data[3]
        self.public = data[4:]
        self.tag = key_tag(data)
        self._verify: Verify | None = None

    @property
    def is_zone_key(self) -> bool:
        """Whether it may sign a zone's records (RFC 4034 2.1.1, 2.1.2)."""
        return bool(self.flags & ZONE_KEY) and self.protocol == PROTOCOL

    @property
    def is_revoked(self) -> bool:
        """Whether its REVOKE bit is set (RFC 5011 7)."""
        return bool(self.flags & REVOKED)

    @property
    def is_entry_point(self) -> bool:
        """Whether it says that it is a key signing key."""
        return bool(self.flags & ENTRY_POINT)

    @property
    def bits(self) -> int:
        """Size of the key in bits, as tools print it: of an RSA key that of its modulus."""
        if self.algorithm in RSA_HASHES:
            try:
                return rsa_numbers(self.public)[1].bit_length()
            except Malformed:
                return 0
        return 4 * len(self.public) if self.algorithm in CURVES else 8 * len(self.public)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether this key made that signature. A key that is none of its algorithm made nothing."""
        if self._verify is None:
            try:
                self._verify = make_verifier(self.algorithm, self.public)
            except Malformed:
                self._verify = lambda signature, data: False
        return self._verify(signature, data)

    def to_text(self) -> str:
        """Record data as zone files have it."""
        return f"{self.flags} {self.protocol} {self.algorithm} {base64.b64encode(self.public).decode()}"


class Ds(NamedTuple):
    """What a parent says of a key of its child (RFC 4034 5.1)."""

    tag: int
    algorithm: int
    digest_type: int
    digest: bytes

    @property
    def data(self) -> bytes:
        """Record data."""
        return _DS.pack(self.tag, self.algorithm, self.digest_type) + self.digest

    def matches(self, owner: bytes, key: Key) -> bool:
        """Whether `key` of the zone `owner` is the one that is meant; False for a digest type that is not known."""
        if (key.tag, key.algorithm) != (self.tag, self.algorithm):
            return False
        digest = _DIGESTS.get(self.digest_type)
        return digest is not None and digest(fold(owner) + key.data) == self.digest

    def to_text(self) -> str:
        """Record data as zone files have it."""
        return f"{self.tag} {self.algorithm} {self.digest_type} {self.digest.hex().upper()}"


_DS: Final = struct.Struct("!HBB")


def ds_from_data(data: bytes) -> Ds:
    """A DS (or CDS) from its record data. Raises Malformed when it is cut off."""
    if len(data) < 5:
        raise Malformed("dns: DS is cut off")
    tag, algorithm, digest_type = _DS.unpack_from(data)
    return Ds(tag, algorithm, digest_type, data[4:])


def ds_from_key(owner: bytes, key: Key, digest_type: int = SHA256) -> Ds:
    """The DS that a parent publishes for a key. Raises ValueError for a digest type that is not known."""
    digest = _DIGESTS.get(digest_type)
    if digest is None:
        raise ValueError(f"digest type {digest_type}: known are {', '.join(map(str, sorted(DIGESTS)))}")
    return Ds(key.tag, key.algorithm, digest_type, digest(fold(owner) + key.data))
