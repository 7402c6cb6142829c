"""One call of a program: requests until there is a response for it (redirects, credentials, repetitions, the cache)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catenet.http.client.caching import Caching
from catenet.http.client.errors import ConnectFailed, ConnectionLost, RedirectFailed, RequestError, RequestTimeout
from catenet.http.client.proxying import proxy_fields
from catenet.http.client.request import Request
from catenet.http.client.response import Response, facts_of
from catenet.http.client.timeouts import Timeouts
from catenet.http.headers import Headers
from catenet.http.message import Fields, ResponseHead
from catenet.http.policy.auth import Auth, Basic
from catenet.http.policy.redirects import RedirectError, Redirects
from catenet.http.policy.retry import IDEMPOTENT

if TYPE_CHECKING:
    from catenet.http.client.client import Client

__all__ = ["Call", "CallOptions"]

QUICK_REPETITIONS = 5
"""Requests that idle connections may swallow before that counts as a failure."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call was told over its client's settings; `explicit_auth`: None was said, and counts."""

    timeouts: Timeouts
    follow: bool
    auth: Auth | None = None
    explicit_auth: bool = False


class Call:
    """Makes requests until one is answered for good. `collects`: the response is returned with its body."""

    def __init__(
        self, client: Client, request: Request, options: CallOptions, collects: bool, called: float | None = None
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._transport = client.transport()
        self._request = request
        self._options = options
        self._collects = collects
        self._called = self._transport.loop.time() if called is None else called
        total = options.timeouts.total
        self._end = None if total is None else self._called + total
        self._auth = options.auth if options.explicit_auth else self._settings.auth
        self._given: Response | RequestError | None = None

    async def run(self) -> Response:
        """Return the response. Raises `RequestError`."""
        request, history = self._request, list[Response]()
        redirects = Redirects(limit=self._settings.max_redirects)
        self._settings.budget.earn()
        while True:
            response = await self._authenticated(request)
            following = self._redirected(redirects, request, response) if self._options.follow else None
            if following is None:
                response.history = history
                return response
            await response.discard()
            history.append(response)
            request = following

    async def after(self, outcome: Response | RequestError) -> Response:
        """The first attempt has been made already, and came to this."""
        self._given = outcome
        return await self.run()

    def _redirected(self, redirects: Redirects, request: Request, response: Response) -> Request | None:
        if not response.is_redirect:
            return None
        try:
            found = redirects.follow(
                request.method, request.url, request.headers, response.status, response.headers.get("location")
            )
        except RedirectError as error:
            failure = RedirectFailed(str(error))
            failure.request = request
            raise failure from None
        if found is None:
            return None
        if found.keeps_body and not request.replayable:
            failure = RedirectFailed(
                f"the redirect to {found.url.without_password()} needs the body again, which was read once"
            )
            failure.request = request
            raise failure
        made = Request(
            found.method, found.url, headers=found.headers, content=request.source if found.keeps_body else None
        )
        made.expects = request.expects and found.keeps_body
        made.trailers = request.trailers if found.keeps_body else ()
        made.unix = "" if found.cross_origin else request.unix
        if found.cross_origin:
            self._auth = None  # another server has no right to know
        return made

    # Credentials.

    async def _authenticated(self, request: Request) -> Response:
        auth = self._auth_for(request)
        if auth is None:
            return await self._repeated(request)
        flow = auth.flow(request)
        sent = next(flow)
        while True:
            response = await self._repeated(sent)
            try:
                sent = flow.send(response)
            except StopIteration:
                return response
            if not sent.replayable:
                flow.close()
                return response
            await response.discard()

    def _auth_for(self, request: Request) -> Auth | None:
        url = request.url
        if url.user is not None:
            found = Basic(url.user, url.password or "")
            request.url = url.without_userinfo()
            return found
        if self._auth is not None or self._options.explicit_auth:
            return self._auth
        netrc = self._settings.netrc
        return netrc if netrc is not None and "authorization" not in request.headers else None

    # Repetitions.

    async def _repeated(self, request: Request) -> Response:
        attempt, quick = 0, 0
        policy, settings = self._settings.retry, self._settings
        while True:
            attempt += 1
            try:
                response = await self._cached(request)
            except RequestError as error:
                if self._swallowed(request, error) and quick < QUICK_REPETITIONS:
                    quick += 1
                    attempt -= 1
                    continue
                delay = self._delay_after_failure(request, attempt, error)
                if delay is None:
                    raise
            else:
                if policy is None:
                    return response
                delay = policy.delay_after_response(
                    request.method, attempt, response.status, response.headers, settings.clock(), _random,
                    replayable=request.replayable,
                )  # fmt: skip
                if delay is None or not self._has_time(delay) or not settings.budget.spend():
                    return response
                await response.discard()
            await asyncio.sleep(delay)

    @staticmethod
    def _swallowed(request: Request, error: RequestError) -> bool:
        """Whether the server can be taken not to have acted, so that the request goes again at once.

        It said so, or it closed an idle connection while the request was on its way (RFC 9112 section 9.3.1).
        """
        if not isinstance(error, ConnectionLost) or not request.replayable:
            return False
        return error.unprocessed or (error.early and error.reused and request.method in IDEMPOTENT)

    def _delay_after_failure(self, request: Request, attempt: int, error: RequestError) -> float | None:
        policy = self._settings.retry
        if policy is None or not isinstance(error, ConnectFailed | ConnectionLost | RequestTimeout):
            return None
        if isinstance(error, RequestTimeout) and error.phase in ("total", "pool"):
            return None
        unprocessed = isinstance(error, ConnectFailed) or (isinstance(error, ConnectionLost) and error.unprocessed)
        unprocessed = unprocessed or (isinstance(error, RequestTimeout) and error.phase == "connect")
        delay = policy.delay_after_failure(
            request.method, attempt, _random, unprocessed=unprocessed, replayable=request.replayable
        )
        if delay is None or not self._has_time(delay) or not self._settings.budget.spend():
            return None
        return delay

    def _has_time(self, delay: float) -> bool:
        return self._end is None or self._transport.loop.time() + delay < self._end

    # The cache, and the exchange itself.

    async def _cached(self, request: Request) -> Response:
        given, self._given = self._given, None
        if isinstance(given, RequestError):
            raise given
        if given is not None:
            self._take_note(given)
            return given
        store = self._settings.cache
        if store is None or request.source.length != 0:
            return await self._send(request)
        return await Caching(store, self._settings.clock, self._send, self._client.keep).answer(
            request, self._response_of
        )

    def _response_of(self, request: Request, status: int, headers: Fields, body: bytes) -> Response:
        response = Response(request, ResponseHead(status, headers), None, self._called, False)
        response.supply(body)
        return response

    async def _send(self, request: Request) -> Response:
        settings, transport = self._settings, self._transport
        for hook in settings.on_request:
            await _finished(hook(request))
        url = request.url = settings.hsts.secure(request.url, settings.clock()) if len(settings.hsts) else request.url
        proxy = None if request.unix else settings.proxies.for_url(url)
        origin = self._client.origins.of(url, request.unix, proxy)
        extra = proxy_fields(proxy) if proxy is not None and origin.forwards else ()
        head = request.head(origin.forwards, extra + self._cookies(request))
        collects, timeouts = self._collects, self._options.timeouts
        try:
            limit, told = settings.max_content, self._told if settings.on_interim is not None else None
            exchange = await transport.begin(origin, head, request, timeouts, self._end, collects, limit, told)
            assert exchange.head is not None
            response = Response(request, exchange.head, exchange, self._called, settings.decompress)
            if collects:
                response.collect(settings.max_content)
        except RequestError as error:
            error.request = request
            raise
        self._take_note(response)
        for after in settings.on_response:
            await _finished(after(response))
        return response

    def _told(self, head: ResponseHead) -> None:
        if self._settings.on_interim is not None:
            self._settings.on_interim(head.status, Headers.from_fields(head.fields))

    def _cookies(self, request: Request) -> Fields:
        jar = self._settings.cookies
        if not len(jar):
            return ()
        found = jar.header(request.url, self._settings.clock())
        return () if found is None else ((b"cookie", found.encode("utf-8")),)

    def _take_note(self, response: Response) -> None:
        """Cookies, and what the host asks to be reached by."""
        if facts_of(response.head).plain:
            return
        settings, url, headers = self._settings, response.url, response.headers
        if facts_of(response.head).cookies:
            settings.cookies.receive(url, headers.get_all("set-cookie"), settings.clock())
        settings.hsts.note(url, headers.get("strict-transport-security"), settings.clock())


_random = random.Random()


async def _finished(result: object) -> None:
    """Wait for a hook that is a coroutine."""
    if isinstance(result, Awaitable):
        await result
