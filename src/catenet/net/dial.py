"""Connecting to whichever address of a name answers first (RFC 8305, Happy Eyeballs 2).

`HappyEyeballs` decides and does nothing; `connect_first` carries it out on an event loop. Addresses come
from `getaddrinfo`, which returns them in the order of RFC 6724.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from catenet.net.callbacks import Callbacks
from catenet.net.target import Target
from catenet.net.tls import explain
from catenet.net.tls_source import TlsSource, context_now

__all__ = [
    "Candidate",
    "ClientTls",
    "Closable",
    "Endpoint",
    "HappyEyeballs",
    "SocketName",
    "addresses",
    "connect",
    "connect_first",
    "interleave",
    "no_name",
    "resolve",
    "secure",
]

A = TypeVar("A")

CONNECTION_ATTEMPT_DELAY = 0.25
"""Seconds between the starts of two attempts (RFC 8305 section 8)."""

SocketName = tuple[str, int] | tuple[str, int, int, int] | str
"""An address as the functions of `socket` take it; a `str` is that of a Unix socket."""


def interleave(addresses: Iterable[A], is_ipv6: Sequence[bool]) -> list[A]:
    """Return addresses with the families in turn, beginning with the family of the first (RFC 8305 section 4)."""
    pairs = list(zip(addresses, is_ipv6, strict=True))
    if not pairs:
        return []
    first = [address for address, six in pairs if six is pairs[0][1]]
    second = [address for address, six in pairs if six is not pairs[0][1]]
    mixed: list[A] = []
    for index in range(max(len(first), len(second))):
        mixed += first[index : index + 1] + second[index : index + 1]
    return mixed


class HappyEyeballs(Generic[A]):
    """Which address to try when: staggered starts, the next at once when one fails (RFC 8305 section 5).

    The driver starts what `next_attempt` returns, tells of failures, and cancels the rest when one succeeds.
    """

    def __init__(self, addresses: Sequence[A], now: float, delay: float = CONNECTION_ATTEMPT_DELAY) -> None:
        self._waiting = list(addresses)
        self._delay = delay
        self._due = now
        self._running = 0

    def next_attempt(self, now: float) -> A | None:
        """Return the address whose attempt starts now, or None if it is not time or all have been tried."""
        if not self._waiting or now < self._due:
            return None
        self._due = now + self._delay
        self._running += 1
        return self._waiting.pop(0)

    def next_deadline(self) -> float | None:
        """Return when the next attempt is due, or None if all have been started."""
        return self._due if self._waiting else None

    def attempt_failed(self, now: float) -> None:
        """One of the attempts has failed: the next is due at once."""
        self._running -= 1
        self._due = min(self._due, now)

    @property
    def exhausted(self) -> bool:
        """Whether every address has been tried and none is still being tried."""
        return not self._waiting and self._running == 0


# On an event loop.


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One socket address: `family` as in `socket`, `address` as its functions take it, `source` to leave from."""

    family: int
    address: SocketName
    source: SocketName | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS on a connection that is dialled: `server_name` is what the certificate must name."""

    context: TlsSource
    server_name: str


class Closable(Protocol):
    """What a connection must be so that it can be raced for: one that comes too late is closed."""

    def close(self) -> None:
        """Close the connection."""


B = TypeVar("B", bound=Callbacks)
P = TypeVar("P", bound=Closable)


class Candidate(asyncio.Protocol):
    """A connection that may win the race. Next to nothing is read until it has, and nothing is lost."""

    transport: asyncio.Transport | None = None

    def __init__(self) -> None:
        self.error: str | None = None
        self._early: list[bytes] = []
        self._eof = False
        self._successor: Callbacks | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing yet."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Keep what comes nevertheless: uvloop begins to read after `connection_made`, whatever that has said."""
        self._early.append(data)
        if self.transport is not None:  # otherwise TLS has been agreed upon in this turn
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep our direction, where that is possible."""
        self._eof = True
        return self.transport is not None and self.transport.can_write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """Remember why, or tell who has it now: TLS may have settled to call us before it was handed over."""
        if self._successor is not None:
            self._successor.connection_lost(error)
        self.error = "the server closed the connection at once" if error is None else explain(error)

    def close(self) -> None:
        """It has lost."""
        if self.transport is not None:
            self.transport.abort()

    def hand_over(self, protocol: Callbacks) -> None:
        """It has won."""
        transport = self.transport
        assert transport is not None
        self._successor = protocol
        transport.set_protocol(cast(asyncio.Protocol, protocol))
        protocol.connection_made(transport)
        early, self._early = b"".join(self._early), []
        if early:
            protocol.data_received(early)
        if self._eof and not protocol.eof_received():
            transport.close()
        elif not self._eof and not transport.is_closing():
            transport.resume_reading()


AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]


async def addresses(
    loop: asyncio.AbstractEventLoop, host: str | None, port: int, kind: int, flags: int = 0
) -> Sequence[AddressInfo]:
    """Return what `getaddrinfo` finds. Raises `OSError`, also for what can be no name (RFC 1035 section 2.3.4)."""
    try:
        return await loop.getaddrinfo(host, port, type=kind, flags=flags)
    except UnicodeError:
        raise no_name(host) from None


def no_name(host: str | None) -> OSError:
    """Return the error of what can be no name."""
    return OSError(f"{host!r} is no name of a host")


async def resolve(
    loop: asyncio.AbstractEventLoop,
    target: Target,
    kind: int = socket.SOCK_STREAM,
    source: tuple[str, int] | None = None,
) -> list[Endpoint]:
    """Return the addresses of a target, families in turn; of one family if there is a source. Raises `OSError`."""
    unix = target.unix
    if unix:
        return [Endpoint(socket.AF_UNIX, "\0" + unix[1:] if unix.startswith("@") else unix)]
    found = _numeric(target, kind) or await addresses(loop, target.host, target.port, kind)
    endpoints = list(dict.fromkeys(Endpoint(family, address) for family, *_, address in found))
    if source is not None:
        family, *_, place = (await addresses(loop, *source, kind, socket.AI_NUMERICHOST))[0]
        endpoints = [replace(endpoint, source=place) for endpoint in endpoints if endpoint.family == family]
        if not endpoints:
            raise OSError(f"{target.host} has no address that {source[0]} can reach")
    return interleave(endpoints, [endpoint.family == socket.AF_INET6 for endpoint in endpoints])


def _numeric(target: Target, kind: int) -> Sequence[AddressInfo]:
    """What an address stands for, which needs no thread; nothing for a name."""
    host = target.host
    if ":" not in host and not host.replace(".", "").isdigit():
        return ()
    try:
        return socket.getaddrinfo(host, target.port, type=kind, flags=socket.AI_NUMERICHOST)
    except OSError:
        return ()


async def connect(
    loop: asyncio.AbstractEventLoop, endpoint: Endpoint, factory: Callable[[], B], tls: ClientTls | None = None
) -> B:
    """Connect to one address; return what `factory` made, connected. Raises `OSError`."""
    options: dict[str, Any] = (
        {} if tls is None else {"ssl": context_now(tls.context), "server_hostname": tls.server_name}
    )
    address = endpoint.address
    if endpoint.source is not None:
        return await _connect_bound(loop, endpoint, factory, options)
    if isinstance(address, str):
        if address.startswith("\0"):  # abstract (Linux unix(7)): libuv, and so uvloop, takes its first byte for its end
            return await _connect_abstract(loop, address, factory, options)
        _, protocol = await loop.create_unix_connection(_plain(factory), address, **options)
    else:
        host, port = address[:2]
        _, protocol = await loop.create_connection(_plain(factory), host, port, family=endpoint.family, **options)
    return cast(B, protocol)


def _plain(factory: Callable[[], B]) -> Callable[[], asyncio.Protocol]:
    """Return the same, as event loops are typed."""
    return cast(Callable[[], asyncio.Protocol], factory)


async def secure(loop: asyncio.AbstractEventLoop, candidate: Candidate, tls: ClientTls) -> Candidate:
    """Begin TLS on a connection; return what takes its place. Raises `OSError`, `ssl.SSLError`."""
    assert candidate.transport is not None
    if candidate._early:
        raise ConnectionError("the server speaks before TLS has begun")
    inner = Candidate()
    transport = await loop.start_tls(
        candidate.transport, inner, context_now(tls.context), server_hostname=tls.server_name
    )
    if transport is None or inner.error is not None:
        raise ConnectionResetError(inner.error or "the server closed the connection at once")
    inner.connection_made(transport)
    return inner


async def _connect_bound(
    loop: asyncio.AbstractEventLoop, endpoint: Endpoint, factory: Callable[[], B], options: dict[str, Any]
) -> B:
    """Connect from an address, and a port that may have been used a moment ago."""
    assert endpoint.source is not None
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(endpoint.source)
        await loop.sock_connect(sock, endpoint.address)
        _, protocol = await loop.create_connection(_plain(factory), sock=sock, **options)
    except BaseException:
        sock.close()
        raise
    return cast(B, protocol)


async def _connect_abstract(
    loop: asyncio.AbstractEventLoop, address: str, factory: Callable[[], B], options: dict[str, Any]
) -> B:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        _, protocol = await loop.create_unix_connection(_plain(factory), sock=sock, **options)
    except BaseException:
        sock.close()
        raise
    return cast(B, protocol)


async def connect_first(
    loop: asyncio.AbstractEventLoop, endpoints: Sequence[Endpoint], dial: Callable[[Endpoint], Coroutine[Any, Any, P]]
) -> tuple[Endpoint, P]:
    """Connect to whichever address answers first (RFC 8305); `dial` connects to one, and raises `OSError`.

    Raises the `OSError` of the attempt that failed last.
    """
    eyeballs = HappyEyeballs(endpoints, loop.time())
    attempts: dict[asyncio.Task[P], Endpoint] = {}
    error: OSError = OSError("no addresses")
    try:
        while not eyeballs.exhausted:
            endpoint = eyeballs.next_attempt(loop.time())
            if endpoint is not None:
                attempts[loop.create_task(dial(endpoint))] = endpoint
                continue
            due = eyeballs.next_deadline()
            timeout = None if due is None else max(due - loop.time(), 0)
            done, _ = await asyncio.wait(attempts, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in attempts if task in done]:
                endpoint = attempts.pop(task)
                failure = task.exception()
                if failure is None:
                    return endpoint, task.result()
                if not isinstance(failure, OSError):
                    raise failure
                error = failure
                eyeballs.attempt_failed(loop.time())
        raise error
    finally:
        for task in attempts:
            task.cancel()
            task.add_done_callback(_discard)


def _discard(task: asyncio.Task[P]) -> None:
    """Close the connection of an attempt that lost the race after all."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
