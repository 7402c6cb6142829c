"""Whether a record set is signed by a zone (RFC 4035 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from catenet.dns.dnssec.algorithms import algorithm_to_text
from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.keys import Key
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.proof import Proof
from catenet.dns.dnssec.rrsig import Signature, label_count, serial_difference, signed_data
from catenet.dns.response import ExtendedError, Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import fold, name_to_text
from catenet.wire.dns.numbers import type_to_text
from catenet.wire.errors import Malformed

__all__ = [
    "DNSKEY_MISSING",
    "DNSSEC_BOGUS",
    "NSEC_MISSING",
    "RRSIGS_MISSING",
    "UNSUPPORTED_ALGORITHM",
    "UNSUPPORTED_DIGEST",
    "UNSUPPORTED_ITERATIONS",
    "Finding",
    "Terms",
    "set_to_text",
    "signatures_of",
    "verify_set",
]

MOST_SIGNATURES: Final = 12
"""Of one set, that are looked at. More than one key, or algorithm, of a zone sign while it rolls over."""
MOST_SAME_TAG: Final = 4
"""Keys with the same tag and algorithm that are tried for a signature (CVE-2023-50387)."""

# Extended errors (RFC 8914 4).
UNSUPPORTED_ALGORITHM: Final = 1
UNSUPPORTED_DIGEST: Final = 2
DNSSEC_BOGUS: Final = 6
SIGNATURE_EXPIRED: Final = 7
NOT_YET_VALID: Final = 8
DNSKEY_MISSING: Final = 9
RRSIGS_MISSING: Final = 10
NO_ZONE_KEY_BIT: Final = 11
NSEC_MISSING: Final = 12
EXPIRED_BEFORE_VALID: Final = 25
UNSUPPORTED_ITERATIONS: Final = 27

_INFORMATIVE: Final = (
    RRSIGS_MISSING,
    UNSUPPORTED_ALGORITHM,
    DNSKEY_MISSING,
    NO_ZONE_KEY_BIT,
    NOT_YET_VALID,
    EXPIRED_BEFORE_VALID,
    SIGNATURE_EXPIRED,
    DNSSEC_BOGUS,
)
"""Of several signatures that fail, the reason is told of the one that came farthest."""


class Terms(NamedTuple):
    """On what terms signatures are checked: the time (seconds since 1970), settings, and the work allowed."""

    wall: float
    policy: Policy
    budget: Budget


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of a record set.

    Attributes:
        security: of it.
        ttl: seconds for which it may be kept (RFC 4035 5.3.3).
        reason, error: why it is not secure, in words and as an extended error.
        zone: the zone that signed it, folded.
        source_labels: labels of the wildcard's parent, of a set that was made from a wildcard, else None.
        proof: how that was found.
    """

    security: Security
    ttl: int
    proof: Proof
    reason: str = ""
    error: ExtendedError | None = None
    zone: bytes = b""
    source_labels: int | None = None


def set_to_text(rrset: RRset) -> str:
    """A set's owner and type, for people."""
    return f"{name_to_text(fold(rrset.name))} {type_to_text(rrset.type)}"


def signatures_of(rrset: RRset) -> list[Signature]:
    """The signatures of a set that can be read, at most so many as are looked at."""
    found = []
    for data in rrset.signatures[:MOST_SIGNATURES]:
        try:
            found.append(Signature(data))
        except Malformed:
            continue
    return found


def verify_set(rrset: RRset, zone: bytes, keys: Sequence[Key], terms: Terms) -> Finding:
    """Look for one signature by one of these keys of `zone` (folded) that makes the set secure.

    One suffices, of any algorithm (RFC 6840 5.11). Raises Exhausted.
    """
    problems: list[tuple[int, str]] = []
    for signature in signatures_of(rrset):
        problem = _check_fields(rrset, zone, signature) or _check_times(rrset, signature, terms)
        if problem is None:
            problem = _check_signature(rrset, signature, keys, terms)
        if problem is None:
            return _secure(rrset, zone, signature, terms)
        problems.append(problem)
    text = set_to_text(rrset)
    code, reason = _most_informative(problems) or (RRSIGS_MISSING, f"{text} has no signature")
    proof = Proof(f"signature over {text}", "RFC 4035 5.3", Security.BOGUS, reason)
    return Finding(Security.BOGUS, 0, proof, reason, ExtendedError(code, reason), zone)


def _most_informative(problems: Iterable[tuple[int, str]]) -> tuple[int, str] | None:
    return max(problems, key=lambda problem: _INFORMATIVE.index(problem[0]), default=None)


