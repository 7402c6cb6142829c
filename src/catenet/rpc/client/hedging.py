"""Hedged calls with a stream of requests and one response: several attempts at once, each of which gets all requests.

Requests are kept for attempts that begin later, within the limits of `catenet.rpc.client.replay`. When there is no
more room, or a response begins, the call is committed to one attempt, and the others end (gRFC A6, "Hedging Policy",
"Buffered RPCs").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from typing import Any, TypeVar

from catenet.rpc.client.attempt import Attempt
from catenet.rpc.client.call import pushback_of
from catenet.rpc.client.replay import ReplayRoom
from catenet.rpc.client.service_config import Hedging
from catenet.rpc.client.streams import StreamingCall
from catenet.rpc.model.status import RpcError

__all__ = ["HedgedUpload"]

Q = TypeVar("Q")
S = TypeVar("S")


class _Upload:
    """One attempt, and how many of the requests it has sent."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.sent = 0
        self.task: asyncio.Task[None] | None = None


class HedgedUpload(StreamingCall[Q, S]):
    """A call under a hedging policy; `run` makes it."""

    _limit = 0
    _room: ReplayRoom
    _held = 0
    _first = 0
    """Number of the first request that is kept."""
    _ended = False
    _committed: _Upload | None = None

    async def run(self, requests: Iterable[Q] | AsyncIterable[Q]) -> S:
        """Send requests by as many attempts as the policy says; return the first response. Raises `RpcError`."""
        connections = self._channel.connections()
        self._limit, self._room = self._channel.options.retry_buffer, connections.replay_room
        self._payloads: list[bytes] = []
        self._uploads: list[_Upload] = []
        self._news, self._taken = asyncio.Event(), asyncio.Event()
        await self._open()
        assert self._call is not None and self._call.config.hedging is not None
        hedging = Hedging(self._call.config.hedging, connections.budget, connections.loop.time())
        feeding: asyncio.Task[None] | None = None
        try:
            hedging.start_attempt(connections.loop.time())
            self._begin()
            feeding = asyncio.ensure_future(self._feed(requests))
            won, error = await self._race(hedging, feeding)
            await self._left(won, error)
            if error is not None:
                raise error
            hedging.succeeded()
            response: S = self._channel.chain.on_response(self.info, won.response())
            return response
        finally:
            await self._end(feeding)

    async def _race(self, hedging: Hedging, feeding: asyncio.Task[None]) -> tuple[Attempt, RpcError | None]:
        """Return the attempt that the call ends with. Raises what the program's requests raise."""
        loop = feeding.get_loop()
        last: tuple[Attempt, RpcError] | None = None
        while True:
            if self._committed is None and hedging.start_attempt(loop.time()):
                await self._open()
                self._begin()
                continue
            results = [one.attempt.result for one in self._uploads if one.attempt.result is not None]
            due = hedging.next_deadline() if self._committed is None else None
            if not results and due is None and last is not None:
                return last
            waits = results if feeding.done() else [*results, feeding]
            timeout = None if due is None else max(due - loop.time(), 0.0)
            if waits:
                await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(timeout or 0.0)  # until the server wants the next attempt
            if feeding.done() and not feeding.cancelled() and (raised := feeding.exception()) is not None:
                raise raised
            for upload in [one for one in self._uploads if one.attempt.over]:
                error = upload.attempt.error
                self._uploads.remove(upload)
                if error is None or self._committed is upload:
                    return upload.attempt, error
                last = upload.attempt, error
                if hedging.attempt_failed(error.code, loop.time(), pushback_of(error)):
                    return last

    # Attempts.

    def _begin(self) -> None:
        """Let the attempt that has been opened last send what there is, beside the others."""
        attempt, call = self._attempt, self._call
        assert attempt is not None and call is not None
        upload = _Upload(attempt)
        attempt.on_begun = lambda: self._commit(upload)
        attempt.start(call.deadline)
        self._uploads.append(upload)
        upload.task = asyncio.ensure_future(self._send(upload))

    async def _send(self, upload: _Upload) -> None:
        attempt = upload.attempt
        try:
            await self._send_all(upload, attempt)
        finally:
            self._taken.set()

    async def _send_all(self, upload: _Upload, attempt: Attempt) -> None:
        while not attempt.over:
            if upload.sent < self._first + len(self._payloads):
                payload = self._payloads[upload.sent - self._first]
                upload.sent += 1
                if self._committed is upload:
                    self._forget(upload.sent)
                await attempt.send(payload)
                self._taken.set()
            elif self._ended:
                attempt.end_requests()
                return
            else:
                self._news.clear()
                await self._news.wait()

    def _commit(self, upload: _Upload) -> None:
        """Go on with one attempt alone; what it has sent is kept no longer."""
        if self._committed is not None:
            return
        self._committed = upload
        self._give_back()
        self._forget(upload.sent)
        for other in [one for one in self._uploads if one is not upload]:
            self._uploads.remove(other)
            other.attempt.cancel()
            if other.task is not None:
                other.task.cancel()

    def _forget(self, sent: int) -> None:
        del self._payloads[: sent - self._first]
        self._first = sent

    def _give_back(self) -> None:
        self._room.give_back(self._held)
        self._held = 0

    # Requests.

    async def _feed(self, requests: Iterable[Q] | AsyncIterable[Q]) -> None:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                await self._add(request)
        else:
            for request in requests:
                await self._add(request)
        self._ended = True
        self._news.set()

    async def _add(self, request: Q) -> None:
        assert self._attempt is not None
        payload = self._attempt.parameters.encode(self._channel.chain.on_request(self.info, request))
        self._payloads.append(payload)
        self._news.set()
        if self._committed is None:
            size = len(payload)
            if self._held + size <= self._limit and self._room.take(size):
                self._held += size
            elif self._uploads:
                self._commit(max(self._uploads, key=lambda one: one.sent))
        await asyncio.sleep(0)  # requests that never wait let the attempts have their turn
        while (upload := self._committed) is not None and self._payloads and not upload.attempt.over:
            self._taken.clear()
            await self._taken.wait()

    async def _end(self, feeding: asyncio.Task[None] | None) -> None:
        self._give_back()
        tasks: list[asyncio.Task[Any]] = [] if feeding is None else [feeding]
        for upload in self._uploads:
            upload.attempt.cancel()
        tasks += [upload.task for upload in self._uploads if upload.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
