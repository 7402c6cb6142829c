"""A local certificate authority: TLS for servers of this machine, without a certificate to buy or to copy.

The authority and its certificate stay in a folder of their user (`$XDG_DATA_HOME/catenet/tls`). Programs trust it once;
the servers' certificate is made again whenever it expires soon or names are missing. The authority is restricted to
this machine and to private networks (RFC 5280 section 4.2.1.10, name constraints), so that whoever steals its key
cannot speak for a public name with it.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
import re
import socket
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = [
    "AuthorityError",
    "LocalAuthority",
    "data_folder",
    "host_names",
    "how_to_trust",
    "is_local",
]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 90
RENEWED_BEFORE: Final = datetime.timedelta(days=30)
"""How long before the end a certificate is made again; the authority's own, a longest certificate before its end."""
MAX_NAMES: Final = 100
"""Names of one certificate: those that servers have asked for come together in it."""
BACKDATED: Final = datetime.timedelta(hours=1)
"""Clocks of clients may be late."""

LOCAL_DOMAINS: Final = ("localhost", "local", "internal", "home.arpa", "test")
"""Domains that are nobody's (RFC 6761, 6762, 8375, and ICANN's `internal`)."""
_NETWORKS = (
    "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 100.64.0.0/10 ::1/128 fc00::/7 fe80::/10"
)
LOCAL_NETWORKS: Final = tuple(map(ipaddress.ip_network, _NETWORKS.split()))
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


class AuthorityError(ValueError):
    """The authority cannot be made, read or used; the text is one line, and names the file or the name."""


def data_folder() -> Path:
    """Return the folder of the authority (XDG Base Directory Specification: a relative path counts as none)."""
    base = Path(os.environ.get("XDG_DATA_HOME") or "")
    if not base.is_absolute():
        base = Path.home() / ".local" / "share"
    return base / "catenet" / "tls"


def host_names() -> list[str]:
    """Return what this machine calls itself: `localhost`, loopback addresses, its name, also in multicast DNS."""
    own = socket.gethostname().lower().rstrip(".")
    names = ["localhost", "127.0.0.1", "::1"]
    if _NAME.fullmatch(own) and own != "localhost":
        names.append(own)
        if "." not in own:
            names.append(f"{own}.local")
    return names


