"""Forwarding: questions that have no answer here go to recursive servers, and what they say is kept and passed on.

Nothing is made of a message but its entry of wire bytes. A query leaves from one of several sockets, each connected to
one server from a port that the kernel has drawn, and each given up after a number of queries; socket and id are random
(RFC 5452). An answer counts if it has the id and the question, letter by letter, of a query of its socket.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from catenet.dns.server.fast.answers import Answers, Entry, make_entry
from catenet.dns.server.fast.form import Form
from catenet.wire.dns.message import Message, pack
from catenet.wire.dns.numbers import OPT
from catenet.wire.errors import Malformed

__all__ = [
    "MOST_FORGED",
    "TRIES",
    "USES",
    "ForwardQuery",
    "ForwardTable",
    "Port",
    "is_plain_question",
]

PORTS: Final = 16
"""Sockets at a time for each server."""
USES: Final = 512
"""Queries after which a socket is given up."""
MOST_FORGED: Final = 16
"""Answers to something else that come to one socket before it is given up: somebody is guessing."""
WAIT: Final = 0.8
"""Seconds before another server is asked, or the same one again."""
TRIES: Final = 5
LOWERED: Final = 3
LONGEST: Final = 4096
BATCH: Final = 64
MOST_WAITERS: Final = 1000
_HEAD: Final = b"\1\0\0\1\0\0\0\0\0\1"
_HEAD_CD: Final = b"\1\x10\0\1\0\0\0\0\0\1"
_OPT: Final = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
_OPT_DO: Final = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
_MOST_TTL: Final = 86_400
_CODES_KEPT: Final = (0, 3)
_LONGEST_NAME: Final = 255

Respond = Callable[[bytes], None]
Ending = Callable[["Entry | None"], None]


def is_plain_question(question: bytes) -> bool:
    """Whether it is a whole name, uncompressed, an ordinary type, and class IN."""
    size, at = len(question) - 5, 0
    if size < 0 or size >= _LONGEST_NAME:
        return False
    while at < size:
        length = question[at]
        if not 0 < length < 64:
            return False
        at += 1 + length
    if at != size or question[at] or question[at + 3] or question[at + 4] != 1:
        return False
    return not (question[at + 1] == 0 and (question[at + 2] >= 128 or question[at + 2] == 41 or not question[at + 2]))


class ForwardQuery:
    """A question on its way.

    Attributes:
        key: by what its answer is kept.
        question: as it was sent.
        checking_disabled, with_signatures: CD and DO.
        due: when it is asked again.
        tries: how often it was sent.
        server: which server has it.
        waiters: id, question, form and way back of those who asked in the exact path.
        endings: what else is told the entry; None: there is no answer.
        last: the reply of a server that failed, for when all do.
    """

    __slots__ = (
        "checking_disabled", "done", "due", "endings", "key", "last", "number", "port", "question", "server", "tries",
        "waiters", "with_signatures",
    )  # fmt: skip

    def __init__(self, key: bytes, question: bytes, checking_disabled: bool, with_signatures: bool) -> None:
        self.key = key
        self.question = question
        self.checking_disabled = checking_disabled
        self.with_signatures = with_signatures
        self.due = 0.0
        self.tries = 0
        self.server = 0
        self.port: Port | None = None
        self.number = b""
        self.waiters: list[tuple[bytes, bytes, Form, Respond]] = []
        self.endings: list[Ending] = []
        self.last: Entry | None = None
        self.done = False


class Port:
    """A socket connected to a server, and the queries that are on it by their ids."""

    __slots__ = ("forged", "left", "pending", "server", "sock")

    def __init__(self, sock: socket.socket, server: int) -> None:
        self.sock = sock
        self.server = server
        self.left = USES
        self.forged = 0
        self.pending: dict[bytes, ForwardQuery] = {}


class ForwardTable:
    """All questions that are on their way to `servers` (addresses as sockets have them).

    `watch` and `unwatch` are told of sockets to be read and not to be read; `by_stream` is asked to bring the whole of
    an answer that was cut, by calling `finish`.
    """

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        answers: Answers,
        most: int,
        watch: Callable[[Port], None],
        unwatch: Callable[[Port], None],
        by_stream: Callable[[ForwardQuery], None],
    ) -> None:
        self._servers = list(servers)
        self._answers = answers
        self._most = most
        self._watch = watch
        self._unwatch = unwatch
        self._by_stream = by_stream
        self._ports: list[list[Port | None]] = [[None] * PORTS for _ in servers]
        self._queries: dict[bytes, ForwardQuery] = {}
        self._due: deque[ForwardQuery] = deque()
        self._first = 0
        self._random = b""
        self._at = 0
        self.refused = 0
        self.joined = 0
        self.begun = 0
        self.failures = [0] * len(self._servers)

    def __len__(self) -> int:
        return len(self._queries)

    # Asking.

    def take(self, query: bytes, form: Form, respond: Respond, now: float) -> bool:
        """Ask what a plain query asks; False: it is not plain enough, or there are too many."""
        question = query[12 : len(query) - form.cut]
        if not form.index & 1 or not is_plain_question(question):
            return False
        key = form.prefix + question[:-4].lower() + question[-4:]
        waiting = self._queries.get(key)
        if waiting is None:
            waiting = self._begin(key, question, bool(form.index & 2), bool(form.prefix[0] & 4), now)
            if waiting is None:
                return False
        elif len(waiting.waiters) >= MOST_WAITERS:
            return True  # dropped
        else:
            self.joined += 1
        waiting.waiters.append((query[:2], question, form, respond))
        return True

    def ask(self, key: bytes, question: bytes, ending: Ending, now: float) -> None:
        """Ask for the answer that is kept under `key`, whose first byte has CD and DO; `ending` is called once."""
        waiting = self._queries.get(key)
        if waiting is None:
            waiting = self._begin(key, question, bool(key[0] & 2), bool(key[0] & 4), now)
        if waiting is None:
            ending(None)
        else:
            waiting.endings.append(ending)

    def _begin(
        self, key: bytes, question: bytes, checking_disabled: bool, with_signatures: bool, now: float
    ) -> ForwardQuery | None:
        if len(self._queries) >= self._most:
            self.refused += 1
            return None
        self.begun += 1
        made = ForwardQuery(key, question, checking_disabled, with_signatures)
        made.server = self._first
        self._queries[key] = made
        self._send(made, now)
        return made

    def _send(self, query: ForwardQuery, now: float) -> None:
        """Send a query from one of the sockets of its server, under an id that is free there."""
        query.tries += 1
        if query.tries == LOWERED:
            # Somebody does not give back the case of letters.
            query.question = query.question[:-4].lower() + query.question[-4:]
        query.due = now + WAIT
        self._due.append(query)
        draw = self._draw()
        port = self._port(query.server, draw[2] % PORTS)
        if port is None:
            return  # asked again later
        number = draw[:2]
        while number in port.pending:
            number = self._draw()[:2]
        query.port, query.number = port, number
        port.pending[number] = query
        try:
            port.sock.send(self.message(query))
        except OSError:
            pass  # asked again later
        port.left -= 1
        if not port.left:
            self._retire(port)

    def message(self, query: ForwardQuery) -> bytes:
        """What is sent."""
        head = _HEAD_CD if query.checking_disabled else _HEAD
        return query.number + head + query.question + (_OPT_DO if query.with_signatures else _OPT)

    def fits(self, query: ForwardQuery, reply: bytes) -> bool:
        """Whether a reply answers this query."""
        return _answers(reply, query.question)

    def _draw(self) -> bytes:
        if self._at + 3 > len(self._random):
            self._random, self._at = os.urandom(3 * 512), 0
        drawn = self._random[self._at : self._at + 3]
        self._at += 3
        return drawn

    # Sockets.

    def _port(self, server: int, place: int) -> Port | None:
        port = self._ports[server][place]
        if port is not None:
            return port
        host = self._servers[server]
        sock = socket.socket(socket.AF_INET6 if ":" in host[0] else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.connect(host)
        except OSError:
            sock.close()
            return None
        port = self._ports[server][place] = Port(sock, server)
        self._watch(port)
        return port

    def _retire(self, port: Port) -> None:
        """Use a socket for nothing new; it is closed when nothing is on it."""
        places = self._ports[port.server]
        if port in places:
            places[places.index(port)] = None
        if not port.pending:
            self._unwatch(port)
            port.sock.close()

    def close(self) -> None:
        """Close all sockets; nobody gets an answer any more."""
        for places in self._ports:
            for port in places:
                if port is not None:
                    self._unwatch(port)
                    port.sock.close()
        for query in self._queries.values():
            if query.port is not None and query.port.sock.fileno() >= 0:
                self._unwatch(query.port)
                query.port.sock.close()
        self._queries.clear()
        self._due.clear()
        self._ports = [[None] * PORTS for _ in self._servers]

    # Answers.

    def receive(self, port: Port, now: float) -> None:
        """Read what has come to a socket."""
        receive = port.sock.recv
        for _ in range(BATCH):
            try:
                reply = receive(LONGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._refused(port, now)
                return
            query = port.pending.get(reply[:2])
            if query is None or not _answers(reply, query.question):
                self._forged(port)
            else:
                self._take(port, query, reply, now)
            if port.sock.fileno() < 0:
                return

    def _take(self, port: Port, query: ForwardQuery, reply: bytes, now: float) -> None:
        self._leave(query)
        if reply[2] & 2:
            self._by_stream(query)
            return
        self.failures[port.server] = 0
        self.deliver(query, reply, now)

    def deliver(self, query: ForwardQuery, reply: bytes, now: float) -> None:
        """Take a reply that is whole and answers the query."""
        entry = make_entry(reply, self._answers.now, False, True, _MOST_TTL)
        if entry is None:
            entry = _entry_of_another_order(reply, self._answers.now)
        if entry is None or (reply[3] & 15) not in _CODES_KEPT:
            query.last = entry or query.last
            self.try_again(query, now)
            return
        self._answers.insert(query.key, entry)
        self.finish(query, entry)

    def finish(self, query: ForwardQuery, entry: Entry | None) -> None:
        """Tell all who wait; None: there is no answer."""
        if query.done:
            return
        query.done = True
        self._leave(query)
        self._queries.pop(query.key, None)
        answers = self._answers
        for number, question, form, respond in query.waiters:
            if entry is None:
                head = bytes((0x80 | form.index & 1, 0x82)) + (b"\0\1\0\0\0\0\0\1" if form.opt else b"\0\1\0\0\0\0\0\0")
                respond(number + head + question + form.opt)
            else:
                respond(number + answers.assemble(entry, form, question))
        for ending in query.endings:
            ending(entry)

    def _leave(self, query: ForwardQuery) -> None:
        port = query.port
        if port is None:
            return
        query.port = None
        port.pending.pop(query.number, None)
        if not port.pending and port not in self._ports[port.server] and port.sock.fileno() >= 0:
            self._unwatch(port)
            port.sock.close()

    def _forged(self, port: Port) -> None:
        port.forged += 1
        if port.forged == MOST_FORGED:
            self._retire(port)

    def _refused(self, port: Port, now: float) -> None:
        """ICMP says that nobody listens there: ask another server at once."""
        self._failed(port.server)
        for query in list(port.pending.values()):
            self._leave(query)
            self.try_again(query, now)

    # Time.

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do."""
        return self._due[0].due if self._due else None

    def handle_timeout(self, now: float) -> None:
        """Ask again what has no answer yet."""
        due = self._due
        while due and due[0].due <= now:
            query = due.popleft()
            if query.done or query.due > now:
                continue
            self._failed(query.server)
            self._leave(query)
            self.try_again(query, now)

    def try_again(self, query: ForwardQuery, now: float) -> None:
        """Ask the next server, or end with what there is."""
        if query.done:
            return
        if query.tries >= max(TRIES, len(self._servers)):
            self.finish(query, query.last)
            return
        if query.last is not None and query.tries >= len(self._servers):
            self.finish(query, query.last)
            return
        query.server = (query.server + 1) % len(self._servers)
        self._send(query, now)

    def _failed(self, server: int) -> None:
        """A server that does not answer is asked after the others."""
        self.failures[server] += 1
        if server == self._first and self.failures[server] >= 3:
            self._first = min(range(len(self._servers)), key=lambda one: self.failures[one])


def _entry_of_another_order(reply: bytes, now: int) -> Entry | None:
    """The entry of a reply whose OPT record is not the last one; None for one that cannot be read."""
    try:
        message = Message(reply)
        more = [record for record in message.additional if record.type != OPT]
        plain = pack(0, message.flags, message.question, message.answer, message.authority, more)
    except Malformed:
        return None
    return make_entry(plain, now, False, True, _MOST_TTL)


def _answers(reply: bytes, question: bytes) -> bool:
    """Whether it is a response with this question; one that has failed may have none."""
    if len(reply) < 12 or reply[2] & 0xF8 != 0x80:
        return False
    if reply[4:6] == b"\0\1":
        return reply[12 : 12 + len(question)] == question
    return reply[4:6] == b"\0\0" and reply[3] & 15 != 0
