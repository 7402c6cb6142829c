"""Trust anchors that follow the roll-over of a zone's keys (RFC 5011).

A key that the trusted ones sign for 30 days becomes trusted; one that revokes itself never is again. What is known is
kept in a text that Unbound's auto-trust-anchor-file has too, so that either can go on from the other's.
"""

from __future__ import annotations

import enum
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from catenet.dns.dnssec.anchor_text import AnchorError, parse_anchors
from catenet.dns.dnssec.anchors import Anchor, TrustAnchors
from catenet.dns.dnssec.budget import Budget, Exhausted
from catenet.dns.dnssec.files import write_atomically
from catenet.dns.dnssec.keys import REVOKED, Key
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.rrsig import serial_difference
from catenet.dns.dnssec.verify import Terms, signatures_of, verify_set
from catenet.dns.response import Response, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, name_to_text
from catenet.wire.dns.numbers import DNSKEY

__all__ = ["AnchorKeeper", "KeyState", "TrackedKey", "TrustPoint", "anchor_file"]

_HOUR: Final = 3600
_DAY: Final = 86_400
HOLD_DOWN: Final = 30 * _DAY
"""Seconds for which a new key has to be seen, and a revoked one is remembered (RFC 5011 2.4.1, 2.4.2)."""
KEEP_MISSING: Final = 366 * _DAY
"""Seconds for which a trusted key that the zone no longer has is kept; the standard keeps it for ever."""
LEAST_SIGHTINGS: Final = 2
"""Secure sets that have to have a new key before it is trusted, however long its hold-down (RFC 5011 2.4.1)."""
MOST_KEYS: Final = 32
"""Keys of a zone that are tracked."""


class KeyState(enum.IntEnum):
    """States of a key (RFC 5011 4.2)."""

    START = 0
    ADDPEND = 1
    VALID = 2
    MISSING = 3
    REVOKED = 4
    REMOVED = 5


@dataclass(slots=True)
class TrackedKey:
    """A key of a trust point; `since` is when its state changed, in seconds since 1970, `sightings` count probes."""

    key: Key
    ttl: int
    state: KeyState
    since: int
    sightings: int = 0

    @property
    def is_trusted(self) -> bool:
        """Whether signatures by it count."""
        return self.state in (KeyState.VALID, KeyState.MISSING)


