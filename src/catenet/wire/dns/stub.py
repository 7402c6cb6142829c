"""The stub resolver's query machine, without I/O: which server is asked what, when, and what the answers mean.

As glibc's resolver works (resolv.conf(5)): the search list and `ndots` make the names to try; each is asked of one
server after another, `attempts` times, all types at once; an answer that was cut is asked for again by TCP. Who drives
it sends what `transmit` says, each datagram from a socket of its own with a random port (RFC 5452), and hands in what
comes back to that socket alone.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse_reply
from catenet.wire.dns.name import LONGEST, ROOT, fold, labels
from catenet.wire.dns.numbers import (
    AA,
    AD,
    CNAME,
    IN,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    QR,
    QUERY,
    RA,
    RD,
    REFUSED,
    SERVFAIL,
    TC,
)
from catenet.wire.dns.record import Record
from catenet.wire.dns.stub_cache import StubCache
from catenet.wire.errors import Malformed

__all__ = [
    "Answer",
    "Outcome",
    "Send",
    "Server",
    "StubConfig",
    "StubLookup",
    "answers",
    "follow_aliases",
]

AGAIN: Final = 2
"""How often a server that has answered one of several queries, and not the others, is asked again in one lookup."""
MOST_ALIASES: Final = 16
"""Links of a chain of CNAME records that are followed within an answer."""


class Server(NamedTuple):
    """A name server: address as `bytes`, port, zone of a link-local address."""

    address: bytes
    port: int = 53
    scope: int = 0


@dataclass(frozen=True, slots=True)
class StubConfig:
    """What resolv.conf(5) says; names in wire format, `timeout` in seconds."""

    servers: tuple[Server, ...] = ()
    search: tuple[bytes, ...] = ()
    ndots: int = 1
    timeout: float = 5.0
    attempts: int = 2
    rotate: bool = False
    use_tcp: bool = False
    edns: bool = False
    trust_ad: bool = False
    cache: bool = False
    """Whether answers are remembered. No option of resolv.conf(5): glibc leaves it to nscd and the like."""


class Outcome(enum.Enum):
    """How a lookup ended."""

    ANSWER = "answer"
    NO_DATA = "the name has no record of this type"
    NO_NAME = "the name does not exist"
    TRY_AGAIN = "no server has answered"
    FAILED = "a server has refused"


class Answer(NamedTuple):
    """The end of a lookup: `name` is the one that was found, `records` those of all types, aliases included."""

    outcome: Outcome
    name: bytes = ROOT
    records: tuple[Record, ...] = ()
    authenticated: bool = False
    """Whether every answer had the AD bit; means nothing unless the way to the server is trusted (`trust-ad`)."""


class Send(NamedTuple):
    """A message to be sent: by a new UDP socket, or over TCP with its length before it."""

    server: Server
    tcp: bool
    data: bytes


class StubLookup:
    """One lookup of one name and one or more types.

    Args:
        name: as it was written, in wire format.
        absolute: whether it was written with a dot at its end, so that no search list applies.
        types: types of records that are asked for at once.
        config: servers and habits.
        random_id: returns a number below 65,536 that nobody can guess.
        first: index of the server to begin with, for `rotate`.
        cache: what was answered before, None for a stub without a memory.
    """

    __slots__ = (
        "_absolute",
        "_as_written",
        "_attempt",
        "_cache",
        "_candidates",
        "_config",
        "_deadline",
        "_errors",
        "_found_servfail",
        "_heard",
        "_index",
        "_last_code",
        "_outcomes",
        "_outgoing",
        "_patience_left",
        "_pending",
        "_random_id",
        "_received",
        "_servers",
        "_tcp",
        "_types",
        "_waiting",
        "answer",
    )

    def __init__(
        self,
        name: bytes,
        absolute: bool,
        types: Sequence[int],
        config: StubConfig,
        random_id: Callable[[], int],
        first: int = 0,
        cache: StubCache | None = None,
    ) -> None:
        self.answer: Answer | None = None
        self._config = config
        self._types = tuple(types)
        self._random_id = random_id
        self._cache = cache
        servers = config.servers
        shift = first % len(servers) if servers and config.rotate else 0
        self._servers = servers[shift:] + servers[:shift]
        self._as_written = name
        self._absolute = absolute
        self._candidates = _names_to_try(name, absolute, config)
        self._attempt = self._index = 0
        self._tcp = config.use_tcp
        self._pending: dict[int, Question] = {}
        """What is still to be answered, by the id of the query."""
        self._waiting: list[Question] = []
        """What is asked after that, where a server does not bear two queries at once."""
        self._received: list[Message] = []
        self._errors = 0
        """Answers of this server that are errors."""
        self._outgoing: list[Send] = []
        self._deadline: float | None = None
        self._patience_left = AGAIN
        """How often a server that has answered half of the questions is asked again."""
        self._heard = False
        """Whether a server of this name has sent anything, or kept silent; None has when all ports are closed."""
        self._last_code = NOERROR
        self._found_servfail = False
        """Whether all servers have failed for a name of the search list."""
        self._outcomes: dict[bytes, Outcome] = {}
        """What came of the names that were tried before, in order."""
        if not self._servers:
            self.answer = Answer(Outcome.TRY_AGAIN)

    def start(self, now: float) -> None:
        """Ask the first server."""
        if self.answer is None:
            self._begin_name(now)

    def transmit(self) -> list[Send]:
        """What is to be sent now; messages for one server over TCP share a connection."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def has_output(self) -> bool:
        """Whether `transmit` has something."""
        return bool(self._outgoing)

    def next_deadline(self) -> float | None:
        """When the lookup gives a server up; None when it has ended."""
        return self._deadline

    def receive(self, data: bytes, server: Server, now: float) -> None:
        """A message has come from `server`, to the socket or connection by which it was asked.

        What answers no open question is ignored, as it may be forged (RFC 5452 9.1).
        """
        if self.answer is not None or server != self._servers[self._index]:
            return
        try:
            message = parse_reply(data)
            question = message.question
        except Malformed:
            return
        asked = self._pending.get(message.id)
        if asked is None or not answers(message.flags) or question is None or not is_same_question(question, asked):
            return
        self._heard = True
        if not self._received and not self._errors:
            self._last_code = message.flags & 15
        if message.flags & TC and not self._tcp:
            self._tcp = True
            self._ask(now)
            return
        del self._pending[message.id]
        if _is_error(message, self._tcp):
            self._errors += 1
        else:
            self._received.append(message)
        self._go_on_with_server(now)

    def fail(self, send: Send, now: float) -> None:
        """A message could not be sent or answered: its server's port is closed, or its connection was lost.

        That of an earlier attempt is ignored, also where the server is the same.
        """
        number = int.from_bytes(send.data[:2], "big")
        if self.answer is None and send[:2] == (self._servers[self._index], self._tcp) and number in self._pending:
            self._give_up_server(now)

    def handle_timeout(self, now: float) -> None:
        """Go on to the next server if this one has had its time."""
        if self._deadline is None or now < self._deadline:
            return
        self._heard = True
        if not self._received or self._tcp:
            self._give_up_server(now)
        elif self._patience_left:
            # One of two queries was answered: the other is asked after it, as some servers lose the second of two.
            self._patience_left -= 1
            self._ask(now)
        else:
            self._conclude_name(now)

    # One name, one server after another.

    def _begin_name(self, now: float) -> None:
        """Ask for the first of the names, or know what it is."""
        self._attempt = self._index = 0
        self._tcp = self._config.use_tcp
        self._heard = False
        cache = self._cache
        known = None if cache is None else cache.find(self._candidates[0], self._types, now)
        if known is not None:
            self._received = known
            self._conclude_name(now)
        else:
            self._ask(now)

    def _ask(self, now: float) -> None:
        self._pending.clear()
        self._received.clear()
        self._errors = 0
        self._waiting = [Question(self._candidates[0], kind, IN) for kind in self._types]
        one_by_one = self._patience_left < AGAIN and not self._tcp
        self._send(1 if one_by_one else len(self._waiting))
        self._deadline = now + self._patience()

    def _send(self, count: int) -> None:
        """Send some of the questions that wait."""
        flags = RD | (AD if self._config.trust_ad else 0)
        server = self._servers[self._index]
        for question in self._waiting[:count]:
            number = self._random_id()
            while number in self._pending:
                number = self._random_id()
            self._pending[number] = question
            query = pack(number, flags, question, edns=Edns() if self._config.edns else None)
            self._outgoing.append(Send(server, self._tcp, query))
        del self._waiting[:count]

    def _patience(self) -> float:
        """Seconds that the server has: as glibc counts them, more for later ones, divided among all."""
        seconds = self._config.timeout * (1 << self._index)
        return max(1.0, seconds // len(self._servers)) if self._index else seconds

    def _go_on_with_server(self, now: float) -> None:
        """An answer has come: wait for the others, or take what there is. One answer beside errors is enough."""
        if self._pending:
            return
        if self._waiting:
            self._send(1)
        elif self._received:
            if self._cache is not None and not self._errors:
                self._cache.store(self._candidates[0], self._received, now)
            self._conclude_name(now)
        else:
            self._give_up_server(now)

    def _give_up_server(self, now: float) -> None:
        self._index += 1
        if self._index == len(self._servers):
            self._index = 0
            self._attempt += 1
        # By TCP, which is for one round once it is needed, every server is asked once.
        most = 1 if self._tcp else self._config.attempts
        if self._attempt < most:
            self._ask(now)
            return
        if not self._heard and not self._absolute and self._candidates[0] != self._as_written:
            self._end(Answer(Outcome.TRY_AGAIN, self._as_written))  # there is no server at all
            return
        if self._last_code != SERVFAIL and self._candidates[0] != self._as_written:
            # Nobody answers: the rest of the search list would wait as long. The name as it was written is tried.
            self._candidates[1:] = [name for name in self._candidates[1:] if name == self._as_written]
        self._go_on(Outcome.TRY_AGAIN, now)

    # One name after another.

    def _conclude_name(self, now: float) -> None:
        received = self._received
        if any(message.flags & 15 == NOERROR and message.answer for message in received):
            self._end(self._found())
            return
        codes = [message.flags & 15 for message in received]
        decisive = next((code for code in codes if code != NOERROR), NOERROR)
        self._go_on(OUTCOMES.get(decisive, Outcome.FAILED), now)

    def _found(self) -> Answer:
        """The answer of a server that has records for the name; perhaps none of them is what was asked for."""
        records = tuple(record for message in self._received for record in message.answer)
        name = self._candidates[0]
        owners = set(map(fold, follow_aliases(name, records)))
        if any(record.type in self._types and fold(record.name) in owners for record in records):
            authenticated = all(message.flags & AD for message in self._received)
            return Answer(Outcome.ANSWER, name, records, authenticated)
        return Answer(Outcome.NO_DATA, name, records)

    def _go_on(self, outcome: Outcome, now: float) -> None:
        """Nothing was found for a name: try the next, or say what came of all."""
        name = self._candidates.pop(0)
        self._outcomes[name] = outcome
        if name != self._as_written:
            if outcome is Outcome.TRY_AGAIN and self._last_code == SERVFAIL:
                self._found_servfail = True
            elif outcome is Outcome.FAILED:
                self._candidates = [other for other in self._candidates if other == self._as_written]
        if self._candidates:
            self._begin_name(now)
        else:
            self._end(Answer(self._conclude(), self._as_written))

    def _conclude(self) -> Outcome:
        """What glibc says of a name that was found nowhere (res_search, and what getaddrinfo makes of it).

        The name as it was written decides if it was tried first; else that a name of the search list has no data, or
        that a server refused one, and otherwise the last. That nobody answered is only said if the last one was so.
        """
        names, outcomes = list(self._outcomes), list(self._outcomes.values())
        last = outcomes[-1]
        searched = [outcome for name, outcome in self._outcomes.items() if name != self._as_written]
        if names[0] == self._as_written:
            decisive = outcomes[0]
        elif Outcome.NO_DATA in searched:
            decisive = Outcome.NO_DATA
        elif self._found_servfail:
            decisive = Outcome.TRY_AGAIN
        else:
            decisive = last
        if decisive is Outcome.TRY_AGAIN and last is not Outcome.TRY_AGAIN:
            return Outcome.NO_NAME
        return decisive

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self._deadline = None
        self._pending.clear()
        self._waiting.clear()
        self._outgoing.clear()


OUTCOMES: Final = {NOERROR: Outcome.NO_DATA, NXDOMAIN: Outcome.NO_NAME, SERVFAIL: Outcome.TRY_AGAIN}
"""What a code means for a name; all others: that the server will not say."""


def answers(flags: int, opcode: int = QUERY) -> bool:
    """Whether the second word of a header says that it is a response to a query, or to another `opcode`."""
    return flags & QR != 0 and flags >> 11 & 15 == opcode


def follow_aliases(name: bytes, records: Sequence[Record]) -> list[bytes]:
    """The names that an answer leads to from `name`, by its CNAME records: itself first, the canonical one last."""
    aliases = {fold(record.name): record.data for record in records if record.type == CNAME}
    chain = [name]
    while len(chain) <= MOST_ALIASES:
        following = aliases.pop(fold(chain[-1]), None)
        if following is None:
            break
        chain.append(following)
    return chain


def _names_to_try(name: bytes, absolute: bool, config: StubConfig) -> list[bytes]:
    """As resolv.conf(5) has it: with `ndots` dots as it is first, otherwise last."""
    if absolute or name == ROOT:
        return [name]
    searched = [name[:-1] + domain for domain in config.search if len(name) - 1 + len(domain) <= LONGEST]
    return [name, *searched] if len(labels(name)) > config.ndots else [*searched, name]


def _is_error(message: Message, tcp: bool) -> bool:
    """Whether another server is to be asked: this one cannot, or will not, or knows neither zone nor other servers."""
    if not _is_readable(message):
        return True
    flags = message.flags
    if tcp:
        return False
    lame = not flags & (AA | RA | 15) and not message.answer and not message.additional
    return lame or flags & 15 in (SERVFAIL, NOTIMP, REFUSED)


def _is_readable(message: Message) -> bool:
    """Whether the names and the aliases of the answer section can be read."""
    try:
        for record in message.answer:
            _ = record.name
            if record.type == CNAME:
                _ = record.data
    except Malformed:
        return False
    return True
