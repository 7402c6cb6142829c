"""A server or a client for a datagram core of five verbs: UDP over both IP versions, limits, draining.

`serve_datagrams(core, ["udp://[::]:7"])`, `connect_datagrams(Core, "udp://example.org:7")`. asyncio's datagram
transports tell neither to which address a datagram came, so that a host with several answers from the wrong one, nor
when their queue is full. So sockets are read and written here, with a reader on each as `catenet.net.accept` has.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from catenet.net import dial
from catenet.net.bursts import BATCH, MAX_DATAGRAM, TRUNCATED, Bursts, Glance
from catenet.net.client import ConnectError
from catenet.net.connection import Alarm, Alarmed, EventQueue
from catenet.net.core import DatagramCore, Peer, check_core, check_factory
from catenet.net.dial import SocketName
from catenet.net.listen import bind_udp
from catenet.net.opening import when_open
from catenet.net.pktinfo import CONTROL_SIZE, Control, answering, forget_errors, tell_destinations, tell_errors
from catenet.net.segments import NOT_AT_ONCE, SEGMENT_CONTROL_SIZE, Segments, take_many
from catenet.net.target import DATAGRAM_SCHEMES, SCHEMES, Scheme, host_and_port, parse_target, refuse_scheme
from catenet.net.tls import explain

__all__ = ["DatagramEndpoint", "DatagramPeer", "connect_datagrams", "serve_datagrams"]

E = TypeVar("E")

SEND_BATCH = 256
TURNS = 8
"""Answers that are waited for before others get their turn."""


@dataclass(frozen=True, slots=True)
class DatagramPeer:
    """A peer: its address, the socket that it uses, and what makes answers leave from the address that it asked."""

    address: SocketName
    index: int = 0
    control: Control | None = None

    @property
    def name(self) -> str:
        """`host:port`."""
        return self.address if isinstance(self.address, str) else host_and_port(self.address[0], self.address[1])


class DatagramEndpoint(Alarmed, Generic[E]):
    """Sockets that one core uses. After calls on `core` say `flush`. One task at a time may ask for events.

    `urls`: where it listens, or the one that it is connected to. `many`: datagrams of one peer that come close together
    are handed over at once, and answers that come soon are waited for. Then a core may have `receive_many`, and
    `awaited`: how many datagrams come before it has something to say. `errors`: ICMP messages are heard though the
    sockets are not connected (IP_RECVERR).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        core: DatagramCore[E],
        sockets: Iterable[socket.socket],
        urls: Iterable[str],
        keep_events: bool = True,
        connected: bool = False,
        many: bool = False,
        errors: bool = False,
    ) -> None:
        self.core = core
        self.urls = list(urls)
        self._loop = loop
        self._sockets = list(sockets)
        self._alarm = Alarm(loop)
        self._events: EventQueue[E] | None = EventQueue() if keep_events else None
        self._queue: deque[tuple[bytes | Segments, DatagramPeer]] = deque()
        self._at_once = True
        self._errors = errors
        self._last = DatagramPeer("")
        self._blocked: socket.socket | None = None
        self._connected = connected
        self._reading = False
        self._again = False
        self._quiet: asyncio.Future[None] | None = None
        for sock in self._sockets:
            sock.setblocking(False)
        if errors:
            for sock in self._sockets:
                tell_errors(sock)
        joined = many and min((take_many(sock) for sock in self._sockets), default=False)
        self._control_size = CONTROL_SIZE + SEGMENT_CONTROL_SIZE if joined else CONTROL_SIZE
        self._bursts: Bursts[DatagramPeer] | None = Bursts(self, self._control_size) if many else None
        self._glance = Glance()
        self._go()

    # For its user.

    @property
    def places(self) -> list[tuple[int, str]]:
        """Family and host of each socket, by the index that a `DatagramPeer` names."""
        return [(sock.family, sock.getsockname()[0]) for sock in self._sockets]

    async def next_event(self) -> E | None:
        """Return the next event, or None when the endpoint is closed."""
        assert self._events is not None, "nobody asked for events"
        event = await self._events.get()
        self._go()
        return event

    async def __aiter__(self) -> AsyncIterator[E]:
        while (event := await self.next_event()) is not None:
            yield event

    def flush(self) -> None:
        """Send what the core has."""
        if self._sockets:
            self._go()

    async def drain(self, grace: float | None = None) -> None:
        """Let the core finish what has begun, for `grace` seconds at most; then close."""
        self.core.drain(self._loop.time())
        self._quiet = self._loop.create_future()
        self.flush()
        await asyncio.wait([self._quiet], timeout=grace)
        self.close()

    def close(self) -> None:
        """Close the sockets at once."""
        self._read(False)
        if self._blocked is not None:
            self._loop.remove_writer(self._blocked)
            self._blocked = None
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self.urls.clear()
        self._queue.clear()
        self._alarm.close()
        if self._events is not None:
            self._events.end(None)

    async def __aenter__(self) -> DatagramEndpoint[E]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    # The core.

    def on_alarm(self, due: float) -> None:
        """The core has something to do, unless its deadline has moved since."""
        if not self._sockets:
            return
        now = max(self._loop.time(), due)
        deadline = self.core.next_deadline()
        if deadline is not None and deadline <= now:
            self.core.handle_timeout(now)
        self._go()

    def _go(self) -> None:
        """See to what a verb has led to: events, output, the next deadline, the end of a drain."""
        if not self._sockets:
            return
        core, events = self.core, self._events
        while (events is None or not events.full) and (event := core.next_event()) is not None:
            if events is not None:
                events.put(event)
        self._send_all()
        self._alarm.set(core.next_deadline(), self)
        # A core that can say nothing should hear nothing either: what it would have to say has no limit here.
        self._read(self._blocked is None and not (events is not None and events.full))
        if self._quiet is not None and core.idle and not self._queue and not self._quiet.done():
            self._quiet.set_result(None)

    # Input.

    def _read(self, wanted: bool) -> None:
        if wanted is self._reading:
            return
        self._reading = wanted
        for index, sock in enumerate(self._sockets):
            if wanted:
                when_open(partial(self._watch, sock, index))
            else:
                self._loop.remove_reader(sock)

    def _watch(self, sock: socket.socket, index: int) -> None:
        if self._reading:
            self._loop.add_reader(sock, self._readable, index)

    def _readable(self, index: int) -> None:
        try:
            if self._bursts is not None:
                self._receive_bursts(self._bursts, index)
            else:
                self._receive_batch(index, self._loop.time())
        finally:
            self._go()

    def _receive_batch(self, index: int, now: float) -> None:
        for _ in range(BATCH):
            try:
                data, control, flags, address = self._sockets[index].recvmsg(MAX_DATAGRAM, self._control_size)
            except (BlockingIOError, InterruptedError):
                if self._errors:
                    forget_errors(self._sockets[index])
                break
            except OSError as error:  # ICMP about what was sent before
                self.core.handle_error(error, now)
                continue
            if not flags & TRUNCATED:
                self.core.receive(data, self.peer_of(address, index, answering(control) if control else None), now)
            if self._events is not None and self._events.full:
                break

    def _receive_bursts(self, bursts: Bursts[DatagramPeer], index: int) -> None:
        """Take what is there; a core that says what it waits for answers, and what follows is looked for."""
        sock, glance, looks = self._sockets[index], self._glance, 0
        glance.begin()
        for _ in range(TURNS):
            wanted = getattr(self.core, "awaited", 0)
            found = bursts.read(sock, index, wanted or BATCH, looks)
            if not found:
                if looks:
                    glance.missed()
                elif self._errors:
                    forget_errors(sock)
                return
            if looks:
                glance.found()
            if not wanted:
                return
            answered = self._send_all()
            looks = glance.looks()
            if not looks or self._blocked is not None or (found >= wanted and not answered):
                return

    def peer_of(self, address: SocketName, index: int, control: Control | None) -> DatagramPeer:
        """Return the peer of a datagram; the same object as of the one before if it is the same."""
        last = self._last
        if address != last.address or index != last.index or control != last.control:
            self._last = last = DatagramPeer(address, index, control)
        return last

    def take(self, data: bytes, size: int, peer: DatagramPeer) -> None:
        """Datagrams of `size` bytes have come at once; a core may want them so."""
        core, now = self.core, self._loop.time()
        if not 0 < size < len(data):
            core.receive(data, peer, now)
            return
        receive_many = getattr(core, "receive_many", None)
        if receive_many is not None:
            receive_many(data, size, peer, now)
            return
        for start in range(0, len(data), size):
            core.receive(data[start : start + size], peer, now)

    def take_error(self, error: OSError) -> None:
        """ICMP says something about what was sent before."""
        self.core.handle_error(error, self._loop.time())

    # Output.

    def _send_all(self) -> bool:
        """Send until the core has nothing more, or the kernel takes nothing more; return whether anything was sent."""
        queue, core = self._queue, self.core
        for sent in range(SEND_BATCH):
            if self._blocked is not None:
                return sent > 0
            if not queue:
                for data, peer in core.transmit(self._loop.time()):
                    queue.append((data, _ours(peer)))
                if not queue:
                    return sent > 0
            self._send(*queue.popleft())
        if not self._again:
            self._again = True
            self._loop.call_soon(self._go_again)
        return True

    def _go_again(self) -> None:
        self._again = False
        self._go()

    def _send(self, data: bytes | Segments, peer: DatagramPeer) -> None:
        sock = self._sockets[peer.index]
        control = [] if peer.control is None else [peer.control]
        address = None if self._connected else peer.address
        try:
            if isinstance(data, bytes):
                sock.sendmsg([data], control, 0, address)
            elif self._at_once:
                sock.sendmsg(data.buffers, [*control, data.control], 0, address)
            else:
                self._queue.extendleft([(one, peer) for one in reversed(list(data))])
        except (BlockingIOError, InterruptedError):
            self._queue.appendleft((data, peer))
            self._blocked = sock
            self._loop.add_writer(sock, self._writable)
        except OSError as error:
            if not isinstance(data, bytes) and error.errno in NOT_AT_ONCE:
                self._at_once = False
                self._queue.appendleft((data, peer))
            else:
                self.core.handle_error(error, self._loop.time())

    def _writable(self) -> None:
        if self._blocked is not None:
            self._loop.remove_writer(self._blocked)
            self._blocked = None
        self._go()


