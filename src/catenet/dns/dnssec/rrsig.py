"""Signatures over record sets: RRSIG records, and the bytes that are signed (RFC 4034 3, 6)."""

from __future__ import annotations

import struct
from typing import Final

from catenet.dns.rrset import RRset
from catenet.wire.dns.name import LONGEST, LONGEST_LABEL, ROOT, fold
from catenet.wire.dns.rdata import canonical
from catenet.wire.errors import Malformed

__all__ = [
    "Signature",
    "label_count",
    "last_labels",
    "plain_name",
    "rrsig_head",
    "serial_difference",
    "signed_data",
    "wildcard_of",
]

_HEAD: Final = struct.Struct("!HBBIIIH")
_RECORD: Final = struct.Struct("!HHI")


class Signature:
    """One RRSIG record.

    Attributes:
        covered: type of the records that it covers.
        algorithm: number of the algorithm.
        labels: labels of the owner as it was signed, without the root's and a leading asterisk.
        original_ttl: TTL in the zone, in seconds.
        expiration, inception: seconds since 1970, modulo 2**32.
        tag: key tag of the key.
        signer: name of the zone whose key it is, folded.
        head: all fields before the signature, in canonical form.
        signature: what the algorithm made.
    """

    __slots__ = (
        "algorithm",
        "covered",
        "expiration",
        "head",
        "inception",
        "labels",
        "original_ttl",
        "signature",
        "signer",
        "tag",
    )

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEAD.size:
            raise Malformed("dns: RRSIG is cut off")
        (
            self.covered,
            self.algorithm,
            self.labels,
            self.original_ttl,
            self.expiration,
            self.inception,
            self.tag,
        ) = _HEAD.unpack_from(data)
        signer, end = plain_name(data, _HEAD.size)
        self.signer = fold(signer)
        self.head = data[: _HEAD.size] + self.signer
        self.signature = data[end:]


def rrsig_head(
    covered: int, algorithm: int, labels: int, ttl: int, expiration: int, inception: int, tag: int, signer: bytes
) -> bytes:
    """All fields of an RRSIG before its signature (RFC 4034 3.1); times in seconds since 1970."""
    times = expiration & 0xFFFF_FFFF, inception & 0xFFFF_FFFF
    return _HEAD.pack(covered, algorithm, labels, ttl, *times, tag) + fold(signer)


def plain_name(data: bytes, at: int) -> tuple[bytes, int]:
    """The name at `at` in record data, where nothing is compressed, and the offset behind it. Raises Malformed."""
    start, size = at, len(data)
    while at < size:
        length = data[at]
        at += 1 + length
        if length > LONGEST_LABEL or at > size:
            break
        if not length:
            if at - start > LONGEST:
                break
            return data[start:at], at
    raise Malformed("dns: name in record data")


def label_count(name: bytes) -> int:
    """Labels of a name as the Labels field counts them: without the root's and a leading asterisk (RFC 4034 3.1.3)."""
    count = at = 0
    while length := name[at]:
        count += 1
        at += 1 + length
    return count - 1 if name[:2] == b"\x01*" else count


def last_labels(name: bytes, count: int) -> bytes:
    """The ancestor of a name that has so many labels; the name itself when it has no more."""
    starts, at = [], 0
    while length := name[at]:
        starts.append(at)
        at += 1 + length
    if count <= 0:
        return ROOT
    return name if count >= len(starts) else name[starts[-count] :]


def wildcard_of(name: bytes) -> bytes:
    """The wildcard directly below a name. It may be longer than names can be; then it equals none."""
    return b"\x01*" + name


def signed_data(rrset: RRset, signature: Signature) -> bytes:
    """The bytes that a signature over this set covers (RFC 4034 3.1.8.1).

    Owner and names in the data are in canonical form, the TTL is the original one, records are sorted, each once
    (RFC 4034 6.3). Raises Malformed for data that is not of the set's type.
    """
    owner = fold(rrset.name)
    if signature.labels < label_count(owner):
        owner = wildcard_of(last_labels(owner, signature.labels))
    head = owner + _RECORD.pack(rrset.type, rrset.rclass, signature.original_ttl)
    kind = rrset.type
    if len(rrset.data) == 1:
        data = canonical(rrset.data[0], kind)
        return signature.head + head + len(data).to_bytes(2, "big") + data
    ordered = sorted({canonical(data, kind) for data in rrset.data})
    return signature.head + b"".join([head + len(data).to_bytes(2, "big") + data for data in ordered])


def serial_difference(first: int, second: int) -> int:
    """`first - second` of 32-bit numbers that wrap around (RFC 1982 3.2, RFC 4034 3.1.5), in seconds."""
    return ((first - second + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
