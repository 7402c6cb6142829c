"""From a query to its answer: access, EDNS, cookies, kept answers, local data, zones, recursion.

No I/O: time comes in, what has to wait for other servers is handed to a `Backend`, which calls back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from catenet.dns.options import COOKIE, KEEPALIVE, NSID
from catenet.dns.response import DROPPED, ExtendedError, Response, Security
from catenet.dns.server.access import Access, Action, NetworkTable, Verdict, network
from catenet.dns.server.chaos import chaos
from catenet.dns.server.cookies import Cookies, CookieState
from catenet.dns.server.counters import Counters
from catenet.dns.server.fast.answers import Answers, Entry
from catenet.dns.server.fast.form import Forms
from catenet.dns.server.fast.forward import ForwardTable
from catenet.dns.server.reply import assemble, entry_of
from catenet.dns.server.request import UDP, Request, Stream, Transport, read_request
from catenet.dns.server.settings import CookiePolicy, ServerSettings
from catenet.dns.zone.tsig import TsigKey, signed_request
from catenet.wire.dns.message import Question
from catenet.wire.dns.numbers import ANY, CH, IN, NOERROR, NXDOMAIN, QUERY, REFUSED, SERVFAIL, TSIG
from catenet.wire.errors import Malformed

__all__ = ["DESIGNATED", "PENDING", "Backend", "Chain", "Handler", "Source"]

DESIGNATED: Final = b"\4_dns\x08resolver\4arpa"
"""What queries for designations have in them, folded: the exact path does not forward them."""
PENDING: Final = b""
NOTHING: Final = b""
"""As an answer that was waited for: the client gets none."""
FORMERR: Final = 1
NOTIMP: Final = 4
BADVERS: Final = 16
BADCOOKIE: Final = 23
LARGEST: Final = 65_535
TSIG_ROOM: Final = 200
"""Bytes of an answer's signature; a name of a key that is longer makes the datagram longer."""
PROHIBITED: Final = 18
NOT_AUTHORITATIVE: Final = 20
CACHED: Final = (NOERROR, NXDOMAIN)
SPOILT: Final = frozenset((41, 250))
"""Types that only the additional section has: OPT, TSIG."""
UNSUPPORTED: Final = frozenset((249, 253, 254))
"""TKEY, MAILB, MAILA."""
TRANSFERS: Final = frozenset((251, 252))


class Source(Protocol):
    """Zones, or local data: what is known here."""

    def answer(self, question: Question, dnssec_ok: bool = False, *, every_type: bool = False) -> Response:
        """Answer as an authority; REFUSED for what is not known here."""


