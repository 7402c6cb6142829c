"""How an authority answers (RFC 1034 4.3.2, with RFC 2308, 4035, 4592, 5155, 6604, 6672, 8482 and 9471)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from catenet.dns.response import ExtendedError, Response
from catenet.dns.rrset import RRset
from catenet.dns.zone import denial
from catenet.dns.zone.contents import Contents, Node, set_of
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import LONGEST, ROOT, fold, is_below, skip_name
from catenet.wire.dns.numbers import (
    AAAA,
    ANY,
    CNAME,
    DNAME,
    DS,
    HTTPS,
    IN,
    MX,
    NS,
    NSEC,
    NXDOMAIN,
    REFUSED,
    RRSIG,
    SRV,
    SVCB,
    YXDOMAIN,
    A,
)
from catenet.wire.errors import Malformed

__all__ = ["answer"]

MOST_ALIASES: Final = 16
"""CNAME records that one answer follows; who asks follows the rest."""
_NOT_AUTHORITATIVE: Final = 20
"""Extended error (RFC 8914 4.21)."""
_NOT_FOLLOWED: Final = frozenset((CNAME, ANY, RRSIG, NSEC))
"""Types that stand beside CNAME or mean it, so that a question for them is about the alias itself (RFC 4035 2.5)."""
_TARGET_AT: Final = {NS: 0, MX: 2, SRV: 6, SVCB: 2, HTTPS: 2}
"""Where in the data is a name whose addresses who asks will need."""


def answer(
    find_zone: Callable[[bytes, int], Contents | None],
    question: Question,
    dnssec_ok: bool,
    every_type: bool = False,
) -> Response:
    """Answer from the zones that `find_zone` knows.

    Args:
        find_zone: the zone that answers for a folded name and a type.
        question: what is asked for.
        dnssec_ok: signatures are wanted, and so are the proofs that only who validates needs.
        every_type: a question for ANY gets all sets of the name, otherwise one (RFC 8482 4.1).
    """
    lookup = _Lookup(question, dnssec_ok, every_type)
    name, seen = question.name, {fold(question.name)}
    for _ in range(MOST_ALIASES):
        zone = find_zone(fold(name), question.type) if question.rclass in (IN, ANY) else None
        if zone is None:
            break
        lookup.response.authoritative = True
        target = lookup.in_zone(zone, name)
        if target is None:
            return lookup.response
        name = target
        if fold(name) in seen:
            break
        seen.add(fold(name))
    if not lookup.response.authoritative:
        return Response(REFUSED, errors=[ExtendedError(_NOT_AUTHORITATIVE)])
    return lookup.response


class _Lookup:
    """One question on its way along aliases."""

    def __init__(self, question: Question, dnssec_ok: bool, every_type: bool) -> None:
        self.response = Response()
        self._type = question.type
        self._dnssec_ok = dnssec_ok
        self._every_type = every_type

    def in_zone(self, zone: Contents, name: bytes) -> bytes | None:
        """Answer for a name of this zone; returns the name where an alias leads to."""
        folded, kind = fold(name), self._type
        at, end, starts = 0, len(folded) - len(zone.apex), []
        while at < end:
            starts.append(at)
            at += 1 + folded[at]
        encloser, node = zone.apex, zone.node(zone.apex)
        assert node is not None
        for at in reversed(starts):
            if alias := set_of(node, DNAME):
                return self._redirect(zone, alias, name, name[: at + 1 + name[at]])
            current = folded[at:]
            found = zone.node(current)
            if found is None:
                return self._no_such_name(zone, name, encloser)
            encloser, node = current, found
            cut = set_of(node, NS)
            if cut is not None and not (kind == DS and not at):
                self._refer(zone, cut, node)
                return None
        return self._at_node(zone, name, node, None)

    def _at_node(self, zone: Contents, name: bytes, node: Node, encloser: bytes | None) -> bytes | None:
        """Answer from a name's sets; `encloser`: they are those of the wildcard below it."""
        alias = set_of(node, CNAME)
        if alias is not None and self._type not in _NOT_FOLLOWED and not set_of(node, self._type):
            self._put(alias, name)
            if encloser is not None:
                self._prove(denial.no_closer_match(zone, fold(name), encloser))
            return alias.data[0]
        found = self._matching(node)
        for one in found:
            self._put(one, name)
        if not found:
            self._negative(zone)
            if encloser is None:
                self._prove(denial.no_data(zone, fold(name)))
            else:
                self._prove(denial.wildcard_no_data(zone, fold(name), encloser))
            return None
        if encloser is not None:
            self._prove(denial.no_closer_match(zone, fold(name), encloser))
        for one in found:
            self._add_addresses(zone, one)
        return None

    def _matching(self, node: Node) -> list[RRset]:
        """The sets of a name that are asked for."""
        kind = self._type
        if kind == ANY:
            return list(node if self._every_type else node[:1])
        if kind == RRSIG:
            signed = [one for one in node if one.signatures]
            if not self._every_type:
                signed = signed[:1]
            data = tuple(each for one in signed for each in one.signatures)
            return [RRset(signed[0].name, RRSIG, min(one.ttl for one in signed), data)] if data else []
        found = set_of(node, kind)
        return [] if found is None else [found]

    def _redirect(self, zone: Contents, alias: RRset, name: bytes, prefix: bytes) -> bytes | None:
        """A DNAME above the name: its set, and the CNAME that follows from it (RFC 6672 3.2)."""
        if alias not in self.response.answer:
            self.response.answer.append(alias)
        target = prefix + alias.data[0]
        if len(target) > LONGEST:
            self.response.rcode = YXDOMAIN
            return None
        self.response.answer.append(RRset(name, CNAME, alias.ttl, (target,)))
        return None if self._type in (CNAME, ANY) else target

    def _refer(self, zone: Contents, cut: RRset, node: Node) -> None:
        """Below a cut others are asked: their names, addresses of these, and whether they sign."""
        response = self.response
        response.authoritative = bool(response.answer)
        response.authority.append(replace(cut, signatures=()) if cut.signatures else cut)
        if self._dnssec_ok:
            keys = set_of(node, DS)
            if keys is not None and keys.signatures:
                response.authority.append(keys)
            else:
                self._prove(denial.unsigned_cut(zone, fold(cut.name)))
        self._add_glue(zone, cut)

    def _add_glue(self, zone: Contents, cut: RRset) -> None:
        """Addresses of name servers: first those below the cut, which nobody else can tell (RFC 9471 3)."""
        below = fold(cut.name)
        targets = sorted(map(fold, cut.data), key=lambda target: not is_below(target, below))
        for target in targets:
            self._add_address(zone, target)
            if is_below(target, below):
                self.response.glue = len(self.response.additional)

    def _no_such_name(self, zone: Contents, name: bytes, encloser: bytes) -> bytes | None:
        """Answer from the wildcard below the closest encloser (RFC 4592 3.3.1), or that there is no such name."""
        node = zone.node(denial.WILDCARD + encloser)
        if node is not None:
            cut = set_of(node, NS)
            if cut is None or self._type == DS:
                return self._at_node(zone, name, node, encloser)
        self.response.rcode = NXDOMAIN
        self._negative(zone)
        self._prove(denial.no_name(zone, fold(name), encloser))
        return None

    def _negative(self, zone: Contents) -> None:
        """The SOA set, which says how long to believe that something is not there (RFC 2308 3)."""
        soa = zone.soa
        if soa is not None:
            least = min(soa.ttl, int.from_bytes(soa.data[0][-4:], "big"))
            self.response.authority.append(soa if soa.ttl == least else replace(soa, ttl=least))

    def _prove(self, proof: Iterable[RRset]) -> None:
        if not self._dnssec_ok:
            return
        authority = self.response.authority
        for one in proof:
            if one not in authority:
                authority.append(one)

    def _put(self, one: RRset, name: bytes) -> None:
        """Into the answer section, under the name that was asked for, in its case."""
        self.response.answer.append(one if one.name == name else replace(one, name=name))

    def _add_addresses(self, zone: Contents, one: RRset) -> None:
        """Addresses of the names in a set's data, as far as the zone knows them (RFC 1035 3.3, 2782, 9460 4.1)."""
        at = _TARGET_AT.get(one.type)
        if at is None:
            return
        for data in one.data:
            try:
                target = data[at : skip_name(data, at)]
            except Malformed:  # of a type whose layout nobody checks where it comes in
                continue
            name = fold(one.name if target == ROOT and one.type in (SVCB, HTTPS) else target)
            if one.type == NS or zone.cut_above(name) is None:
                self._add_address(zone, name)

    def _add_address(self, zone: Contents, name: bytes) -> None:
        """The address sets of a name of the zone, glue too, unless they are there."""
        node = zone.node(name)
        present = self.response.additional
        for kind in (A, AAAA) if node else ():
            found = set_of(node or (), kind)
            if found is not None and found not in present and found not in self.response.answer:
                present.append(found)
