"""What a child asks of its parent: CDS and CDNSKEY (RFC 7344, RFC 8078)."""

from __future__ import annotations

from collections.abc import Sequence

from catenet.dns.dnssec.algorithms import DELETE
from catenet.dns.dnssec.keys import PROTOCOL, SHA256, Ds, Key, ds_from_data, ds_from_key
from catenet.dns.rrset import RRset
from catenet.wire.dns.numbers import CDNSKEY, CDS
from catenet.wire.errors import Malformed

__all__ = ["delete_sets", "sync_sets", "wanted_ds"]

_DELETE_CDS = bytes((0, 0, DELETE, 0, 0))
_DELETE_CDNSKEY = bytes((0, 0, PROTOCOL, DELETE, 0))


def sync_sets(zone: bytes, keys: Sequence[Key], ttl: int, digest_types: Sequence[int] = (SHA256,)) -> list[RRset]:
    """The CDS and CDNSKEY sets that ask for DS records of these keys; none without a key (RFC 7344 4)."""
    if not keys:
        return []
    digests = tuple(ds_from_key(zone, key, kind).data for key in keys for kind in digest_types)
    return [RRset(zone, CDS, ttl, digests), RRset(zone, CDNSKEY, ttl, tuple(key.data for key in keys))]


def delete_sets(zone: bytes, ttl: int) -> list[RRset]:
    """The sets that ask for no DS at all: the zone is about to be unsigned (RFC 8078 4)."""
    return [RRset(zone, CDS, ttl, (_DELETE_CDS,)), RRset(zone, CDNSKEY, ttl, (_DELETE_CDNSKEY,))]


def wanted_ds(
    zone: bytes, sets: Sequence[RRset], current: Sequence[Ds], keys: Sequence[Key], digest_type: int = SHA256
) -> list[Ds] | None:
    """What a parent makes of its child's CDS and CDNSKEY (RFC 7344 4.1, 6); None: nothing is to be changed.

    Args:
        zone: the child.
        sets: its CDS and CDNSKEY sets, which have been found secure.
        current: the DS records that it has.
        keys: its DNSKEY set, found secure too.
        digest_type: of DS records that are made of CDNSKEY.

    Raises:
        ValueError: they contradict each other, or would leave the child without a key that its DNSKEY set has.
    """
    cds = next((one for one in sets if one.type == CDS), None)
    cdnskey = next((one for one in sets if one.type == CDNSKEY), None)
    if cds is None and cdnskey is None:
        return None
    deletes = {one.data == ((_DELETE_CDS,) if one.type == CDS else (_DELETE_CDNSKEY,)) for one in sets if one.data}
    if True in deletes:
        if False in deletes:
            raise ValueError("CDS and CDNSKEY contradict each other")
        return [] if current else None
    try:
        asked = {ds_from_data(data) for data in cds.data} if cds is not None else set()
        offered = [Key(data) for data in cdnskey.data] if cdnskey is not None else []
    except Malformed as error:
        raise ValueError(str(error)) from None
    if cds is not None and cdnskey is not None:
        named = {(ds.tag, ds.algorithm) for ds in asked}
        if named != {(key.tag, key.algorithm) for key in offered}:
            raise ValueError("CDS and CDNSKEY contradict each other")
    wanted = sorted(asked or {ds_from_key(zone, key, digest_type) for key in offered})
    if not any(ds.matches(zone, key) for ds in wanted for key in keys if key.is_zone_key):
        raise ValueError("no key of the zone is one that its CDS name")
    return None if set(wanted) == set(current) else wanted
