"""Private keys: making them, signing with them, and BIND's files of them."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from catenet.dns.dnssec.algorithms import CURVES, RSA_HASHES, Algorithm, algorithm_to_text
from catenet.dns.dnssec.anchor_text import parse_anchors
from catenet.dns.dnssec.keys import ENTRY_POINT, PROTOCOL, REVOKED, ZONE_KEY, Key
from catenet.wire.dns.name import fold, name_to_text

__all__ = [
    "KeyTimes",
    "SigningKey",
    "generate_key",
    "read_private_key",
    "revoked",
    "time_from_text",
    "time_to_text",
]

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_EDWARDS_SIZES: Final[dict[int, int]] = {Algorithm.ED25519: 32, Algorithm.ED448: 57}
_RSA_FIELDS: Final = (
    "Modulus",
    "PublicExponent",
    "PrivateExponent",
    "Prime1",
    "Prime2",
    "Exponent1",
    "Exponent2",
    "Coefficient",
)


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When a key does what, in seconds since 1970; None: at no time.

    The names are those of BIND's files: from `publish` to `delete` it is in the DNSKEY set, from `activate` to
    `inactive` it signs, from `sync_publish` to `sync_delete` CDS and CDNSKEY tell the parent of it.
    """

    created: int | None = None
    publish: int | None = None
    activate: int | None = None
    revoke: int | None = None
    inactive: int | None = None
    delete: int | None = None
    sync_publish: int | None = None
    sync_delete: int | None = None


