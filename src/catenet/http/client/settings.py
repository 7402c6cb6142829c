"""What a client is told once: its options, with their defaults worked out."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from catenet import __version__
from catenet.http.client.dialling import Resolve
from catenet.http.client.timeouts import Timeouts
from catenet.http.client.transport import TransportOptions
from catenet.http.headers import Headers, HeadersLike
from catenet.http.limits import Limits
from catenet.http.policy.auth import Auth, Basic, NetrcAuth
from catenet.http.policy.cache.store import CacheStore
from catenet.http.policy.codings import accept_encoding
from catenet.http.policy.cookies import Cookie, CookieJar
from catenet.http.policy.hsts import HstsStore
from catenet.http.policy.proxies import Proxies, parse_proxy
from catenet.http.policy.redirects import MAX_REDIRECTS
from catenet.http.policy.retry import RetryBudget, RetryPolicy
from catenet.http.url import Url
from catenet.net.pool import PoolLimits

if TYPE_CHECKING:
    from catenet.http.client.request import Request
    from catenet.http.client.response import Response

__all__ = ["ClientOptions", "Settings", "as_auth", "as_timeouts"]

USER_AGENT = f"catenet/{__version__}"
MAX_CONTENT = 256 << 20

RequestHook: TypeAlias = "Callable[[Request], Awaitable[None] | None]"
InterimHook: TypeAlias = Callable[[int, Headers], None]
ResponseHook: TypeAlias = "Callable[[Response], Awaitable[None] | None]"


class ClientOptions(TypedDict, total=False):
    """Options of a client. Times in seconds, sizes in bytes.

    * `base_url`, `headers`, `params`, `auth`, `cookies`: for every request; a request's own go before them.
    * `timeout`: for all of a request (a number), or `Timeouts`; None: no limit.
    * `follow_redirects`, `max_redirects`.
    * `retry`: a `RetryPolicy`, or how many attempts; without, only what a server is known not to have seen, or what an
      idle connection swallowed, is repeated.
    * `cache`: a store (`MemoryStore`, `SqliteStore`) for a private cache (RFC 9111).
    * `proxy`: a URL (`http`, `https`, `socks5`, `socks5h`, `socks4`, `socks4a`), or one for each scheme.
    * `trust_env`: read proxies from the environment and passwords from `~/.netrc`.
    * `uds`: the path of a Unix socket to which all requests go.
    * `versions`, `verify`, `ca`, `cert`, `key`, `tls`, `server_name`, `resolve`, `pool`, `limits`: `TransportOptions`.
    * `decompress`: decode Content-Encoding. `max_content`: of a body that is read whole, decoded; None: no limit.
    * `on_request`, `on_response`: called for each request that is sent and each response to one, redirects too;
      `on_interim` for each 1xx response as it comes, with status and fields.
    """

    base_url: str | Url
    headers: HeadersLike
    params: Mapping[str, object]
    auth: Auth | tuple[str, str] | None
    cookies: CookieJar | Mapping[str, str] | None
    timeout: float | Timeouts | None
    follow_redirects: bool
    max_redirects: int
    retry: RetryPolicy | int | None
    cache: CacheStore | None
    proxy: str | Mapping[str, str] | None
    trust_env: bool
    uds: str
    versions: str
    verify: bool
    ca: str | None
    cert: str | None
    key: str | None
    tls: ssl.SSLContext | None
    server_name: str | None
    resolve: Resolve | None
    pool: PoolLimits
    limits: Limits
    decompress: bool
    max_content: int | None
    on_request: Sequence[RequestHook]
    on_response: Sequence[ResponseHook]
    on_interim: InterimHook | None


@dataclass(slots=True)
class Settings:
    """The options of one client. `plain`: no policy looks at a request before it is sent."""

    transport: TransportOptions
    headers: Headers
    timeouts: Timeouts
    cookies: CookieJar
    proxies: Proxies
    base: Url | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    auth: Auth | None = None
    netrc: NetrcAuth | None = None
    follow: bool = True
    max_redirects: int = MAX_REDIRECTS
    retry: RetryPolicy | None = None
    budget: RetryBudget = field(default_factory=RetryBudget)
    cache: CacheStore | None = None
    hsts: HstsStore = field(default_factory=HstsStore)
    unix: str = ""
    decompress: bool = True
    max_content: int | None = MAX_CONTENT
    on_request: Sequence[RequestHook] = ()
    on_response: Sequence[ResponseHook] = ()
    on_interim: InterimHook | None = None
    plain: bool = True
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, options: ClientOptions) -> Settings:
        """Return the settings; raise `TypeError` or `ValueError` that names what is wrong."""
        unknown = set(options) - set(ClientOptions.__annotations__)
        if unknown:
            raise TypeError(f"Client has no option {sorted(unknown)[0]!r}")
        timeouts = as_timeouts(options["timeout"], Timeouts()) if "timeout" in options else Timeouts()
        trust = options.get("trust_env", True)
        retry = options.get("retry")
        base = options.get("base_url")
        made = cls(
            _transport(options, timeouts),
            _headers(options.get("headers"), options.get("decompress", True)),
            timeouts,
            _jar(options.get("cookies"), base),
            _proxies(options.get("proxy"), trust),
            None if base is None else Url.absolute(base),
            options.get("params", {}),
            as_auth(options.get("auth")),
            _netrc() if trust else None,
            options.get("follow_redirects", True),
            options.get("max_redirects", MAX_REDIRECTS),
            RetryPolicy(attempts=retry) if isinstance(retry, int) else retry,
            cache=options.get("cache"),
            unix=options.get("uds", ""),
            decompress=options.get("decompress", True),
            max_content=options.get("max_content", MAX_CONTENT),
            on_request=options.get("on_request", ()),
            on_response=options.get("on_response", ()),
            on_interim=options.get("on_interim"),
        )
        policies = (made.auth, made.netrc, made.retry, made.cache, made.on_interim)
        made.plain = not (made.on_request or made.on_response) and all(policy is None for policy in policies)
        return made


def as_timeouts(given: float | Timeouts | None, default: Timeouts) -> Timeouts:
    """Return the timeouts: a number is the time for all of a request, None no limit at all."""
    if isinstance(given, Timeouts):
        return given
    if given is None:
        return Timeouts(None, None, None, None, None)
    return Timeouts(default.connect, default.write, default.read, default.pool, float(given))


def as_auth(given: Auth | tuple[str, str] | None) -> Auth | None:
    """Return a way to authenticate; a pair of user and password is Basic."""
    return Basic(*given) if isinstance(given, tuple) else given


def _transport(options: ClientOptions, timeouts: Timeouts) -> TransportOptions:
    names = ("versions", "verify", "ca", "cert", "key", "tls", "server_name", "resolve", "pool", "limits")
    given = {name: options[name] for name in names if name in options}  # type: ignore[literal-required]
    return TransportOptions(connect_timeout=timeouts.connect, **given)


def _headers(given: HeadersLike | None, decompress: bool) -> Headers:
    headers = Headers({"User-Agent": USER_AGENT, "Accept": "*/*"})
    if decompress:
        headers.add("Accept-Encoding", accept_encoding())
    if given is not None:
        headers.update(given)
    return headers


def _jar(given: CookieJar | Mapping[str, str] | None, base: str | Url | None) -> CookieJar:
    if isinstance(given, CookieJar):
        return given
    jar = CookieJar()
    if given:
        if base is None:
            raise ValueError("cookies= as a mapping needs base_url=, which says whose they are; or give a CookieJar")
        host = Url.absolute(base).host or ""
        for name, value in given.items():
            jar.add(Cookie(name, value, host, "/"))
    return jar


def _proxies(given: str | Mapping[str, str] | None, trust: bool) -> Proxies:
    if given is None:
        return Proxies.from_environment(os.environ) if trust else Proxies()
    pairs = {"all": given} if isinstance(given, str) else given
    return Proxies({scheme.partition(":")[0]: parse_proxy(url) for scheme, url in pairs.items()})


def _netrc() -> NetrcAuth | None:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return NetrcAuth(path) if path.is_file() else None
    except (OSError, ValueError):  # somebody else's mistake, as curl and requests see it
        return None
