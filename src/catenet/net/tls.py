"""TLS contexts for servers and clients, and what went wrong with them in one line that names the file."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Sequence
from pathlib import Path

from catenet.printable import printable

__all__ = ["Certificates", "TlsError", "client_context", "explain", "is_plain", "server_context"]

logger = logging.getLogger("catenet.net")

_NOT_TLS = (
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "WRONG_VERSION_NUMBER",
)
"""What OpenSSL says of a first record that is none."""
_PREFIX = re.compile(r"^\[[^\]]*\]\s*")
_PEM = re.compile(rb"-----BEGIN ([^-\n]*)-----")
_PLACE = re.compile(r"\s*\(_ssl\.c:\d+\)$")


class TlsError(ValueError):
    """A certificate, a key or a list of authorities cannot be used; the text names the file."""

    def __init__(self, text: str, file: str | None = None) -> None:
        """`file`: which one it is about; None when it is about several, or none."""
        super().__init__(text)
        self.file = file


def server_context(
    cert: str | None,
    key: str | None = None,
    client_ca: str | None = None,
    alpn: Sequence[str] = (),
    *,
    crl: str | None = None,
) -> ssl.SSLContext:
    """Return the context of a server: `cert` is its chain, `key` its key if not in the same file (PEM).

    `client_ca`: ask clients for certificates that these authorities have signed. `crl`: lists of those that they have
    revoked (PEM, RFC 5280 section 5); a client whose authority has none there that is valid now is refused. `alpn`:
    RFC 7301, best first. Raises `TlsError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if cert is None:
        raise TlsError("a TLS server needs a certificate")
    _load_chain(context, cert, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, client_ca)
    if crl is not None:
        if client_ca is None:
            raise TlsError(f"{crl}: nobody is asked for certificates that could be revoked (authorities of clients)")
        _load_revoked(context, crl)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Certificates:
    """Several certificates behind one context, of which a client gets that of the name it asks for.

    `pairs` are files, chain and key (None: in the same file), the first one for clients that ask for no name or for
    another (SNI, RFC 6066 section 3). `current` is the source that a server listens with. Raises `TlsError`. More than
    one need the package `cryptography`, which reads their names.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[str, str | None]],
        client_ca: str | None = None,
        alpn: Sequence[str] = (),
        *,
        crl: str | None = None,
    ) -> None:
        if not pairs:
            raise TlsError("a TLS server needs a certificate")
        self._pairs = list(pairs)
        self._client_ca = client_ca
        self._crl = crl
        self._alpn = list(alpn)
        self._first, self._named = self._read()

    def current(self) -> ssl.SSLContext:
        """Return the context of the next connection: no session of before the last reading is resumed in it."""
        return self._first

    def set_alpn(self, alpn: Sequence[str]) -> None:
        """What TLS may choose among (RFC 7301), best first."""
        self._alpn = list(alpn)
        for context in (self._first, *self._named.values()):
            context.set_alpn_protocols(self._alpn)

    def reload(self) -> bool:
        """Read the files again, for connections from now on; what is wrong is logged, and what was read stays."""
        try:
            self._first, self._named = self._read()
        except TlsError as error:
            logger.error("certificates are not read again: %s", error)
            return False
        return True

    def _read(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        contexts = [server_context(*pair, self._client_ca, self._alpn, crl=self._crl) for pair in self._pairs]
        named: dict[str, ssl.SSLContext] = {}
        if len(contexts) > 1:
            for (cert, _), context in zip(self._pairs, contexts, strict=True):
                for name in _names_of(cert):
                    named.setdefault(name, context)
        contexts[0].sni_callback = self._choose
        return contexts[0], named

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        asked = (name or "").lower().rstrip(".")
        wildcard = "*." + asked.partition(".")[2]
        connection.context = self._named.get(asked) or self._named.get(wildcard) or self._first


def _names_of(cert: str) -> list[str]:
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(Path(cert).read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except OSError:
        raise
    except Exception:  # InvalidVersion, DuplicateExtension and others are no ValueErrors
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def client_context(
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    *,
    verify: bool = True,
    alpn: Sequence[str] = (),
    crl: str | None = None,
) -> ssl.SSLContext:
    """Return the context of a client: `ca` are the authorities to trust instead of the system's (PEM).

    `cert` and `key` are the client's own. `crl`: what authorities have revoked, as for `server_context`; a server whose
    authority has no list there is refused. `verify=False` takes any certificate of the server. Raises `TlsError`.
    """
    context = ssl.create_default_context() if ca is None else _trusting(ca)
    if cert is not None:
        _load_chain(context, cert, key)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif crl is not None:
        _load_revoked(context, crl)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def is_plain(error: Exception) -> bool:
    """Whether a handshake has failed because what came was no TLS."""
    return isinstance(error, ssl.SSLError) and error.reason in _NOT_TLS


def explain(error: Exception) -> str:
    """Return what an `OSError` or `ssl.SSLError` says, in one line and without the place in CPython's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        text = str(error.strerror or error.reason or error.args[-1])
        hint = "; the peer does not seem to speak TLS" if is_plain(error) else ""
        return "TLS: " + _PLACE.sub("", _PREFIX.sub("", text)).replace("_", " ").lower() + hint
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
        raise _chain_problem(error, cert, key) from None


def _chain_problem(error: ssl.SSLError, cert: str, key: str | None) -> TlsError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return TlsError(f"{key or cert}: the key is not that of the certificate {cert}", key or cert)
    text = Path(cert).read_text(errors="replace")
    if "-----BEGIN CERTIFICATE-----" not in text:
        return TlsError(f"{cert}: no certificate (PEM)", cert)
    if "PRIVATE KEY-----" not in (Path(key).read_text(errors="replace") if key is not None else text):
        if key is not None:
            return TlsError(f"{key}: no key (PEM)", key)
        return TlsError(f"{cert}: no key in it; name the key's file", cert)
    if key is None:
        return TlsError(f"{cert}: {explain(error)}", cert)
    return TlsError(f"{cert}, {key}: {explain(error)}")


def _trusting(ca: str) -> ssl.SSLContext:
    _check_readable(ca, "authorities")
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise TlsError(f"{ca}: no certificates of authorities (PEM)", ca) from None


def _load_authorities(context: ssl.SSLContext, ca: str) -> None:
    _check_readable(ca, "authorities")
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise TlsError(f"{ca}: no certificates of authorities (PEM)", ca) from None


def _load_revoked(context: ssl.SSLContext, crl: str) -> None:
    """Load lists of revoked certificates, and nothing else: a certificate in that file would be trusted."""
    _check_readable(crl, "revoked certificates")
    kinds = set(_PEM.findall(Path(crl).read_bytes()))
    if kinds != {b"X509 CRL"}:
        other = sorted(kind.decode("ascii", "replace") for kind in kinds - {b"X509 CRL"})
        why = f", but {printable(', '.join(other))}" if other else ""
        raise TlsError(f"{crl}: lists of revoked certificates alone have a place here (PEM, X509 CRL){why}", crl)
    try:
        context.load_verify_locations(crl)
    except ssl.SSLError as error:
        raise TlsError(f"{crl}: no lists of revoked certificates: {explain(error)}", crl) from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _check_readable(name: str, what: str) -> None:
    try:
        with open(name, "rb"):
            pass
    except OSError as error:
        raise TlsError(f"{name}: {error.strerror} ({what})", name) from None


def _refuse_password() -> str:
    """Nobody is here to be asked for one."""
    raise TlsError("the key is encrypted, which is not supported")
