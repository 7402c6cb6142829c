"""A file in parts that are fetched at the same time, each at its place; what is there is noted, to go on later."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from catenet.cli.transfer.codes import TRANSIENT, Code, TransferError
from catenet.cli.transfer.fetch import Fetch, report, strong_validator
from catenet.cli.transfer.http_request import explain, make_request
from catenet.cli.transfer.waterfall import waterfall
from catenet.http.client.errors import RequestError
from catenet.http.policy.ranges import parse_content_range, range_value

if TYPE_CHECKING:
    from pathlib import Path

    from catenet.cli.transfer.partial import Partial
    from catenet.http.client.response import Response

__all__ = ["LEAST", "fetch_in_parts"]

LEAST = 1 << 20
MOST = 64 << 20
PER_WORKER = 4
"""Parts for each connection, so that a slow one does not keep the others waiting at the end."""
AGAIN = 2
"""Times that a part is asked for again when its connection breaks off."""


async def fetch_in_parts(fetch: Fetch) -> None:
    """Fetch with as many requests at a time as `--parallel` says. Raises `TransferError`.

    The first answer decides: a server that gives no ranges, or has no strong name for the version, gives the whole.
    """
    job = fetch.job
    path = job.target(fetch.url.path, None)
    if path is None:
        raise TransferError(Code.FAILED, "--parallel needs a file: -o or -O")
    partial = job.partial(path)
    partial.held()
    earlier = partial.state if job.options.resume is not None and partial.state.done is not None else None
    validator = earlier.validator if earlier is not None else ""
    first = await _first(fetch, validator)
    said = parse_content_range(first.headers.get("content-range"))
    strong = strong_validator(first.headers)
    if first.status != 206 or said is None or said.size is None or said.start != 0 or not strong:
        await first.close()
        job.remark("the server gives no parts, or does not say of which version they are")
        await fetch.run()
        return
    if earlier is None or earlier.validator != strong or earlier.size != said.size:
        earlier = None
    try:
        await _Parts(fetch, partial, said.size, strong).run(path, first, earlier.done if earlier is not None else None)
    finally:
        await first.close()
        for line in waterfall(first.timings.phases()):
            job.remark(line)


async def _first(fetch: Fetch, validator: str) -> Response:
    request = make_request(fetch.client, fetch.job, fetch.url)
    request.headers["Range"] = range_value(0, LEAST)
    if validator:
        request.headers["If-Range"] = validator
    response = await fetch.send(request)
    report(fetch.job, response)
    if fetch.job.options.fail and response.status >= 400:
        await response.close()
        raise TransferError(Code.STATUS, f"{fetch.job.url}: the server says {response.status}")
    return response


class _Parts:
    """The parts of one file."""

    def __init__(self, fetch: Fetch, partial: Partial, size: int, validator: str) -> None:
        self._fetch = fetch
        self._job = fetch.job
        self._partial = partial
        self._size = size
        self._validator = validator
        self._step = MOST
        self._left: deque[tuple[int, int]] = deque()

    async def run(self, path: Path, first: Response, done: list[list[int]] | None) -> None:
        job, partial, workers = self._job, self._partial, self._job.options.parallel
        partial.open(keep=done is not None)
        state = partial.state
        state.url, state.validator, state.size = str(self._fetch.url.without_password()), self._validator, self._size
        state.done = done or []
        partial.reserve(self._size)
        partial.remember()
        job.facts.update(file=str(path), parts=workers)
        job.forget_hash()
        self._show_bar(path)
        self._step = max(LEAST, min(MOST, self._size // (workers * PER_WORKER)))
        begun = min(LEAST, self._size)
        missing = _missing(state.done, self._size)
        take_first = bool(missing) and missing[0][0] == 0
        if take_first:
            missing[0] = (min(begun, missing[0][1]), missing[0][1])
        self._left.extend((start, stop) for start, stop in missing if start < stop)
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work((first, begun) if number == 0 and take_first else None))
        job.size = self._size
        job.finish()

    def _show_bar(self, path: Path) -> None:
        from catenet.cli.transfer.progress import Bar

        job = self._job
        job.bar = Bar(path.name, not (job.options.silent or job.options.as_json))
        job.bar.begin(self._size, sum(stop - start for start, stop in self._partial.state.done or []))

    async def _work(self, begun: tuple[Response, int] | None) -> None:
        if begun is not None:
            response, stop = begun
            at = await self._receive(response, 0, stop)
            if at < stop:
                self._left.appendleft((at, stop))
        failures = 0
        while self._left:
            start, stop = self._take_part()
            try:
                response = await self._ask(start, stop)
                try:
                    at = await self._receive(response, start, stop)
                finally:
                    await response.close()
            except TransferError as error:
                at, failures = start, failures + 1
                if error.code not in TRANSIENT or failures > AGAIN:
                    raise
            else:
                failures = 0 if at > start else failures + 1
                if failures > AGAIN:
                    raise TransferError(Code.PARTIAL, f"{self._job.url}: the connection broke off again and again")
            if at < stop:
                self._left.appendleft((at, stop))

    def _take_part(self) -> tuple[int, int]:
        """Cut the next part off what is left: a list of all would be as long as a server says that the file is."""
        start, stop = self._left.popleft()
        if stop - start > self._step:
            self._left.appendleft((start + self._step, stop))
            stop = start + self._step
        return start, stop

    async def _ask(self, start: int, stop: int) -> Response:
        request = make_request(self._fetch.client, self._job, self._fetch.url)
        request.headers["Range"] = range_value(start, stop)
        request.headers["If-Range"] = self._validator
        response = await self._fetch.send(request)
        said = parse_content_range(response.headers.get("content-range"))
        if response.status == 206 and said is not None and (said.start, said.size) == (start, self._size):
            return response
        await response.close()
        if response.status == 200:
            self._partial.discard()
            raise TransferError(Code.RANGE, f"{self._job.url} has changed while it was being fetched")
        raise TransferError(Code.RANGE, f"{self._job.url}: no part {start}-{stop - 1} (status {response.status})")

    async def _receive(self, response: Response, start: int, stop: int) -> int:
        """Put the body where it belongs; return how far it came."""
        job, at = self._job, start
        try:
            async for piece in response.raw():
                piece = piece[: stop - at]
                self._partial.write_at(at, piece)
                at += len(piece)
                job.bar.advance(len(piece))
                await job.pace(len(piece))
        except RequestError as error:
            failure = explain(error, got=True)
            if failure.code in (Code.TIMEOUT, Code.CODING):
                raise failure from None
        finally:
            if at > start:
                state = self._partial.state
                state.done = _joined([*(state.done or []), [start, at]])
                self._partial.remember()
            job.remark(_said(response, start, at))
        return at


def _said(response: Response, start: int, at: int) -> str:
    timings = response.timings
    waited = timings.first_byte - timings.begun if timings.first_byte else 0.0
    took = (timings.ended or timings.first_byte) - timings.begun
    again = "the same connection" if timings.reused else "a new connection"
    return f"part {start}-{at - 1}: {waited * 1000:.1f} ms to the first byte, {took * 1000:.1f} ms in all, {again}"


def _joined(parts: list[list[int]]) -> list[list[int]]:
    found: list[list[int]] = []
    for start, stop in sorted(parts):
        if found and start <= found[-1][1]:
            found[-1][1] = max(found[-1][1], stop)
        else:
            found.append([start, stop])
    return found


def _missing(done: list[list[int]], size: int) -> list[tuple[int, int]]:
    found, at = [], 0
    for start, stop in _joined(done):
        if at < start:
            found.append((at, start))
        at = max(at, stop)
    if at < size:
        found.append((at, size))
    return found
