"""The DNSSEC verdict on an answer: asks the same server for keys, as delv does, and trusts none of what it says."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.resolve.asking import Answer, Session, reason
from catenet.cli.resolve.multicast import MDNS
from catenet.cli.resolve.needs import need
from catenet.cli.resolve.verdict import Finding
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.dns.dnssec import KeyCache, TrustAnchors, Verdict
    from catenet.dns.response import Response
    from catenet.wire.dns.message import Message, Question

__all__ = ["OTHER_ROOT", "Validator", "knows_root_key", "read_anchors"]

CHAIN_ATTEMPTS: Final = 2
"""How often a question for keys is sent at most; whoever answers one question is there."""
ROOT_KEY: Final = "/usr/share/dns/root.key"
OTHER_ROOT: Final = "the root is another than the public one; name its key with --trust-anchor"
MOST_KEYS: Final = 16
"""Keys of the root that are compared with ours."""


class Validator:
    """Judges answers. What it finds of zones serves for all questions of a call.

    Args:
        anchors: what is trusted.
        session: by which it asks.
        is_private: the user has named the anchors: then a server that has no keys for them is bogus.
        with_proof: keep proofs.
    """

    def __init__(self, anchors: TrustAnchors, session: Session, is_private: bool, with_proof: bool) -> None:

        self._anchors = anchors
        self._session = session
        self._is_private = is_private
        self._with_proof = with_proof
        self._keys: dict[str, KeyCache] = {}
        self._without_keys: dict[str, str] = {}
        """Servers that have no keys of the root, each with what it answered."""

    def covers(self, ask: Ask) -> bool:
        """Whether signatures are to be asked for. Who asks for ANY gets those only with `+dnssec`, as data."""
        from catenet.wire.dns.numbers import ANY, IN, QUERY

        options = ask.options
        if any(server.target.scheme == MDNS for server in ask.servers):
            return False
        if options.edns is None or options.header_only or options.opcode != QUERY or ask.question.rclass != IN:
            return False
        return options.dnssec or ask.question.type != ANY

    async def judge(self, ask: Ask, answer: Answer) -> Finding:
        """Validate an answer; never raises for what a server does, and ends in the time that the question has."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        seconds = ask.options.time * ask.options.tries
        try:
            async with asyncio.timeout(seconds):
                finding = await self._judge(ask, answer)
        except TimeoutError:
            finding = Finding("indeterminate", f"the keys have not come within {seconds:g} s")
        return replace(finding, seconds=loop.time() - begun)

    async def _judge(self, ask: Ask, answer: Answer) -> Finding:
        from catenet.wire.dns.numbers import RA, SERVFAIL, TC

        message = answer.reply.message
        if not self.covers(ask):
            return Finding("indeterminate", "signatures were not asked for")
        if message.flags & TC:
            return Finding("indeterminate", "the answer was cut")
        if not self._is_private and not message.flags & RA:
            return Finding("indeterminate", "the server does not recurse, and has no keys of the zones above its own")
        server = answer.reply.server
        if server in self._without_keys:
            return Finding("indeterminate", self._without_keys[server])
        if message.rcode == SERVFAIL:
            # A server that validates says no more of what is bogus (RFC 4035 5.5); with CD it shows what it has.
            try:
                message = await self._fetch(ask, answer, ask.question)
            except OSError as error:
                return Finding("indeterminate", reason(error))
        return await self._validate(ask, answer, message)

    async def _validate(self, ask: Ask, answer: Answer, message: Message) -> Finding:
        from catenet.dns.dnssec import KeyCache, ValidationContext, validate
        from catenet.dns.response import response_from_message
        from catenet.wire.errors import Malformed

        try:
            response = response_from_message(message)
        except Malformed as error:
            return Finding("bogus", f"the answer cannot be read: {error}")
        server = answer.reply.server
        keys = self._keys.setdefault(server, KeyCache())
        context = ValidationContext(self._anchors, time.time(), keys)
        steps = validate(ask.question, response, context)
        outcome = await self._drive(steps, ask, answer)
        if isinstance(outcome, str):
            return Finding("indeterminate", outcome, queries=context.budget.questions)
        proof = list(outcome.proof.lines()) if self._with_proof else ()
        return Finding(
            outcome.security.value,
            outcome.reason,
            self._chain(ask.question, keys, context.wall) if outcome.security.value == "secure" else (),
            [printable(line) for line in proof],
            queries=context.budget.questions,
        )

    async def _drive(self, steps: Generator[Question, Response, Verdict], ask: Ask, answer: Answer) -> Verdict | str:
        """Ask what validation needs to know; returns its verdict, or why there is none."""
        from catenet.dns.response import Response, response_from_message
        from catenet.wire.dns.numbers import SERVFAIL, rcode_to_text
        from catenet.wire.errors import Malformed

        server = answer.reply.server
        reply: Response | None = None
        while True:
            try:
                question = next(steps) if reply is None else steps.send(reply)
            except StopIteration as end:
                verdict: Verdict = end.value
                return verdict
            try:
                message = await self._fetch(ask, answer, question)
                reply = response_from_message(message)
            except Malformed:
                reply = Response(SERVFAIL)
                continue
            except OSError as error:
                steps.close()
                return f"no keys: {reason(error)}"
            if not self._is_private and question.name == b"\0" and not knows_root_key(self._anchors, reply):
                steps.close()
                text = OTHER_ROOT
                if not reply.answer:
                    text = f"the server has no keys of the root ({rcode_to_text(message.rcode)})"
                self._without_keys[server] = text
                return text

    async def _fetch(self, ask: Ask, answer: Answer, question: Question) -> Message:
        """Ask the server that has answered, without its own check. Raises OSError."""
        from catenet.dns.client import Query
        from catenet.wire.dns.edns import DNSSEC_OK, Edns
        from catenet.wire.dns.numbers import CD, RD

        options = replace(ask.options, tries=min(ask.options.tries, CHAIN_ATTEMPTS))
        query = Query(question, RD | CD, Edns(flags=DNSSEC_OK), cookies=options.cookie in (None, True))
        return (await self._session.ask_at(answer.address, query, options)).message

    def _chain(self, question: Question, keys: KeyCache, wall: float) -> list[str]:
        """The zones from the anchor down to that of the name."""
        from catenet.wire.dns.name import fold, name_to_text, parent

        name, zones = fold(question.name), []
        while True:
            cut = keys.get(name, wall)
            if cut is not None and cut.zone.name not in zones:
                zones.append(cut.zone.name)
            if name == b"\0":
                break
            name = parent(name)
        return [name_to_text(zone) for zone in reversed(zones)]


