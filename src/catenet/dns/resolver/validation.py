"""Answers that are validated before anybody gets them (RFC 4035 5)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from catenet.dns.dnssec import ValidationContext, Verdict, validate
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.keeping import keep_verdict
from catenet.dns.resolver.resolve import from_cache
from catenet.dns.resolver.steps import Ask, Steps, ask
from catenet.dns.response import Response, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import ANY, CNAME, NOERROR, NXDOMAIN, YXDOMAIN

__all__ = ["resolve_checked"]


def resolve_checked(context: Context, request: Ask) -> Steps[Response]:
    """Answer a question, and say how far the answer can be trusted."""
    raw = replace(request, checked=False)
    if not request.fresh:
        found = from_cache(context, request.question)
        if found is not None and found.security is not None:
            return context.cache.response(found, context.now)
    response = yield from ask(raw)
    if response.rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
        return response
    verdict = yield from _validate(context, request, response)
    for _ in range(context.config.max_bogus_retries):
        if verdict.security is not Security.BOGUS:
            break
        source = context.sources.get(request.question)
        if source is None or source in raw.avoid:
            break
        raw = replace(raw, fresh=True, avoid=raw.avoid | {source})
        again = yield from ask(raw)
        if again.rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
            break
        response = again
        verdict = yield from _validate(context, request, response)
    response = verdict.apply(response)
    keep_verdict(context, request.question, response, verdict)
    return response


def _validate(context: Context, request: Ask, response: Response) -> Steps[Verdict]:
    """Run the validator, which asks for keys and for proofs that zones are unsigned."""
    assert context.anchors is not None
    settings = ValidationContext(
        context.anchors, context.wall(context.now), context.keys, request.work.budget, context.policy
    )
    question = _link(request.question, response)
    steps: Generator[Question, Response, Verdict] = validate(question, response, settings)
    try:
        wanted = next(steps)
        while True:
            needed = yield from ask(Ask(wanted, request.work, depth=request.depth + 1))
            wanted = steps.send(needed)
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict


def _link(question: Question, response: Response) -> Question:
    """What an answer is validated as: where it is one link of a chain of aliases, as that link.

    The next name is asked for by itself, and its answer validated by itself.
    """
    answer = response.answer
    if not answer or answer[-1].type != CNAME or question.type in (CNAME, ANY):
        return question
    first = answer[0]
    return question._replace(name=fold(first.name), type=first.type)
