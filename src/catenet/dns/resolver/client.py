"""What a client gets: aliases followed, expired data where nothing better comes, sections as small as it wants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from catenet.dns.resolver.cache import Message
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.resolve import from_cache
from catenet.dns.resolver.steps import Ask, AskWithin, Start, Steps, Work, ask, ask_within, start
from catenet.dns.response import ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import ANY, CNAME, NOERROR, NSEC, NSEC3, NXDOMAIN, SERVFAIL

__all__ = ["Client", "ClientQuestion", "answer_client"]

STALE_ANSWER: Final = 3
STALE_NXDOMAIN: Final = 19
"""Extended errors (RFC 8914)."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: policies may depend on it."""

    address: bytes = b""
    transport: str = "udp"
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ClientQuestion:
    """What a client wants to know, and how."""

    question: Question
    dnssec_ok: bool = False
    checking_disabled: bool = False
    client: Client | None = None


def answer_client(context: Context, wanted: ClientQuestion) -> Steps[Response]:
    """Answer a client."""
    question = Question(fold(wanted.question.name), *wanted.question[1:])
    response = yield from chase(context, question, Work(), checked=not wanted.checking_disabled)
    if response.security is Security.BOGUS and not wanted.checking_disabled:
        response = Response(SERVFAIL, security=Security.BOGUS, reason=response.reason, errors=response.errors)
    return _trim(context, response, wanted)


def chase(context: Context, question: Question, work: Work, *, checked: bool) -> Steps[Response]:
    """Answer a question, following aliases from zone to zone (RFC 1034 5.3.3, step 4c)."""
    name, links = question.name, 0
    whole = Response(recursion=True)
    proofs: list[RRset] = []
    seen = {name}
    while True:
        hop = yield from _hop(context, Question(name, *question[1:]), work, checked)
        links += sum(one.type == CNAME for one in hop.answer)
        if hop.rcode not in (NOERROR, NXDOMAIN) and whole.answer and hop.rcode == SERVFAIL:
            return hop
        whole.answer += hop.answer
        whole.rcode, whole.authority, whole.additional = hop.rcode, hop.authority, hop.additional
        whole.security = _weakest(whole.security, hop.security, first=len(seen) == 1)
        whole.reason = hop.reason or whole.reason
        whole.errors += [one for one in hop.errors if one not in whole.errors]
        target = _alias(hop, question)
        if target is None or fold(target) in seen:
            break
        if links > context.config.max_aliases:
            return Response(SERVFAIL, recursion=True, reason="the chain of aliases is too long")
        proofs += [one for one in hop.authority if one.type in (NSEC, NSEC3)]
        name = fold(target)
        seen.add(name)
    present = {one.key for one in whole.authority}
    whole.authority = whole.authority + [one for one in proofs if one.key not in present]
    return whole


def _alias(hop: Response, question: Question) -> bytes | None:
    """The name to go on with, None if the answer is there or there is none."""
    if not hop.answer or question.type in (CNAME, ANY) or hop.rcode not in (NOERROR, NXDOMAIN):
        return None
    last = hop.answer[-1]
    return last.data[0] if last.type == CNAME else None


def _weakest(so_far: Security, now: Security, *, first: bool) -> Security:
    """A chain is as sure as its weakest link."""
    order = (Security.BOGUS, Security.INDETERMINATE, Security.INSECURE, Security.SECURE)
    return now if first else min(so_far, now, key=order.index)


def _hop(context: Context, question: Question, work: Work, checked: bool) -> Steps[Response]:
    """One name and type: from the cache, or asked for, or from what has expired if nothing better comes in time."""
    config, cache = context.config, context.cache
    request = Ask(question, work, checked=checked)
    found = from_cache(context, question)
    if found is not None and (not checked or found.security is not None):
        if config.prefetch and found.alive and found.expires - context.now < found.ttl / 10:
            yield from start(Start(replace(request, work=Work(), fresh=True)))
        return cache.response(found, context.now, original=config.serve_original_ttl)
    if not config.serve_expired:
        return (yield from ask(request))
    stale = cache.find(question.name, question.type, context.now, stale=True)
    if stale is not None and (stale.security is Security.BOGUS or not _is_kept(context, stale)):
        stale = None
    if stale is None:
        return (yield from ask(request))
    if config.serve_expired_client_timeout <= 0:
        yield from start(Start(replace(request, work=Work())))
        return _stale(context, stale)
    response = yield from ask_within(AskWithin(request, context.now + config.serve_expired_client_timeout))
    if response is None or response.rcode not in (NOERROR, NXDOMAIN):
        return _stale(context, stale)
    return response


def _is_kept(context: Context, stale: Message) -> bool:
    most = context.config.serve_expired_ttl
    return not most or stale.expires + most > context.now


def _stale(context: Context, message: Message) -> Response:
    """What has expired, with a short TTL and an extended error (RFC 8767 5.2, RFC 8914 4.4)."""
    response = context.cache.response(message, context.now, ttl=context.config.serve_expired_reply_ttl)
    response.errors.append(ExtendedError(STALE_NXDOMAIN if message.rcode == NXDOMAIN else STALE_ANSWER))
    return response


def _trim(context: Context, response: Response, wanted: ClientQuestion) -> Response:
    """Without what the client has not asked for."""
    response.recursion = True
    if context.config.minimal_responses and response.answer and response.rcode == NOERROR:
        response.additional = []
        response.authority = [one for one in response.authority if one.type in (NSEC, NSEC3)]
    if not wanted.dnssec_ok:
        response.authority = [one for one in response.authority if one.type not in (NSEC, NSEC3)]
    present = {one.key for one in response.answer} | {one.key for one in response.authority}
    response.additional = [one for one in response.additional if one.key not in present]
    return response
