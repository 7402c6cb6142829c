"""Catalog zones (RFC 9432): the list of a server's zones as a zone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from catenet.dns.rrset import RRset
from catenet.dns.zone.contents import Contents
from catenet.dns.zone.zone import Zone
from catenet.wire.dns.name import fold, is_below, name_from_text, name_to_text
from catenet.wire.dns.numbers import NS, PTR, SOA, TXT

__all__ = ["Catalog", "CatalogChange", "Member", "catalog_zone", "compare_catalogs", "read_catalog"]

_VERSION: Final = b"\x07version"
_ZONES: Final = b"\x05zones"
_GROUP: Final = b"\x05group"
_OWNER: Final = b"\x03coo"
_KNOWN: Final = b"2"
"""The version that this reads (RFC 9432 4.2.1)."""
_INVALID: Final = name_from_text("invalid.")
MOST_MEMBERS: Final = 1_000_000


class Member(NamedTuple):
    """A zone of a catalog.

    Attributes:
        name: its name, folded.
        id: label that stands for it; with another one it is another zone of the same name (RFC 9432 5.4).
        groups: what it is to be served like.
        owner: the catalog to which it moves, folded; empty if to none (RFC 9432 4.3.1).
    """

    name: bytes
    id: bytes
    groups: tuple[str, ...] = ()
    owner: bytes = b""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The members of a catalog zone, by folded name."""

    origin: bytes
    members: Mapping[bytes, Member] = field(default_factory=dict)


class CatalogChange(NamedTuple):
    """What differs between two versions of a catalog."""

    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    reset: tuple[Member, ...]
    """The same name with another id: what is known of the zone is to be forgotten."""
    changed: tuple[Member, ...]
    """Only groups or owner differ."""


def read_catalog(zone: Contents) -> Catalog:
    """The catalog that a zone is. Raises ValueError for a broken one, which is not to be acted upon (RFC 9432 5.1)."""
    origin = zone.apex
    version = zone.get(_VERSION + origin, TXT)
    if version is None or len(version.data) != 1 or version.data[0] != bytes((len(_KNOWN),)) + _KNOWN:
        raise ValueError(f"{name_to_text(origin)} is no catalog of version 2")
    above = _ZONES + origin
    members: dict[bytes, Member] = {}
    for name in zone.names():
        if not is_below(name, above) or name == above or name[1 + name[0] :] != above:
            continue
        pointer = zone.get(name, PTR)
        if pointer is None:
            continue
        if len(pointer.data) != 1:
            raise ValueError(f"{name_to_text(name)} has several PTR records; a member has one")
        member = _member(zone, name, fold(pointer.data[0]))
        if member.name in members:
            raise ValueError(f"{name_to_text(member.name)} is in the catalog twice")
        members[member.name] = member
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"a catalog of more than {MOST_MEMBERS} zones")
    return Catalog(origin, members)


def _member(zone: Contents, name: bytes, of: bytes) -> Member:
    groups = zone.get(_GROUP + name, TXT)
    owner = zone.get(_OWNER + name, PTR)
    texts = () if groups is None else tuple(sorted(_first_string(data) for data in groups.data))
    moves = fold(owner.data[0]) if owner is not None and len(owner.data) == 1 else b""
    return Member(of, name[1 : 1 + name[0]], texts, moves)


def _first_string(data: bytes) -> str:
    return data[1 : 1 + data[0]].decode("latin-1") if data else ""


def compare_catalogs(before: Catalog, after: Catalog) -> CatalogChange:
    """What has become different."""
    old, new = before.members, after.members
    both = [(old[name], new[name]) for name in new if name in old]
    return CatalogChange(
        tuple(new[name] for name in new if name not in old),
        tuple(old[name] for name in old if name not in new),
        tuple(now for then, now in both if then.id != now.id),
        tuple(now for then, now in both if then.id == now.id and then != now),
    )


def catalog_zone(origin: bytes, members: Iterable[Member], serial: int, ttl: int = 0) -> Zone:
    """The zone that says this catalog; a member without id gets one made of its name."""
    figures = b"".join(number.to_bytes(4, "big") for number in (serial, 60, 30, 2_419_200, 0))
    zone = Zone(origin)
    zone.put(RRset(origin, SOA, ttl, (_INVALID + _INVALID + figures,)))
    zone.put(RRset(origin, NS, ttl, (_INVALID,)))
    zone.put(RRset(_VERSION + origin, TXT, ttl, (bytes((len(_KNOWN),)) + _KNOWN,)))
    for member in members:
        label = member.id or hashlib.sha256(member.name).hexdigest()[:32].encode()
        name = bytes((len(label),)) + label + _ZONES + origin
        zone.put(RRset(name, PTR, ttl, (member.name,)))
        if member.groups:
            texts = tuple(bytes((len(text),)) + text.encode("latin-1") for text in member.groups)
            zone.put(RRset(_GROUP + name, TXT, ttl, texts))
        if member.owner:
            zone.put(RRset(_OWNER + name, PTR, ttl, (member.owner,)))
    return zone
