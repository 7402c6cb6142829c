"""A name server: its sockets over the chain that answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from catenet.dns.server.chain import Chain
from catenet.dns.server.https import DEFAULT_PATH, HttpStreams
from catenet.dns.server.request import TCP, TLS, UNIX, Transport
from catenet.dns.server.streams import Streams
from catenet.dns.server.udp import Datagrams
from catenet.dns.server.watch import Watch
from catenet.net import DatagramEndpoint, Scheme, ServerLimits, parse_target, serve_datagrams
from catenet.net.listen import bind_sockets

if TYPE_CHECKING:
    from catenet.dns.server.quic import QuicServer

__all__ = ["SCHEMES", "Server"]

SCHEMES: Final[Mapping[str, Scheme]] = {
    "udp+tcp": Scheme(port=53, kinds=(socket.SOCK_STREAM, socket.SOCK_DGRAM)),
    "udp": Scheme(port=53, kinds=(socket.SOCK_DGRAM,)),
    "tcp": Scheme(port=53),
    "tls": Scheme(tls=True, port=853),
    "quic": Scheme(tls=True, port=853, kinds=(socket.SOCK_DGRAM,)),
    "https": Scheme(tls=True, port=443, takes_path=True),
    "http": Scheme(port=80, takes_path=True),
    "unix": Scheme(is_path=True),
}
"""DNS over both UDP and TCP on one port, over one of them, TLS (RFC 7858), QUIC (RFC 9250), HTTPS (RFC 8484), Unix
sockets; HTTP without TLS is for a proxy in front."""


class Server:
    """Serves queries by a chain. `urls`: where it listens, with the true ports."""

    def __init__(self, chain: Chain, watch: Watch, limits: ServerLimits) -> None:
        self.chain = chain
        self.watch = watch
        self.urls: list[str] = []
        self._limits = limits
        self._datagrams: list[Datagrams] = []
        self._streams: dict[Transport, Streams] = {}
        self._http: HttpStreams | None = None
        self._quic: list[DatagramEndpoint[None]] = []

    async def listen(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        certificate: tuple[str, str | None] | None = None,
        reuse_port: bool = False,
        sock: socket.socket | None = None,
    ) -> str:
        """Listen on a URL of `SCHEMES`, and return it with the true port.

        `sock` is a Unix socket that listens already, for processes that share it; `certificate` are the files of `tls`,
        which QUIC reads by itself. Raises `ValueError` for a wrong URL, `OSError`.
        """
        target = parse_target(url, listening=True, schemes=SCHEMES, default="udp+tcp")
        if target.scheme == "quic":
            return await self._listen_quic(url, certificate, reuse_port)
        if target.tls and tls is None:
            raise ValueError(f"{url}: needs an ssl.SSLContext (argument tls)")
        bound: Sequence[socket.socket] = ()
        if not target.unix:
            kinds = SCHEMES[target.scheme].kinds
            bound = await bind_sockets(
                target.host, target.port, kinds, backlog=self._limits.backlog, reuse_port=reuse_port
            )
            target = replace(target, port=bound[0].getsockname()[1])
        streams = [one for one in bound if one.type == socket.SOCK_STREAM]
        datagrams = [one for one in bound if one.type == socket.SOCK_DGRAM]
        if streams or target.unix:
            server = self._server_for(target.scheme)
            if isinstance(server, HttpStreams):
                target = replace(target, base=target.base or DEFAULT_PATH)
                server.paths.add(target.base.encode())
            inner = replace(target, scheme="tls" if target.tls else "unix" if target.unix else "tcp", base="")
            await server.listen(inner.url, tls=tls, sock=sock, bound=streams)
        if datagrams:
            self._datagrams.append(Datagrams(asyncio.get_running_loop(), self.chain, datagrams, self.watch))
        self.urls.append(target.url)
        return target.url

    async def _listen_quic(self, url: str, certificate: tuple[str, str | None] | None, reuse_port: bool) -> str:
        if certificate is None:
            raise ValueError(f"{url}: needs a certificate")
        try:
            from catenet.dns.server.quic import QuicServer
        except ModuleNotFoundError as error:
            raise ValueError(f"{url}: needs the package {error.name}: pip install 'catenet[quic]'") from None
        core = QuicServer(self.chain, self.watch, certificate, self._limits)
        endpoint: DatagramEndpoint[None] = await serve_datagrams(core, url, schemes=SCHEMES, reuse_port=reuse_port)
        core.flush = endpoint.flush
        self._quic.append(endpoint)
        self.urls += endpoint.urls
        return endpoint.urls[0]

    def _server_for(self, scheme: str) -> Streams | HttpStreams:
        if scheme in ("https", "http"):
            if self._http is None:
                self._http = HttpStreams(self.chain, self.watch, self._limits)
            return self._http
        transport = {"tls": TLS, "unix": UNIX}.get(scheme, TCP)
        if transport not in self._streams:
            self._streams[transport] = Streams(transport, self.chain, self.watch, self._limits)
        return self._streams[transport]

    def use(self, chain: Chain, watch: Watch) -> None:
        """Answer by another chain from now on. What waits for the old one is answered by it."""
        self.chain, self.watch = chain, watch
        for one in self._datagrams:
            one.use(chain, watch)
        for core in self._quic_cores():
            core.use(chain, watch)
        for server in self._servers():
            server.use(chain, watch)

    def _servers(self) -> list[Streams | HttpStreams]:
        return [*self._streams.values(), *([] if self._http is None else [self._http])]

    def _quic_cores(self) -> list[QuicServer]:
        return [cast("QuicServer", endpoint.core) for endpoint in self._quic]

    def use_certificate(self, certificate: tuple[str, str | None]) -> None:
        """Let connections over QUIC begin with this certificate from now on. Raises `ValueError`."""
        for core in self._quic_cores():
            core.use_certificate(certificate)

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return sum(server.connections for server in [*self._servers(), *self._quic_cores()])

    async def drain(self, grace: float | None = None) -> None:
        """Take no more queries, wait at most `grace` seconds for the answers to those that came, and close."""
        for one in self._datagrams:
            one.stop()
        loop = asyncio.get_running_loop()
        until = None if grace is None else loop.time() + grace
        quiet = asyncio.Event()
        self.chain.when_quiet(quiet.set)
        async with asyncio.TaskGroup() as group:
            for server in self._servers():
                group.create_task(server.drain(grace))
            for core in self._quic_cores():
                core.drain(loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await quiet.wait()
        await self.close()

    async def close(self) -> None:
        """Stop at once."""
        for one in self._datagrams:
            one.close()
        for endpoint, core in zip(self._quic, self._quic_cores(), strict=True):
            core.close()
            endpoint.flush()
            endpoint.close()
        for server in self._servers():
            await server.close()
        self.urls.clear()
        self.watch.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
