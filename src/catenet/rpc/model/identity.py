"""Who calls: what the kernel, a certificate and a token say, each verified before it is written here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from catenet.net.local_peer import LocalPeer

__all__ = ["NOBODY", "Certificate", "Identity", "Token", "identity_of"]

Kind = Literal["anonymous", "unix", "certificate", "token"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client's certificate whose chain TLS has verified.

    Attributes:
        subject: RFC 4514's text; a display name, and no base for decisions.
        fingerprint: SHA-256 of the certificate, hexadecimal.
        dns, uris, emails, addresses: subject alternative names (RFC 5280 section 4.2.1.6).
        spiffe: the SPIFFE id, if it is a valid X.509-SVID with exactly one.
        expires: end of its validity.
    """

    subject: str
    fingerprint: str
    dns: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    spiffe: str | None = None
    expires: datetime.datetime | None = None

    @property
    def name(self) -> str:
        """The SPIFFE id, or else the only alternative name, or else the fingerprint."""
        if self.spiffe is not None:
            return self.spiffe
        names = self.principals()
        return names[0] if len(names) == 1 else f"cert:{self.fingerprint}"

    def principals(self) -> tuple[str, ...]:
        """All alternative names, as policies write them."""
        pairs = (("dns", self.dns), ("uri", self.uris), ("email", self.emails), ("ip", self.addresses))
        return tuple(f"{kind}:{name}" for kind, names in pairs for name in names)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token (RFC 7519) whose signature, issuer, audience and times have been verified.

    `expires` is in seconds since 1970; `claims` are all of them, read-only; `scopes` are RFC 8693's `scope`, or `scp`.
    """

    issuer: str
    subject: str
    audience: tuple[str, ...]
    expires: float
    scopes: tuple[str, ...] = ()
    key_id: str = ""
    algorithm: str = ""
    claims: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)

    @property
    def name(self) -> str:
        """Issuer and subject; a subject alone may be another issuer's too."""
        return f"token:{self.issuer}#{self.subject}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. Everything in it has been verified; `verified` says by whom.

    Attributes:
        kind: what the name comes from: a token before a certificate, a certificate before the socket.
        name: one name, for owners, limits and logs: `uid:1000`, `spiffe://domain/web`, `token:ISSUER#SUBJECT`.
        principals: every name that policies may use for it.
    """

    kind: Kind = "anonymous"
    name: str = "anonymous"
    local: LocalPeer | None = None
    certificate: Certificate | None = None
    token: Token | None = None
    verified: tuple[str, ...] = ()
    principals: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def authenticated(self) -> bool:
        """Whether anything about the caller is known."""
        return self.kind != "anonymous"


NOBODY: Final = Identity()
"""A caller of whom nothing is known."""


def identity_of(
    local: LocalPeer | None = None, certificate: Certificate | None = None, token: Token | None = None
) -> Identity:
    """Put together what has been verified of one caller."""
    kind: Kind = "anonymous"
    name, verified, principals = "anonymous", [], set[str]()
    if local is not None:
        found = _local_names(local)
        if found:
            kind, name = "unix", found[0]
            principals.update(found)
            verified.append("kernel: the process that connected (SO_PEERCRED)")
    if certificate is not None:
        kind, name = "certificate", certificate.name
        principals.update(certificate.principals(), (name, f"cert:{certificate.fingerprint}"))
        verified.append("TLS: possession of the key, chain to an authority of ours")
    if token is not None:
        kind, name = "token", token.name
        principals.update((name, f"iss:{token.issuer}", *(f"scope:{scope}" for scope in token.scopes)))
        verified.append(f"token: signature ({token.algorithm}, key {token.key_id or 'without name'}), iss, aud, exp")
    if kind != "anonymous":
        principals.add("authenticated")
    return Identity(kind, name, local, certificate, token, tuple(verified), frozenset(principals))


def _local_names(local: LocalPeer) -> list[str]:
    """The user first. A peer whose user means nothing here has no name at all, whatever its groups are."""
    if local.uid is None:
        return []
    names = [f"uid:{local.uid}"]
    names += [f"gid:{group}" for group in dict.fromkeys((local.gid, *local.groups)) if group is not None]
    if local.label:
        names.append(f"label:{local.label}")
    return names