def is_local(address: str) -> bool:
    """Return whether an address is one of loopback, of the link, or of a private network."""
    found = _address(address.partition("%")[0])
    return found is not None and any(found in network for network in LOCAL_NETWORKS)


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LocalAuthority:
    """The authority of a folder. What is missing is made, under a lock, so that processes may begin at once.

    Attributes:
        path: the authority's certificate, which clients trust (PEM).
        is_new: it has been made by this object: nobody trusts it yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = data_folder() if folder is None else folder
        self.path = self.folder / "authority.pem"
        self.is_new = False
        self._key = self.folder / "authority.key"
        self._server = self.folder / "server.pem"

    def certificate(self, names: Iterable[str] = (), now: datetime.datetime | None = None) -> Path:
        """Return a file with a server's key and certificate chain (PEM, mode 0600).

        It is for this machine's names (`host_names`), for `names` (names of hosts and addresses), and for what the
        last one was for; it is made again if it ends within 30 days of `now`. Raises `AuthorityError`.
        """
        moment = now or datetime.datetime.now(datetime.UTC)
        wanted = list(dict.fromkeys([*host_names(), *map(_plain, names)]))
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(self.folder / "lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                authority = self._authority(wanted, moment)
                self._renew(authority, wanted, moment)
        except OSError as error:
            raise AuthorityError(f"{error.filename or self.folder}: {error.strerror}") from None
        return self._server

    # The authority.

    def _authority(self, names: Sequence[str], now: datetime.datetime) -> _Pair:
        found = _read(self.path, self._key) if self.path.exists() or self._key.exists() else None
        own = [name for name in host_names() if name in names]
        longest = datetime.timedelta(days=CERTIFICATE_DAYS)
        if found is None or found.certificate.not_valid_after_utc - now < longest or not _covers(found, own):
            found = _make_authority(own, now)
            _write(self._key, _pem(found.key))
            _write(self.path, found.certificate.public_bytes(Encoding.PEM), mode=0o644)
            self._server.unlink(missing_ok=True)
            self.is_new = True
        for name in names:
            if not _permits(found.certificate, name):
                raise AuthorityError(
                    f"the local authority is for this machine and private networks, not for {name}; "
                    "name a certificate of its own"
                )
        return found

    # The servers' certificate.

    def _renew(self, authority: _Pair, wanted: Sequence[str], now: datetime.datetime) -> None:
        current = self._current(authority)
        before = [] if current is None else _names_of(current)
        names = list(dict.fromkeys([*wanted, *(name for name in before if _permits(authority.certificate, name))]))
        names = names[: max(MAX_NAMES, len(wanted))]
        if current is not None and current.not_valid_after_utc - now > RENEWED_BEFORE and set(names) <= set(before):
            return
        made = _make_certificate(authority, names, now)
        chain = made.certificate.public_bytes(Encoding.PEM) + authority.certificate.public_bytes(Encoding.PEM)
        _write(self._server, _pem(made.key) + chain)

    def _current(self, authority: _Pair) -> x509.Certificate | None:
        """The certificate that there is, if this authority has signed it; what cannot be read is made again."""
        try:
            found = _read(self._server, self._server)
            found.certificate.verify_directly_issued_by(authority.certificate)
        except Exception:
            return None
        return found.certificate


def how_to_trust(path: Path) -> str:
    """Return how programs are made to trust the authority, a line for each kind of program."""
    ways = {
        "Catenet (get, rpc)": f"catenet get --cacert {path}",
        "Catenet (connect)": f"catenet connect --ca {path}",
        "curl": f"curl --cacert {path}",
        "Python": f"SSL_CERT_FILE={path}",
        "Node.js": f"NODE_EXTRA_CA_CERTS={path}",
        "Chromium": f"certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n catenet -i {path}",
        "Firefox": f"Settings, Certificates, Import: {path}",
        "this machine (Debian)": (
            f"sudo cp {path} /usr/local/share/ca-certificates/catenet.crt && sudo update-ca-certificates"
        ),
        "this machine (Fedora)": f"sudo trust anchor {path}",
    }
    width = max(map(len, ways))
    return "\n".join(f"  {program + ':':<{width + 1}} {way}" for program, way in ways.items())


def _make_authority(own: Sequence[str], now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    domains = dict.fromkeys([*LOCAL_DOMAINS, *(name for name in own if _address(name) is None)])
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in domains]
    permitted += [x509.IPAddress(network) for network in LOCAL_NETWORKS]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Catenet"),
            # Two authorities of one name and different keys confuse those who look them up by name.
            x509.NameAttribute(NameOID.COMMON_NAME, f"Catenet local authority {os.urandom(4).hex()}"),
        ]
    )
    certificate = (
        _begin(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _make_certificate(authority: _Pair, names: Sequence[str], now: datetime.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    signer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _begin(subject, authority.certificate.subject, key.public_key(), now, CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


# Names.


def _plain(name: str) -> str:
    """A name as certificates have it: lower case, addresses in their one form, without a zone."""
    text = name.partition("%")[0].rstrip(".").lower()
    address = _address(text)
    if address is not None:
        return str(address)
    if not _NAME.fullmatch(text):
        raise AuthorityError(f"{name!r} is no name of a host")
    return text


def _address(name: str) -> Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general(name: str) -> x509.GeneralName:
    address = _address(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def _names_of(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _permits(authority: x509.Certificate, name: str) -> bool:
    """Whether the authority may sign for a name (RFC 5280 section 4.2.1.10)."""
    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:  # it is none of ours
        return True
    address = _address(name)
    for permitted in constraints.permitted_subtrees or ():
        if isinstance(permitted, x509.DNSName):
            if address is None and f".{name}".endswith(f".{permitted.value}"):
                return True
        elif address is not None and isinstance(permitted, x509.IPAddress):
            network = permitted.value
            if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network) and address in network:
                return True
    return False


def _covers(pair: _Pair, names: Iterable[str]) -> bool:
    return all(_permits(pair.certificate, name) for name in names)


# Files.


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(certificate: Path, key: Path) -> _Pair:
    for path in (certificate, key):
        if not path.exists():
            raise AuthorityError(f"{path} is missing; remove {certificate.parent} to make a new authority")
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = load_pem_private_key(key.read_bytes(), None)
        found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (ValueError, TypeError, x509.ExtensionNotFound):
        raise AuthorityError(f"{certificate}, {key}: no certificate or key; remove both to make new ones") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
        raise AuthorityError(f"{key}: not the key of {certificate}; remove both to make new ones")
    return _Pair(found, private)


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file at once: others see the old one or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
