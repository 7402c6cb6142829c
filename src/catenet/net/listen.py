"""Sockets of servers: TCP and UDP on every address of a name, Unix sockets that take over no living server's path."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterable, Sequence
from typing import Any

from catenet.net.dial import addresses, no_name

__all__ = ["bind_sockets", "bind_udp", "hold_port", "listen_tcp", "listen_tcp_now", "listen_unix"]

_SAME_PORT_TRIES = 16


async def listen_tcp(host: str | None, port: int, *, backlog: int, reuse_port: bool = False) -> list[socket.socket]:
    """Return a listening socket for each address of `host` (None: all addresses), all with one port.

    Port 0 lets the system choose it. Raises `OSError`.
    """
    return await bind_sockets(host, port, (socket.SOCK_STREAM,), backlog=backlog, reuse_port=reuse_port)


async def bind_udp(host: str | None, port: int, *, reuse_port: bool = False) -> list[socket.socket]:
    """Return a UDP socket for each address of `host` (None: all addresses), all with one port. As above."""
    return await bind_sockets(host, port, (socket.SOCK_DGRAM,), reuse_port=reuse_port)


async def bind_sockets(
    host: str | None, port: int, kinds: Sequence[int], *, backlog: int | None = None, reuse_port: bool = False
) -> list[socket.socket]:
    """Return a socket of each of `kinds` for each address of `host`, all with one port. Streams listen. As above."""
    loop = asyncio.get_running_loop()
    found = await addresses(loop, host or None, port, kinds[0], socket.AI_PASSIVE)
    return _bind_all(found, port, kinds, backlog, reuse_port)


def hold_port(host: str | None, kinds: Sequence[int] = (socket.SOCK_STREAM,)) -> list[socket.socket]:
    """Return sockets that keep a port which the system chose, for others that bind to it with `SO_REUSEPORT`.

    They do not listen. A datagram that comes to one is lost, so it must be closed when the others are bound. Raises
    `OSError`.
    """
    return _bind_all(_passive(host, kinds[0]), 0, kinds, None, True)


def listen_tcp_now(host: str | None, port: int, *, backlog: int, reuse_port: bool = False) -> list[socket.socket]:
    """As `listen_tcp`, for where no coroutine can be awaited: a name that must be asked for blocks."""
    kinds = (socket.SOCK_STREAM,)
    return _bind_all(_passive(host, kinds[0]), port, kinds, backlog, reuse_port)


def _passive(host: str | None, kind: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host or None, 0, type=kind, flags=socket.AI_PASSIVE)
    except UnicodeError:
        raise no_name(host) from None


def _bind_all(
    found: Iterable[tuple[int, int, int, str, tuple[Any, ...]]],
    port: int,
    kinds: Sequence[int],
    backlog: int | None,
    reuse_port: bool,
) -> list[socket.socket]:
    bound_to = list(dict.fromkeys((family, address, kind) for family, _, _, _, address in found for kind in kinds))
    for attempt in range(_SAME_PORT_TRIES):
        try:
            return _try_to_bind(bound_to, port, backlog, reuse_port)
        except OSError:
            # A port that the system chose for one address may be taken on another.
            if port or len(bound_to) == 1 or attempt == _SAME_PORT_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _try_to_bind(
    addresses: Sequence[tuple[int, tuple[Any, ...], int]], port: int, backlog: int | None, reuse_port: bool
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address, kind in addresses:
            sock = socket.socket(family, kind)
            sockets.append(sock)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((address[0], port, *address[2:]))
            except OSError as error:
                raise OSError(error.errno, f"cannot bind to {address[0]} port {port}: {error.strerror}") from None
            port = port or sock.getsockname()[1]
            if backlog is not None and kind == socket.SOCK_STREAM:
                sock.listen(backlog)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def listen_unix(path: str, *, backlog: int, mode: int | None = None, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a listening Unix socket, or one bound for datagrams; `path` begins with `@` for an abstract name.

    A socket that nobody listens on any more is replaced, everything else makes binding fail. `mode`: permissions.
    Raises `OSError`.
    """
    abstract = path.startswith("@")
    if not abstract:
        remove_stale_socket(path, kind)
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        try:
            sock.bind("\0" + path[1:] if abstract else path)
        except OSError as error:
            if error.errno is None:  # the path is too long
                raise OSError(f"cannot bind to {path}: {error}") from None
            raise OSError(error.errno, f"cannot bind to {path}: {error.strerror}") from None
        if mode is not None and not abstract:
            os.chmod(path, mode)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def remove_stale_socket(path: str, kind: int = socket.SOCK_STREAM) -> None:
    """Remove a socket that nobody listens on any more; leave everything else alone, so that binding fails."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, kind) as probe:
            probe.settimeout(1.0)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        return
