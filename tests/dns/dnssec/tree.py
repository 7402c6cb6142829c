"""A small tree of signed zones, answered as their servers and a resolver would, without any network."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import dns.name
import dns.rdata

from catenet.dns.dnssec.anchors import Anchor, TrustAnchors
from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.cache import KeyCache
from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.dnssec.keys import Ds, Key, ds_from_key
from catenet.dns.dnssec.nsec import Nsec
from catenet.dns.dnssec.nsec3 import Nsec3, nsec3_hash
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.private import SigningKey, generate_key
from catenet.dns.dnssec.rrsig import last_labels, plain_name
from catenet.dns.dnssec.sign import Nsec3Settings, SigningSettings, sign_zone
from catenet.dns.dnssec.validate import Verdict, validate
from catenet.dns.response import Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import ROOT, fold, is_below, labels, name_from_text, parent
from catenet.wire.dns.numbers import (
    CNAME,
    DNAME,
    DS,
    NS,
    NSEC,
    NSEC3,
    NXDOMAIN,
    SERVFAIL,
    SOA,
    type_from_text,
)
from catenet.wire.errors import Malformed

WALL = 1_750_000_000.0
"""Now, in seconds since 1970."""
DAY = 86_400
ED25519 = 15


def name(text: str) -> bytes:
    return name_from_text(text)


def sets_from_text(text: str, origin: bytes) -> list[RRset]:
    """Record sets from lines `owner type data`, all with a TTL of 3600 seconds."""
    found: dict[tuple[bytes, int], list[bytes]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        owner, kind, words = line.split(None, 2)
        number = type_from_text(kind)
        data = dns.rdata.from_text("IN", f"TYPE{number}", words, dns.name.from_wire(origin, 0)[0], False).to_wire()
        assert data is not None
        found.setdefault((name_from_text(owner, origin), number), []).append(data)
    return [RRset(owner, number, 3600, tuple(data)) for (owner, number), data in found.items()]


def make_key(zone: bytes, algorithm: int = ED25519, seed: int = 1, is_entry_point: bool = True) -> SigningKey:
    rng = random.Random(f"{zone!r} {algorithm} {seed}")
    if algorithm in (5, 7, 8, 10):
        return _rsa_key(zone, algorithm, seed, is_entry_point)
    return generate_key(zone, algorithm, is_entry_point=is_entry_point, entropy=rng.randbytes)


@functools.cache
def _rsa_key(zone: bytes, algorithm: int, seed: int, is_entry_point: bool) -> SigningKey:
    key = generate_key(zone, 8, is_entry_point=is_entry_point)
    return replace(key, key=Key(key.key.data[:3] + bytes((algorithm,)) + key.key.public))


@dataclass
class ServedZone:
    """A zone, signed or not; `keys` are the ones that sign it; whether, and how, its parent says so."""

    origin: bytes
    sets: list[RRset]
    keys: list[SigningKey] = field(default_factory=list)
    nsec3: Nsec3Settings | None = None
    with_ds: bool = True
    ds: Sequence[Ds] | None = None
    wall: float = WALL

    def delegation(self) -> list[Ds]:
        """The DS records that the parent has."""
        if self.ds is not None:
            return list(self.ds)
        return [ds_from_key(self.origin, key.key) for key in self.keys if key.key.is_entry_point][:1]

    def change(self, owner_text: str, kind: str, edit: Callable[[RRset], RRset | None]) -> None:
        """Put another set, or none, in the place of one."""
        key = (fold(name_from_text(owner_text, self.origin)), type_from_text(kind))
        assert any(one.key == key for one in self.sets), (owner_text, kind)
        edited = [edit(one) if one.key == key else one for one in self.sets]
        self.sets = [one for one in edited if one is not None]

    def find(self, owner: bytes, kind: int) -> RRset | None:
        return next((one for one in self.sets if one.key == (fold(owner), kind)), None)

    def exists(self, owner: bytes) -> bool:
        """Whether a name has records, or is above one that has."""
        return any(one.type != NSEC3 and is_below(fold(one.name), owner) for one in self.sets)

    def answer(self, question: Question) -> Response:
        owner, kind = fold(question.name), question.type
        response = Response(authoritative=True)
        alias = self.find_dname(owner)
        if alias is not None:
            made = owner[: len(owner) - len(alias.name)] + alias.data[0]
            response.answer = [alias, RRset(question.name, CNAME, alias.ttl, (made,))]
            return response
        if self.exists(owner):
            self._add_data(response, owner, owner, kind)
            return response
        encloser = parent(owner)
        while not self.exists(encloser):
            encloser = parent(encloser)
        wildcard = b"\x01*" + encloser
        if self.exists(wildcard):
            self._add_data(response, owner, wildcard, kind)
            closer = last_labels(owner, len(labels(encloser)) + 1)
            self._add_cover(response, owner if self.nsec3 is None else closer)
            if not response.answer and self.nsec3 is not None:
                self._add_match(response, encloser)
            return response
        response.rcode = NXDOMAIN
        self._add_soa(response)
        self.add_no_name(response, owner, encloser)
        return response

    def add_no_name(self, response: Response, owner: bytes, encloser: bytes) -> None:
        if self.nsec3 is None:
            self._add_cover(response, owner)
        else:
            self._add_match(response, encloser)
            self._add_cover(response, last_labels(owner, len(labels(encloser)) + 1))
        self._add_cover(response, b"\x01*" + encloser)

    def find_dname(self, owner: bytes) -> RRset | None:
        return next((one for one in self.sets if one.type == DNAME and self._is_under(owner, fold(one.name))), None)

    @staticmethod
    def _is_under(owner: bytes, ancestor: bytes) -> bool:
        return owner != ancestor and is_below(owner, ancestor)

    def _add_data(self, response: Response, owner: bytes, source: bytes, kind: int) -> None:
        rrset = self.find(source, kind) or self.find(source, CNAME)
        if rrset is not None:
            response.answer.append(replace(rrset, name=owner))
            return
        self._add_soa(response)
        if self.nsec3 is not None and not self._add_match(response, source):
            encloser = source  # below an opt-out range: the closest provable encloser
            closer = owner
            while not self._add_match(response, encloser) and closer != self.origin:
                closer, encloser = encloser, parent(encloser)
            self._add_cover(response, closer)
        elif self.nsec3 is None and not self._add_match(response, source):
            self._add_cover(response, source)

    def _add_soa(self, response: Response) -> None:
        soa = self.find(self.origin, SOA)
        if soa is not None:
            response.authority.append(soa)

    def _add(self, response: Response, rrset: RRset) -> bool:
        if rrset not in response.authority:
            response.authority.append(rrset)
        return True

    def _add_match(self, response: Response, owner: bytes) -> bool:
        if self.nsec3 is None:
            rrset = self.find(owner, NSEC)
            return rrset is not None and self._add(response, rrset)
        digest = nsec3_hash(owner, self.nsec3.salt, self.nsec3.iterations)
        for rrset, nsec3 in self.nsec3s():
            if nsec3.owner == digest:
                return self._add(response, rrset)
        return False

    def _add_cover(self, response: Response, owner: bytes) -> bool:
        if self.nsec3 is None:
            for rrset in self.sets:
                if rrset.type == NSEC and self._covers(rrset, owner):
                    return self._add(response, rrset)
            return False
        digest = nsec3_hash(owner, self.nsec3.salt, self.nsec3.iterations)
        return any(nsec3.covers(digest) and self._add(response, rrset) for rrset, nsec3 in self.nsec3s())

    def _covers(self, rrset: RRset, owner: bytes) -> bool:
        try:
            return Nsec(rrset.name, rrset.data[0], self.origin).covers(owner)
        except ValueError:
            return False

    def nsec3s(self) -> Iterable[tuple[RRset, Nsec3]]:
        for rrset in self.sets:
            if rrset.type == NSEC3:
                yield rrset, Nsec3(rrset.name, rrset.data[0], self.origin)


class Tree:
    """Zones from the root down. `changes` alter answers on their way, as an attacker or a broken server does."""

    def __init__(self, wall: float = WALL) -> None:
        self.wall = wall
        self.zones: dict[bytes, ServedZone] = {}
        self.changes: list[Callable[[Question, Response], Response]] = []
        self.asked: list[Question] = []

    def add(
        self,
        origin_text: str,
        text: str = "",
        *,
        algorithm: int = ED25519,
        nsec3: Nsec3Settings | None = None,
        signed: bool = True,
        with_ds: bool = True,
        start: float = -DAY,
        life: float = 10 * DAY,
        keys: Sequence[SigningKey] | None = None,
        published: Sequence[SigningKey] = (),
        ds: Sequence[Ds] | None = None,
    ) -> ServedZone:
        """Add a zone; children first, so that parents have their DS records."""
        origin = name_from_text(origin_text)
        lines = f"@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n{text}"
        sets = sets_from_text(lines, origin)
        for child in self.zones.values():
            if self.parent_of(child.origin, origin):
                sets.append(RRset(child.origin, NS, 3600, (name_from_text("ns.invalid."),)))
                if child.with_ds and (records := child.delegation()):
                    sets.append(RRset(child.origin, DS, 3600, tuple(ds.data for ds in records)))
        if not signed:
            zone = ServedZone(origin, sets)
        else:
            signing = list(keys) if keys is not None else [make_key(origin, algorithm)]
            settings = SigningSettings(int(self.wall + start), int(self.wall + start + life), nsec3=nsec3)
            zone = ServedZone(origin, sign_zone(sets, origin, signing, settings, published), signing, nsec3)
        zone.with_ds, zone.ds, zone.wall = with_ds, ds, self.wall
        self.zones[origin] = zone
        return zone

    def parent_of(self, child: bytes, origin: bytes) -> bool:
        """Whether `origin` is the parent zone of `child`, among those that exist when it is added."""
        if child == origin or not is_below(child, origin):
            return False
        between = (zone for zone in self.zones if zone != child and is_below(child, zone))
        return not any(is_below(zone, origin) for zone in between)

    def zone_for(self, question: Question) -> ServedZone | None:
        owner = fold(question.name)
        if question.type == DS and owner != ROOT:
            owner = parent(owner)
        while owner not in self.zones:
            if owner == ROOT:
                return None
            owner = parent(owner)
        return self.zones[owner]

    def ask(self, question: Question) -> Response:
        """What the zone's servers answer."""
        self.asked.append(question)
        zone = self.zone_for(question)
        response = Response(SERVFAIL) if zone is None else zone.answer(question)
        for change in self.changes:
            response = change(question, response)
        return response

    def resolve(self, question: Question) -> Response:
        """What a resolver makes of it: aliases followed."""
        whole = Response()
        owner = question.name
        for _ in range(8):
            response = self.ask(question._replace(name=owner))
            whole.answer += response.answer
            whole.authority += response.authority
            whole.rcode = response.rcode
            last = response.answer[-1] if response.answer else None
            if last is None or last.type != CNAME or question.type == CNAME:
                break
            try:
                owner, _ = plain_name(last.data[0], 0)
            except Malformed:
                break
        return whole

    def anchors(self, origin: bytes = ROOT) -> TrustAnchors:
        key = next(key for key in self.zones[origin].keys if key.key.is_entry_point)
        return TrustAnchors([Anchor(origin, (ds_from_key(origin, key.key),))])

    def context(self, policy: Policy | None = None) -> ValidationContext:
        return ValidationContext(self.anchors(), self.wall, KeyCache(), Budget(), policy or Policy())

    def validate(
        self, text: str, kind: str, context: ValidationContext | None = None, response: Response | None = None
    ) -> Verdict:
        """The verdict on a question's answer."""
        question = Question(name_from_text(text), type_from_text(kind))
        answer = self.resolve(question) if response is None else response
        return run(question, answer, context or self.context(), self.ask)


def run(
    question: Question, answer: Response, context: ValidationContext, ask: Callable[[Question], Response]
) -> Verdict:
    """The verdict on an answer; `ask` answers what validation wants to know."""
    steps = validate(question, answer, context)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(ask(wanted))
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict
