"""Reading an answer of a server: what in it may be believed, and what it means for iteration (RFC 1034 5.3.3).

A server is asked about names of one zone, so only sets in that zone are looked at (bailiwick); of those, the answer
section must lead from the name that was asked for, the authority section must be about it, and additional data must be
addresses of servers that the other sections name. Everything else is dropped before anybody sees it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import LONGEST, ROOT, fold, is_below
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
    RRSIG,
    SERVFAIL,
    SOA,
    SRV,
    YXDOMAIN,
    A,
)
from catenet.wire.dns.rdata import split
from catenet.wire.errors import Malformed

__all__ = ["Kind", "Reading", "read_answer"]

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
    any_glue: bool = False,
) -> Reading:
    """Read what a server for `zone` (folded) says to `question` (its name folded).

    Args:
        question: what it was asked.
        response: what came.
        zone: what the server is asked about; of a forwarder, the names that are forwarded.
        recursive: the server was asked to recurse.
        strip: takes out of a set of addresses what must not be there.
        any_glue: addresses of the servers that a referral names are taken even if they are outside of `zone`.
    """
    stray = _stray_signatures(response)
    answer = _within(response.answer, zone, question.rclass, stray)
    authority = _within(response.authority, zone, question.rclass, stray)
    additional = _within(response.additional, ROOT if any_glue else zone, question.rclass, stray)
    chain, target, found, rcode = _follow(question, answer, MOST_LINKS if recursive else 1)
    if recursive and not found:
        chain, target, found, rcode = _follow(question, answer, 1)
    if strip is not None:
        stripped = list(map(strip, chain))
        if None in stripped:
            return Reading(Kind.USELESS, replace(response, answer=[], authority=[], additional=[], rcode=SERVFAIL))
        chain = [one for one in stripped if one is not None]
        additional = [one for one in map(strip, additional) if one is not None]
    clean = Response(
        max(rcode, response.rcode),
        chain,
        authoritative=response.authoritative,
        truncated=response.truncated,
        recursion=response.recursion,
        raw_flags=response.raw_flags,
    )
    if rcode == NOERROR and response.rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
        return Reading(Kind.USELESS, clean)
    above = [fold(one.name) for one in response.authority if one.type == NS]
    is_upward = any(owner != zone and is_below(zone, owner) for owner in above)
    target = target if chain else b""
    reading = _meaning(question, clean, authority, zone, b"" if found else target, found, recursive, is_upward)
    asked = fold(target) if chain else question.name
    reading.response.authority = _keep_authority(reading, authority, asked, question)
    if any_glue and reading.kind is not Kind.REFERRAL:
        additional = [one for one in additional if is_below(fold(one.name), zone)]
    reading.response.additional = _keep_additional(reading.response, additional)
    return reading


def _stray_signatures(response: Response) -> dict[tuple[bytes, int], list[bytes]]:
    """Signatures that stand in another section than what they cover, by owner and type covered."""
    found: dict[tuple[bytes, int], list[bytes]] = {}
    for one in (*response.answer, *response.authority, *response.additional):
        if one.type == RRSIG:
            for data in one.data:
                found.setdefault((fold(one.name), data[0] << 8 | data[1]), []).append(data)
    return found


def _within(
    sets: Sequence[RRset], zone: bytes, rclass: int, stray: dict[tuple[bytes, int], list[bytes]]
) -> list[RRset]:
    found = []
    for one in _merged(sets):
        if one.rclass == rclass and is_below(fold(one.name), zone) and _is_sound(one):
            more = stray.get(one.key) if stray else None
            if more is not None:
                one = replace(one, signatures=tuple(dict.fromkeys((*one.signatures, *more))))
            found.append(one)
    return found


def _merged(sets: Sequence[RRset]) -> Sequence[RRset]:
    """Without the distinction of what signatures cover, in sets of type RRSIG."""
    if sum(one.type == RRSIG for one in sets) < 2:
        return sets
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


def _follow(question: Question, answer: Sequence[RRset], links: int) -> tuple[list[RRset], bytes, bool, int]:
    """The sets that lead from the name that was asked for; the name that they lead to; whether its data is there.

    Of an authority's answer the first link is believed; what is said of the next name is not authoritative (RFC 2181
    5.4.1), and asked for again. Who forwards believes the whole.
    """
    sets = {one.key: one for one in answer}
    name, kind = question.name, question.type
    chain: list[RRset] = []
    seen = {name}
    while True:
        folded = fold(name)
        if kind == ANY:
            chain += [one for one in answer if fold(one.name) == folded]
            return chain, name, bool(chain), NOERROR
        if len(seen) > links:
            break
        if (folded, kind) in sets:
            return [*chain, sets[folded, kind]], name, True, NOERROR
        link, dname = sets.get((folded, CNAME)), _dname_above(folded, sets)
        if dname is not None:
            chain.append(dname)
            made = synthesize_cname(name, dname)
            if made is None:
                return chain, name, True, YXDOMAIN
            link = made if link is None or fold(link.data[0]) != fold(made.data[0]) else link
        if link is None:
            break
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
    is_upward: bool,
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
    if recursive and not is_upward:
        return Reading(Kind.NEGATIVE, clean)
    return _meaning_of_nothing(question, clean, authority, zone, is_upward)


def _delegates(question: Question, authority: Sequence[RRset], zone: bytes) -> bytes:
    """The zone below, if there is a referral to one."""
    for one in authority:
        owner = fold(one.name)
        if one.type == NS and owner != zone and is_below(question.name, owner):
            return owner
    return b""


def _meaning_of_nothing(
    question: Question, clean: Response, authority: Sequence[RRset], zone: bytes, is_upward: bool
) -> Reading:
    """An empty answer section: the name has no data, or it is in a zone below, or the server knows nothing."""
    soa = next((one for one in authority if one.type == SOA and is_below(question.name, fold(one.name))), None)
    if soa is not None:
        return Reading(Kind.NEGATIVE, clean)
    below = _delegates(question, authority, zone)
    if below:
        if question.type == DS and below == question.name:
            # Some parents refer to the zone even who asks for what is theirs to say.
            clean.answer = [one for one in authority if one.type == DS and fold(one.name) == below]
            return Reading(Kind.ANSWER if clean.answer else Kind.NEGATIVE, clean)
        return Reading(Kind.REFERRAL, clean, zone=below)
    circles = not clean.authoritative and any(one.type == NS and fold(one.name) == zone for one in authority)
    # Nothing at all is what bad servers say of names without data; one that sends us up does not serve the zone.
    return Reading(Kind.LAME if is_upward or circles else Kind.NEGATIVE, clean)


def _keep_authority(reading: Reading, authority: Sequence[RRset], asked: bytes, question: Question) -> list[RRset]:
    kept = []
    has_soa = any(one.type == SOA for one in authority)
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
            is_above = is_below(asked, owner) or is_below(question.name, owner)
            is_cut = question.type == DS and owner == question.name
            if is_above and not is_cut and not (reading.kind is Kind.NEGATIVE and has_soa):
                kept.append(one)
        elif one.type == SOA and reading.kind is not Kind.ALIAS and is_below(asked, owner):
            kept.append(one)
    return kept


def host_names(rrset: RRset) -> list[bytes]:
    """Names of hosts that the data names, whose addresses belong into the additional section (RFC 1035 3.3, 2782)."""
    if rrset.type == NS:
        return list(map(fold, rrset.data))
    if rrset.type not in (MX, SRV):
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
