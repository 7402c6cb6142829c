"""A protocol on datagrams, as small as one can be: what net/ makes a client and a server of."""

from __future__ import annotations

from collections import deque

from catenet.net import Peer, PlainDatagramCore

AGAIN = 0.25


class EchoCore(PlainDatagramCore):
    """Sends each datagram back to where it came from, three times if it says so; events are names of peers."""

    def __init__(self) -> None:
        self._out: deque[tuple[bytes, Peer]] = deque()
        self._names: deque[str] = deque()

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        self._out += [(data, peer)] * (3 if data.startswith(b"three") else 1)
        self._names.append(peer.name)

    def transmit(self, now: float) -> list[tuple[bytes, Peer]]:
        return [self._out.popleft()] if self._out else []

    def next_event(self) -> str | None:
        return self._names.popleft() if self._names else None


class AskCore(PlainDatagramCore):
    """Asks one thing at a time, again and again until the answer comes, which is the event."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._question = peer, b""
        self._due: float | None = None
        self._out: list[tuple[bytes, Peer]] = []
        self._answers: list[bytes] = []
        self.errors: list[type[OSError]] = []

    @property
    def idle(self) -> bool:  # type: ignore[override]
        return not self._question

    def ask(self, question: bytes, now: float) -> None:
        self._question = question
        self.handle_timeout(now)

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        if data == self._question and peer == self._peer:
            self._question, self._due = b"", None
            self._answers.append(data)

    def transmit(self, now: float) -> list[tuple[bytes, Peer]]:
        out, self._out = self._out, []
        return out

    def next_event(self) -> bytes | None:
        return self._answers.pop(0) if self._answers else None

    def next_deadline(self) -> float | None:
        return self._due

    def handle_timeout(self, now: float) -> None:
        self._out.append((self._question, self._peer))
        self._due = now + AGAIN

    def handle_error(self, error: OSError, now: float) -> None:
        self.errors.append(type(error))
