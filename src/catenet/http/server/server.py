"""The server: an application behind listeners, HTTP/1.1 and HTTP/2 on one port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catenet.checks import check_numbers
from catenet.http.limits import Limits
from catenet.http.server.access_log import AccessLog
from catenet.http.server.connection import HttpConnection
from catenet.http.server.service import INTERFACES, HandlerService, Service, interface_of
from catenet.http.serving import Shared
from catenet.http.target import SERVER_SCHEMES
from catenet.net.accept import Slot
from catenet.net.limits import ServerLimits
from catenet.net.parking import ParkedConnection
from catenet.net.stream_server import StreamServer
from catenet.net.tls import Certificates
from catenet.net.tls_source import TlsSource

__all__ = ["HttpLimits", "HttpServer", "make_service", "serve"]


@dataclass(frozen=True, slots=True)
class HttpLimits(ServerLimits):
    """What strangers may cost a server: `catenet.net.limits.ServerLimits`, and more. Seconds.

    * `http`: of HTTP, for each connection.
    * `keepalive_time`, `keepalive_timeout`: ping a client of HTTP/2 that is quiet, close if it does not answer.
    * `max_idle`: 75 s, as connections that are kept for another request are closed by most servers.
    """

    http: Limits = field(default_factory=lambda: Limits(connect_protocol=True))
    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0
    max_idle: float | None = 75.0

    def __post_init__(self) -> None:
        ServerLimits.__post_init__(self)
        check_numbers(self, ("keepalive_time", "keepalive_timeout"))


class HttpServer(StreamServer[HttpConnection]):
    """Serves one `Service`. Made by `serve`, or anywhere, to listen in a running event loop."""

    schemes = SERVER_SCHEMES
    alpn = ("h2", "http/1.1")

    def __init__(self, service: Service, limits: HttpLimits | None = None) -> None:
        self.limits = limits or HttpLimits()
        super().__init__(self.limits)
        self.service = service
        self._http: Shared | None = None
        self._certificates: Certificates | None = None
        self._ended = False

    def use(self, certificates: Certificates) -> None:
        """Read these again at `reload`."""
        certificates.set_alpn(self.alpn)
        self._certificates = certificates

    def reload(self) -> None:
        """Read the files of certificates again; what is wrong with them is logged, and what was read before stays."""
        if self._certificates is not None:
            self._certificates.reload()

    def begin(self, loop: asyncio.AbstractEventLoop) -> Shared:
        """Make what belongs to the event loop that the server listens in."""
        limits = self.limits
        keepalive = (limits.keepalive_time, limits.keepalive_timeout)
        self._http = Shared(loop, limits, limits.http, keepalive)
        return self._http

    def accepted(self, slot: Slot) -> HttpConnection:
        """Return the protocol of a connection."""
        assert self._http is not None
        return HttpConnection(self, self._http, slot)

    def reopened(self, parked: ParkedConnection) -> HttpConnection:
        """Return the protocol of a connection that was parked."""
        return self.accepted(parked.slot).resume(parked)

    def check(self, now: float) -> None:
        """Look after logs."""
        self.service.check(now)

    async def close(self) -> None:
        """Stop at once: what is going on is broken off."""
        await super().close()
        if not self._ended:
            self._ended = True
            await self.service.stop()
            if self._http is not None:
                self._http.runner.close()

    async def __aenter__(self) -> HttpServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def make_service(
    app: Callable[..., Any],
    interface: str = "auto",
    *,
    access_log: AccessLog | None = None,
    root_path: str = "",
    name: str = "catenet",
    **options: Any,
) -> Service:
    """Return what serves `app`: an application of ASGI 3 or WSGI, or a handler of exchanges.

    `interface` is `asgi`, `wsgi`, `exchange`, or `auto`: told by the application's signature. `root_path`: where the
    application is mounted. `name`: the Server field, which empty is left out. `options` are of the service: `proxies`
    (`TrustedProxies`), `lifespan` of ASGI, `threads` and `multiprocess` of WSGI. Raises `TypeError`, `ValueError`.
    """
    if interface == "auto":
        interface = interface_of(app)
    if interface == "asgi":
        from catenet.http.server.asgi import AsgiService

        return AsgiService(app, root_path=root_path, name=name.encode(), log=access_log, **options)
    if interface == "wsgi":
        from catenet.http.server.wsgi import WsgiService

        return WsgiService(app, root_path=root_path, name=name.encode(), log=access_log, **options)
    if interface != "exchange":
        raise ValueError(f"no interface {interface!r}; known: {', '.join(INTERFACES)}")
    return HandlerService(app, name=name.encode(), log=access_log, **options)


async def serve(
    app: Callable[..., Any] | Service,
    urls: str | Sequence[str] = "http://localhost:8080",
    *,
    tls: ssl.SSLContext | Certificates | None = None,
    limits: HttpLimits | None = None,
    interface: str = "auto",
    access_log: AccessLog | None = None,
    root_path: str = "",
    name: str = "catenet",
    reuse_port: bool = False,
    shared: Mapping[str, socket.socket] | None = None,
) -> HttpServer:
    """Serve an application at `http://host:port`, `https://host:port` (needs `tls`) or `unix:path`.

    Returns when it accepts connections; port 0 is any, and `urls` of the server tell which. `access_log` closes with
    the server. `reuse_port`: other processes listen there too; `shared`: Unix sockets that listen already, by URL.
    Raises `ValueError` for a wrong URL, `LifespanError` for an application that does not start, `OSError`.
    """
    service = app if isinstance(app, Service) else make_service(
        app, interface, access_log=access_log, root_path=root_path, name=name
    )  # fmt: skip
    server = HttpServer(service, limits)
    source: TlsSource | None = None if isinstance(tls, Certificates) else tls
    if isinstance(tls, Certificates):
        server.use(tls)
        source = tls.current
    await service.start()
    try:
        for url in [urls] if isinstance(urls, str) else urls:
            await server.listen(url, tls=source, reuse_port=reuse_port, sock=(shared or {}).get(url))
    except BaseException:
        await server.close()
        raise
    return server