def knows_root_key(anchors: TrustAnchors, reply: Response) -> bool:
    """Whether one of the root's keys in an answer is one that we know. The world has other roots than the public one.

    Who answers with other keys could as well answer with none: neither is more than `indeterminate`, unless the user
    has said which keys there must be.
    """
    from catenet.dns.dnssec.keys import Key
    from catenet.wire.dns.numbers import DNSKEY
    from catenet.wire.errors import Malformed

    anchor = anchors.closest(b"\0")
    for data in (one for rrset in reply.answer if rrset.type == DNSKEY for one in rrset.data[:MOST_KEYS]):
        with contextlib.suppress(Malformed):
            key = Key(data)
            if anchor is not None and any(ds.matches(b"\0", key) for ds in anchor.digests):
                return True
    return False


def installed_anchors() -> TrustAnchors:
    """The root's keys as the system has them (Debian's dns-root-data, a world with `[dns]`), else those we know."""
    from catenet.dns.dnssec import AnchorError, TrustAnchors

    with contextlib.suppress(AnchorError, OSError, UnicodeDecodeError):
        anchors = TrustAnchors.from_files([ROOT_KEY])
        if anchors.zones == TrustAnchors.root().zones:
            return anchors
    return TrustAnchors.root()


def read_anchors(args: argparse.Namespace) -> TrustAnchors | str:
    """The anchors of a command line; a text says why there are none. Raises UsageError for a wrong file."""
    path = args.trust_anchor
    if args.no_validate:
        return "signatures are not checked; the AD flag is what the server says"
    if path is not None:
        need("catenet.dns.dnssec", "--trust-anchor")
    try:
        from catenet.dns.dnssec import AnchorError, TrustAnchors
    except ImportError:
        return "signatures need the package cryptography (catenet[dns])"
    if path is None:
        return installed_anchors()
    try:
        anchors = TrustAnchors.from_files([path])
    except AnchorError as error:
        raise UsageError(f"--trust-anchor {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        text = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"--trust-anchor {path}: {str(text).lower()}") from None
    if not anchors.zones:
        raise UsageError(f"--trust-anchor {path}: no DS or DNSKEY record in it")
    return anchors
