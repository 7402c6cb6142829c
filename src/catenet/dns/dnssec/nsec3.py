"""What NSEC3 records prove (RFC 5155)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from catenet.dns.dnssec.budget import Budget
from catenet.wire.dns.bitmap import has_type
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import CNAME, DNAME, DS, NS, SOA
from catenet.wire.errors import Malformed

__all__ = ["Nsec3", "Nsec3Hasher", "hash_to_label", "nsec3_hash", "pack_nsec3", "pack_nsec3param"]

SHA1: Final = 1
OPT_OUT: Final = 1
_HASH_LENGTH: Final = 20
_STEPS_PER_OPERATION: Final = 50
"""Iterations that cost about as much as one signature."""


def nsec3_hash(name: bytes, salt: bytes, iterations: int) -> bytes:
    """Hash of a name (RFC 5155 5); `iterations` are those besides the first."""
    sha1 = hashlib.sha1
    digest = sha1(fold(name) + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = sha1(digest + salt, usedforsecurity=False).digest()
    return digest


def hash_to_label(digest: bytes) -> bytes:
    """A hash as the first label of a name, its length included (RFC 5155 3.3)."""
    text = base64.b32hexencode(digest).rstrip(b"=").lower()
    return bytes((len(text),)) + text


def pack_nsec3param(iterations: int, salt: bytes) -> bytes:
    """Data of an NSEC3PARAM record (RFC 5155 4.2)."""
    return bytes((SHA1, 0)) + iterations.to_bytes(2, "big") + bytes((len(salt),)) + salt


def pack_nsec3(iterations: int, salt: bytes, opt_out: bool, following: bytes, bitmap: bytes) -> bytes:
    """Data of an NSEC3 record (RFC 5155 3.2); `following` is the next hash."""
    head = bytes((SHA1, OPT_OUT if opt_out else 0)) + iterations.to_bytes(2, "big")
    return head + bytes((len(salt),)) + salt + bytes((len(following),)) + following + bitmap


class Nsec3:
    """One NSEC3 record of a zone.

    Attributes:
        owner: hash of the name that exists.
        next: hash of the next name.
        salt, iterations: how names are hashed.
        opt_out: delegations without DS may be in between (RFC 5155 6).
        bitmap: the types at the name.
    """

    __slots__ = ("bitmap", "iterations", "next", "opt_out", "owner", "salt")

    def __init__(self, owner: bytes, data: bytes, zone: bytes) -> None:
        """Read one.

        Raises:
            Malformed: data that is cut off.
            ValueError: it is of another zone, or says what is to be passed over (RFC 5155 8.1, 8.2).
        """
        folded = fold(owner)
        if folded[1 + folded[0] :] != zone:
            raise ValueError("NSEC3 of another zone")
        if len(data) < 5:
            raise Malformed("dns: NSEC3 is cut off")
        if data[0] != SHA1 or data[1] & ~OPT_OUT:
            raise ValueError("NSEC3 of an unknown hash, or with unknown flags")
        self.opt_out = bool(data[1] & OPT_OUT)
        self.iterations = data[2] << 8 | data[3]
        at = 5 + data[4]
        self.salt = data[5:at]
        length = data[at] if at < len(data) else -1
        self.next = data[at + 1 : at + 1 + length]
        self.bitmap = data[at + 1 + length :]
        if length != _HASH_LENGTH or len(self.next) != length:
            raise Malformed("dns: NSEC3 is cut off, or its hash has a wrong length")
        try:
            self.owner = base64.b32hexdecode(folded[1 : 1 + folded[0]].upper())
        except binascii.Error:
            raise ValueError("NSEC3 whose owner is no hash") from None
        if len(self.owner) != length:
            raise ValueError("NSEC3 whose owner is no hash")

    def has(self, kind: int) -> bool:
        """Whether the type exists at the name."""
        return has_type(self.bitmap, kind)

    @property
    def is_delegation(self) -> bool:
        """Whether it is the parent's side of a zone cut."""
        return self.has(NS) and not self.has(SOA)

    @property
    def can_enclose(self) -> bool:
        """Whether names below can be in the zone (RFC 5155 8.3)."""
        return not self.is_delegation and not self.has(DNAME)

    def covers(self, digest: bytes) -> bool:
        """Whether a hash lies between both, around the end of the ring where this is the last."""
        if self.owner < self.next:
            return self.owner < digest < self.next
        return digest > self.owner or digest < self.next

    def denies_type(self, kind: int) -> bool:
        """As `Nsec.denies_type`, which zone's side of a cut may deny what included."""
        if self.has(kind) or self.has(CNAME):
            return False
        if kind == DS:
            return not self.has(SOA)
        return not self.is_delegation


class Nsec3Hasher:
    """Hashes of names under the parameters of one zone, each made once, and counted."""

    def __init__(self, salt: bytes, iterations: int, budget: Budget) -> None:
        self._salt = salt
        self._iterations = iterations
        self._budget = budget
        self._known: dict[bytes, bytes] = {}

    def __call__(self, name: bytes) -> bytes:
        """Hash of a folded name. Raises Exhausted."""
        digest = self._known.get(name)
        if digest is None:
            self._budget.spend(1 + self._iterations // _STEPS_PER_OPERATION)
            digest = self._known[name] = nsec3_hash(name, self._salt, self._iterations)
        return digest
