"""What the Workload API sends, checked: SVIDs with their keys, and the authorities of trust domains."""

from __future__ import annotations

import ssl
from base64 import encodebytes
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.rpc.identity.certificates import read_certificate

__all__ = ["Material", "Svid", "domain_of", "read_bundles", "read_svids"]

_MOST_CERTIFICATES: Final = 1000
_SEQUENCE: Final = 0x30


@dataclass(frozen=True, slots=True)
class Svid:
    """An X509-SVID: `spiffe_id`, the chain of certificates (DER), the leaf first, and what `hint` says of its use.

    `expires`: end of its validity, in seconds since 1970.
    """

    spiffe_id: str
    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)
    hint: str = ""
    expires: float = 0.0

    @property
    def domain(self) -> str:
        """The trust domain: `spiffe://` and its name."""
        return domain_of(self.spiffe_id)

    def chain_pem(self) -> bytes:
        """Return the chain as files have it."""
        return "".join(map(ssl.DER_cert_to_PEM_cert, self.chain)).encode()

    def key_pem(self) -> bytes:
        """Return the key as files have it."""
        return b"-----BEGIN PRIVATE KEY-----\n" + encodebytes(self.key) + b"-----END PRIVATE KEY-----\n"


@dataclass(frozen=True, slots=True)
class Material:
    """All that holds at a time; each answer of the Workload API replaces the one before.

    Attributes:
        svids: those of this workload, the default one first; none where only trust was asked for.
        bundles: authorities (DER) by trust domain.
    """

    svids: tuple[Svid, ...]
    bundles: Mapping[str, frozenset[bytes]]

    def svid(self, hint: str = "") -> Svid | None:
        """Return the first SVID with a hint, or the default one; None if there is none."""
        if not hint:
            return self.svids[0] if self.svids else None
        return next((svid for svid in self.svids if svid.hint == hint), None)


def domain_of(spiffe_id: str) -> str:
    """Return the trust domain of an id."""
    name = spiffe_id.removeprefix("spiffe://").partition("/")[0]
    return f"spiffe://{name}"


def read_svids(response: Any) -> Material:
    """Read an `X509SVIDResponse`. Raises `ValueError`: then it is to be dropped, and what was before stays."""
    if not response.svids:
        raise ValueError("an answer without SVIDs")
    svids: list[Svid] = []
    bundles: dict[str, frozenset[bytes]] = {}
    for entry in response.svids:
        svid = _svid(entry)
        svids.append(svid)
        bundles[svid.domain] = bundles.get(svid.domain, frozenset()) | _bundle(entry.bundle, svid.domain)
    for domain, data in response.federated_bundles.items():
        bundles.setdefault(_domain(domain), _bundle(data, domain))
    return Material(tuple(svids), bundles)


def read_bundles(response: Any) -> Material:
    """Read an `X509BundlesResponse`. Raises `ValueError`."""
    if not response.bundles:
        raise ValueError("an answer without bundles")
    return Material((), {_domain(domain): _bundle(data, domain) for domain, data in response.bundles.items()})


def _svid(entry: Any) -> Svid:
    if not entry.x509_svid_key:
        raise ValueError(f"SVID {entry.spiffe_id!r} without a key")
    chain = _certificates(entry.x509_svid, f"SVID {entry.spiffe_id!r}")
    leaf = read_certificate(chain[0])
    if leaf is None or leaf.spiffe is None or leaf.spiffe != entry.spiffe_id:
        raise ValueError(f"SVID {entry.spiffe_id!r} has a certificate of another name, or one that is no SVID")
    expires = 0.0 if leaf.expires is None else leaf.expires.timestamp()
    return Svid(entry.spiffe_id, chain, entry.x509_svid_key, entry.hint, expires)


def _domain(key: str) -> str:
    name = key.removeprefix("spiffe://")
    if not name or "/" in name:
        raise ValueError(f"a bundle of {key!r}, which is no trust domain")
    return f"spiffe://{name}"


def _bundle(data: bytes, domain: str) -> frozenset[bytes]:
    return frozenset(_certificates(data, f"the bundle of {domain}"))


def _certificates(data: bytes, what: str) -> tuple[bytes, ...]:
    """Take certificates apart that stand one behind the other (X.690 section 8.1.3: each has its length)."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = _size(data, at)
        if size is None or at + size > len(data) or len(found) == _MOST_CERTIFICATES:
            raise ValueError(f"{what}: no certificates in DER")
        found.append(bytes(data[at : at + size]))
        at += size
    if not found:
        raise ValueError(f"{what}: no certificate")
    return tuple(found)


def _size(data: bytes, at: int) -> int | None:
    """Return the size of a SEQUENCE with its head; None if there is none."""
    if len(data) < at + 2 or data[at] != _SEQUENCE:
        return None
    first = data[at + 1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if not 1 <= count <= 3 or len(data) < at + 2 + count:
        return None
    return 2 + count + int.from_bytes(data[at + 2 : at + 2 + count], "big")
