"""What NSEC records prove (RFC 4034 4, RFC 4035 5.4, RFC 6840 4)."""

from __future__ import annotations

from typing import Final

from catenet.dns.dnssec.rrsig import plain_name
from catenet.wire.dns.bitmap import has_type
from catenet.wire.dns.name import canonical_key, fold, is_below
from catenet.wire.dns.numbers import CNAME, DNAME, DS, NS, SOA

__all__ = ["NXNAME", "Nsec"]

NXNAME: Final = 128
"""Type in the bit map of a name that does not exist (RFC 9824 2)."""


class Nsec:
    """One NSEC record of a zone: its owner exists, with these types, and nothing up to the next name does.

    Attributes:
        owner, next: folded names.
        bitmap: the types at the owner.
    """

    __slots__ = ("_next_key", "_owner_key", "bitmap", "is_last", "next", "owner")

    def __init__(self, owner: bytes, data: bytes, zone: bytes) -> None:
        """Read one. Raises Malformed for data that is cut off, ValueError for names that are not of the zone."""
        following, end = plain_name(data, 0)
        self.owner, self.next, self.bitmap = fold(owner), fold(following), data[end:]
        if not is_below(self.owner, zone) or not is_below(self.next, zone):
            raise ValueError("NSEC with a name outside of its zone")
        self._owner_key, self._next_key = canonical_key(self.owner), canonical_key(self.next)
        self.is_last = self.next == zone
        if not self.is_last and self._next_key <= self._owner_key:
            raise ValueError("NSEC whose next name is not behind its owner")

    def has(self, kind: int) -> bool:
        """Whether the type exists at the owner."""
        return has_type(self.bitmap, kind)

    @property
    def is_delegation(self) -> bool:
        """Whether it is the parent's side of a zone cut, which says nothing of names below (RFC 6840 4.1)."""
        return self.has(NS) and not self.has(SOA)

    def covers(self, name: bytes) -> bool:
        """Whether a folded name of the zone lies behind the owner and before the next name.

        Never a name below the owner where that is a delegation or has a DNAME: it is not in the zone, or is renamed.
        """
        key = canonical_key(name)
        if key <= self._owner_key or (key >= self._next_key and not self.is_last):
            return False
        return not (is_below(name, self.owner) and (self.is_delegation or self.has(DNAME)))

    def is_above_next(self, name: bytes) -> bool:
        """Whether the next name is below `name`, which so exists without records (an empty non-terminal)."""
        return self.next != name and is_below(self.next, name)

    def denies_type(self, kind: int) -> bool:
        """Whether the owner, being the name in question, has neither that type nor an alias.

        The parent's side of a cut denies only DS, the child's apex does not (RFC 6840 4.1, 4.4).
        """
        if self.has(kind) or self.has(CNAME):
            return False
        if kind == DS:
            return not self.has(SOA) or self.owner == b"\0"
        return not self.is_delegation

    def closest_encloser(self, name: bytes) -> bytes:
        """The longest existing ancestor of a name that it covers: what it shares with either end."""
        return max(shared_ancestor(name, self.owner), shared_ancestor(name, self.next), key=len)


def shared_ancestor(first: bytes, second: bytes) -> bytes:
    """The longest name that both are or are below; both folded."""
    while not is_below(second, first):
        first = first[1 + first[0] :]
    return first