async def serve_datagrams(
    core: DatagramCore[E],
    urls: str | Iterable[str],
    *,
    keep_events: bool = False,
    schemes: Mapping[str, Scheme] = DATAGRAM_SCHEMES,
    reuse_port: bool = False,
    many: bool = False,
) -> DatagramEndpoint[E]:
    """Let `core` serve all datagrams that come to `urls` (`udp://host:port`; port 0 is any).

    Answers leave from the address that was asked. `keep_events`: somebody asks for the core's events, or it is not
    read any more. Raises `ValueError` for a wrong URL, `OSError`; then nothing listens.
    """
    loop = asyncio.get_running_loop()
    check_core(core, "serve_datagrams")
    sockets: list[socket.socket] = []
    bound: list[str] = []
    try:
        for url in [urls] if isinstance(urls, str) else urls:
            refuse_scheme(url, schemes, SCHEMES, "serve")
            target = parse_target(url, listening=True, schemes=schemes, default=next(iter(schemes)))
            found = await bind_udp(target.host, target.port, reuse_port=reuse_port)
            sockets += found
            bound.append(replace(target, port=found[0].getsockname()[1]).url)
        for sock in sockets:
            tell_destinations(sock)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return DatagramEndpoint(loop, core, sockets, bound, keep_events, many=many)


