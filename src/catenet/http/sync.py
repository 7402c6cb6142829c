"""The client without `await`: the same requests, each driven by an event loop of the calling thread's own.

`with Client() as client: client.get(url).json()`, or `get(url)` for a single request. There is no second client behind
it: `catenet.http.Client` does the work, on a loop that runs while a call waits (`catenet.net.blocking`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, Unpack

from catenet.http.client.client import Client as AsyncClient
from catenet.http.client.client import RequestOptions
from catenet.http.client.request import Request
from catenet.http.client.response import Response
from catenet.http.client.settings import ClientOptions, Settings
from catenet.http.headers import Headers
from catenet.http.policy.cookies import CookieJar
from catenet.http.policy.sse import ServerEvent
from catenet.http.url import Url
from catenet.net.blocking import LoopOfThread

__all__ = [
    "Client",
    "StreamedResponse",
    "delete",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "query",
    "request",
    "stream",
]

T = TypeVar("T")

_INSTEAD = "a synchronous client would block the event loop that runs here: use catenet.http.Client"


class Client:
    """As `catenet.http.Client`, for programs without an event loop. Threads may share it.

    Each thread has its own connections; cookies, credentials, cache and the rest of what a client remembers are shared.
    `loop_factory` makes the loops, for example `uvloop.new_event_loop`.
    """

    def __init__(
        self,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
        **options: Unpack[ClientOptions],
    ) -> None:
        settings = Settings.of(options)
        self._settings = settings
        self._loop: LoopOfThread[AsyncClient] = LoopOfThread(
            lambda: AsyncClient.sharing(settings), AsyncClient.close, _INSTEAD, loop_factory
        )

    @property
    def headers(self) -> Headers:
        """The fields of all requests of this thread."""
        return self._loop.client().headers

    @property
    def cookies(self) -> CookieJar:
        """The cookies, of all threads."""
        return self._settings.cookies

    def get(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """GET. Raises `RequestError`, `ValueError`."""
        return self.request("GET", url, **options)

    def head(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """HEAD: the head of what GET would return."""
        return self.request("HEAD", url, **options)

    def options(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """OPTIONS: what the server offers there."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """POST."""
        return self.request("POST", url, **options)

    def put(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """DELETE."""
        return self.request("DELETE", url, **options)

    def query(self, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """QUERY: safe and idempotent as GET is, with a body that says what is wanted."""
        return self.request("QUERY", url, **options)

    def request(self, method: str, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
        """Send a request; return its response with the whole body. Raises `RequestError`, `ValueError`."""
        return self._loop.run(self._loop.client().request(method, url, **options))

    def send(self, request: Request, **options: Unpack[RequestOptions]) -> Response:
        """Send a request that was made before (`build`)."""
        return self._loop.run(self._loop.client().send(request, **options))

    def build(self, method: str, url: str | Url, **options: Unpack[RequestOptions]) -> Request:
        """Return the request that a call would send, to be changed and sent."""
        return self._loop.client().build(method, url, **options)

    def stream(self, method: str, url: str | Url, **options: Unpack[RequestOptions]) -> StreamedResponse:
        """Send a request: `with client.stream("GET", url) as response`, whose body comes as it is read."""
        client = self._loop.client()
        request = client.build(method, url, **options)
        return StreamedResponse(self._loop, self._loop.run(client.send(request, stream=True, **options)))

    def events(self, url: str | Url, **options: Unpack[RequestOptions]) -> Iterator[ServerEvent]:
        """Iterate over the server-sent events of a URL, across connections that break."""
        events = self._loop.client().events(url, **options)
        try:
            yield from _driven(self._loop, events)
        finally:
            self._loop.run(events.aclose())

    def close(self) -> None:
        """Close this thread's connections and loop; other threads' go with the threads."""
        self._loop.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StreamedResponse:
    """A `Response` whose body is read without `await`; all that is said of its head is said here too."""

    def __init__(self, loop: LoopOfThread[AsyncClient], response: Response) -> None:
        self._loop = loop
        self.response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)

    def __iter__(self) -> Iterator[bytes]:
        return _driven(self._loop, aiter(self.response))

    def raw(self) -> Iterator[bytes]:
        """Yield the body in pieces as it comes, codings and all. Raises `RequestError`."""
        return _driven(self._loop, self.response.raw())

    def lines(self) -> Iterator[str]:
        """Yield the lines of the body, without their ends. Raises `RequestError`."""
        return _driven(self._loop, self.response.lines())

    def read(self) -> bytes:
        """Return the whole body, decoded. Raises `RequestError`."""
        return self._loop.run(self.response.read())

    def close(self) -> None:
        """Read no more of the body."""
        self._loop.run(self.response.close())

    def __enter__(self) -> StreamedResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _driven(loop: LoopOfThread[AsyncClient], pieces: AsyncIterator[T]) -> Iterator[T]:
    while (piece := loop.run(_next(pieces))) is not None:
        yield piece


async def _next(pieces: AsyncIterator[T]) -> T | None:
    return await anext(pieces, None)


# Single requests: each has a client of its own, and no connection is kept.


def request(method: str, url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """Send one request; return its response with the whole body. Raises `RequestError`, `ValueError`."""
    with Client() as client:
        return client.request(method, url, **options)


def get(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """GET. Raises `RequestError`, `ValueError`."""
    return request("GET", url, **options)


def head(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """HEAD: the head of what GET would return."""
    return request("HEAD", url, **options)


def options(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """OPTIONS: what the server offers there."""
    return request("OPTIONS", url, **options)


def post(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """POST."""
    return request("POST", url, **options)


def put(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """PUT."""
    return request("PUT", url, **options)


def patch(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """PATCH."""
    return request("PATCH", url, **options)


def delete(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """DELETE."""
    return request("DELETE", url, **options)


def query(url: str | Url, **options: Unpack[RequestOptions]) -> Response:
    """QUERY."""
    return request("QUERY", url, **options)


def stream(method: str, url: str | Url, **options: Unpack[RequestOptions]) -> _Alone:
    """Send one request, `with` which there is a response whose body comes as it is read."""
    return _Alone(method, url, options)


class _Alone:
    """A streamed response and the client that exists for it."""

    def __init__(self, method: str, url: str | Url, options: RequestOptions) -> None:
        self._call = method, url, options
        self._client = Client()

    def __enter__(self) -> StreamedResponse:
        method, url, options = self._call
        try:
            return self._client.stream(method, url, **options)
        except BaseException:
            self._client.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._client.close()
