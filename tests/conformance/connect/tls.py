"""TLS contexts from the certificates that the suite hands out as bytes."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any


def _load(context: ssl.SSLContext, credentials: Any) -> None:
    # The ssl module reads certificates with their keys from files only.
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert.write_bytes(credentials.cert)
        key.write_bytes(credentials.key)
        context.load_cert_chain(cert, key)


def server_context(credentials: Any, client_cert: bytes) -> ssl.SSLContext:
    """A server's context; it asks for a certificate if there is one that clients have."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, credentials)
    if client_cert:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_cert.decode())
    return context


def client_context(server_cert: bytes, credentials: Any) -> ssl.SSLContext:
    """A client's context that trusts that one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=server_cert.decode())
    if credentials is not None:
        _load(context, credentials)
    return context