def _check_fields(rrset: RRset, zone: bytes, signature: Signature) -> tuple[int, str] | None:
    """RFC 4035 5.3.1, all but times and key: an extended error's code and a reason, None when there is none."""
    labels = signature.labels
    if (
        signature.covered == rrset.type
        and signature.signer == zone
        and label_count(zone) <= labels <= label_count(rrset.name)
    ):
        return None
    text = set_to_text(rrset)
    if signature.covered != rrset.type:
        return RRSIGS_MISSING, f"{text} has a signature over another type"
    if signature.signer != zone:
        signer = name_to_text(signature.signer)
        return RRSIGS_MISSING, f"{text} is signed by {signer}, not by its zone {name_to_text(zone)}"
    if signature.labels > label_count(rrset.name):
        return DNSSEC_BOGUS, f"signature of {text} counts more labels than its owner has"
    return DNSSEC_BOGUS, f"signature of {text} is for a wildcard above its zone"


def _check_times(rrset: RRset, signature: Signature, terms: Terms) -> tuple[int, str] | None:
    now = int(terms.wall) & 0xFFFF_FFFF
    lifetime = serial_difference(signature.expiration, signature.inception)
    skew = terms.policy.skew(lifetime) if lifetime >= 0 else 0
    late = serial_difference(now, signature.expiration)
    early = serial_difference(signature.inception, now)
    if lifetime >= 0 and late <= skew and early <= skew:
        return None
    name, kind = name_to_text(fold(rrset.name)), type_to_text(rrset.type)
    if lifetime < 0:
        return EXPIRED_BEFORE_VALID, f"signature of {name} expires before it becomes valid ({kind})"
    if late > skew:
        return SIGNATURE_EXPIRED, f"signature of {name} expired {duration_to_text(late)} ago ({kind})"
    return NOT_YET_VALID, f"signature of {name} becomes valid in {duration_to_text(early)} ({kind})"


def _check_signature(rrset: RRset, signature: Signature, keys: Sequence[Key], terms: Terms) -> tuple[int, str] | None:
    if not terms.policy.supports(signature.algorithm):
        return UNSUPPORTED_ALGORITHM, _of_algorithm(rrset, signature)
    named = [key for key in keys if key.tag == signature.tag and key.algorithm == signature.algorithm]
    usable = [key for key in named if key.is_zone_key][:MOST_SAME_TAG]
    if not usable:
        return _without_key(rrset, signature, bool(named))
    try:
        data = signed_data(rrset, signature)
    except Malformed as error:
        return DNSSEC_BOGUS, f"data of {set_to_text(rrset)} cannot be read: {error}"
    for key in usable:
        terms.budget.spend()
        if key.verify(signature.signature, data):
            return None
        terms.budget.fail()
    name, kind = name_to_text(fold(rrset.name)), type_to_text(rrset.type)
    return DNSSEC_BOGUS, f"signature of {name} by key {signature.tag} does not match ({kind})"


def _of_algorithm(rrset: RRset, signature: Signature) -> str:
    name, kind = name_to_text(fold(rrset.name)), type_to_text(rrset.type)
    return f"signature of {name} is of {algorithm_to_text(signature.algorithm)} ({kind})"


def _without_key(rrset: RRset, signature: Signature, is_named: bool) -> tuple[int, str]:
    zone, tag = name_to_text(signature.signer), signature.tag
    if is_named:
        return NO_ZONE_KEY_BIT, f"key {tag} of {zone} is no zone key"
    name, kind = name_to_text(fold(rrset.name)), type_to_text(rrset.type)
    return DNSKEY_MISSING, f"{zone} has no key {tag} that signed {name} ({kind})"


def _secure(rrset: RRset, zone: bytes, signature: Signature, terms: Terms) -> Finding:
    now = int(terms.wall) & 0xFFFF_FFFF
    remaining = max(serial_difference(signature.expiration, now), 0)
    ttl = min(rrset.ttl, signature.original_ttl, remaining)  # RFC 4035 5.3.3
    expanded = signature.labels if signature.labels < label_count(rrset.name) else None

    def note() -> str:
        algorithm, key = algorithm_to_text(signature.algorithm), f"key {signature.tag} of {name_to_text(zone)}"
        words = f"{key}, {algorithm}, valid for {duration_to_text(remaining)} more"
        return words if expanded is None else f"{words}, from a wildcard"

    proof = Proof(lambda: f"signature over {set_to_text(rrset)}", "RFC 4035 5.3", Security.SECURE, note)
    return Finding(Security.SECURE, ttl, proof, zone=zone, source_labels=expanded)


_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def duration_to_text(seconds: int) -> str:
    """A duration in its largest unit: `3 days`."""
    for size, unit in _UNITS:
        count = seconds // size
        if count:
            return f"{count} {unit}" + "s" * (count > 1)
    return "0 seconds"
