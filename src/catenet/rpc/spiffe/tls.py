"""TLS whose both sides are SPIFFE ids: a peer is verified against the authorities of the trust domain that it names.

Names of hosts mean nothing here. OpenSSL verifies the chain against all authorities together; that its own domain's is
among them, and that the id may be there, is checked when the handshake is done and before anything else is read.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection
from typing import Any

from catenet.net.tls_source import load_pair
from catenet.rpc.identity.certificates import read_certificate
from catenet.rpc.spiffe.material import Material, Svid, domain_of

__all__ = ["Peers", "make_context"]

Peers = Callable[[str], bool] | Collection[str] | None
"""Which ids may be at the other end: a function, some ids, or None: all of the trust domain of one's own SVID."""


class _SpiffeContext(ssl.SSLContext):
    """`refusal(chain)` says what is wrong with a peer's chain (DER, the leaf first), or None."""

    refusal: Callable[[list[bytes]], str | None]


class _SpiffeObject(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        refused = context.refusal(_chain(self)) if isinstance(context, _SpiffeContext) else "no SPIFFE context"
        if refused is not None:
            error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {refused}")
            error.verify_message = refused
            raise error


_SpiffeContext.sslobject_class = _SpiffeObject


def make_context(material: Material, svid: Svid | None, peers: Peers, *, server: bool) -> ssl.SSLContext:
    """Return a context; without an SVID it is a client's that shows no certificate. Raises `ssl.SSLError`."""
    context = _SpiffeContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an authority of a bundle need not be a root
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for authorities in material.bundles.values():
        context.load_verify_locations(cadata=b"".join(sorted(authorities)))
    if svid is not None:
        load_pair(context, svid.key_pem(), svid.chain_pem())
    own = None if svid is None else svid.domain
    context.refusal = lambda chain: _refusal(chain, material, peers, own)
    if server:
        context.num_tickets = 0  # who was verified once is verified again
        context.options |= ssl.OP_NO_TICKET
    return context


def _refusal(chain: list[bytes], material: Material, peers: Peers, own: str | None) -> str | None:
    certificate = read_certificate(chain[0]) if chain else None
    found = None if certificate is None else certificate.spiffe
    if found is None:
        return "the peer has no SPIFFE id"
    domain = domain_of(found)
    # OpenSSL has verified that each certificate is signed by the next one.
    if material.bundles.get(domain, frozenset()).isdisjoint(chain[1:]):
        return f"no authority of its own trust domain vouches for {found}"
    if peers is None:
        return None if domain == own else f"{found} is of another trust domain"
    allowed = peers(found) if callable(peers) else found in peers
    return None if allowed else f"{found} is not who may be there"


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """Return the chain that was verified, the leaf first; before Python 3.13 only the inner object has it."""
    holder: Any = tls if hasattr(tls, "get_verified_chain") else tls._sslobj  # type: ignore[attr-defined, unused-ignore]
    chain = holder.get_verified_chain() or []
    return [each if isinstance(each, bytes) else each.public_bytes(_DER) for each in chain]


_DER = 2
"""`_ssl.ENCODING_DER`."""
