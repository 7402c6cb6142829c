"""A file as a response: its type, its validators, conditions, ranges, a compressed form of it."""

from __future__ import annotations

import mimetypes
import os
import re
import secrets
import time
from dataclasses import dataclass
from typing import BinaryIO, Final

from catenet.folder.root import Root
from catenet.http.files.answer import Refused, with_fields
from catenet.http.files.options import FileOptions
from catenet.http.files.recent import CONDITIONS, LARGEST, Recent
from catenet.http.headers import Headers
from catenet.http.message import Fields, ResponseHead
from catenet.http.policy.conditional import ETag, evaluate, range_applies
from catenet.http.policy.dates import format_date
from catenet.http.policy.media import negotiate_coding
from catenet.http.policy.ranges import ContentRange, Unsatisfiable, parse_range, part_heads
from catenet.http.server.exchange import Exchange

__all__ = ["content_type", "etag_of", "send_file"]

_SUFFIXES: Final = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
_TEXT: Final = re.compile(r"text/|application/(?:javascript|json|xml)$|[a-z]+/[a-z.+-]+\+(?:json|xml)$")
_TYPES: Final = {
    ".avif": "image/avif", ".br": "application/octet-stream", ".js": "text/javascript", ".md": "text/markdown",
    ".mjs": "text/javascript", ".toml": "application/toml", ".wasm": "application/wasm", ".webp": "image/webp",
    ".woff2": "font/woff2", ".yaml": "application/yaml", ".yml": "application/yaml", ".zst": "application/zstd",
}  # fmt: skip
_CODED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@dataclass(slots=True)
class _Form:
    """A file in the form in which it is sent."""

    file: BinaryIO
    size: int
    modified: float
    etag: ETag
    coding: str
    type: str
    alone: bool = True
    """Whether there are no compressed forms of it, not even old ones."""


def content_type(name: str) -> str:
    """Return the media type of a file by its name; text is taken to be UTF-8."""
    _, suffix = os.path.splitext(name.lower())
    known = _TYPES.get(suffix)
    if known is None:
        guessed, coding = mimetypes.guess_type(name)
        known = _CODED.get(coding, "application/octet-stream") if coding else guessed or "application/octet-stream"
    return f"{known}; charset=utf-8" if _TEXT.match(known) else known


def etag_of(found: os.stat_result) -> ETag:
    """Return the entity tag of a file: when it was changed, to the nanosecond, and how long it is."""
    return ETag(f"{found.st_mtime_ns:x}-{found.st_size:x}")


async def send_file(
    exchange: Exchange,
    root: Root,
    names: tuple[str, ...],
    opened: tuple[BinaryIO, os.stat_result],
    options: FileOptions,
    fields: Fields,
    recent: Recent | None = None,
) -> None:
    """Answer with a file, or with what the conditions and ranges of the request make of it. Closes the file.

    `recent` remembers the answer if it depends on nothing else.
    """
    file, found = opened
    try:
        form = _Form(file, found.st_size, found.st_mtime, etag_of(found), "", content_type(names[-1]))
        headers = Headers.from_fields(exchange.head.fields)
        varies = False
        if options.precompressed:
            form, varies = _compressed(root, names, form, headers)
        file = form.file
        said = (*fields, *_fields_of(form, options, varies))
        if form.size > LARGEST or varies or not await _send_small(exchange, names, form, said, found, recent):
            await _send(exchange, form, headers, said)
    finally:
        file.close()
        opened[0].close()


def _compressed(root: Root, names: tuple[str, ...], form: _Form, headers: Headers) -> tuple[_Form, bool]:
    """Return the form that the client likes best, and whether there is a choice."""
    accept = headers.get("accept-encoding")
    if not names or names[-1].endswith(tuple(_SUFFIXES.values())):
        return form, False
    there: dict[str, tuple[BinaryIO, os.stat_result]] = {}
    for coding, suffix in _SUFFIXES.items():
        path = (*names[:-1], names[-1] + suffix)
        opened = None if root.lacks(path) else root.open_file(path)
        if opened is None:
            continue
        form.alone = False
        if opened[1].st_mtime < form.modified:
            opened[0].close()  # what it was made of has changed since
        else:
            there[coding] = opened
    coding = (negotiate_coding(accept, list(there)) if there else None) or "identity"
    for other, (file, _) in there.items():
        if other != coding:
            file.close()
    if coding not in there:
        return form, bool(there)
    file, found = there[coding]
    return _Form(file, found.st_size, form.modified, etag_of(found), coding, form.type), True


