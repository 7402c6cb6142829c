"""What a zone holds: record sets by name, and the orders in which denial looks for them.

A name's sets are a tuple, which is never changed but replaced: so whoever took it may go on with it, and a name costs
little. Names that only have names below them (empty non-terminals, RFC 4592 2.2.2) have an empty one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Final, Self

from catenet.dns.dnssec.nsec3 import hash_to_label
from catenet.dns.rrset import RRset
from catenet.dns.zone.hashing import Hashing, hash_of_owner, hashing_of
from catenet.dns.zone.order import name_of_key, order_key
from catenet.wire.dns.name import fold, is_below, name_to_text, parent
from catenet.wire.dns.numbers import NS, NSEC, NSEC3, NSEC3PARAM, SOA

__all__ = ["Contents", "Node", "set_of"]

Node = tuple[RRset, ...]
"""The record sets of one name."""

_EMPTY: Final[Node] = ()


def set_of(node: Node, kind: int) -> RRset | None:
    """The set of this type, None without one."""
    for one in node:
        if one.type == kind:
            return one
    return None


class Contents:
    """Record sets of a zone, with those of names below its cuts.

    Attributes:
        origin: name of the apex, its case as it was written.
        apex: the same, folded.
    """

    __slots__ = ("_chain", "_children", "_denials", "_hashed", "_nodes", "apex", "origin")

    def __init__(self, origin: bytes, sets: Iterable[RRset] = ()) -> None:
        self.origin = origin
        self.apex = fold(origin)
        self._nodes: dict[bytes, Node] = {self.apex: _EMPTY}
        self._children: dict[bytes, int] = {}
        """How many names of the zone are one label below a name."""
        self._hashed: dict[bytes, RRset] = {}
        """NSEC3 sets by owner. They are no names of the zone: asked for, they do not exist (RFC 5155 7.2.8)."""
        self._denials: list[bytes] | None = None
        """Keys of the names that have NSEC, in order; None until it is needed."""
        self._chain: list[bytes] | None = None
        """Hashes of the NSEC3 sets in order; None until it is needed."""
        for one in sets:
            self.put(one)

    # Reading.

    def node(self, name: bytes) -> Node | None:
        """Sets of a folded name: empty for an empty non-terminal, None when there is no such name."""
        return self._nodes.get(name)

    def get(self, name: bytes, kind: int) -> RRset | None:
        """The set of a name (in any case) and type."""
        name = fold(name)
        if kind == NSEC3:
            return self._hashed.get(name)
        return set_of(self._nodes.get(name, _EMPTY), kind)

    def hashed(self, name: bytes) -> RRset | None:
        """The NSEC3 set of a folded name."""
        return self._hashed.get(name)

    @property
    def soa(self) -> RRset | None:
        """The SOA set of the apex; a zone that serves has one."""
        return set_of(self._nodes[self.apex], SOA)

    def __len__(self) -> int:
        """How many record sets there are."""
        return sum(map(len, self._nodes.values())) + len(self._hashed)

    def __iter__(self) -> Iterator[RRset]:
        """All sets: SOA, the others of the apex, then in canonical order of names (RFC 4034 6.1), by type."""
        soa = self.soa
        if soa is not None:
            yield soa
        nodes, hashed = self._nodes, self._hashed
        for name in map(name_of_key, sorted(map(order_key, [*nodes, *(hashed.keys() - nodes.keys())]))):
            sets = nodes.get(name, _EMPTY)
            if name in hashed:
                sets = (*sets, hashed[name])
            if len(sets) > 1:
                sets = tuple(sorted(sets, key=_type_of))
            for one in sets:
                if one is not soa:
                    yield one

    def sets(self) -> Iterator[RRset]:
        """All sets, in no order that means something."""
        for node in self._nodes.values():
            yield from node
        yield from self._hashed.values()

    def names(self) -> Iterator[bytes]:
        """Folded names, empty non-terminals among them, without the owners of NSEC3."""
        return iter(self._nodes)

    def cut_above(self, name: bytes) -> bytes | None:
        """The nearest to the apex of the names at or above a folded one that are delegated; None without one.

        What is at or below it is not the zone's to tell, but for NS and DS at the cut (RFC 2181 6).
        """
        found = None
        while len(name) > len(self.apex):
            if set_of(self._nodes.get(name, _EMPTY), NS):
                found = name
            name = name[1 + name[0] :]
        return found

    # Writing.

    def check_name(self, name: bytes) -> None:
        """Raises ValueError for a folded name that is not in the zone."""
        if not is_below(name, self.apex):
            raise ValueError(f"{name_to_text(name)} is not in the zone {name_to_text(self.origin)}")

    def put(self, rrset: RRset) -> None:
        """Add a set, or replace that of the same name and type. Raises ValueError for a name outside of the zone."""
        name = fold(rrset.name)
        if rrset.type == NSEC3:
            self.check_name(name)
            is_new = name not in self._hashed
            self._hashed[name] = rrset
            digest = self._chained(name, self.hashing) if is_new and self._chain is not None else None
            if digest is not None and self._chain is not None:
                insort(self._chain, digest)
            return
        node = self._nodes.get(name)
        if not node:
            if node is None:
                self.check_name(name)
                self._make_room(name)
            self._nodes[name] = (rrset,)
        else:
            kind = rrset.type
            self._nodes[name] = (*(one for one in node if one.type != kind), rrset)
        if rrset.type == NSEC and self._denials is not None:
            self._note_denial(name)
        elif rrset.type == NSEC3PARAM:
            self._chain = None

    def discard(self, name: bytes, kind: int) -> None:
        """Take away the set of a name (in any case) and type, if there is one."""
        name = fold(name)
        if kind == NSEC3:
            if self._hashed.pop(name, None) is not None:
                self._chain = None
            return
        node = self._nodes.get(name, _EMPTY)
        left = tuple(one for one in node if one.type != kind)
        if len(left) == len(node):
            return
        self._nodes[name] = left
        if kind == NSEC and self._denials is not None:
            key = order_key(name)
            del self._denials[bisect_left(self._denials, key)]
        elif kind == NSEC3PARAM:
            self._chain = None
        while not left and name != self.apex and name not in self._children:
            del self._nodes[name]
            name = parent(name)
            self._children[name] -= 1
            if not self._children[name]:
                del self._children[name]
            left = self._nodes[name]

    def copy(self) -> Self:
        """The same sets, to be changed apart."""
        other = type(self)(self.origin)
        other._nodes = self._nodes.copy()
        other._children = self._children.copy()
        other._hashed = self._hashed.copy()
        other._denials = None if self._denials is None else self._denials.copy()
        other._chain = None if self._chain is None else self._chain.copy()
        return other

    def _make_room(self, name: bytes) -> None:
        """Enter a new name below its parent, and names between that have to exist."""
        nodes, children = self._nodes, self._children
        nodes[name] = _EMPTY
        while True:
            name = parent(name)
            children[name] = children.get(name, 0) + 1
            if name in nodes:
                return
            nodes[name] = _EMPTY

    # The orders of denial.

    def denial_before(self, name: bytes) -> RRset | None:
        """The NSEC set of the last name that has one and is `name` (folded) or before it; None in a zone without."""
        if self._denials is None:
            nodes = self._nodes
            self._denials = sorted(order_key(each) for each, node in nodes.items() if set_of(node, NSEC))
        at = bisect_right(self._denials, order_key(name)) - 1
        return set_of(self._nodes[name_of_key(self._denials[at])], NSEC) if at >= 0 else None

    @property
    def hashing(self) -> Hashing | None:
        """How names are hashed in the zone's NSEC3 chain; None without one."""
        return hashing_of(set_of(self._nodes[self.apex], NSEC3PARAM)) if self._hashed else None

    def hash_before(self, digest: bytes) -> RRset | None:
        """The NSEC3 set with this hash, or the last one before it, around the ring (RFC 5155 1.3)."""
        if self._chain is None:
            hashing = self.hashing
            self._chain = sorted(filter(None, (self._chained(name, hashing) for name in self._hashed)))
        if not self._chain:
            return None
        at = bisect_right(self._chain, digest) - 1
        return self._hashed[self._owner(self._chain[at])]

    def _chained(self, name: bytes, hashing: Hashing | None) -> bytes | None:
        """The hash that an NSEC3 set is found by; None if it is of another chain, or of none."""
        if hashing is None or not hashing.made(self._hashed[name].data[0]):
            return None
        return hash_of_owner(name, self.apex)

    def _owner(self, digest: bytes) -> bytes:
        return hash_to_label(digest) + self.apex

    def _note_denial(self, name: bytes) -> None:
        assert self._denials is not None
        key = order_key(name)
        at = bisect_left(self._denials, key)
        if at == len(self._denials) or self._denials[at] != key:
            self._denials.insert(at, key)


def _type_of(one: RRset) -> int:
    return one.type
