"""Validation of an answer (RFC 4035 5, RFC 6840): a generator that asks for what it needs to know."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Final

from catenet.dns.dnssec.budget import Exhausted
from catenet.dns.dnssec.cache import ZoneState
from catenet.dns.dnssec.chain import Chain, find_set
from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.dnssec.denial import Denial, Evidence, Kind
from catenet.dns.dnssec.proof import Proof
from catenet.dns.dnssec.rrsig import label_count, plain_name
from catenet.dns.dnssec.verify import (
    DNSSEC_BOGUS,
    NSEC_MISSING,
    RRSIGS_MISSING,
    UNSUPPORTED_ITERATIONS,
    Finding,
    set_to_text,
    signatures_of,
    verify_set,
)
from catenet.dns.response import ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import LONGEST, ROOT, fold, is_below, name_to_text, parent
from catenet.wire.dns.numbers import (
    ANY,
    CNAME,
    DNAME,
    DS,
    IN,
    NOERROR,
    NS,
    NSEC,
    NSEC3,
    NXDOMAIN,
    RRSIG,
    SOA,
    class_to_text,
    rcode_to_text,
    type_to_text,
)
from catenet.wire.errors import Malformed

__all__ = ["Verdict", "validate"]

YXDOMAIN: Final = 6
MOST_ALIASES: Final = 16
"""Aliases of one answer that are followed."""
_DENIAL_TYPES: Final = frozenset((SOA, NSEC, NSEC3))
_WORSE: Final = (Security.SECURE, Security.INSECURE, Security.INDETERMINATE, Security.BOGUS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validation found of an answer.

    Attributes:
        security: of the whole.
        reason: why it is not secure, in words.
        errors: extended errors (RFC 8914).
        proof: how that was found.
        findings: what was found of each record set that was looked at. A set that is equal to one of them, in all
            fields, is as secure.
        ttl: seconds for which the verdict holds; for a bogus one, as settings say.
        rcode: the response code that was proved; it differs from the answer's where a name that the answer denies
            proved to exist without records.
    """

    security: Security
    reason: str = ""
    errors: tuple[ExtendedError, ...] = ()
    proof: Proof = field(default_factory=lambda: Proof("nothing to validate"))
    findings: dict[RRset, Finding] = field(default_factory=dict)
    ttl: int = 0
    rcode: int = NOERROR

    def is_secure(self, rrset: RRset) -> bool:
        """Whether this very set was found secure."""
        finding = self.findings.get(rrset)
        return finding is not None and finding.security is Security.SECURE

    def apply(self, response: Response) -> Response:
        """The answer as it may go on: with the verdict, and TTLs no longer than signatures allow.

        Of a secure one, what was not found secure is left out of the authority section, where nobody misses it.
        """
        authority = response.authority
        if self.security is Security.SECURE:
            authority = [one for one in authority if self.is_secure(one)]
        return replace(
            response,
            rcode=self.rcode,
            answer=[self._capped(one) for one in response.answer],
            authority=[self._capped(one) for one in authority],
            security=self.security,
            reason=self.reason,
            errors=[*response.errors, *self.errors],
        )

    def _capped(self, rrset: RRset) -> RRset:
        finding = self.findings.get(rrset)
        if finding is None or finding.security is not Security.SECURE or finding.ttl >= rrset.ttl:
            return rrset
        return replace(rrset, ttl=finding.ttl)


def validate(
    question: Question, response: Response, context: ValidationContext
) -> Generator[Question, Response, Verdict]:
    """Validate an answer.

    It yields the DS and DNSKEY questions that it needs answered, and is sent their answers as they came, unvalidated
    (a question that cannot be answered: a response with rcode SERVFAIL). DS questions are for the parent's servers.
    Of a chain of aliases all sets are in the answer section, and the proofs that belong to each in the authority
    section. Nothing escapes: what is wrong with an answer is in the verdict.

    Args:
        question: what was asked.
        response: the answer, whose sections nobody else has looked into.
        context: anchors, time, key cache and the budget of the client's question.
    """
    validation = _Validation(question, response, context)
    try:
        yield from validation.run()
    except Exhausted as error:
        validation.conclude(Security.BOGUS, str(error), DNSSEC_BOGUS)
    except Malformed as error:
        validation.conclude(Security.BOGUS, f"the answer cannot be read: {error}", DNSSEC_BOGUS)
    return validation.verdict()


