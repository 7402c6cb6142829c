"""Making a connection to an origin: its name, whichever address answers first, a proxy, TLS; each with its times."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

from catenet.http.client.connection import ClientConnection, Dial
from catenet.http.client.errors import (
    CertificateError,
    ConnectFailed,
    NameNotFound,
    ProxyError,
    RequestTimeout,
    TlsError,
)
from catenet.http.client.exchange import Exchange
from catenet.http.client.origin import Origin
from catenet.http.client.proxying import through_proxy
from catenet.http.client.timings import Attempt, ConnectRecord
from catenet.http.message import ResponseHead
from catenet.http.stream import Stream
from catenet.net import dial
from catenet.net.dial import Candidate, ClientTls, Endpoint
from catenet.net.target import Target
from catenet.net.tls import explain

__all__ = ["Dialler", "HttpConnection", "Resolve", "dial"]

Resolve = Callable[[str, int], Awaitable[Sequence[Endpoint]]]
"""Finds the addresses of a host and a port, best first; raises `OSError`."""


class HttpConnection(ClientConnection):
    """A connection of a `Client`. `record`: how it was made."""

    __slots__ = ("record", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop, dial: Dial, record: ConnectRecord) -> None:
        super().__init__(loop, dial)
        self.record = record
        self.used = False

    def on_interim(self, stream: Stream, head: ResponseHead) -> None:
        """Tell whose response is to follow."""
        owner = stream.owner
        if isinstance(owner, Exchange):
            owner.on_interim(head)

    @property
    def lasting(self) -> bool:
        """A client of any number of servers keeps none of them for ever."""
        return self.kept


class Dialler:
    """How one client connects. `tls`: makes the context when TLS is first needed; `http1`, `http2`: what is spoken."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parts: Dial,
        tls: Callable[[], ssl.SSLContext],
        proxy_tls: Callable[[], ssl.SSLContext],
        *,
        http2_only: bool,
        timeout: float | None,
        server_name: str | None,
        resolve: Resolve | None,
    ) -> None:
        self._loop = loop
        self._parts = parts
        self._tls = tls
        self._proxy_tls = proxy_tls
        self._http2_only = http2_only
        self._timeout = timeout
        self._server_name = server_name
        self._resolve = resolve

    async def dial(self, origin: Origin) -> HttpConnection:
        """Connect. Raises `ConnectFailed` or `RequestTimeout`, each with its record as `record`."""
        record = ConnectRecord()
        try:
            async with asyncio.timeout(self._timeout) as limit:
                candidate = await self._candidate(origin, record)
        except TimeoutError as error:
            if not limit.expired():  # the kernel's own, ETIMEDOUT
                raise _recorded(_failure(origin, error), record) from error
            late = RequestTimeout(f"cannot connect to {origin}: no answer in {self._timeout:g} s", "connect")
            raise _recorded(late, record) from error
        except ConnectFailed as error:
            raise _recorded(error, record) from error.__cause__
        except (OSError, ssl.SSLError) as error:
            raise _recorded(_failure(origin, error), record) from error
        connection = HttpConnection(self._loop, self._parts, record)
        candidate.hand_over(connection)
        if connection.transport is None or connection.core.closing:
            raise _recorded(ConnectFailed(f"cannot connect to {origin}: {connection.error or candidate.error}"), record)
        return connection

    async def _candidate(self, origin: Origin, record: ConnectRecord) -> Candidate:
        proxy = origin.proxy
        loop = self._loop
        if proxy is None or origin.unix:
            candidate = await self._race(origin.target, record)
        else:
            target = Target(proxy.scheme, proxy.host or "", proxy.effective_port, "", proxy.tls)
            try:
                candidate = await self._race(target, record)
                record.proxy_start = loop.time()
                if proxy.tls:
                    candidate = await dial.secure(loop, candidate, ClientTls(self._proxy_tls(), proxy.host or ""))
                if not origin.forwards:
                    await through_proxy(loop, candidate, origin, self._addresses)
            except ProxyError:
                raise
            except (OSError, ssl.SSLError) as error:
                raise ProxyError(f"cannot connect to the proxy {proxy.without_password()}: {explain(error)}") from error
            record.proxy_end = loop.time()
        if origin.tls:
            candidate = await self._secure(origin, candidate, record)
        if candidate.error is not None:
            raise ConnectFailed(f"cannot connect to {origin}: {candidate.error}")
        return candidate

    async def _race(self, target: Target, record: ConnectRecord) -> Candidate:
        """Resolve the name and connect to whichever address answers first (RFC 8305)."""
        loop = self._loop
        if target.unix:
            endpoints: Sequence[Endpoint] = await dial.resolve(loop, target)
        else:
            record.resolve_start = loop.time()
            endpoints = await self._addresses(target.host, target.port)
            record.resolve_end = loop.time()
        if not endpoints:
            raise NameNotFound(f"{target.host} has no address")
        attempts: dict[Endpoint, Attempt] = {}

        async def attempt(endpoint: Endpoint) -> Candidate:
            noted = attempts[endpoint] = Attempt(endpoint.address, loop.time())
            record.attempts.append(noted)
            try:
                candidate = await dial.connect(loop, endpoint, Candidate)
            except OSError as error:
                noted.error = explain(error)
                raise
            except asyncio.CancelledError:
                noted.error = "another was faster, or time was over"
                raise
            finally:
                noted.end = loop.time()
            return candidate

        endpoint, candidate = await dial.connect_first(loop, endpoints, attempt)
        attempts[endpoint].chosen = True
        record.peer = endpoint.address
        return candidate

    async def _addresses(self, host: str, port: int) -> Sequence[Endpoint]:
        try:
            if self._resolve is not None:
                return await self._resolve(host, port)
            return await dial.resolve(self._loop, Target("tcp", host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno is None:
                raise NameNotFound(f"cannot resolve {host}: {explain(error)}") from error
            raise

    async def _secure(self, origin: Origin, candidate: Candidate, record: ConnectRecord) -> Candidate:
        loop = self._loop
        name = (self._server_name or origin.host or "localhost").partition("%")[0].rstrip(".")
        record.tls_start = loop.time()
        secured = await dial.secure(loop, candidate, ClientTls(self._tls(), name))
        record.tls_end = loop.time()
        assert secured.transport is not None
        tls = secured.transport.get_extra_info("ssl_object")
        record.tls_version = tls.version() or ""
        record.cipher = (tls.cipher() or ("",))[0]
        record.alpn = tls.selected_alpn_protocol() or ""
        if self._http2_only and record.alpn != "h2":
            secured.close()
            raise TlsError(f"cannot connect to {origin}: the server does not speak HTTP/2")
        return secured


def _failure(origin: Origin, error: Exception) -> ConnectFailed:
    text = f"cannot connect to {origin}: {explain(error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateError(text)
    return TlsError(text) if isinstance(error, ssl.SSLError) else ConnectFailed(text)


E = ConnectFailed | RequestTimeout


def _recorded(error: E, record: ConnectRecord) -> E:
    error.record = record
    return error
