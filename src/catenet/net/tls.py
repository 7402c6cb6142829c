"""TLS contexts for servers and clients, and what went wrong with them in one line that names the file."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path

__all__ = ["TlsError", "client_context", "explain", "server_context"]

_PREFIX = re.compile(r"^\[[^\]]*\]\s*")
_PLACE = re.compile(r"\s*\(_ssl\.c:\d+\)$")


class TlsError(ValueError):
    """A certificate, a key or a list of authorities cannot be used; the text names the file."""


def server_context(
    cert: str | None, key: str | None = None, client_ca: str | None = None, alpn: Sequence[str] = ()
) -> ssl.SSLContext:
    """Return the context of a server: `cert` is its chain, `key` its key if not in the same file (PEM).

    `client_ca`: ask clients for certificates that these authorities have signed. `alpn`: RFC 7301, best first.
    Raises `TlsError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if cert is None:
        raise TlsError("a TLS server needs a certificate")
    _load_chain(context, cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, client_ca)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def client_context(
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    *,
    verify: bool = True,
    alpn: Sequence[str] = (),
) -> ssl.SSLContext:
    """Return the context of a client: `ca` are the authorities to trust instead of the system's (PEM).

    `cert` and `key` are the client's own. `verify=False` takes any certificate of the server. Raises
    `TlsError`.
    """
    context = ssl.create_default_context() if ca is None else _trusting(ca)
    if cert is not None:
        _load_chain(context, cert, key)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def explain(error: Exception) -> str:
    """Return what an `OSError` or `ssl.SSLError` says, in one line and without the place in CPython's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        text = str(error.strerror or error.reason or error.args[-1])
        return "TLS: " + _PLACE.sub("", _PREFIX.sub("", text)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno is not None:
        # An event loop puts its own words there; numbers below 0 are those of getaddrinfo.
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    if isinstance(error, ConnectionResetError):
        return "the connection was closed before it was ready"  # so asyncio says that TLS was cut off
    return str(error) or type(error).__name__


def _load_chain(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    _check_readable(cert, "certificate")
    if key is not None:
        _check_readable(key, "key")
    try:
        context.load_cert_chain(cert, key, _refuse_password)
    except ssl.SSLError as error:
        raise TlsError(_chain_problem(error, cert, key)) from None


def _chain_problem(error: ssl.SSLError, cert: str, key: str | None) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key or cert}: the key is not that of the certificate {cert}"
    text = Path(cert).read_text(errors="replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        return f"{cert}: no certificate (PEM)"
    if "PRIVATE KEY-----" not in (Path(key).read_text(errors="replace") if key is not None else text):
        return f"{key}: no key (PEM)" if key is not None else f"{cert}: no key in it; name the key's file"
    return f"{cert if key is None else f'{cert}, {key}'}: {explain(error)}"


def _trusting(ca: str) -> ssl.SSLContext:
    _check_readable(ca, "authorities")
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise TlsError(_no_authorities(ca)) from None


def _load_authorities(context: ssl.SSLContext, ca: str) -> None:
    _check_readable(ca, "authorities")
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise TlsError(_no_authorities(ca)) from None


def _no_authorities(ca: str) -> str:
    return f"{ca}: no certificates of authorities (PEM)"


def _check_readable(name: str, what: str) -> None:
    try:
        with open(name, "rb"):
            pass
    except OSError as error:
        raise TlsError(f"{name}: {error.strerror} ({what})") from None


def _refuse_password() -> str:
    """Nobody is here to be asked for one."""
    raise TlsError("the key is encrypted, which is not supported")
