"""Files as a handler of exchanges: what a request asks for, who may ask, and what is the answer."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from catenet.folder.root import Root
from catenet.folder.thread import in_thread
from catenet.http.files.access import check_user, cors_fields, preflight_fields
from catenet.http.files.answer import Refused, plain, with_fields
from catenet.http.files.archive import KINDS
from catenet.http.files.content import send_file
from catenet.http.files.listing import HTML_FIELDS, JSON_FIELDS, as_html, as_json, entries
from catenet.http.files.options import FileOptions
from catenet.http.files.paths import BadPath, FilePath, parse_path
from catenet.http.files.places import Places
from catenet.http.files.recent import Recent
from catenet.http.files.resumable import ResumableUploads, upload_fields
from catenet.http.files.upload import Uploads
from catenet.http.message import Fields
from catenet.http.policy.disposition import format_disposition
from catenet.http.policy.media import negotiate_media
from catenet.http.server.exchange import Exchange

__all__ = ["Files"]

_READS: Final = (b"GET", b"HEAD", b"OPTIONS")
_COMMON: Final[Fields] = ((b"x-content-type-options", b"nosniff"),)
_DEFAULT: Final = FileOptions()


class Files:
    """Serves a folder; `await files(exchange)` answers a request. `close` it when nothing is asked any more."""

    def __init__(self, path: str, options: FileOptions = _DEFAULT) -> None:
        """Open the folder. Raises `OSError`."""
        self.root = Root(path, options.hidden)
        self.options = options
        self._recent = None if options.users else Recent(self.root.descriptor, queries=not options.upload)
        self._places = Places()
        self._uploads = Uploads(self.root, options)
        self._resumable = ResumableUploads(self._uploads)
        self._fields: Fields = (*_COMMON, *cors_fields(options))
        methods = ["GET", "HEAD", "OPTIONS", *(["PUT", "POST", "PATCH", "DELETE"] if options.upload else [])]
        self._methods = ", ".join(methods).encode()

    def close(self) -> None:
        """Close the folder."""
        self.root.close()

    def at_once(self, exchange: Exchange) -> bool:
        """Answer a request for what has just been sent; False if it is to be answered otherwise."""
        if self._recent is not None:
            known = self._recent.find(exchange.head, exchange.began)
            if known is not None:
                exchange.reply_now(exchange.service.heads.stamped(known[0]), known[1])
                return True
        return False

    async def __call__(self, exchange: Exchange) -> None:
        """Answer a request."""
        if self.at_once(exchange):
            return
        try:
            await self._places.take(exchange.connection)
            try:
                await self._answer(exchange)
            finally:
                self._places.give(exchange.connection)
        except Refused as refused:
            await self._refuse(exchange, refused)
        except BadPath as error:
            await self._refuse(exchange, Refused(400, f"{error}."))
        except PermissionError:
            await self._refuse(exchange, Refused(403))
        except (FileNotFoundError, NotADirectoryError):
            await self._refuse(exchange, Refused(404))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or exchange.started:
                raise
            await self._refuse(exchange, Refused(503, fields=((b"retry-after", b"1"),)))

    async def admits(self, exchange: Exchange) -> bool:
        """Whether who asks may read here; if not, says so: for what is answered by others at the same server."""
        try:
            check_user(exchange.head, self.options, writes=False)
        except Refused as refused:
            await self._refuse(exchange, refused)
            return False
        return True

    async def _refuse(self, exchange: Exchange, refused: Refused) -> None:
        if exchange.started:
            raise refused
        body = plain(str(refused))
        kind: Fields = () if any(name == b"content-type" for name, _ in refused.fields) else (
            (b"content-type", b"text/plain; charset=utf-8"),
        )  # fmt: skip
        length = (b"content-length", b"%d" % len(body))
        await exchange.reply(with_fields(refused.status, (*kind, length), refused.fields, self._fields), body)

    async def _answer(self, exchange: Exchange) -> None:
        head, method = exchange.head, exchange.head.method
        if method == b"OPTIONS":
            await self._say_options(exchange)
            return
        if method not in _READS and (not self.options.upload or method not in self._methods.split(b", ")):
            raise Refused(405, fields=((b"allow", self._methods),))
        path = parse_path(head.path)
        token = path.query.get("upload") if self.options.upload else None
        check_user(head, self.options, writes=method not in _READS or token is not None)
        if token is not None:
            await self._resumable.handle(exchange, path, token, self._fields)
        elif method in _READS:
            await self._read(exchange, path)
        elif method == b"PUT":
            if self._resumable.is_creation(exchange):
                await self._resumable.create(exchange, path, self._fields)
            else:
                await self._uploads.put(exchange, path, self._fields)
        elif method == b"POST":
            await self._uploads.post(exchange, path, self._fields)
        else:
            raise Refused(405, fields=((b"allow", self._methods),))

    async def _say_options(self, exchange: Exchange) -> None:
        said: Fields = ((b"allow", self._methods),)
        if self.options.upload:
            said += upload_fields(self.options.max_upload)
        said += preflight_fields(exchange.head, self.options, self._methods)
        await exchange.reply(with_fields(204, said, self._fields))

    # Reading.

    async def _read(self, exchange: Exchange, path: FilePath) -> None:
        try:
            descriptor, found = self.root.open(path.names)
        except (FileNotFoundError, NotADirectoryError):
            await self._read_fallback(exchange)
            return
        if stat.S_ISREG(found.st_mode):
            file = os.fdopen(descriptor, "rb", buffering=0)
            if path.folder:
                file.close()
                raise Refused(404)
            await send_file(exchange, self.root, path.names, (file, found), self.options, self._fields, self._recent)
            return
        try:
            await self._read_folder(exchange, path, descriptor)
        finally:
            os.close(descriptor)

    async def _read_fallback(self, exchange: Exchange) -> None:
        """A page of an application of one page: it exists only there."""
        accept = exchange.head.get(b"accept")
        wants_page = accept is not None and b"text/html" in accept.lower()
        fallback = (self.options.fallback,)
        opened = self.root.open_file(fallback) if self.options.fallback and wants_page else None
        if opened is None:
            raise Refused(404)
        await send_file(exchange, self.root, fallback, opened, self.options, self._fields)

    async def _read_folder(self, exchange: Exchange, path: FilePath, folder: int) -> None:
        if path.names and not path.folder:
            query = exchange.head.path.partition(b"?")
            location = (b"location", f"{path.url}/".encode() + query[1] + query[2])
            raise Refused(301, "It is a folder.", (location,))
        for kind in KINDS:
            if kind in path.query and self.options.archives:
                await self._send_archive(exchange, path, folder, kind)
                return
        accept = exchange.head.get(b"accept")
        liked = negotiate_media(accept.decode("latin-1") if accept else None, ("text/html", "application/json"))
        if liked != "application/json":
            for name in self.options.index:
                opened = self.root.open_file((*path.names, name))
                if opened is not None:
                    names = (*path.names, name)
                    await send_file(exchange, self.root, names, opened, self.options, self._fields)
                    return
        if not self.options.listing:
            raise Refused(404)
        if liked is None:
            raise Refused(406)
        await self._send_listing(exchange, path, folder, liked == "application/json")

    async def _send_listing(self, exchange: Exchange, path: FilePath, folder: int, json: bool) -> None:
        found = await in_thread(entries, self.root, folder, path.names)
        if json:
            body, said = as_json(path, found), JSON_FIELDS
        else:
            body, said = as_html(path, found, self.options.upload, self.options.archives), HTML_FIELDS
        length = (b"content-length", b"%d" % len(body))
        await exchange.reply(with_fields(200, said, (length, (b"cache-control", b"no-cache")), self._fields), body)

    async def _send_archive(self, exchange: Exchange, path: FilePath, folder: int, kind: str) -> None:
        make, media = KINDS[kind]
        name = path.name or "files"
        disposition = format_disposition(f"{os.fsencode(name).decode(errors='replace')}.{kind}")
        said = ((b"content-type", media), (b"content-disposition", disposition.encode()))
        await exchange.start(with_fields(200, said, ((b"cache-control", b"no-store"),), self._fields))
        if exchange.head.method == b"HEAD":
            await exchange.finish()
            return
        with contextlib.closing(make(self.root, folder, name)) as pieces:
            while (piece := await in_thread(_next, pieces)) is not None:
                await exchange.write(piece)
        await exchange.finish()


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)
