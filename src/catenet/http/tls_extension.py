"""What ASGI's TLS extension tells of a connection (asgiref, specs/tls.rst, version 0.2)."""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any, Final

__all__ = ["tls_extension"]

_VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_SHORT: Final = {
    "commonName": "CN", "countryName": "C", "localityName": "L", "stateOrProvinceName": "ST",
    "organizationName": "O", "organizationalUnitName": "OU", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip
"""RFC 4514 section 3."""


def tls_extension(tls: ssl.SSLObject | ssl.SSLSocket) -> dict[str, Any]:
    """Return what an application may know of TLS: versions, and the client's certificate once it is verified.

    The server's own certificate is not to be had from Python's `ssl`. A client whose certificate cannot be verified
    does not come so far.
    """
    described = tls.getpeercert()
    chain = []
    name = None
    if described:
        der = tls.getpeercert(binary_form=True)
        chain = [] if der is None else [ssl.DER_cert_to_PEM_cert(der)]
        name = _distinguished(described.get("subject", ()))
    cipher = tls.cipher()
    return {
        "server_cert": None,
        "client_cert_chain": chain,
        "client_cert_name": name,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(tls.version() or ""),
        "cipher_suite": None if cipher is None else _suites().get(cipher[0]),
    }


@cache
def _suites() -> dict[str, int]:
    """Numbers of cipher suites (IANA) by OpenSSL's names, of which it has another number in the upper half."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return {cipher["name"]: int(cipher["id"]) & 0xFFFF for cipher in context.get_ciphers()}


def _distinguished(subject: Any) -> str:
    """Return a name as RFC 4514 writes it: the last part first."""
    parts = [
        "+".join(f"{_SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in relative)
        for relative in reversed(subject)
    ]
    return ",".join(parts)


def _escaped(value: str) -> str:
    text = "".join("\\" + each if each in ',+"\\<>;' else each for each in value)
    if text.startswith(("#", " ")):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and len(text) > 1 else text
