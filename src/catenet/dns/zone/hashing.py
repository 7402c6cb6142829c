"""Hashed names of NSEC3 (RFC 5155 5)."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Final, NamedTuple

from catenet.dns.dnssec.nsec3 import hash_to_label, nsec3_hash
from catenet.dns.rrset import RRset

__all__ = ["Hashing", "hash_of_owner", "hashing_of"]

SHA1: Final = 1
"""The only algorithm (RFC 5155 11)."""


class Hashing(NamedTuple):
    """Parameters of a chain."""

    iterations: int
    salt: bytes

    def digest(self, name: bytes) -> bytes:
        """Hash of a folded name."""
        return _digest(name, self.salt, self.iterations)

    def made(self, data: bytes) -> bool:
        """Whether NSEC3 data are of this chain."""
        if len(data) < 5:
            return False
        salt = data[5 : 5 + data[4]]
        return data[0] == SHA1 and (data[2] << 8 | data[3]) == self.iterations and salt == self.salt


@lru_cache(maxsize=20_000)
def _digest(name: bytes, salt: bytes, iterations: int) -> bytes:
    return nsec3_hash(name, salt, iterations)


def hashing_of(parameters: RRset | None) -> Hashing | None:
    """What an NSEC3PARAM set says; None if it names no algorithm that is known, or its chain is not whole (flags)."""
    for data in () if parameters is None else parameters.data:
        if len(data) >= 5 and data[0] == SHA1 and not data[1]:
            return Hashing(data[2] << 8 | data[3], data[5 : 5 + data[4]])
    return None


def hash_of_owner(name: bytes, apex: bytes) -> bytes | None:
    """The hash that a folded owner of NSEC3 says; None for one that is no hash right below the apex."""
    try:
        digest = base64.b32hexdecode(name[1 : 1 + name[0]].upper())
    except ValueError:
        return None
    return digest if hash_to_label(digest) + apex == name else None
