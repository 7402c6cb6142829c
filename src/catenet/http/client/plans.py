"""What equal requests have in common, worked out once: programs ask for the same URLs, or at least the same servers.

A request without options is a plan: its head and where it goes. Another URL of a server that is known costs a
match of one regular expression and the new first line; only what is out of the ordinary is parsed in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from catenet.http.client.origin import Origin, Origins
from catenet.http.client.proxying import proxy_fields
from catenet.http.client.request import Request
from catenet.http.message import Prepared, RequestHead
from catenet.http.policy.proxies import Proxies
from catenet.http.url import Url

__all__ = ["Plan", "Plans"]

_PLANS = 4096
_SITES = 1024
# What `Url` would neither mend nor refuse, with nothing in it that is not sent: no user, no fragment.
_PLAIN = re.compile(
    r"(https?://[A-Za-z0-9.\-]+(?::[0-9]{1,5})?)"
    r"((?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?(?:\?(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?)"
).fullmatch

Build = Callable[[str, str | Url], Request]


class Plan:
    """A request without a body, ready to be sent; the request itself is made when somebody asks for it."""

    __slots__ = ("_build", "_request", "head", "method", "origin", "url")

    def __init__(
        self, method: str, url: str | Url, origin: Origin, head: RequestHead, build: Build, request: Request | None
    ) -> None:
        self.method = method
        self.url = url
        self.origin = origin
        self.head = head
        self._build = build
        self._request = request

    @property
    def request(self) -> Request:
        """The request; whoever changes it takes a copy."""
        if self._request is None:
            self._request = self._build(self.method, self.url)
        return self._request


class Plans:
    """The plans of one client. `build` makes a request in full."""

    def __init__(self, build: Build, origins: Origins, proxies: Proxies) -> None:
        self._build = build
        self._origins = origins
        self._proxies = proxies
        self._known: dict[tuple[str, str | Url], Plan] = {}
        self._sites: dict[tuple[str, str], Plan] = {}
        self.find = self._known.get

    def clear(self) -> None:
        """Forget everything: what all requests have in common has changed."""
        self._known.clear()
        self._sites.clear()

    def make(self, method: str, url: str | Url) -> Plan:
        """Return a plan for a request that has none yet. Raises `ValueError`."""
        match = _PLAIN(url) if isinstance(url, str) else None
        like = None if match is None else self._sites.get((method, match[1]))
        if match is not None and like is not None:
            plan = _another(like, url, match[2], self._build)
        else:
            plan = self._make(method, url)
            if plan.request.url.userinfo is not None:
                return plan  # its credentials become a field when it is sent
            if match is not None and plan.head.path == _target(match[2]) and not plan.request.unix:
                if len(self._sites) >= _SITES:
                    self._sites.clear()
                self._sites[method, match[1]] = plan
        if len(self._known) >= _PLANS:
            self._known.clear()
        self._known[method, url] = plan
        return plan

    def _make(self, method: str, url: str | Url) -> Plan:
        request = self._build(method, url)
        proxy = None if request.unix else self._proxies.for_url(request.url)
        origin = self._origins.of(request.url, request.unix, proxy)
        extra = proxy_fields(proxy) if proxy is not None and origin.forwards else ()
        return Plan(method, url, origin, request.head(origin.forwards, extra), self._build, request)


def _another(like: Plan, url: str | Url, reference: str, build: Build) -> Plan:
    """A request to a server that is known, for another path and query."""
    known = like.head
    target = _target(reference)
    head = RequestHead(known.method, target, known.fields, known.authority, known.scheme)
    written = known.h1
    if written is not None and written.plain:  # it differs in the first line only
        start = len(known.method) + 1
        head.h1 = Prepared(written.data[:start] + target + written.data[start + len(known.path) :])
    return Plan(like.method, url, like.origin, head, build, None)


def _target(reference: str) -> bytes:
    """Path and query as they are sent."""
    return (reference if reference[:1] == "/" else f"/{reference}").encode("ascii")
