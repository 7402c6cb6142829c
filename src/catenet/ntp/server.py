"""A server of the time on UDP: `await serve("ntp://[::]:123", Kernel())`. It reads the clock and never sets one.

Requests are stamped by the kernel as they come (SO_TIMESTAMPNS), answers as late as an interpreter can; when an answer
has really left, the next one in interleaved mode tells (RFC 9769). Answers leave from the address that was asked.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from catenet.net.arrival import ARRIVAL_CONTROL_SIZE, arrived, tell_arrivals
from catenet.net.listen import bind_udp
from catenet.net.opening import when_open
from catenet.net.pktinfo import CONTROL_SIZE, answering, is_wildcard, tell_destinations
from catenet.net.target import parse_target
from catenet.ntp.asking import SCHEMES
from catenet.ntp.keys import Key
from catenet.ntp.packet import MAX_PACKET
from catenet.ntp.rates import Access, Rate
from catenet.ntp.reference import Reference
from catenet.ntp.responder import MOST_REMEMBERED, Counters, Responder, Sealer

__all__ = ["Server", "ServerOptions", "serve"]

_log = logging.getLogger(__name__)
BATCH: Final = 64
"""Requests that are answered in one turn of the event loop, so that others get their turn too."""
BUFFER: Final = 1 << 20
"""Bytes that may wait in the kernel: a burst while this process does something else."""
_CONTROL_SIZE: Final = CONTROL_SIZE + ARRIVAL_CONTROL_SIZE


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Whom a server answers, and how.

    * `keys`: symmetric keys by identifier; who has none is answered too, without a MAC.
    * `rate`: of answers to one client.
    * `access`: which clients are told the time; others get DENY.
    * `interleaved`: answers in interleaved mode too (RFC 9769).
    * `sealer`: Network Time Security.
    * `control`: answers control messages of this host, and of no other (RFC 9327).
    * `clock`: what is told, Unix time in nanoseconds, instead of the system's clock.
    """

    keys: Mapping[int, Key] | None = None
    rate: Rate = field(default_factory=Rate)
    access: Access | None = None
    interleaved: bool = True
    sealer: Sealer | None = None
    clock: Callable[[], int] | None = None
    control: bool = False


class Server:
    """Made by `serve`. `urls`: where it listens."""

    def __init__(
        self,
        responder: Responder,
        sockets: Iterable[socket.socket],
        urls: Iterable[str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._clock = clock
        self.urls = list(urls)
        self._responder = responder
        self._sockets = list(sockets)
        self._loop = asyncio.get_running_loop()
        for sock in self._sockets:
            sock.setblocking(False)
            tell_destinations(sock)
            tell_arrivals(sock)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            when_open(partial(self._begin, sock))

    def _begin(self, sock: socket.socket) -> None:
        if sock in self._sockets:
            self._loop.add_reader(sock, self._answer_batch, sock, is_wildcard(sock))

    @property
    def counters(self) -> Counters:
        """What became of the requests so far."""
        return self._responder.counters

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def reload(self) -> None:
        """There is nothing to be read again."""

    async def drain(self, grace: float | None = None) -> None:
        """Close: no answer waits for anything."""
        self.close()

    def close(self) -> None:
        """Answer nothing any more."""
        if self._sockets:
            _log.info("%s", self.counters)
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets.clear()
        self.urls.clear()

    def _answer_batch(self, sock: socket.socket, wildcard: bool) -> None:
        responder = self._responder
        answer, departed, clock = responder.answer, responder.departed, self._clock or time.time_ns
        # The kernel stamps by the system's clock.
        ahead = 0 if self._clock is None else self._clock() - time.time_ns()
        receive, send, send_to, now = sock.recvmsg, sock.sendmsg, sock.sendto, self._loop.time()
        for _ in range(BATCH):
            try:
                data, control, _, address = receive(MAX_PACKET + 1, _CONTROL_SIZE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # ICMP about what was sent before
                continue
            stamp = arrived(control) if control else None
            received = clock() if stamp is None else stamp + ahead
            reply = answer(data, address[0], received, now)
            if reply is None:
                continue
            local = answering(control) if wildcard else None
            try:
                if local is None:
                    send_to(reply, address)
                else:
                    send([reply], [local], 0, address)
            except OSError:
                continue  # lost, as datagrams are: the client asks again
            departed(clock())


async def serve(
    urls: str | Iterable[str],
    reference: Reference,
    options: ServerOptions | None = None,
    *,
    rng: random.Random | None = None,
    reuse_port: bool = False,
) -> Server:
    """Tell the time of this machine's clock on `urls`, `ntp://host:port`; port 0 is any.

    `reference` says how good the clock is. Raises `ValueError` for a wrong URL, `OSError`; then nothing listens.
    """
    options = options or ServerOptions()
    responder = Responder(
        reference,
        options.clock or time.time_ns,
        random.SystemRandom() if rng is None else rng,
        keys=options.keys,
        sealer=options.sealer,
        rate=options.rate,
        access=options.access,
        most_remembered=MOST_REMEMBERED if options.interleaved else 0,
        control=options.control,
    )
    sockets: list[socket.socket] = []
    bound: list[str] = []
    try:
        for url in [urls] if isinstance(urls, str) else urls:
            target = parse_target(url, listening=True, schemes=SCHEMES, default="ntp")
            found = await bind_udp(target.host, target.port, reuse_port=reuse_port)
            sockets += found
            bound.append(replace(target, port=found[0].getsockname()[1]).url)
        return Server(responder, sockets, bound, options.clock)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
