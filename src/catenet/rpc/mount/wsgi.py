"""The services as an application of WSGI (PEP 3333): whatever needs no two directions at once.

A call runs on an event loop that the application keeps on a thread of its own, in each process; the server's thread
reads the request for it and takes the response from it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from catenet.http.message import RequestHead, ResponseHead
from catenet.net.loop_thread import LoopThread
from catenet.rpc.model.method import Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.mount.app import MountedApp
from catenet.rpc.mount.peers import peer_of_environ
from catenet.rpc.mount.request import Loops, MountedRequest, Output, complete
from catenet.rpc.protocols.protocol import Answer
from catenet.rpc.server.dispatch import Dispatch
from catenet.rpc.server.route import Route

__all__ = ["WsgiApp"]

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_CHUNK: Final = 64 << 10
_TWO_WAYS: Final = "WSGI has no streams both ways: use ASGI, or catenet.rpc.Server"
_LENGTH: Final = Answer(
    ResponseHead(411, ((b"content-type", b"text/plain; charset=utf-8"),)),
    b"this WSGI server does not say where a request without Content-Length ends\n",
)
_FAILED: Final = Answer(ResponseHead(500))


class WsgiApp(MountedApp[App]):
    """Serves implementations of services within any WSGI server: mounted in a framework, or with an application beside.

    Unary calls and streams in one direction work, by Connect and gRPC-Web; methods that stream both ways are
    UNIMPLEMENTED, and gRPC, which needs HTTP/2, gets 505. A call has no news of its client between the end of the
    request and the next message of the response. The arguments are those of `AsgiApp`.
    """

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread | None = None
        self._process = 0

    def close(self) -> None:
        """End the thread of this process."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        began = time.monotonic()
        head = self._prefix.strip(_head_of(environ))
        if self._app is not None and (head is None or not self._dispatch.is_call(head)):
            return self._app(environ, start_response)
        if head is None:
            text = f"the services are below {self._prefix.path}/\n".encode()
            return _send(Answer(ResponseHead(404, ((b"content-type", b"text/plain"),)), text), environ, start_response)
        found = self._route(head, environ)
        if isinstance(found, Answer):
            self._dispatch.refuse(head, found)
            return _send(found, environ, start_response)
        return _Exchange(self._dispatch, self._loops, self.loop(), found, head, environ, began).run(start_response)

    def _route(self, head: RequestHead, environ: Environ) -> Route | Answer:
        found = self._dispatch.route(head, 1)
        if isinstance(found, Answer):
            return found
        if found.plan.method.kind is Kind.BIDI:
            error = RpcError(Code.UNIMPLEMENTED, _TWO_WAYS)
            return found.plan.wire.whole(found.plan, (), None, "identity", error, ())
        return found if _length(environ) is not None or _is_terminated(environ) else _LENGTH

    def loop(self) -> LoopThread:
        """Return the thread of this process, which the first request starts: a server may fork before."""
        with self._lock:
            if self._thread is None or self._process != os.getpid():
                self._thread, self._process = LoopThread("catenet-rpc-wsgi"), os.getpid()
            return self._thread


