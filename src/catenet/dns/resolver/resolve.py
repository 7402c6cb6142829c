"""Answering a name and type from the cache or by iteration, without following aliases and without validating."""

from __future__ import annotations

from catenet.dns.resolver.cache import Message, Trust
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.iterate import Iteration
from catenet.dns.resolver.keeping import keep_answer
from catenet.dns.resolver.names import ancestors
from catenet.dns.resolver.steps import Ask, Failure, Steps
from catenet.dns.response import Response, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT
from catenet.wire.dns.numbers import ANY, CNAME, DS, IN

__all__ = ["from_cache", "resolve"]


def resolve(context: Context, request: Ask) -> Steps[Response]:
    """Answer a question. Raises Failure."""
    question, original = request.question, context.config.serve_original_ttl
    if not request.fresh and not request.prime:
        found = from_cache(context, question)
        if found is not None:
            return context.cache.response(found, context.now, original=original)
        failure = context.failures.find(question, context.now)
        if failure is not None:
            raise failure
    iteration = Iteration(context, request)
    try:
        reading = yield from iteration.run()
    except Failure as failure:
        if failure.keep:
            context.failures.note(question, failure, context.now)
        raise
    context.failures.clear(question)
    kept = keep_answer(context, question, reading, iteration.delegation, request.ahead, renew=request.fresh)
    if kept is not None:
        # What was known better before, and for how long.
        return context.cache.response(kept, context.now, original=original)
    response = reading.response
    response.recursion = True
    return response


def from_cache(context: Context, question: Question) -> Message | None:
    """What the cache says: an answer, an alias, a DNAME above, the denial of a name above."""
    cache, now = context.cache, context.now
    name, kind = question.name, question.type
    if question.rclass != IN:
        return None
    message = cache.find(name, kind, now)
    if message is not None:
        return message
    for wanted in (kind,) if kind == DS else (kind, CNAME):
        entry = cache.peek(name, wanted, now, Trust.OTHER_ANSWER) if wanted != ANY else None
        if entry is not None and entry.trust is not Trust.AUTHORITY:
            made = Message(b"", 0, ((entry,), (), ()), entry.ttl, entry.expires)
            made.security = entry.security
            return made
    found = _from_above(context, name) if kind != DS else None
    if found is None and context.validates and (context.config.aggressive_nsec or kind == DS):
        found = context.denials.find(question, now)
    return found


def _from_above(context: Context, name: bytes) -> Message | None:
    """The denial of an ancestor (RFC 8020)."""
    if not context.config.harden_below_nxdomain:
        return None
    for above in ancestors(name):
        if above in (name, ROOT):
            continue
        message = context.cache.find_denial(above, context.now)
        if message is not None and message.security is Security.SECURE:
            return message
    return None