def _fields_of(form: _Form, options: FileOptions, varies: bool) -> Fields:
    said = [
        (b"last-modified", _date(form.modified)),
        (b"etag", str(form.etag).encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if varies:
        said.append((b"vary", b"accept-encoding"))
    if form.coding:
        said.append((b"content-encoding", form.coding.encode()))
    if options.cache_control:
        said.append((b"cache-control", options.cache_control.encode()))
    return tuple(said)


def _date(seconds: float) -> bytes:
    try:
        return format_date(max(min(seconds, time.time()), 0)).encode()
    except (ValueError, OverflowError):
        return format_date(0).encode()


async def _send_small(
    exchange: Exchange,
    names: tuple[str, ...],
    form: _Form,
    fields: Fields,
    found: os.stat_result,
    recent: Recent | None,
) -> bool:
    """Send a small file in one piece; False if it is asked for otherwise, or changes while it is read."""
    if exchange.head.method != b"GET" or not CONDITIONS.isdisjoint([name for name, _ in exchange.head.fields]):
        return False
    body = os.pread(form.file.fileno(), form.size + 1, 0)
    if len(body) != form.size:
        return False
    length = (b"content-length", b"%d" % form.size)
    head = with_fields(200, ((b"content-type", form.type.encode()), length), fields)
    if recent is not None:
        recent.keep(exchange.head.path, "/".join(names), found, head, body, exchange.now, form.alone)
    await exchange.reply(head, body)
    return True


async def _send(exchange: Exchange, form: _Form, headers: Headers, fields: Fields) -> None:
    now = time.time()
    method = exchange.head.method.decode("latin-1")
    decided = evaluate(method, headers, form.etag, form.modified, now)
    if decided == 304:
        await exchange.reply(with_fields(304, fields))
        return
    if decided is not None:
        raise Refused(decided)
    ranges = None
    if method == "GET" and range_applies(headers, form.etag, form.modified, now):
        try:
            ranges = parse_range(headers.get("range"), form.size)
        except Unsatisfiable:
            said = (b"content-range", str(ContentRange(None, None, form.size)).encode())
            raise Refused(416, fields=(said,)) from None
    kind = (b"content-type", form.type.encode())
    if ranges is None:
        head = with_fields(200, (kind, (b"content-length", b"%d" % form.size)), fields)
        await _send_parts(exchange, form, head, [(b"", 0, form.size)])
    elif len(ranges) == 1:
        ((start, stop),) = ranges
        said = (b"content-range", str(ContentRange(start, stop, form.size)).encode())
        head = with_fields(206, (kind, said, (b"content-length", b"%d" % (stop - start))), fields)
        await _send_parts(exchange, form, head, [(b"", start, stop)])
    else:
        boundary = secrets.token_hex(12)
        parts = list(part_heads(ranges, form.size, boundary, form.type))
        length = sum(len(before) + stop - start for before, start, stop in parts)
        kind = (b"content-type", f"multipart/byteranges; boundary={boundary}".encode())
        await _send_parts(exchange, form, with_fields(206, (kind, (b"content-length", b"%d" % length)), fields), parts)


async def _send_parts(exchange: Exchange, form: _Form, head: ResponseHead, parts: list[tuple[bytes, int, int]]) -> None:
    await exchange.start(head)
    if exchange.head.method != b"HEAD":
        for before, start, stop in parts:
            if before:
                await exchange.write(before)
            if stop > start:
                await exchange.send_file(form.file, start, stop - start)
    await exchange.finish()
