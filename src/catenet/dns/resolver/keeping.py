"""What of an answer goes into the cache, and how much it is trusted there (RFC 2181 5.4.1, RFC 2308)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from catenet.dns.dnssec import Verdict
from catenet.dns.resolver.cache import Entry, Message, Trust
from catenet.dns.resolver.config import ForwardZone, StubZone
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.delegation import Delegation
from catenet.dns.resolver.reading import Reading
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import DS, NS, NSEC, NSEC3

__all__ = ["keep_answer", "keep_referral", "keep_verdict"]

NEVER: Final = float("inf")


def keep_answer(
    context: Context,
    question: Question,
    reading: Reading,
    delegation: Delegation,
    ahead: float = 0.0,
    *,
    renew: bool = False,
) -> Message | None:
    """Keep an answer and its sets; None where the settings say that nothing is kept.

    `ahead`: as `Cache.store` has it; `renew`: for the answer itself there is no such limit.
    """
    settings = delegation.settings
    if isinstance(settings, ForwardZone | StubZone) and not settings.keep:
        return None
    response = reading.response
    ours = response.authoritative
    sections = (
        _store(
            context,
            response.answer,
            Trust.ANSWER if ours else Trust.OTHER_ANSWER,
            delegation,
            NEVER if renew else ahead,
        ),
        _store(context, response.authority, Trust.AUTHORITY if ours else Trust.REFERRAL, delegation, ahead),
        _store(context, response.additional, Trust.ADDITIONAL if ours else Trust.GLUE, delegation, ahead),
    )
    return context.cache.store_answer(question.name, question.type, response.rcode, sections, context.now)


def _store(context: Context, sets: Sequence[RRset], trust: Trust, delegation: Delegation, ahead: float) -> list[Entry]:
    """Keep the sets of a section.

    A zone cannot say for longer than its parent does by which servers it, or a zone below, is served. And what stands
    beside an answer does not say by which others: one forged answer would be enough to take a zone over.
    """
    kept = []
    for one in sets:
        if one.type == NS and trust in (Trust.AUTHORITY, Trust.REFERRAL) and context.config.harden_referral_path:
            known = context.cache.peek(fold(one.name), NS, context.now + ahead)
            if known is not None and set(map(fold, known.data)) != set(map(fold, one.data)):
                kept.append(known)
                continue
        until = delegation.expires if one.type == NS else None
        kept.append(context.cache.store(one, trust, context.now, until, ahead=ahead))
    return kept


def keep_referral(
    context: Context, reading: Reading, delegation: Delegation, ahead: float = 0.0
) -> tuple[RRset, float]:
    """Keep a referral: the NS set leads iteration and answers nobody; a DS set is the parent's own, and does.

    So are signed proofs that there is none (RFC 4035 3.1.4, RFC 5155 7.2.7): who asks for DS is answered by them, and
    validates them. Returns the NS set, and until when it holds.
    """
    found: RRset | None = None
    expires = context.now
    proofs: list[Entry] = []
    has_keys = False
    for one in reading.response.authority:
        if one.type == NS and fold(one.name) == reading.zone:
            entry = context.cache.store(
                one, Trust.REFERRAL, context.now, delegation.expires, parent_side=True, ahead=ahead
            )
            found, expires = one, entry.expires
        elif one.type == DS:
            entry = context.cache.store(one, Trust.ANSWER, context.now, ahead=ahead)
            context.cache.store_answer(reading.zone, DS, 0, ((entry,), (), ()), context.now)
            has_keys = True
        elif one.type in (NSEC, NSEC3) and one.signatures:
            proofs.append(context.cache.store(one, Trust.REFERRAL, context.now, ahead=ahead))
    if proofs and not has_keys:
        ttl = min(min(one.ttl for one in proofs), context.config.max_negative_ttl)
        context.cache.store_answer(reading.zone, DS, 0, ((), proofs, ()), context.now, ttl)
    for one in reading.response.additional:
        context.cache.store(one, Trust.GLUE, context.now, parent_side=True, ahead=ahead)
    assert found is not None, "a referral has an NS set"
    return found, expires


def keep_verdict(context: Context, question: Question, response: Response, verdict: Verdict) -> None:
    """Note what validation found of an answer that is in the cache: the sets that are sure, and until when."""
    cache, now = context.cache, context.now
    found = cache.find(question.name, question.type, now)
    if found is None:
        return
    if verdict.security is not Security.SECURE:
        if verdict.security is Security.BOGUS:
            found.expires = min(found.expires, now + context.policy.bogus_ttl)
            for one in (*found.answer, *found.authority):
                one.security = Security.BOGUS
                one.expires = min(one.expires, found.expires)
        cache.judge(found, verdict.security, response.reason, response.errors)
        return
    sections = []
    for sets in (response.answer, response.authority):
        entries = []
        for rrset in sets:
            entry = cache.store(rrset, Trust.VALIDATED, now)
            entry.security = Security.SECURE
            entries.append(entry)
        sections.append(entries)
    sections.append([one for one in map(cache.current, found.additional) if one is not None])
    kept = cache.store_answer(question.name, question.type, response.rcode, sections, now)
    kept.expires = min(kept.expires, now + verdict.ttl)
    cache.judge(kept, verdict.security, response.reason, response.errors)
    context.denials.add(one for one in sections[1] if one.type in (NSEC, NSEC3))
