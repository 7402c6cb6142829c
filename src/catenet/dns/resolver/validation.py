"""Answers that are validated before anybody gets them (RFC 4035 5)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Final

from catenet.dns.dnssec import KeyCache, ValidationContext, Verdict, validate
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.keeping import keep_verdict
from catenet.dns.resolver.resolve import from_cache
from catenet.dns.resolver.steps import Ask, Steps, ask
from catenet.dns.response import Response, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import ANY, CNAME, NOERROR, NXDOMAIN, YXDOMAIN
from catenet.wire.dns.stub import Server

__all__ = ["resolve_checked"]

_ANSWERS: Final = (NOERROR, NXDOMAIN, YXDOMAIN)


def resolve_checked(context: Context, request: Ask) -> Steps[Response]:
    """Answer a question, and say how far the answer can be trusted."""
    raw = request.raw()
    if not request.fresh:
        found = from_cache(context, request.question)
        if found is not None and found.security is not None:
            return context.cache.response(found, context.now)
    response = yield from ask(raw)
    if response.rcode not in _ANSWERS:
        return response
    check = _Check(context, request)
    verdict = yield from check.run(response)
    for _ in range(context.config.max_bogus_retries):
        if verdict.security is not Security.BOGUS or not check.look_elsewhere():
            break
        response = yield from check.ask(request.question, fallback=response)
        verdict = yield from check.run(response)
    check.finish(verdict)
    response = verdict.apply(response)
    keep_verdict(context, request.question, response, verdict)
    return response


class _Check:
    """The validation of one answer, again with other servers' answers and keys if those of the first are bogus.

    A server that is out of date, or somebody on the way to it, must not make a zone fail that others serve well.
    """

    def __init__(self, context: Context, request: Ask) -> None:
        assert context.anchors is not None
        self._context = context
        self._request = request
        self._settings = ValidationContext(
            context.anchors,
            context.wall(context.now),
            context.keys,
            request.work.budget,
            context.policy,
            with_servers=not context.config.minimal_responses,
        )
        self._asked: set[Question] = {request.question}
        self._avoid: frozenset[Server] = frozenset()

    def look_elsewhere(self) -> bool:
        """Ask other servers from now on; False if nobody knows who has answered so far."""
        sources = self._context.sources
        avoid = self._avoid | {sources[question] for question in self._asked if question in sources}
        if avoid == self._avoid:
            return False
        self._avoid = avoid
        # What was found of zones rests on what is doubted.
        self._settings = replace(self._settings, keys=KeyCache())
        return True

    def ask(self, question: Question, fallback: Response | None = None) -> Steps[Response]:
        """The answer of a server that is not doubted; of any, or `fallback`, if there is none."""
        self._asked.add(question)
        request = Ask(question, self._request.work, depth=self._request.depth + 1)
        if not self._avoid:
            return (yield from ask(request))
        response = yield from ask(replace(request, fresh=True, avoid=self._avoid))
        if response.rcode in _ANSWERS:
            return response
        return (yield from ask(request)) if fallback is None else fallback

    def run(self, response: Response) -> Steps[Verdict]:
        """Run the validator, which asks for keys and for proofs that zones are unsigned."""
        question = _link(self._request.question, response)
        steps: Generator[Question, Response, Verdict] = validate(question, response, self._settings)
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send((yield from self.ask(wanted)))
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict

    def finish(self, verdict: Verdict) -> None:
        """Remember what was found of zones."""
        if self._avoid and verdict.security is not Security.BOGUS:
            self._context.keys.update(self._settings.keys)


def _link(question: Question, response: Response) -> Question:
    """What an answer is validated as: where it is one link of a chain of aliases, as that link.

    The next name is asked for by itself, and its answer validated by itself.
    """
    answer = response.answer
    if not answer or answer[-1].type != CNAME or question.type in (CNAME, ANY):
        return question
    first = answer[0]
    return question._replace(name=fold(first.name), type=first.type)
