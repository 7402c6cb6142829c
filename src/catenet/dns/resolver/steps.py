"""What the generators of the resolver wait for, and how they ask for it.

A question runs as a generator. It yields one of the effects below, and is sent what came of it; the core
(`catenet.dns.resolver.core`) alone knows tokens, deadlines and who else waits. The functions here are how to wait with
types: `response = yield from ask(…)`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from catenet.dns.dnssec import Budget
from catenet.dns.response import ExtendedError, Response
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.stub import Server

__all__ = [
    "Ask",
    "AskAny",
    "AskWithin",
    "Effect",
    "Failure",
    "Outcome",
    "Pause",
    "Send",
    "Start",
    "Steps",
    "Work",
    "ask",
    "ask_any",
    "ask_within",
    "pause",
    "send",
    "start",
]

T = TypeVar("T")


@dataclass(slots=True)
class Work:
    """What one question of a client has caused so far; nothing sets it back."""

    sends: int = 0
    received: int = 0
    """Bytes of answers."""
    targets: int = 0
    budget: Budget = field(default_factory=Budget)
    """Of validation."""


@dataclass(slots=True, unsafe_hash=True)
class Ask:
    """A question that must be answered first. It is never changed, as `RRset`.

    Attributes:
        question: folded.
        checked: whether the answer is to be validated.
        depth: of questions that led to it.
        work: of the client's question.
        fresh: whether the cache must not answer.
        zone: iteration begins at this zone or above; used to ask a parent.
        avoid: servers that gave answers which did not validate.
        ahead: seconds for which what iteration begins with must still hold, so that it is renewed too.
        prime: the servers of the hints are asked, whatever is known.
    """

    question: Question
    work: Work = field(compare=False)
    checked: bool = False
    depth: int = field(default=0, compare=False)
    fresh: bool = False
    zone: bytes | None = None
    avoid: frozenset[Server] = frozenset()
    prime: bool = False
    ahead: float = field(default=0.0, compare=False)

    def raw(self) -> Ask:
        """The same, not to be validated."""
        return Ask(
            self.question, self.work, False, self.depth, self.fresh, self.zone, self.avoid, self.prime, self.ahead
        )


class AskAny(NamedTuple):
    """Several questions, of which one answered is enough; the others go on by themselves."""

    asks: tuple[Ask, ...]


class AskWithin(NamedTuple):
    """A question that is waited for until `deadline` only; it goes on by itself."""

    ask: Ask
    deadline: float


class Start(NamedTuple):
    """A question whose answer nobody waits for."""

    ask: Ask


class Pause(NamedTuple):
    """Nothing, until `deadline`."""

    deadline: float


class Send(NamedTuple):
    """A message to a server.

    Attributes:
        question: as it stands in the message, case included.
        timeout: seconds.
        cookie: ours, if there is one in the message.
        exact_case: whether the name must come back as it was sent.
    """

    server: Server
    transport: str
    data: bytes
    question: Question
    timeout: float
    cookie: bytes = b""
    exact_case: bool = False


class Outcome(NamedTuple):
    """What came of it: a message that answers the question, or a fault.

    Attributes:
        message: None without one.
        seconds: after how long.
        fault: `timeout`, `unreachable`, `case` (the name came back in other letters), `forged` (too many messages came
            that answer something else), `malformed`.
    """

    message: Message | None
    seconds: float
    fault: str = ""


Effect = Ask | AskAny | AskWithin | Start | Pause | Send
Steps = Generator[Effect, object, T]


class Failure(Exception):
    """A question that cannot be answered.

    Attributes:
        errors: why, for clients.
        keep: whether it would fail again, so that the failure is remembered.
    """

    def __init__(self, reason: str, errors: Sequence[ExtendedError] = (), *, keep: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.errors = tuple(errors)
        self.keep = keep


def ask(effect: Ask) -> Steps[Response]:
    """Wait for an answer, which is SERVFAIL if there is none."""
    got = yield effect
    assert isinstance(got, Response)
    return got


def ask_any(effect: AskAny) -> Steps[list[tuple[Question, Response]]]:
    """Wait for the first answers; an empty list if there can be none."""
    got = yield effect
    assert isinstance(got, list)
    return got


def ask_within(effect: AskWithin) -> Steps[Response | None]:
    """Wait for an answer; None when its time is over."""
    got = yield effect
    assert got is None or isinstance(got, Response)
    return got


def start(effect: Start) -> Steps[None]:
    """Let a question be answered in the background."""
    yield effect


def pause(effect: Pause) -> Steps[None]:
    """Let time pass."""
    yield effect


def send(effect: Send) -> Steps[Outcome]:
    """Send a message and wait for its answer."""
    got = yield effect
    assert isinstance(got, Outcome)
    return got
