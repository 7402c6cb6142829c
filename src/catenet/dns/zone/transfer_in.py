"""Zones from primaries: AXFR (RFC 5936) and IXFR (RFC 1995), message by message."""

from __future__ import annotations

import enum
from typing import Final

from catenet.dns.rrset import records_of
from catenet.dns.zone.difference import Difference, Entry, apply, is_newer, serial_of
from catenet.dns.zone.gathering import ZoneBuilder
from catenet.dns.zone.tsig import TsigContext, TsigFailure, TsigKey
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import Message, Question, is_same_question, pack, parse
from catenet.wire.dns.name import name_to_text
from catenet.wire.dns.numbers import AXFR, IXFR, NOERROR, QR, SOA, TC, rcode_to_text
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["TransferError", "TransferIn", "TransferResult"]

MOST_BYTES: Final = 2 << 30
"""Of messages of one transfer, unless said otherwise."""


class TransferError(Exception):
    """A transfer that came to nothing; `rcode` is that of the primary if it refused, else None."""

    def __init__(self, reason: str, rcode: int | None = None) -> None:
        super().__init__(reason)
        self.rcode = rcode


class TransferResult(enum.Enum):
    """What a transfer brought."""

    CURRENT = "current"
    """There is nothing newer."""
    CHANGED = "changed"
    """Differences, which were applied."""
    WHOLE = "whole"
    """A new zone."""


class _Style(enum.Enum):
    UNKNOWN = 0
    """Only the first SOA record has come."""
    WHOLE = 1
    INCREMENTAL = 2


class TransferIn:
    """One transfer: the query, and the messages that answer it.

    After `receive` has returned True there is a `result`, and `commit` makes the zone that it leads to: a transfer
    which breaks off leaves nothing behind. `changes` are the differences that came, if they were asked for.
    """

    def __init__(
        self,
        origin: bytes,
        number: int,
        current: Zone | None = None,
        key: TsigKey | None = None,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """A transfer of the zone `origin`.

        Args:
            origin: name of the zone.
            number: id of the query.
            current: the version that is here, whose differences are asked for; None asks for the whole zone.
            key: under which both sides sign.
            most_bytes: bytes of messages upon which the transfer is given up.
        """
        self.origin = origin
        self.result: TransferResult | None = None
        self.changes: list[Difference] = []
        self._current = current
        self._context = None if key is None else TsigContext(key)
        self._question = Question(origin, AXFR if current is None else IXFR)
        self._number = number
        self._left = most_bytes
        self._style = _Style.UNKNOWN
        self._first: Entry | None = None
        """The SOA record of the version that is sent."""
        self._builder = ZoneBuilder(origin)
        self._removed: list[Entry] = []
        self._added: list[Entry] = []
        self._is_adding = False
        self._messages = 0

    def query(self, wall: float) -> bytes:
        """The message that asks; `wall`: seconds since 1970."""
        soa = None if self._current is None else self._current.soa
        authority = [] if soa is None else records_of([soa])[:1]
        message = pack(self._number, 0, self._question, (), authority)
        return message if self._context is None else self._context.sign(message, wall)

    def receive(self, data: bytes, wall: float) -> bool:
        """The next message has come; returns whether it was the last. Raises TransferError."""
        if self.result is not None:
            raise TransferError("a message behind the end of the transfer")
        self._left -= len(data)
        if self._left < 0:
            raise TransferError("the zone is larger than what is taken")
        try:
            message = parse(data)
            self._check(message, wall)
            for record in message.answer:
                self._take(record)
        except Malformed as error:
            raise TransferError(str(error)) from None
        except TsigFailure as failure:
            raise TransferError(str(failure)) from None
        except ValueError as error:
            raise TransferError(str(error)) from None
        self._conclude_message()
        return self._is_done()

    def _is_done(self) -> bool:
        if self.result is not None and self._context is not None and not self._context.is_complete:
            self.result = None
            raise TransferError("the last message has no signature")
        return self.result is not None

    @property
    def is_incremental(self) -> bool:
        """Whether differences were asked for."""
        return self._question.type == IXFR

    @property
    def serial(self) -> int | None:
        """Of the version that is sent."""
        return None if self._first is None else serial_of(self._first.data)

    def commit(self) -> Zone:
        """The zone that the transfer leads to: a new one, or the current one with the changes made to it.

        Raises TransferError for differences that do not fit what is here; then the whole zone is to be asked for.
        """
        current = self._current
        if self.result is TransferResult.WHOLE or current is None:
            return self._builder.zone
        draft = current.copy() if len(self.changes) > 1 else current
        try:
            for change in self.changes:
                apply(draft, change)
        except ValueError as error:
            raise TransferError(f"differences that do not fit: {error}") from None
        return draft

    def _check(self, message: Message, wall: float) -> None:
        """A message of the answer at all (RFC 5936 2.2)."""
        if not message.flags & QR or message.id != self._number:
            raise TransferError("a message that answers another query")
        if self._context is not None:
            self._context.verify(message, wall)
        if message.rcode != NOERROR:
            raise TransferError(f"refused: {rcode_to_text(message.rcode)}", message.rcode)
        question = message.question
        if question is not None and not is_same_question(question, self._question):
            raise TransferError("a message that answers another question")
        if message.flags & TC:
            raise TransferError("a message that was cut")
        self._messages += 1

    def _take(self, record: Record) -> None:
        """The next record."""
        if self.result is not None:
            raise TransferError("records behind the last SOA record")
        entry = Entry(record.name, record.type, record.ttl, record.data)
        first = self._first
        if first is None:
            if entry.type != SOA or entry.name.lower() != self.origin.lower():
                raise TransferError(f"does not begin with the SOA record of {name_to_text(self.origin)}")
            self._first = entry
            self._builder.add(entry)
            return
        if self._style is _Style.UNKNOWN:
            self._find_style(entry, first)
        elif self._style is _Style.WHOLE:
            self._take_whole(entry, first)
        else:
            self._take_difference(entry, first)

    def _find_style(self, entry: Entry, first: Entry) -> None:
        """A second SOA record of another version begins differences (RFC 1995 4)."""
        is_older = entry.type == SOA and serial_of(entry.data) != serial_of(first.data)
        if is_older and self._question.type == IXFR:
            self._style = _Style.INCREMENTAL
            self._removed.append(entry)
        else:
            self._style = _Style.WHOLE
            self._take_whole(entry, first)

    def _take_whole(self, entry: Entry, first: Entry) -> None:
        if entry.type != SOA:
            self._builder.add(entry)
            return
        if serial_of(entry.data) != serial_of(first.data):
            raise TransferError("the last SOA record is not the first one")
        self._builder.finish()
        self.result = TransferResult.WHOLE

    def _take_difference(self, entry: Entry, first: Entry) -> None:
        if entry.type != SOA:
            (self._added if self._is_adding else self._removed).append(entry)
            return
        if not self._is_adding:
            self._is_adding = True
            self._added.append(entry)
            return
        self.changes.append(Difference(tuple(self._removed), tuple(self._added)))
        self._removed, self._added, self._is_adding = [entry], [], False
        if serial_of(entry.data) == serial_of(first.data) == self.changes[-1].after:
            self.result = TransferResult.CHANGED

    def _conclude_message(self) -> None:
        """An answer of one SOA record says that there is nothing newer (RFC 1995 2)."""
        first, current = self._first, self._current
        if first is None:
            raise TransferError("a message without records")
        if (
            self._style is _Style.UNKNOWN
            and current is not None
            and not is_newer(serial_of(first.data), current.serial)
        ):
            self.result = TransferResult.CURRENT
