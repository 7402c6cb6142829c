"""What a server serves: it makes an exchange of each request, and outlives connections.

A server of another kind that speaks HTTP may hand requests to one (`catenet.rpc.Server` does).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from catenet.compiled import mypyc_attr
from catenet.http.events import Refusal
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.server.exchange import Exchange, Handler
from catenet.http.server.heads import Heads
from catenet.http.serving import ServingProtocol
from catenet.http.stream import Stream
from catenet.net.failures import FailureLog, bounded
from catenet.net.notice import Notice
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.http.server.access_log import AccessLog
    from catenet.http.server.forwarded import TrustedProxies

__all__ = ["INTERFACES", "HandlerService", "RefusedExchange", "Service", "interface_of"]

logger = logging.getLogger("catenet.http")
logger.addFilter(bounded)

INTERFACES: Final = ("asgi", "wsgi", "exchange")
_NO_TUNNELS: Final = ResponseHead(501, ((b"content-type", b"text/plain"),))
_NO_HEAD: Final = RequestHead(b"", b"", (), b"")
_ENDING: Final = 5.0
"""Seconds that handlers have to end once they are cancelled."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Service:
    """Makes exchanges. `log` gets a line for each that has ended; `tasks` are handlers that are waiting.

    `proxies` are those whose word about clients counts; None: nobody's does. `at_once` answers a complete request
    without waiting for anything, and says whether it has; None: each gets a coroutine.
    """

    def __init__(
        self, *, name: bytes = b"catenet", log: AccessLog | None = None, proxies: TrustedProxies | None = None
    ) -> None:
        self.heads = Heads(name)
        self.log = log
        self.proxies = proxies
        self.at_once: Callable[[Exchange], bool] | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self._failures = FailureLog(logger)
        self._notice = Notice()

    def exchange(self, connection: ServingProtocol, stream: Stream, head: RequestHead) -> Exchange:
        """Return the exchange that a request begins."""
        raise NotImplementedError

    def begin(self, connection: ServingProtocol, stream: Stream, head: RequestHead, end: bool) -> None:
        """Begin to serve a request; `end`: it has no body."""
        stream.owner = exchange = self.exchange(connection, stream, head)
        exchange.on_request(end)

    def drain(self, connection: ServingProtocol) -> None:
        """Tell exchanges that would never end by themselves that a connection is to close."""
        for stream in list(connection.core.streams.values()):
            if isinstance(stream.owner, Exchange):
                stream.owner.on_drain()

    async def start(self) -> None:
        """Get ready, on the event loop that serves. Raises `LifespanError`."""

    async def stop(self) -> None:
        """No request comes any more: end what still runs."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_ENDING)
        self._failures.close()
        if self.log is not None:
            self.log.close()

    def note_refusal(self, connection: ServingProtocol, refusal: Refusal) -> None:
        """Note in the access log what has been refused and never became an exchange."""
        if self.log is not None:
            refused = Exchange(self, connection, Stream(0, 0, 0), refusal.head or _NO_HEAD)
            refused.status, refused.refused = refusal.status, refusal.message
            self.log.write(refused)

    def check(self, now: float) -> None:
        """Look after logs, about once a second."""
        self._failures.digest(now)
        if self.log is not None:
            self.log.flush()

    # What goes wrong.

    def report(self, exchange: Exchange, error: BaseException) -> None:
        """Log what an application has raised; the client hears nothing of it."""
        head = exchange.head
        what = printable(f"{head.method.decode('latin-1')} {head.path.decode('latin-1')[:200]}")
        client = exchange.client
        caller = "a client" if client is None else f"{client[0]}:{client[1]}"
        self._failures.failed(what, caller, error, asyncio.get_running_loop().time(), "request")

    def warn(self, now: float, text: str) -> None:
        """Log what a client is told, at most once a minute."""
        self._notice.warn(now, "%s", text)


class RefusedExchange(Exchange):
    """CONNECT to an application that knows no tunnels: a 2xx that it says of any path would be taken for one."""

    def work(self) -> Coroutine[Any, Any, None]:
        """Answer."""
        return self.reply(_NO_TUNNELS, b"there are no tunnels here\n")


class HandlerService(Service):
    """Serves by a handler of exchanges.

    A handler may have a method `at_once`.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        name: bytes = b"catenet",
        log: AccessLog | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        super().__init__(name=name, log=log, proxies=proxies)
        self.handler = handler
        self.at_once = getattr(handler, "at_once", None)

    def exchange(self, connection: ServingProtocol, stream: Stream, head: RequestHead) -> Exchange:
        """Return the exchange that a request begins."""
        return _HandledExchange(self, connection, stream, head)

    def begin(self, connection: ServingProtocol, stream: Stream, head: RequestHead, end: bool) -> None:
        """Begin to serve a request: what is complete may be answered at once."""
        stream.owner = exchange = _HandledExchange(self, connection, stream, head)
        if end and self.at_once is not None:
            exchange._complete = True
            try:
                if self.at_once(exchange):
                    return
            except Exception as error:
                exchange._running = True
                exchange._ended(None, error)
                return
        exchange.on_request(end)


class _HandledExchange(Exchange):
    def work(self) -> Coroutine[Any, Any, None]:
        service = self.service
        assert isinstance(service, HandlerService)
        return service.handler(self)  # type: ignore[return-value]


def interface_of(app: Callable[..., Any]) -> str:
    """Return which interface an application has: by whether it is asynchronous and how many arguments it takes.

    Raises `TypeError`.
    """
    target = app
    if not (inspect.isfunction(app) or inspect.ismethod(app) or inspect.isclass(app)):
        target = getattr(app, "__call__", app)  # noqa: B004
    count = -1
    with contextlib.suppress(TypeError, ValueError):
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(target).parameters.values()
        count = sum(one.kind in kinds and one.default is one.empty for one in parameters)
    found = {1: "exchange", 2: "wsgi", 3: "asgi"}.get(count)
    if found == "wsgi" and inspect.iscoroutinefunction(target):
        found = None
    if found is None:
        name = getattr(app, "__qualname__", type(app).__qualname__)
        raise TypeError(
            f"{name} is neither an ASGI application (scope, receive, send), nor one of WSGI (environ, start_response), "
            f"nor a handler of an exchange; name its interface: {', '.join(INTERFACES)}"
        )
    return found
