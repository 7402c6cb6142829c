"""What a client gets: aliases followed, expired data where nothing better comes, sections as small as it wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from catenet.dns.resolver.cache import Message
from catenet.dns.resolver.config import Network
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.dns64 import has_addresses, ipv4_reverse_name, synthesize
from catenet.dns.resolver.names import ancestors
from catenet.dns.resolver.resolve import from_cache
from catenet.dns.resolver.sentinel import says_no
from catenet.dns.resolver.steps import Ask, AskWithin, Start, Steps, Work, ask, ask_within, start
from catenet.dns.response import DROPPED, ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, fold, is_below
from catenet.wire.dns.numbers import (
    AAAA,
    ANY,
    CH,
    CNAME,
    DNAME,
    IN,
    NOERROR,
    NS,
    NSEC,
    NSEC3,
    NXDOMAIN,
    OPT,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    TXT,
    YXDOMAIN,
    A,
)

__all__ = ["Client", "ClientQuestion", "answer_client"]

STALE_ANSWER: Final = 3
DNSSEC_BOGUS: Final = 6
STALE_NXDOMAIN: Final = 19
NOT_AUTHORITATIVE: Final = 20
"""Extended errors (RFC 8914)."""
RENEWED_AHEAD: Final = 60
"""Seconds, beyond the end of what is prefetched, within which what it rests on is renewed too."""
_META: Final = frozenset((OPT, *range(128, 255)))
"""Types of which there are no sets: transfers, signatures of transactions, what is obsolete (RFC 6895 3.1)."""


class Client(NamedTuple):
    """Who asks: policies may depend on it."""

    address: bytes = b""
    transport: str = "udp"
    tags: frozenset[str] = frozenset()


class ClientQuestion(NamedTuple):
    """What a client wants to know, and how."""

    question: Question
    dnssec_ok: bool = False
    checking_disabled: bool = False
    recursion: bool = True
    client: Client | None = None


def answer_client(context: Context, wanted: ClientQuestion) -> Steps[Response]:
    """Answer a client."""
    question = Question(fold(wanted.question.name), *wanted.question[1:])
    response = _at_once(context, question, wanted)
    if response is not None:
        target = _alias(response, question)
        if target is not None:
            rest = yield from _resolve(context, question._replace(name=fold(target)), wanted)
            if rest.rcode not in (NOERROR, NXDOMAIN):
                return rest
            response = replace(rest, answer=response.answer + rest.answer, authoritative=True)
        return response
    response = yield from _resolve(context, question, wanted)
    return _trim(context, response, wanted)


def _at_once(context: Context, question: Question, wanted: ClientQuestion) -> Response | None:
    """What is said without asking anybody."""
    if question.rclass == CH:
        return _about_us(context, question)
    if question.rclass not in (IN, ANY) or question.type in _META:
        return Response(REFUSED)
    response = context.local.answer(question)
    if response is not None:
        return response
    for zone in sorted(context.config.auth_zones, key=lambda one: -len(one.name)):
        if zone.for_downstream and is_below(question.name, zone.name):
            copy = context.copies.get(zone.name)
            if copy is not None:
                return replace(copy.answer(question, wanted.dnssec_ok), recursion=True)
            if not zone.fallback:
                return Response(SERVFAIL, authoritative=True, recursion=True, reason="there is no copy of the zone")
    return None if wanted.recursion else _without_recursion(context, question)


def _without_recursion(context: Context, question: Question) -> Response | None:
    """What the cache says to who does not want us to ask: an answer (None here), a referral, or nothing."""
    cache, now = context.cache, context.now
    if cache.find(question.name, question.type, now, stale=context.config.serve_expired) is not None:
        return None
    for zone in ancestors(question.name):
        entry = cache.peek(zone, NS, now)
        if entry is not None and zone != ROOT:
            found = [cache.peek(fold(host), kind, now) for host in entry.data for kind in (A, AAAA)]
            return Response(
                authority=[entry.rrset(int(entry.expires - now))],
                additional=[one.rrset(int(one.expires - now)) for one in found if one is not None],
                recursion=True,
                security=entry.security or Security.INDETERMINATE,
            )
    return Response(REFUSED, recursion=True, errors=[ExtendedError(NOT_AUTHORITATIVE)])


def _about_us(context: Context, question: Question) -> Response:
    """What servers tell of themselves in the class CH (RFC 4892)."""
    text = context.config.chaos.get(question.name)
    if text is None or question.type not in (TXT, ANY):
        return Response(REFUSED, recursion=True)
    data = text.encode()[:255]
    rrset = RRset(question.name, TXT, 0, (bytes((len(data),)) + data,), (), CH)
    return Response(answer=[rrset], recursion=True)


def _resolve(context: Context, question: Question, wanted: ClientQuestion) -> Steps[Response]:
    """Answer by all means."""
    checked = context.validates and not wanted.checking_disabled
    work = Work()
    client, prefix = wanted.client, context.config.dns64_prefix
    if prefix is not None and question.rclass == IN and not (wanted.checking_disabled and wanted.dnssec_ok):
        response = yield from _with_dns64(context, question, work, prefix, checked)
    else:
        response = yield from chase(context, question, work, checked=checked, client=client)
    anchors = context.anchors
    if anchors is not None and not wanted.checking_disabled and says_no(anchors, question, response):
        reason = "what the name says of a trust anchor is not so (RFC 8509)"
        return Response(SERVFAIL, recursion=True, reason=reason, errors=[ExtendedError(DNSSEC_BOGUS)])
    if response.security is Security.BOGUS and not wanted.checking_disabled:
        response = replace(response, rcode=SERVFAIL, answer=[], authority=[], additional=[], recursion=True)
    return response


def _with_dns64(context: Context, question: Question, work: Work, prefix: Network, checked: bool) -> Steps[Response]:
    """Answer with addresses that are made of IPv4 addresses where a name has no others (RFC 6147 5)."""
    name = ipv4_reverse_name(question.name, prefix) if question.type == PTR else None
    if name is not None:
        response = yield from chase(context, question._replace(name=name), work, checked=checked)
        answer = [replace(one, name=question.name) if fold(one.name) == name else one for one in response.answer]
        return replace(response, answer=answer, security=Security.INSECURE, additional=[])
    response = yield from chase(context, question, work, checked=checked)
    if question.type != AAAA or response.rcode == NXDOMAIN or response.security is Security.BOGUS:
        return response
    if any(is_below(question.name, name) for name in context.config.dns64_ignore):
        return response
    if has_addresses(response.answer) and not context.config.dns64_synthesize_all:
        return response
    ipv4 = yield from chase(context, question._replace(type=A), work, checked=checked)
    if ipv4.rcode != NOERROR or not any(one.type == A for one in ipv4.answer):
        return response
    ttl = min((one.ttl for one in response.authority if one.type == SOA), default=600)
    answer = [synthesize(one, prefix, ttl) if one.type == A else one for one in ipv4.answer]
    return replace(ipv4, answer=answer, security=Security.INSECURE)


def chase(
    context: Context, question: Question, work: Work, *, checked: bool, client: Client | None = None
) -> Steps[Response]:
    """Answer a question, following aliases from zone to zone (RFC 1034 5.3.3, step 4c)."""
    name, links = question.name, 0
    whole = Response(recursion=True)
    proofs: list[RRset] = []
    seen = {name}
    may_rule = bool(context.policies)
    while True:
        asked = question._replace(name=name)
        ruling = context.policies.for_question(name, client.address if client else b"") if may_rule else None
        hop = None if ruling is None else ruling.response(asked, client.transport if client else "udp")
        if ruling is not None and hop is None:
            may_rule = False  # a rule that lets it pass ends the search
        if hop is None:
            hop = yield from _hop(context, asked, work, checked)
            # A forged answer stays what it is: no policy makes it one that is given.
            may_replace = may_rule and hop.security is not Security.BOGUS
            ruled = _ruled_answer(context, asked, hop, client) if may_replace else None
            hop = hop if ruled is None else ruled
        links += sum(one.type == CNAME for one in hop.answer)
        if hop.rcode in (SERVFAIL, DROPPED):
            return hop
        present = {one.key for one in whole.answer}
        whole.answer += [one for one in hop.answer if one.key not in present]
        whole.authoritative = whole.authoritative or hop.authoritative
        whole.rcode, whole.authority, whole.additional = hop.rcode, hop.authority, hop.additional
        whole.truncated, whole.recursion = hop.truncated, hop.recursion
        whole.security = _weakest(whole.security, hop.security, first=len(seen) == 1)
        whole.reason = hop.reason or whole.reason
        whole.errors += [one for one in hop.errors if one not in whole.errors]
        target = _alias(hop, question)
        is_renamed = any(one.type == DNAME for one in hop.answer)
        if target is None or (is_renamed and fold(target) == name):
            break  # a tree that is renamed to itself leads nowhere, and the client sees it
        if fold(target) in seen:
            return Response(SERVFAIL, recursion=True, reason="the chain of aliases comes back to itself")
        if links > context.config.max_aliases:
            return Response(SERVFAIL, recursion=True, reason="the chain of aliases is too long")
        proofs += [one for one in hop.authority if one.type in (NSEC, NSEC3)]
        name = fold(target)
        seen.add(name)
    if whole.rcode == YXDOMAIN and whole.security is Security.SECURE:
        whole.security = Security.INSECURE  # the alias is proved, not that its end is too long
    present = {one.key for one in whole.authority}
    whole.authority = whole.authority + [one for one in proofs if one.key not in present]
    return whole


def _ruled_answer(context: Context, asked: Question, hop: Response, client: Client | None) -> Response | None:
    """What a policy says of an answer, by its addresses and by the servers of the zone; None if that is nothing."""
    hosts: set[bytes] = set()
    for zone in ancestors(asked.name):
        entry = context.cache.peek(zone, NS, context.now)
        if entry is not None and zone != ROOT:
            hosts.update(map(fold, entry.data))
    addresses: list[bytes] = []
    for host in hosts:
        for kind in (A, AAAA):
            found = context.cache.peek(host, kind, context.now)
            addresses += found.data if found is not None else ()
    address = client.address if client else b""
    ruling = context.policies.for_answer(asked.name, address, hop.answer, hosts, addresses)
    return None if ruling is None else ruling.response(asked, client.transport if client else "udp")


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
    if found is not None and not _says_all(found):
        found, request = None, replace(request, fresh=True)
    if found is not None and (not checked or found.security is not None):
        left = found.expires - context.now
        if config.prefetch and found.alive and left <= found.ttl / 10:
            yield from start(Start(replace(request, work=Work(), fresh=True, ahead=left + RENEWED_AHEAD)))
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


def _says_all(message: Message) -> bool:
    """Whether it is more than the proof that came with a referral, which has no SOA record for clients."""
    return bool(message.answer) or any(one.type == SOA for one in message.authority)


def _is_kept(context: Context, stale: Message) -> bool:
    most = context.config.serve_expired_ttl
    return not most or stale.expires + most > context.now


def _stale(context: Context, message: Message) -> Response:
    """What has expired, with a short TTL and an extended error (RFC 8767 5.2, RFC 8914 4.4).

    It may be as old as its signatures are not valid any more, so that nothing is said about its security.
    """
    config = context.config
    ttl = None if config.serve_original_ttl else config.serve_expired_reply_ttl
    response = context.cache.response(message, context.now, ttl=ttl, original=config.serve_original_ttl)
    response.security = Security.INDETERMINATE
    response.errors.append(ExtendedError(STALE_NXDOMAIN if message.rcode == NXDOMAIN else STALE_ANSWER))
    return response


def _trim(context: Context, response: Response, wanted: ClientQuestion) -> Response:
    """Without what the client has not asked for."""
    is_positive = any(one.type == wanted.question.type for one in response.answer)
    if context.config.minimal_responses and is_positive and response.rcode == NOERROR:
        response.additional = []
        response.authority = [one for one in response.authority if one.type != NS]
    if wanted.checking_disabled:
        response.security = Security.INDETERMINATE  # who checks by itself is told nothing (RFC 4035 3.2.2)
    if not wanted.dnssec_ok:
        response.authority = [one for one in response.authority if one.type not in (NSEC, NSEC3)]
    present = {one.key for one in response.answer} | {one.key for one in response.authority}
    response.additional = [one for one in response.additional if one.key not in present]
    if wanted.question.type == ANY and context.config.any_minimal:
        response.answer = response.answer[:1]
    if context.config.rotate:
        context.turns += 1
        response.answer = [_turned(one, context.turns) for one in response.answer]
    if not context.config.extended_errors:
        response.errors = []
    return response


def _turned(rrset: RRset, turns: int) -> RRset:
    """The set with another record first."""
    at = turns % len(rrset.data)
    return replace(rrset, data=rrset.data[at:] + rrset.data[:at]) if at else rrset
