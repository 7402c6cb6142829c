"""What of an answer goes into the cache, and how much it is trusted there (RFC 2181 5.4.1, RFC 2308)."""

from __future__ import annotations

from collections.abc import Sequence

from catenet.dns.resolver.cache import Entry, Message, Trust
from catenet.dns.resolver.config import ForwardZone, StubZone
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.delegation import Delegation
from catenet.dns.resolver.reading import Reading
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import DS, NS

__all__ = ["keep_answer", "keep_referral"]


def keep_answer(context: Context, question: Question, reading: Reading, delegation: Delegation) -> Message | None:
    """Keep an answer and its sets; None where the settings say that nothing is kept."""
    settings = delegation.settings
    if isinstance(settings, ForwardZone | StubZone) and not settings.keep:
        return None
    response = reading.response
    ours = response.authoritative
    sections = (
        _store(context, response.answer, Trust.ANSWER if ours else Trust.OTHER_ANSWER, delegation),
        _store(context, response.authority, Trust.AUTHORITY if ours else Trust.ADDITIONAL, delegation),
        _store(context, response.additional, Trust.ADDITIONAL, delegation),
    )
    return context.cache.store_answer(question.name, question.type, response.rcode, sections, context.now)


def _store(context: Context, sets: Sequence[RRset], trust: Trust, delegation: Delegation) -> list[Entry]:
    """A zone cannot say for longer than its parent does by which servers it, or a zone below, is served."""
    return [
        context.cache.store(one, trust, context.now, delegation.expires if one.type == NS else None) for one in sets
    ]


def keep_referral(context: Context, reading: Reading, delegation: Delegation) -> tuple[RRset, float]:
    """Keep a referral: the NS set leads iteration and answers nobody; a DS set is the parent's own, and does.

    Returns the NS set, and until when it holds.
    """
    found: RRset | None = None
    expires = context.now
    for one in reading.response.authority:
        if one.type == NS and fold(one.name) == reading.zone:
            entry = context.cache.store(one, Trust.ADDITIONAL, context.now, delegation.expires)
            found, expires = one, entry.expires
        elif one.type == DS:
            entry = context.cache.store(one, Trust.ANSWER, context.now)
            context.cache.store_answer(reading.zone, DS, 0, ((entry,), (), ()), context.now)
    for one in reading.response.additional:
        context.cache.store(one, Trust.ADDITIONAL, context.now)
    assert found is not None, "a referral has an NS set"
    return found, expires
