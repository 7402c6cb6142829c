"""Who is at the other end of a connection: its address, the kernel's word, a verified certificate."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from catenet.net.local_peer import LocalPeer, local_peer
from catenet.rpc.identity.certificates import read_certificate
from catenet.rpc.model.context import Peer
from catenet.rpc.model.identity import Certificate, identity_of

__all__ = ["peer_of", "unix_peer"]


def peer_of(transport: asyncio.Transport | None) -> Peer:
    """Return who is at the other end of a connection."""
    if transport is None:
        return Peer("")
    tls = transport.get_extra_info("ssl_object")
    described, certificate = _certificate(tls) if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else (None, None)
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return Peer(f"{host}:{name[1]}", described, None, identity_of(None, certificate))
    sock = transport.get_extra_info("socket")
    local = None if sock is None else local_peer(sock, lambda: not transport.is_closing())
    return unix_peer(local, described, certificate)


def unix_peer(
    local: LocalPeer | None, described: dict[str, Any] | None = None, certificate: Certificate | None = None
) -> Peer:
    """Return who is at the other end of a Unix socket, by the kernel's word; None: it is not known."""
    credentials = None if local is None else (local.pid or 0, _shown(local.uid), _shown(local.gid))
    return Peer("unix", described, credentials, identity_of(local, certificate))


def _shown(number: int | None) -> int:
    return -1 if number is None else number


def _certificate(tls: ssl.SSLObject | ssl.SSLSocket) -> tuple[dict[str, Any] | None, Certificate | None]:
    """Only a certificate that TLS has verified has a description; its bytes are there either way."""
    described: dict[str, Any] | None = tls.getpeercert()
    der = tls.getpeercert(binary_form=True) if described else None
    return described, None if der is None else read_certificate(der)
