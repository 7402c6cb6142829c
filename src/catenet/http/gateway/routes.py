"""Which server answers which path: routes, the servers of each, and which of them is asked next. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from catenet.http.client.origin import Origin
from catenet.http.target import SCHEMES, authority
from catenet.net.target import SCHEMES as STREAM_SCHEMES
from catenet.net.target import Scheme, parse_target

__all__ = [
    "Route",
    "RouteError",
    "Upstream",
    "is_ambiguous",
    "parse_route",
    "route_of",
    "sort_routes",
]

UPSTREAMS: Final[Mapping[str, Scheme]] = {
    **SCHEMES,
    "h2c": Scheme(port=80, takes_path=True),
    "unix": STREAM_SCHEMES["unix"],
}
"""Servers behind: `https` with HTTP/2 where TLS agrees on it, `h2c` with HTTP/2 at once, `unix` with HTTP/1.1."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
_DOTS = re.compile(rb"(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\;]|%3b|$)|%2f|%5c|\\|%00", re.IGNORECASE)


class RouteError(ValueError):
    """A route that cannot be: the text is one line."""


@dataclass(eq=False, slots=True)
class Upstream:
    """One server behind the gateway.

    `base`: replaces the prefix of the route, if the URL has a path. `running`: requests that it has not answered;
    `failures` in a row have set it aside until `until`.
    """

    url: str
    scheme: str
    origin: Origin
    authority: bytes
    base: bytes | None
    running: int = 0
    failures: int = 0
    until: float = 0.0

    def failed(self, now: float) -> None:
        """It could not be connected to: others are asked for a while, twice as long each time."""
        self.failures += 1
        self.until = now + min(FIRST_PAUSE * 2.0 ** min(self.failures - 1, 10), LONGEST_PAUSE)

    def answered(self) -> None:
        """It is there."""
        self.failures = 0
        self.until = 0.0


@dataclass(eq=False, slots=True)
class Route:
    """Paths that begin with `prefix`, at a segment's end, and the servers that answer them."""

    prefix: bytes
    upstreams: list[Upstream]
    _turn: int = field(default=0, init=False)

    def matches(self, path: bytes) -> bool:
        """Whether a path, without its query, is one of the route."""
        prefix = self.prefix
        if path == b"*":
            return not prefix
        return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix) : len(prefix) + 1] == b"/")

    def pick(self, now: float, tried: Iterable[Upstream] = ()) -> Upstream | None:
        """Return the server that has least to do, in turn; one that was set aside only if there is no other."""
        left = [upstream for upstream in self.upstreams if upstream not in tried]
        if not left:
            return None
        self._turn += 1
        ready = [upstream for upstream in left if upstream.until <= now]
        if not ready:
            return min(left, key=lambda upstream: upstream.until)
        least = min(upstream.running for upstream in ready)
        idle = [upstream for upstream in ready if upstream.running == least]
        return idle[self._turn % len(idle)]

    def target(self, target: bytes, upstream: Upstream) -> bytes:
        """Return the request target for a server: the prefix is replaced where its URL has a path."""
        if upstream.base is None or target == b"*":
            return target
        rest = target[len(self.prefix) :]
        return upstream.base + rest if rest[:1] == b"/" else upstream.base + b"/" + rest


def parse_route(text: str) -> Route:
    """Return the route of `PREFIX=URL[,URL…]`. Raises `RouteError`."""
    prefix, equals, urls = text.partition("=")
    if not equals or not prefix.startswith("/") or not urls:
        raise RouteError(f"{text!r} is no route; write for example /api=http://127.0.0.1:8000")
    if not prefix.isascii() or not prefix.isprintable() or set(prefix) & set(" ?#"):
        raise RouteError(f"{text!r}: {prefix!r} is no path")
    plain = prefix.rstrip("/").encode()
    if is_ambiguous(plain):
        raise RouteError(f"{text!r}: {prefix!r} has dots or escapes that servers read in two ways")
    return Route(plain, [_upstream(text, url) for url in urls.split(",")])


def _upstream(text: str, url: str) -> Upstream:
    try:
        target = parse_target(url, schemes=UPSTREAMS, default="http")
    except ValueError as error:
        raise RouteError(f"{text!r}: {error}") from None
    rest = url.partition("://")[2]
    has_path = not target.unix and "/" in rest
    if not target.base.isascii() or set(target.base) & set(" ?#"):
        raise RouteError(f"{text!r}: {target.base!r} is no path")
    origin = Origin(target.tls, target.host or "localhost", target.port, target.unix, None)
    return Upstream(url, target.scheme, origin, authority(target).encode(), target.base.encode() if has_path else None)


def sort_routes(routes: Iterable[Route]) -> list[Route]:
    """Return routes with the longest prefix first. Raises `RouteError` for two with the same."""
    ordered = sorted(routes, key=lambda route: -len(route.prefix))
    seen: set[bytes] = set()
    for route in ordered:
        if route.prefix in seen:
            raise RouteError(f"two routes for {route.prefix.decode() or '/'}: give one several URLs")
        seen.add(route.prefix)
    return ordered


def route_of(routes: Iterable[Route], path: bytes) -> Route | None:
    """Return the route of a path without its query."""
    return next((route for route in routes if route.matches(path)), None)


def is_ambiguous(path: bytes) -> bool:
    """Whether a server could take a path for one outside of its route: dot segments, separators in escapes."""
    return _DOTS.search(path) is not None
