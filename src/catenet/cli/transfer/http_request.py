"""The client and the requests of a command line, and what their failures are called."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_plus

from catenet.cli import UsageError
from catenet.cli.transfer.codes import Code, TransferError
from catenet.cli.transfer.job import Job, printing
from catenet.cli.transfer.options import Options
from catenet.http.client.body import Source
from catenet.http.client.client import Client
from catenet.http.client.errors import (
    CertificateError,
    ConnectFailed,
    ConnectionLost,
    ContentError,
    NameNotFound,
    PeerError,
    ProxyError,
    RedirectFailed,
    RequestError,
    RequestTimeout,
    TlsError,
)
from catenet.http.client.request import FileValue, Request
from catenet.http.client.timeouts import Timeouts
from catenet.http.policy.auth import Auth, Basic, Bearer, Digest, NetrcAuth
from catenet.http.policy.cookie_file import dump_cookies, load_cookies
from catenet.http.policy.hsts_file import dump_hsts, load_hsts
from catenet.http.policy.multipart import FormFile
from catenet.http.policy.proxies import Proxies, parse_proxy
from catenet.http.url import Url, percent_encode

__all__ = [
    "Upload",
    "auth_of",
    "explain",
    "make_client",
    "make_request",
    "save_cookies",
    "save_hsts",
    "target_of_upload",
]

PIECE = 64 << 10


def make_client(options: Options) -> Client:
    """Return the client that the options ask for. Raises `UsageError`."""
    try:
        client = Client(
            timeout=Timeouts(options.connect_timeout, None, None, None, options.max_time),
            max_redirects=options.max_redirects,
            versions=options.versions,
            verify=options.verify,
            ca=options.ca,
            cert=options.cert,
            key=options.key,
            trust_env=False,
            decompress=options.compressed,
            max_content=None,
            retry=options.retry + 1 if options.retry else None,
            resolve=options.elsewhere.resolve if options.elsewhere.given else None,
        )
        client.settings.unix = options.unix or ""
        client.settings.proxies = _proxies(options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    _load_cookies(client, options)
    _load_hsts(client, options)
    for name, _ in options.headers:
        client.headers.discard(name)
    for name, value in options.headers:
        if value is not None:
            client.headers.add(name, value)
    return client


def _load_cookies(client: Client, options: Options) -> None:
    """Read the file that -b names, as curl: none is no mistake. Raises `UsageError`."""
    if options.cookies is None or "=" in options.cookies or not options.cookies:
        return
    try:
        text = Path(options.cookies).read_text(errors="surrogateescape")
        load_cookies(text, client.cookies, client.settings.clock())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = str(error.strerror).lower() if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"-b {options.cookies}: {reason}") from None


def save_cookies(client: Client, options: Options) -> None:
    """Write the cookies to the file that -c names. Raises `TransferError`."""
    if options.cookie_jar is None:
        return
    text = dump_cookies(client.cookies)
    if options.cookie_jar == "-":
        with printing():
            sys.stdout.write(text)
        return
    _replace(Path(options.cookie_jar), text)


def _load_hsts(client: Client, options: Options) -> None:
    """Read the file that --hsts names, as curl: none is no mistake. Raises `UsageError`."""
    if not options.hsts:
        return
    try:
        load_hsts(Path(options.hsts).read_text(errors="surrogateescape"), client.settings.hsts, client.settings.clock())
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"--hsts {options.hsts}: {(error.strerror or str(error)).lower()}") from None


def save_hsts(client: Client, options: Options) -> None:
    """Write what hosts have asked for to the file that --hsts names. Raises `TransferError`."""
    if options.hsts:
        _replace(Path(options.hsts), dump_hsts(client.settings.hsts))


def _replace(path: Path, text: str) -> None:
    """Write a file at once, for its owner alone. Raises `TransferError`."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", errors="surrogateescape") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise TransferError(Code.WRITE, f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _proxies(options: Options) -> Proxies:
    found = Proxies.from_environment(os.environ)
    if options.proxy is not None:
        found = Proxies({"all": parse_proxy(options.proxy)} if options.proxy else {}, found.bypass)
    if options.no_proxy is not None:
        bypass = options.no_proxy.replace(" ", ",").split(",")
        found = Proxies(found.by_scheme, tuple(part.lower() for part in bypass if part))
    return found


def auth_of(options: Options) -> Auth | None:
    """Return how to authenticate. Raises `UsageError`."""
    try:
        if options.bearer is not None:
            return Bearer(options.bearer)
        if options.user is not None:
            return Digest(*options.user, os.urandom) if options.digest else Basic(*options.user)
        if options.netrc:
            return NetrcAuth(os.environ.get("NETRC"))
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from None
    return None


# Requests.


def make_request(client: Client, job: Job, url: Url) -> Request:
    """Return the request that the options ask for. Raises `TransferError`, `UsageError`."""
    options = job.options
    data = _data(options)
    if options.as_query and data:
        url = replace(url, query="&".join(part for part in (url.query, data.decode("latin-1")) if part))
    method, plain = options.method, {}
    try:
        if options.upload is not None:
            source = Upload(job, *_opened(options.upload))
            request = client.build(method or "PUT", target_of_upload(job, url))
            request.source = source
            return request
        if options.forms:
            fields: list[tuple[str, FileValue]] = [_form(text) for text in options.forms]
            return client.build(method or "POST", url, data=[], files=fields)
        if options.data and not options.as_query:
            if "content-type" not in client.headers:
                plain["Content-Type"] = "application/x-www-form-urlencoded"
            return client.build(method or "POST", url, content=data, headers=plain)
        return client.build(method or ("HEAD" if options.head else "GET"), url)
    except OSError as error:
        name = error.filename or options.upload
        raise TransferError(Code.READ, f"cannot read {name}: {(error.strerror or str(error)).lower()}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None


def target_of_upload(job: Job, url: Url) -> Url:
    """Return where a file goes: the URL, with the file's name if it ends in a folder. Raises `UsageError`."""
    name = job.options.upload or ""
    if url.path and not url.path.endswith("/"):
        return url
    if name == "-":
        raise UsageError(f"{job.url} names no file to write standard input to")
    return url.join(Url(path=percent_encode(Path(name).name)))


def _opened(name: str) -> tuple[BinaryIO, int | None]:
    if name == "-":
        return sys.stdin.buffer, None
    file = Path(name).open("rb")  # noqa: SIM115 - it is read while the request is sent
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except OSError:
        return file, None
    return file, size


def _data(options: Options) -> bytes:
    return b"&".join(_piece(kind, text) for kind, text in options.data)


def _piece(kind: str, text: str) -> bytes:
    if kind == "data-urlencode":
        name, equals, value = text.partition("=")
        return (f"{name}={quote_plus(value)}" if equals and name else quote_plus(value or name)).encode()
    if kind == "data-raw" or not text.startswith("@"):
        return os.fsencode(text)
    try:
        content = sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    except OSError as error:
        raise TransferError(Code.READ, f"cannot read {text[1:]}: {(error.strerror or str(error)).lower()}") from None
    return content if kind == "data-binary" else content.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")


def _form(text: str) -> tuple[str, FormFile]:
    """A field as curl writes it: `name=value`, `name=@file;type=a/b;filename=c`, `name=<file`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"-F {text!r}: write it as NAME=VALUE or NAME=@FILE")
    mark, rest = value[:1], value[1:]
    if mark not in ("@", "<"):
        return name, FormFile(value.encode(), None, "")
    path, *more = rest.split(";")
    said = {key.strip(): word for key, _, word in (part.partition("=") for part in more)}
    if mark == "<":
        return name, FormFile(Path(path).read_bytes(), None, said.get("type", ""))
    import mimetypes

    kind = said.get("type") or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return name, FormFile(Path(path).open("rb"), said.get("filename") or Path(path).name, kind)


class Upload(Source):
    """A file that is sent from `start` on, with its progress and within `--limit-rate`."""

    def __init__(self, job: Job, file: BinaryIO, length: int | None, start: int = 0) -> None:
        self._job = job
        self._file = file
        self._start = start
        self.length = length
        self.replayable = length is not None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content."""
        import asyncio

        job = self._job
        if self.length is not None:
            self._file.seek(self._start)
        job.begin_upload(self.length, self._start)
        size = PIECE if job.options.limit_rate is None else min(PIECE, max(1, job.options.limit_rate // 8))
        while True:
            regular = self.length is not None
            try:
                piece = self._file.read(size) if regular else await asyncio.to_thread(self._file.read1, size)  # type: ignore[attr-defined]
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise TransferError(Code.READ, f"cannot read {job.options.upload}: {reason}") from None
            if not piece:
                return
            yield piece
            job.bar.advance(len(piece))
            job.uploaded += len(piece)
            await job.pace(len(piece))


# Failures.

_KINDS: tuple[tuple[type[RequestError], Code], ...] = (
    (CertificateError, Code.CERTIFICATE),
    (TlsError, Code.TLS),
    (NameNotFound, Code.NAME),
    (RequestTimeout, Code.TIMEOUT),
    (ContentError, Code.CODING),
    (RedirectFailed, Code.REDIRECTS),
    (PeerError, Code.RECEIVE),
)


def explain(error: RequestError, got: bool, http2: bool = False) -> TransferError:
    """Return a failure with its status; `got`: part of the body had come, `http2`: it came over HTTP/2."""
    text = str(error)
    if isinstance(error, ProxyError):
        missing = isinstance(error.__cause__, NameNotFound) or "cannot resolve" in text
        reached = error.status is not None or (error.record is not None and error.record.proxy_start > 0)
        code = Code.RECEIVE if reached else Code.PROXY_NAME if missing else Code.CONNECT
        return TransferError(code, text)
    if isinstance(error, RedirectFailed) and "cannot be followed" in text:
        return TransferError(Code.FAILED if "no scheme" in text else Code.MALFORMED_URL, text)
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return TransferError(code, text)
    record = error.record
    if isinstance(error, ConnectFailed):
        half = record is not None and record.tls_start and not record.tls_end
        return TransferError(Code.TLS if half else Code.CONNECT, text)
    if isinstance(error, ConnectionLost):
        if "reset the request" in text:
            return TransferError(Code.HTTP2, text)
        if "reset by peer" in text.lower():
            return TransferError(Code.RECEIVE, text)
        return TransferError(Code.PARTIAL if got else Code.NOTHING, text)
    return TransferError(Code.HTTP2 if http2 else Code.RECEIVE, text)
