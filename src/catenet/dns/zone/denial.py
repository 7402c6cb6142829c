"""What a signed zone puts into negative and wildcard answers (RFC 4035 3.1.3, RFC 5155 7.2)."""

from __future__ import annotations

from collections.abc import Iterator

from catenet.dns.dnssec.nsec3 import hash_to_label
from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Contents, set_of
from catenet.dns.zone.hashing import Hashing
from catenet.wire.dns.name import parent
from catenet.wire.dns.numbers import NSEC

__all__ = ["WILDCARD", "no_closer_match", "no_data", "no_name", "unsigned_cut", "wildcard_no_data"]

WILDCARD = b"\x01*"
"""The label, its length before it."""


def no_name(zone: Contents, name: bytes, encloser: bytes) -> Iterator[RRset]:
    """That neither a folded name nor a wildcard for it exists; `encloser` is its closest ancestor that does."""
    hashing = zone.hashing
    if hashing is None:
        yield from _covering(zone, name)
        yield from _covering(zone, WILDCARD + encloser)
        return
    provable, proof = _closest_encloser(zone, hashing, name, encloser)
    yield from proof
    yield from _hash_before(zone, hashing, WILDCARD + provable)


def no_data(zone: Contents, name: bytes) -> Iterator[RRset]:
    """That a folded name that exists (empty non-terminals too) has no set of some type."""
    hashing = zone.hashing
    if hashing is None:
        yield from _covering(zone, name)
        return
    match = _match(zone, hashing, name)
    if match is not None:
        yield match
        return
    # Of an unsigned delegation, or above only such, in a span that leaves them out (RFC 5155 7.2.4, 7.2.7).
    yield from _closest_encloser(zone, hashing, name, parent(name))[1]


unsigned_cut = no_data
"""That a delegation has no DS set: the same proof (RFC 4035 3.1.4.1, RFC 5155 7.2.7)."""


def no_closer_match(zone: Contents, name: bytes, encloser: bytes) -> Iterator[RRset]:
    """That nothing is nearer to a folded name than the wildcard below `encloser`, which answered."""
    hashing = zone.hashing
    if hashing is None:
        yield from _covering(zone, name)
    else:
        yield from _hash_before(zone, hashing, _next_closer(name, encloser))


def wildcard_no_data(zone: Contents, name: bytes, encloser: bytes) -> Iterator[RRset]:
    """That the wildcard below `encloser` applies to a folded name, and has no set of some type."""
    hashing, wildcard = zone.hashing, WILDCARD + encloser
    if hashing is None:
        yield from _covering(zone, name)
        yield from _covering(zone, wildcard)
        return
    yield from _closest_encloser(zone, hashing, name, encloser)[1]
    match = _match(zone, hashing, wildcard)
    if match is not None:
        yield match


def _covering(zone: Contents, name: bytes) -> Iterator[RRset]:
    """The NSEC set of the name, or of the last one before it that has one."""
    node = zone.node(name)
    own = None if node is None else set_of(node, NSEC)
    found = zone.denial_before(name) if own is None else own
    if found is not None:
        yield found


def _match(zone: Contents, hashing: Hashing, name: bytes) -> RRset | None:
    return zone.hashed(hash_to_label(hashing.digest(name)) + zone.apex)


def _hash_before(zone: Contents, hashing: Hashing, name: bytes) -> Iterator[RRset]:
    found = zone.hash_before(hashing.digest(name))
    if found is not None:
        yield found


def _closest_encloser(zone: Contents, hashing: Hashing, name: bytes, encloser: bytes) -> tuple[bytes, list[RRset]]:
    """The closest encloser of a name that can be proved, and its proof (RFC 5155 7.2.1).

    It is `encloser`, or above it where the zone leaves out unsigned delegations and what is above them only.
    """
    match = _match(zone, hashing, encloser)
    while match is None and encloser != zone.apex:
        encloser = parent(encloser)
        match = _match(zone, hashing, encloser)
    proof = [] if match is None else [match]
    proof += _hash_before(zone, hashing, _next_closer(name, encloser))
    return encloser, proof


def _next_closer(name: bytes, encloser: bytes) -> bytes:
    """The name one label longer than `encloser` on the way to `name`."""
    at, last = 0, 0
    end = len(name) - len(encloser)
    while at < end:
        last = at
        at += 1 + name[at]
    return name[last:]
