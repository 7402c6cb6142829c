"""One URL of the command line: where its bytes go, and what is said about it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from catenet.cli.transfer.codes import Code, TransferError
from catenet.cli.transfer.options import Options
from catenet.cli.transfer.partial import Partial
from catenet.cli.transfer.progress import Bar
from catenet.cli.transfer.rate import RateLimit
from catenet.http.policy.disposition import safe_name
from catenet.printable import printable, say

if TYPE_CHECKING:
    from catenet.http.client.response import Response

__all__ = ["Job", "Shared", "printing", "write_out"]

C = TypeVar("C")

MOST_IN_JSON = 64 << 20
"""Bytes of a body that `--json` prints; more goes to a file."""


class Shared(AsyncExitStack):
    """What the URLs of a command line have in common: clients, which keep connections; closed with it."""

    def __init__(self) -> None:
        super().__init__()
        self._clients: dict[str, Any] = {}
        self.begun: set[str] = set()
        """Files that all URLs write to and one has begun."""

    async def client(self, kind: str, make: Callable[[], AbstractAsyncContextManager[C]]) -> C:
        """Return the client of a kind, made when it is first asked for."""
        if kind not in self._clients:
            self._clients[kind] = await self.enter_async_context(make())
        found: C = self._clients[kind]
        return found


@dataclass(slots=True)
class Job:
    """A transfer. `output`: the file that -o names, None without; `facts`: what `--json` prints.

    Made by the verb, given to a scheme's `get` or `put`.
    """

    url: str
    options: Options
    output: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    bar: Bar = field(default_factory=lambda: Bar("", False))
    response: Response | None = None
    """The last, for `-w`."""
    began_at: int = 0
    uploaded: int = 0
    _partial: Partial | None = None
    _body: bytearray = field(default_factory=bytearray)
    _hash: Any = None
    _rate: RateLimit | None = None
    _decode: Callable[[bytes], str] = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    )
    size: int = 0

    # Where to.

    def target(self, url_path: str, proposed: str | None) -> Path | None:
        """Return the file to write, None for standard output.

        The last component of the URL's path, or of what the server proposes, is all that may come from outside.
        """
        if self.output is not None:
            if self.output == "-":
                return None
            # What the user names may be a link to where it is to go.
            return Path((self.options.folder / self.output).resolve())
        if not self.options.remote_name:
            return None
        name = safe_name(proposed) if proposed and self.options.header_name else None
        if name is None:
            name = safe_name(unquote(url_path.rpartition("/")[2], errors="replace"))
        if name is None:
            raise TransferError(Code.WRITE, f"{self.url} names no file; say which with -o")
        path = self.options.folder / name
        if proposed and self.options.header_name:
            # Of a part too, unless it is this command's own or what it goes on with.
            own = self._partial is not None and self._partial.path == path
            for there in (path, *(() if own else (Partial(path).part,))):
                if there.exists():
                    text = f"{there} is there already, and its name is the server's: not overwritten"
                    raise TransferError(Code.WRITE, text)
        return path

    def partial(self, path: Path) -> Partial:
        """Return the file that `path` will be."""
        if self._partial is None or self._partial.path != path:
            self._partial = Partial(path)
        return self._partial

    # Bytes.

    def begin(self, path: Path | None, offset: int, total: int | None) -> None:
        """The body begins, at `offset` of `total` bytes."""
        if path is None:
            if self.options.as_json:
                self._body.clear()
        else:
            held = self.partial(path).open(keep=offset > 0)
            if held != offset:
                raise TransferError(Code.RANGE, f"{path} has {held} bytes, not {offset}")
            self.facts["file"] = str(path)
        self.size = self.began_at = offset
        if self.options.checksum and offset == 0:
            self._hash = hashlib.new(self.options.checksum[0], usedforsecurity=False)
        terminal = path is None and sys.stdout is not None and sys.stdout.isatty()
        quiet = self.options.silent or terminal or self.options.as_json
        name = path.name if path is not None else self.url.rpartition("/")[2] or self.url
        self.bar.end()
        self.bar = Bar(name, not quiet)
        self.bar.begin(total, offset)

    async def write(self, data: bytes) -> None:
        """Take the next bytes; wait as `--limit-rate` says. Raises `TransferError`."""
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)
        if self._partial is not None:
            self._partial.write(data)
        elif self.options.as_json:
            self._body += data
            if len(self._body) > MOST_IN_JSON:
                raise TransferError(
                    Code.WRITE, f"over {MOST_IN_JSON >> 20} MiB for --json: write the body to a file, -o"
                )
        else:
            self._show(data)
        self.bar.advance(len(data))
        await self.pace(len(data))

    def _show(self, data: bytes) -> None:
        """A terminal would obey what a server says: control characters are escaped there, unless -o - asks for all."""
        if self.output == "-" or sys.stdout is None or not sys.stdout.isatty():
            write_out(data)
            return
        if b"\0" in data:
            raise TransferError(
                Code.WRITE, "the body is no text: write it to a file with -o, or to the terminal with -o -"
            )
        text = self._decode(data).replace("\r\n", "\n")
        write_out(printable(text, "\n\t").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))

    async def pace(self, count: int) -> None:
        """Wait until so many bytes more are within `--limit-rate`."""
        if self.options.limit_rate is not None:
            now = asyncio.get_running_loop().time()
            if self._rate is None:
                self._rate = RateLimit(self.options.limit_rate, now)
            delay = self._rate.delay(count, now)
            if delay > 0:
                await asyncio.sleep(delay)

    def begin_upload(self, length: int | None, start: int = 0) -> None:
        """A file is sent: `length` bytes (None: nobody knows) from `start` on."""
        quiet = self.options.silent or self.options.as_json
        self.bar.end()
        self.bar = Bar(Path(self.options.upload or "").name, not quiet)
        self.bar.begin(None if length is None else start + length, start)

    def finish(self) -> None:
        """All bytes are there. Raises `TransferError` if they are not what `--checksum` says."""
        self.bar.end()
        self.facts["size"] = self.size
        if self.options.checksum is not None:
            self._verify(*self.options.checksum)
        if self._partial is not None:
            self._partial.finish()
        elif self.options.as_json:
            self._put_body()

    def _verify(self, algorithm: str, wanted: str) -> None:
        found = self._hash.hexdigest() if self._hash is not None else None
        if found is None and self._partial is not None:
            found = self._partial.hashed(algorithm)
        self.facts["checksum"] = f"{algorithm}:{found}"
        if found != wanted:
            if self._partial is not None:
                self._partial.discard()
            raise TransferError(
                Code.FAILED, f"{self.url} is not what was expected: {algorithm} is {found}, not {wanted}"
            )

    def forget_hash(self) -> None:
        """The bytes come in no order: the checksum is worked out at the end."""
        self._hash = None

    def _put_body(self) -> None:
        import base64

        body = bytes(self._body)
        try:
            self.facts["body"] = body.decode()
        except UnicodeDecodeError:
            self.facts["body_base64"] = base64.b64encode(body).decode()

    def abandon(self) -> None:
        """It failed: what has come stays for `--continue`."""
        self.bar.end()
        if self._partial is not None:
            self._partial.close()

    def complain(self, text: str) -> None:
        """Say something about it on standard error."""
        if not self.options.silent:
            say(f"catenet: {printable(text)}", file=sys.stderr)

    def remark(self, text: str) -> None:
        """Say something that only `-v` wants to know."""
        if self.options.verbose:
            say(f"* {printable(text)}", file=sys.stderr)


def write_out(data: bytes) -> None:
    """Write to standard output. Raises `TransferError`."""
    with printing():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Standard output is written to here, and flushed in the end. Raises `TransferError`."""
    if sys.stdout is None:
        raise TransferError(Code.WRITE, "cannot write the output: it is closed")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = None  # or what is left would be written at the end, with the same complaint once more
        reason = "nobody reads it" if isinstance(error, BrokenPipeError) else (error.strerror or str(error)).lower()
        raise TransferError(Code.WRITE, f"cannot write the output: {reason}") from None
