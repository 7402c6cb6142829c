"""Waiting for connections, or for peers that send datagrams: each becomes a session."""

from __future__ import annotations

import argparse
import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from catenet.cli import UsageError
from catenet.cli.relay.opening import Group, open_group
from catenet.cli.relay.options import socket_options
from catenet.cli.relay.other import protocols
from catenet.cli.relay.session import Sessions
from catenet.cli.relay.sessions import is_session, serve_session_ends, session_terms
from catenet.cli.relay.urls import is_datagram, is_group
from catenet.cli.serving import tls_context
from catenet.net.accept import Acceptor, Slot
from catenet.net.ends import SocketEnd, TlsEnd
from catenet.net.flows import Flow, Flows
from catenet.net.limits import ServerLimits
from catenet.net.listen import bind_udp, listen_tcp, listen_unix
from catenet.net.pktinfo import tell_destinations
from catenet.net.relay import End
from catenet.net.sockopts import SocketOptions
from catenet.net.target import Target, host_and_port
from catenet.net.tls import explain
from catenet.printable import complain

__all__ = ["Listening", "RelayAcceptor", "listen"]

ANY_HOST = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


class Listening:
    """Where it listens (`urls`), and the sessions that go on (`tasks`); `over`: the only one has ended."""

    def __init__(self, target: Target, sessions: Sessions, *, once: bool) -> None:
        self.target = target
        self.urls: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()
        self.once = once
        self._sessions = sessions
        self._stops: list[Callable[[], None]] = []

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Call it when nothing more is to be accepted."""
        self._stops.append(stop)

    def stop(self) -> None:
        """Accept nothing more; what goes on goes on."""
        stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def begin(self, end: End, release: Callable[[], None] = lambda: None) -> None:
        """Run a session; `release` is called at its end."""
        if self.once:
            self.stop()
            end.last_words = None  # who listens, waits, also when standard input has nothing to say
        task = asyncio.get_running_loop().create_task(self._sessions.run(end, self.target, is_left=True))
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, release))

    def _ended(self, task: asyncio.Task[None], release: Callable[[], None]) -> None:
        self.tasks.discard(task)
        release()
        if self.once:
            self.over.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


class RelayAcceptor(Acceptor):
    """Hands sockets on as ends."""

    tells_limit = False

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: ServerLimits, listening: Listening) -> None:
        super().__init__(loop, limits, _no_protocol)
        self._ends_loop = loop
        self._timeout = limits.handshake_timeout
        self._listening = listening

    async def start(self, sock: socket.socket, slot: Slot, tls: ssl.SSLContext | None) -> None:
        """Make an end of a socket, after TLS."""
        plain = SocketEnd(self._ends_loop, sock, _peer_name(sock))
        try:
            end = await self._secure(plain, tls)
        except BaseException as error:
            plain.close()  # the descriptor is the next one's, and must not be watched any more
            slot.release()
            if not isinstance(error, OSError):
                raise
            complain(f"catenet: {explain(error) if str(error) else 'the TLS handshake takes too long'}")
            return
        self._listening.begin(end, slot.release)

    async def _secure(self, end: SocketEnd, tls: ssl.SSLContext | None) -> End:
        if tls is None:
            return end
        secure = TlsEnd(end, tls, server_side=True)
        async with asyncio.timeout(self._timeout):
            await secure.handshake()
        return secure


def _no_protocol(slot: Slot) -> NoReturn:
    raise AssertionError("sockets become ends here, not protocols")


async def listen(
    args: argparse.Namespace, target: Target, sessions: Sessions, *, once: bool, most: int | None
) -> Listening:
    """Listen on `target`. Raises `UsageError` when that cannot be done."""
    options = socket_options(args)
    if options.family and not target.unix and not target.host:
        target = replace(target, host=ANY_HOST[socket.AddressFamily(options.family)])
    listening = Listening(target, sessions, once=once)
    try:
        if is_group(target):
            loop = asyncio.get_running_loop()
            group = Group(args.interface, args.loopback)
            listening.urls = [target.url]
            listening.begin(open_group(loop, target, options, group, args.datagram))
        elif is_session(target):
            await _listen_sessions(args, target, listening, 1 if once else most)
        elif is_datagram(target):
            await _listen_datagrams(args, target, options, listening)
        else:
            await _listen_streams(args, target, options, listening, most)
    except OSError as error:
        raise UsageError(f"{args.urls[0]}: {error.strerror or error}") from None
    return listening


async def _listen_streams(
    args: argparse.Namespace, target: Target, options: SocketOptions, listening: Listening, most: int | None
) -> None:
    limits = ServerLimits(max_connections=most)
    tls = tls_context(args, protocols(args.alpn)) if target.tls else None
    if target.unix:
        sockets: Sequence[socket.socket] = [listen_unix(target.unix, backlog=limits.backlog)]
        listening.urls = [target.url]
        _unlink_at_stop(listening, target.unix)
    else:
        reuse = options.reuse_port
        sockets = await listen_tcp(target.host, target.port, backlog=limits.backlog, reuse_port=reuse)
        listening.urls = _urls_of(target, sockets)
    acceptor = RelayAcceptor(asyncio.get_running_loop(), limits, listening)
    listening.on_stop(acceptor.close)
    for sock in sockets:
        options.apply(sock)
        acceptor.add(sock, tls)


async def _listen_sessions(args: argparse.Namespace, target: Target, listening: Listening, most: int | None) -> None:
    """Connections go on being accepted after the last session has begun: it may need another."""
    tls = tls_context(args, protocols(args.alpn)) if target.tls else None
    server = await serve_session_ends(target, tls, session_terms(args), most, listening.begin)
    listening.urls = server.urls
    listening.on_stop(server.refuse_others)


async def _listen_datagrams(
    args: argparse.Namespace, target: Target, options: SocketOptions, listening: Listening
) -> None:
    def arrived(flow: Flow) -> bool:
        if args.max_connections is not None and len(listening.tasks) >= args.max_connections:
            return False
        listening.begin(flow)
        return True

    flows = Flows(arrived, args.datagram)
    if target.unix:
        sockets = [listen_unix(target.unix, backlog=0, kind=socket.SOCK_DGRAM)]
        _unlink_at_stop(listening, target.unix)
        url = target.url
    else:
        sockets = await bind_udp(target.host, target.port, reuse_port=options.reuse_port)
        url = replace(target, port=sockets[0].getsockname()[1]).url
        listening.urls = _urls_of(target, sockets)
        for sock in sockets:
            tell_destinations(sock)
    for sock in sockets:
        options.apply(sock)
    listening.urls = listening.urls or [url]
    listening.on_stop(flows.stop_listening)
    flows.start(asyncio.get_running_loop(), sockets, [url])


def _urls_of(target: Target, sockets: Sequence[socket.socket]) -> list[str]:
    """Where it listens: the host as it was given; without one all addresses, each IP version by itself."""
    if target.host:
        return [replace(target, port=sockets[0].getsockname()[1]).url]
    return [replace(target, host=sock.getsockname()[0], port=sock.getsockname()[1]).url for sock in sockets]


def _unlink_at_stop(listening: Listening, path: str) -> None:
    if not path.startswith("@"):
        listening.on_stop(partial(Path(path).unlink, missing_ok=True))


def _peer_name(sock: socket.socket) -> str:
    try:
        peer = sock.getpeername()
    except OSError:
        return "a peer that is gone"
    if isinstance(peer, tuple):
        return f"tcp://{host_and_port(peer[0], peer[1])}"
    return f"unix:{peer}" if isinstance(peer, str) and peer else "a peer on a Unix socket"
