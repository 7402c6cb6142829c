"""Our resolver as a scenario sees it."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Sequence
from typing import Final

from catenet.dns.master.writer import lines_of
from catenet.dns.resolver.client import Client as Asker
from catenet.dns.resolver.core import Exchange, Resolver
from catenet.dns.response import DROPPED, ExtendedError, Response, pack_response
from catenet.dns.server.access import Action
from catenet.dns.zone import Zone
from catenet.dns.zone.secondary import Secondary
from catenet.testing.rpl.deckard import setup_deckard
from catenet.testing.rpl.managed import ManagedAnchors
from catenet.testing.rpl.setup import Setup
from catenet.testing.rpl.subject import Client
from catenet.testing.rpl.syntax import Dialect, Scenario
from catenet.testing.rpl.unbound import setup_unbound
from catenet.wire.dns.edns import DNSSEC_OK
from catenet.wire.dns.message import Message, parse
from catenet.wire.dns.numbers import CD, QUERY, RD, REFUSED
from catenet.wire.errors import Malformed

__all__ = ["ResolverSubject", "make_subject"]

_SEED: Final = 5
"""Any number: the same scenario goes the same way each time."""
PROHIBITED: Final = 18
"""Extended error (RFC 8914 4.19)."""
_LEAST_PAYLOAD: Final = 512
_STREAM: Final = 65_535


class ResolverSubject:
    """Implements `Subject` by the resolver's core alone; queries that are none get no answer."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        rng = random.Random(_SEED)
        self._managed = ManagedAnchors(setup.anchor_files, setup.anchors, setup.policy, rng)
        anchors = setup.anchors if setup.validating else None
        kept = {one.name: one.zone for one in setup.config.auth_zones if isinstance(one.zone, Zone)}
        secondaries = [
            Secondary(zone, primaries, rng, setup.wall, zone=kept.get(zone))
            for zone, primaries in setup.primaries.items()
        ]
        self._resolver = Resolver(
            setup.config,
            rng,
            setup.wall,
            anchors=anchors,
            policy=setup.policy,
            keeper=self._managed.keeper,
            secondaries=secondaries,
        )
        self._open: dict[int, tuple[Client, Message]] = {}
        self._ready: list[tuple[Client, bytes]] = []
        self._notes: list[str] = []

    def ask(self, client: Client, data: bytes, now: float) -> None:
        """A client's message has come."""
        try:
            query = parse(data)
            question, edns = query.question, query.edns
        except Malformed:
            return
        if question is None or query.opcode != QUERY:
            return
        where = str(ipaddress.ip_address(client.address))
        verdict = self._setup.access.verdict(where)
        if verdict.action is not Action.ALLOW:
            if verdict.action is Action.REFUSE:
                refused = Response(REFUSED, errors=self._errors(PROHIBITED))
                self._ready.append((client, _packed(refused, client, query)))
            return
        ticket = self._resolver.ask(
            question,
            now,
            dnssec_ok=edns is not None and bool(edns.flags & DNSSEC_OK),
            checking_disabled=bool(query.flags & CD),
            recursion=bool(query.flags & RD),
            client=Asker(client.address, client.transport),
        )
        self._open[ticket] = client, query

    def replies(self, now: float) -> Iterable[tuple[Client, bytes]]:
        """Messages to clients that are ready."""
        found, self._ready = self._ready, []
        while (event := self._resolver.next_event()) is not None:
            client, query = self._open.pop(event.ticket)
            self._notes.append(_verdict(event.response))
            if event.response.rcode != DROPPED:
                found.append((client, _packed(event.response, client, query)))
        return found

    def _errors(self, code: int) -> list[ExtendedError]:
        return [ExtendedError(code)] if self._setup.config.extended_errors else []

    def notes(self) -> Iterable[str]:
        """What it has to say of its answers."""
        notes, self._notes = self._notes, []
        return notes

    def transmit(self, now: float) -> Sequence[Exchange]:
        """Exchanges that begin."""
        return self._resolver.transmit(now)

    def finished(self) -> Iterable[int]:
        """Tokens of exchanges that are of no more interest."""
        return self._resolver.finished()

    def receive(self, token: int, data: bytes, now: float) -> None:
        """An answer to an exchange has come."""
        self._resolver.receive(token, data, now)

    def fail(self, token: int, now: float) -> None:
        """An exchange has failed: its server cannot be reached."""
        self._resolver.fail(token, now)

    def next_deadline(self) -> float | None:
        """When time does something by itself."""
        return self._resolver.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """That time has come."""
        self._resolver.handle_timeout(now)

    def anchor_file(self, name: str) -> str:
        """What the file of trust anchors of this name says now."""
        return self._managed.text(name)

    def zone_file(self, name: str) -> str:
        """What the zone file of this name says now."""
        zone = self._resolver.context.copies.get(self._setup.copy_files.get(name, b""))
        if isinstance(zone, Zone):
            return "".join("\t".join(line.split(" ", 4)) for line in lines_of(zone))
        return self._setup.zone_files.get(name, "")


def _packed(response: Response, client: Client, query: Message) -> bytes:
    edns = query.edns
    limit = _LEAST_PAYLOAD if edns is None else edns.payload
    return pack_response(response, query, edns, _STREAM if client.transport == "tcp" else limit)


def _verdict(response: Response) -> str:
    errors = "".join(f"; extended error {one.code} {one.text}".rstrip() for one in response.errors)
    return f"{response.security.value}{': ' * bool(response.reason)}{response.reason}{errors}"


def make_subject(scenario: Scenario) -> ResolverSubject:
    """The resolver that a scenario asks for. Raises Unsupported when there is none such."""
    setup = setup_deckard if scenario.dialect is Dialect.DECKARD else setup_unbound
    return ResolverSubject(setup(scenario.head))
