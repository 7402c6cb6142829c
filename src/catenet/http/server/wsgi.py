"""WSGI applications (PEP 3333), each request on a thread of a pool.

A body that is small is there before the thread is taken, so that a slow client holds none.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import os
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import unquote_to_bytes

from catenet.http.message import RequestHead, ResponseHead
from catenet.http.server.exchange import Disconnected, Exchange
from catenet.http.server.service import RefusedExchange, Service
from catenet.http.serving import LOCAL_PEER, ServingProtocol
from catenet.http.stream import Stream

if TYPE_CHECKING:
    from catenet.http.server.access_log import AccessLog
    from catenet.http.server.forwarded import TrustedProxies

__all__ = ["FileWrapper", "WsgiService"]

_GATHERED: Final = 256 << 10
"""Bytes of a body that are waited for before the application begins."""
_THREADS: Final = 40
_HOP_BY_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
     "upgrade")
)  # fmt: skip
"""PEP 3333: what an application may not say."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Environ = dict[str, Any]


class WsgiService(Service):
    """Serves an application of WSGI on at most `threads` threads."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        root_path: str = "",
        threads: int = _THREADS,
        multiprocess: bool = False,
        name: bytes = b"catenet",
        log: AccessLog | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        super().__init__(name=name, log=log, proxies=proxies)
        self.app = app
        self.root_path = root_path
        self.multiprocess = multiprocess
        self.pool = concurrent.futures.ThreadPoolExecutor(threads, "wsgi")

    def exchange(self, connection: ServingProtocol, stream: Stream, head: RequestHead) -> Exchange:
        """Return the exchange that a request begins."""
        if not head.path:
            return RefusedExchange(self, connection, stream, head)
        return _WsgiExchange(self, connection, stream, head)

    async def stop(self) -> None:
        """End what still runs; threads end with their requests."""
        await super().stop()
        self.pool.shutdown(wait=False, cancel_futures=True)


class _WsgiExchange(Exchange):
    service: WsgiService

    def work(self) -> Coroutine[Any, Any, None]:
        return self._answer()

    async def _answer(self) -> None:
        body = await self._gather()
        call = _Call(self, body)
        loop = self._connection.loop
        whole = await loop.run_in_executor(self.service.pool, call.run)
        if whole is not None and not self.gone:
            head, data = whole
            if head.length is None or head.length == len(data):
                self.reply_now(head, data)
            else:  # it has none, as with HEAD, or not the one that was declared
                self.start_now(head)
                await self.write(data)
                self.finish_now()

    async def _gather(self) -> bytes:
        """Return the body, or the beginning of one that is large or that the client has not been asked for yet."""
        if self._complete:
            return self.take()
        if self.head.get(b"expect") is not None:
            return b""
        pieces, size = [], 0
        while size < _GATHERED and (piece := await self.read()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    @property
    def whole(self) -> bool:
        """Whether the request has come to its end."""
        return self._complete

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves the request."""
        return self._connection.loop

    def environ(self, body: bytes) -> Environ:
        """Return what PEP 3333 calls by this name; `body` is what has come of the body."""
        head, service = self.head, self.service
        target, _, query = head.path.partition(b"?")
        client, server = self.client, self.server
        environ: Environ = {
            "REQUEST_METHOD": head.method.decode("latin-1"),
            "SCRIPT_NAME": service.root_path,
            "PATH_INFO": (unquote_to_bytes(target) if b"%" in target else target).decode("latin-1"),
            "QUERY_STRING": query.decode("latin-1"),
            "RAW_URI": head.path.decode("latin-1"),
            "SERVER_NAME": server[0] if server is not None and server[1] is not None else "localhost",
            "SERVER_PORT": str(server[1] if server is not None and server[1] is not None else 80),
            "SERVER_PROTOCOL": f"HTTP/{self.http_version}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": service.multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }
        if client is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
        elif self.ends.local is not None:
            environ[LOCAL_PEER] = self.ends.local
        _add_fields(environ, head)
        if self._complete and not self._pieces:  # more may have come since this was given to a thread
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            if body:
                environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = io.BytesIO(body)
        else:
            environ["wsgi.input"] = io.BufferedReader(_Input(self, body), 64 << 10)
        return environ


