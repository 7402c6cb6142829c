"""MATCH: whether a message is the one of an entry, and what the first difference is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from catenet.dns.options import EXTENDED_ERROR, NSID
from catenet.dns.text import data_to_text
from catenet.testing.rpl.syntax import Dialect, Entry
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message
from catenet.wire.dns.name import ROOT, fold, is_below, name_to_text
from catenet.wire.dns.numbers import (
    OPT,
    RRSIG,
    SOA,
    class_to_text,
    flags_to_text,
    rcode_to_text,
    type_to_text,
)
from catenet.wire.dns.rdata import split
from catenet.wire.dns.record import Record
from catenet.wire.errors import Malformed

__all__ = ["difference", "record_to_text"]

_BITS: Final = 0x87B0
"""Bits of the second word of the header that are flags."""
_BOGUS: Final = 6
_WHY_BOGUS: Final = frozenset(range(7, 13))
"""Extended errors: signature expired or not yet valid, DNSKEY, RRSIG, zone key bit or NSEC missing."""

_Key = tuple[bytes, int, int, bytes, int]


def difference(entry: Entry, message: Message, transport: str, dialect: Dialect) -> str | None:
    """What keeps `message` from being the one of `entry`, in words; None when it is.

    Args:
        entry: says what is compared, and with what.
        message: as it came.
        transport: `udp` or `tcp`.
        dialect: Deckard's `all` does not look at EDNS, Unbound's does.
    """
    try:
        for word in _ORDER:
            if word in entry.match:
                found = _CHECKS[word](entry, message)
                if found:
                    return found
        return _difference_elsewhere(entry, message, transport, dialect)
    except Malformed as error:
        return f"a message that cannot be read ({error})"


def _difference_elsewhere(entry: Entry, message: Message, transport: str, dialect: Dialect) -> str | None:
    for other in ("udp", "tcp"):
        if other in entry.match and transport != other:
            return f"came by {transport}, not {other}"
    if entry.serial is not None and _serial(message) != entry.serial:
        return f"serial {_serial(message)}, expected {entry.serial}"
    if entry.error is not None:
        found = _extended_errors(message)
        # "DNSSEC bogus" is said when nothing nearer is known; a code that says why, says that too (RFC 8914 4.7).
        said = {-1, *found, *([_BOGUS] if _WHY_BOGUS.intersection(found) else [])}
        if not found or entry.error not in said:
            wanted = "one" if entry.error == -1 else str(entry.error)
            return f"extended errors {', '.join(map(str, found)) or 'none'}, expected {wanted}"
    whole = entry.match & {"all", "all_noedns"}
    if whole:
        found_one = _all(entry, message)
        if found_one is None and whole == {"all"} and dialect is Dialect.UNBOUND:
            found_one = _presence_of_edns(entry, message)
        return found_one
    return None


def _opcode(entry: Entry, message: Message) -> str | None:
    return _unequal("opcode", message.opcode, entry.packets[0].flags >> 11 & 15)


def _rcode(entry: Entry, message: Message) -> str | None:
    got, expected = message.rcode, entry.packets[0].flags & 15
    return None if got == expected else f"{rcode_to_text(got)}, expected {rcode_to_text(expected)}"


def _flags(entry: Entry, message: Message) -> str | None:
    got, expected = message.flags & _BITS, entry.packets[0].flags & _BITS
    return None if got == expected else f"flags {flags_to_text(got)}, expected {flags_to_text(expected)}"


def _qtype(entry: Entry, message: Message) -> str | None:
    ours, theirs = entry.packets[0].question, message.question
    got, expected = (0 if one is None else one.type for one in (theirs, ours))
    return None if got == expected else f"question of type {type_to_text(got)}, expected {type_to_text(expected)}"


def _qname(entry: Entry, message: Message) -> str | None:
    got, expected = _name(message), _expected_name(entry)
    return None if fold(got) == fold(expected) else f"question {name_to_text(got)}, expected {name_to_text(expected)}"


def _qcase(entry: Entry, message: Message) -> str | None:
    return _unequal("question", name_to_text(_name(message)), name_to_text(_expected_name(entry)))


def _subdomain(entry: Entry, message: Message) -> str | None:
    got, expected = _name(message), _expected_name(entry)
    if is_below(fold(got), fold(expected)):
        return None
    return f"question {name_to_text(got)}, expected one under {name_to_text(expected)}"


def _question(entry: Entry, message: Message) -> str | None:
    found = _qname(entry, message) or _qtype(entry, message)
    ours, theirs = entry.packets[0].question, message.question
    if found is None and ours is not None and theirs is not None and ours.rclass != theirs.rclass:
        return f"question of class {class_to_text(theirs.rclass)}, expected {class_to_text(ours.rclass)}"
    return found


def _answer(entry: Entry, message: Message) -> str | None:
    return _section("answer", message.answer, entry.packets[0].answer, "ttl" in entry.match)


def _authority(entry: Entry, message: Message) -> str | None:
    return _section("authority", message.authority, entry.packets[0].authority, "ttl" in entry.match)


def _additional(entry: Entry, message: Message) -> str | None:
    got = [record for record in message.additional if record.type != OPT]
    return _section("additional", got, entry.packets[0].additional, "ttl" in entry.match)


def _all(entry: Entry, message: Message) -> str | None:
    checks = (_opcode, _rcode, _flags, _question, _answer, _authority, _additional)
    return next((found for check in checks if (found := check(entry, message))), None)


def _answer_types(entry: Entry, message: Message) -> str | None:
    got, expected = ({one.type for one in found} - {RRSIG} for found in (message.answer, entry.packets[0].answer))
    return _unequal("types of the answer", _types(got), _types(expected))


def _answer_signatures(entry: Entry, message: Message) -> str | None:
    got, expected = (
        {int.from_bytes(one.data[:2], "big") if one.type == RRSIG else -one.type for one in found}
        for found in (message.answer, entry.packets[0].answer)
    )
    return _unequal("types and signatures of the answer", sorted(got), sorted(expected))


def _dnssec_ok(entry: Entry, message: Message) -> str | None:
    edns = message.edns
    return None if edns is not None and edns.flags & DNSSEC_OK else "DO is not set"


def _no_edns(entry: Entry, message: Message) -> str | None:
    return None if message.edns is None else "an OPT record"


def _edns(entry: Entry, message: Message) -> str | None:
    edns = message.edns
    return "no OPT record" if edns is None else _unequal("version of EDNS", edns.version, 0)


def _edns_data(entry: Entry, message: Message) -> str | None:
    got, expected = _options(message.edns), entry.packets[0].edns_data or b""
    return None if got == expected else f"EDNS options {got.hex() or 'none'}, expected {expected.hex() or 'none'}"


def _nsid(entry: Entry, message: Message) -> str | None:
    got = [value for code, value in (message.edns.options if message.edns else ()) if code == NSID]
    return "a server identifier" if got else None


def _presence_of_edns(entry: Entry, message: Message) -> str | None:
    packet, edns = entry.packets[0], message.edns
    expected = packet.dnssec_ok or packet.edns_data is not None
    if (edns is not None) != expected:
        return "no OPT record" if expected else "an OPT record"
    if edns is not None and bool(edns.flags & DNSSEC_OK) != packet.dnssec_ok:
        return "DO is not set" if packet.dnssec_ok else "DO is set"
    return None


_CHECKS: Final[dict[str, Callable[[Entry, Message], str | None]]] = {
    "opcode": _opcode,
    "qtype": _qtype,
    "qname": _qname,
    "qcase": _qcase,
    "subdomain": _subdomain,
    "rcode": _rcode,
    "flags": _flags,
    "question": _question,
    "answer": _answer,
    "answertypes": _answer_types,
    "answerrrsigs": _answer_signatures,
    "authority": _authority,
    "additional": _additional,
    "do": _dnssec_ok,
    "noedns": _no_edns,
    "edns": _edns,
    "ednsdata": _edns_data,
    "nsid": _nsid,
}
_ORDER: Final = tuple(_CHECKS)
"""The cheap and telling ones first."""


def _section(name: str, got: Sequence[Record], expected: Sequence[Record], with_ttl: bool) -> str | None:
    """Records in any order: that within a set has no meaning (RFC 2181 5), and sets come in the order of the server."""
    ours: dict[_Key, Record] = {}
    theirs: dict[_Key, Record] = {}
    missing = _keys(expected, with_ttl, ours) - _keys(got, with_ttl, theirs)
    surplus = _keys(got, with_ttl, theirs) - _keys(expected, with_ttl, ours)
    if not missing and not surplus:
        return None
    words = [f"without {record_to_text(ours[key], with_ttl)}" for key in list(missing)[:1]]
    words += [f"with {record_to_text(theirs[key], with_ttl)}" for key in list(surplus)[:1]]
    return f"{name} section {' and '.join(words)}"


def _keys(records: Iterable[Record], with_ttl: bool, found: dict[_Key, Record]) -> Counter[_Key]:
    keys: Counter[_Key] = Counter()
    for record in records:
        kind = record.type
        try:
            data = b"".join(fold(piece) if is_name else piece for is_name, piece in split(record.data, kind))
        except Malformed:
            data = record.data
        key = (fold(record.name), kind, record.rclass, data, record.ttl if with_ttl else 0)
        keys[key] += 1
        found[key] = record
    return keys


def record_to_text(record: Record, with_ttl: bool = True) -> str:
    """A record in a line, also one whose data is not that of its type."""
    try:
        data = data_to_text(record)
    except Malformed:
        data = f"\\# {len(record.data)} {record.data.hex()}"
    ttl = f"{record.ttl} " if with_ttl else ""
    kind = f"{class_to_text(record.rclass)} {type_to_text(record.type)}"
    return f"{name_to_text(record.name)} {ttl}{kind} {data}".rstrip()


def _unequal(what: str, got: object, expected: object) -> str | None:
    return None if got == expected else f"{what} {got}, expected {expected}"


def _types(numbers: Iterable[int]) -> str:
    return " ".join(map(type_to_text, sorted(numbers))) or "none"


def _name(message: Message) -> bytes:
    return ROOT if message.question is None else message.question.name


def _expected_name(entry: Entry) -> bytes:
    question = entry.packets[0].question
    return ROOT if question is None else question.name


def _serial(message: Message) -> int:
    soas = [record.data for record in message.authority if record.type == SOA]
    return int.from_bytes(soas[0][-20:-16], "big") if soas else 0


def _extended_errors(message: Message) -> list[int]:
    options = message.edns.options if message.edns else ()
    return [int.from_bytes(data[:2], "big") for code, data in options if code == EXTENDED_ERROR]


def _options(edns: Edns | None) -> bytes:
    options = () if edns is None else edns.options
    return b"".join(code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data for code, data in options)
