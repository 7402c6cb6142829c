"""DNS messages (RFC 1035 4.1): read lazily, written with compression.

Reading walks a message once and notes where its records are; names and data are made when they are asked for, as most
are never looked at. So a message whose structure is right can still have records that are not: `Record.name` and
`Record.data` raise Malformed then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from catenet.wire.dns.edns import Edns, edns_from_record, edns_to_record
from catenet.wire.dns.name import Known, fold, read_name, skip_name
from catenet.wire.dns.numbers import OPT, TC
from catenet.wire.dns.record import HEAD_LENGTH, Record
from catenet.wire.dns.writer import Writer
from catenet.wire.errors import Malformed

__all__ = [
    "HEADER_LENGTH",
    "Message",
    "Question",
    "is_same_question",
    "pack",
    "parse",
    "parse_reply",
    "read_records",
]

HEADER_LENGTH: Final = 12
_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!HH")


class Question(NamedTuple):
    """What is asked for: a name in wire format, type and class."""

    name: bytes
    type: int
    rclass: int = 1


def is_same_question(first: Question, second: Question) -> bool:
    """Whether both ask for the same; the case of the name does not matter (RFC 4343)."""
    return (fold(first.name), *first[1:]) == (fold(second.name), *second[1:])


class Message:
    """A message as it came.

    Attributes:
        data: all of its bytes.
        id: number by which an answer finds its question.
        flags: the second word of the header: bits, opcode, low bits of the response code.
        answer, authority, additional: the records of each section, EDNS's among the last.
        questions_end: offset behind the question section.
    """

    __slots__ = ("_edns", "_question", "additional", "answer", "authority", "data", "flags", "id", "questions_end")

    def __init__(self, data: bytes, with_records: bool = True) -> None:
        if len(data) < HEADER_LENGTH:
            raise Malformed("dns: message shorter than its header")
        self.data = data
        self.id: int
        self.flags: int
        self.id, self.flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
        if questions > 1:
            raise Malformed("dns: more than one question")  # RFC 9619
        at = HEADER_LENGTH
        if questions:
            at = skip_name(data, at) + 4
            if at > len(data):
                raise Malformed("dns: question is cut off")
        self.questions_end = at
        if not with_records:
            answers = authorities = additionals = 0
        known: Known = {}
        self.answer, at = read_records(data, at, answers, known)
        self.authority, at = read_records(data, at, authorities, known)
        self.additional, at = read_records(data, at, additionals, known)
        if at != len(data) and with_records:
            raise Malformed("dns: bytes behind the last record")
        self._question: Question | None = None
        self._edns: Edns | None = None

    @property
    def question(self) -> Question | None:
        """What was asked, None in a message without a question."""
        if self._question is None and self.questions_end > HEADER_LENGTH:
            data, end = self.data, self.questions_end
            kind, rclass = _QUESTION.unpack_from(data, end - 4)
            self._question = Question(read_name(data, HEADER_LENGTH), kind, rclass)
        return self._question

    @property
    def edns(self) -> Edns | None:
        """What the OPT record says (RFC 6891); Malformed when there are two, or one is wrong."""
        if self._edns is None:
            found = [record for record in self.additional if record.type == OPT]
            if len(found) > 1:
                raise Malformed("dns: two OPT records")
            if found:
                self._edns = edns_from_record(found[0])
        return self._edns

    @property
    def opcode(self) -> int:
        """Kind of request: 0 is a query."""
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        """Response code, with the high bits that EDNS has for it (RFC 6891 6.1.3)."""
        low = self.flags & 15
        edns = self.edns
        return low if edns is None else edns.extended_rcode << 4 | low


def parse(data: bytes) -> Message:
    """Read a message. Raises Malformed for a structure that is not as the header says, and for several questions."""
    return Message(data)


def parse_reply(data: bytes) -> Message:
    """As `parse`, but of an answer that says that it was cut (TC), which may be anywhere, no records are read."""
    return Message(data, with_records=not (len(data) > 2 and data[2] & TC >> 8))


def read_records(data: bytes, at: int, count: int, known: Known) -> tuple[list[Record], int]:
    """The next `count` records at `at`, and the offset behind them; `known`: names of the message that were read.

    Raises Malformed when one is cut off.
    """
    records, size = [], len(data)
    for _ in range(count):
        head = skip_name(data, at)
        end = head + HEAD_LENGTH
        if end > size:
            raise Malformed("dns: record is cut off")
        end += data[end - 2] << 8 | data[end - 1]
        if end > size:
            raise Malformed("dns: record data is cut off")
        records.append(Record(data, at, head, end, known))
        at = end
    return records, at


def pack(
    number: int,
    flags: int,
    question: Question | None,
    answer: Sequence[Record] = (),
    authority: Sequence[Record] = (),
    additional: Sequence[Record] = (),
    edns: Edns | None = None,
    limit: int = 65_535,
    glue: int = 0,
) -> bytes:
    """Write a message of at most `limit` bytes.

    What does not fit is left out by whole record sets, from the end. Without one of the answer or authority section the
    message says that it was cut (TC, RFC 2181 9); additional records are a courtesy, but for the first `glue` of them
    (RFC 9471 3). The OPT record always fits.

    Raises:
        ValueError: `limit` is too small for header, question and OPT record.
    """
    tail = b"" if edns is None else edns_to_record(edns)
    writer = Writer(HEADER_LENGTH)
    if question is not None:
        writer.name(question.name)
        writer.raw(_QUESTION.pack(question.type, question.rclass))
    room = limit - len(tail)
    if writer.size > room:
        raise ValueError(f"a limit of {limit} bytes has no room for the question")
    answers, whole = _write(writer, answer, room)
    authorities = additionals = 0
    if whole:
        authorities, whole = _write(writer, authority, room)
    if not whole:
        flags |= TC
    else:
        additionals, _ = _write(writer, additional, room)
        if additionals < glue:
            flags |= TC
    counts = (0 if question is None else 1, answers, authorities, additionals + (1 if tail else 0))
    return _HEADER.pack(number, flags, *counts) + writer.bytes() + tail


def _write(writer: Writer, records: Iterable[Record], room: int) -> tuple[int, bool]:
    """Write the record sets that fit; returns how many records those are, and whether they are all."""
    written = set_start = 0
    mark = writer.size
    key: tuple[bytes, int, int] | None = None
    for count, record in enumerate(records):
        name, kind = record.name, record.type
        current = (name, kind, record.rclass)
        if current != key:
            key, set_start, mark = current, count, writer.size
        writer.record(record, name, kind)
        if writer.size > room:
            writer.cut(mark)
            return set_start, False
        written = count + 1
    return written, True
