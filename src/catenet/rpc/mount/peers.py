"""Who calls, as another server tells it: the address, and the certificate of ASGI's TLS extension."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from catenet.rpc.identity.certificates import read_certificate
from catenet.rpc.model.context import Peer
from catenet.rpc.model.identity import Certificate, identity_of

__all__ = ["peer_of_environ", "peer_of_scope"]


def peer_of_scope(scope: Mapping[str, Any]) -> Peer:
    """Return who is behind an ASGI scope; a client certificate counts if the server has verified it."""
    client = scope.get("client")
    tls = (scope.get("extensions") or {}).get("tls")
    certificate = None if tls is None else _verified(tls)
    address = "unix" if client is None else _address(client[0], client[1])
    return Peer(address, None, None, identity_of(None, certificate))


def peer_of_environ(environ: Mapping[str, Any]) -> Peer:
    """Return who is behind a WSGI environment, which tells no more than the address."""
    host = environ.get("REMOTE_ADDR")
    return Peer(_address(host, environ.get("REMOTE_PORT", 0)) if host else "unix")


def _address(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _verified(tls: Mapping[str, Any]) -> Certificate | None:
    """The extension has the chain of a client, and an error if the server could not verify it."""
    chain = tuple(tls.get("client_cert_chain") or ())
    if not chain or tls.get("client_cert_error") is not None:
        return None
    try:
        return read_certificate(ssl.PEM_cert_to_DER_cert(chain[0]))
    except ValueError:
        return None
