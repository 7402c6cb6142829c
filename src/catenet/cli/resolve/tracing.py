"""`--trace`: from the root down, one referral after another, asking every server ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catenet.cli.resolve.asking import Session, reason
from catenet.cli.resolve.servers import Address
from catenet.cli.resolve.validating import OTHER_ROOT, knows_root_key
from catenet.cli.resolve.verdict import Finding

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.dns.client import Reply
    from catenet.dns.dnssec import KeyCache, TrustAnchors
    from catenet.dns.resolver.reading import Reading
    from catenet.wire.dns.message import Question

__all__ = ["Host", "Step", "Tracer"]

ROOT: Final = b"\0"
MOST_STEPS: Final = 40
"""Referrals and aliases of one question."""
MOST_QUERIES: Final = 300
"""Queries of one call, those for keys and for addresses of servers included."""
MOST_DEPTH: Final = 4
"""Names of servers whose addresses are looked up within one another."""
MOST_HOSTS: Final = 13
"""Servers of a zone that are asked."""
MOST_FAILURES: Final = 8
"""Addresses of a zone's servers that are tried in vain."""
_UNREACHABLE: Final = tuple(
    os.strerror(number) for number in (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
)
"""What a machine says that has one version of IP only."""


@dataclass(slots=True)
class Host:
    """A server of a zone: its name, and its addresses as far as they are known."""

    name: bytes
    addresses: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Step:
    """One server's word.

    Attributes:
        zone: whose servers were asked.
        question: what they were asked.
        host: name of the server that answered.
        reply, reading: what it said, and what that means; None when no server of the zone was of use.
        failures: what others said before.
        security: what DNSSEC says of the zone below that a referral leads to.
    """

    zone: bytes
    question: Question
    host: bytes = b""
    reply: Reply | None = None
    reading: Reading | None = None
    failures: list[str] = field(default_factory=list)
    security: Finding | None = None


class Tracer:
    """Walks from the root for the questions of one call; zones that it has come by are not walked to again.

    Args:
        session: by which it asks.
        hints: servers of the root and their addresses.
        scheme, port: of all servers.
        anchors: what is trusted; None validates nothing.
        is_private: the user has named the anchors.
        with_proof: keep proofs.
    """

    def __init__(
        self,
        session: Session,
        hints: Mapping[bytes, Sequence[bytes]],
        scheme: str,
        port: int,
        anchors: TrustAnchors | None,
        is_private: bool,
        with_proof: bool,
    ) -> None:
        self._session = session
        self._scheme, self._port = scheme, port
        self._anchors = anchors
        self._is_private = is_private
        self._problem = "signatures are not checked"
        self._with_proof = with_proof
        self._zones: dict[bytes, list[Host]] = {ROOT: [Host(name, list(found)) for name, found in hints.items()]}
        self._dead: set[str] = set()
        """What is known to fail: addresses, and versions of IP."""
        self._queries = 0
        self._keys: KeyCache | None = None

    def walk(self, ask: Ask) -> AsyncGenerator[Step]:
        """The steps to the answer, as they are made; the last one has it, or nobody has."""
        return self._walk(ask, ask.question, 0)

    async def _walk(self, ask: Ask, question: Question, depth: int) -> AsyncGenerator[Step]:
        from catenet.dns.resolver.reading import Kind
        from catenet.wire.dns.name import fold

        question = question._replace(name=fold(question.name))
        zone = self._closest(question)
        for _ in range(MOST_STEPS):
            step = await self._ask_zone(ask, zone, question, depth)
            reading = step.reading
            if reading is None:
                yield step
                return
            if reading.kind is Kind.REFERRAL:
                self._enter(reading)
                if not depth:
                    step.security = await self._check_zone(ask, reading.zone)
                yield step
                zone = reading.zone
            elif reading.kind is Kind.ALIAS:
                yield step
                question = question._replace(name=fold(reading.target))
                zone = self._closest(question)
            else:
                yield step
                return
        yield Step(zone, question, failures=[f"more than {MOST_STEPS} referrals and aliases"])

    def _closest(self, question: Question) -> bytes:
        """The deepest zone that is known at or above a name; above it for DS, which the parent has (RFC 4035 2.4)."""
        from catenet.wire.dns.name import fold, parent
        from catenet.wire.dns.numbers import DS

        name = fold(question.name)
        if question.type == DS:
            name = parent(name)
        while name not in self._zones:
            name = parent(name)
        return name

    def _enter(self, reading: Reading) -> None:
        """Keep the servers of a zone that a referral names, with their glue."""
        from catenet.wire.dns.name import fold
        from catenet.wire.dns.numbers import AAAA, NS, A

        servers = next(one for one in reading.response.authority if one.type == NS)
        hosts = {fold(name): Host(fold(name)) for name in servers.data[:MOST_HOSTS]}
        for one in reading.response.additional:
            if one.type in (A, AAAA) and fold(one.name) in hosts:
                hosts[fold(one.name)].addresses += one.data
        # Those with glue first: they cost no walk of their own.
        self._zones[reading.zone] = sorted(hosts.values(), key=lambda host: not host.addresses)

    async def _ask_zone(self, ask: Ask, zone: bytes, question: Question, depth: int) -> Step:
        """Ask the servers of a zone until one is of use."""
        from catenet.dns.resolver.reading import Kind, read_answer
        from catenet.dns.response import response_from_message
        from catenet.wire.dns.name import name_to_text
        from catenet.wire.dns.numbers import rcode_to_text
        from catenet.wire.errors import Malformed

        step = Step(zone, question)
        async with contextlib.aclosing(self._places(ask, zone, depth, step)) as places:
            async for host, address in places:
                place = _place(address, host)
                try:
                    reply = await self._query(ask, address, question)
                    reading = read_answer(question, response_from_message(reply.message), zone)
                except OSError as error:
                    self._note_failure(step, address, place, error)
                except Malformed as error:
                    step.failures.append(f"{place} sent a malformed answer ({error})")
                else:
                    if reading.kind not in (Kind.USELESS, Kind.LAME, Kind.RECURSION_LAME):
                        step.host, step.reply, step.reading = host.name, reply, reading
                        return step
                    step.failures.append(f"{place}: {rcode_to_text(reply.message.rcode)}: {reading.kind.value}")
                if len(step.failures) >= MOST_FAILURES:
                    break
        step.failures = step.failures or [f"no server of {name_to_text(zone)} can be reached"]
        return step

    async def _places(self, ask: Ask, zone: bytes, depth: int, step: Step) -> AsyncGenerator[tuple[Host, Address]]:
        """The servers of a zone with their addresses, both versions of IP by turns; names are looked up when needed."""
        from catenet.wire.dns.name import name_to_text

        for host in self._zones[zone]:
            if not host.addresses:
                if depth < MOST_DEPTH:
                    await self._find_addresses(ask, host, depth)
                if not host.addresses:
                    step.failures.append(f"{name_to_text(host.name)}: no address")
                    continue
            for data in _by_turns(host.addresses):
                address = self._address(data)
                version = 4 if len(data) == 4 else 6
                if self._session.version in (None, version) and not {address.url, str(version)} & self._dead:
                    yield host, address

    async def _find_addresses(self, ask: Ask, host: Host, depth: int) -> None:
        """Walk to the addresses of a server that came without glue."""
        from catenet.wire.dns.message import Question
        from catenet.wire.dns.numbers import AAAA, A

        for kind, version in ((A, 4), (AAAA, 6)):
            if self._session.version not in (None, version):
                continue
            async for step in self._walk(ask, Question(host.name, kind), depth + 1):
                if step.reading is not None:
                    for one in step.reading.response.answer:
                        if one.type == kind:
                            host.addresses += one.data
            if host.addresses:
                return

    def _address(self, data: bytes) -> Address:
        from catenet.net.target import host_and_port
        from catenet.wire.address import format_address

        return Address(f"{self._scheme}://{host_and_port(format_address(data), self._port)}")

    def _note_failure(self, step: Step, address: Address, place: str, error: OSError) -> None:
        self._dead.add(address.url)
        text = reason(error)
        if text.endswith(_UNREACHABLE):
            self._dead.add("6" if "[" in address.url else "4")
        for known in (f"cannot connect to {address.url}: ", f"{address.url}: ", f" from {address.url}"):
            text = text.replace(known, "")
        step.failures.append(f"{place}: {text}")

    async def _query(self, ask: Ask, address: Address, question: Question) -> Reply:
        """One query without recursion. Raises OSError."""
        from catenet.dns.client import Query
        from catenet.wire.dns.edns import DNSSEC_OK, Edns

        self._queries += 1
        if self._queries > MOST_QUERIES:
            raise OSError(f"more than {MOST_QUERIES} queries")
        query = Query(question, 0, Edns(ask.options.bufsize, DNSSEC_OK), cookies=True)
        return await self._session.ask_at(address, query, ask.options)

    # Signatures.

    async def _check_zone(self, ask: Ask, zone: bytes) -> Finding | None:
        """What the keys of a zone are worth."""
        from catenet.wire.dns.message import Question
        from catenet.wire.dns.numbers import DNSKEY

        if self._anchors is None:
            return None
        question = Question(zone, DNSKEY)
        step = await self._ask_zone(ask, zone, question, 1)
        return (
            Finding("indeterminate", "; ".join(step.failures)) if step.reading is None else await self.judge(ask, step)
        )

    async def judge(self, ask: Ask, step: Step) -> Finding:
        """Validate what a step has brought."""
        from catenet.dns.dnssec import KeyCache, ValidationContext, validate
        from catenet.dns.response import Response
        from catenet.wire.dns.numbers import SERVFAIL

        if self._anchors is None or step.reading is None:
            return Finding("indeterminate", self._problem)
        self._keys = self._keys or KeyCache()
        context = ValidationContext(self._anchors, time.time(), self._keys)
        steps = validate(_validated(step), step.reading.response, context)
        response: Response | None = None
        begun = asyncio.get_running_loop().time()
        while True:
            try:
                question = next(steps) if response is None else steps.send(response)
            except StopIteration as end:
                verdict = end.value
                break
            asked = await self._ask_zone(ask, self._closest(question), question, 1)
            response = Response(rcode=SERVFAIL) if asked.reading is None else asked.reading.response
            if question.name == ROOT and not self._is_private and not knows_root_key(self._anchors, response):
                self._anchors, self._problem = None, OTHER_ROOT
                return Finding("indeterminate", OTHER_ROOT)
        return Finding(
            verdict.security.value,
            verdict.reason,
            proof=list(verdict.proof.lines()) if self._with_proof else (),
            seconds=asyncio.get_running_loop().time() - begun,
            queries=context.budget.questions,
        )


def _place(address: Address, host: Host) -> str:
    from catenet.wire.dns.name import name_to_text

    return f"{address.url} ({name_to_text(host.name)})"


def _by_turns(addresses: Sequence[bytes]) -> Iterator[bytes]:
    """Of both versions of IP in turn (RFC 8305 4)."""
    from catenet.net.dial import interleave

    yield from interleave(list(addresses), [len(one) == 16 for one in addresses])


def _validated(step: Step) -> Question:
    """What of an answer is validated: of one that leads elsewhere, the alias."""
    from catenet.dns.resolver.reading import Kind
    from catenet.wire.dns.numbers import CNAME, DNAME

    reading = step.reading
    assert reading is not None
    first = reading.response.answer[0] if reading.response.answer else None
    if reading.kind is not Kind.ALIAS or first is None:
        return step.question
    return step.question._replace(name=first.name, type=DNAME if first.type == DNAME else CNAME)
