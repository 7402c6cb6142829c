"""What is known: record sets by trust (RFC 2181 5.4.1), and answers made of them, with a bound in bytes.

An answer (`Message`) refers to its sets (`Entry`), which all answers share. So what replaces a set makes the answers
that rested on it miss, and no set is kept twice. A set is kept for its own use besides: those of the authority and
additional sections lead iteration on, but never answer a question (`Trust`).

Eviction is by usage: the oldest entry goes, unless it has been used since it was looked at last; then it gets another
round (CLOCK). That needs one bit an entry, and no work when an entry is used.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.dns.response import ExtendedError, Response, Security
from catenet.dns.rrset import RRset
from catenet.dns.text import data_to_text
from catenet.wire.dns.name import ROOT, fold, is_below, name_to_text
from catenet.wire.dns.numbers import NS, NXDOMAIN, SOA, rcode_to_text, type_to_text
from catenet.wire.dns.record import make_record

__all__ = ["Cache", "CacheLimits", "Entry", "Message", "Trust"]

ENTRY_BYTES: Final = 330
"""Of a set of one record, measured (`tests/dns/resolver/test_cache.py`): objects, and its places in table and ring."""
MESSAGE_BYTES: Final = 280
RECORD_BYTES: Final = 45
_ROUNDING: Final = 1e-6
"""Seconds by which a difference of two times, as floats, may fall short of a whole number."""
"""Of each record, besides its data."""
PARENT_SIDE: Final = b"^"
"""Behind the key of glue that differs from what the zone itself says."""
_KINDS: Final = tuple(kind.to_bytes(2, "big") for kind in range(256))
ANY_TYPE: Final = 0
"""In the key of an answer that denies a name: it holds for every type."""


class Trust(enum.IntEnum):
    """How good data is, by the section of the message that it came in (RFC 2181 5.4.1)."""

    GLUE = 1
    """Additional data of a referral, or of an answer without AA."""
    REFERRAL = 2
    """The authority section of those."""
    ADDITIONAL = 3
    """Of an authoritative answer."""
    OTHER_ANSWER = 4
    """Answers without AA."""
    AUTHORITY = 5
    ANSWER = 6
    VALIDATED = 7


def cache_key(name: bytes, kind: int) -> bytes:
    """What a set or an answer is found by; `name` is folded."""
    return name + (_KINDS[kind] if kind < len(_KINDS) else kind.to_bytes(2, "big"))


class Entry:
    """A record set in the cache. Times in seconds of the caller's clock."""

    __slots__ = (
        "alive",
        "data",
        "expires",
        "key",
        "name",
        "parent_side",
        "security",
        "signatures",
        "size",
        "trust",
        "ttl",
        "type",
        "used",
    )

    def __init__(self, key: bytes, rrset: RRset, trust: Trust, expires: float) -> None:
        self.key = key
        self.name = rrset.name
        self.type = rrset.type
        self.data = rrset.data
        self.signatures = rrset.signatures
        self.trust = trust
        self.ttl = rrset.ttl
        """As it came, whatever the limits make of it."""
        self.expires = expires
        self.security: Security | None = None
        """None until it was validated."""
        self.used = False
        self.parent_side = False
        self.alive = True
        """Whether the cache still holds it."""
        self.size = ENTRY_BYTES + len(key) + len(self.name)
        self.size += sum(map(len, self.data)) + RECORD_BYTES * (len(self.data) + len(self.signatures))
        self.size += sum(map(len, self.signatures))

    def rrset(self, ttl: int) -> RRset:
        """The set, with this TTL."""
        return RRset(self.name, self.type, ttl, self.data, self.signatures)


