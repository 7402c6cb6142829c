"""Dynamic updates (RFC 2136): prerequisites, changes, and who may make them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from catenet.dns.master.data import check_data
from catenet.dns.rrset import RRset
from catenet.dns.zone.difference import Difference, Entry, apply, entries_of, is_newer, serial_of
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.message import Message, pack
from catenet.wire.dns.name import fold, is_below
from catenet.wire.dns.numbers import (
    ANY,
    CNAME,
    DNAME,
    FORMERR,
    IN,
    NOERROR,
    NOTAUTH,
    NOTZONE,
    NS,
    NSEC,
    NSEC3,
    NXDOMAIN,
    NXRRSET,
    QR,
    REFUSED,
    RRSIG,
    SERVFAIL,
    SOA,
    UPDATE,
    YXDOMAIN,
    YXRRSET,
)
from catenet.wire.dns.rdata import canonical
from catenet.wire.dns.record import HEAD_LENGTH, Record
from catenet.wire.errors import Malformed

__all__ = ["Grant", "Match", "Updated", "answer_update", "update_zone"]

NONE: Final = 254
"""The class of what is to be absent (RFC 2136 1.1)."""
_META: Final = frozenset((41, *range(128, 256)))
"""Types that only messages have, and questions."""
_OF_SIGNER: Final = frozenset((RRSIG, NSEC, NSEC3))
"""Types that whoever signs the zone makes; nobody else may."""
_GUARDED: Final = frozenset((SOA, NS)) | _OF_SIGNER
"""Types that a grant has to name."""
_BESIDE_CNAME: Final = frozenset((CNAME, 25)) | _OF_SIGNER
_ONE_ONLY: Final = frozenset((CNAME, DNAME, SOA))


class Match(enum.Enum):
    """Which names a grant is for, seen from its name."""

    NAME = "name"
    SUBDOMAIN = "subdomain"
    """The name and what is below it."""
    SELF = "self"
    """The name that is called as the key."""
    SELFSUB = "selfsub"
    """That name and what is below it."""


class Grant(NamedTuple):
    """Leave to change something.

    Attributes:
        key: whose, folded; None: everybody's, without a key too.
        match: which names.
        name: the name that `match` speaks of; the zone's if it is empty.
        types: which types; without any all but SOA, NS and what the signer makes.
    """

    key: bytes | None
    match: Match = Match.SUBDOMAIN
    name: bytes = b""
    types: frozenset[int] = frozenset()

    def allows(self, zone: Zone, key: bytes | None, name: bytes, kind: int) -> bool:
        """Whether it covers a change of a folded name and type in a zone, asked for under a key."""
        if self.key is not None and self.key != key:
            return False
        if kind not in self.types if self.types else kind in _GUARDED:
            return False
        if self.match in (Match.SELF, Match.SELFSUB):
            if key is None:
                return False
            return name == key if self.match is Match.SELF else is_below(name, key)
        of = fold(self.name) or zone.apex
        return name == of if self.match is Match.NAME else is_below(name, of)


class Updated(NamedTuple):
    """What came of an update.

    Attributes:
        rcode: NOERROR, or why nothing was changed.
        change: what was changed; None for nothing.
    """

    rcode: int
    change: Difference | None = None


class _Refusal(Exception):
    def __init__(self, rcode: int) -> None:
        super().__init__(rcode)
        self.rcode = rcode


def update_zone(
    zone: Zone,
    message: Message,
    key: bytes | None,
    grants: Sequence[Grant],
    sign: Callable[[Zone, Difference], Difference | None] | None = None,
) -> Updated:
    """Carry out an update (RFC 2136 3): all of it, or nothing.

    The serial goes up by one unless the update brings a later one. Sets that change lose their signatures, so that a
    signed zone is only updated where somebody signs it again (RFC 3007 4).

    Args:
        zone: the primary's zone.
        message: a request with opcode UPDATE.
        key: folded name of the key under which it is signed, None without one.
        grants: what is allowed, and to whom.
        sign: signs a zone to which a change was made, and says what has become different by both, as
            `ZoneSigner.sign`; ValueError makes the answer SERVFAIL, and the zone what it was. Without it updates of
            signed zones are refused.
    """
    try:
        question = message.question
        if question is None or question.type != SOA:
            raise _Refusal(FORMERR)
        if fold(question.name) != zone.apex or question.rclass != IN or zone.soa is None:
            raise _Refusal(NOTAUTH)
        if zone.soa.signatures and sign is None:
            raise _Refusal(REFUSED)
        _check_prerequisites(zone, message.answer)
        _check_changes(zone, message.authority, key, grants)
        draft = _Draft(zone)
        for record in message.authority:
            draft.change(record)
        change = draft.difference()
    except (Malformed, ValueError):  # data that are not of their type
        return Updated(FORMERR)
    except _Refusal as refusal:
        return Updated(refusal.rcode)
    if change is None:
        return Updated(NOERROR)
    apply(zone, change)
    try:
        return Updated(NOERROR, change if sign is None else sign(zone, change))
    except ValueError:
        apply(zone, Difference(change.added, change.removed))
        return Updated(SERVFAIL)


def answer_update(message: Message, rcode: int) -> bytes:
    """The answer to an update (RFC 2136 3.8)."""
    return pack(message.id, QR | UPDATE << 11 | rcode, message.question)


def _data(record: Record) -> bytes:
    """Data of a record; empty ones of every type, as ANY and NONE have them."""
    return b"" if record.end == record.head + HEAD_LENGTH else record.data


def _check_prerequisites(zone: Zone, records: Iterable[Record]) -> None:
    """RFC 2136 3.2."""
    wanted: dict[tuple[bytes, int], set[bytes]] = {}
    for record in records:
        name, kind, data = fold(record.name), record.type, _data(record)
        if record.ttl:
            raise _Refusal(FORMERR)
        if not is_below(name, zone.apex):
            raise _Refusal(NOTZONE)
        if record.rclass == IN:
            wanted.setdefault((name, kind), set()).add(canonical(data, kind))
            continue
        if data or record.rclass not in (ANY, NONE):
            raise _Refusal(FORMERR)
        is_there = bool(zone.node(name)) if kind == ANY else zone.get(name, kind) is not None
        if record.rclass == ANY and not is_there:
            raise _Refusal(NXDOMAIN if kind == ANY else NXRRSET)
        if record.rclass == NONE and is_there:
            raise _Refusal(YXDOMAIN if kind == ANY else YXRRSET)
    for (name, kind), values in wanted.items():
        found = zone.get(name, kind)
        if found is None or {canonical(data, kind) for data in found.data} != values:
            raise _Refusal(NXRRSET)


def _check_changes(zone: Zone, records: Iterable[Record], key: bytes | None, grants: Sequence[Grant]) -> None:
    """RFC 2136 3.4.1, and 3.3: whether they are changes at all, and allowed."""
    for record in records:
        name, kind, rclass = fold(record.name), record.type, record.rclass
        if not is_below(name, zone.apex):
            raise _Refusal(NOTZONE)
        is_meta = kind in _META and not (kind == ANY and rclass == ANY)
        if is_meta or rclass not in (IN, ANY, NONE) or (rclass != IN and record.ttl):
            raise _Refusal(FORMERR)
        if rclass == ANY and _data(record):
            raise _Refusal(FORMERR)
        if rclass != ANY and kind != ANY:
            check_data(kind, record.data)
        kinds = [kind] if kind != ANY else [one.type for one in zone.node(name) or () if one.type not in _OF_SIGNER]
        if name == zone.apex and kind == ANY:
            kinds = [each for each in kinds if each not in (SOA, NS)]
        for each in kinds or [ANY]:
            if each in _OF_SIGNER or not any(grant.allows(zone, key, name, each) for grant in grants):
                raise _Refusal(REFUSED)


class _Set:
    """A record set while it changes: data by their canonical form, under which they are equal."""

    __slots__ = ("data", "name", "ttl")

    def __init__(self, name: bytes, kind: int, before: RRset | None) -> None:
        self.name = name if before is None else before.name
        self.ttl = 0 if before is None else before.ttl
        self.data: dict[bytes, bytes] = {canonical(each, kind): each for each in before.data} if before else {}


class _Draft:
    """A zone while an update changes it (RFC 2136 3.4.2)."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._names: dict[bytes, dict[int, _Set]] = {}
        """What was touched, by folded name and type."""

    def change(self, record: Record) -> None:
        """One record of the update section."""
        name, kind, rclass = fold(record.name), record.type, record.rclass
        if rclass == IN:
            self._add(Entry(record.name, kind, record.ttl, record.data))
        elif rclass == NONE:
            self._remove(name, kind, record.data)
        elif kind == ANY:
            for each in self._types(name):
                self._clear(name, each)
        else:
            self._clear(name, kind)

    def _get(self, name: bytes, kind: int) -> _Set:
        sets = self._names.setdefault(fold(name), {})
        found = sets.get(kind)
        if found is None:
            found = sets[kind] = _Set(name, kind, self._zone.get(name, kind))
        return found

    def _types(self, name: bytes) -> list[int]:
        """Types that a folded name has now, without those of the signer."""
        kinds = {one.type for one in self._zone.node(name) or ()} | self._names.get(name, {}).keys()
        return sorted(kind for kind in kinds if kind not in _OF_SIGNER and self._get(name, kind).data)

    def _add(self, entry: Entry) -> None:
        """RFC 2136 3.4.2.2: what cannot stand beside an alias is passed over, as is an SOA record that is not newer."""
        name, kind = fold(entry.name), entry.type
        kinds = self._types(name)
        if kind == CNAME and any(each not in _BESIDE_CNAME for each in kinds):
            return
        if kind not in _BESIDE_CNAME and CNAME in kinds:
            return
        now = self._get(entry.name, kind)
        if kind == SOA:
            before = next(iter(now.data.values()), None)
            if before is None or not is_newer(serial_of(entry.data), serial_of(before)):
                return
        if kind in _ONE_ONLY:
            now.data.clear()
        if not now.data:
            now.name = entry.name
        now.ttl = entry.ttl
        now.data.setdefault(canonical(entry.data, kind), entry.data)

    def _remove(self, name: bytes, kind: int, data: bytes) -> None:
        """RFC 2136 3.4.2.4: one record, but for the SOA record and the last name server."""
        now = self._get(name, kind)
        wanted = canonical(data, kind)
        is_last = kind == NS and name == self._zone.apex and len(now.data) == 1
        if kind != SOA and not is_last:
            now.data.pop(wanted, None)

    def _clear(self, name: bytes, kind: int) -> None:
        """RFC 2136 3.4.2.3: a set, but for those that a zone must have."""
        if name != self._zone.apex or kind not in (SOA, NS):
            self._get(name, kind).data.clear()

    def difference(self) -> Difference | None:
        """What has become different, with the next serial; None for nothing."""
        zone = self._zone
        soa = zone.soa
        assert soa is not None
        removed: list[Entry] = []
        added: list[Entry] = []
        later = soa
        for name, sets in self._names.items():
            for kind, now in sets.items():
                before = zone.get(name, kind)
                made = RRset(now.name, kind, now.ttl, tuple(now.data.values())) if now.data else None
                if kind == SOA and made is not None:
                    later = made
                elif before is None or made is None or (before.ttl, before.data) != (made.ttl, made.data):
                    old = [] if before is None else list(entries_of(before))
                    new = [] if made is None else list(entries_of(made))
                    both = set(old).intersection(new)
                    removed += [each for each in old if each not in both]
                    added += [each for each in new if each not in both]
        if later.data == soa.data:
            if not removed and not added:
                return None
            data = soa.data[0]
            serial = (serial_of(data) + 1) & 0xFFFF_FFFF or 1
            later = RRset(soa.name, SOA, soa.ttl, (data[:-20] + serial.to_bytes(4, "big") + data[-16:],))
        return Difference((*entries_of(soa), *removed), (*entries_of(later), *added))
