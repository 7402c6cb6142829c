"""Plays a scenario: a clock that jumps, a client, and the servers of its ranges."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from catenet.testing.rpl.compare import difference, record_to_text
from catenet.testing.rpl.files import anchor_difference, file_difference
from catenet.testing.rpl.macros import MacroError, expand
from catenet.testing.rpl.network import Network, Pending, question_to_text
from catenet.testing.rpl.replies import make_query, make_replies
from catenet.testing.rpl.subject import Client, Subject
from catenet.testing.rpl.syntax import Dialect, Entry, Scenario, Step
from catenet.wire.dns.message import Message, pack, parse
from catenet.wire.dns.numbers import QR, RD, SERVFAIL, flags_to_text, rcode_to_text
from catenet.wire.errors import Malformed

__all__ = ["Failed", "Play"]

PATIENCE: Final = 60.0
"""Seconds that a client waits for an answer, and a check for a query."""
_MOST_ROUNDS: Final = 5000
_LOCALHOST: Final = b"\x7f\0\0\1"


class Failed(Exception):
    """A step found something else than it expects."""

    def __init__(self, step: Step, message: str) -> None:
        super().__init__(message)
        self.step = step


@dataclass(slots=True)
class _Reply:
    client: Client
    message: Message


class Play:
    """One run of a scenario against a resolver; `log` gets a line for each thing that happens."""

    def __init__(self, scenario: Scenario, subject: Subject, log: list[str] | None = None) -> None:
        self.now = 0.0
        """Seconds of virtual time since the start."""
        self._scenario = scenario
        self._subject = subject
        self._network = Network(scenario)
        self._replies: list[_Reply] = []
        self._variables: dict[str, str] = {}
        self._log = log
        self._clients = 0
        self._rounds = 0
        self._step = Step(0, 0, "NOTHING")

    def run(self) -> None:
        """Take all steps. Raises Failed at the first that does not go as it should."""
        is_deckard = self._scenario.dialect is Dialect.DECKARD
        for step in self._scenario.steps:
            self._step = step
            self._note(f"step {step.number} {step.kind}")
            if is_deckard:
                self._take_deckard(step)
            else:
                self._take_unbound(step)
        self._finish()

    # Steps as testbound takes them: all that can be answered is answered before a step is taken.

    def _take_unbound(self, step: Step) -> None:
        self._pump()
        deadline = self.now + PATIENCE
        while True:
            self._count_round()
            if step.kind == "CHECK_OUT_QUERY" and self._check_query(step):
                return
            if step.kind == "CHECK_ANSWER" and self._take_answer(step):
                return
            if self._answer_one(step.number):
                continue
            if step.kind == "CHECK_ANSWER" and self._replies:
                self._check(step, self._replies[0])
            if step.kind in ("CHECK_OUT_QUERY", "CHECK_ANSWER"):
                if self._wait(deadline):
                    continue
                what = "no answer" if step.kind == "CHECK_ANSWER" else "no such query"
                raise Failed(step, f"{what}{self._open_queries()}")
            self._act(step)
            return

    def _answer_one(self, number: int) -> bool:
        """Answer one query that has an entry; False when there is none."""
        for one in self._network.pending:
            entry = self._network.find(one, number)
            if entry is not None:
                self._reply(one, entry)
                return True
        return False

    def _check_query(self, step: Step) -> bool:
        for one in self._network.pending:
            if step.address not in (None, one.server.address):
                continue
            if step.entry is None or self._network.matches(step.entry, one):
                if step.entry is not None and "copy_id" in step.entry.adjust:
                    self._reply(one, step.entry)
                return True
        return False

    # Steps as Deckard takes them: a query is over when it is answered, or when nobody waits any more.

    def _take_deckard(self, step: Step) -> None:
        if step.kind == "QUERY":
            self._replies.clear()
            self._ask(step)
            self._serve_until_answered(step)
        elif step.kind == "CHECK_ANSWER":
            if not self._replies:
                raise Failed(step, "no answer")
            self._check(step, self._replies[-1])
        elif step.kind not in ("REPLY", "CHECK_OUT_QUERY"):
            self._act(step)
            self._serve(step.number)

    def _serve_until_answered(self, step: Step) -> None:
        """Serve the resolver; a message that is no query at all gets no answer."""
        deadline = self.now + PATIENCE
        is_raw = step.entry is not None and step.entry.packets[0].raw is not None
        while True:
            self._serve(step.number)
            if self._replies or is_raw or not self._wait(deadline):
                return

    def _serve(self, number: int) -> None:
        """Answer all that is asked, as long as something is."""
        self._pump()
        while self._network.pending:
            self._count_round()
            unanswered = 0
            for one in list(self._network.pending):
                entry = self._network.find(one, number)
                if entry is not None and "do_not_answer" in entry.adjust:
                    unanswered += 1
                elif entry is not None:
                    self._reply(one, entry)
                elif self._network.is_known(one.server.address):
                    self._refuse(one)
                else:
                    self._fail(one)
            if unanswered == len(self._network.pending):
                return

    def _refuse(self, one: Pending) -> None:
        """Deckard's answer to what no entry matches."""
        self._note(f"  no entry for {one}: SERVFAIL")
        flags = QR | one.message.flags & RD | SERVFAIL
        self._network.drop(one.token)
        self._subject.receive(one.token, pack(one.message.id, flags, one.message.question), self.now)
        self._pump()

    # What both do.

    def _act(self, step: Step) -> None:
        if step.kind == "QUERY":
            self._ask(step)
        elif step.kind == "TIME_PASSES":
            self._pass_time(step)
        elif step.kind == "REPLY" and step.entry is not None:
            self._reply(self._newest(step), step.entry)
        elif step.kind == "TIMEOUT":
            self._time_out(self._newest(step))
        elif step.kind == "ERROR":
            self._fail(self._newest(step))
        elif step.kind == "ASSIGN":
            self._variables[step.variable] = self._expand(step, step.expression)
            self._note(f"  {step.variable} = {self._variables[step.variable]}")
        elif step.kind == "CHECK_AUTOTRUST":
            self._check_file(step, self._subject.anchor_file(step.name))
        elif step.kind == "CHECK_TEMPFILE":
            self._check_file(step, self._subject.zone_file(step.name))

    def _ask(self, step: Step) -> None:
        assert step.entry is not None
        self._clients += 1
        transport = "tcp" if "tcp" in step.entry.match else "udp"
        client = Client(step.address or _LOCALHOST, transport, self._clients)
        data = make_query(step.entry.packets[0], 0, self._scenario.dialect)
        question = step.entry.packets[0].question
        self._note(f"  {ipaddress.ip_address(client.address)} asks {question_to_text(question)}")
        self._subject.ask(client, data, self.now)
        self._pump()

    def _newest(self, step: Step) -> Pending:
        if not self._network.pending:
            raise Failed(step, "no query is open")
        return self._network.pending[0]

    def _reply(self, one: Pending, entry: Entry) -> None:
        self._network.fired.add(entry.line)
        replies = make_replies(entry, one.message, self._scenario.dialect)
        self._network.drop(one.token)
        for packet, data in zip(entry.packets, replies, strict=False):
            self.now += packet.delay
            self._note(f"  entry of line {entry.line} answers {one}")
            self._note_message(data)
            self._subject.receive(one.token, data, self.now)
        self._pump()

    def _fail(self, one: Pending) -> None:
        self._note(f"  {one}: unreachable")
        self._network.drop(one.token)
        self._subject.fail(one.token, self.now)
        self._pump()

    def _time_out(self, one: Pending) -> None:
        """Let the time pass after which the resolver does something else about a query."""
        for _ in range(_MOST_ROUNDS):
            before = {other.token for other in self._network.pending}
            if not self._wait(self.now + PATIENCE):
                break
            after = {other.token for other in self._network.pending}
            if one.token not in after or after - before or self._network.pending[0] is not one:
                break
        self._network.drop(one.token)

    def _pass_time(self, step: Step) -> None:
        seconds = step.seconds
        if step.expression:
            text = self._expand(step, step.expression)
            try:
                seconds = float(text)
            except ValueError:
                raise Failed(step, f"{step.expression} is {text!r}, no number of seconds") from None
        self.now += seconds
        for _ in range(_MOST_ROUNDS):
            deadline = self._subject.next_deadline()
            if deadline is None or deadline > self.now:
                break
            self._subject.handle_timeout(self.now)
            self._pump()

    def _wait(self, latest: float) -> bool:
        """Go on to the resolver's next deadline; False when there is none up to `latest`."""
        deadline = self._subject.next_deadline()
        if deadline is None or deadline > latest:
            return False
        self._count_round()
        self.now = max(self.now, deadline)
        self._subject.handle_timeout(self.now)
        self._pump()
        return True

    def _pump(self) -> None:
        """Take over what the resolver has for servers and clients."""
        for token in self._subject.finished():
            self._network.drop(token)
        for exchange in self._subject.transmit(self.now):
            one = self._network.add(exchange.token, exchange.server, exchange.transport, exchange.data)
            self._note(f"  resolver asks {one}")
        for token in self._subject.finished():
            self._network.drop(token)
        for client, data in self._subject.replies(self.now):
            self._note("  resolver answers its client")
            self._note_message(data)
            self._replies.append(_Reply(client, parse(data)))
        for text in self._subject.notes():
            self._note(f"    {text}")

    def _take_answer(self, step: Step) -> bool:
        """Take the answer that is the expected one off those that have come; False when none is."""
        for reply in self._replies:
            try:
                self._check(step, reply)
            except Failed:
                continue
            self._replies.remove(reply)
            return True
        return False

    def _check(self, step: Step, reply: _Reply) -> None:
        if step.address not in (None, reply.client.address):
            raise Failed(step, f"the answer is for {ipaddress.ip_address(reply.client.address)}")
        if step.entry is None:
            return
        found = difference(step.entry, reply.message, reply.client.transport, self._scenario.dialect)
        if found is not None:
            raise Failed(step, found)

    def _check_file(self, step: Step, text: str) -> None:
        expected = [self._expand(step, line.rstrip()) for line in step.content]
        got = [line.rstrip() for line in text.splitlines()]
        compare = anchor_difference if step.kind == "CHECK_AUTOTRUST" else file_difference
        found = compare(expected, got)
        if found is not None:
            raise Failed(step, found)

    def _expand(self, step: Step, text: str) -> str:
        deadline = self._subject.next_deadline()
        timeout = 0.0 if deadline is None else max(deadline - self.now, 0.0)
        try:
            return expand(text, self._variables, self.now, timeout)
        except MacroError as error:
            raise Failed(step, str(error)) from None

    def _finish(self) -> None:
        if self._replies and self._scenario.dialect is Dialect.UNBOUND:
            question = question_to_text(self._replies[0].message.question)
            raise Failed(self._step, f"the answer to {question} is not checked by any step")
        for found in self._scenario.ranges:
            for entry in found.entries:
                if entry.mandatory and entry.line not in self._network.fired:
                    raise Failed(self._step, f"the mandatory entry of line {entry.line} has not been asked for")

    def _open_queries(self) -> str:
        pending = self._network.pending
        return f"; open: {', '.join(map(str, pending[:3]))}" if pending else ""

    def _count_round(self) -> None:
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS:
            raise Failed(self._step, f"no end after {_MOST_ROUNDS} rounds")

    def _note(self, text: str) -> None:
        if self._log is not None:
            self._log.append(f"{self.now:.3f} {text}")

    def _note_message(self, data: bytes) -> None:
        if self._log is None:
            return
        try:
            message = parse(data)
            self._note(f"    {rcode_to_text(message.rcode)} {flags_to_text(message.flags)}")
            sections = (
                ("answer", message.answer),
                ("authority", message.authority),
                ("additional", message.additional),
            )
            for name, records in sections:
                for record in records:
                    self._note(f"    {name}: {record_to_text(record)}")
        except Malformed as error:
            self._note(f"    unreadable: {error}")
