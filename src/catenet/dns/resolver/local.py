"""Names that are answered here: local zones of the settings, and special-use names (RFC 6303, RFC 6761, RFC 8375)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from catenet.dns.resolver.config import LocalZone
from catenet.dns.resolver.names import ancestors
from catenet.dns.response import DROPPED, ExtendedError, Response
from catenet.dns.rrset import RRset
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, is_below, name_from_text
from catenet.wire.dns.numbers import AAAA, ANY, CNAME, DS, NOERROR, NS, NXDOMAIN, PTR, REFUSED, SOA, A

__all__ = ["LocalZones"]

_BLOCKED: Final = 15
"""Extended error (RFC 8914 4.16)."""

_LOCALHOST: Final = name_from_text("localhost.")
_SOA: Final = _LOCALHOST + name_from_text("nobody.invalid.") + struct.pack("!5I", 1, 3600, 1200, 604_800, 10_800)
_TTL: Final = 10_800
_REVERSE: Final = (
    ["0", "10", "254.169", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255", "168.192"]
    + [f"{net}.172" for net in range(16, 32)]
    + [f"{net}.100" for net in range(64, 128)]
)
"""RFC 6303 4.2 to 4.4, and RFC 7793."""
_REVERSE6: Final = ["0." * 31 + "0", "d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f", "8.b.d.0.1.0.0.2"]
_EMPTY: Final = ["onion.", "test.", "invalid.", "home.arpa.", "resolver.arpa.", "service.arpa."]
"""RFC 7686, RFC 6761 6.2 and 6.4, RFC 8375, RFC 9462, RFC 9665."""


def _empty_zone(text: str, data: Iterable[RRset] = ()) -> LocalZone:
    name = name_from_text(text)
    return LocalZone(name, "static", (RRset(name, SOA, _TTL, (_SOA,)), RRset(name, NS, _TTL, (_LOCALHOST,)), *data))


def special_zones() -> list[LocalZone]:
    """Zones that every resolver serves itself, as questions for them mean nothing elsewhere."""
    loopback = bytes(15) + b"\1"
    itself = [RRset(_LOCALHOST, A, _TTL, (b"\x7f\0\0\1",)), RRset(_LOCALHOST, AAAA, _TTL, (loopback,))]
    zones = [LocalZone(_LOCALHOST, "redirect", (*_empty_zone("localhost.").data, *itself))]
    for text, owner in (("127.in-addr.arpa.", "1.0.0.127.in-addr.arpa."), ("1" + ".0" * 31 + ".ip6.arpa.", "")):
        zones.append(_empty_zone(text, [RRset(name_from_text(owner or text), PTR, _TTL, (_LOCALHOST,))]))
    zones += [_empty_zone(f"{net}.in-addr.arpa.") for net in _REVERSE]
    zones += [_empty_zone(f"{net}.ip6.arpa.") for net in _REVERSE6]
    return zones + [_empty_zone(text) for text in _EMPTY]


@dataclass(slots=True)
class _Zone:
    kind: str
    sets: dict[tuple[bytes, int], RRset] = field(default_factory=dict)
    names: set[bytes] = field(default_factory=set)


class LocalZones:
    """All of them, found by name."""

    def __init__(self, zones: Iterable[LocalZone], special: bool = True, unblocked: Sequence[bytes] = ()) -> None:
        self._zones: dict[bytes, _Zone] = {}
        for one in zones:
            self._add(one)
        for one in special_zones() if special else ():
            if one.name not in unblocked and one.name not in self._zones:
                self._add(one)

    def _add(self, zone: LocalZone) -> None:
        found = self._zones.setdefault(zone.name, _Zone(zone.kind))
        for one in zone.data:
            found.sets[one.key] = one
            for name in ancestors(fold(one.name)):
                if not is_below(name, zone.name):
                    break
                found.names.add(name)

    def answer(self, question: Question) -> Response | None:
        """The answer, None for a question that goes on to be resolved; the name is folded."""
        name, kind = question.name, question.type
        for apex in ancestors(name):
            zone = self._zones.get(apex)
            if zone is None or (kind == DS and apex == name and (apex, DS) not in zone.sets):
                continue  # a DS set is the parent's, whose answer says that the zone is not signed
            return _answer(zone, apex, name, kind)
        return None


def _answer(zone: _Zone, apex: bytes, name: bytes, kind: int) -> Response | None:
    special = _by_kind_alone(zone, name, kind)
    if special is not None:
        return special
    if zone.kind == "always_transparent":
        return None
    owner = apex if zone.kind == "redirect" else name
    if kind == ANY:
        answer = [one for (at, _), one in zone.sets.items() if at == owner]
    else:
        answer = [zone.sets[owner, wanted] for wanted in (kind, CNAME) if (owner, wanted) in zone.sets][:1]
    if answer:
        return _response(answer=[_renamed(one, owner, name) for one in answer])
    exists = owner in zone.names or zone.kind == "redirect"
    if zone.kind == "typetransparent" or (zone.kind in ("transparent", "inform") and not exists):
        return None
    if zone.kind in ("refuse", "deny") and not exists:
        return _refusal(zone.kind)
    soa = zone.sets.get((apex, SOA))
    return _response(NOERROR if exists else NXDOMAIN, authority=[] if soa is None else [soa])


def _by_kind_alone(zone: _Zone, name: bytes, kind: int) -> Response | None:
    """What is said whatever data there is."""
    if zone.kind == "always_nxdomain":
        return _response(NXDOMAIN, blocked=True)
    if zone.kind == "always_nodata":
        return _response(blocked=True)
    if zone.kind in ("always_refuse", "always_deny", "inform_deny"):
        return _refusal(zone.kind.removeprefix("always_").removeprefix("inform_"))
    if zone.kind == "always_null" and kind in (A, AAAA):
        return _response(answer=[RRset(name, kind, 3600, (bytes(4 if kind == A else 16),))], blocked=True)
    return _response(blocked=True) if zone.kind == "always_null" else None


def _refusal(kind: str) -> Response:
    return _response(REFUSED if kind == "refuse" else DROPPED, blocked=True)


def _response(
    rcode: int = NOERROR, answer: Sequence[RRset] = (), authority: Sequence[RRset] = (), *, blocked: bool = False
) -> Response:
    response = Response(rcode, list(answer), list(authority), authoritative=rcode != REFUSED, recursion=True)
    if blocked:
        response.errors.append(ExtendedError(_BLOCKED))
    return response


def _renamed(one: RRset, owner: bytes, name: bytes) -> RRset:
    return one if owner == name else RRset(name, one.type, one.ttl, one.data, (), one.rclass)
