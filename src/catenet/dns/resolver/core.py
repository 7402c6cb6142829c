"""The resolver: questions in, messages out, messages in, answers out. It does no I/O and reads no clock."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from catenet.dns.dnssec import AnchorKeeper, Policy, TrustAnchors
from catenet.dns.exchange import Exchange
from catenet.dns.resolver.anchors import keep_anchors
from catenet.dns.resolver.cache import Cache
from catenet.dns.resolver.client import Client, ClientQuestion, answer_client
from catenet.dns.resolver.config import AuthZone, ResolverConfig
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.copies import Copies
from catenet.dns.resolver.exchange import cookie_of
from catenet.dns.resolver.resolve import resolve
from catenet.dns.resolver.steps import Ask, AskAny, AskWithin, Effect, Failure, Outcome, Pause, Send, Start
from catenet.dns.resolver.tasks import Deadline, Pending, Task, failed, leave, waits_for
from catenet.dns.resolver.validation import resolve_checked
from catenet.dns.resolver.vetting import vet_copy
from catenet.dns.response import DROPPED, Response
from catenet.dns.zone import Zone
from catenet.dns.zone.secondary import Secondary
from catenet.wire.dns.message import HEADER_LENGTH, Message, Question, parse_reply
from catenet.wire.dns.name import fold
from catenet.wire.dns.stub import answers
from catenet.wire.errors import Malformed

__all__ = ["Answered", "Exchange", "Resolver"]

_QUESTION_TAIL: Final = 4
"""Bytes of type and class."""
MOST_FORGED: Final = 5
"""Messages that answer something else than ours, before it is sent by TCP: somebody is guessing (RFC 5452 9.3)."""
TOO_MANY: Final = "too many questions at a time"


class Answered(NamedTuple):
    """A question has its answer; with the response code `DROPPED` nothing is to be said to the client."""

    ticket: int
    response: Response


class Resolver:
    """A recursive resolver, or a forwarder, as five verbs.

    After each call of a verb take what `transmit`, `next_event` and `finished` have, and call `handle_timeout` at
    `next_deadline`. `now` is in seconds of a clock that does not go back.

    Args:
        config: all knobs.
        rng: draws ids, the case of names and servers; for real use one that nobody can guess (`random.SystemRandom`).
        wall: makes seconds since 1970 of `now`, for the times of signatures.
        cache: one that others use too.
        anchors: what is trusted; without, nothing is validated.
        policy: settings of validation.
        keeper: follows the roll-over of trust anchors (RFC 5011).
        secondaries: keep the zones of `AuthZone` and `PolicyZone` that are fetched from their primaries.
    """

    def __init__(
        self,
        config: ResolverConfig,
        rng: random.Random,
        wall: Callable[[float], float],
        cache: Cache | None = None,
        anchors: TrustAnchors | None = None,
        policy: Policy | None = None,
        keeper: AnchorKeeper | None = None,
        secondaries: Sequence[Secondary] = (),
    ) -> None:
        self.context = Context(config, rng, wall, cache, anchors, policy)
        self._tickets = itertools.count(1)
        self._tokens = itertools.count(1)
        self._order = itertools.count(1)
        self._copies = Copies(self.context, secondaries, self._tokens, self._vet)
        self._running: dict[Ask, Task] = {}
        self._clients: dict[int, tuple[Task, float]] = {}
        """Tasks of clients' questions, and when they began."""
        self._pending: dict[int, Pending] = {}
        self._ready: deque[tuple[Task, object]] = deque()
        self._deadlines: list[Deadline] = []
        self._outgoing: list[Exchange] = []
        self._finished: list[int] = []
        self._events: deque[Answered] = deque()
        for one in config.auth_zones:
            if (zone := self.context.take_copy(one, one.zone)) is not None:
                self._vet(one, zone)
        if keeper is not None:
            task = Task(keep_anchors(self.context, keeper), None)
            task.alarm = self._set_deadline(0.0, task=task)

    def _vet(self, settings: AuthZone, zone: Zone) -> None:
        """Begin to validate a copy of a zone."""
        task = Task(vet_copy(self.context, settings, zone), None)
        self._ready.append((task, None))

    @property
    def cache(self) -> Cache:
        """What is known."""
        return self.context.cache

    # The verbs.

    def ask(
        self,
        question: Question,
        now: float,
        *,
        dnssec_ok: bool = False,
        checking_disabled: bool = False,
        recursion: bool = True,
        client: Client | None = None,
    ) -> int:
        """Ask a question; its answer is the event with the number that is returned.

        Args:
            question: what to ask.
            now: seconds.
            dnssec_ok: the client wants signatures and proofs.
            checking_disabled: it validates by itself.
            recursion: it wants us to ask others; if not, only what is local is said.
            client: who it is, for policies.
        """
        self.context.now = now
        ticket = next(self._tickets)
        if not self._make_room(now):
            self._events.append(Answered(ticket, Response(DROPPED, reason=TOO_MANY)))
            return ticket
        wanted = ClientQuestion(question, dnssec_ok, checking_disabled, recursion, client)
        task = Task(answer_client(self.context, wanted), None, ticket)
        self._clients[ticket] = task, now
        self._ready.append((task, None))
        self._run()
        if ticket in self._clients:
            self._set_deadline(now + self.context.config.question_timeout, ticket=ticket)
        return ticket

    def cancel(self, ticket: int) -> None:
        """Nobody waits for this answer any more; what was begun for it goes on."""
        found = self._clients.pop(ticket, None)
        if found is not None:
            _abandon(found[0])

    def transmit(self, now: float) -> list[Exchange]:
        """What is to be sent now."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing + self._copies.transmit()

    def finished(self) -> list[int]:
        """Tokens of messages whose sockets may be closed."""
        finished, self._finished = self._finished, []
        return finished + self._copies.finished()

    def receive(self, token: int, data: bytes, now: float) -> None:
        """A message came to the socket, or over the connection, of this token."""
        pending = self._pending.get(token)
        if pending is None:
            self.context.now = now
            self._copies.receive(token, data, now)
            self._run()
            return
        self.context.now = now
        outcome = self._judge(pending, data, now)
        if outcome is not None:
            self._conclude(token, outcome)
            self._run()

    def fail(self, token: int, now: float) -> None:
        """The server cannot be reached, or the connection was lost."""
        pending = self._pending.get(token)
        if pending is None:
            self._copies.fail(token, now)
            return
        self.context.now = now
        self._conclude(token, Outcome(None, now - pending.begun, "unreachable"))
        self._run()

    def notify(self, origin: bytes, serial: int | None, now: float) -> None:
        """A primary says that a zone of which there is a copy has changed (RFC 1996); `origin` is folded."""
        self._copies.notify(origin, serial, now)

    def next_event(self) -> Answered | None:
        """The next answer."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called."""
        while self._deadlines and not self._is_due(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        due = self._deadlines[0].at if self._deadlines else None
        other = self._copies.next_deadline()
        return due if other is None else other if due is None else min(due, other)

    def handle_timeout(self, now: float) -> None:
        """Go on with what has waited long enough."""
        self.context.now = now
        self._copies.handle_timeout(now)
        self._run()
        while self._deadlines and self._deadlines[0].at <= now:
            deadline = heapq.heappop(self._deadlines)
            if self._is_due(deadline):
                self._time_out(deadline, now)
                self._run()

    # Time.

    def _set_deadline(self, at: float, *, token: int = 0, ticket: int = 0, task: Task | None = None) -> int:
        order = next(self._order)
        heapq.heappush(self._deadlines, Deadline(at, order, token, ticket, task))
        return order

    def _is_due(self, deadline: Deadline) -> bool:
        """Whether anything still waits for this."""
        if deadline.token:
            return deadline.token in self._pending
        if deadline.ticket:
            return deadline.ticket in self._clients
        return deadline.task is not None and not deadline.task.done and deadline.task.alarm == deadline.order

    def _time_out(self, deadline: Deadline, now: float) -> None:
        if deadline.token:
            pending = self._pending[deadline.token]
            self._conclude(deadline.token, Outcome(None, now - pending.begun, "timeout"))
            return
        task = self._clients[deadline.ticket][0] if deadline.ticket else deadline.task
        assert task is not None
        leave(task)
        self._ready.append((task, Failure("the question took too long", keep=False) if deadline.ticket else None))

    # Messages.

    def _judge(self, pending: Pending, data: bytes, now: float) -> Outcome | None:
        """What came of a message; None for one that is not its answer, which may be forged (RFC 5452 9.1)."""
        sent, seconds = pending.send, now - pending.begun
        asked = sent.question
        end = HEADER_LENGTH + len(asked.name)
        if data[:2] == sent.data[:2]:
            echoed, name = data[HEADER_LENGTH:end], fold(asked.name)
            if fold(echoed) == name:
                # As the question was before its letters were drawn, since names in the answer may point into it.
                message = _read(data[:HEADER_LENGTH] + name + data[end:])
                is_answer = message is not None and message.questions_end == end + _QUESTION_TAIL
                is_answer = is_answer and data[end : end + _QUESTION_TAIL] == sent.data[end : end + _QUESTION_TAIL]
                if message is not None and is_answer and answers(message.flags) and _is_ours(message, sent.cookie):
                    is_exact = echoed == asked.name or not sent.exact_case
                    return Outcome(message, seconds) if is_exact else Outcome(None, seconds, "case")
            else:
                message = _read(data)
                if message is not None and _is_bare_error(message):
                    return Outcome(message, seconds)
        pending.forged += 1
        self.context.counts["unexpected"] += 1
        if pending.forged >= MOST_FORGED and sent.transport == "udp":
            return Outcome(None, seconds, "forged")
        return None

    def _conclude(self, token: int, outcome: Outcome) -> None:
        pending = self._pending.pop(token)
        self._finished.append(token)
        self._ready.append((pending.task, outcome))

    def _send(self, task: Task, effect: Send) -> None:
        token, now = next(self._tokens), self.context.now
        self._pending[token] = Pending(task, effect, now)
        self._set_deadline(now + effect.timeout, token=token)
        self._outgoing.append(Exchange(token, effect.server, effect.transport, effect.data))
        self.context.counts["sent"] += 1

    # Tasks.

    def _run(self) -> None:
        """Go on with all tasks that can."""
        while self._ready:
            task, value = self._ready.popleft()
            if not task.done:
                self._step(task, value)

    def _step(self, task: Task, value: object) -> None:
        """Let a task go on until it waits or ends."""
        while True:
            try:
                steps = task.generator
                effect = steps.throw(value) if isinstance(value, Failure) else steps.send(value)
            except StopIteration as stop:
                self._end(task, stop.value)
                return
            except Failure as failure:
                self._end(task, failed(failure))
                return
            if self._wait(task, effect):
                return
            value = _without_waiting(effect)

    def _wait(self, task: Task, effect: Effect) -> bool:
        """Begin what a task waits for; False if it need not wait."""
        task.effect = effect
        if isinstance(effect, Send):
            self._send(task, effect)
            return True
        if isinstance(effect, Start):
            self._join(effect.ask, None)
            return False
        if isinstance(effect, Pause):
            task.alarm = self._set_deadline(effect.deadline, task=task)
            return True
        if isinstance(effect, AskAny):
            asks = effect.asks
        else:
            asks = (effect.ask if isinstance(effect, AskWithin) else effect,)
        task.waits = tuple(joined for one in asks if (joined := self._join(one, task)) is not None)
        if not task.waits:
            return False
        for one in task.waits:
            one.waiters.append(task)
        if isinstance(effect, AskWithin):
            task.alarm = self._set_deadline(effect.deadline, task=task)
        return True

    def _join(self, request: Ask, task: Task | None) -> Task | None:
        """The task of a question; None if it would wait for itself, or too many wait for it."""
        running = self._running.get(request)
        if running is None:
            steps = resolve_checked(self.context, request) if request.checked else resolve(self.context, request)
            running = self._running[request] = Task(steps, request)
            self._ready.append((running, None))
        elif task is not None and (len(running.waiters) >= self.context.config.max_waiting or waits_for(running, task)):
            return None
        return running

    def _end(self, task: Task, response: Response) -> None:
        task.done, task.response = True, response
        if task.ask is None:
            if self._clients.pop(task.ticket, None) is not None:
                self._events.append(Answered(task.ticket, response))
            return
        del self._running[task.ask]
        waiters, task.waiters = task.waiters, []
        for waiter in waiters:
            leave(waiter, task)
            any_of = isinstance(waiter.effect, AskAny)
            self._ready.append((waiter, [(task.ask.question, response)] if any_of else response))

    # Clients.

    def _make_room(self, now: float) -> bool:
        """At the limit, the question that has waited longest gives way, if it has waited long (jostling)."""
        config = self.context.config
        if len(self._clients) < config.max_questions:
            return True
        self.context.counts["jostled"] += 1
        ticket, (task, begun) = next(iter(self._clients.items()))
        if now - begun < config.jostle:
            return False
        del self._clients[ticket]
        _abandon(task)
        self._events.append(Answered(ticket, failed(Failure(TOO_MANY))))
        return True


def _abandon(task: Task) -> None:
    leave(task)
    task.done = True
    task.generator.close()


def _without_waiting(effect: Effect) -> object:
    """What a task is told that cannot wait: it would wait for itself, or too many do."""
    if isinstance(effect, Start):
        return None
    return (
        []
        if isinstance(effect, AskAny)
        else failed(Failure("the question leads back to itself, or too many wait for its answer"))
    )


def _read(data: bytes) -> Message | None:
    try:
        return parse_reply(data)
    except Malformed:
        return None


def _is_bare_error(message: Message) -> bool:
    """Whether it is an error without a question: who cannot read one leaves it out."""
    return message.questions_end == HEADER_LENGTH and answers(message.flags) and message.flags & 15 != 0


def _is_ours(message: Message, cookie: bytes) -> bool:
    """Whether a cookie in it is the one that we sent (RFC 7873 5.3)."""
    try:
        theirs = cookie_of(message)
    except Malformed:
        return True
    return not cookie or not theirs or theirs.startswith(cookie)
