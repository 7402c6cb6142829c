"""A resource into a file: across connections that break, from where an earlier attempt ended, over several connections.

Ranges are asked for by `If-Range`, so that pieces of two versions never come together (RFC 9110 section 13.1.5), and
without codings, so that a byte of the file is a byte of the range.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from catenet.http.client.errors import ConnectFailed, ConnectionLost, PeerError, RequestTimeout
from catenet.http.client.response import Response
from catenet.http.headers import Headers
from catenet.http.policy.conditional import parse_etag
from catenet.http.policy.ranges import ContentRange, parse_content_range, range_value

if TYPE_CHECKING:
    from catenet.http.client.client import Client

__all__ = ["Download", "Version"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are in the file, and with how many there will be (None: not known)."""

_BROKEN = (ConnectFailed, ConnectionLost, RequestTimeout)
LEAST_PART = 1 << 20
"""Bytes below which a part is not worth a connection of its own."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells two versions of a resource apart; empty if nothing does."""

    validator: str = ""

    @classmethod
    def of(cls, headers: Headers) -> Version:
        """A strong entity tag, else the date of the last change if it is older than the answer by a second or more."""
        tag = parse_etag(headers.get("etag"))
        if tag is not None and not tag.weak:
            return cls(str(tag))
        changed = headers.get("last-modified", "")
        return cls(changed if changed and changed != headers.get("date") else "")


class Download:
    """One resource into `file`, which is open for writing and can be sought in.

    `start`: bytes of it that are there already, with `validator` (an ETag or a date) of the version they are of;
    without one they are taken to be right, as curl does. `connections`: over how many to get it, if the server has
    ranges. `attempts`: how many in a row may break without a byte.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        file: BinaryIO,
        *,
        start: int = 0,
        validator: str = "",
        connections: int = 1,
        attempts: int = 5,
        progress: Progress | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        if connections < 1 or attempts < 1 or start < 0:
            raise ValueError("a download has at least one connection and one attempt, and does not start before 0")
        self._client = client
        self._url = url
        self._file = file
        self._start = start
        self._version = Version(validator)
        self._connections = connections
        self._attempts = attempts
        self._progress = progress
        self._headers = headers or {}
        self.done = start
        """Bytes that are in the file."""
        self.size: int | None = None

    @property
    def validator(self) -> str:
        """What a later attempt gives to go on with this version; empty if the server tells none apart."""
        return self._version.validator

    async def run(self) -> Response:
        """Fetch it; return the last response, whose body is in the file unless its status is 400 or more.

        Raises `RequestError`; then `done` bytes are in the file, and `validator` says of which version.
        """
        at, failures = self._start, 0
        while True:
            before = at
            try:
                return await self._from(at)
            except _BROKEN:
                at = self.done if self.validator else 0
                failures = 0 if self.done > before else failures + 1
                if failures >= self._attempts or (at == 0 and before == 0 and failures + 1 >= self._attempts):
                    raise
            if at == 0:
                self._version = Version()
            await asyncio.sleep(min(0.2 * 2**failures, 10.0) * random.uniform(0.5, 1.0))

    async def _from(self, at: int) -> Response:
        async with self._client.stream("GET", self._url, headers=self._asking(at, None)) as response:
            if response.status == 416 and at:
                return await self._on_unsatisfiable(response, at)
            if response.status >= 400:
                await response.read()
                return response
            at = self._accept(response, at)
            self._file.seek(at)
            self._file.truncate()
            self.done = at
            wide = self.size is not None and self.size - at >= 2 * LEAST_PART and self._connections > 1
            if wide and self.size is not None and self.validator and self._has_ranges(response):
                await self._in_parts(response, at, self.size)
            else:
                await self._take(response, at, None)
        if self.size is not None and self.done != self.size:
            raise ConnectionLost(f"{self.done} of {self.size} bytes came")
        return response

    def _asking(self, start: int, stop: int | None) -> dict[str, str | None]:
        headers: dict[str, str | None] = {**self._headers, "Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = range_value(start, stop)
            if self.validator:
                headers["If-Range"] = self.validator
        return headers

    def _accept(self, response: Response, at: int) -> int:
        """Take note of what comes; return where in the file it belongs."""
        self._version = Version.of(response.headers)
        if response.status != 206:
            length = response.headers.get("content-length", "")
            self.size = int(length) if length.isdigit() and "content-encoding" not in response.headers else None
            return 0  # all of it: the server has no ranges, or another version
        said = _range_of(response)
        if said.start != at:
            raise PeerError(f"bytes from {at} were asked for, the server sends those from {said.start}")
        self.size = said.size
        return at

    async def _on_unsatisfiable(self, response: Response, at: int) -> Response:
        """There may be nothing left to fetch."""
        said = parse_content_range(response.headers.get("content-range"))
        await response.read()
        if said is not None and said.size == at:
            self.size = at
            self._tell()
            return response
        return await self._from(0)

    @staticmethod
    def _has_ranges(response: Response) -> bool:
        return response.status == 206 or "bytes" in response.headers.tokens("accept-ranges")

    async def _take(self, response: Response, at: int, stop: int | None) -> int:
        """Write what comes from `at` on, up to `stop`; return where that ended."""
        self._tell()
        async for piece in response:
            piece = piece if stop is None else piece[: stop - at]
            self._file.seek(at)
            self._file.write(piece)
            at += len(piece)
            self.done += len(piece)
            self._tell()
            if at == stop:
                break
        return at

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self.done, self.size)

    # Over several connections.

    async def _in_parts(self, response: Response, start: int, size: int) -> None:
        """The response has the first part; the others are asked for. What is done then is in order, or nothing is."""
        count = min(self._connections, (size - start) // LEAST_PART)
        bounds = [start + (size - start) * part // count for part in range(count)] + [size]
        reached = bounds[:-1]

        async def first() -> None:
            reached[0] = await self._take(response, start, bounds[1])
            if reached[0] < bounds[1]:
                raise ConnectionLost("a part ended too early")

        async def other(part: int) -> None:
            failures = 0
            while reached[part] < bounds[part + 1]:
                before = reached[part]
                try:
                    await self._part(reached, part, bounds[part + 1])
                except _BROKEN:
                    failures = 0 if reached[part] > before else failures + 1
                    if failures >= self._attempts:
                        raise
                    await asyncio.sleep(0.2 * 2**failures)

        tasks = [asyncio.ensure_future(first()), *(asyncio.ensure_future(other(part)) for part in range(1, count))]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.done = reached[0]  # what lies beyond has holes
            raise

    async def _part(self, reached: list[int], part: int, stop: int) -> None:
        headers = self._asking(reached[part], stop)
        async with self._client.stream("GET", self._url, headers=headers) as response:
            if response.status != 206 or _range_of(response).start != reached[part]:
                raise PeerError(f"a range was asked for, the server answered {response.status}: it may have changed")
            async for piece in response:
                kept = piece[: stop - reached[part]]
                self._file.seek(reached[part])
                self._file.write(kept)
                reached[part] += len(kept)
                self.done += len(kept)
                self._tell()
                if reached[part] == stop:
                    return


def _range_of(response: Response) -> ContentRange:
    said = parse_content_range(response.headers.get("content-range"))
    if said is None or said.start is None:
        raise PeerError("the server sends a range without saying which (Content-Range)")
    return said