def _add_fields(environ: Environ, head: RequestHead) -> None:
    for name, value in head.fields:
        if b"_" in name:
            continue  # it would be taken for one with a hyphen, which a proxy may have set or removed
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        text = value.decode("latin-1")
        if key in environ:
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + text
        environ[key] = text
    if head.authority:
        environ["HTTP_HOST"] = head.authority.decode("latin-1")


class _Input(io.RawIOBase):
    """The body of a request, as it comes."""

    def __init__(self, exchange: _WsgiExchange, begun: bytes) -> None:
        self._exchange = exchange
        self._left = memoryview(begun)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            exchange = self._exchange
            work = exchange.read()
            self._left = memoryview(asyncio.run_coroutine_threadsafe(work, exchange.loop).result())
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class FileWrapper:
    """`wsgi.file_wrapper`: a file that the server sends in its own way, or iterates over."""

    def __init__(self, filelike: Any, block_size: int = 64 << 10) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while data := self.filelike.read(self.block_size):
            yield data

    def file(self) -> BinaryIO | None:
        """The file, if it is one of the kernel's."""
        try:
            self.filelike.fileno()
            self.filelike.tell()
        except (OSError, AttributeError, ValueError):
            return None
        found: BinaryIO = self.filelike
        return found


class _Call:
    """One call of the application; runs on a thread."""

    def __init__(self, exchange: _WsgiExchange, body: bytes) -> None:
        self._exchange = exchange
        self._body = body
        self._head: ResponseHead | None = None
        self._begun = False

    def run(self) -> tuple[ResponseHead, bytes] | None:
        """Return the whole response if it is known at once, otherwise send it piece by piece."""
        exchange = self._exchange
        result = exchange.service.app(exchange.environ(self._body), self.start_response)
        try:
            whole = self._send(result)
        except Disconnected:
            return None
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return whole

    def _send(self, result: Iterable[bytes]) -> tuple[ResponseHead, bytes] | None:
        if isinstance(result, FileWrapper) and not self._begun and (file := result.file()) is not None:
            self._send_file(file)
            return None
        if isinstance(result, list | tuple) and not self._begun:
            body = b"".join(result)
            return self._known_head(), body
        for piece in result:
            if not piece:
                continue
            head = self._known_head()
            if not self._begun and head.length == len(piece):
                return head, piece
            self.write(piece)
        head = self._known_head()
        if not self._begun:
            return head, b""
        self._on_loop(self._finish())
        return None

    def _known_head(self) -> ResponseHead:
        if self._head is None:
            raise RuntimeError("the application has not called start_response")
        return self._head

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """Take the head of the response (PEP 3333)."""
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a traceback that refers to its own frame is a cycle
        elif self._head is not None:
            raise RuntimeError("start_response has been called already")
        if not (isinstance(status, str) and len(status) >= 3 and status[:3].isdigit() and status[3:4] in ("", " ")):
            raise ValueError(f"{status!r} is no status")
        pairs = []
        for name, value in headers:
            if name.lower() in _HOP_BY_HOP:
                raise ValueError(f"{name} is for the server to say (PEP 3333)")
            pairs.append((name.encode("latin-1"), value.encode("latin-1")))
        self._head = self._exchange.service.heads.of(int(status[:3]), pairs)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body before the application goes on."""
        if not isinstance(data, bytes):
            raise TypeError(f"the body is made of bytes, not {type(data).__name__}")
        head = self._known_head()
        begin, self._begun = not self._begun, True
        self._on_loop(self._write(head if begin else None, data))

    async def _write(self, head: ResponseHead | None, data: bytes) -> None:
        if head is not None:
            self._exchange.start_now(head)
        await self._exchange.write(data)

    async def _finish(self) -> None:
        self._exchange.finish_now()

    def _send_file(self, file: BinaryIO) -> None:
        head = self._known_head()
        offset = file.tell()
        count = max(os.fstat(file.fileno()).st_size - offset, 0)
        declared = head.get(b"content-length")
        if declared is None:
            head = ResponseHead(head.status, (*head.fields, (b"content-length", b"%d" % count)))
        else:
            count = min(count, int(declared))
        self._begun = True
        self._on_loop(self._write_file(head, file, offset, count))

    async def _write_file(self, head: ResponseHead, file: BinaryIO, offset: int, count: int) -> None:
        self._exchange.start_now(head)
        await self._exchange.send_file(file, offset, count)
        self._exchange.finish_now()

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._exchange.loop).result()
