"""Verification of signatures by algorithm number (IANA "DNS Security Algorithm Numbers").

`cryptography` does the arithmetic. What an algorithm number means for a zone (supported, refused, unknown) is
decided by the policy of a validation, not here.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from catenet.wire.errors import Malformed

__all__ = [
    "CURRENT",
    "CURVES",
    "DELETE",
    "RSA_HASHES",
    "SHA1_SIGNED",
    "Algorithm",
    "Verify",
    "algorithm_to_text",
    "make_verifier",
    "rsa_numbers",
]

Verify = Callable[[bytes, bytes], bool]
"""Whether a signature (first argument) over some data (second) was made with the key."""


class Algorithm(enum.IntEnum):
    """Algorithms that we can compute."""

    DSA = 3
    RSASHA1 = 5
    DSA_NSEC3 = 6
    RSASHA1_NSEC3 = 7
    RSASHA256 = 8
    RSASHA512 = 10
    ECDSAP256 = 13
    ECDSAP384 = 14
    ED25519 = 15
    ED448 = 16


DELETE: Final = 0
"""In a CDS or CDNSKEY record: remove the DS records (RFC 8078 4)."""

MNEMONICS: Final = {
    0: "DELETE",
    1: "RSAMD5",
    2: "DH",
    3: "DSA",
    5: "RSASHA1",
    6: "DSA-NSEC3-SHA1",
    7: "RSASHA1-NSEC3-SHA1",
    8: "RSASHA256",
    10: "RSASHA512",
    12: "ECC-GOST",
    13: "ECDSAP256SHA256",
    14: "ECDSAP384SHA384",
    15: "ED25519",
    16: "ED448",
    17: "SM2SM3",
    23: "ECC-GOST12",
}

LEGACY: Final[frozenset[int]] = frozenset((Algorithm.DSA, Algorithm.DSA_NSEC3))
"""Verified only where a policy names them: RFC 9904 forbids it, but old captures and scenarios are signed so."""
SHA1_SIGNED: Final[frozenset[int]] = frozenset((Algorithm.RSASHA1, Algorithm.RSASHA1_NSEC3))
CURRENT: Final[frozenset[int]] = frozenset(
    (
        Algorithm.RSASHA256,
        Algorithm.RSASHA512,
        Algorithm.ECDSAP256,
        Algorithm.ECDSAP384,
        Algorithm.ED25519,
        Algorithm.ED448,
    )
)

RSA_HASHES: Final[dict[int, hashes.HashAlgorithm]] = {
    Algorithm.RSASHA1: hashes.SHA1(),
    Algorithm.RSASHA1_NSEC3: hashes.SHA1(),
    Algorithm.RSASHA256: hashes.SHA256(),
    Algorithm.RSASHA512: hashes.SHA512(),
}
CURVES: Final[dict[int, tuple[ec.EllipticCurve, hashes.HashAlgorithm, int]]] = {
    Algorithm.ECDSAP256: (ec.SECP256R1(), hashes.SHA256(), 32),
    Algorithm.ECDSAP384: (ec.SECP384R1(), hashes.SHA384(), 48),
}
"""Curve, hash, and bytes of a coordinate."""
_LEAST_RSA_BITS: Final = 512
_MOST_RSA_BITS: Final = 4096
"""RFC 3110 2, RFC 5702 2: larger keys only burn time."""
_MOST_EXPONENT_BITS: Final = 64


def algorithm_to_text(number: int) -> str:
    """Mnemonic of an algorithm; its number when it has none."""
    return MNEMONICS.get(number, str(number))


def make_verifier(algorithm: int, public: bytes) -> Verify:
    """What verifies signatures of a key, from the public key field of its DNSKEY record.

    Raises:
        Malformed: the field is not a key of that algorithm, or the algorithm is unknown.
    """
    try:
        if algorithm in RSA_HASHES:
            return _rsa_verifier(algorithm, public)
        if algorithm in CURVES:
            return _ecdsa_verifier(algorithm, public)
        if algorithm == Algorithm.ED25519:
            return _edwards_verifier(ed25519.Ed25519PublicKey.from_public_bytes(public))
        if algorithm == Algorithm.ED448:
            return _edwards_verifier(ed448.Ed448PublicKey.from_public_bytes(public))
    except (ValueError, UnsupportedAlgorithm):
        raise Malformed(f"dns: public key is none of algorithm {algorithm_to_text(algorithm)}") from None
    if algorithm in LEGACY:
        return _dsa_verifier(public)
    raise Malformed(f"dns: algorithm {algorithm} is not known")


def rsa_numbers(public: bytes) -> tuple[int, int]:
    """Exponent and modulus of an RSA key (RFC 3110 2). Raises Malformed."""
    if not public:
        raise Malformed("dns: RSA key is empty")
    length, at = public[0], 1
    if not length:
        length, at = int.from_bytes(public[1:3], "big"), 3
    exponent, modulus = public[at : at + length], public[at + length :]
    if len(exponent) != length or not exponent or not modulus:
        raise Malformed("dns: RSA key is cut off")
    return int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")


def _rsa_verifier(algorithm: int, public: bytes) -> Verify:
    exponent, modulus = rsa_numbers(public)
    if not _LEAST_RSA_BITS <= modulus.bit_length() <= _MOST_RSA_BITS or exponent.bit_length() > _MOST_EXPONENT_BITS:
        raise Malformed("dns: RSA key of a size that is not allowed")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    scheme, digest = padding.PKCS1v15(), RSA_HASHES[algorithm]

    def verify(signature: bytes, data: bytes) -> bool:
        try:
            key.verify(signature, data, scheme, digest)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True

    return verify


def _ecdsa_verifier(algorithm: int, public: bytes) -> Verify:
    curve, digest, size = CURVES[algorithm]
    scheme = ec.ECDSA(digest)
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + public)

    def verify(signature: bytes, data: bytes) -> bool:
        if len(signature) != 2 * size:
            return False
        numbers = _der_integer(signature[:size]) + _der_integer(signature[size:])
        try:
            key.verify(bytes((0x30, len(numbers))) + numbers, data, scheme)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify


def _der_integer(number: bytes) -> bytes:
    """An unsigned number as DER has it, of at most 127 bytes (X.690 8.3)."""
    number = number.lstrip(b"\0")
    if not number or number[0] & 0x80:
        number = b"\0" + number
    return bytes((2, len(number))) + number


def _edwards_verifier(key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) -> Verify:
    def verify(signature: bytes, data: bytes) -> bool:
        try:
            key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    return verify


def _dsa_numbers(signature: bytes) -> tuple[int, int]:
    """R and S (RFC 2536 3); signers of the time also wrote them as ASN.1, and validators took it. Zeros for neither."""
    if len(signature) == 41:
        return int.from_bytes(signature[1:21], "big"), int.from_bytes(signature[21:], "big")
    try:
        return decode_dss_signature(signature)
    except ValueError:
        return 0, 0


def _dsa_verifier(public: bytes) -> Verify:
    """RFC 2536; `cryptography` takes no keys of the sizes that were in use."""
    size = 64 + 8 * public[0] if public else 0
    if not public or public[0] > 8 or len(public) != 21 + 3 * size:
        raise Malformed("dns: DSA key is cut off")
    q, p, g, y = (
        int.from_bytes(public[start:end], "big")
        for start, end in ((1, 21), (21, 21 + size), (21 + size, 21 + 2 * size), (21 + 2 * size, 21 + 3 * size))
    )
    if p < 2 or q < 2:
        raise Malformed("dns: DSA key of zeros")

    def verify(signature: bytes, data: bytes) -> bool:
        r, s = _dsa_numbers(signature)
        if not 0 < r < q or not 0 < s < q:
            return False
        try:
            inverse = pow(s, -1, q)
        except ValueError:
            return False
        digest = int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "big")
        return pow(g, digest * inverse % q, p) * pow(y, r * inverse % q, p) % p % q == r

    return verify
