"""An issuer of tokens that signs whatever it is told to, by cryptography alone, so that no library's checks help."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_900_000_000.0
ISSUER = "https://issuer.example"
AUDIENCE = "https://daemon.example"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 300, "iat": NOW, "scope": "read write"}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@functools.cache
def rsa_key(name: str = "", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(name: str = "") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def ed_key(name: str = "") -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, name: str = "", **more: Any) -> dict[str, Any]:
    """The public part of a key, as RFC 7517 writes it."""
    found: dict[str, Any] = {"kid": name} if name else {}
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_numbers()
        found |= {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        coordinates = {name: encode(value.to_bytes(32, "big")) for name, value in (("x", point.x), ("y", point.y))}
        found |= {"kty": "EC", "crv": "P-256", **coordinates}
    else:
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        found |= {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
    return found | more


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


def sign(header: str, claims: str, key: Any) -> str:
    """Sign texts as they are; `key` bytes: by HMAC."""
    signed = f"{encode(header.encode())}.{encode(claims.encode())}"
    data = signed.encode()
    if isinstance(key, bytes):
        signature = hmac.new(key, data, hashlib.sha256).digest()
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, padding.PKCS1v15(), SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    elif key is None:
        signature = b""
    else:
        signature = key.sign(data)
    return f"{signed}.{encode(signature)}"


def token(key: Any, header: Mapping[str, Any], **claims: Any) -> str:
    """A token with the usual claims, changed; None leaves one out."""
    every = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return sign(json.dumps({"typ": "JWT", **header}), json.dumps(every), key)
