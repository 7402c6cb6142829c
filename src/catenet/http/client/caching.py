"""The private cache between a call and the network (RFC 9111): its decisions are in `policy/cache`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from catenet.http.client.errors import ConnectFailed, ConnectionLost, RequestTimeout
from catenet.http.client.request import Request
from catenet.http.client.response import Response
from catenet.http.headers import Headers
from catenet.http.message import Fields
from catenet.http.policy.cache.entry import Entry
from catenet.http.policy.cache.policy import (
    Verdict,
    answer_from,
    cache_key,
    combine,
    decide,
    invalidated,
    make_entry,
    may_store,
    stale_if_error,
    updated,
    validators,
)
from catenet.http.policy.cache.store import CacheStore

__all__ = ["Caching"]

Send = Callable[[Request], Awaitable[Response]]
Make = Callable[[Request, int, Fields, bytes], Response]


class Caching:
    """Answers requests out of a store, or asks the server and stores what it says."""

    def __init__(
        self,
        store: CacheStore,
        clock: Callable[[], float],
        send: Send,
        background: Callable[[Coroutine[Any, Any, object]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._send = send
        self._background = background

    async def answer(self, request: Request, make: Make) -> Response:
        """Return a response. Raises `RequestError`."""
        key = cache_key(request.method, request.url)
        entries = self._store.get(key) if key else []
        verdict, entry = decide(request.method, request.headers, entries, self._clock())
        if verdict is Verdict.UNSATISFIABLE:
            return make(request, 504, (), b"")
        if entry is not None and verdict in (Verdict.FRESH, Verdict.STALE):
            if verdict is Verdict.STALE:
                self._background(self._revalidate(request.copy(), entry, make))
            return self._from(entry, request, make)
        if entry is not None and verdict is Verdict.REVALIDATE:
            return await self._revalidate(request, entry, make)
        return await self._ask(request)

    def _from(self, entry: Entry, request: Request, make: Make) -> Response:
        answer = answer_from(entry, request.method, request.headers, self._clock())
        fields = tuple((name.lower(), value) for name, value in answer.headers.to_fields())
        return make(request, answer.status, fields, answer.body)

    async def _revalidate(self, request: Request, entry: Entry, make: Make) -> Response:
        asking = request.copy()
        for name, value in validators(entry):
            asking.headers[name] = value
        requested = self._clock()
        try:
            response = await self._send(asking)
        except (ConnectFailed, ConnectionLost, RequestTimeout):
            if stale_if_error(entry, request.headers, self._clock()):
                return self._from(entry, request, make)
            raise
        if response.status == 304:
            fresh = updated(entry, response.headers, requested, self._clock())
            await response.discard()
            if fresh is None:
                return await self._ask(request)
            self._store.put(fresh.url, fresh)
            return self._from(fresh, request, make)
        if response.status in (500, 502, 503, 504) and stale_if_error(entry, request.headers, self._clock()):
            await response.discard()
            return self._from(entry, request, make)
        self._keep(request, response, requested)
        return response

    async def _ask(self, request: Request) -> Response:
        requested = self._clock()
        response = await self._send(request)
        self._keep(request, response, requested)
        return response

    def _keep(self, request: Request, response: Response, requested: float) -> None:
        """Store what may be stored, when its body is there; forget what a change has made worthless."""
        for key in invalidated(request.method, request.url, response.status, response.headers):
            self._store.delete(key)
        if not may_store(request.method, request.headers, response.status, response.headers):
            return
        headers = self._decoded(response)
        body = response.body_at_hand
        if body is None:
            return  # a body that is streamed is not kept
        entry = make_entry(
            request.method, request.url, request.headers, response.status, headers, body, requested, self._clock()
        )
        if entry is None:
            return
        if not entry.complete:
            entries = [found for found in self._store.get(entry.url) if found.matches(request.headers)]
            entry = combine(entries[0], entry) if entries else entry
        self._store.put(entry.url, entry)

    @staticmethod
    def _decoded(response: Response) -> Headers:
        """The fields that belong to the body as it is kept: decoded."""
        headers = response.headers.copy()
        if response.was_decoded:
            headers.discard("Content-Encoding", "Content-Length")
        return headers