_TIME_FIELDS: Final = {
    "Created": "created",
    "Publish": "publish",
    "Activate": "activate",
    "Revoke": "revoke",
    "Inactive": "inactive",
    "Delete": "delete",
    "SyncPublish": "sync_publish",
    "SyncDelete": "sync_delete",
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs.

    Attributes:
        zone: the zone's name, folded.
        key: its public part.
        times: when it does what.
    """

    zone: bytes
    key: Key
    private: _PrivateKey = field(repr=False)
    times: KeyTimes = KeyTimes()

    def sign(self, data: bytes) -> bytes:
        """The signature over some data, as RRSIG records have it. The same data has the same signature."""
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(data, padding.PKCS1v15(), RSA_HASHES[self.key.algorithm])
        if isinstance(private, ec.EllipticCurvePrivateKey):
            _, digest, size = CURVES[self.key.algorithm]
            first, second = decode_dss_signature(private.sign(data, ec.ECDSA(digest, deterministic_signing=True)))
            return first.to_bytes(size, "big") + second.to_bytes(size, "big")
        return private.sign(data)

    @property
    def file_stem(self) -> str:
        """Name of its files without their ends: `Kexample.+013+12345`."""
        return f"K{name_to_text(self.zone)}+{self.key.algorithm:03d}+{self.key.tag:05d}"

    def to_private_text(self) -> str:
        """The `.private` file."""
        algorithm = self.key.algorithm
        lines = ["Private-key-format: v1.3", f"Algorithm: {algorithm} ({algorithm_to_text(algorithm)})"]
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            numbers = private.private_numbers()
            public = numbers.public_numbers
            values = (public.n, public.e, numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
            lines += [f"{name}: {_base64(_number(value))}" for name, value in zip(_RSA_FIELDS, values, strict=True)]
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            size = CURVES[algorithm][2]
            lines.append(f"PrivateKey: {_base64(private.private_numbers().private_value.to_bytes(size, 'big'))}")
        else:
            lines.append(f"PrivateKey: {_base64(private.private_bytes_raw())}")
        for name, attribute in _TIME_FIELDS.items():
            value: int | None = getattr(self.times, attribute)
            if value is not None:
                lines.append(f"{name}: {time_to_text(value)}")
        return "\n".join(lines) + "\n"

    def to_public_text(self) -> str:
        """The `.key` file: the DNSKEY record."""
        role = "key-signing" if self.key.is_entry_point else "zone-signing"
        name = name_to_text(self.zone)
        return f"; This is a {role} key, keyid {self.key.tag}, for {name}\n{name} IN DNSKEY {self.key.to_text()}\n"

    def write(self, folder: Path) -> Path:
        """Write both files, the private one for its owner alone; returns that one's path. Raises OSError."""
        path = folder / f"{self.file_stem}.private"
        path.touch(0o600)
        path.write_text(self.to_private_text())
        path.with_suffix(".key").write_text(self.to_public_text())
        return path


def generate_key(
    zone: bytes,
    algorithm: int,
    *,
    is_entry_point: bool,
    bits: int = 2048,
    entropy: Callable[[int], bytes] = os.urandom,
    times: KeyTimes = KeyTimes(),
) -> SigningKey:
    """Make a key.

    Args:
        zone: name of the zone.
        algorithm: its number: 8, 10, 13, 14, 15 or 16.
        is_entry_point: a key signing key (or one for all), else a zone signing key.
        bits: of an RSA key.
        entropy: gives so many random bytes; the same ones make the same key. RSA keys take the system's instead.
        times: when it does what.

    Raises:
        ValueError: an algorithm that we do not sign with.
    """
    private: _PrivateKey
    if algorithm in (Algorithm.RSASHA256, Algorithm.RSASHA512):
        private = rsa.generate_private_key(65_537, bits)
    elif algorithm in CURVES:
        curve, _, size = CURVES[algorithm]
        value = int.from_bytes(entropy(size), "big") >> 1  # below the order of the curve's group, whatever it is
        private = ec.derive_private_key(value or 1, curve)
    elif algorithm == Algorithm.ED25519:
        private = ed25519.Ed25519PrivateKey.from_private_bytes(entropy(_EDWARDS_SIZES[algorithm]))
    elif algorithm == Algorithm.ED448:
        private = ed448.Ed448PrivateKey.from_private_bytes(entropy(_EDWARDS_SIZES[algorithm]))
    else:
        raise ValueError(f"algorithm {algorithm_to_text(algorithm)}: keys are made for 8, 10, 13, 14, 15 and 16")
    return _signing_key(zone, algorithm, ZONE_KEY | (ENTRY_POINT if is_entry_point else 0), private, times)


def revoked(key: SigningKey) -> SigningKey:
    """The same key with the REVOKE bit, which has another key tag (RFC 5011 2.1)."""
    return _signing_key(key.zone, key.key.algorithm, key.key.flags | REVOKED, key.private, key.times)


def _signing_key(zone: bytes, algorithm: int, flags: int, private: _PrivateKey, times: KeyTimes) -> SigningKey:
    data = flags.to_bytes(2, "big") + bytes((PROTOCOL, algorithm)) + _public_field(private, algorithm)
    return SigningKey(fold(zone), Key(data), private, times)


def _public_field(private: _PrivateKey, algorithm: int) -> bytes:
    """Public key field of the DNSKEY (RFC 3110 2, RFC 6605 4, RFC 8080 3)."""
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.public_key().public_numbers()
        exponent = _number(numbers.e)
        head = bytes((len(exponent),)) if len(exponent) < 256 else b"\0" + len(exponent).to_bytes(2, "big")
        return head + exponent + _number(numbers.n)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        size = CURVES[algorithm][2]
        point = private.public_key().public_numbers()
        return point.x.to_bytes(size, "big") + point.y.to_bytes(size, "big")
    return private.public_key().public_bytes_raw()


def read_private_key(path: Path) -> SigningKey:
    """A key from BIND's pair of files, of which `path` is either.

    Raises:
        ValueError: a file is not of that form, or the two do not belong together; the message names the file.
        OSError: a file cannot be read.
    """
    path = path.with_suffix(".private")
    public = path.with_suffix(".key")
    zone, published = _read_public(public)
    fields: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"{path}:{number}: expected `Field: value`")
        fields[name.strip()] = value.strip()
    try:
        algorithm = int(fields["Algorithm"].split()[0])
        private = _private_from_fields(algorithm, fields)
        times = {attribute: time_from_text(fields[name]) for name, attribute in _TIME_FIELDS.items() if name in fields}
    except KeyError as error:
        raise ValueError(f"{path}: no field {error.args[0]}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    key = _signing_key(zone, algorithm, published.flags, private, KeyTimes(**times))
    if key.key.data != published.data:
        raise ValueError(f"{public}: not the public key of {path.name}")
    return key


def _read_public(path: Path) -> tuple[bytes, Key]:
    """Zone and key of a `.key` file."""
    for zone, value in parse_anchors(path.read_text(), str(path)):
        if isinstance(value, Key):
            return zone, value
    raise ValueError(f"{path}: no DNSKEY record")


def _private_from_fields(algorithm: int, fields: dict[str, str]) -> _PrivateKey:
    if algorithm in RSA_HASHES:
        n, e, d, p, q, dp, dq, inverse = (int.from_bytes(base64.b64decode(fields[name]), "big") for name in _RSA_FIELDS)
        return rsa.RSAPrivateNumbers(p, q, d, dp, dq, inverse, rsa.RSAPublicNumbers(e, n)).private_key()
    if algorithm in CURVES:
        value = int.from_bytes(base64.b64decode(fields["PrivateKey"]), "big")
        return ec.derive_private_key(value, CURVES[algorithm][0])
    raw = base64.b64decode(fields["PrivateKey"]) if algorithm in _EDWARDS_SIZES else b""
    if algorithm == Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(raw)
    if algorithm == Algorithm.ED448:
        return ed448.Ed448PrivateKey.from_private_bytes(raw)
    raise ValueError(f"algorithm {algorithm_to_text(algorithm)} is none that we sign with")


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def time_to_text(seconds: int) -> str:
    """YYYYMMDDHHMMSS in UTC (RFC 4034 3.2)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S")


def time_from_text(text: str) -> int:
    """Seconds since 1970 of YYYYMMDDHHMMSS, what follows a blank left out. Raises ValueError."""
    word = text.split()[0] if text.split() else ""
    try:
        return int(datetime.strptime(word, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise ValueError(f"{text!r} is not a time as YYYYMMDDHHMMSS") from None