@dataclass(slots=True)
class TrustPoint:
    """A zone whose keys are followed. Times are in seconds since 1970, intervals in seconds."""

    zone: bytes
    keys: list[TrackedKey] = field(default_factory=list)
    last_queried: int = 0
    last_success: int = 0
    next_probe: int = 0
    failures: int = 0
    query_interval: int = _HOUR
    retry_interval: int = _HOUR
    is_deleted: bool = False
    """Whether all of its keys were revoked: it is as if it had never been configured (RFC 5011 5)."""

    @property
    def trusted(self) -> list[Key]:
        """Keys whose signatures count."""
        return [one.key for one in self.keys if one.is_trusted]

    def observe(self, rrset: RRset, wall: float, policy: Policy, first: Anchor | None, rng: random.Random) -> bool:
        """Take in the zone's DNSKEY set. Returns whether a trusted key signs it; if not, nothing of it counts.

        Args:
            rrset: the set as it came.
            wall: seconds since 1970.
            policy: settings of signatures.
            first: what is trusted as long as no key is.
            rng: draws when to ask again.
        """
        now = int(wall)
        self.last_queried = now
        published = _keys_of(rrset)
        terms = Terms(wall, policy, Budget())
        begins = first if not self.keys else None
        try:
            self._take_revocations(rrset, published, terms, begins)
            if self._all_are_revoked(begins):
                self._delete(rrset, now)
                return False
            self._accept_pending(published, rrset.ttl, now)
            trusted = self.trusted if begins is None else _matching(published, self.zone, begins)
            trusted = [key for key in trusted if any(key.data == one.data for one in published)]
            secure = verify_set(rrset, self.zone, trusted, terms).security is Security.SECURE
        except Exhausted:
            secure = False
        if not secure:
            self.failed(wall, rng)
            return False
        # A key of an algorithm that is not known could never prove anything (RFC 5011 2.1 follows what validates).
        supported = [key for key in published if policy.supports(key.algorithm)]
        self._follow(supported, trusted if begins is not None else (), rrset.ttl, now)
        self.failures, self.last_success = 0, now
        self._set_timers(rrset, now)
        self.next_probe = now + _shortened(self.query_interval, rng)
        return True

    def failed(self, wall: float, rng: random.Random) -> None:
        """The zone's keys could not be learnt: ask again sooner (RFC 5011 2.3)."""
        self.last_queried = int(wall)
        self.failures += 1
        self.next_probe = int(wall) + _shortened(self.retry_interval, rng)

    def _all_are_revoked(self, begins: Anchor | None) -> bool:
        """Whether no key is left that was trusted; `begins`: what was trusted before keys were followed."""
        gone = [_without_revocation(one.key) for one in self.keys if one.state == KeyState.REVOKED]
        if not gone or self.trusted:
            return False
        data = {key.data for key in gone}
        return begins is None or (
            all(key.data in data for key in begins.keys)
            and all(any(ds.matches(self.zone, key) for key in gone) for ds in begins.digests)
        )

    def _delete(self, rrset: RRset, now: int) -> None:
        self.is_deleted = True
        self.failures, self.last_success, self.next_probe = 0, now, 0
        self._set_timers(rrset, now)

    def _take_revocations(self, rrset: RRset, published: list[Key], terms: Terms, begins: Anchor | None) -> None:
        """A key that signs the set with its REVOKE bit is no longer trusted, whoever else signs (RFC 5011 2.1).

        `begins`: what is trusted if no keys are followed yet.
        """
        for key in published:
            if not key.is_revoked:
                continue
            plain = _without_revocation(key)
            tracked = next((one for one in self.keys if one.key.data == plain.data), None)
            if tracked is None and _matching([plain], self.zone, begins):
                tracked = TrackedKey(plain, rrset.ttl, KeyState.VALID, int(terms.wall))
                if verify_set(rrset, self.zone, [key], terms).security is Security.SECURE:
                    self.keys.append(tracked)
            if tracked is None:
                continue
            if verify_set(rrset, self.zone, [key], terms).security is Security.SECURE:
                if tracked.state == KeyState.ADDPEND:
                    self.keys.remove(tracked)
                    continue
                tracked.key, tracked.state, tracked.since = key, KeyState.REVOKED, int(terms.wall)
                tracked.sightings = 0

    def _accept_pending(self, published: list[Key], ttl: int, now: int) -> None:
        """A key that trusted ones signed at least twice, and for long enough, is trusted (RFC 5011 2.2, 2.4.1)."""
        present = {key.data for key in published}
        for tracked in self.keys:
            if tracked.state == KeyState.ADDPEND and tracked.key.data in present:
                is_old = now - tracked.since >= max(HOLD_DOWN, ttl)
                if is_old and tracked.sightings >= LEAST_SIGHTINGS:
                    self._move(tracked, KeyState.VALID, now)

    def _follow(self, published: list[Key], first: Sequence[Key], ttl: int, now: int) -> None:
        """The table of RFC 5011 4.1, for a set that is secure; `first`: keys that are trusted from the beginning."""
        present = {key.data for key in published}
        for tracked in list(self.keys):
            if tracked.key.data in present:
                self._is_present(tracked, ttl, now)
            else:
                self._is_absent(tracked, now)
        known = {one.key.data for one in self.keys}
        by_anchor = {key.data for key in first}
        for key in published:
            if key.data in known or not key.is_entry_point or key.is_revoked or not key.is_zone_key:
                continue
            if len(self.keys) < MOST_KEYS:
                state = KeyState.VALID if key.data in by_anchor else KeyState.ADDPEND
                self.keys.insert(0, TrackedKey(key, ttl, state, now, int(state == KeyState.ADDPEND)))

    def _is_present(self, tracked: TrackedKey, ttl: int, now: int) -> None:
        tracked.ttl = ttl
        if tracked.state == KeyState.ADDPEND:
            tracked.sightings += 1
        elif tracked.state == KeyState.MISSING:
            self._move(tracked, KeyState.VALID, now)
        elif tracked.state == KeyState.REVOKED:
            tracked.sightings = 0

    def _is_absent(self, tracked: TrackedKey, now: int) -> None:
        age = now - tracked.since
        if tracked.state == KeyState.ADDPEND:
            self.keys.remove(tracked)
        elif tracked.state == KeyState.VALID:
            self._move(tracked, KeyState.MISSING, now)
        elif tracked.state == KeyState.MISSING:
            if age >= KEEP_MISSING and self._has_valid():
                self.keys.remove(tracked)
        elif age >= HOLD_DOWN:
            self.keys.remove(tracked)

    def _has_valid(self) -> bool:
        return any(one.state == KeyState.VALID for one in self.keys)

    @staticmethod
    def _move(tracked: TrackedKey, state: KeyState, now: int) -> None:
        tracked.state, tracked.since, tracked.sightings = state, now, 0

    def _set_timers(self, rrset: RRset, now: int) -> None:
        """RFC 5011 2.3: half the TTL or the life of the signatures, and a tenth after a failure."""
        expiry = [serial_difference(one.expiration, now & 0xFFFF_FFFF) for one in signatures_of(rrset)]
        life = max(0, min(expiry, default=0))
        original = min((one.original_ttl for one in signatures_of(rrset)), default=rrset.ttl)
        self.query_interval = max(_HOUR, min(15 * _DAY, original // 2, life // 2))
        self.retry_interval = max(_HOUR, min(_DAY, original // 10, life // 10))

    def to_text(self) -> str:
        """All that is known, as text (`from_text`)."""
        lines = [
            "; autotrust trust anchor file",
            *(_DELETED if self.is_deleted else ()),
            f";;id: {name_to_text(self.zone)} 1",
            f";;last_queried: {_moment(self.last_queried)}",
            f";;last_success: {_moment(self.last_success)}",
            f";;next_probe_time: {_moment(self.next_probe)}",
            f";;query_failed: {self.failures}",
            f";;query_interval: {self.query_interval}",
            f";;retry_time: {self.retry_interval}",
        ]
        lines += [_key_line(self.zone, one) for one in self.keys]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str, source: str) -> TrustPoint | None:
        """What was kept; None for a text of plain trust anchors, without states. Raises AnchorError."""
        named = re.search(r"^;;id: (\S+) 1", text, re.MULTILINE)
        if named is None:
            return None
        keys: list[TrackedKey] = []
        zone = b""
        for number, line in enumerate(text.splitlines(), 1):
            found = re.search(r";;state=(\d) .*;;count=(\d+) ;;lastchange=(\d+)", line)
            if found is None:
                continue
            try:
                zone, value = next(parse_anchors(line, source), (b"", None))
            except AnchorError as error:
                raise AnchorError(source, number, error.message) from None
            if not isinstance(value, Key) or int(found[1]) > KeyState.REMOVED:
                raise AnchorError(source, number, "expected a DNSKEY record with a state from 0 to 5")
            ttl = re.match(r"\S+\s+(\d+)\s", line)
            state = KeyState(int(found[1]))
            keys.insert(0, TrackedKey(value, int(ttl[1]) if ttl else 0, state, int(found[3]), int(found[2])))
        point = cls(zone, keys[::-1])
        for label, attribute in _FIELDS.items():
            if (value_found := re.search(rf"^;;{label}: (\d+)", text, re.MULTILINE)) is not None:
                setattr(point, attribute, int(value_found[1]))
        point.is_deleted = re.search(r"^;;REVOKED$", text, re.MULTILINE) is not None
        return point if keys else None


_DELETED: Final = (
    ";;REVOKED",
    "; All keys of the zone are revoked: it is as if nothing of it had ever been trusted.",
    "; Put keys that are valid, or DS records, into this file to trust it again.",
)
_FIELDS: Final = {
    "last_queried": "last_queried",
    "last_success": "last_success",
    "next_probe_time": "next_probe",
    "query_failed": "failures",
    "query_interval": "query_interval",
    "retry_time": "retry_interval",
}


def _key_line(zone: bytes, one: TrackedKey) -> str:
    role = "ksk" if one.key.is_entry_point else "zsk"
    words = f"{name_to_text(zone)}\t{one.ttl}\tIN\tDNSKEY\t{one.key.to_text()} ;{{id = {one.key.tag} ({role})"
    state = f"{one.state.name:^9}"
    return (
        f"{words}, size = {one.key.bits}b}} ;;state={int(one.state)} [{state}] ;;count={one.sightings} "
        f";;lastchange={_moment(one.since)}"
    )


def _moment(seconds: int) -> str:
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{seconds} ;;{when:%a %b} {when.day:2d} {when:%H:%M:%S %Y}"


def _shortened(interval: int, rng: random.Random) -> int:
    """The interval less up to a tenth, so that not all ask at once."""
    return interval - rng.randrange(max(1, interval // 10))


def _keys_of(rrset: RRset) -> list[Key]:
    return [Key(data) for data in rrset.data[:MOST_KEYS] if len(data) >= 4]


def _without_revocation(key: Key) -> Key:
    return Key((key.flags & ~REVOKED).to_bytes(2, "big") + key.data[2:])


def _matching(published: list[Key], zone: bytes, first: Anchor | None) -> list[Key]:
    """The keys that the configured anchor names."""
    if first is None:
        return []
    trusted = {key.data for key in first.keys}
    return [
        key
        for key in published
        if not key.is_revoked and (key.data in trusted or any(ds.matches(zone, key) for ds in first.digests))
    ]


class AnchorKeeper:
    """Follows the keys of trust anchors: says when to ask, and changes the anchors by what it is told.

    Args:
        anchors: those that it changes.
        zones: the zones that it follows; anchors of others stay as they are.
        rng: draws when to ask.
        save: keeps a zone's text; called when it has changed.
        policy: settings of signatures.
    """

    def __init__(
        self,
        anchors: TrustAnchors,
        zones: list[bytes],
        rng: random.Random,
        save: Callable[[bytes, str], None] = lambda zone, text: None,
        policy: Policy = Policy(),
    ) -> None:
        self.anchors = anchors
        self.points = {fold(zone): TrustPoint(fold(zone)) for zone in zones}
        self._first = {zone: anchors.get(zone) for zone in self.points}
        self._rng = rng
        self._save = save
        self._policy = policy

    def load(self, text: str, source: str) -> None:
        """Go on from a text that was saved. Raises AnchorError."""
        point = TrustPoint.from_text(text, source)
        if point is not None:
            self.points[point.zone] = point
            self._apply(point)

    def next_probe(self) -> float | None:
        """When to ask next, in seconds since 1970."""
        return min((point.next_probe for point in self.points.values() if not point.is_deleted), default=None)

    def due(self, wall: float) -> list[Question]:
        """The questions that are to be asked now; each is answered by `observe` or `failed`."""
        points = self.points.items()
        return [Question(zone, DNSKEY) for zone, point in points if point.next_probe <= wall and not point.is_deleted]

    def observe(self, zone: bytes, response: Response, wall: float) -> bool:
        """Take in an answer, unvalidated. Returns whether the zone's keys are secure."""
        point = self.points[fold(zone)]
        rrset = next((one for one in response.answer if one.key == (point.zone, DNSKEY)), None)
        if rrset is None:
            point.failed(wall, self._rng)
            secure = False
        else:
            secure = point.observe(rrset, wall, self._policy, self._first.get(point.zone), self._rng)
            self._apply(point)
        self._keep(point)
        return secure

    def failed(self, zone: bytes, wall: float) -> None:
        """No answer came."""
        point = self.points[fold(zone)]
        point.failed(wall, self._rng)
        self._keep(point)

    def _keep(self, point: TrustPoint) -> None:
        """Save what is known; before keys are, the anchors that the file began with must stay in it."""
        if point.keys:
            self._save(point.zone, point.to_text())

    def _apply(self, point: TrustPoint) -> None:
        if point.keys:
            self.anchors.replace(Anchor(point.zone, (), tuple(point.trusted)))


def anchor_file(path: Path) -> Callable[[bytes, str], None]:
    """What keeps the text of one zone's anchor in a file, for `AnchorKeeper`'s `save`; it raises OSError."""
    return lambda zone, text: write_atomically(path, [text.encode()])
