"""Messages of multicast DNS (RFC 6762 18): several questions, and a bit of the class for each question and record."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from catenet.wire.dns.message import HEADER_LENGTH, read_records
from catenet.wire.dns.name import Known, fold, read_name, skip_name
from catenet.wire.dns.numbers import AA, ANY, IN, QR, TC
from catenet.wire.dns.rdata import canonical
from catenet.wire.dns.record import Record, make_record
from catenet.wire.dns.writer import Writer
from catenet.wire.errors import Malformed

__all__ = ["MOST_QUESTIONS", "Ask", "Item", "Key", "Packet", "read_packet", "write_packets"]

_TOP: Final = 0x8000
"""Of a question's class: a unicast answer will do; of a record's: the set is complete, forget older ones."""
_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!HH")
_OPCODE_AND_RCODE: Final = 0x780F
MOST_QUESTIONS: Final = 256
PAYLOAD: Final = 1440
"""Bytes of a message that fits a packet of 1500 bytes over either version of IP (RFC 6762 17)."""

Key = tuple[bytes, int]
"""Folded owner, and type."""


class Ask(NamedTuple):
    """A question; `unicast`: the answer may come by unicast (QU)."""

    name: bytes
    type: int
    unicast: bool = False

    @property
    def key(self) -> Key:
        """What its answers are found by."""
        return fold(self.name), self.type


class Item(NamedTuple):
    """A record of class IN. `flush`: its set is unique, and older data of it is to be forgotten (RFC 6762 10.2)."""

    name: bytes
    type: int
    ttl: int
    data: bytes
    flush: bool = False

    @property
    def key(self) -> Key:
        """The set that it is of."""
        return fold(self.name), self.type

    @property
    def identity(self) -> tuple[bytes, int, bytes]:
        """What two records have in common that are the same but for their TTL."""
        return fold(self.name), self.type, canonical(self.data, self.type)

    def answers(self, ask: Ask) -> bool:
        """Whether this is of what is asked for."""
        return ask.type in (self.type, ANY) and fold(self.name) == fold(ask.name)


@dataclass(slots=True)
class Packet:
    """A message as it came; records of other classes than IN are left out."""

    id: int
    flags: int
    questions: list[Ask]
    answers: list[Item] = field(default_factory=list)
    authority: list[Item] = field(default_factory=list)
    additional: list[Item] = field(default_factory=list)

    @property
    def is_response(self) -> bool:
        """Whether it answers."""
        return bool(self.flags & QR)

    @property
    def is_cut(self) -> bool:
        """Whether more known answers follow."""
        return bool(self.flags & TC)


def read_packet(data: bytes) -> Packet:
    """Read a message. Raises Malformed; also for another opcode than QUERY, and for more than 256 questions."""
    if len(data) < HEADER_LENGTH:
        raise Malformed("dns: message shorter than its header")
    number, flags, questions, *counts = _HEADER.unpack_from(data)
    if flags & _OPCODE_AND_RCODE:
        raise Malformed("mdns: opcode or response code is not 0")  # RFC 6762 18.3, 18.11
    if questions > MOST_QUESTIONS:
        raise Malformed("mdns: too many questions")
    asks, at = [], HEADER_LENGTH
    for _ in range(questions):
        name, at = read_name(data, at), skip_name(data, at) + 4
        if at > len(data):
            raise Malformed("dns: question is cut off")
        kind, rclass = _QUESTION.unpack_from(data, at - 4)
        if rclass & ~_TOP in (IN, ANY):
            asks.append(Ask(name, kind, bool(rclass & _TOP)))
    sections = []
    known: Known = {}
    for count in counts:
        records, at = read_records(data, at, count, known)
        sections.append([_item(record) for record in records if record.rclass & ~_TOP == IN])
    return Packet(number, flags, asks, *sections)


def _item(record: Record) -> Item:
    return Item(record.name, record.type, record.ttl, record.data, bool(record.rclass & _TOP))


def write_packets(
    questions: Sequence[Ask],
    answers: Sequence[Item] = (),
    authority: Sequence[Item] = (),
    additional: Sequence[Item] = (),
    *,
    response: bool = False,
    number: int = 0,
) -> list[bytes]:
    """Write as many messages as it takes; a record that is longer than a packet gets one of its own.

    Known answers that do not fit a query follow in messages without questions, announced by TC (RFC 6762 7.2).
    Additional records that do not fit are left out.
    """
    done: list[bytes] = []
    left, asked = list(answers), list(questions)
    while True:
        writer = Writer(HEADER_LENGTH)
        count = 0
        while asked and (not count or writer.size + len(asked[0].name) + 4 <= PAYLOAD):
            ask = asked.pop(0)
            writer.name(ask.name)
            writer.raw(_QUESTION.pack(ask.type, IN | (_TOP if ask.unicast else 0)))
            count += 1
        written = 0 if asked else _write(writer, left, bool(count))
        left = left[written:]
        authorities = additionals = 0
        if not left and not asked:
            authorities = _write(writer, authority, True)
            additionals = _write(writer, additional, True)
        flags = QR | AA if response else TC if left and not asked else 0
        done.append(_HEADER.pack(number, flags, count, written, authorities, additionals) + writer.bytes())
        if not left and not asked:
            return done


def _write(writer: Writer, items: Sequence[Item], begun: bool) -> int:
    """Write what fits, at least one into a message that is empty; returns how many."""
    for count, item in enumerate(items):
        mark = writer.size
        rclass = IN | (_TOP if item.flush else 0)
        record = make_record(item.name, item.type, item.ttl, item.data, rclass)
        writer.record(record, item.name, item.type)
        if writer.size > PAYLOAD and (begun or count):
            writer.cut(mark)
            return count
    return len(items)
