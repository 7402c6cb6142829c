"""DS and DNSKEY records of master files, as files of trust anchors and of keys have them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from catenet.dns.dnssec.keys import Ds, Key, ds_from_data
from catenet.dns.master.gather import LooseSets
from catenet.dns.master.reader import read_into, source_of_text
from catenet.dns.master.tokens import ZoneError
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import ROOT, fold
from catenet.wire.dns.numbers import DNSKEY, DS, RRSIG, type_to_text
from catenet.wire.errors import Malformed

__all__ = ["AnchorError", "parse_anchors"]

AnchorError = ZoneError
"""A file of trust anchors has a mistake; the message names the file, the line and the nearest valid choice."""

_SIZES: Final = {1: 20, 2: 32, 4: 48}
"""Bytes of the digests that we know."""
_NO_TTL: Final = 0


class _Anchors(LooseSets):
    """Takes what a trust anchor can be; ValueError for the rest. Signatures, which tools print too, are passed over."""

    def put(self, rrset: RRset) -> None:
        if rrset.type == RRSIG:
            return
        if rrset.type not in (DS, DNSKEY):
            raise ValueError(f"record type {type_to_text(rrset.type)}; a trust anchor is a DS or DNSKEY record")
        for data in rrset.data:
            _value(rrset.type, data)
        super().put(rrset)


def parse_anchors(text: str, source: str) -> Iterator[tuple[bytes, Ds | Key]]:
    """The records of a text: folded owner, and what is trusted. `source` is what messages call it.

    TTL and class may be left out. Raises AnchorError.
    """
    store = _Anchors()
    read_into(store, source_of_text(text, source), ROOT, _NO_TTL)
    for rrset in store:
        for data in rrset.data:
            yield fold(rrset.name), _value(rrset.type, data)


def _value(kind: int, data: bytes) -> Ds | Key:
    try:
        value = ds_from_data(data) if kind == DS else Key(data)
    except Malformed as error:
        raise ValueError(str(error)) from None
    if isinstance(value, Ds):
        size = _SIZES.get(value.digest_type, len(value.digest))
        if len(value.digest) != size:
            digits = 2 * len(value.digest)
            raise ValueError(f"a digest of type {value.digest_type} has {2 * size} hexadecimal digits, not {digits}")
    return value
