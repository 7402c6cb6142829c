"""Iteration: from the closest known servers down to those that have the answer (RFC 1034 5.3.3)."""

from __future__ import annotations

from typing import Final

from catenet.dns.resolver.config import AuthZone, ForwardZone, StubZone
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.delegation import (
    Delegation,
    cached_delegation,
    configured_zone,
    from_referral,
    from_settings,
    hints,
)
from catenet.dns.resolver.exchange import exchange
from catenet.dns.resolver.keeping import keep_answer, keep_referral
from catenet.dns.resolver.minimise import Minimiser
from catenet.dns.resolver.reading import Kind, Reading, read_answer
from catenet.dns.resolver.servers import ServerState
from catenet.dns.resolver.steps import Ask, AskAny, Failure, Start, Steps, ask, ask_any
from catenet.dns.response import ExtendedError, Response, Security
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, fold, is_below, parent
from catenet.wire.dns.numbers import CNAME, DS, NOERROR, NS, NSEC, NSEC3, NXDOMAIN, SERVFAIL, SOA, A, rcode_to_text
from catenet.wire.dns.stub import Server

__all__ = ["Iteration"]

NO_REACHABLE_AUTHORITY: Final = 22
NETWORK_ERROR: Final = 23
"""Extended errors (RFC 8914)."""
REFUSALS: Final = 3
"""What an error counts for, of the attempts that a server has: it will hardly say something else soon."""


