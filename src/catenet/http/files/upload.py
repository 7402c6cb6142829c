"""Uploads: PUT of one file, POST of a form with several. What is not complete is never seen under its name."""

from __future__ import annotations

import json
import os
import stat
import time

from catenet.folder.partial import free_space, new_token, sweep
from catenet.folder.root import Root
from catenet.http.files.answer import Refused, send_text, with_fields
from catenet.http.files.content import etag_of
from catenet.http.files.options import FileOptions
from catenet.http.files.partial import Partial
from catenet.http.files.paths import FilePath, quoted
from catenet.http.headers import Headers
from catenet.http.message import Fields
from catenet.http.policy.conditional import evaluate
from catenet.http.policy.disposition import is_hidden, safe_name
from catenet.http.policy.media import negotiate_media
from catenet.http.policy.multipart import MultipartError, MultipartParser, Part, PartData, PartEnd, boundary_of
from catenet.http.server.exchange import Exchange

__all__ = ["Uploads", "declared_length"]

SWEEP_INTERVAL = 600.0
"""Seconds between two looks for uploads that have been given up, in one folder."""
_MOST_FOLDERS = 4096


class Uploads:
    """Takes files for one root."""

    def __init__(self, root: Root, options: FileOptions) -> None:
        self.root = root
        self.options = options
        self._swept: dict[tuple[str, ...], float] = {}

    async def put(self, exchange: Exchange, path: FilePath, fields: Fields) -> None:
        """Take one file; 201 if it is new, 204 if it has replaced one."""
        folder = self.open_target(path)
        try:
            existed = self.check(exchange, folder, path)
            partial = self.begin(folder, new_token(None))
            try:
                await partial.receive(exchange, self.options.max_upload)
                partial.publish(path.name, self.options.overwrite)
            except BaseException:
                partial.remove()
                raise
            finally:
                partial.close()
        finally:
            os.close(folder)
        await self.done(exchange, path, existed, fields)

    async def done(self, exchange: Exchange, path: FilePath, existed: bool, fields: Fields) -> None:
        """Say that the file is there."""
        if existed:
            await exchange.reply(with_fields(204, fields))
        else:
            await send_text(exchange, 201, path.url, ((b"location", path.url.encode()), *fields))

    def open_target(self, path: FilePath) -> int:
        """Return the folder in which a file is to be put. Raises `Refused`."""
        if not path.names or path.folder:
            raise Refused(409, "A folder cannot be put here.")
        if not self.root.shows(path.name):
            raise Refused(403, "No file of this name may be put here.")
        return self.open_folder(path.names[:-1])

    def open_folder(self, names: tuple[str, ...]) -> int:
        """Return an open folder. Raises `Refused`."""
        try:
            folder = self.root.open_folder(names)
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(409, "There is no folder to put it in.") from None
        except PermissionError:
            raise Refused(403) from None
        self._sweep(folder, names)
        return folder

    def _sweep(self, folder: int, names: tuple[str, ...]) -> None:
        """Remove what has been left in a folder, now and then."""
        now = time.monotonic()
        if now - self._swept.get(names, -SWEEP_INTERVAL) >= SWEEP_INTERVAL:
            if len(self._swept) >= _MOST_FOLDERS:
                self._swept.clear()
            self._swept[names] = now
            sweep(folder)

    def check(self, exchange: Exchange, folder: int, path: FilePath, coming: int | None = None) -> bool:
        """Return whether there is such a file, which may be replaced. Raises `Refused`.

        `coming`: bytes in all, if that is not what Content-Length says.
        """
        headers = Headers.from_fields(exchange.head.fields)
        try:
            found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            found = None
        except OSError:
            raise Refused(400) from None
        etag, modified = (None, None) if found is None else (etag_of(found), found.st_mtime)
        if evaluate("PUT", headers, etag, modified, time.time(), found is not None) is not None:
            raise Refused(412)
        if found is not None and not (self.options.overwrite and stat.S_ISREG(found.st_mode)):
            raise Refused(409)
        if "content-range" in headers:
            raise Refused(400, "A part of a file cannot be put; see Resumable Uploads for HTTP.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(415, "Files are kept as they are: without a content coding.")
        self.check_size(folder, declared_length(exchange) if coming is None else coming)
        return found is not None

    def check_size(self, folder: int, size: int | None) -> None:
        """Raise `Refused` for what is too large for us, or for the disk."""
        if size is not None and size > self.options.max_upload:
            raise Refused(413, f"At most {self.options.max_upload} bytes may be put here.")
        if size is not None and size > free_space(folder):
            raise Refused(507)

    def begin(self, folder: int, token: str) -> Partial:
        """Begin an upload. Raises `Refused`."""
        try:
            return Partial.create(folder, token)
        except PermissionError:
            raise Refused(403, "No file may be put here.") from None
        except OSError as error:
            raise Refused(507, error.strerror or "") from None

    async def post(self, exchange: Exchange, path: FilePath, fields: Fields) -> None:
        """Take the files of a form; a browser goes back to the folder, a program gets a list."""
        boundary = boundary_of(_field(exchange, b"content-type"))
        if boundary is None:
            raise Refused(415, "A form with files is multipart/form-data.", ((b"accept-post", b"multipart/form-data"),))
        folder = self.open_folder(path.names)
        try:
            self.check_size(folder, declared_length(exchange))
            form = _Form(self, folder)
            try:
                await form.receive(exchange, MultipartParser(boundary))
            except MultipartError as error:
                raise Refused(400, str(error)) from None
            finally:
                form.close()
        finally:
            os.close(folder)
        if not form.stored:
            raise Refused(400, "There is no file in this form.")
        await _tell(exchange, path, form.stored, fields)


class _Form:
    """The files of one form as they come. They get their names together, once the request is complete."""

    def __init__(self, uploads: Uploads, folder: int) -> None:
        self._uploads = uploads
        self._folder = folder
        self._partial: Partial | None = None
        self._taken = 0
        # Names, and what is to get them, closed: open files would be as many as a client likes.
        self._waiting: list[tuple[str, Partial]] = []
        self.stored: list[str] = []

    async def receive(self, exchange: Exchange, parser: MultipartParser) -> None:
        """Read the body. Raises `Refused`, `MultipartError`, `Disconnected`."""
        while piece := await exchange.read():
            self._taken += len(piece)
            if self._taken > self._uploads.options.max_upload:
                raise Refused(413)
            waiting: list[bytes] = []
            for event in parser.feed(piece):
                if isinstance(event, PartData):
                    waiting.append(event.data)
                    continue
                await self._flush(waiting)
                self._take(event)
            await self._flush(waiting)
        parser.finish()
        for name, partial in self._waiting:
            self._publish(name, partial.token)
            self.stored.append(name)

    async def _flush(self, waiting: list[bytes]) -> None:
        if waiting and self._partial is not None:
            await self._partial.write(list(waiting))
        waiting.clear()

    def _take(self, event: Part | PartEnd) -> None:
        if isinstance(event, Part):
            if event.filename:
                name = self._name_of(event.filename)
                self._partial = self._uploads.begin(self._folder, new_token(None))
                self._waiting.append((name, self._partial))
        elif self._partial is not None:
            self._partial.close()
            self._partial = None

    def _name_of(self, proposed: str) -> str:
        name = safe_name(proposed)
        if name is None:
            raise Refused(400, "No file can have this name.")
        if is_hidden(proposed):
            raise Refused(403, "No file of this name may be put here.")
        if not self._uploads.options.overwrite and (self._is_there(name) or name in dict(self._waiting)):
            raise Refused(409)
        return name

    def _is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _publish(self, name: str, token: str) -> None:
        partial = Partial.resume(self._folder, token)
        if partial is None:
            raise Refused(409, "A file of this form has been removed before the form was complete.")
        try:
            partial.publish(name, self._uploads.options.overwrite)
        finally:
            partial.close()

    def close(self) -> None:
        """Remove what has not become complete."""
        for _, partial in self._waiting:
            partial.remove()
        if self._partial is not None:
            self._partial.close()


async def _tell(exchange: Exchange, path: FilePath, stored: list[str], fields: Fields) -> None:
    accept = _field(exchange, b"accept")
    folder = path.url.rstrip("/") + "/"
    if accept is not None and negotiate_media(accept, ("application/json", "text/html")) == "text/html":
        await exchange.reply(with_fields(303, ((b"location", folder.encode()), (b"content-length", b"0")), fields))
        return
    body = json.dumps([{"name": name, "url": folder + quoted(name)} for name in stored]).encode() + b"\n"
    said = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
    await exchange.reply(with_fields(201, said, fields), body)


def declared_length(exchange: Exchange) -> int | None:
    """Return the Content-Length of a request, which its machine has checked."""
    value = exchange.head.get(b"content-length")
    return None if value is None else int(value)


def _field(exchange: Exchange, name: bytes) -> str | None:
    value = exchange.head.get(name)
    return None if value is None else value.decode("latin-1")
