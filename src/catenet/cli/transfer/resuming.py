"""Uploads that go on after a failure, or in another call (draft-ietf-httpbis-resumable-upload, interop version 8).

Whether a server has them is asked by OPTIONS (Upload-Limit): one that has not would take an empty beginning for the
file. Where the upload is stands in `FILE.upload.json` until all of it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli import UsageError
from catenet.cli.transfer.codes import TRANSIENT, Code, TransferError
from catenet.cli.transfer.http_request import Upload, target_of_upload
from catenet.http.url import Url, UrlError

if TYPE_CHECKING:
    from catenet.cli.transfer.fetch import Fetch
    from catenet.http.client.request import Request
    from catenet.http.client.response import Response

__all__ = ["put_resumable"]

INTEROP = "8"
PASSING = (408, 409, 429, 502, 503, 504)
"""Statuses after which an upload is where the server says: too slow for a while, another offset, overload."""


@dataclass(frozen=True, slots=True)
class _Note:
    """Which file was sent where; a file that has changed since is another one."""

    url: str
    location: str
    size: int
    changed: int


async def put_resumable(fetch: Fetch) -> None:
    """Send the file, from where an earlier call came to. Raises `TransferError`, `UsageError`."""
    upload = _ResumableUpload(fetch)
    for attempt in range(fetch.job.options.retry + 1):
        try:
            await upload.run()
            return
        except TransferError as error:
            if error.code not in TRANSIENT or attempt == fetch.job.options.retry:
                raise
            fetch.job.complain(f"{error}; going on")
            await asyncio.sleep(min(10.0, 0.5 * 2.0**attempt))


class _ResumableUpload:
    def __init__(self, fetch: Fetch) -> None:
        name = fetch.job.options.upload or ""
        if name == "-":
            raise UsageError("--continue: standard input cannot be read twice; name a file")
        self._fetch = fetch
        self._file = Path(name)
        self._path = self._file.with_name(f"{self._file.name}.upload.json")
        self._url = target_of_upload(fetch.job, fetch.url)
        try:
            found = self._file.stat()
        except OSError as error:
            raise TransferError(Code.READ, f"cannot read {name}: {(error.strerror or str(error)).lower()}") from None
        self._note = _Note(str(self._url.without_password()), "", found.st_size, found.st_mtime_ns)

    async def run(self) -> None:
        job = self._fetch.job
        location, offset = self._earlier(), None
        if location is not None:
            offset, complete = await self._offset(location)
            if complete:
                self._forget()
                job.remark("all of it is there already")
                return
        if location is None or offset is None:
            location, offset = await self._create(), 0
            if location is None:
                job.remark("the server takes uploads in one piece only")
                job.options.resume = None
                await self._fetch.run()
                return
        job.facts["offset"] = offset
        if offset:
            job.remark(f"going on at {offset}")
        await self._append(location, offset)

    def _request(self, method: str, url: Url, **fields: str) -> Request:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return self._fetch.client.build(method, url, headers={"Upload-Draft-Interop-Version": INTEROP, **headers})

    async def _answer(self, request: Request) -> Response:
        """Send a request of which only the head of the answer matters."""
        response = await self._fetch.send(request)
        await response.discard()
        return response

    async def _create(self) -> Url | None:
        """Begin an upload; return where it is, None if the server has none."""
        asked = await self._answer(self._request("OPTIONS", self._url))
        if "upload-limit" not in asked.headers or asked.status >= 400:
            return None
        size = str(self._note.size)
        made = await self._fetch.send(self._request("PUT", self._url, Upload_Complete="?0", Upload_Length=size))
        where = made.headers.get("location")
        if made.status != 201 or where is None:
            await self._fetch.refuse(made)
        await made.discard()
        try:
            location = self._url.join(where or "")
        except UrlError as error:
            raise TransferError(Code.FAILED, f"{self._fetch.job.url}: {error}") from None
        if location.origin != self._url.origin:
            raise TransferError(Code.FAILED, f"{self._fetch.job.url}: the upload would go to {location}")
        self._remember(str(location))
        return location

    async def _offset(self, location: Url) -> tuple[int | None, bool]:
        """Return how much is there, None if the upload is gone; and whether that is all."""
        response = await self._answer(self._request("HEAD", location))
        said = response.headers.get("upload-offset", "")
        if response.status in (404, 410):
            return None, False
        if response.status >= 300 or not said.isdecimal() or int(said) > self._note.size:
            raise TransferError(Code.FAILED, f"{self._fetch.job.url}: the upload does not say where it is")
        return int(said), response.headers.get("upload-complete", "") == "?1"

    async def _append(self, location: Url, offset: int) -> None:
        fields = {"Upload_Offset": str(offset), "Upload_Complete": "?1", "Content_Type": "application/partial-upload"}
        request = self._request("PATCH", location, **fields)
        try:
            file = self._file.open("rb")
        except OSError as error:
            name, why = self._file, (error.strerror or str(error)).lower()
            raise TransferError(Code.READ, f"cannot read {name}: {why}") from None
        with file:
            request.source = Upload(self._fetch.job, file, self._note.size - offset, offset)
            response = await self._fetch.send(request)
            if response.status in PASSING:
                await response.close()
                said = f"{response.status} {response.reason}".strip()
                raise TransferError(Code.PARTIAL, f"{self._fetch.job.url}: the server says {said}")
            await self._fetch.deliver(response)
        if response.status < 300:
            self._forget()

    # What is remembered.

    def _earlier(self) -> Url | None:
        try:
            note = _Note(**json.loads(self._path.read_text()))
            location = Url.parse(note.location)
        except (OSError, ValueError, TypeError):
            return None
        same = (note.url, note.size, note.changed) == (self._note.url, self._note.size, self._note.changed)
        return location if same and location.origin == self._url.origin else None

    def _remember(self, location: str) -> None:
        note = _Note(self._note.url, location, self._note.size, self._note.changed)
        # Whoever knows the place may write to it.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(note), file)

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