class Iteration:
    """One question, asked down from the closest known zone. `run` returns what the last server said, cleaned."""

    def __init__(self, context: Context, request: Ask) -> None:
        self._context = context
        self._request = request
        self._question = request.question
        self._ignored: set[bytes] = set()
        """Zones of the settings whose servers have failed."""
        self._asked_again: set[bytes] = set()
        """Zones whose parents were asked again for their servers."""
        self._attempts: dict[Server, int] = {}
        self._sends = 0
        self._seen: list[str] = []
        """What went wrong, for people."""
        self._last_resort: dict[Server, None] = {}
        """Servers that answer from a cache only."""
        self.delegation = Delegation(ROOT)
        self._minimiser = Minimiser(self._question, wanted=False)
        self._vague: Reading | None = None
        """A denial of a DS set that may be the child's own."""

    def run(self) -> Steps[Reading]:
        """Iterate. Raises Failure."""
        context = self._context
        self._enter((yield from self._locate(self._request.zone)))
        for _ in range(context.config.max_referrals):
            reading = yield from self._ask_zone()
            if reading is None and self._vague is not None:
                return self._vague
            if reading is None:
                yield from self._retreat()
            elif reading.kind is Kind.REFERRAL:
                self._descend(reading)
            else:
                return reading
        raise Failure("too many referrals")

    # Where to ask.

    def _locate(self, above: bytes | None = None) -> Steps[Delegation]:
        """The closest zone that is known; `above`: of those above that zone."""
        context, name = self._context, self._question.name
        if self._request.prime:
            return hints(context)
        if self._question.type == DS and name != ROOT:
            name = parent(name)  # a DS set is in the zone above its owner (RFC 4035 3.1.4.1)
        if above is not None:
            name = parent(above)
        settings = configured_zone(context, name, self._ignored)
        cached = cached_delegation(context, name, self._request.ahead)
        if (
            settings is not None
            and not _is_hints(settings)
            and (cached is None or isinstance(settings, ForwardZone) or len(settings.name) >= len(cached.zone))
        ):
            return (yield from self._configured(settings))
        if cached is None:
            yield from self._prime(ROOT)
            cached = cached_delegation(context, name, self._request.ahead) or hints(context)
        return cached

    def _configured(self, settings: ForwardZone | StubZone | AuthZone) -> Steps[Delegation]:
        context = self._context
        if isinstance(settings, StubZone) and settings.prime and self._question != Question(settings.name, NS):
            cached = context.cache.peek(settings.name, NS, context.now)
            if cached is None:
                yield from ask(Ask(Question(settings.name, NS), self._request.work, depth=self._request.depth + 1))
            found = cached_delegation(context, settings.name)
            if found is not None and found.zone == settings.name:
                return found
        return from_settings(context, settings)

    def _prime(self, zone: bytes) -> Steps[None]:
        """Learn the servers of the root from one of those that we are told of (RFC 9609)."""
        if self._context.config.prime:
            request = Ask(Question(zone, NS), self._request.work, depth=self._request.depth, prime=True)
            yield from ask(request)

    def _enter(self, delegation: Delegation) -> None:
        self.delegation = delegation
        self._last_resort = {}
        wanted = self._context.config.minimise and not delegation.recursive
        self._minimiser = Minimiser(self._question, wanted, below=delegation.zone, before=self._minimiser)

    def _descend(self, reading: Reading) -> None:
        context, before = self._context, self.delegation
        servers, expires = keep_referral(context, reading, before, self._request.ahead)
        self._enter(from_referral(context, servers, expires, reading.response.additional))
        settings = configured_zone(context, self._question.name, self._ignored)
        if settings is None or settings is before.settings or not is_below(settings.name, reading.zone):
            return
        if self._question.type != DS or settings.name != self._question.name:
            self._enter(from_settings(context, settings))

    def _retreat(self) -> Steps[None]:
        """No server of the zone answers: ask its parent for others, or pass the settings over that led here."""
        if self._request.avoid:
            raise Failure("no other server", keep=False)
        if self.delegation.add_parent_side(self._context):
            return
        zone, settings = self.delegation.zone, self.delegation.settings
        first = isinstance(settings, ForwardZone | StubZone) and settings.first
        if first or (isinstance(settings, AuthZone) and settings.fallback):
            self._ignored.add(zone)
            self._enter((yield from self._locate()))
        elif settings is None and zone != ROOT and not self.delegation.is_fresh and zone not in self._asked_again:
            self._asked_again.add(zone)
            self._enter((yield from self._locate(above=zone)))
        else:
            raise self._failure()

    def _failure(self) -> Failure:
        code = NETWORK_ERROR if self._seen else NO_REACHABLE_AUTHORITY
        words = "; ".join(dict.fromkeys(self._seen)) or "no server of the zone has an address"
        return Failure(words, [ExtendedError(NO_REACHABLE_AUTHORITY if code else code, "")])

    # Asking the servers of one zone.

    def _ask_zone(self) -> Steps[Reading | None]:
        """What a server of the zone says that leads on; None if none does."""
        while True:
            self._skip_known()
            question = self._minimiser.question
            got = yield from self._ask_one(question)
            if got is None:
                return None
            server, response = got
            reading = read_answer(
                question,
                response,
                self.delegation.zone,
                recursive=self.delegation.recursive or server in self._last_resort,
                strip=self._context.without_private,
                any_glue=not self._context.config.harden_glue,
            )
            if not self._is_useful(reading, server, question.type):
                continue
            if question == self._question and self._is_from_the_child(reading):
                self._minimiser = Minimiser(self._question, True, below=self.delegation.zone)
                continue
            if question == self._question or reading.kind is Kind.REFERRAL:
                if server is not None and reading.kind is not Kind.REFERRAL:
                    self._context.note_source(question, server)
                return reading
            if reading.response.rcode == NXDOMAIN and reading.kind is Kind.NEGATIVE:
                if (yield from self._is_final_denial(question, reading)):
                    return reading
                self._minimiser.stop()
            else:
                keep_answer(self._context, question, reading, self.delegation)
                self._minimiser.advance()

    def _skip_known(self) -> None:
        """Do not ask for names above when it is known that they are no zones of their own."""
        context = self._context
        while (question := self._minimiser.question) != self._question:
            known = context.cache.find(question.name, question.type, context.now)
            if known is None:
                return
            if known.rcode == NOERROR:
                self._minimiser.advance()
            else:
                self._minimiser.stop()

    def _is_from_the_child(self, reading: Reading) -> bool:
        """Whether a server of the parent and of the child denies a DS set as the child (RFC 4035 3.1.4.1).

        Then the parent is looked for label by label, once: a zone between may be served elsewhere. If that leads
        nowhere, the denial stands.
        """
        name, response = self._question.name, reading.response
        if self._question.type != DS or self._vague is not None or reading.kind not in (Kind.NEGATIVE, Kind.ALIAS):
            return False
        owners = {fold(one.name) for one in response.authority if one.type == SOA}
        is_vague = not response.answer and not any(one.type in (SOA, NSEC, NSEC3) for one in response.authority)
        if name in owners or reading.kind is Kind.ALIAS or is_vague:
            self._vague = reading
        return self._vague is not None

    def _is_final_denial(self, question: Question, reading: Reading) -> Steps[bool]:
        """Whether a name above does not exist indeed: many servers say so of names without data of their own.

        Those of signed zones are taken at their word, when that is secure (RFC 9156 2.3, RFC 8020).
        """
        context = self._context
        if context.config.minimise_strict:
            return True
        is_signed = any(one.signatures for one in reading.response.authority)
        if not (context.validates and context.config.harden_below_nxdomain and is_signed):
            return False
        keep_answer(context, question, reading, self.delegation)
        request = Ask(question, self._request.work, checked=True, depth=self._request.depth + 1)
        response = yield from ask(request)
        return response.rcode == NXDOMAIN and response.security is Security.SECURE

    def _is_useful(self, reading: Reading, server: Server | None, kind: int) -> bool:
        """Whether it leads on; if not, the server is asked less."""
        if reading.kind not in (Kind.LAME, Kind.USELESS, Kind.RECURSION_LAME):
            return True
        if server is None:
            self._count(Server(b""))
            return False
        if reading.kind is Kind.LAME:
            self._context.servers.mark_lame(server, self._lame_key(kind), self._context.now)
            self._seen.append("a server does not serve the zone")
        elif reading.kind is Kind.RECURSION_LAME:
            self._last_resort[server] = None
        else:
            self._count(server, REFUSALS)
            self._seen.append(f"a server answers {rcode_to_text(reading.response.rcode)}")
            self._minimiser.stop()
        return False

    def _ask_one(self, question: Question) -> Steps[tuple[Server | None, Response] | None]:
        """The next answer of any server of the zone, None when all have failed."""
        settings = self.delegation.settings
        if isinstance(settings, AuthZone):
            return self._ask_copy(settings, question)
        while True:
            server = yield from self._pick()
            if server is None:
                return None
            if self._sends >= self._context.config.max_sends_per_name:
                raise Failure("too many messages for one name", self._failure().errors)
            self._sends += 1
            got = yield from exchange(
                self._context,
                server,
                question,
                self._request.work,
                recursive=self.delegation.recursive or server in self._last_resort,
                tls=isinstance(settings, ForwardZone) and settings.tls is not None,
            )
            if isinstance(got, Response):
                return server, got
            self._count(server)
            self._seen.append(f"a server is silent ({got})" if got == "timeout" else f"a server fails ({got})")
            if got == "timeout" and self._attempts[server] >= 2:
                self._minimiser.stop()

    def _ask_copy(self, settings: AuthZone, question: Question) -> tuple[Server | None, Response] | None:
        """The answer of our copy of the zone."""
        zone = self._context.copies.get(settings.name)
        if zone is None or Server(b"") in self._attempts:
            return None
        response = zone.answer(question, True)
        return None if response.rcode == SERVFAIL else (None, response)

    def _pick(self) -> Steps[Server | None]:
        """The server to ask next; names are looked up when no address is left."""
        context, config = self._context, self._context.config
        yield from self._look_ahead()
        while True:
            self.delegation.look(context)
            usable = self._usable()
            if usable:
                return context.servers.choose(usable, context.now)
            asks = self._missing(config.parallel_targets)
            if not asks:
                if self._last_resort:
                    return next((one for one in self._last_resort if self._has_attempts(one)), None)
                return None
            self._learn((yield from ask_any(AskAny(tuple(asks)))), asks)

    def _usable(self) -> list[tuple[Server, int]]:
        context, lame = self._context, self._lame_key(self._minimiser.question.type)
        found = []
        for server in self.delegation.servers:
            state, attempts = context.servers.state(server, context.now), self._attempts.get(server, 0)
            if attempts >= self._allowed(state) or server in self._last_resort or server in self._request.avoid:
                continue
            if state.lame and not self.delegation.recursive and state.is_lame(lame, context.now):
                continue
            found.append((server, attempts))
        return found

    def _lame_key(self, kind: int) -> bytes:
        return self.delegation.zone + (b"A" if kind == A else b"*")

    def _has_attempts(self, server: Server) -> bool:
        state = self._context.servers.state(server, self._context.now)
        return self._attempts.get(server, 0) < self._allowed(state)

    def _allowed(self, state: ServerState) -> int:
        """How often a server may be sent this question."""
        return 1 if state.is_down else self._context.config.max_sends_per_server

    def _count(self, server: Server, attempts: int = 1) -> None:
        self._attempts[server] = self._attempts.get(server, 0) + attempts

    def _missing(self, most: int) -> list[Ask]:
        """Questions for addresses of servers, of a few names at a time (NXNSAttack)."""
        config, work, depth = self._context.config, self._request.work, self._request.depth
        if depth + 1 >= len(config.extra_targets) or self.delegation.failed_names > config.max_failed_targets:
            return []
        missing = self.delegation.missing(self._context)
        if self._request.avoid:  # another server is wanted, not another address of the same
            missing = [one for one in missing if one[0] not in self.delegation.located]
        asks: list[Ask] = []
        for name, kinds in missing[:most]:
            if work.targets >= config.max_targets:
                self._seen.append("too many names of servers")
                break
            work.targets += 1
            asks += [Ask(Question(name, kind), work, depth=depth + 1) for kind in kinds]
        return asks

    def _learn(self, answers: list[tuple[Question, Response]], asks: list[Ask]) -> None:
        """Take addresses of servers that were looked for. No answers: all questions would wait for this one."""
        delegation = self.delegation
        found = answers or [(one.question, Response(SERVFAIL)) for one in asks]
        for question, response in found:
            delegation.resolved.add((question.name, question.type))
            before = len(delegation.servers)
            for one in response.answer:
                if one.type == question.type:
                    delegation.add(self._context, question.name, one.data)
                elif one.type == CNAME:
                    self._add_name(fold(one.data[0]))
            if len(delegation.servers) == before:
                delegation.failed_names += response.rcode != NOERROR

    def _add_name(self, name: bytes) -> None:
        """Look for the addresses of an alias of a server: forbidden (RFC 2181 10.3), but met."""
        names = self.delegation.names
        if name not in names and len(names) < self._context.config.max_server_names:
            names.append(name)

    def _look_ahead(self) -> Steps[None]:
        """Look for more servers than are needed now, if the settings want that."""
        extra = self._context.config.extra_targets
        depth = self._request.depth
        wanted = extra[depth] if depth < len(extra) else 0
        if wanted and not self.delegation.recursive and not self.delegation.settings:
            for one in self._missing(wanted):
                key = (one.question.name, one.question.type)
                if key not in self.delegation.sought:
                    self.delegation.sought.add(key)
                    yield Start(one)


def _is_hints(settings: ForwardZone | StubZone | AuthZone) -> bool:
    """A stub of the root takes the place of the hints."""
    return isinstance(settings, StubZone) and settings.name == ROOT
