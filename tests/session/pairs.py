"""A client and a server of sessions without a network: connections that are cut at any byte, repeated, overtaken."""

from __future__ import annotations

import hashlib
import math

from catenet.session.core import Options, Session
from catenet.session.link import Link
from catenet.session.opening import ClientLink, client_session
from catenet.session.table import Table, Terms

Cuts = tuple[int | None, int | None]
SOON = 0.05
"""Seconds: more than acknowledgements wait, less than any heartbeat."""


class Entropy:
    """Random bytes, the same for the same seed; small when it is pickled."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, size: int) -> bytes:
        self._calls += 1
        return hashlib.shake_128(b"%d %d" % (self._seed, self._calls)).digest(size)


class Wire:
    """A connection: bytes on their way in both directions. `cuts`: how many may still arrive in each."""

    def __init__(self, client: Link, server: Link, now: float, cuts: Cuts = (None, None), channel: bytes = b"") -> None:
        self.ends = [client, server]
        self.cuts: list[int | None] = list(cuts)
        self.flight = [bytearray(), bytearray()]
        self.passed = [bytearray(), bytearray()]
        self.open = True
        server.begin(now, channel)
        client.begin(now, channel)

    def pull(self, side: int, now: float) -> bool:
        """Take what one end has to send."""
        moved = False
        while self.open and (data := self.ends[side].transmit(now)):
            self.flight[side] += data
            moved = True
        return moved

    def push(self, side: int, now: float, most: int | None = None) -> bool:
        """Let what is on its way arrive at the other end."""
        data = bytes(self.flight[side][:most])
        del self.flight[side][: len(data)]
        room = self.cuts[side]
        cut = room is not None and len(data) >= room
        if cut:
            data = data[:room]
        elif room is not None:
            self.cuts[side] = room - len(data)
        if data:
            self.passed[side] += data
            self.ends[1 - side].receive(data, now)
        if cut:
            self.cut(now)
        return bool(data)

    def cut(self, now: float) -> None:
        if self.open:
            self.open = False
            for end in self.ends:
                end.lost(now)

    def turn(self, now: float, most: int | None = None) -> bool:
        """Both ends once; whether anything has moved."""
        moved = False
        for side in (0, 1):
            moved |= self.pull(side, now)
            if self.open and self.flight[side]:
                moved |= self.push(side, now, most)
            if self.open and self.ends[side].closed and not self.flight[side]:
                self.push_rest(1 - side, now)
                self.cut(now)
        return moved

    def push_rest(self, side: int, now: float) -> None:
        if self.open and self.flight[side]:
            self.push(side, now)


class Pair:
    """A client's session, a server's table, programs at both ends, and connections between them."""

    def __init__(
        self, seed: int = 0, options: Options | None = None, terms: Terms | None = None, channel: bytes = b""
    ) -> None:
        self.options = options or Options()
        self.entropy = Entropy(seed)
        self.channel = channel
        self.opened: list[Session] = []
        self.table = Table(terms or Terms(self.options), self.entropy, self._open)
        self.client = client_session(self.options, self.entropy)
        self.wires: list[Wire] = []
        self.totals = [0, 0]  # bytes that have arrived over connections that are closed
        self.now = 0.0
        self.got = [bytearray(), bytearray()]  # what the client's program has read, and the server's

    def _open(self, session: Session) -> None:
        self.opened.append(session)
        self.table.grant(session)

    @property
    def server(self) -> Session | None:
        return self.opened[0] if self.opened else None

    def connect(self, cuts: Cuts = (None, None)) -> Wire:
        link = ClientLink(self.client, self.options, self.entropy)
        wire = Wire(link, self.table.link(), self.now, cuts, self.channel)
        self.wires.append(wire)
        return wire

    def read(self) -> None:
        for index, session in enumerate((self.client, self.server)):
            if session is not None:
                self.got[index] += session.read()

    def timers(self) -> None:
        for wire in self.wires:
            for end in wire.ends if wire.open else ():
                due = end.next_deadline()
                if due is not None and due <= self.now:
                    end.handle_timeout(self.now)

    def settle(self, step: float = 0.005, turns: int = 400, most: int | None = None) -> None:
        """Until nothing moves any more, and nothing is due soon."""
        moved = True
        for _ in range(turns):
            due = self.now + step if moved else self.next_deadline()
            if due > self.now + SOON:
                return
            self.now = due
            self.timers()
            moved = False
            for wire in self.wires:
                if wire.open:
                    moved |= wire.turn(self.now, most)
            for wire in [wire for wire in self.wires if not wire.open]:
                self.wires.remove(wire)
                self.totals = [total + len(passed) for total, passed in zip(self.totals, wire.passed, strict=True)]
            self.read()

    def next_deadline(self) -> float:
        """When one of the connections has something to do by itself."""
        ends = [end for wire in self.wires if wire.open for end in wire.ends]
        return min([due for end in ends if (due := end.next_deadline()) is not None], default=math.inf)
