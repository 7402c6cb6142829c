"""Zones for secondaries: AXFR (RFC 5936) and IXFR (RFC 1995)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from catenet.dns.rrset import RRset, records_of
from catenet.dns.zone.difference import Difference, Entry, entries_of, is_newer, serial_of
from catenet.dns.zone.journal import Journal
from catenet.dns.zone.tsig import SignedRequest
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import HEADER_LENGTH, Message, pack
from catenet.wire.dns.numbers import AA, AXFR, FORMERR, IXFR, NOTAUTH, QR, RD, SOA
from catenet.wire.dns.record import make_record
from catenet.wire.dns.writer import Writer
from catenet.wire.errors import Malformed

__all__ = ["transfer_out"]

_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!HH")
MESSAGE_SIZE: Final = 16_384
"""Bytes of a message of a transfer: what compression reaches (RFC 1035 4.1.4)."""
_ROOM_FOR_TSIG: Final = 1024
LEAST_UDP: Final = 512


def transfer_out(
    zone: Zone | None,
    query: Message,
    *,
    journal: Journal | None = None,
    signed: SignedRequest | None = None,
    wall: float = 0.0,
    udp_limit: int | None = None,
) -> Iterator[bytes]:
    """The messages that answer a question for AXFR or IXFR. Who may ask is the caller's to decide.

    The zone is taken as it is when the first message is asked for; changes do not touch a transfer that has begun.

    Args:
        zone: the zone; None answers NOTAUTH.
        query: what was asked, by TCP unless `udp_limit` is given.
        journal: changes that IXFR can tell; without it, or when it does not reach back, the whole zone is sent.
        signed: the signature of the query, under whose key the answer is signed.
        wall: seconds since 1970, for signatures.
        udp_limit: bytes of a UDP message: an answer that does not fit into one is the SOA record alone, upon which
            TCP is tried (RFC 1995 2).
    """
    question = query.question
    soa = None if zone is None else zone.soa
    if zone is None or soa is None or question is None:
        rcode = FORMERR if question is None else NOTAUTH
        yield from _sealed([pack(query.id, _flags(query) & ~AA | rcode, question)], signed, wall)
        return
    if question.type == AXFR and udp_limit is not None:
        yield from _sealed([pack(query.id, _flags(query) & ~AA | FORMERR, question)], signed, wall)
        return
    records: Iterable[Entry]
    if question.type == IXFR:
        try:
            known = _known_serial(query)
        except Malformed:
            yield from _sealed([pack(query.id, _flags(query) & ~AA | FORMERR, question)], signed, wall)
            return
        records = _since(zone, soa, known, journal)
    else:
        records = _whole(zone, soa)
    if udp_limit is not None:
        yield from _sealed([_one_message(query, records, soa, udp_limit - _ROOM_FOR_TSIG * bool(signed))], signed, wall)
        return
    yield from _sealed(_messages(query, records), signed, wall)


def _flags(query: Message) -> int:
    return QR | AA | query.flags & RD


def _known_serial(query: Message) -> int:
    """The version that who asks has (RFC 1995 3)."""
    for record in query.authority:
        if record.type == SOA:
            data = record.data
            return serial_of(data)
    raise Malformed("dns: IXFR without SOA record")


def _since(zone: Zone, soa: RRset, known: int, journal: Journal | None) -> Iterable[Entry]:
    """What leads from a known version to this one: nothing but the SOA record if there is nothing newer."""
    ours = zone.serial
    if not is_newer(ours, known):
        return [next(entries_of(soa))]
    changes = None if journal is None else journal.since(known)
    if not changes or changes[-1].after != ours:
        return _whole(zone, soa)
    return _incremental(soa, changes)


def _incremental(soa: RRset, changes: list[Difference]) -> Iterator[Entry]:
    current = next(entries_of(soa))
    yield current
    for change in changes:
        yield from change.removed
        yield from change.added
    yield current


def _whole(zone: Zone, soa: RRset) -> Iterable[Entry]:
    return _entries(soa, list(zone.sets()))


def _entries(soa: RRset, sets: list[RRset]) -> Iterator[Entry]:
    yield from entries_of(soa)
    for one in sets:
        if one.type != SOA:
            yield from entries_of(one)
    yield next(entries_of(soa))


def _one_message(query: Message, records: Iterable[Entry], soa: RRset, limit: int) -> bytes:
    """All in one message; or the SOA record alone, if that is not enough room (RFC 1995 2)."""
    first = next(iter(messages := _messages(query, records, max(limit, LEAST_UDP))))
    if next(messages, None) is None:
        return first
    return pack(query.id, _flags(query), query.question, records_of([soa])[:1])


def _messages(query: Message, records: Iterable[Entry], size: int = MESSAGE_SIZE) -> Iterator[bytes]:
    """As many records in each message as fit; the question in the first (RFC 5936 2.2)."""
    question = query.question
    assert question is not None
    writer = Writer(HEADER_LENGTH)
    writer.name(question.name)
    writer.raw(_QUESTION.pack(question.type, question.rclass))
    questions, count = 1, 0
    for entry in records:
        record = make_record(entry.name, entry.type, entry.ttl, entry.data)
        mark = writer.size
        writer.record(record, record.name, record.type)
        if writer.size > size and count:
            writer.cut(mark)
            yield _HEADER.pack(query.id, _flags(query), questions, count, 0, 0) + writer.bytes()
            writer, questions, count = Writer(HEADER_LENGTH), 0, 0
            writer.record(record, record.name, record.type)
        count += 1
    yield _HEADER.pack(query.id, _flags(query), questions, count, 0, 0) + writer.bytes()


def _sealed(messages: Iterable[bytes], signed: SignedRequest | None, wall: float) -> Iterator[bytes]:
    for message in messages:
        yield message if signed is None else signed.sign(message, wall)
