"""NSEC3 records of the cache, as answers are made of them (RFC 8198 5.2): denials of names by their hashes.

Ranges with opt-out prove nothing about a name that is in them, as unsigned delegations may be there, and are passed
over. So are zones that hash more than RFC 9276 advises: each question costs a hash for each label.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import takewhile
from typing import Final

from catenet.dns.dnssec.nsec3 import Nsec3, nsec3_hash
from catenet.dns.resolver.cache import Entry
from catenet.dns.resolver.names import ancestors
from catenet.wire.dns.numbers import ANY, NOERROR, NXDOMAIN

__all__ = ["MOST_ITERATIONS", "Ring"]

MOST_ITERATIONS: Final = 10
MOST_LABELS: Final = 10
"""Of a name below its zone's."""

_Found = tuple[Entry, Nsec3]


class Ring:
    """Records of one zone, all hashed alike, in the order of their hashes."""

    def __init__(self, salt: bytes, iterations: int) -> None:
        self.parameters = salt, iterations
        self._keys: list[bytes] = []
        self._entries: dict[bytes, _Found] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, entry: Entry, nsec3: Nsec3) -> bool:
        """Keep a record; False: it replaces another."""
        is_new = nsec3.owner not in self._entries
        if is_new:
            self._keys.insert(bisect_left(self._keys, nsec3.owner), nsec3.owner)
        self._entries[nsec3.owner] = entry, nsec3
        return is_new

    def deny(self, apex: bytes, name: bytes, kind: int, now: float) -> tuple[int, list[Entry]] | None:
        """The response code and the proofs of a denial, None if what is known does not prove it (RFC 5155 8.4 to 8.7).

        `name` is at or below `apex`, both folded.
        """
        names = [*takewhile(lambda one: one != apex, ancestors(name)), apex]
        if len(names) > MOST_LABELS:
            return None
        at, match = next(((at, one) for at, each in enumerate(names) if (one := self._match(each, now))), (0, None))
        if match is None:
            return None
        if not at:
            is_denied = kind != ANY and match[1].denies_type(kind)
            return (NOERROR, [match[0]]) if is_denied else None
        next_closer = self._cover(names[at - 1], now)
        if next_closer is None or not match[1].can_enclose:
            return None
        wildcard = b"\1*" + names[at]
        other = self._match(wildcard, now)
        rcode = NXDOMAIN
        if other is not None:
            if kind == ANY or not other[1].denies_type(kind):
                return None
            rcode = NOERROR
        elif (other := self._cover(wildcard, now)) is None:
            return None
        return rcode, [one[0] for one in dict.fromkeys((match, next_closer, other))]

    def _hash(self, name: bytes) -> bytes:
        return nsec3_hash(name, *self.parameters)

    def _match(self, name: bytes, now: float) -> _Found | None:
        digest = self._hash(name)
        return self._alive(digest, now) if digest in self._entries else None

    def _cover(self, name: bytes, now: float) -> _Found | None:
        if not self._keys:
            return None
        digest = self._hash(name)
        found = self._alive(self._keys[bisect_right(self._keys, digest) - 1], now)
        return found if found is not None and found[1].covers(digest) and not found[1].opt_out else None

    def _alive(self, digest: bytes, now: float) -> _Found | None:
        found = self._entries[digest]
        if found[0].alive and found[0].expires >= now:
            return found
        del self._entries[digest]
        del self._keys[bisect_left(self._keys, digest)]
        return None
