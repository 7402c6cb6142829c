"""Cookies (RFC 6265, with the prefixes, Secure and SameSite rules of its revision, draft-ietf-httpbis-rfc6265bis).

A site may not set cookies for a public suffix (`co.uk`); the list comes with `publicsuffixlist`, without which only
names without a dot are. SameSite is kept; whether a request is of the same site only its caller knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from catenet.http.policy.dates import MONTHS, seconds_of
from catenet.http.url import Url

__all__ = ["MAX_COOKIES", "Cookie", "CookieJar", "parse_cookie_date"]

MAX_COOKIE = 4096
"""Bytes of name and value together (section 5.6 of the draft); a longer one is ignored."""
MAX_ATTRIBUTE = 1024
MAX_AGE = 400 * 86400
"""Seconds that a cookie lives at most (section 5.5)."""
MAX_PER_DOMAIN = 180
MAX_COOKIES = 3000
MAX_SENT = 16 << 10
"""Bytes of one Cookie field: servers refuse longer heads."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


@dataclass(slots=True)
class Cookie:
    """A cookie in a jar. Times in seconds of the epoch; `expires` None: it ends with the session.

    `domain` without a leading dot; `host_only`: it goes to exactly that host. `same_site` in lower case, or empty.
    """

    name: str
    value: str
    domain: str
    path: str = "/"
    expires: float | None = None
    secure: bool = False
    http_only: bool = False
    host_only: bool = True
    same_site: str = ""
    created: float = 0.0
    used: float = 0.0
    partitioned: bool = False

    def goes_to(self, host: str, path: str, secure: bool) -> bool:
        """Whether it is sent to this host and path (sections 5.1.3 and 5.1.4)."""
        if self.secure and not secure:
            return False
        if host != self.domain if self.host_only else not _domain_matches(host, self.domain):
            return False
        return _path_matches(path, self.path)