class _Validation:
    """One answer under validation; its parts are added to the verdict as they are found."""

    def __init__(self, question: Question, response: Response, context: ValidationContext) -> None:
        self._question = question
        self._response = response
        self._context = context
        self._chain = Chain(context)
        self._security = Security.SECURE
        self._reason = ""
        self._errors: list[ExtendedError] = []
        self._findings: dict[RRset, Finding] = {}
        self._evidence: dict[bytes, Evidence] = {}
        self._steps: list[Proof] = []
        self._ttl = context.policy.most_ttl
        self._rcode = response.rcode

    def conclude(self, security: Security, reason: str, code: int | None = None) -> None:
        """Let a part of the answer count: the whole is as its worst part."""
        if _WORSE.index(security) <= _WORSE.index(self._security):
            return
        self._security, self._reason = security, reason
        self._errors = [] if code is None else [ExtendedError(code, reason)]

    def verdict(self) -> Verdict:
        """All that was found."""
        security, reason, ttl = self._security, self._reason, self._ttl
        proof = Proof(self._title, "RFC 4035 5", security, reason, self._steps)
        if security is Security.BOGUS:
            ttl = self._context.policy.bogus_ttl
            if self._context.policy.permissive:
                security, reason = Security.INDETERMINATE, f"permissive: bogus: {reason}"
        return Verdict(security, reason, tuple(self._errors), proof, self._findings, ttl, self._rcode)

    def _title(self) -> str:
        return f"answer to {name_to_text(self._question.name)} {type_to_text(self._question.type)}"

    def run(self) -> Generator[Question, Response, None]:
        """Follow the answer from the name that was asked for (RFC 1034 4.3.2, RFC 6672 3.2)."""
        name, kind, response = fold(self._question.name), self._question.type, self._response
        if response.rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
            self.conclude(Security.INDETERMINATE, f"no answer to validate ({rcode_to_text(response.rcode)})")
            return
        if self._question.rclass != IN:
            self.conclude(Security.INDETERMINATE, f"no trust anchor for class {class_to_text(self._question.rclass)}")
            return
        if kind == RRSIG:
            self.conclude(Security.INSECURE, "nothing signs signatures")
            return
        for _ in range(MOST_ALIASES):
            found = [one for one in response.answer if fold(one.name) == name and kind in (one.type, ANY)]
            if found:
                for rrset in found:
                    if self._is_made(rrset):
                        yield from self._check_alias(name)
                    else:
                        yield from self._check_set(rrset)
                break
            target = yield from self._check_alias(name)
            if target is None:
                if response.rcode != YXDOMAIN or not self._findings:
                    yield from self._check_denial(name, kind)
                break
            name = target
        else:
            self.conclude(Security.BOGUS, f"more than {MOST_ALIASES} aliases", DNSSEC_BOGUS)
        self._check_rest()

    def _check_alias(self, name: bytes) -> Generator[Question, Response, bytes | None]:
        """Check the CNAME or DNAME that the answer has for a name; returns where it leads, None without one."""
        answer = self._response.answer
        cname = find_set(answer, name, CNAME)
        dname = self._dname_above(name)
        if dname is not None and (cname is None or not cname.signatures):
            yield from self._check_set(dname)
            return self._follow_dname(name, dname, cname)
        if cname is None:
            return None
        yield from self._check_set(cname)
        if len(cname.data) != 1:
            self.conclude(Security.BOGUS, f"{set_to_text(cname)} has several records", DNSSEC_BOGUS)
        return _target(cname)

    def _dname_above(self, name: bytes) -> RRset | None:
        answer = self._response.answer
        return next((one for one in answer if one.type == DNAME and _is_under(name, fold(one.name))), None)

    def _is_made(self, rrset: RRset) -> bool:
        """Whether it is the CNAME that a DNAME of the answer makes, which nobody signs (RFC 6672 5.3.1)."""
        return rrset.type == CNAME and not rrset.signatures and self._dname_above(fold(rrset.name)) is not None

    def _follow_dname(self, name: bytes, dname: RRset, cname: RRset | None) -> bytes | None:
        """Where a DNAME leads; the CNAME beside it is unsigned, and has to be what it makes (RFC 6672 5.3.1)."""
        prefix = name[: len(name) - len(dname.name)]
        target = prefix + _target(dname)
        if len(target) > LONGEST:
            if self._response.rcode != YXDOMAIN:
                self.conclude(Security.BOGUS, f"{set_to_text(dname)} makes a name that is too long", DNSSEC_BOGUS)
            return None
        if cname is not None:
            finding = self._findings[dname]
            proof = Proof(f"{set_to_text(cname)} is made from {set_to_text(dname)}", "RFC 6672 5.3.1", finding.security)
            if _target(cname) != target:
                text = f"{set_to_text(cname)} is not what {set_to_text(dname)} makes"
                self.conclude(Security.BOGUS, text, DNSSEC_BOGUS)
                proof.result = Security.BOGUS
            self._steps.append(proof)
            made = Finding(proof.result, min(cname.ttl, finding.ttl), proof, finding.reason, finding.error)
            self._findings[cname] = made
        return target

    def _check_set(self, rrset: RRset) -> Generator[Question, Response, None]:
        """Check a set of the answer section."""
        owner = fold(rrset.name)
        signers = [one.signer for one in signatures_of(rrset) if _may_sign(one.signer, owner, rrset.type)]
        target = max(signers, key=label_count, default=parent(owner) if rrset.type == DS else owner)
        zone = yield from self._chain.zone_of(target)
        if zone.security is not Security.SECURE:
            self._note_zone(zone, f"{set_to_text(rrset)} is in {name_to_text(zone.name)}")
            self._findings[rrset] = Finding(zone.security, rrset.ttl, zone.proof, zone.reason)
            return
        finding = verify_set(rrset, zone.name, zone.keys, self._context.terms)
        proof = finding.proof
        proof.children.append(zone.proof)
        self._steps.append(proof)
        self._findings[rrset] = finding
        self._ttl = min(self._ttl, finding.ttl)
        if finding.security is Security.BOGUS:
            self.conclude(Security.BOGUS, finding.reason, finding.error.code if finding.error else DNSSEC_BOGUS)
        elif finding.source_labels is not None:
            evidence = self._evidence_of(zone)
            denial = evidence.expanded(owner, finding.source_labels)
            self._note_denial(denial, evidence)
            if denial.kind.security is not Security.SECURE:
                reason, error = denial.text, ExtendedError(DNSSEC_BOGUS, denial.text)
                self._findings[rrset] = replace(finding, security=denial.kind.security, reason=reason, error=error)

    def _check_denial(self, name: bytes, kind: int) -> Generator[Question, Response, None]:
        """Check that nothing answers at the end of the chain of aliases."""
        authority = self._response.authority
        signers = [
            one.signer
            for rrset in authority
            if rrset.type in _DENIAL_TYPES
            for one in signatures_of(rrset)
            if _may_sign(one.signer, name, kind)
        ]
        target = max(signers, key=label_count, default=parent(name) if kind == DS else name)
        zone = yield from self._chain.zone_of(target)
        if zone.security is not Security.SECURE:
            self._note_zone(zone, f"{name_to_text(name)} is in {name_to_text(zone.name)}")
            return
        if not signers:
            what = f"no signed NSEC or NSEC3 says that {name_to_text(name)} has no {type_to_text(kind)}"
            has_denial = any(one.type in (NSEC, NSEC3) for one in authority)
            self.conclude(Security.BOGUS, what, RRSIGS_MISSING if has_denial else NSEC_MISSING)
            self._steps.append(Proof(what, "RFC 4035 5.4", Security.BOGUS, children=[zone.proof]))
            return
        for rrset in authority:
            if rrset.type == SOA and rrset.signatures and _may_sign(zone.name, fold(rrset.name), SOA):
                self._check_soa(rrset, zone)
        evidence = self._evidence_of(zone)
        denial = evidence.no_name(name) if self._response.rcode == NXDOMAIN else evidence.no_type(name, kind)
        if denial.kind is Kind.NOT_PROVEN and self._response.rcode == NXDOMAIN:
            other = evidence.no_type(name, kind)  # the answer has the code of an earlier name of the chain
            if other.kind.security is Security.SECURE:  # an opt-out range would let every denial pass
                denial, self._rcode = other, NOERROR
        if denial.kind is Kind.NOT_PROVEN and kind != DS and self._response.rcode == NOERROR:
            cut = evidence.no_type(name, DS)  # what came along may show that the name is an unsigned zone's
            if cut.kind in (Kind.UNSIGNED, Kind.OPT_OUT):
                self._steps.append(Proof(cut.text, cut.source, Security.INSECURE, children=[zone.proof]))
                self.conclude(Security.INSECURE, cut.text)
                return
        if denial.kind is Kind.NOT_PROVEN:  # unless the name is in another zone, one that need not prove anything
            deeper = yield from self._chain.zone_of(parent(name) if kind == DS else name)
            if deeper.security is Security.INSECURE:
                self._note_zone(deeper, f"{name_to_text(name)} is in {name_to_text(deeper.name)}")
                return
        self._note_denial(denial, evidence, zone)
        self._ttl = min(self._ttl, evidence.ttl)

    def _check_soa(self, rrset: RRset, zone: ZoneState) -> None:
        """The SOA of a negative answer says how long that may be kept (RFC 2308 5): it has to be secure too."""
        finding = verify_set(rrset, zone.name, zone.keys, self._context.terms)
        self._findings[rrset] = finding
        self._steps.append(finding.proof)
        if finding.security is Security.BOGUS:
            self.conclude(Security.BOGUS, finding.reason, finding.error.code if finding.error else DNSSEC_BOGUS)

    def _evidence_of(self, zone: ZoneState) -> Evidence:
        evidence = self._evidence.get(zone.name)
        if evidence is None:
            evidence = Evidence(self._response.authority, zone.name, zone.keys, self._context.terms)
            self._evidence[zone.name] = evidence
            for rrset, finding in evidence.findings.items():
                if finding.security is Security.SECURE or rrset not in self._findings:
                    self._findings[rrset] = finding
        return evidence

    def _note_zone(self, zone: ZoneState, text: str) -> None:
        code = zone.errors[0].code if zone.errors else None
        self.conclude(zone.security, zone.reason, code)
        self._steps.append(Proof(text, "RFC 4033 5", zone.security, "", [zone.proof]))

    def _note_denial(self, denial: Denial, evidence: Evidence, zone: ZoneState | None = None) -> None:
        children = [one.proof for one in evidence.findings.values()] + ([zone.proof] if zone else [])
        security = denial.kind.security
        self._steps.append(Proof(denial.text, denial.source, security, children=children))
        if denial.kind is Kind.COSTLY:
            self.conclude(security, denial.text, UNSUPPORTED_ITERATIONS)
        elif security is Security.BOGUS:
            self.conclude(security, denial.text, NSEC_MISSING if evidence.is_empty else DNSSEC_BOGUS)
        else:
            self.conclude(security, denial.text)

    def _check_rest(self) -> None:
        """Check what else is in the authority section, as far as keys are at hand. The verdict stays."""
        kind, response = self._question.type, self._response
        is_answered = response.rcode == NOERROR and any(one.type == kind for one in response.answer)
        for rrset in response.authority:
            if rrset in self._findings or not rrset.signatures:
                continue
            if rrset.type == NS and is_answered and not self._context.with_servers:
                continue
            zone = self._known_zone(signatures_of(rrset)[0].signer if signatures_of(rrset) else b"", rrset)
            if zone is not None:
                self._findings[rrset] = verify_set(rrset, zone.name, zone.keys, self._context.terms)

    def _known_zone(self, signer: bytes, rrset: RRset) -> ZoneState | None:
        if not signer or not _may_sign(signer, fold(rrset.name), rrset.type):
            return None
        cut = self._context.keys.get(signer, self._context.wall)
        if cut is None or cut.zone.name != signer or cut.zone.security is not Security.SECURE:
            return None
        return cut.zone


def _target(alias: RRset) -> bytes:
    """Where a CNAME or DNAME leads, folded. Raises Malformed for data that is no name."""
    target, end = plain_name(alias.data[0], 0)
    if end != len(alias.data[0]):
        raise Malformed(f"dns: {set_to_text(alias)} is no name")
    return fold(target)


def _is_under(name: bytes, ancestor: bytes) -> bool:
    return name != ancestor and is_below(name, ancestor)


def _may_sign(signer: bytes, owner: bytes, kind: int) -> bool:
    """Whether a zone of that name can have the set: it is above the owner, of a DS strictly (RFC 4035 5.3.1)."""
    if not is_below(owner, signer):
        return False
    return kind != DS or owner == ROOT or owner != signer