class Message:
    """An answer in the cache: its sets by sections, and until when it holds."""

    __slots__ = (
        "additional",
        "alive",
        "answer",
        "authority",
        "errors",
        "expires",
        "key",
        "rcode",
        "reason",
        "security",
        "size",
        "ttl",
        "used",
    )

    def __init__(self, key: bytes, rcode: int, sections: Sequence[tuple[Entry, ...]], ttl: int, expires: float) -> None:
        self.key = key
        self.rcode = rcode
        self.answer, self.authority, self.additional = sections
        self.ttl = ttl
        self.expires = expires
        self.security: Security | None = None
        self.reason = ""
        self.errors: tuple[ExtendedError, ...] = ()
        self.used = False
        self.alive = True
        self.size = MESSAGE_BYTES + len(key) + 8 * sum(map(len, sections))

    @property
    def is_whole(self) -> bool:
        """Whether what it rests on is still in the cache."""
        return all(one.alive for one in self.answer) and (
            bool(self.answer) or all(one.alive for one in self.authority if one.type != NS)
        )


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Bounds: of memory in bytes, of TTLs and times in seconds."""

    size: int = 64 << 20
    min_ttl: int = 0
    max_ttl: int = 86_400
    max_negative_ttl: int = 3_600
    stale: float = 0.0
    """How long what has expired is kept at least, if there is room."""


class Cache:
    """Record sets and answers. `now` is in seconds of a clock that does not go back."""

    def __init__(self, limits: CacheLimits | None = None) -> None:
        self.limits = CacheLimits() if limits is None else limits
        self.size = 0
        """Bytes in use."""
        self.evicted = 0
        """How many entries have made room for others."""
        self._sets: dict[bytes, Entry] = {}
        self._messages: dict[bytes, Message] = {}
        self._ring: deque[Entry | Message] = deque()
        """What there is in order of age; also what is no longer alive, until its turn comes."""
        self._dead = 0

    def __len__(self) -> int:
        return len(self._sets) + len(self._messages)

    # Sets.

    def peek(self, name: bytes, kind: int, now: float, trust: Trust = Trust.GLUE) -> Entry | None:
        """The set, unless it has expired or is trusted less; `name` is folded."""
        entry = self._sets.get(cache_key(name, kind))
        if entry is None or entry.expires < now or entry.trust < trust:
            return None
        entry.used = True
        return entry

    def current(self, entry: Entry) -> Entry | None:
        """The set that is kept now under the name and type of this one."""
        return entry if entry.alive else self._sets.get(entry.key)

    def store(
        self,
        rrset: RRset,
        trust: Trust,
        now: float,
        until: float | None = None,
        *,
        parent_side: bool = False,
        ahead: float = 0.0,
    ) -> Entry:
        """Keep a set, if nothing better is known. Returns what is kept.

        Data that is there already does not live longer because it comes again: it would never be looked at from above.

        Args:
            rrset: what has come.
            trust: how good it is.
            now: seconds.
            until: it does not live longer: of a zone's NS set, as long as the parent's delegation, so that a zone that
                is taken away cannot live on by refreshing it (ghost domain).
            parent_side: it is part of a referral; glue is not forgotten when the zone itself says something else
                (`peek_parent_side`).
            ahead: what ends within so many seconds counts as expired, as it is being renewed.
        """
        expires = now + min(max(rrset.ttl, self.limits.min_ttl), self.limits.max_ttl)
        if until is not None and until < expires:
            expires = max(now, until)
        key = cache_key(fold(rrset.name), rrset.type)
        before = self._sets.get(key)
        if before is not None:
            margin = 0.0 if rrset.type == NS and not parent_side else ahead
            is_same = before.data == rrset.data and before.signatures == rrset.signatures
            if before.expires >= now + margin and before.security is not Security.BOGUS:
                if before.trust > trust or (before.trust == trust and is_same):
                    if parent_side and before.data != rrset.data:
                        self._keep_parent_side(Entry(key, rrset, trust, expires))
                    return before
                if rrset.type == NS and before.trust == trust and before.expires < expires:
                    expires = before.expires
            if is_same and before.name == rrset.name:
                before.trust, before.expires, before.ttl, before.security = trust, expires, rrset.ttl, None
                return before
            self._forget_set(before)
            if before.parent_side and not parent_side and before.expires >= now and before.data != rrset.data:
                self._keep_parent_side(Entry(key, before.rrset(before.ttl), before.trust, before.expires))
        entry = Entry(key, rrset, trust, expires)
        entry.parent_side = parent_side
        self._sets[key] = entry
        self._add(entry)
        return entry

    def _keep_parent_side(self, entry: Entry) -> None:
        entry.key += PARENT_SIDE
        before = self._sets.get(entry.key)
        if before is not None:
            self._forget_set(before)
        self._sets[entry.key] = entry
        self._add(entry)

    def peek_parent_side(self, name: bytes, kind: int, now: float) -> Entry | None:
        """Glue that differs from what the zone itself says, for when the servers that the zone names do not answer."""
        entry = self._sets.get(cache_key(name, kind) + PARENT_SIDE)
        return None if entry is None or entry.expires < now else entry

    # Answers.

    def find(self, name: bytes, kind: int, now: float, stale: bool = False) -> Message | None:
        """The answer, or the denial of the name; `stale`: also one that has expired."""
        for key in (cache_key(name, kind), cache_key(name, ANY_TYPE)):
            message = self._messages.get(key)
            if message is None or (message.expires < now and not stale):
                continue
            if not message.is_whole:
                self._forget_message(message)
                continue
            message.used = True
            return message
        return None

    def find_denial(self, name: bytes, now: float) -> Message | None:
        """The answer that says that the name does not exist."""
        message = self._messages.get(cache_key(name, ANY_TYPE))
        if message is None or message.expires < now or not message.is_whole:
            return None
        message.used = True
        return message

    def store_answer(
        self,
        name: bytes,
        kind: int,
        rcode: int,
        sections: Sequence[Sequence[Entry]],
        now: float,
        ttl: int | None = None,
    ) -> Message:
        """Keep an answer made of sets that the cache holds; `name` is folded, `ttl` that of a denial without SOA."""
        answer, authority, additional = map(tuple, sections)
        key = cache_key(name, ANY_TYPE if rcode == NXDOMAIN and not answer else kind)
        if answer:
            expires = min(one.expires for one in answer)
            ttl = int(expires - now + _ROUNDING)
        else:
            ttl = self._negative_ttl(authority) if ttl is None else ttl
            expires = now + ttl
        message = Message(key, rcode, (answer, authority, additional), ttl, expires)
        if expires <= now:
            return message
        for old in (self._messages.get(cache_key(name, ANY_TYPE)), self._messages.get(key)):
            if old is not None:
                self._forget_message(old)
        self._messages[key] = message
        self._add(message)
        return message

    def _negative_ttl(self, authority: Sequence[Entry]) -> int:
        """Of a denial: the lesser of the SOA's TTL and its last field (RFC 2308 5); without a SOA it is not kept."""
        for one in authority:
            if one.type == SOA:
                minimum = int.from_bytes(one.data[0][-4:], "big")
                return max(self.limits.min_ttl, min(one.ttl, minimum, self.limits.max_negative_ttl))
        return 0

    def response(self, message: Message, now: float, ttl: int | None = None, original: bool = False) -> Response:
        """The answer as record sets, with the seconds that are left, or with `ttl`."""

        def sets(entries: tuple[Entry, ...], limit: float) -> list[RRset]:
            found = list(map(self.current, entries))
            return [
                one.rrset(left(one, limit))
                for one in found
                if one is not None and (one.expires >= now or ttl is not None or original)
            ]

        def left(one: Entry, limit: float) -> int:
            if ttl is not None:
                return ttl
            return one.ttl if original else max(0, int(min(one.expires, limit) - now + _ROUNDING))

        never = float("inf")
        return Response(
            message.rcode,
            [one.rrset(left(one, message.expires)) for one in message.answer],
            sets(message.authority, never if message.answer else message.expires),
            sets(message.additional, never),
            recursion=True,
            security=message.security or Security.INDETERMINATE,
            reason=message.reason,
            errors=list(message.errors),
        )

    def judge(self, message: Message, security: Security, reason: str, errors: Sequence[ExtendedError]) -> None:
        """Note what validation found of an answer."""
        message.security, message.reason, message.errors = security, reason, tuple(errors)

    # Room.

    def forget(self, name: bytes, subtree: bool = False) -> int:
        """Forget all about a name, and about those below it; returns how many entries that were."""
        found: list[Entry | Message] = [
            one
            for table in (self._sets, self._messages)
            for one in table.values()
            if one.key[:-2] == name or (subtree and is_below(one.key[:-2], name))
        ]
        for one in found:
            self._forget(one)
        return len(found)

    def clear(self) -> None:
        """Forget everything."""
        for one in self._ring:
            one.alive = False
        self._sets.clear()
        self._messages.clear()
        self._ring.clear()
        self.size = self._dead = 0

    def _add(self, one: Entry | Message) -> None:
        self._ring.append(one)
        self.size += one.size
        if self.size > self.limits.size:
            self._make_room(one)
        if self._dead > 64 and self._dead > len(self._ring) // 2:
            self._ring = deque(one for one in self._ring if one.alive)
            self._dead = 0

    def _make_room(self, newest: Entry | Message) -> None:
        ring = self._ring
        while self.size > self.limits.size and ring:
            one = ring.popleft()
            if not one.alive:
                self._dead -= 1
            elif one is newest:
                ring.append(one)
                if len(ring) == 1:
                    return
            elif one.used:
                one.used = False
                ring.append(one)
            else:
                self._drop(one)
                self.evicted += 1

    def _drop(self, one: Entry | Message) -> None:
        one.alive = False
        self.size -= one.size
        if isinstance(one, Entry):
            del self._sets[one.key]
        else:
            del self._messages[one.key]

    def _forget(self, one: Entry | Message) -> None:
        if one.alive:
            self._drop(one)
            self._dead += 1

    def _forget_set(self, entry: Entry) -> None:
        self._forget(entry)

    def _forget_message(self, message: Message) -> None:
        if self._messages.get(message.key) is message:
            self._forget(message)

    # For people.

    def dump(self, now: float) -> Iterator[str]:
        """Lines that say what is known, for debugging."""
        for one in self._sets.values():
            security = "unchecked" if one.security is None else one.security.value
            left = int(one.expires - now)
            for data in one.data:
                text = data_to_text(make_record(ROOT, one.type, 0, data))
                kind = type_to_text(one.type)
                yield f"{name_to_text(one.name)} {left} {kind} {text} ; {one.trust.name.lower()} {security}"
        for message in self._messages.values():
            number = int.from_bytes(message.key[-2:], "big")
            what = name_to_text(message.key[:-2]) + " " + ("*" if number == ANY_TYPE else type_to_text(number))
            security = "unchecked" if message.security is None else message.security.value
            left = int(message.expires - now)
            sets = "/".join(str(len(part)) for part in (message.answer, message.authority, message.additional))
            yield f"; {what}: {rcode_to_text(message.rcode)} {left} s, {sets} sets, {security}"