class _Exchange:
    """One call, seen from the thread of the server."""

    def __init__(
        self,
        dispatch: Dispatch,
        loops: Loops,
        thread: LoopThread,
        route: Route,
        head: RequestHead,
        environ: Environ,
        began: float,
    ) -> None:
        self._dispatch = dispatch
        self._loops = loops
        self._thread = thread
        self._route = route
        self._head = head
        self._environ = environ
        self._began = began
        self._request: MountedRequest | None = None

    def run(self, start_response: StartResponse) -> Iterable[bytes]:
        """Give the call its request, and return the response."""
        try:
            head, body, _, over = self._ask()
        except BaseException:
            self.lose()
            raise
        if head is None:  # it was broken off
            return _send(_FAILED, self._environ, start_response)
        _start(head, start_response)
        return body if over else _Body(self, body)

    def _ask(self) -> Output:
        output: Output | None = None
        for data, end in _pieces(self._environ):
            work = self._start(data, end) if self._request is None else self._more(data, end)
            output = self._thread.run(work)
            if output is not None:
                return output
        raise EOFError("the request has no end")

    def rest(self) -> tuple[list[bytes], bool]:
        """Return the next part of the response, and whether it is the last."""
        try:
            return self._thread.run(self._rest())
        except BaseException:
            self.lose()
            raise

    def lose(self) -> None:
        """Nobody wants the response any more."""
        if self._request is not None:
            self._thread.soon(self._request.lost)

    async def _start(self, data: bytes, end: bool) -> Output | None:
        loop = asyncio.get_running_loop()
        now = loop.time() - (time.monotonic() - self._began)
        self._dispatch.failures.digest(now)
        environ = self._environ
        request = MountedRequest(self._dispatch, self._loops.of(loop), loop, lambda: peer_of_environ(environ), now)
        self._request = request
        request.begin(self._route, self._head, self._route.plan.message is not None)
        return await self._more(data, end)

    async def _more(self, data: bytes, end: bool) -> Output | None:
        """Give the call more of its request; return the beginning of the response once it is due."""
        request = self._request
        assert request is not None
        await request.feed(data, end)
        return await request.output() if end or request.over else None

    async def _rest(self) -> tuple[list[bytes], bool]:
        request = self._request
        assert request is not None
        request.taken()
        _, pieces, _, over = await request.output()
        if request.broken:
            raise ConnectionError("the response was broken off")
        return pieces, over


class _Body:
    """A response that comes in pieces; whoever does not read it to its end closes it."""

    def __init__(self, exchange: _Exchange, begun: list[bytes]) -> None:
        self._exchange = exchange
        self._ready = begun
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self._ready:
            if self._over:
                raise StopIteration
            self._ready, self._over = self._exchange.rest()
        return self._ready.pop(0)

    def close(self) -> None:
        """The server wants no more of it."""
        if not self._over:
            self._over = True
            self._exchange.lose()


def _head_of(environ: Environ) -> RequestHead:
    """Return the head of a request, its path below where the application is mounted."""
    path = environ.get("PATH_INFO", "").encode("latin-1")
    raw = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "").partition("?")[0].encode("latin-1", "replace")
    if b"%" in raw and not raw.endswith(path):
        path = raw  # with an escape in it a path names no method on our own server either
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    fields = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            fields.append((key[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            fields.append((key.replace("_", "-").lower().encode(), str(value).encode("latin-1")))
    return RequestHead(
        environ["REQUEST_METHOD"].encode("latin-1"),
        path + b"?" + query if query else path,
        tuple(fields),
        environ.get("HTTP_HOST", "").encode("latin-1"),
        environ.get("wsgi.url_scheme", "http").encode("latin-1"),
    )


def _length(environ: Environ) -> int | None:
    """Return how long the body is; None: until its stream ends."""
    text = environ.get("CONTENT_LENGTH") or ""
    if text.isdigit():
        return int(text)
    return None if _is_terminated(environ) or _is_chunked(environ) else 0


def _is_terminated(environ: Environ) -> bool:
    return bool(environ.get("wsgi.input_terminated"))


def _is_chunked(environ: Environ) -> bool:
    return "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()


def _pieces(environ: Environ) -> Iterator[tuple[bytes, bool]]:
    """Yield the body in pieces, and with each whether it is the last."""
    left, stream = _length(environ), environ["wsgi.input"]
    while left is None or left > 0:
        data = stream.read(_CHUNK if left is None else min(left, _CHUNK))
        if not data:
            if left is not None:
                raise EOFError("the request ended before its Content-Length")
            break
        if left is not None:
            left -= len(data)
        yield data, left == 0
    if left is None or not _length(environ):
        yield b"", True


def _start(head: ResponseHead, start_response: StartResponse) -> None:
    try:
        phrase = HTTPStatus(head.status).phrase
    except ValueError:
        phrase = "Client Closed Request" if head.status == 499 else "Unknown"
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.fields]
    start_response(f"{head.status} {phrase}", headers)


def _send(answer: Answer, environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Send a response that is no call's."""
    head, body = complete(answer, environ["REQUEST_METHOD"].encode("latin-1"))
    _start(head, start_response)
    return [body]
