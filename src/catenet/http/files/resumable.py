"""Uploads that can be resumed (draft-ietf-httpbis-resumable-upload, interop version 8).

PUT with Upload-Complete makes an upload resource, `PATH?upload=TOKEN`: HEAD says how much is there, PATCH appends,
DELETE gives up. All that has to be remembered is the file itself and its name, and in a small file beside it that it is
complete: so an upload survives this process, and others can go on with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Final

from catenet.folder.partial import MAX_AGE, completed_size, new_token
from catenet.http.files.answer import Refused, with_fields
from catenet.http.files.partial import Partial
from catenet.http.files.paths import FilePath
from catenet.http.files.upload import Uploads, declared_length
from catenet.http.message import Fields, ResponseHead
from catenet.http.server.exchange import Exchange

__all__ = ["ResumableUploads", "upload_fields"]

ALLOWED: Final = b"HEAD, PATCH, DELETE"
PARTIAL_TYPE: Final = b"application/partial-upload"
INTEROP: Final = b"8"
PROGRESS: Final = 8 << 20
"""Bytes between two interim responses that say how much has come."""
_TOKEN: Final = re.compile(r"[0-9a-f]{32}(?:-([0-9]{1,18}))?", re.ASCII).fullmatch
_INTEGER: Final = re.compile(rb"([0-9]{1,15})(?:;.*)?").fullmatch
_PROBLEMS: Final = "https://iana.org/assignments/http-problem-types#"
_JSON: Final = (b"content-type", b"application/problem+json")


class ResumableUploads:
    """Upload resources of one root."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._writing: dict[str, asyncio.Task[object]] = {}

    # Creation (section 4.2).

    def is_creation(self, exchange: Exchange) -> bool:
        """Whether a request begins an upload that can be resumed."""
        return _boolean(exchange, b"upload-complete") is not None

    async def create(self, exchange: Exchange, path: FilePath, fields: Fields) -> None:
        """Take a file, or its beginning."""
        uploads = self._uploads
        complete = _boolean(exchange, b"upload-complete")
        length = _length(exchange, 0, bool(complete))
        folder = uploads.open_target(path)
        try:
            existed = uploads.check(exchange, folder, path, length)
            token = new_token(length)
            location = (b"location", f"{path.url}?upload={token}".encode())
            partial = uploads.begin(folder, token)
            limits = (b"upload-limit", self._limits())
            if exchange.head.get(b"upload-draft-interop-version") == INTEROP:
                exchange.inform(ResponseHead(104, (location, limits, (b"upload-draft-interop-version", INTEROP))))
            try:
                await self._receive(exchange, partial, length)
                if complete:
                    self._publish(partial, path, length)
            finally:
                partial.close()
        finally:
            os.close(folder)
        if complete:
            await uploads.done(exchange, path, existed, ((b"upload-complete", b"?1"), *fields))
        else:
            said = (location, limits, *_state(False, partial.size), (b"content-length", b"0"))
            await exchange.reply(with_fields(201, said, fields))

    async def _receive(self, exchange: Exchange, partial: Partial, length: int | None) -> None:
        """Append a body; what is too long makes the upload void (section 4.4.2)."""
        limit = self._uploads.options.max_upload if length is None else length
        task = asyncio.current_task()
        if task is not None:
            self._writing[partial.token] = task
        try:
            await partial.receive(exchange, limit)
        except Refused as refused:
            if refused.status == 413:
                partial.remove()
                if length is not None:
                    raise _inconsistent(length) from None
            raise
        finally:
            if self._writing.get(partial.token) is task:
                del self._writing[partial.token]

    def _publish(self, partial: Partial, path: FilePath, length: int | None) -> None:
        if length is not None and partial.size != length:
            partial.remove()
            raise _inconsistent(length)
        partial.note_complete()
        try:
            partial.publish(path.name, self._uploads.options.overwrite)
        except Refused as refused:
            partial.forget_complete()
            refused.fields += ((b"upload-complete", b"?1"),)
            raise

    # The upload resource.

    async def handle(self, exchange: Exchange, path: FilePath, token: str, fields: Fields) -> None:
        """Answer a request for an upload resource."""
        match = _TOKEN(token)
        method = exchange.head.method
        if match is None:
            raise Refused(404)
        if method not in (b"HEAD", b"PATCH", b"DELETE"):
            raise Refused(405, fields=((b"allow", ALLOWED),))
        length = None if match[1] is None else int(match[1])
        folder = self._uploads.open_target(path)
        try:
            partial = await self._open(folder, token)
            if partial is None:
                await self._answer_without(exchange, completed_size(folder, token), fields)
                return
            try:
                if method == b"PATCH":
                    await self._append(exchange, path, partial, length, fields)
                elif method == b"HEAD":
                    await exchange.reply(self._head(partial.size, False, length, fields))
                else:
                    partial.remove()
                    await exchange.reply(with_fields(204, fields))
            finally:
                partial.close()
        finally:
            os.close(folder)

    async def _open(self, folder: int, token: str) -> Partial | None:
        """Open an upload; whoever still writes to it, on a connection that may be dead, is ended (section 4.6)."""
        writer = self._writing.get(token)
        if writer is not None:
            writer.cancel()
            await asyncio.wait([writer])
        try:
            return Partial.resume(folder, token)
        except BlockingIOError:
            raise Refused(409, "Another request appends to it.") from None

    async def _answer_without(self, exchange: Exchange, size: int | None, fields: Fields) -> None:
        """The upload is complete and has this size, or there never was one."""
        if size is None:
            raise Refused(404)
        if exchange.head.method == b"HEAD":
            await exchange.reply(self._head(size, True, size, fields))
            return
        raise _problem(410, "completed-upload", "the upload is complete")

    def _head(self, size: int, complete: bool, length: int | None, fields: Fields) -> ResponseHead:
        said = [*_state(complete, size), (b"upload-limit", self._limits()), (b"cache-control", b"no-store")]
        if length is not None:
            said.append((b"upload-length", b"%d" % length))
        return with_fields(204, tuple(said), fields)

    async def _append(
        self, exchange: Exchange, path: FilePath, partial: Partial, length: int | None, fields: Fields
    ) -> None:
        kind = (exchange.head.get(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != PARTIAL_TYPE:
            raise Refused(415, fields=((b"accept-patch", PARTIAL_TYPE),))
        offset, complete = _integer(exchange, b"upload-offset"), _boolean(exchange, b"upload-complete")
        if offset is None or complete is None:
            raise Refused(400, "Upload-Offset and Upload-Complete are needed.")
        if offset != partial.size:
            detail = {"expected-offset": partial.size, "provided-offset": offset}
            refused = _problem(409, "mismatching-upload-offset", "the offset is not that of the upload", detail)
            refused.fields += _state(False, partial.size)
            raise refused
        said = _length(exchange, offset, complete)
        if length is not None and said is not None and said != length:
            raise _inconsistent(length)
        length = said if length is None else length
        await self._receive(exchange, partial, length)
        if complete:
            self._publish(partial, path, length)
            await self._uploads.done(exchange, path, False, ((b"upload-complete", b"?1"), *fields))
        else:
            await exchange.reply(with_fields(204, _state(False, partial.size), fields))

    def _limits(self) -> bytes:
        return b"max-size=%d, max-age=%d" % (self._uploads.options.max_upload, MAX_AGE)


def upload_fields(max_upload: int) -> Fields:
    """Return what a client that asks by OPTIONS is told (section 4.1.4)."""
    return (b"accept-patch", PARTIAL_TYPE), (b"upload-limit", b"max-size=%d, max-age=%d" % (max_upload, MAX_AGE))


def _state(complete: bool, size: int) -> Fields:
    return (b"upload-complete", b"?1" if complete else b"?0"), (b"upload-offset", b"%d" % size)


def _length(exchange: Exchange, offset: int, complete: bool) -> int | None:
    """Return the length of the whole, if the request says it (section 4.1.3). Raises `Refused`."""
    said = _integer(exchange, b"upload-length")
    content = declared_length(exchange)
    if complete and content is not None:
        summed = offset + content
        if said is not None and said != summed:
            raise _inconsistent(said)
        return summed
    return said


def _integer(exchange: Exchange, name: bytes) -> int | None:
    """Return an Integer of RFC 9651; None: there is none, or another thing, which counts as none."""
    match = _INTEGER((exchange.head.get(name) or b"").strip())
    return None if match is None else int(match[1])


def _boolean(exchange: Exchange, name: bytes) -> bool | None:
    value = (exchange.head.get(name) or b"").partition(b";")[0].strip()
    return {b"?1": True, b"?0": False}.get(value)


def _inconsistent(length: int) -> Refused:
    return _problem(400, "inconsistent-upload-length", f"the upload is said to have {length} bytes")


def _problem(status: int, kind: str, title: str, detail: dict[str, int] | None = None) -> Refused:
    """Return a problem (RFC 9457)."""
    text = json.dumps({"type": _PROBLEMS + kind, "title": title, **(detail or {})})
    return Refused(status, text, (_JSON,))
