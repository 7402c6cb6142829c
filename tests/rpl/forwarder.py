"""A resolver that does as little as one can: it asks one server, twice by UDP, and passes the answer on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catenet.testing.rpl.subject import Client
from catenet.wire.dns.message import Message, pack, parse
from catenet.wire.dns.numbers import QR, RA, RD, SERVFAIL
from catenet.wire.dns.stub import Server

SERVER = Server(bytes((192, 0, 2, 1)))
TIMEOUT = 3.0
ATTEMPTS = 2


@dataclass
class Sent:
    token: int
    server: Server
    transport: str
    data: bytes


@dataclass
class Open:
    client: Client
    query: Message
    deadline: float
    attempts: int = 1


class Forwarder:
    """Implements `Subject`; `files` is what its files say."""

    def __init__(self, server: Server = SERVER, files: dict[str, str] | None = None) -> None:
        self.server = server
        self.files = files or {}
        self.open: dict[int, Open] = {}
        self.outgoing: list[Sent] = []
        self.answers: list[tuple[Client, bytes]] = []
        self.ended: list[int] = []
        self.count = 0

    def ask(self, client: Client, data: bytes, now: float) -> None:
        self._send(Open(client, parse(data), now + TIMEOUT))

    def _send(self, one: Open) -> None:
        self.count += 1
        self.open[self.count] = one
        data = pack(self.count, RD, one.query.question, edns=one.query.edns)
        self.outgoing.append(Sent(self.count, self.server, one.client.transport, data))

    def replies(self, now: float) -> Iterable[tuple[Client, bytes]]:
        answers, self.answers = self.answers, []
        return answers

    def notes(self) -> Iterable[str]:
        return ()

    def transmit(self, now: float) -> Sequence[Sent]:
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def finished(self) -> Iterable[int]:
        ended, self.ended = self.ended, []
        return ended

    def receive(self, token: int, data: bytes, now: float) -> None:
        one = self.open.get(token)
        if one is None or int.from_bytes(data[:2], "big") != token:
            return
        del self.open[token]
        flags = int.from_bytes(data[2:4], "big") | RA
        self.answers.append((one.client, one.query.data[:2] + flags.to_bytes(2, "big") + data[4:]))

    def fail(self, token: int, now: float) -> None:
        one = self.open.pop(token)
        self.answers.append((one.client, pack(one.query.id, QR | RD | RA | SERVFAIL, one.query.question)))

    def next_deadline(self) -> float | None:
        return min((one.deadline for one in self.open.values()), default=None)

    def handle_timeout(self, now: float) -> None:
        for token, one in list(self.open.items()):
            if one.deadline > now:
                continue
            if one.attempts == ATTEMPTS:
                self.fail(token, now)
            else:
                del self.open[token]
                self._send(Open(one.client, one.query, now + TIMEOUT, one.attempts + 1))
            self.ended.append(token)

    def anchor_file(self, name: str) -> str:
        return self.files[name]

    zone_file = anchor_file
