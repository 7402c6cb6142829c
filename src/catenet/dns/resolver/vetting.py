"""Whether a copy of a zone is what its owner has signed: its digest, and the signatures over that (RFC 8976 4)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from catenet.dns.dnssec import KeyCache, ValidationContext, Verdict, check_zonemd, validate
from catenet.dns.resolver.config import AuthZone
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.steps import Ask, Pause, Steps, Work, ask, pause
from catenet.dns.response import Response, Security
from catenet.dns.zone import Zone
from catenet.wire.dns.message import Question
from catenet.wire.dns.numbers import DNSKEY, SOA, ZONEMD

__all__ = ["vet_copy"]

FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 3_600.0


def vet_copy(context: Context, settings: AuthZone, zone: Zone) -> Steps[Response]:
    """Use a copy once it is found to be right; what is not is looked at again, as keys above it may be late.

    It ends when there is another one.
    """
    wait = FIRST_PAUSE
    if not _has_digest(settings, zone):
        context.copies[settings.name] = None
        return Response()
    while context.vetted.get(settings.name) is zone:
        if (yield from _is_signed(context, zone)):
            if context.vetted.get(settings.name) is zone:
                context.copies[settings.name] = zone
            break
        context.counts["copies_refused"] += 1
        context.copies[settings.name] = None
        yield from pause(Pause(context.now + wait))
        wait = min(2 * wait, LONGEST_PAUSE)
    return Response()


def _has_digest(settings: AuthZone, zone: Zone) -> bool:
    matches = check_zonemd(zone, zone.apex)
    return matches is True or (matches is None and settings.digest != "require")


def _is_signed(context: Context, zone: Zone) -> Steps[bool]:
    """Whether the digest, or the proof that there is none, and the SOA record are signed; or the zone need not be."""
    for kind in (ZONEMD, SOA):
        verdict = yield from _validate(context, zone, Question(zone.apex, kind))
        if verdict.security is Security.BOGUS:
            return False
    return True


def _validate(context: Context, zone: Zone, question: Question) -> Steps[Verdict]:
    """Validate what a copy says, by its own keys; what vouches for these is asked for."""
    assert context.anchors is not None
    work = Work()
    settings = ValidationContext(context.anchors, context.wall(context.now), KeyCache(), work.budget, context.policy)
    steps: Generator[Question, Response, Verdict] = validate(question, zone.answer(question, True), settings)
    try:
        wanted = next(steps)
        while True:
            if wanted == Question(zone.apex, DNSKEY):
                found = zone.answer(wanted, True)
            else:
                found = yield from ask(Ask(wanted, work))
            wanted = steps.send(found)
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict
