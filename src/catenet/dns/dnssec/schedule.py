"""Which keys of a zone do what at a time, and how one takes over from another (RFC 7583, RFC 6781 4.1).

The steps of a roll-over are times on its keys. A zone that is signed anew at each of them, with what `keys_at` says,
is valid for every resolver, whatever it has in its cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from catenet.dns.dnssec.cds import sync_sets
from catenet.dns.dnssec.keys import SHA256
from catenet.dns.dnssec.private import KeyTimes, SigningKey, revoked
from catenet.dns.dnssec.sign import SigningSettings, sign_zone
from catenet.dns.rrset import RRset
from catenet.wire.dns.numbers import CDNSKEY, CDS, DNSKEY, SOA

__all__ = [
    "Delays",
    "KeysAt",
    "finish_entry_roll",
    "keys_at",
    "next_change",
    "roll_entry_key",
    "roll_zone_key",
    "sign_at",
]


@dataclass(frozen=True, slots=True)
class Delays:
    """What a roll-over waits for, in seconds.

    Attributes:
        key_ttl: TTL of the DNSKEY set.
        zone_ttl: largest TTL in the zone.
        ds_ttl: TTL of the parent's DS set.
        propagation: until all servers of the zone have a change.
        parent_propagation: until all of the parent's have.
        signing: until all of the zone is signed anew.
    """

    key_ttl: int = 3600
    zone_ttl: int = 86_400
    ds_ttl: int = 86_400
    propagation: int = 300
    parent_propagation: int = 3600
    signing: int = 0


class KeysAt(NamedTuple):
    """The keys of a zone at a time: signing, in its DNSKEY set alone, and those that its parent is told of."""

    signing: list[SigningKey]
    published: list[SigningKey]
    synced: list[SigningKey]


def keys_at(keys: Iterable[SigningKey], now: int) -> KeysAt:
    """What each key does at a time in seconds since 1970, as its times say; one without any signs."""
    found = KeysAt([], [], [])
    for key in keys:
        times = key.times
        if times == KeyTimes():
            found.signing.append(key)
            continue
        if _is_within(times.sync_publish, now, times.sync_delete):
            found.synced.append(key)
        if not _is_within(times.publish, now, times.delete):
            continue
        if times.revoke is not None and times.revoke <= now:
            found.signing.append(revoked(key))  # it has to sign its revocation (RFC 5011 2.1)
        elif _is_within(times.activate, now, times.inactive):
            found.signing.append(key)
        else:
            found.published.append(key)
    return found


def _is_within(start: int | None, now: int, end: int | None) -> bool:
    return start is not None and start <= now and (end is None or now < end)


def next_change(keys: Iterable[SigningKey], now: int) -> int | None:
    """When a key does something else next, in seconds since 1970; None: never."""
    moments = [getattr(key.times, field.name) for key in keys for field in fields(KeyTimes) if field.name != "created"]
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


def sign_at(
    sets: Iterable[RRset],
    origin: bytes,
    keys: Sequence[SigningKey],
    settings: SigningSettings,
    now: int,
    digest_types: Sequence[int] = (SHA256,),
) -> list[RRset]:
    """Sign a zone with the keys of that time, CDS and CDNSKEY included.

    DNSKEY, CDS and CDNSKEY records that the zone has are left out: which keys it has is for their times to say.
    Raises ValueError as `sign_zone` does.
    """
    own = [one for one in sets if one.type not in (DNSKEY, CDS, CDNSKEY)]
    found = keys_at(keys, now)
    ttl = settings.key_ttl
    if ttl is None:
        ttl = next((one.ttl for one in own if one.type == SOA), 0)
    own += sync_sets(origin, [key.key for key in found.synced], ttl, digest_types)
    return sign_zone(own, origin, found.signing, settings, found.published)


def roll_zone_key(old: SigningKey, new: SigningKey, now: int, delays: Delays) -> tuple[SigningKey, SigningKey]:
    """Let a zone signing key take over (pre-publication, RFC 7583 3.2.1); returns both with their times.

    The new key is published until every cache that has DNSKEY records has it; then it signs, and the old one stays
    until no cache has its signatures.
    """
    active = now + delays.propagation + delays.key_ttl
    gone = active + delays.signing + delays.propagation + delays.zone_ttl
    first = replace(new.times, publish=now, activate=active)
    return (
        replace(old, times=replace(_started(old, now), inactive=active, delete=gone)),
        replace(new, times=first if new.times.created is not None else replace(first, created=now)),
    )


def roll_entry_key(old: SigningKey, new: SigningKey, now: int, delays: Delays) -> tuple[SigningKey, SigningKey]:
    """Begin to let a key signing key take over (double signature, RFC 7583 3.3.1).

    Both sign the DNSKEY set. When every cache has both, CDS and CDNSKEY ask the parent for a DS of the new one alone
    (RFC 7344 5). `finish_entry_roll` ends it, once the parent has done so.
    """
    known = now + delays.propagation + delays.key_ttl
    return (
        replace(old, times=replace(_started(old, now), sync_delete=known)),
        replace(new, times=replace(new.times, publish=now, activate=now, sync_publish=known)),
    )


def finish_entry_roll(old: SigningKey, ds_seen: int, delays: Delays) -> SigningKey:
    """End it: the parent has had the new DS since `ds_seen`; the old key goes when no cache has its DS."""
    gone = ds_seen + delays.parent_propagation + delays.ds_ttl
    return replace(old, times=replace(old.times, inactive=gone, delete=gone))


def _started(key: SigningKey, now: int) -> KeyTimes:
    """The times of a key that signs already."""
    times = key.times
    started = times.activate if times.activate is not None else now
    return replace(times, publish=times.publish if times.publish is not None else started, activate=started)
