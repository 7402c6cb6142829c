"""Packets of entries to bytes: queries of clients, and ADJUSTed answers of servers."""

from __future__ import annotations

import struct
from typing import Final

from catenet.testing.rpl.syntax import Dialect, Entry, Packet
from catenet.wire.dns.edns import DNSSEC_OK, Edns, edns_to_record
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.name import skip_name

__all__ = ["make_query", "make_replies"]

_DECKARD_PAYLOAD: Final = 4096
_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!HH")


def make_query(packet: Packet, number: int, dialect: Dialect) -> bytes:
    """The message that a client sends; `number` is its id."""
    if packet.raw is not None:
        return packet.raw
    return _pack(packet, number, packet.question, _edns(packet, dialect))


def make_replies(entry: Entry, query: Message, dialect: Dialect) -> list[bytes]:
    """The messages that a server answers a query with, first to last; several only make sense on a stream."""
    if "do_not_answer" in entry.adjust:
        return []
    return [_make_reply(entry, packet, query, dialect) for packet in entry.packets]


def _make_reply(entry: Entry, packet: Packet, query: Message, dialect: Dialect) -> bytes:
    # Testbound's network gives every query the id 0: an entry that does not copy the id is answered with the right one.
    copy_id = dialect is Dialect.UNBOUND or bool(entry.adjust & {"copy_id", "raw_id"})
    if packet.raw is not None:
        return _adjust_raw(packet.raw, query, copy_id, "copy_query" in entry.adjust)
    question, asked = packet.question, query.question
    if "copy_query" in entry.adjust:
        question = asked or question
    elif copy_id and question is not None and asked is not None and dialect is Dialect.DECKARD:
        question = question._replace(name=asked.name)  # as Deckard does, so that 0x20 works
    elif question is not None and asked is not None and question.name.lower() == asked.name.lower():
        question = question._replace(name=asked.name)
    edns = _edns(packet, dialect)
    if dialect is Dialect.DECKARD and entry.adjust & {"copy_id", "copy_query"}:
        edns = None if query.edns is None else Edns(flags=query.edns.flags, options=_options(packet.edns_data))
    return _pack(packet, query.id if copy_id else 0, question, edns)


def _adjust_raw(raw: bytes, query: Message, copy_id: bool, copy_query: bool) -> bytes:
    """Bytes as they are, but for the id, and the question where there is one (testbound)."""
    if copy_id and len(raw) >= 2:
        raw = query.data[:2] + raw[2:]
    if copy_query and len(raw) > _HEADER.size and raw[4:6] == b"\0\1" and query.question is not None:
        end = skip_name(raw, _HEADER.size) + 4
        raw = raw[: _HEADER.size] + query.data[_HEADER.size : query.questions_end] + raw[end:]
    return raw


def _pack(packet: Packet, number: int, question: Question | None, edns: Edns | None) -> bytes:
    """The message without compression, so that data which is not that of its type goes out as it stands."""
    tail = b"" if edns is None else edns_to_record(edns)
    sections = (packet.answer, packet.authority, packet.additional)
    counts = [len(section) for section in sections]
    counts[2] += bool(tail)
    body = b"" if question is None else question.name + _QUESTION.pack(question.type, question.rclass)
    body += b"".join(record.source for section in sections for record in section)
    return _HEADER.pack(number, packet.flags, question is not None, *counts) + body + tail


def _edns(packet: Packet, dialect: Dialect) -> Edns | None:
    flags = DNSSEC_OK if packet.dnssec_ok else 0
    if dialect is Dialect.DECKARD:
        return Edns(_DECKARD_PAYLOAD, flags, _options(packet.edns_data))
    if packet.dnssec_ok or packet.edns_data is not None:
        return Edns(flags=flags, options=_options(packet.edns_data))
    return None


def _options(data: bytes | None) -> tuple[tuple[int, bytes], ...]:
    """Options in wire format as pairs; what does not fit is taken as it is."""
    found, at = [], 0
    data = data or b""
    while at + 4 <= len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + size]))
        at += 4 + size
    return tuple(found)
