"""A client's certificate, read from its own bytes, once TLS has verified it; SPIFFE ids (X509-SVID)."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from catenet.rpc.model.identity import Certificate

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["read_certificate", "spiffe_id"]

logger = logging.getLogger("catenet.rpc")

_MOST = 2048
"""Bytes of a SPIFFE id (SPIFFE-ID section 2.3)."""
_SPIFFE = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)*)")

_told = False


def read_certificate(der: bytes) -> Certificate | None:
    """Return what a verified certificate says; None if it cannot be read, or `cryptography` is missing."""
    global _told
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256
    except ImportError:
        if not _told:
            _told = True
            logger.error(
                "clients' certificates say nothing without the package cryptography: pip install 'catenet[auth]'"
            )
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _alternative_names(certificate)
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()
        return Certificate(
            certificate.subject.rfc4514_string(),
            certificate.fingerprint(SHA256()).hex(),
            tuple(name.lower() for name in names.get_values_for_type(x509.DNSName)) if names else (),
            uris,
            tuple(names.get_values_for_type(x509.RFC822Name)) if names else (),
            tuple(str(one) for one in names.get_values_for_type(x509.IPAddress)) if names else (),
            spiffe_id(uris) if _may_be_svid(certificate) else None,
            certificate.not_valid_after_utc,
        )
    except Exception as error:  # InvalidVersion, DuplicateExtension and others are no ValueErrors, and their list grows
        logger.info("a client's certificate cannot be read: %s", type(error).__name__)
        return None


def spiffe_id(uris: tuple[str, ...]) -> str | None:
    """Return the SPIFFE id among the alternative names of one certificate; None if there is none that is valid.

    There must be exactly one URI (X509-SVID section 2), of a trust domain and a path without empty, `.` or `..`
    segments, port, user, query and fragment (SPIFFE-ID section 2).
    """
    if len(uris) != 1 or len(uris[0].encode()) > _MOST:
        return None
    match = _SPIFFE.fullmatch(uris[0])
    if match is None or not match[2] or not {".", ".."}.isdisjoint(match[2].split("/")):
        return None  # a trust domain without a path names no workload
    return uris[0]


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _may_be_svid(certificate: x509.Certificate) -> bool:
    """A leaf that may sign data and no certificates (X509-SVID sections 4.1 and 4.3)."""
    from cryptography import x509

    try:
        if certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.digital_signature and not usage.key_cert_sign and not usage.crl_sign
