"""Bearer tokens: JWTs (RFC 7519) verified as RFC 8725 asks for, by joserfc.

Everything that decides is the server's: the issuers, their keys, the algorithms, the audience. A token chooses among
keys by name only; where it says keys are to be found (`jku`, `x5u`), or brings one along (`jwk`, `x5c`), nobody looks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from catenet.rpc.identity.keys import Keys
from catenet.rpc.model.identity import Token

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

__all__ = ["Issuer", "KeyMissing", "TokenError", "Tokens"]

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""Signatures by keys that only the issuer has. A secret that the server shares could sign as well as verify."""
_TYPES: Final = frozenset(("jwt", "at+jwt"))
_MOST_BYTES: Final = 16 << 10
_MOST_KEPT: Final = 4096
_KEPT_FOR: Final = 60.0


class TokenError(ValueError):
    """A token is not to be believed. The text is for the log; callers are told `reason` alone."""

    def __init__(self, text: str, reason: str = "TOKEN_INVALID") -> None:
        super().__init__(text)
        self.reason = reason


class KeyMissing(TokenError):
    """The issuer may have a newer key: fetch `keys`, then verify again."""

    def __init__(self, text: str, keys: Keys) -> None:
        super().__init__(text)
        self.keys = keys


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are believed, and which of them. Times in seconds.

    Attributes:
        name: what `iss` must be, to the letter.
        audience: of which one must be in `aud`: this server's names.
        keys: `Keys`, or `FetchedKeys` of a URL.
        algorithms: signatures that are accepted, of `ALGORITHMS`.
        types: what `typ` may be, without `application/`; a token without is accepted if `JWT` is among them.
        leeway: by which clocks may differ.
        max_lifetime: from `iat` (which is then needed) to `exp`; None: as long as the issuer likes.
    """

    name: str
    audience: Collection[str]
    keys: Keys
    algorithms: Collection[str] = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
    types: Collection[str] = field(default_factory=lambda: _TYPES)
    leeway: float = 30.0
    max_lifetime: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.audience, str):
            object.__setattr__(self, "audience", (self.audience,))
        if not self.name or "#" in self.name or not self.audience:
            raise ValueError("an issuer has a name without `#`, and at least one audience")
        unknown = [name for name in self.algorithms if name not in ALGORITHMS]
        if unknown or not self.algorithms:
            raise ValueError(f"algorithm {unknown[:1] or 'missing'}: choose among {', '.join(ALGORITHMS)}")
        object.__setattr__(self, "types", frozenset(each.lower() for each in self.types))


class Tokens:
    """Verifies tokens of several issuers, each by its own keys. What was verified is remembered for a minute."""

    def __init__(self, issuers: Iterable[Issuer]) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        if not self._issuers:
            raise ValueError("tokens need an issuer")
        self._kept: dict[bytes, tuple[Token, float, int]] = {}
        import joserfc  # noqa: F401 - missing, it is to be missed here

    def inherit(self, before: Tokens) -> None:
        """Take over keys that were fetched for the same issuers from the same places, until they are fetched again."""
        for name, issuer in self._issuers.items():
            if name in before._issuers:
                issuer.keys.inherit(before._issuers[name].keys)

    def verify(self, text: str, now: float) -> Token:
        """Return what a token says. `now` in seconds since 1970. Raises `TokenError`, and `KeyMissing` of them."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(digest)
        if kept is not None:
            token, until, generation = kept
            if now < until and self._issuers[token.issuer].keys.generation == generation:
                return token
            del self._kept[digest]
        token, issuer = self._verify(text, now)
        if len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = (token, min(token.expires + issuer.leeway, now + _KEPT_FOR), issuer.keys.generation)
        return token

    def _verify(self, text: str, now: float) -> tuple[Token, Issuer]:
        header, claims = _read(text)
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise TokenError(f"iss {name!r:.100} is no issuer of ours")
        algorithm, key_id = _check_header(header, issuer)
        key = issuer.keys.find(key_id, algorithm)
        if key is None:
            raise KeyMissing(f"{issuer.name}: no key {key_id!r:.100} for {algorithm}", issuer.keys)
        _check_signature(text, cast("RSAKey", key), algorithm)
        return _check_claims(claims, issuer, now, key_id or "", algorithm), issuer


