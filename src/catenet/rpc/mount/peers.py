"""Who calls, as another server tells it: the address, the certificate of ASGI's TLS extension, and what ours adds.

On a Unix socket our server hands on the kernel's word (`catenet.net.local_peer`), of the connection itself: where a
proxy's word on the client counts, or a middleware has put another client into the scope, there is none. Other servers
hand on nothing, and nothing is guessed: their callers are anonymous.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from catenet.http.serving import LOCAL_PEER
from catenet.net.local_peer import LocalPeer
from catenet.rpc.identity.certificates import read_certificate
from catenet.rpc.model.context import Peer
from catenet.rpc.model.identity import Certificate, identity_of
from catenet.rpc.server.peers import unix_peer

__all__ = ["peer_of_environ", "peer_of_scope"]


def peer_of_scope(scope: Mapping[str, Any]) -> Peer:
    """Return who is behind an ASGI scope; a client certificate counts if the server has verified it."""
    client = scope.get("client")
    tls = (scope.get("extensions") or {}).get("tls")
    certificate = None if tls is None else _verified(tls)
    if client is None:
        return unix_peer(_local((scope.get("extensions") or {}).get(LOCAL_PEER)), None, certificate)
    return Peer(_address(client[0], client[1]), None, None, identity_of(None, certificate))


def peer_of_environ(environ: Mapping[str, Any]) -> Peer:
    """Return who is behind a WSGI environment: its address; on a Unix socket of ours, who it is."""
    host = environ.get("REMOTE_ADDR")
    if not host:
        return unix_peer(_local({"peer": environ.get(LOCAL_PEER)}))
    return Peer(_address(host, environ.get("REMOTE_PORT", 0)))


def _local(extension: object) -> LocalPeer | None:
    peer = extension.get("peer") if isinstance(extension, Mapping) else None
    return peer if isinstance(peer, LocalPeer) else None


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
