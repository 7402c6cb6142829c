"""Keys of an issuer of tokens: a JWK set (RFC 7517) given, or fetched and fetched again when its keys rotate.

`KeyCache` decides, without I/O: which keys there are, and when to fetch. Somebody who sends tokens with names of keys
that do not exist makes the server fetch once in `min_interval` at most.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    PublicKey = RSAKey | ECKey | OKPKey

__all__ = ["FetchedKeys", "KeyCache", "Keys"]

logger = logging.getLogger("catenet.rpc")

MIN_RSA: Final = 2048
"""Bits (RFC 7518 section 3.3)."""
_MOST_KEYS: Final = 100
_MOST_BYTES: Final = 1 << 20
_TYPES: Final = {"RSA": "RS256 RS384 RS512 PS256 PS384 PS512", "EC": "ES256 ES384 ES512", "OKP": "EdDSA Ed25519 Ed448"}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519", "Ed448": "Ed448"}


class KeyCache:
    """The keys of one issuer, and when to ask for them. Times in seconds of any one clock.

    `max_age`: after which they are fetched again though no key is missing. `max_stale`: after which keys that cannot
    be fetched again are used no longer. `min_interval`: between two fetches, whatever they brought.
    """

    def __init__(self, *, max_age: float = 3600.0, max_stale: float = 86_400.0, min_interval: float = 30.0) -> None:
        self.generation = 0
        self._max_age = max_age
        self._max_stale = max_stale
        self._min_interval = min_interval
        self._keys: list[tuple[str, str, PublicKey]] = []  # name, algorithm or "", key
        self._fetched: float | None = None
        self._tried: float | None = None
        self._due = False

    def find(self, key_id: str | None, algorithm: str, now: float) -> PublicKey | None:
        """Return the key of that name that may verify `algorithm`; without a name, the only one that may."""
        if self._fetched is None or now - self._fetched > self._max_stale:
            return None
        found = [
            key
            for name, only, key in self._keys
            if (key_id is None or name == key_id) and only in ("", algorithm) and _fits(key, algorithm)
        ]
        return found[0] if len(found) == 1 else None

    def may_fetch(self, now: float) -> bool:
        """Whether enough time has passed to look for a key that is missing."""
        return self._tried is None or now - self._tried >= self._min_interval

    def is_old(self, now: float) -> bool:
        """Whether it is time to fetch, though nothing is missing."""
        old = self._due or (self._fetched is not None and now - self._fetched >= self._max_age)
        return self._fetched is not None and old and self.may_fetch(now)

    def renew(self) -> None:
        """Fetch as soon as keys are asked for again, and use these meanwhile."""
        self._due, self._tried = True, None

    def tried(self, now: float) -> None:
        """A fetch begins."""
        self._tried = now

    def store(self, keys: str | bytes | Mapping[str, object], now: float) -> None:
        """Take a JWK set in place of the keys that there are. Raises `ValueError`; then these stay."""
        self._keys = _read(keys)
        self._fetched = now
        self._due = False
        self.generation += 1


class Keys:
    """Keys that are given. Raises `ValueError` for what is no JWK set, or has no key that can verify a signature."""

    def __init__(self, keys: str | bytes | Mapping[str, object]) -> None:
        self._cache = KeyCache(max_stale=float("inf"))
        self._cache.store(keys, 0.0)

    @property
    def generation(self) -> int:
        """Changes with the keys."""
        return self._cache.generation

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See `KeyCache.find`."""
        return self._cache.find(key_id, algorithm, 0.0)

    def may_fetch(self) -> bool:
        """There is nowhere to fetch from."""
        return False

    async def fetch(self) -> None:
        """Do nothing."""

    def inherit(self, before: Keys) -> None:
        """Take over what is known of the same keys; given ones have been read anew."""


