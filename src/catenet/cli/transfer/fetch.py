"""One response of HTTP into a file or to standard output: whole, or from where an earlier download ended."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.cli.transfer.codes import TRANSIENT, Code, TransferError
from catenet.cli.transfer.http_request import auth_of, explain, make_request
from catenet.cli.transfer.job import Job
from catenet.cli.transfer.waterfall import show_head, waterfall
from catenet.cli.transfer.write_out import dump_heads, head_lines
from catenet.http.client.errors import RequestError
from catenet.http.client.timings import Timings
from catenet.http.policy.conditional import parse_etag
from catenet.http.policy.disposition import disposition_name
from catenet.http.policy.ranges import parse_content_range, range_value
from catenet.http.url import Url
from catenet.printable import printable, say

if TYPE_CHECKING:
    from catenet.http.client.client import Client
    from catenet.http.client.request import Request
    from catenet.http.client.response import Response
    from catenet.http.headers import Headers

__all__ = ["Fetch", "report", "strong_validator"]

NOTED = 1 << 20
"""Bytes from which on it is written down which version of a file a partial download is of."""


class Fetch:
    """A download with one response at a time; `--retry` goes on where a connection broke off."""

    def __init__(self, client: Client, job: Job, url: Url) -> None:
        self.client = client
        self.job = job
        self.url = url
        self._auth = auth_of(job.options)
        self._resumable = False

    async def run(self) -> None:
        """Do it. Raises `TransferError`."""
        options = self.job.options
        offset = self._offset()
        for attempt in range(options.retry + 1):
            try:
                await self.once(offset)
                return
            except TransferError as error:
                if error.code not in TRANSIENT or attempt == options.retry or not self._resumable:
                    raise
                self.job.complain(f"{error}; going on")
                self.job.abandon()
                await asyncio.sleep(min(10.0, 0.5 * 2.0**attempt))
                offset = self._offset(again=True)

    def _offset(self, again: bool = False) -> int:
        options = self.job.options
        if options.resume is None and not again:
            return 0
        path = self.job.target(self.url.path, None)
        if path is None or (options.resume not in (None, "-") and not again):
            return int(options.resume) if options.resume not in (None, "-") else 0
        partial = self.job.partial(path)
        held = partial.held()
        if partial.state.url not in ("", str(self.url.without_password())):
            self.job.remark(f"{partial.part} is of {partial.state.url}: beginning anew")
            return 0
        if partial.state.done is not None:
            held = partial.state.done[0][1] if partial.state.done and partial.state.done[0][0] == 0 else 0
        return held

    async def send(self, request: Request) -> Response:
        """Send a request and return the response, whose body is to come. Raises `TransferError`."""
        options = self.job.options
        start = asyncio.get_running_loop().time()
        try:
            response = await self.client.send(request, stream=True, auth=self._auth, follow_redirects=options.follow)
        except RequestError as error:
            if options.verbose or options.as_json:
                timings = error.timings or Timings(start, error.record)
                self.job.facts["phases"] = _phases(timings)
                if options.verbose:
                    self._show_failure(request, timings)
            raise explain(error, got=False) from None
        except ValueError as error:  # of certificates, which are read when they are first needed
            raise UsageError(str(error)) from None
        if options.verbose:
            for earlier in (*response.history, response):
                _show(earlier)
        return response

    def _show_failure(self, request: Request, timings: Timings) -> None:
        self.job.remark(f"{request.method} {request.url.without_password()}")
        for line in waterfall(timings.phases()):
            self.job.remark(line)

    async def once(self, offset: int) -> None:
        """Fetch what there is from `offset` on."""
        job, options = self.job, self.job.options
        request = make_request(self.client, job, self.url)
        conditional = self._ask_for(request, offset)
        response = await self.send(request)
        try:
            report(job, response)
            if options.fail and response.status >= 400:
                raise TransferError(Code.STATUS, f"{job.url}: the server says {_status(response)}")
            if "Range" not in request.headers:
                self._refuse_piece(response)
            if offset and (done := self._check_range(response, offset, conditional)) is not None:
                if done:
                    return
                offset = 0
            await self._take(response, offset)
            self._check_sent(response)
        finally:
            await response.close()
            if options.verbose:
                for line in waterfall(response.timings.phases()):
                    job.remark(line)
            job.facts["phases"] = _phases(response.timings)

    async def deliver(self, response: Response) -> None:
        """Write the whole answer to a request that sends something. Raises `TransferError`."""
        report(self.job, response)
        try:
            if self.job.options.fail and response.status >= 400:
                await self.refuse(response)
            await self._take(response, 0)
            self._check_sent(response)
        finally:
            await response.close()
            self.job.facts["phases"] = _phases(response.timings)

    def _check_sent(self, response: Response) -> None:
        """Fail if what was sent is not there: what the server says about it has been written. Raises `TransferError`.

        That another place should get it (RFC 9110 section 15.4) stores nothing; 303 says where to read of its success.
        """
        status = response.status
        if not self.job.options.stores or status < 300 or status == 303:
            return
        place = response.headers.get("location")
        hint = "" if status >= 400 or place is None else f", to {printable(place)}; -L follows"
        raise TransferError(Code.STATUS, f"{self.job.url}: the server says {_status(response)}{hint}")

    async def refuse(self, response: Response) -> None:
        """Give up because of a response's status."""
        await response.close()
        raise TransferError(Code.STATUS, f"{self.job.url}: the server says {_status(response)}")

    def _ask_for(self, request: Request, offset: int) -> bool:
        """Ask for the rest only, if it is still the same file; return whether that can be told."""
        options = self.job.options
        if options.ranges is not None:
            request.headers["Range"] = f"bytes={options.ranges}"
        if not offset:
            return False
        request.headers["Range"] = range_value(offset)
        partial = self.job._partial
        validator = partial.state.validator if partial is not None else ""
        if validator:
            request.headers["If-Range"] = validator
        return bool(validator)

    def _check_range(self, response: Response, offset: int, conditional: bool) -> bool | None:
        """Return None to go on at `offset`, False to begin anew, True if nothing is missing. Raises `TransferError`."""
        job = self.job
        said = parse_content_range(response.headers.get("content-range"))
        if response.status == 206 and said is not None and said.start == offset:
            return None
        if response.status == 416 and said is not None and said.size == offset and job._partial is not None:
            job.remark(f"all {offset} bytes are there already")
            held = job.partial(job._partial.path).open(keep=True)
            job.size = held
            job.forget_hash()
            job.finish()
            return True
        if response.status == 200 and conditional:
            job.complain(f"{job.url} has changed: beginning anew")
            return False
        raise TransferError(Code.RANGE, f"{job.url}: the server does not go on at {offset} (status {response.status})")

    def _refuse_piece(self, response: Response) -> None:
        """A part that nobody has asked for is not the file. Raises `TransferError`."""
        if response.status == 206:
            said = parse_content_range(response.headers.get("content-range"))
            if said is None or said.start != 0 or said.stop != said.size:
                raise TransferError(Code.RANGE, f"{self.job.url}: the server sends a part, all was asked for")

    async def _take(self, response: Response, offset: int) -> None:
        job, headers = self.job, response.headers
        path = job.target(self.url.path, _proposed(headers))
        length = _length(headers)
        job.begin(path, offset, None if length is None or job.options.compressed else offset + length)
        if offset:
            job.forget_hash()
        if path is not None:
            self._note(response, None if length is None else offset + length)
        if job.options.include or job.options.head:
            await self._write_heads(response)
        try:
            async for piece in response:
                await job.write(piece)
        except RequestError as error:
            raise explain(error, got=True, http2=response.http_version == "HTTP/2") from None
        job.finish()

    def _note(self, response: Response, size: int | None) -> None:
        """Write down of which version the bytes are, so that another call goes on with the same one."""
        partial = self.job._partial
        assert partial is not None
        state = partial.state
        state.url, state.size, state.done = str(self.url.without_password()), size, None
        state.validator = strong_validator(response.headers)
        options = self.job.options
        plain = options.ranges is None and not (options.compressed or options.include)
        self._resumable = plain and response.request.method == "GET" and response.status in (200, 206)
        if self._resumable and (size is None or size >= NOTED):
            partial.remember()

    async def _write_heads(self, response: Response) -> None:
        for earlier in (*response.history, response):
            data = ("\r\n".join(head_lines(earlier)) + "\r\n\r\n").encode("latin-1", "replace")
            await self.job.write(data)


