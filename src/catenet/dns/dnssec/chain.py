"""The chain of trust from an anchor down to a name: zone cuts, DS and DNSKEY sets (RFC 4035 5, RFC 6840 5)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final

from catenet.dns.dnssec.anchors import Anchor
from catenet.dns.dnssec.cache import Cut, ZoneState
from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.dnssec.denial import Denial, Evidence, Kind
from catenet.dns.dnssec.keys import SHA1, Ds, Key, ds_from_data
from catenet.dns.dnssec.proof import Proof
from catenet.dns.dnssec.verify import (
    DNSKEY_MISSING,
    DNSSEC_BOGUS,
    UNSUPPORTED_ALGORITHM,
    UNSUPPORTED_DIGEST,
    UNSUPPORTED_ITERATIONS,
    Finding,
    verify_set,
)
from catenet.dns.response import ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, fold, is_below, name_to_text, parent
from catenet.wire.dns.numbers import CNAME, DNAME, DNSKEY, DS, NOERROR, NXDOMAIN, rcode_to_text
from catenet.wire.errors import Malformed

__all__ = ["Chain", "find_set"]

Steps = Generator[Question, Response, "ZoneState"]
"""A computation that asks questions and ends with what is known of a zone."""

MOST_KEYS: Final = 48
"""Keys of a zone, and DS records of a delegation, that are looked at."""


def find_set(sets: Sequence[RRset], name: bytes, kind: int) -> RRset | None:
    """The set of a folded name and a type among these."""
    return next((one for one in sets if one.type == kind and fold(one.name) == name), None)


class Chain:
    """Chains of trust for one validation. What it finds goes into the key cache."""

    def __init__(self, context: ValidationContext) -> None:
        self._context = context
        self._terms = context.terms
        self._cache = context.keys
        self._cache.follow(context.anchors.generation)

    def zone_of(self, name: bytes) -> Steps:
        """The zone that a folded name is in, with its keys; or where on the way down to it the chain ends.

        Raises Exhausted.
        """
        context = self._context
        anchor = context.anchors.closest(name)
        if anchor is None:
            reason = f"no trust anchor at or above {name_to_text(name)}"
            proof = Proof("trust anchor", "RFC 4033 5", Security.INDETERMINATE, reason)
            return ZoneState(name, Security.INDETERMINATE, context.wall, (), reason, proof=proof)
        negative = context.anchors.closest_negative(name, context.wall)
        if negative is not None and is_below(negative, anchor.zone):
            reason = f"negative trust anchor at {name_to_text(negative)}"
            proof = Proof("negative trust anchor", "RFC 7646 2", Security.INSECURE, reason)
            return ZoneState(negative, Security.INSECURE, context.wall, (), reason, proof=proof)
        cut = self._cache.get(anchor.zone, context.wall)
        if cut is None:
            state = yield from self._prime(anchor)
            cut = self._keep(anchor.zone, Cut(state.expires, state))
        for step in _between(anchor.zone, name):
            if cut.zone.security is not Security.SECURE or cut.is_last:
                break
            known = self._cache.get(step, context.wall)
            if known is None:
                known = self._keep(step, (yield from self._descend(cut.zone, step)))
            cut = known
        return cut.zone

    def _keep(self, name: bytes, cut: Cut) -> Cut:
        self._cache.put(name, cut)
        return cut

    def _ask(self, name: bytes, kind: int) -> Generator[Question, Response, Response]:
        self._context.budget.ask()
        return (yield Question(name, kind))

    def _prime(self, anchor: Anchor) -> Steps:
        """The keys of a zone with a trust anchor (RFC 4035 5)."""
        zone, policy = anchor.zone, self._context.policy
        proof = Proof(f"trust anchor of {name_to_text(zone)}", "RFC 4035 5")
        usable = [ds for ds in anchor.digests if policy.supports(ds.algorithm) and ds.digest_type in policy.digests]
        keys = [key for key in anchor.keys if policy.supports(key.algorithm)]
        if (anchor.digests or anchor.keys) and not usable and not keys:
            reason = f"trust anchor of {name_to_text(zone)} is of unknown algorithms"
            return self._insecure(zone, policy.most_ttl, reason, UNSUPPORTED_ALGORITHM, proof)
        return (yield from self._fetch_keys(zone, usable, keys, policy.most_ttl, proof))

    def _descend(self, zone: ZoneState, name: bytes) -> Generator[Question, Response, Cut]:
        """What is at `name`, directly below what is known to be in the secure `zone`."""
        response = yield from self._ask(name, DS)
        if response.rcode not in (NOERROR, NXDOMAIN):
            reason = f"DS of {name_to_text(name)}: {rcode_to_text(response.rcode)}"
            return self._cut(self._bogus(name, reason, DNSSEC_BOGUS, zone.proof))
        rrset = find_set(response.answer, name, DS)
        if rrset is not None:
            return (yield from self._delegate(zone, name, rrset))
        for alias in response.answer:
            if self._is_alias_for(alias, name):
                finding = verify_set(alias, zone.name, zone.keys, self._terms)
                if finding.security is Security.SECURE:
                    return Cut(self._until(finding.ttl), zone, is_last=alias.type == DNAME)
        return self._without_ds(zone, name, response)

    @staticmethod
    def _is_alias_for(alias: RRset, name: bytes) -> bool:
        owner = fold(alias.name)
        if alias.type == CNAME:
            return owner == name
        return alias.type == DNAME and owner != name and is_below(name, owner)

    def _delegate(self, zone: ZoneState, name: bytes, rrset: RRset) -> Generator[Question, Response, Cut]:
        """A DS set: the keys of the child (RFC 4035 5.2)."""
        finding = verify_set(rrset, zone.name, zone.keys, self._terms)
        if finding.security is not Security.SECURE or finding.source_labels is not None:
            reason = finding.reason or f"DS of {name_to_text(name)} is from a wildcard"
            code = finding.error.code if finding.error else DNSSEC_BOGUS
            return self._cut(self._bogus(name, reason, code, finding.proof))
        proof = Proof(lambda: f"DS of {name_to_text(name)}", "RFC 4035 5.2", children=[finding.proof, zone.proof])
        records = _read_all(rrset)
        policy = self._context.policy
        known = [ds for ds in records if policy.supports(ds.algorithm)]
        usable = [ds for ds in known if ds.digest_type in policy.digests]
        if any(ds.digest_type != SHA1 for ds in usable):
            usable = [ds for ds in usable if ds.digest_type != SHA1]  # RFC 4509 3
        if not usable:
            what, code = ("digest types", UNSUPPORTED_DIGEST) if known else ("algorithms", UNSUPPORTED_ALGORITHM)
            reason = f"DS of {name_to_text(name)} has only unknown {what}"
            return self._cut(self._insecure(name, finding.ttl, reason, code, proof))
        return self._cut((yield from self._fetch_keys(name, usable, (), finding.ttl, proof)))

    def _without_ds(self, zone: ZoneState, name: bytes, response: Response) -> Cut:
        """No DS: an unsigned delegation, no delegation at all, or no proof (RFC 4035 5.2, RFC 6840 4.4)."""
        evidence = Evidence(response.authority, zone.name, zone.keys, self._terms)
        denial = evidence.no_type(name, DS)
        if denial.kind is Kind.NOT_PROVEN:
            is_nothing = evidence.no_name(name)
            denial = is_nothing if is_nothing.kind is not Kind.NOT_PROVEN else denial
        proof = _denial_proof(denial, evidence, zone.proof)
        if denial.kind is Kind.NOT_PROVEN:
            return self._cut(self._bogus(name, denial.text, DNSSEC_BOGUS, proof))
        if denial.kind in (Kind.UNSIGNED, Kind.OPT_OUT, Kind.COSTLY):
            reason = f"{name_to_text(name)} is not signed: {denial.text}"
            code = UNSUPPORTED_ITERATIONS if denial.kind is Kind.COSTLY else None
            return self._cut(self._insecure(name, evidence.ttl, reason, code, proof))
        return Cut(self._until(evidence.ttl), zone, is_last=denial.kind is Kind.NO_NAME)

    def _fetch_keys(self, zone: bytes, digests: Sequence[Ds], keys: Sequence[Key], ttl: int, proof: Proof) -> Steps:
        """The DNSKEY set of a zone, if one of its keys is trusted and signs it (RFC 4035 5.2)."""
        response = yield from self._ask(zone, DNSKEY)
        rrset = find_set(response.answer, zone, DNSKEY)
        if rrset is None:
            reason = f"{name_to_text(zone)} has no DNSKEY ({rcode_to_text(response.rcode)})"
            return self._bogus(zone, reason, DNSKEY_MISSING, proof)
        published = _read_keys(rrset)
        trusted = [key for key in published if not key.is_revoked and self._is_trusted(zone, key, digests, keys)]
        if not trusted:
            reason = f"no DNSKEY of {name_to_text(zone)} is one that {_truster(digests)} names"
            return self._bogus(zone, reason, DNSKEY_MISSING, proof)
        finding = verify_set(rrset, zone, trusted, self._terms)
        if finding.security is not Security.SECURE:
            code = finding.error.code if finding.error else DNSSEC_BOGUS
            return self._bogus(zone, finding.reason, code, finding.proof, proof)
        policy = self._context.policy
        usable = [key for key in published if key.is_zone_key and not key.is_revoked and policy.supports(key.algorithm)]
        children = [finding.proof, proof]
        found = Proof(lambda: f"keys of {name_to_text(zone)}", "RFC 4035 5.2", children=children)
        return ZoneState(zone, Security.SECURE, self._until(min(ttl, finding.ttl)), tuple(usable), proof=found)

    def _is_trusted(self, zone: bytes, key: Key, digests: Sequence[Ds], keys: Sequence[Key]) -> bool:
        if any(key.data == one.data for one in keys):
            return True
        for ds in digests:
            if (ds.tag, ds.algorithm) == (key.tag, key.algorithm):
                self._context.budget.spend()
                if ds.matches(zone, key):
                    return True
        return False

    def _until(self, ttl: int) -> float:
        """When what may be kept for `ttl` seconds expires; it serves at least the validation under way."""
        return self._context.wall + max(1, min(ttl, self._context.policy.most_ttl))

    @staticmethod
    def _cut(state: ZoneState) -> Cut:
        return Cut(state.expires, state)

    def _bogus(self, name: bytes, reason: str, code: int, *children: Proof) -> ZoneState:
        proof = Proof(f"keys of {name_to_text(name)}", "RFC 4035 5.2", Security.BOGUS, reason, list(children))
        expires = self._context.wall + max(1, self._context.policy.bogus_ttl)
        return ZoneState(name, Security.BOGUS, expires, (), reason, (ExtendedError(code, reason),), proof)

    def _insecure(self, name: bytes, ttl: int, reason: str, code: int | None, *children: Proof) -> ZoneState:
        proof = Proof(f"keys of {name_to_text(name)}", "RFC 4035 5.2", Security.INSECURE, reason, list(children))
        errors = () if code is None else (ExtendedError(code, reason),)
        return ZoneState(name, Security.INSECURE, self._until(ttl), (), reason, errors, proof)


def _between(zone: bytes, name: bytes) -> list[bytes]:
    """The names from directly below `zone` down to `name`."""
    steps = []
    while name != zone and name != ROOT:
        steps.append(name)
        name = parent(name)
    return steps[::-1]


def _read_all(rrset: RRset) -> list[Ds]:
    found = []
    for data in rrset.data[:MOST_KEYS]:
        try:
            found.append(ds_from_data(data))
        except Malformed:
            continue
    return found


def _read_keys(rrset: RRset) -> list[Key]:
    found = []
    for data in rrset.data[:MOST_KEYS]:
        try:
            found.append(Key(data))
        except Malformed:
            continue
    return found


def _truster(digests: Sequence[Ds]) -> str:
    return "its DS" if digests else "a trust anchor"


def _denial_proof(denial: Denial, evidence: Evidence, *children: Proof) -> Proof:
    found: list[Finding] = list(evidence.findings.values())
    return Proof(denial.text, denial.source, denial.kind.security, "", [*(one.proof for one in found), *children])
