"""Where a server listens: bound when it is asked for, as programs want to know the port, used from the start on."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from typing import NamedTuple

from catenet.net.listen import listen_tcp_now, listen_unix
from catenet.net.target import Target
from catenet.rpc.grpc.credentials import ServerCredentials
from catenet.rpc.grpc.options import listening_url
from catenet.rpc.model.target import SESSION_SCHEMES, parse_target
from catenet.rpc.server.server import Server

__all__ = ["Ports", "stop"]

_BACKLOG = 1024
_UNIX_PORT = 1
"""What `grpc` returns as the port of a Unix socket."""


class _Port(NamedTuple):
    url: str
    sockets: list[socket.socket]
    tls: ssl.SSLContext | None


class Ports:
    """The sockets of a server that has not started."""

    def __init__(self, reuse: bool) -> None:
        self._reuse = reuse
        self._ports: list[_Port] = []
        self._paths: list[str] = []

    def add(self, address: str, credentials: ServerCredentials | None) -> int:
        """Bind, and return the port. Raises `RuntimeError`."""
        make = None if credentials is None else credentials.make_context
        tls = None if make is None else make()
        try:
            url = listening_url(address)
            target = parse_target(url, listening=True)
            if target.unix:
                sockets = [listen_unix(target.unix, backlog=_BACKLOG)]
                port = _UNIX_PORT
                if not target.unix.startswith("@"):
                    self._paths.append(target.unix)
            else:
                sockets = listen_tcp_now(target.host, target.port, backlog=_BACKLOG, reuse_port=self._reuse)
                port = sockets[0].getsockname()[1]
                url = _secured(target, url) if tls is not None else url
        except (OSError, ValueError) as error:
            raise RuntimeError(f"Failed to bind to address {address}: {error}") from None
        self._ports.append(_Port(url, sockets, tls))
        return port

    async def listen(self, server: Server) -> None:
        """Let a server take connections from all of them."""
        ports, self._ports = self._ports, []
        for url, sockets, tls in ports:
            if url.startswith("unix:"):
                await server.listen(url, sock=sockets[0])
            else:
                await server.listen(url, tls=tls, bound=sockets)

    def close(self) -> None:
        """Close those that no server has, and remove the paths of Unix sockets."""
        for port in self._ports:
            for sock in port.sockets:
                sock.close()
        self._ports.clear()
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._paths.clear()


def _secured(target: Target, url: str) -> str:
    """The scheme of a URL says whether there is TLS; in `grpc` the credentials do."""
    scheme = "session+tls" if target.scheme in SESSION_SCHEMES else "tls"
    return f"{scheme}{url.removeprefix(target.scheme)}"


async def stop(server: Server, grace: float | None) -> None:
    """Stop a server; without `grace` at once."""
    if grace:
        await server.drain(grace)
    else:
        await server.close()
