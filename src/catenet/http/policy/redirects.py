"""Redirects (RFC 9110 section 15.4): where next, with which method, and which fields may come along."""

from __future__ import annotations

from dataclasses import dataclass, field

from catenet.http.headers import Headers
from catenet.http.url import Url, UrlError

__all__ = ["MAX_REDIRECTS", "Redirect", "RedirectError", "Redirects", "TooManyRedirects"]

STATUSES = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 20
MAX_VISITS = 3
"""Times that a chain may lead to one URL: a site that sets cookies sends a client back to the page once or twice."""

# What tells another origin who the user is, or belongs to the message that was sent to the first one.
_CREDENTIALS = ("Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "WWW-Authenticate", "Authentication-Info")
_ABOUT_BODY = (
    "Content-Length", "Transfer-Encoding", "Content-Type", "Content-Encoding", "Content-Language", "Content-Location",
    "Content-Disposition", "Content-Range", "Digest", "Content-Digest", "Repr-Digest", "Last-Modified", "Expect",
    "Trailer",
)  # fmt: skip


class RedirectError(Exception):
    """A redirect that cannot be followed: no Location, no URL, or a scheme that is not allowed."""


class TooManyRedirects(RedirectError):
    """More redirects than allowed, or the same request again."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The next request. `keeps_body`: the body is sent again, so a client must be able to make it once more."""

    method: str
    url: Url
    headers: Headers
    keeps_body: bool
    cross_origin: bool


@dataclass(slots=True)
class Redirects:
    """One chain of redirects: at most `limit` of them (0: none is followed), and to no URL a fourth time.

    `schemes` are those that a Location may have. `trust_location`: credentials go along to other origins (curl's
    `--location-trusted`). `keep_post` keeps the method of a POST after 301 and 302, which browsers make a GET.
    """

    limit: int = MAX_REDIRECTS
    schemes: tuple[str, ...] = ("http", "https")
    trust_location: bool = False
    keep_post: bool = False
    followed: int = 0
    _visits: dict[tuple[str, str], int] = field(default_factory=dict)

    def follow(self, method: str, url: Url, headers: Headers, status: int, location: str | None) -> Redirect | None:
        """Return the request that a response asks for, None if it is no redirect.

        `headers` are those of the request that was answered, without what the client adds to each (Host).
        Raises `RedirectError`.
        """
        if status not in STATUSES or location is None:
            return None
        self.followed += 1
        if self.followed > self.limit:
            raise TooManyRedirects(f"more than {self.limit} redirects")
        target = self._target(url, location)
        next_method = self._method(method, status)
        key = next_method, str(target.without_fragment())
        visits = self._visits[key] = self._visits.get(key, 0) + 1
        if visits > MAX_VISITS:
            raise TooManyRedirects(f"the redirects go round in a circle, back to {target.without_password()}")
        keeps_body = next_method == method
        cross = target.origin != url.origin
        return Redirect(next_method, target, self._headers(headers, keeps_body, cross), keeps_body, cross)

    def _target(self, url: Url, location: str) -> Url:
        try:
            # Servers send UTF-8 as it is; fields are read as ISO-8859-1.
            location = location.encode("latin-1").decode()
        except UnicodeError:
            pass
        try:
            target = Url.absolute(url.join(location), self.schemes)
        except UrlError as error:
            raise RedirectError(f"the redirect cannot be followed: {error}") from None
        if target.fragment is None and url.fragment is not None:
            target = target.join(f"#{url.fragment}")  # RFC 9110 section 10.2.2: it is inherited
        return target

    def _method(self, method: str, status: int) -> str:
        if status == 303 and method not in ("GET", "HEAD"):
            return "GET"
        if status in (301, 302) and method == "POST" and not self.keep_post:
            return "GET"
        return method

    def _headers(self, headers: Headers, keeps_body: bool, cross: bool) -> Headers:
        kept = headers.copy()
        kept.discard("Host")
        if not keeps_body:
            kept.discard(*_ABOUT_BODY)
        if cross and not self.trust_location:
            kept.discard(*_CREDENTIALS)
        return kept