def report(job: Job, response: Response) -> None:
    """Note what `--json` and `-w` print of a response, write what `-D` asks for. Raises `TransferError`."""
    job.response = response
    dump_heads(job, response)
    job.facts.update(
        url=str(response.url.without_password()),
        status=response.status,
        version=response.http_version,
        headers=[list(pair) for pair in response.headers.multi_items()],
        redirects=[{"url": str(one.url.without_password()), "status": one.status} for one in response.history],
    )
    record = response.timings.connect
    if record is not None and record.tls_version:
        job.facts["tls"] = {"version": record.tls_version, "cipher": record.cipher, "alpn": record.alpn}


def _phases(timings: Timings) -> list[dict[str, Any]]:
    return [
        {"name": phase.name, "start": round(phase.start, 6), "end": None if phase.end is None else round(phase.end, 6)}
        | ({"detail": phase.detail} if phase.detail else {})
        for phase in timings.phases()
    ]


def _show(response: Response) -> None:
    request = response.request
    version = response.http_version or "HTTP/1.1"
    fields = [("host", request.headers.get("host", request.url.authority)), *request.headers.multi_items()]
    show_head(">", f"{request.method} {request.url.target} {version}", [pair for pair in fields if pair[0] != "Host"])
    for status, headers in response.interim:
        show_head("<", f"{version} {status}", headers.multi_items())
    show_head("<", f"{version} {_status(response)}", response.headers.multi_items())


def _status(response: Response) -> str:
    return f"{response.status} {response.reason}".strip()


def _proposed(headers: Headers) -> str | None:
    return disposition_name(headers.get("content-disposition"))


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def strong_validator(headers: Headers) -> str:
    """Return what If-Range can say about a representation: its strong entity tag, else its date; empty if neither.

    A date that is not well before the response's own is not strong (RFC 9110 section 8.8.2.2).
    """
    from catenet.http.policy.dates import parse_date

    tag = parse_etag(headers.get("etag"))
    if tag is not None:
        return "" if tag.weak else str(tag)
    modified, date = parse_date(headers.get("last-modified"), 0.0), parse_date(headers.get("date"), 0.0)
    return headers["last-modified"] if modified is not None and date is not None and date - modified >= 1 else ""


def show_error(text: str) -> None:
    """Print the line of a failure."""
    say(f"catenet: {printable(text)}", file=sys.stderr)
