"""What a scenario is played against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from catenet.wire.dns.stub import Server

__all__ = ["Client", "Outgoing", "Subject"]


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: its address, the transport (`udp` or `tcp`), and a number of our own."""

    address: bytes
    transport: str
    number: int


class Outgoing(Protocol):
    """A query on its way to a server."""

    @property
    def token(self) -> int:
        """By which what comes of it is told."""

    @property
    def server(self) -> Server:
        """To whom."""

    @property
    def transport(self) -> str:
        """How: `udp`, `tcp` or `tls`."""

    @property
    def data(self) -> bytes:
        """The message."""


class Subject(Protocol):
    """A resolver as a scenario sees it: messages of clients in and out, exchanges with servers, deadlines, files."""

    def ask(self, client: Client, data: bytes, now: float) -> None:
        """A client's message has come."""

    def replies(self, now: float) -> Iterable[tuple[Client, bytes]]:
        """Messages to clients that are ready."""

    def notes(self) -> Iterable[str]:
        """What it has to say of its answers, for people."""

    def transmit(self, now: float) -> Sequence[Outgoing]:
        """Exchanges that begin."""

    def finished(self) -> Iterable[int]:
        """Tokens of exchanges that are of no more interest."""

    def receive(self, token: int, data: bytes, now: float) -> None:
        """An answer to an exchange has come."""

    def fail(self, token: int, now: float) -> None:
        """An exchange has failed: its server cannot be reached."""

    def next_deadline(self) -> float | None:
        """When time does something by itself."""

    def handle_timeout(self, now: float) -> None:
        """That time has come."""

    def anchor_file(self, name: str) -> str:
        """What the file of trust anchors of this name says now."""

    def zone_file(self, name: str) -> str:
        """What the zone file of this name says now."""