class Backend(Protocol):
    """What finds out what is not known here."""

    def ask(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        """Find an answer, and call `done` once with it, or with an entry that is kept already."""

    def arm(self) -> None:
        """Something was asked in the exact path: see to its deadline."""

    @property
    def is_personal(self) -> bool:
        """Whether answers depend on who asks, and over what, so that they are for one client only."""


class Handler(Protocol):
    """What takes requests of another opcode, or for whole zones."""

    def __call__(self, request: Request) -> bytes | None:
        """Return the answer, PENDING if it comes by `Request.respond`, None for none."""


class Chain:
    """Answers queries.

    Attributes:
        sources: local data, zones, in their order.
        backend: for the rest, None: there is no recursion.
        keys: what requests may be signed with.
        handlers: by opcode, and transfers by `TRANSFER`.
        exact: forwards plain queries of datagrams, where nothing is known here; None: it has to be looked for.
        recursive: the answers kept for clients that may ask for recursion.
        forms: of datagrams' queries.
        counters: what has been counted.
        now: whole seconds, set by `tick`.
    """

    TRANSFER: Final = -1

    def __init__(
        self,
        settings: ServerSettings,
        sources: list[Source],
        backend: Backend | None,
        wall: Callable[[], float],
        counters: Counters | None = None,
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.backend = backend
        self.handlers: Mapping[int, Handler] = {}
        self.keys: Mapping[bytes, TsigKey] = {}
        self.counters = counters or Counters()
        self.access = Access(settings.actions, settings.recursion if backend is not None else ())
        self.exact: ForwardTable | None = None
        self._wall = wall
        self._cookies = Cookies(settings.cookie_secrets) if settings.cookies is not CookiePolicy.OFF else None
        self._pending: dict[bytes, list[Request]] = {}
        self.forms = forms = Forms(settings.udp_payload, settings.udp_payload)
        self.stream_forms = Forms(LARGEST, settings.udp_payload, stream=True)
        memo_room = settings.cache_bytes // 4
        self.recursive = Answers(forms, settings.cache_bytes - memo_room, memo_room)
        self._plain = Answers(forms, settings.cache_bytes - memo_room, memo_room)
        self._quiet: Callable[[], object] | None = None
        self._views: NetworkTable[Chain] | None = None
        self._all_views: tuple[Chain, ...] = ()
        self.now = 0
        self.generation = 0

    def use_backend(self, backend: Backend, exact: ForwardTable | None = None) -> None:
        """Let a backend that fills our answers find out what is not known here."""
        self.backend = backend
        self.exact = None if self.sources else exact
        self.access = Access(self.settings.actions, self.settings.recursion)

    def designate(self, source: Source) -> None:
        """Let what says where this server is to be asked with encryption be known before all else, in all views."""
        for chain in (self, *self._all_views):
            chain.sources.insert(0, source)  # the exact path passes over such questions (`DESIGNATED`)
            chain.forget()

    def use_views(self, views: Mapping[str, Chain]) -> None:
        """Let the clients of these networks be answered by chains of their own; the longest prefix counts."""
        self._all_views = tuple({id(one): one for one in views.values()}.values())
        self._views = NetworkTable({network(text): one for text, one in views.items()}) if views else None

    # For the transports.

    def tick(self, now: float) -> None:
        """It is `now`, in seconds of a clock that never goes back."""
        self.now = int(now)
        self.recursive.tick(self.now)
        self._plain.tick(self.now)
        for view in self._all_views:
            view.tick(now)

    def lane(self, address: str) -> Answers | None:
        """The answers kept for a client, None for one that does not get any so."""
        view = None if self._views is None else self._views.find_text(address)
        if view is not None:
            return view.lane(address)
        if self.settings.cookies is CookiePolicy.REQUIRED:
            return None
        return self._lane(self.access.verdict(address))

    @property
    def only_lane(self) -> Answers | None:
        """The answers kept for all clients, None: it depends on the client."""
        verdict = self.access.uniform if self._views is None else None
        return None if verdict is None or self.settings.cookies is CookiePolicy.REQUIRED else self._lane(verdict)

    def _lane(self, verdict: Verdict) -> Answers | None:
        if verdict.action is not Action.ALLOW:
            return None
        return self.recursive if verdict.recursion and self.backend is not None else self._plain

    def forget(self) -> None:
        """Zones, local data or settings are others now: what was kept may be wrong."""
        self.recursive.clear()
        self._plain.clear()
        self.generation += 1
        for view in self._all_views:
            view.forget()

    @property
    def pending(self) -> int:
        """Questions that wait for other servers."""
        return len(self._pending) + sum(view.pending for view in self._all_views)

    def when_quiet(self, call: Callable[[], object]) -> None:
        """Call when no question waits any more, which may be now."""
        self._quiet = call
        for view in self._all_views:
            view.when_quiet(self._look_quiet)
        self._look_quiet()

    def _look_quiet(self) -> None:
        if self._quiet is not None and not self.pending:
            self._quiet()

    def receive(
        self,
        data: bytes,
        transport: Transport,
        address: str,
        port: int,
        respond: Callable[[bytes], None],
        stream: Stream | None = None,
    ) -> bytes | None:
        """Answer a message; None: there is no answer; PENDING: it comes by `respond` or `stream`, NOTHING for none.

        Nothing that comes raises.
        """
        view = None if self._views is None else self._views.find_text(address)
        if view is not None:
            return view.receive(data, transport, address, port, respond, stream)
        verdict = self.access.verdict(address)
        if verdict.action is Action.DROP:
            self.counters.add("dropped_by_access")
            return None
        request = read_request(data, transport, address, port, respond)
        if request is None or isinstance(request, bytes):
            self.counters.add("malformed")
            return request if verdict.action is Action.ALLOW else None
        request.stream = stream
        request.set_limit(self.settings.udp_payload if transport is UDP else LARGEST)
        if verdict.action is Action.REFUSE:
            self.counters.add("refused_by_access")
            return self.error(request, REFUSED, PROHIBITED)
        refused = self._read_signature(request)
        return self._checked(request, verdict) if refused is None else refused

    # Steps.

    def _read_signature(self, request: Request) -> bytes | None:
        """Check a signature; what is returned is the answer to a wrong one (RFC 8945 5.2)."""
        additional = request.message.additional
        if not additional or additional[-1].type != TSIG:
            return None
        try:
            signed = signed_request(request.message, self.keys, self._wall())
        except Malformed:
            return self.error(request, FORMERR)
        request.signed = signed
        request.limit -= TSIG_ROOM
        return None if signed is None or not signed.error else self.error(request, signed.rcode)

    def _checked(self, request: Request, verdict: Verdict) -> bytes | None:
        """Opcode, EDNS, cookies; then the question."""
        opcode = request.message.opcode
        if request.edns is not None and request.edns.version:
            return self.error(request, BADVERS)
        refused = self._read_options(request)
        if refused is not None:
            return refused
        question = request.question
        if opcode != QUERY:
            handler = self.handlers.get(opcode)
            return self.error(request, NOTIMP) if handler is None else handler(request)
        if question is None:
            # A client may ask for nothing but a cookie (RFC 7873 5.4).
            return self.error(request, FORMERR if request.option(COOKIE) is None else NOERROR)
        if len(question.name) + 4 != request.message.questions_end - 12 or question.type in SPOILT:
            return self.error(request, FORMERR)
        if question.rclass != IN:
            response = chaos(question, self.settings) if question.rclass == CH else Response(REFUSED)
            return self.send(request, response)
        if question.type in UNSUPPORTED:
            return self.error(request, NOTIMP)
        if question.type in TRANSFERS:
            handler = self.handlers.get(self.TRANSFER)
            return self.error(request, REFUSED) if handler is None else handler(request)
        return self._answer(request, question, verdict)

    def _read_options(self, request: Request) -> bytes | None:
        """Note what the options of a query want in the answer; returns the answer if that is all it gets."""
        if request.edns is None:
            return self._without_cookie(request)
        if self.settings.nsid and request.option(NSID) is not None:
            request.options.append((NSID, self.settings.nsid))
        kept = request.option(KEEPALIVE)
        if kept is not None and request.transport.verified:
            if kept:
                return self.error(request, FORMERR)
            request.options.append((KEEPALIVE, int(self.settings.idle_timeout * 10).to_bytes(2, "big")))
        if self._cookies is None:
            return None
        state, answer = self._cookies.check(request.option(COOKIE), request.address, int(self._wall()))
        if state is CookieState.MALFORMED:
            return self.error(request, FORMERR)
        if answer:
            request.options.append((COOKIE, answer))
        if state is CookieState.NONE:
            return self._without_cookie(request)
        if state is CookieState.CLIENT and self._demands_cookie(request):
            self.counters.add("bad_cookies")
            return self.error(request, BADCOOKIE)
        return None

    def _demands_cookie(self, request: Request) -> bool:
        return self.settings.cookies is CookiePolicy.REQUIRED and not request.transport.verified

    def _without_cookie(self, request: Request) -> bytes | None:
        """Where cookies are required a datagram without one is told to come by TCP, which proves as much."""
        if not self._demands_cookie(request):
            return None
        self.counters.add("bad_cookies")
        return self.send(request, Response(truncated=True))

    def _answer(self, request: Request, question: Question, verdict: Verdict) -> bytes | None:
        recursion = verdict.recursion and self.backend is not None
        answers = self.recursive if recursion else self._plain
        every_type = question.type == ANY and request.transport.verified
        key = request.key(question)
        entry = None if every_type else answers.find(key)
        if entry is not None:
            return self._assembled(request, answers, entry)
        for source in self.sources:
            response = source.answer(question, request.dnssec_ok, every_type=every_type)
            if response.rcode != REFUSED:
                entry = self._entry(request, question, response, recursion, lasting=True)
                if not every_type and not response.errors:
                    answers.insert(key, entry)
                return self._finish(request, answers, entry, response)
        if recursion and request.recursion_desired:
            return self._recurse(request, question, key)
        return self.error(request, REFUSED, NOT_AUTHORITATIVE if self.backend is None else PROHIBITED)

    def _recurse(self, request: Request, question: Question, key: bytes) -> bytes:
        """Ask the backend; questions that are equal wait together."""
        assert self.backend is not None
        if self.backend.is_personal:
            key += f"{request.transport.name} {request.address}".encode()
        waiting = self._pending.get(key)
        if waiting is not None:
            self.counters.add("recursive_joined")
            if len(waiting) < self.settings.most_pending:
                waiting.append(request)
            return PENDING
        if len(self._pending) >= self.settings.most_pending:
            self.counters.add("recursive_refused")
            return self.error(request, SERVFAIL)
        self.counters.add("recursive")
        self._pending[key] = [request]
        self.backend.ask(request, question, partial(self._answered, key, question, self.generation))
        return PENDING

    def _answered(self, key: bytes, question: Question, generation: int, found: Response | Entry) -> None:
        waiting = self._pending.pop(key, [])
        answers = self.recursive
        response = Response() if isinstance(found, Entry) else found
        if response.rcode == DROPPED:
            self.counters.add("dropped_by_policy")
        entry = found if isinstance(found, Entry) else None
        for request in waiting:
            if response.rcode == DROPPED:
                request.respond(NOTHING)
                continue
            if entry is None:
                # A policy may want NXDOMAIN without RA, as its sign.
                recursion = response.recursion or response.rcode != NXDOMAIN
                entry = self._entry(request, question, response, recursion, lasting=False)
                if generation == self.generation and self._is_for_all(response):
                    answers.insert(key, entry)
            request.respond(self._finish(request, answers, entry, response))
        self._look_quiet()

    def _is_for_all(self, response: Response) -> bool:
        """Whether an answer may be kept, and given to others."""
        if response.rcode not in CACHED or response.errors or response.security is Security.BOGUS:
            return False
        return self.backend is not None and not self.backend.is_personal

    # Answers.

    def _entry(
        self, request: Request, question: Question, response: Response, recursion: bool, *, lasting: bool
    ) -> Entry:
        return entry_of(
            response,
            question,
            self.now,
            with_signatures=request.dnssec_ok,
            recursion=recursion,
            lasting=lasting,
        )

    def _finish(self, request: Request, answers: Answers, entry: Entry, response: Response) -> bytes:
        for error in response.errors:
            request.options.append(error.option)
        return self._assembled(request, answers, entry, response.rcode)

    def _assembled(self, request: Request, answers: Answers, entry: Entry, rcode: int = 0) -> bytes:
        reply = assemble(request, answers, entry, self.settings.udp_payload, rcode)
        return reply if request.signed is None else request.signed.sign(reply, self._wall())

    def send(self, request: Request, response: Response) -> bytes:
        """The answer that is a response which is not kept."""
        recursion = self.backend is not None and self.access.verdict(request.address).recursion
        question = request.question or Question(b"\0", 0)
        entry = self._entry(request, question, response, recursion, lasting=True)
        return self._finish(request, self._plain, entry, response)

    def error(self, request: Request, rcode: int, extended: int | None = None) -> bytes:
        """The answer that says nothing but what is wrong."""
        errors = [] if extended is None else [ExtendedError(extended)]
        return self.send(request, Response(rcode, errors=errors))
