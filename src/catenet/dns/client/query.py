"""What is asked and what comes back, without I/O: a query as it is sent, and which message answers it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from catenet.dns.options import COOKIE, padded, with_option
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse_reply
from catenet.wire.dns.numbers import RD
from catenet.wire.dns.record import Record
from catenet.wire.dns.stub import answers

__all__ = ["Cookies", "Query", "Reply", "Sent", "Signature"]

CLIENT_COOKIE: Final = 8
"""Bytes (RFC 7873 4)."""


class Signature(Protocol):
    """A shared secret under which one query and its answer are signed (TSIG, RFC 8945)."""

    def sign(self, query: bytes) -> bytes:
        """The query with its signature."""

    def verify(self, message: Message) -> None:
        """Check the next message of the answer. Raises Malformed with what is wrong with its signature."""

    @property
    def is_complete(self) -> bool:
        """Whether the last message had a signature, as the last one of an answer must."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask, and how.

    Attributes:
        question: what to ask; None sends a header alone.
        flags: bits of the header, opcode included (`catenet.wire.dns.numbers`).
        edns: what the OPT record says; None without it.
        authority: records of the authority section (the SOA of IXFR, RFC 1995 3).
        cookies: send the server's cookie, and one of ours (RFC 7873); needs `edns`.
        padding: pad to a multiple of so many bytes (RFC 7830, RFC 8467); 0 does not.
        take_cut: take an answer that was cut, instead of asking again by TCP.
        number: id of the message; None draws one.
        signature: makes what signs a query and checks its answer; None signs nothing.
    """

    question: Question | None
    flags: int = RD
    edns: Edns | None = None
    authority: tuple[Record, ...] = ()
    cookies: bool = False
    padding: int = 0
    take_cut: bool = False
    number: int | None = None
    signature: Callable[[], Signature] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the message, the URL that it came from, after how many seconds, and the query that it answers."""

    message: Message
    server: str
    seconds: float
    query: bytes = b""


@dataclass(slots=True)
class Cookies:
    """What we know of one server: our cookie for it, and the one that it has given."""

    ours: bytes = field(default_factory=lambda: secrets.token_bytes(CLIENT_COOKIE))
    theirs: bytes = b""

    def learn(self, message: Message) -> None:
        """Take the server's cookie out of a message that answers our query."""
        for code, value in () if message.edns is None else message.edns.options:
            if code == COOKIE and CLIENT_COOKIE * 2 <= len(value) <= CLIENT_COOKIE * 5:
                self.theirs = value[CLIENT_COOKIE:]


class Sent:
    """A query as it is sent.

    Args:
        query: what to ask.
        number: id of the message.
        cookies: of the server; None sends none.
    """

    def __init__(self, query: Query, number: int, cookies: Cookies | None) -> None:
        self.question = query.question
        self._cookies = cookies
        self._signature = None if query.signature is None else query.signature()
        self._count = 0
        edns = query.edns
        if edns is not None and cookies is not None:
            edns = with_option(edns, COOKIE, cookies.ours + cookies.theirs)

        def packed(edns: Edns | None) -> bytes:
            return pack(number, query.flags, query.question, authority=query.authority, edns=edns)

        data = packed(edns)
        if edns is not None and query.padding:
            data = packed(padded(edns, len(data), query.padding))
        self.data = data if self._signature is None else self._signature.sign(data)

    @property
    def is_complete(self) -> bool:
        """Whether what has come so far may be all of the answer."""
        return self._signature is None or self._signature.is_complete

    def answer(self, data: bytes) -> Message | None:
        """The message, if it answers this; anything else may be forged, and is to be ignored (RFC 5452 9.1).

        Messages after the first may leave the question out (RFC 5936 2.2.1). Raises Malformed.
        """
        query = self.data
        if data[:2] != query[:2]:
            return None
        message = parse_reply(data)
        asked, question = message.question, self.question
        if not answers(message.flags, query[2] >> 3 & 15) or not self._is_for_our_cookie(message):
            return None
        if asked is None:
            # Servers that cannot read a question leave it out of their error.
            if not self._count and question is not None and not message.flags & 15:
                return None
        elif question is not None and not is_same_question(asked, question):
            return None
        if self._signature is not None:
            self._signature.verify(message)
        _read_names(message)
        self._count += 1
        if self._cookies is not None:
            self._cookies.learn(message)
        return message

    def _is_for_our_cookie(self, message: Message) -> bool:
        """Whether a cookie in it, if there is one, begins with ours (RFC 7873 5.3)."""
        if self._cookies is None or message.edns is None:
            return True
        found = [value for code, value in message.edns.options if code == COOKIE]
        return all(value[:CLIENT_COOKIE] == self._cookies.ours for value in found)


def _read_names(message: Message) -> None:
    """See that the names in it and its OPT record can be read. Raises Malformed."""
    _ = message.edns
    for record in (*message.answer, *message.authority, *message.additional):
        _ = record.name
