"""Zones of a world: from text, with delegations, keys that the seed decides, signatures and their faults."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from catenet.dns.dnssec.keys import ds_from_key
from catenet.dns.dnssec.private import SigningKey, generate_key
from catenet.dns.dnssec.sign import SigningSettings, sign_zone
from catenet.dns.rrset import RRset
from catenet.dns.zone import Zone, read_zone
from catenet.wire.dns.name import ROOT, name_from_text
from catenet.wire.dns.numbers import DNSKEY, DS, NS, SOA

__all__ = ["make_zone", "trust_anchor"]

ED25519: Final = 15
DAY: Final = 86_400
VALID_BEFORE: Final = 30 * DAY
VALID_AFTER: Final = 365 * DAY
"""Seconds around the time at which a server starts: a world may pass months."""
EXPIRED: Final = 3 * DAY
"""For how long signatures of the fault `expired` have been invalid."""


def key_of(seed: str, zone: bytes) -> SigningKey:
    """The key of a zone: every server of a world makes the same, and signatures are the same in every run."""
    material = hashlib.shake_256(f"{seed}/zone key/".encode() + zone)

    def entropy(count: int) -> bytes:
        return material.digest(count)

    return generate_key(zone, ED25519, is_entry_point=True, entropy=entropy)


def trust_anchor(seed: str) -> str:
    """The DS record of the root, as a trust anchor in master format."""
    return f". IN DS {ds_from_key(ROOT, key_of(seed, ROOT).key).to_text()}\n"


def make_zone(plan: Mapping[str, Any], seed: str, wall: float, view: str = "") -> Zone:
    """A zone as a world's file describes it; `view` is the network whose answers it has.

    Raises:
        ZoneError: a mistake in its master file.
    """
    origin = name_from_text(plan["name"])
    written = read_zone(Path(plan["file"]), origin) if plan["file"] else read_zone(plan["views"][view], origin)
    sets = _with_delegations(list(written), origin, plan)
    if not plan["sign"]:
        return Zone(origin, sets)
    signed = {name_from_text(name) for name in plan["signed_children"]}
    sets = [one for one in sets if one.type != DS or one.name not in signed]
    ttl = next(one.ttl for one in sets if one.type == SOA)
    sets += [RRset(name, DS, ttl, (ds_from_key(name, key_of(seed, name).key).data,)) for name in sorted(signed)]
    begin, end = int(wall) - VALID_BEFORE, int(wall) + VALID_AFTER
    if plan["fault"] == "expired":
        end = int(wall) - EXPIRED
    made: Iterable[RRset] = sign_zone(sets, origin, [key_of(seed, origin)], SigningSettings(begin, end))
    if plan["fault"] == "bogus":
        made = map(_broken, made)
    return Zone(origin, made)


def _with_delegations(sets: list[RRset], origin: bytes, plan: Mapping[str, Any]) -> list[RRset]:
    """The sets, with the delegations that a world needs and its file does not have."""
    cuts = {one.name for one in sets if one.type == NS}
    present = {one.key for one in sets}
    added: list[RRset] = []
    for child, text in plan["delegations"].items():
        if name_from_text(child) not in cuts:
            added += [one for one in _read_bare(text, origin) if one.key not in present]
    return sets + added


def _read_bare(text: str, origin: bytes) -> Sequence[RRset]:
    """Record sets of a text that has no SOA, which is that of another."""
    head = "@ 0 SOA . . 1 0 0 0 0\n"
    return [one for one in read_zone(head + text, origin) if one.type != SOA]


def _broken(rrset: RRset) -> RRset:
    """The set with signatures that are none; that of the keys stays, so that the zone itself is to blame."""
    if rrset.type == DNSKEY:
        return rrset
    return replace(rrset, signatures=tuple(each[:-1] + bytes((each[-1] ^ 1,)) for each in rrset.signatures))