class FetchedKeys(Keys):
    """Keys behind a URL, fetched when they are first needed, when one is missing, and when they are old.

    `ca`: authorities to trust instead of the system's (PEM). `timeout` in seconds. Plain `http:` only to this machine:
    whoever answers decides who calls. Raises `ValueError`.
    """

    def __init__(self, url: str, *, ca: str | None = None, timeout: float = 5.0, cache: KeyCache | None = None) -> None:
        _check_url(url)
        self._url = url
        self._ca = ca
        self._timeout = timeout
        self._cache = cache or KeyCache()
        self._fetching: asyncio.Task[None] | None = None

    def find(self, key_id: str | None, algorithm: str) -> PublicKey | None:
        """See `KeyCache.find`; keys that are old are fetched meanwhile."""
        now = time.monotonic()
        found = self._cache.find(key_id, algorithm, now)
        if found is not None and self._cache.is_old(now):
            self._begin(now)
        return found

    def inherit(self, before: Keys) -> None:
        """Take over what was fetched from the same place, until it is fetched again: its issuer may be away now."""
        if isinstance(before, FetchedKeys) and (before._url, before._ca) == (self._url, self._ca):
            self._cache = before._cache
            self._cache.renew()

    def may_fetch(self) -> bool:
        """Whether a key that is missing may be looked for, or is being looked for."""
        return self._running() is not None or self._cache.may_fetch(time.monotonic())

    async def fetch(self) -> None:
        """Fetch the keys, together with all others that wait for them. What goes wrong is logged."""
        task = self._running() or self._begin(time.monotonic())
        await asyncio.shield(task)

    def _running(self) -> asyncio.Task[None] | None:
        task = self._fetching
        return None if task is None or task.done() else task

    def _begin(self, now: float) -> asyncio.Task[None]:
        running = self._running()
        if running is not None:
            return running
        self._cache.tried(now)
        self._fetching = task = asyncio.get_running_loop().create_task(self._fetch())
        return task

    async def _fetch(self) -> None:
        from catenet.http import Client, RequestError

        try:
            async with Client(
                timeout=self._timeout, ca=self._ca, max_content=_MOST_BYTES, follow_redirects=False, trust_env=False
            ) as client:
                response = await client.get(self._url, headers={"accept": "application/json"})
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            self._cache.store(response.content, time.monotonic())
        except (RequestError, ValueError, OSError) as error:
            logger.warning("keys of %s: not fetched: %s", self._url, error)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if parts.scheme != "http" or not local:
        raise ValueError(f"{url}: keys are fetched by https:// (http:// only from this machine)")


def _read(keys: str | bytes | Mapping[str, object]) -> list[tuple[str, str, PublicKey]]:
    """Read a JWK set; what is not for signatures, or of an unknown kind, is passed over (RFC 7517 section 5)."""
    try:
        document = keys if isinstance(keys, Mapping) else json.loads(keys)
        entries = document["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("no JWK set (RFC 7517): an object with the list `keys`") from None
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise ValueError(f"a JWK set has a list of at most {_MOST_KEYS} keys")
    read = [found for entry in entries if isinstance(entry, dict) and (found := _read_key(entry)) is not None]
    if not read:
        raise ValueError("the JWK set has no public key for signatures (RSA from 2048 bits on, EC, OKP)")
    return read


def _read_key(entry: dict[str, object]) -> tuple[str, str, PublicKey] | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    kind, usage, operations = entry.get("kty"), entry.get("use", "sig"), entry.get("key_ops", ["verify"])
    if kind not in _TYPES or usage != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None  # a symmetric key that is published is no secret, whatever its holder thinks
    public = {name: value for name, value in entry.items() if name in ("kty", "n", "e", "crv", "x", "y")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            key = cast("PublicKey", JWKRegistry.import_key(cast("dict[str, str | list[str]]", public)))
            if kind == "RSA" and cast("RSAKey", key).public_key.key_size < MIN_RSA:
                return None
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    name, algorithm = entry.get("kid"), entry.get("alg")
    return (name if isinstance(name, str) else "", algorithm if isinstance(algorithm, str) else "", key)


def _fits(key: PublicKey, algorithm: str) -> bool:
    """Whether a key is of the kind, and on the curve, that an algorithm needs (RFC 7518, RFC 8037, RFC 9864)."""
    if algorithm not in _TYPES[key.key_type].split():
        return False
    curve = _CURVES.get(algorithm)
    return curve is None or cast("ECKey | OKPKey", key).curve_name == curve