def _read(text: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Take a token apart (RFC 7515 section 3.1). Nothing of it is to be believed yet."""
    if len(text) > _MOST_BYTES:
        raise TokenError(f"a token of {len(text)} bytes")
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenError(f"{len(parts)} parts instead of three")
    return _read_part(parts[0], "header"), _read_part(parts[1], "claims")


def _read_part(part: str, what: str) -> Mapping[str, object]:
    try:
        value = json.loads(
            base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True), object_pairs_hook=_once
        )
    except (ValueError, binascii.Error, RecursionError):
        raise TokenError(f"the {what} cannot be read") from None
    if not isinstance(value, dict):
        raise TokenError(f"the {what} is no object")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Names come once (RFC 7515 section 4, RFC 7519 section 4), or two readers could read two tokens."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _check_header(header: Mapping[str, object], issuer: Issuer) -> tuple[str, str | None]:
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise TokenError(f"alg {algorithm!r:.50} is not accepted")
    if "crit" in header:  # RFC 7515 section 4.1.11: whoever does not understand all of it refuses
        raise TokenError("critical header parameters are not understood")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in issuer.types:
        raise TokenError(f"typ {kind!r:.50} is not accepted")
    if key_id is not None and not isinstance(key_id, str):
        raise TokenError("kid is no text")
    return algorithm, key_id


def _check_signature(text: str, key: RSAKey, algorithm: str) -> None:
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry, deserialize_compact

    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = _MOST_BYTES
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            deserialize_compact(text, key, registry=registry)
    except (JoseError, ValueError) as error:
        raise TokenError(f"the signature is not right: {type(error).__name__}") from None


def _check_claims(claims: Mapping[str, object], issuer: Issuer, now: float, key_id: str, algorithm: str) -> Token:
    audience = claims.get("aud")
    listed = audience if isinstance(audience, list) else [audience]
    named = tuple(each for each in listed if isinstance(each, str))
    if len(named) != len(listed) or set(named).isdisjoint(issuer.audience):
        raise TokenError(f"aud {audience!r:.100} is not this server", "TOKEN_AUDIENCE")
    expires = _time(claims, "exp", required=True)
    if now >= expires + issuer.leeway:
        raise TokenError("it has expired", "TOKEN_EXPIRED")
    if now < _time(claims, "nbf", default=now) - issuer.leeway:
        raise TokenError("it is not valid yet")
    issued = _time(claims, "iat", default=now, required=issuer.max_lifetime is not None)
    if now < issued - issuer.leeway:
        raise TokenError("it was issued in the future")
    if issuer.max_lifetime is not None and expires - issued > issuer.max_lifetime:
        raise TokenError("it is valid for too long")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise TokenError("sub is missing")
    every = MappingProxyType(dict(claims))
    return Token(issuer.name, subject, named, expires, _scopes(claims), key_id, algorithm, every)


def _time(claims: Mapping[str, object], name: str, default: float = 0.0, required: bool = False) -> float:
    value = claims.get(name)
    if value is None and not required:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15 or math.isnan(value):
        raise TokenError(f"{name} is missing, or no time")
    return float(value)


def _scopes(claims: Mapping[str, object]) -> tuple[str, ...]:
    """RFC 8693 section 4.2: one text of words; some issuers write `scp`, and lists."""
    found = claims.get("scope", claims.get("scp", ()))
    words = found.split() if isinstance(found, str) else found
    return tuple(word for word in words if isinstance(word, str)) if isinstance(words, list) else ()
