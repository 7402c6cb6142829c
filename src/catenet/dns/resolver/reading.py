"""Reading an answer of a server: what in it may be believed, and what it means for iteration (RFC 1034 5.3.3).

A server is asked about names of one zone, so only sets in that zone are looked at (bailiwick); of those, the answer
section must lead from the name that was asked for, the authority section must be about it, and additional data must be
addresses of servers that the other sections name. Everything else is dropped before anybody sees it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import LONGEST, fold, is_below
from catenet.wire.dns.numbers import (
    AAAA,
    ANY,
    CNAME,
    DNAME,
    DS,
    MX,
    NOERROR,
    NS,
    NSEC,
    NSEC3,
    NXDOMAIN,
    SOA,
    SRV,
    YXDOMAIN,
    A,
)
from catenet.wire.dns.rdata import split
from catenet.wire.errors import Malformed

__all__ = ["Kind", "Reading", "dname_target", "read_answer"]

MOST_LINKS: Final = 32
"""Of a chain of aliases in one message."""
_PROOFS: Final = frozenset((NSEC, NSEC3))
_AUTHORITY_TYPES: Final = frozenset((NS, SOA, DS, NSEC, NSEC3))


class Kind(enum.Enum):
    """What an answer means."""

    ANSWER = "the data"
    ALIAS = "another name to be asked for"
    NEGATIVE = "no data, or no such name"
    REFERRAL = "a zone below"
    LAME = "the server does not serve the zone"
    RECURSION_LAME = "the server answers from a cache"
    USELESS = "an error"


@dataclass(slots=True)
class Reading:
    """What an answer means.

    Attributes:
        kind: see there.
        response: what of it may be believed.
        target: of an alias, the name to go on with.
        zone: of a referral, the zone below, folded.
    """

    kind: Kind
    response: Response
    target: bytes = b""
    zone: bytes = b""


def read_answer(
    question: Question,
    response: Response,
    zone: bytes,
    *,
    recursive: bool = False,
    strip: Callable[[RRset], RRset | None] | None = None,
) -> Reading:
    """Read what a server for `zone` (folded) says to `question` (its name folded).

    Args:
        question: what it was asked.
        response: what came.
        zone: what the server is asked about; of a forwarder, the names that are forwarded.
        recursive: the server was asked to recurse.
        strip: takes out of a set of addresses what must not be there.
    """
    answer = _within(response.answer, zone, question.rclass)
    authority = _within(response.authority, zone, question.rclass)
    additional = _within(response.additional, zone, question.rclass)
    chain, target, found, rcode = _follow(question, answer)
    if strip is not None:
        chain = [one for one in map(strip, chain) if one is not None]
        additional = [one for one in map(strip, additional) if one is not None]
    clean = replace(response, answer=chain, authority=[], additional=[], rcode=max(rcode, response.rcode))
    if rcode == NOERROR and response.rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
        return Reading(Kind.USELESS, clean)
    reading = _meaning(question, clean, authority, zone, target if chain and not found else b"", found, recursive)
    asked = fold(target) if chain else question.name
    reading.response.authority = _keep_authority(reading, authority, asked, question.name)
    reading.response.additional = _keep_additional(reading.response, additional)
    return reading


def _within(sets: Iterable[RRset], zone: bytes, rclass: int) -> list[RRset]:
    return [one for one in _merged(sets) if one.rclass == rclass and is_below(fold(one.name), zone) and _is_sound(one)]


def _merged(sets: Iterable[RRset]) -> list[RRset]:
    """Without the distinction of what signatures cover, in sets of type RRSIG."""
    found: dict[tuple[bytes, int], RRset] = {}
    for one in sets:
        before = found.get(one.key)
        found[one.key] = one if before is None else replace(one, data=tuple(dict.fromkeys(before.data + one.data)))
    return list(found.values())


def _is_sound(one: RRset) -> bool:
    """Whether addresses are addresses, and what is followed holds a name."""
    if one.type == A:
        return all(len(data) == 4 for data in one.data)
    if one.type == AAAA:
        return all(len(data) == 16 for data in one.data)
    if one.type in (CNAME, DNAME):
        return len(one.data) == 1
    return True


def _follow(question: Question, answer: Sequence[RRset]) -> tuple[list[RRset], bytes, bool, int]:
    """The sets that lead from the name that was asked for; the name that they lead to; whether its data is there."""
    sets = {one.key: one for one in answer}
    name, kind = question.name, question.type
    chain: list[RRset] = []
    seen = {name}
    while len(chain) < MOST_LINKS:
        folded = fold(name)
        if kind == ANY:
            chain += [one for one in answer if fold(one.name) == folded]
            return chain, name, bool(chain), NOERROR
        if (folded, kind) in sets:
            return [*chain, sets[folded, kind]], name, True, NOERROR
        link = sets.get((folded, CNAME))
        if link is None:
            dname = _dname_above(folded, sets)
            if dname is None:
                break
            chain.append(dname)
            link = synthesize_cname(name, dname)
            if link is None:
                return chain, name, True, YXDOMAIN
        chain.append(link)
        name = link.data[0]
        if fold(name) in seen:
            break
        seen.add(fold(name))
    return chain, name, False, NOERROR


def _dname_above(name: bytes, sets: dict[tuple[bytes, int], RRset]) -> RRset | None:
    at = 0
    while name[at]:
        at += 1 + name[at]
        found = sets.get((name[at:], DNAME))
        if found is not None:
            return found
    return None


def dname_target(name: bytes, owner: bytes, target: bytes) -> bytes | None:
    """The name with the end `owner` replaced (RFC 6672 2.2); None if that is too long."""
    changed = name[: len(name) - len(owner)] + target
    return changed if len(changed) <= LONGEST else None


def synthesize_cname(name: bytes, dname: RRset) -> RRset | None:
    """The alias that a DNAME record makes of a name below its owner; None if the new name is too long."""
    target = dname_target(name, dname.name, dname.data[0])
    return None if target is None else RRset(name, CNAME, dname.ttl, (target,))


def _meaning(
    question: Question,
    clean: Response,
    authority: Sequence[RRset],
    zone: bytes,
    target: bytes,
    found: bool,
    recursive: bool,
) -> Reading:
    if not recursive and not clean.authoritative and clean.recursion and not _delegates(question, authority, zone):
        return Reading(Kind.RECURSION_LAME, clean)
    if found:
        return Reading(Kind.ANSWER, clean)
    if target:
        clean.rcode = NOERROR
        return Reading(Kind.ALIAS, clean, target)
    if clean.rcode == NXDOMAIN:
        return Reading(Kind.NEGATIVE, clean)
    if recursive:
        return Reading(Kind.NEGATIVE, clean)
    return _meaning_of_nothing(question, clean, authority, zone)


def _delegates(question: Question, authority: Sequence[RRset], zone: bytes) -> bytes:
    """The zone below, if there is a referral to one."""
    for one in authority:
        owner = fold(one.name)
        if one.type == NS and owner != zone and is_below(question.name, owner):
            return owner
    return b""


def _meaning_of_nothing(question: Question, clean: Response, authority: Sequence[RRset], zone: bytes) -> Reading:
    """An empty answer section: the name has no data, or it is in a zone below, or the server knows nothing."""
    soa = next((one for one in authority if one.type == SOA and is_below(question.name, fold(one.name))), None)
    if soa is not None:
        return Reading(Kind.NEGATIVE, clean)
    below = _delegates(question, authority, zone)
    if below:
        if question.type == DS and below == question.name and clean.authoritative:
            return Reading(Kind.NEGATIVE, clean)
        return Reading(Kind.REFERRAL, clean, zone=below)
    if clean.authoritative:
        return Reading(Kind.NEGATIVE, clean)
    return Reading(Kind.LAME, clean)


def _keep_authority(reading: Reading, authority: Sequence[RRset], asked: bytes, name: bytes) -> list[RRset]:
    kept = []
    for one in authority:
        owner = fold(one.name)
        if one.type not in _AUTHORITY_TYPES:
            continue
        if one.type in _PROOFS:
            kept.append(one)
        elif reading.kind is Kind.REFERRAL:
            if owner == reading.zone and one.type in (NS, DS):
                kept.append(one)
        elif one.type == NS:
            positive = reading.kind in (Kind.ANSWER, Kind.ALIAS)
            if positive and (is_below(asked, owner) or is_below(name, owner)):
                kept.append(one)
        elif one.type == SOA and reading.kind is not Kind.ALIAS and is_below(asked, owner):
            kept.append(one)
    return kept


def host_names(rrset: RRset) -> list[bytes]:
    """Names of hosts that the data names, whose addresses belong into the additional section (RFC 1035 3.3, 2782)."""
    if rrset.type not in (NS, MX, SRV):
        return []
    found = []
    for data in rrset.data:
        try:
            found += [fold(piece) for is_name, piece in split(data, rrset.type) if is_name]
        except Malformed:
            continue
    return found


def _keep_additional(response: Response, additional: Sequence[RRset]) -> list[RRset]:
    wanted = {name for one in (*response.answer, *response.authority) for name in host_names(one)}
    present = {one.key for one in response.answer}
    return [one for one in additional if one.type in (A, AAAA) and fold(one.name) in wanted and one.key not in present]
