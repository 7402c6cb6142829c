"""Two ends of a transfer and a network between them that loses, repeats and delays, in virtual time."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from itertools import count

from catenet.net.segments import Segments
from catenet.tftp import TftpError, Transfer, Wishes
from catenet.tftp.options import grant
from catenet.tftp.packets import RRQ, WRQ, opcode_of, parse_request
from catenet.tftp.transfer import Ended

__all__ = ["Address", "Fate", "Pipe"]

CLIENT, SERVER, WELL_KNOWN = "c:1", "s:2", "s:69"


@dataclass(frozen=True)
class Address:
    """A peer as cores see it."""

    name: str


@dataclass
class Fate:
    """What happens to packets. Seconds; `overtaken`: part of packets that are late by up to `late`."""

    loss: float = 0.0
    twice: float = 0.0
    overtaken: float = 0.0
    delay: float = 0.01
    late: float = 0.005


@dataclass
class Pipe:
    """A client that asks a server; `got` is what arrived, `ended` how it was for `client` and `server`."""

    seed: int
    data: bytes
    wishes: Wishes
    fate: Fate = field(default_factory=Fate)
    writes: bool = False
    most: Wishes = field(default_factory=lambda: Wishes(65_464, 64))

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = 0.0
        self.sent = 0
        self.got = bytearray()
        self.ended: dict[str, TftpError | None] = {}
        size = len(self.data) if self.writes else None
        self.client = Transfer.ask(Address(WELL_KNOWN), "f", "octet", self.wishes, 0.0, writes=self.writes, size=size)
        self.server: Transfer | None = None
        self._fed: set[Transfer] = set()
        self._queue: list[tuple[float, int, str, bytes]] = []
        self._numbers = count()

    @property
    def ends(self) -> list[tuple[str, Transfer]]:
        """Those that are there."""
        return [("client", self.client), *([] if self.server is None else [("server", self.server)])]

    def run(self, most_steps: int = 3_000_000) -> None:
        """Go on until both ends have ended."""
        for _ in range(most_steps):
            for who, end in self.ends:
                self._serve(who, end)
            if len(self.ended) == 2 or ("client" in self.ended and self.server is None):
                return
            self._step()
        raise AssertionError(f"no end: {self.ended}")

    def _serve(self, who: str, end: Transfer) -> None:
        """Do what the program above does, and send."""
        while (event := end.next_event()) is not None:
            if isinstance(event, Ended):
                self.ended[who] = event.error
        if end.sender is not None and end not in self._fed:
            self._fed.add(end)
            end.sender.feed(self.data)
            end.sender.end()
        if end.receiver is not None:
            self.got += b"".join(end.receiver.take())
            if end.receiver.ended and not end.receiver.released:
                end.receiver.release()
        while packets := end.transmit(self.now):
            for packet, _ in packets:
                for one in packet if isinstance(packet, Segments) else [packet]:
                    self.send(who, one)
        while (event := end.next_event()) is not None:
            if isinstance(event, Ended):
                self.ended[who] = event.error

    def send(self, who: str, packet: bytes) -> None:
        """Give a packet of `who` to the network."""
        self.sent += 1
        fate, rng = self.fate, self.random
        for _ in range(1 + (rng.random() < fate.twice)):
            if rng.random() >= fate.loss:
                at = self.now + fate.delay + (rng.random() * fate.late if rng.random() < fate.overtaken else 0)
                heapq.heappush(self._queue, (at, next(self._numbers), who, packet))

    def _step(self) -> None:
        deadlines = [due for _, end in self.ends if (due := end.next_deadline()) is not None]
        due = min(deadlines, default=None)
        if self._queue and (due is None or self._queue[0][0] <= due):
            self.now, _, who, packet = heapq.heappop(self._queue)
            self._arrive(who, packet)
        elif due is not None:
            self.now = max(self.now, due)
            for _, end in self.ends:
                end.handle_timeout(self.now)
        else:
            raise AssertionError(f"both ends wait for ever: {self.ended}")

    def _arrive(self, who: str, packet: bytes) -> None:
        if who == "server":
            self.client.receive(packet, Address(SERVER), self.now)
        elif opcode_of(packet) in (RRQ, WRQ):
            if self.server is None:
                size = None if self.writes else len(self.data)
                granted, said = grant(parse_request(packet).options, self.most, size, self.writes)
                self.server = Transfer.answer(Address(CLIENT), granted, said, self.now, writes=not self.writes)
        elif self.server is not None:
            self.server.receive(packet, Address(CLIENT), self.now)