async def connect_datagrams(
    factory: Callable[[Peer], DatagramCore[E]],
    url: str,
    *,
    schemes: Mapping[str, Scheme] = DATAGRAM_SCHEMES,
    source: tuple[str, int] | None = None,
) -> DatagramEndpoint[E]:
    """Make a core for the peer that `url` names, with a socket of its own that hears nobody else.

    The first address that there is a route to is taken: whether anybody is there, only the protocol can tell. `source`:
    address and port (0: any) of the socket. Raises `ValueError` for a wrong URL, `catenet.net.client.ConnectError`.
    """
    loop = asyncio.get_running_loop()
    check_factory(factory, "connect_datagrams")
    refuse_scheme(url, schemes, SCHEMES, "connect")
    target = parse_target(url, schemes=schemes, default=next(iter(schemes)))
    failure: OSError = OSError("no addresses")
    try:
        endpoints = await dial.resolve(loop, target, socket.SOCK_DGRAM, source)
    except OSError as error:
        raise ConnectError(f"cannot connect to {target.url}: {explain(error)}") from None
    for endpoint in endpoints:
        sock = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        try:
            if endpoint.source is not None:
                sock.bind(endpoint.source)
            sock.connect(endpoint.address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        return DatagramEndpoint(loop, factory(DatagramPeer(endpoint.address)), [sock], [target.url], connected=True)
    raise ConnectError(f"cannot connect to {target.url}: {explain(failure)}")


def _ours(peer: Peer) -> DatagramPeer:
    if not isinstance(peer, DatagramPeer):
        raise TypeError(f"a core returned {peer!r} for a peer, which it was not given")
    return peer
