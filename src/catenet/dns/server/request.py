"""A query as a server sees it: who asks, over what, what, and what the answer must look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from catenet.dns.server.fast.form import LEAST_LIMIT, Form
from catenet.dns.zone.tsig import SignedRequest
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.name import fold
from catenet.wire.dns.numbers import AD, CD, QR, RD
from catenet.wire.errors import Malformed

__all__ = ["HTTPS", "QUIC", "TCP", "TLS", "UDP", "UNIX", "Request", "Stream", "Transport", "read_request"]

HEADER: Final = 12
FORMERR: Final = 1

Stream = Callable[[Iterator[bytes]], None]


@dataclass(frozen=True, slots=True)
class Transport:
    """How a query came. `verified`: its source is no forgery; `private`: nobody reads it on its way."""

    name: str
    verified: bool = True
    private: bool = False


UDP: Final = Transport("udp", verified=False)
TCP: Final = Transport("tcp")
TLS: Final = Transport("tls", private=True)
QUIC: Final = Transport("quic", private=True)
HTTPS: Final = Transport("https", private=True)
UNIX: Final = Transport("unix", private=True)


class Request:
    """One query.

    Attributes:
        message: the query.
        question: what is asked; a request of another opcode may have none.
        edns: its OPT record, None without.
        transport: how it came.
        address: of its client, "" over a Unix socket.
        respond: takes an answer that is not there at once; called once or never.
        limit: bytes of an answer.
        options: EDNS options that go into the answer.
        stream: takes an answer of many messages, where the transport has room for one.
        signed: its signature (TSIG), if it has one.
    """

    __slots__ = (
        "address",
        "edns",
        "limit",
        "message",
        "options",
        "port",
        "question",
        "respond",
        "signed",
        "stream",
        "transport",
    )

    def __init__(
        self, message: Message, transport: Transport, address: str, port: int, respond: Callable[[bytes], None]
    ) -> None:
        self.message = message
        self.question: Question | None = message.question
        self.edns: Edns | None = message.edns
        self.transport = transport
        self.address = address
        self.port = port
        self.respond = respond
        self.limit = 0
        self.options: list[tuple[int, bytes]] = []
        self.stream: Stream | None = None
        self.signed: SignedRequest | None = None

    @property
    def dnssec_ok(self) -> bool:
        """Whether signatures are wanted (DO)."""
        return self.edns is not None and bool(self.edns.flags & DNSSEC_OK)

    @property
    def recursion_desired(self) -> bool:
        """Whether it asks for recursion (RD)."""
        return bool(self.message.flags & RD)

    @property
    def checking_disabled(self) -> bool:
        """Whether the client validates by itself (CD)."""
        return bool(self.message.flags & CD)

    def option(self, code: int) -> bytes | None:
        """The data of the first EDNS option of that code."""
        if self.edns is None:
            return None
        return next((data for number, data in self.edns.options if number == code), None)

    def form(self, payload: int) -> Form:
        """What the answer looks like, with the options collected so far; `payload`: what our OPT record says."""
        flags = self.message.flags
        index = (1 if flags & RD else 0) | (2 if flags & CD else 0) | (4 if flags & AD or self.dnssec_ok else 0)
        opt = b""
        if self.edns is not None:
            index |= 8
            data = b"".join(
                [code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value for code, value in self.options]
            )
            extra = bytes((0, 0, 0x80 if self.dnssec_ok else 0, 0))
            opt = b"\0\0\x29" + payload.to_bytes(2, "big") + extra + len(data).to_bytes(2, "big") + data
        return Form(0, self.limit, self.prefix, index, opt)

    @property
    def prefix(self) -> bytes:
        """What the keys of its answers begin with, as `Form.prefix`."""
        flags = self.message.flags
        return bytes(((1 if flags & RD else 0) | (2 if flags & CD else 0) | (4 if self.dnssec_ok else 0),))

    def key(self, question: Question) -> bytes:
        """By what its answer is found."""
        return self.prefix + fold(question.name) + question.type.to_bytes(2, "big") + question.rclass.to_bytes(2, "big")

    def set_limit(self, most: int) -> None:
        """Take the least of what the client and this transport take, `most` bytes."""
        if self.transport is UDP:
            self.limit = min(max(LEAST_LIMIT if self.edns is None else self.edns.payload, LEAST_LIMIT), most)
        else:
            self.limit = most


def read_request(
    data: bytes, transport: Transport, address: str, port: int, respond: Callable[[bytes], None]
) -> Request | bytes | None:
    """A query; bytes: what is wrong with it (FORMERR); None: nothing that may be answered.

    A response is never answered, or two servers could talk to each other for ever.
    """
    if len(data) < HEADER or data[2] & QR >> 8:
        return None
    try:
        return Request(Message(data), transport, address, port, respond)
    except Malformed:
        # Id, opcode and RD come back; nothing else of it is understood.
        return data[:2] + bytes((0x80 | data[2] & 0x79, FORMERR)) + bytes(8)