class CookieJar:
    """Cookies of all sites, at most 3000 and 180 for one domain: expired ones go first, then those unused for longest.

    `is_public_suffix(domain)` decides for whom a cookie may be.
    """

    def __init__(self, is_public_suffix: Callable[[str], bool] | None = None) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}
        self._by_domain: dict[str, dict[tuple[str, str, str], Cookie]] = {}
        self._is_public = is_public_suffix or is_public_suffix_of_list

    def __iter__(self) -> Iterator[Cookie]:
        return iter(list(self._cookies.values()))

    def __len__(self) -> int:
        return len(self._cookies)

    def add(self, cookie: Cookie) -> None:
        """Put a cookie into the jar as it is, in place of one with its name, domain and path."""
        key = cookie.domain, cookie.path, cookie.name
        self._cookies[key] = self._by_domain.setdefault(cookie.domain, {})[key] = cookie

    def remove(self, domain: str, path: str, name: str) -> None:
        """Take a cookie out, if it is there."""
        key = domain, path, name
        if self._cookies.pop(key, None) is not None:
            del self._by_domain[domain][key]
            if not self._by_domain[domain]:
                del self._by_domain[domain]

    def clear(self, session_only: bool = False) -> None:
        """Take all cookies out, or those that end with the session."""
        for cookie in self:
            if not session_only or cookie.expires is None:
                self.remove(cookie.domain, cookie.path, cookie.name)

    def receive(self, url: Url, set_cookies: Iterable[str], now: float) -> list[Cookie]:
        """Take the Set-Cookie fields of a response to `url`; return those cookies that are in the jar now."""
        kept = []
        for value in set_cookies:
            cookie = parse_set_cookie(value, url, now)
            if cookie is not None and self._admits(cookie, url) and self._store(cookie, now):
                kept.append(cookie)
        if kept:
            self._evict(now)
        return kept

    def header(self, url: Url, now: float, *, same_site: bool = True, safe: bool = True) -> str | None:
        """Return the Cookie field for a request, None if there is none (section 5.4).

        `same_site` False: another site caused the request; then `strict` cookies stay here, and `lax` ones too unless
        the request is a navigation by a safe method (`safe`).
        """
        chosen = self.matching(url, now)
        if not same_site:
            chosen = [
                cookie for cookie in chosen if cookie.same_site == "none" or (safe and cookie.same_site != "strict")
            ]
        pairs, size = [], 0
        for cookie in chosen:
            cookie.used = now
            pair = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
            size += len(pair) + 2
            if size > MAX_SENT:
                break
            pairs.append(pair)
        return "; ".join(pairs) or None

    def matching(self, url: Url, now: float) -> list[Cookie]:
        """Return the cookies that belong to a request: longer paths first, then the older one."""
        host, path, secure = _host(url), url.path or "/", _is_secure(url)
        found = []
        for domain in _domains(host):
            for cookie in list(self._by_domain.get(domain, {}).values()):
                if cookie.expires is not None and cookie.expires <= now:
                    self.remove(cookie.domain, cookie.path, cookie.name)
                elif cookie.goes_to(host, path, secure):
                    found.append(cookie)
        return sorted(found, key=lambda cookie: (-len(cookie.path), cookie.created))

    def _admits(self, cookie: Cookie, url: Url) -> bool:
        host, secure = _host(url), _is_secure(url)
        if not host:
            return False
        if not cookie.host_only:
            if self._is_public(cookie.domain) and cookie.domain != host:
                return False
            if not _domain_matches(host, cookie.domain):
                return False
            if self._is_public(cookie.domain):
                cookie.host_only = True  # it is the site itself
        if cookie.secure and not secure:
            return False
        if cookie.same_site == "none" and not cookie.secure:
            return False
        if not _prefix_allows(cookie, secure):
            return False
        return secure or not self._shadows_secure(cookie)

    def _shadows_secure(self, cookie: Cookie) -> bool:
        """A cookie from plain HTTP may not lie over a Secure one (draft, section 5.7 step 16)."""
        return any(
            other.secure and other.name == cookie.name and _path_matches(cookie.path, other.path)
            and (_domain_matches(other.domain, cookie.domain) or _domain_matches(cookie.domain, other.domain))
            for domain in {*_domains(cookie.domain), *self._below(cookie.domain)}
            for other in self._by_domain.get(domain, {}).values()
        )  # fmt: skip

    def _below(self, domain: str) -> list[str]:
        return [other for other in self._by_domain if other.endswith(f".{domain}")]

    def _store(self, cookie: Cookie, now: float) -> bool:
        old = self._cookies.get((cookie.domain, cookie.path, cookie.name))
        if old is not None:
            cookie.created = old.created
        if cookie.expires is not None and cookie.expires <= now:
            self.remove(cookie.domain, cookie.path, cookie.name)
            return False
        self.add(cookie)
        domain = self._by_domain[cookie.domain]
        if len(domain) > MAX_PER_DOMAIN:
            self._drop(domain.values(), len(domain) - MAX_PER_DOMAIN, now)
        return True

    def _evict(self, now: float) -> None:
        if len(self._cookies) > MAX_COOKIES:
            # Some more than needed, so that the next cookie does not sort all of them again.
            self._drop(self._cookies.values(), len(self._cookies) - MAX_COOKIES + MAX_COOKIES // 20, now)

    def _drop(self, cookies: Iterable[Cookie], count: int, now: float) -> None:
        def worth(cookie: Cookie) -> tuple[bool, bool, float]:
            return cookie.expires is None or cookie.expires > now, cookie.secure, cookie.used or cookie.created

        for cookie in sorted(cookies, key=worth)[:count]:
            self.remove(cookie.domain, cookie.path, cookie.name)


def parse_set_cookie(value: str, url: Url, now: float) -> Cookie | None:
    """Return the cookie of a Set-Cookie field (section 5.2), None if it is to be ignored."""
    if len(value) > 4 * MAX_COOKIE or _CONTROLS(value):
        return None
    pair, *attributes = value.split(";")
    name, equals, content = pair.partition("=")
    if not equals:
        name, content = "", pair
    name, content = name.strip(" \t"), content.strip(" \t")
    if (not name and not content) or len(name) + len(content) > MAX_COOKIE:
        return None
    if not name and content.lower().startswith(("__secure-", "__host-", "__http-")):
        return None  # it would look like the cookie with that prefix
    cookie = Cookie(name, content, _host(url), _default_path(url), created=now, used=now)
    return _with_attributes(cookie, attributes, now)


def _with_attributes(cookie: Cookie, attributes: list[str], now: float) -> Cookie | None:
    age: float | None = None
    for attribute in attributes:
        name, _, value = (part.strip(" \t") for part in attribute.partition("="))
        key = name.lower()
        if len(value) > MAX_ATTRIBUTE:
            continue
        if key == "max-age" and re.fullmatch("-?[0-9]+", value, re.ASCII):
            age = 0.0 if value.startswith("-") else float(int(value[:12]))
        elif key == "expires" and (date := parse_cookie_date(value)) is not None:
            cookie.expires = min(date, now + MAX_AGE)
        elif key == "domain" and (domain := value.removeprefix(".").lower()):
            cookie.domain, cookie.host_only = domain, False
        elif key == "path":
            cookie.path = value if value.startswith("/") else cookie.path
        elif key == "secure":
            cookie.secure = True
        elif key == "httponly":
            cookie.http_only = True
        elif key == "partitioned":
            cookie.partitioned = True
        elif key == "samesite":
            cookie.same_site = value.lower() if value.lower() in ("strict", "lax", "none") else ""
    if age is not None:  # it counts before Expires
        cookie = replace(cookie, expires=now + min(age, MAX_AGE))
    return cookie


def _prefix_allows(cookie: Cookie, secure: bool) -> bool:
    """Names that promise something (draft, section 4.1.3), in any case."""
    name = cookie.name.lower()
    if name.startswith("__host-"):
        return secure and cookie.secure and cookie.host_only and cookie.path == "/"
    return not name.startswith("__secure-") or (secure and cookie.secure)


def _host(url: Url) -> str:
    return (url.host or "").lower().rstrip(".")


def _is_secure(url: Url) -> bool:
    return url.tls


def _domains(host: str) -> list[str]:
    """The host and the domains above it; of an address only itself."""
    if _is_address(host):
        return [host]
    found = [host]
    while "." in host:
        host = host.partition(".")[2]
        found.append(host)
    return found


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _domain_matches(host: str, domain: str) -> bool:
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _path_matches(path: str, cookie_path: str) -> bool:
    if path == cookie_path:
        return True
    return path.startswith(cookie_path) and (cookie_path.endswith("/") or path[len(cookie_path)] == "/")


def _default_path(url: Url) -> str:
    return url.path[: url.path.rfind("/")] or "/" if url.path.startswith("/") else "/"


_DATE_TOKEN = re.compile(r"[^\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])", re.ASCII).match
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])", re.ASCII).match
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])", re.ASCII).match


def parse_cookie_date(text: str) -> float | None:
    """Return the time that an Expires attribute names, by the generous algorithm of section 5.1.1."""
    clock: list[int] | None = None
    day = month = year = None
    for token in _DATE_TOKEN.findall(text):
        if clock is None and (found := _CLOCK(token)):
            clock = [int(part) for part in found.groups()]
        elif day is None and (found := _DAY(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in MONTHS:
            month = MONTHS[token[:3].lower()]
        elif year is None and (found := _YEAR(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    return seconds_of(year, month, day, clock) if year >= 1601 and clock[2] <= 59 and clock[1] <= 59 else None


@lru_cache(maxsize=1)
def _suffix_list() -> Callable[[str], bool] | None:
    try:
        from publicsuffixlist import PublicSuffixList
    except ImportError:
        return None
    found: Callable[[str], bool] = PublicSuffixList(accept_unknown=True).is_public
    return found


def is_public_suffix_of_list(domain: str) -> bool:
    """Whether anybody can have names below `domain`, by the Public Suffix List."""
    if _is_address(domain):
        return False
    known = _suffix_list()
    return known(domain) if known is not None else domain.count(".") < 1
