"""Datagrams: sockets of a name server on an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from catenet.dns.server.chain import DESIGNATED, Chain
from catenet.dns.server.fast.answers import Answers
from catenet.dns.server.fast.drain import LONGEST_QUERY, Address, drain
from catenet.dns.server.request import UDP
from catenet.dns.server.watch import Watch
from catenet.net.opening import when_open
from catenet.net.pktinfo import CONTROL_SIZE, Control, answering, is_wildcard, tell_destinations

__all__ = ["Datagrams"]

BATCH: Final = 128
"""Datagrams of one turn of the event loop, so that connections get their turn too."""
BUFFER: Final = 4 << 20
"""Bytes that may wait in the kernel: a burst while this process does something else."""
SENSELESS_PORTS: Final = frozenset((0, 7, 13, 17, 19, 37, 464))
"""Source ports of services that answer whatever comes: an answer to them would be answered for ever."""
MOST_LANES: Final = 65_536


class Datagrams:
    """The UDP sockets of a server."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chain: Chain, sockets: Sequence[socket.socket], watch: Watch):
        self._loop = loop
        self._chain = chain
        self._watch = watch
        self._sockets = list(sockets)
        self._lanes: dict[str, Answers] = {}
        self._draining = False
        self._stopped = False
        for sock in self._sockets:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                try:
                    sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
                except OSError:
                    pass  # as large as the system lets it be
            when_open(partial(self._begin, sock))

    def _begin(self, sock: socket.socket) -> None:
        if not self._stopped:
            self._loop.add_reader(sock, self._reader(sock))

    def use(self, chain: Chain, watch: Watch) -> None:
        """Answer by another chain from now on."""
        self._chain, self._watch = chain, watch
        self._lanes.clear()

    def stop(self) -> None:
        """Read no more; answers that are waited for can still be sent."""
        self._stopped = True
        for sock in self._sockets:
            self._loop.remove_reader(sock)

    def close(self) -> None:
        """Close the sockets."""
        self.stop()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def _reader(self, sock: socket.socket) -> Callable[[], None]:
        if is_wildcard(sock):
            tell_destinations(sock)
            return partial(self._drain_messages, sock)
        return partial(self._drain, sock, partial(self._slow, sock))

    def _drain(self, sock: socket.socket, slow: Callable[[bytes, Address], None]) -> None:
        chain = self._chain
        chain.tick(self._loop.time())
        if len(self._lanes) > MOST_LANES:
            self._lanes.clear()
        counters = chain.counters
        count = drain(sock, chain.only_lane, self._lanes, self._watch.look, slow, counters.codes, BATCH)
        counters.values["queries_udp"] += count
        if chain.exact is not None and chain.backend is not None:
            chain.backend.arm()

    def _slow(self, sock: socket.socket, data: bytes, client: Address) -> None:
        """What has no answer yet: the whole chain. The client's next query may find it in its lane."""
        address = client[0]
        send = partial(self._send, sock, data, client, None)
        chain = self._chain
        exact, lane = chain.exact, self._lanes.get(address)
        if (
            exact is not None
            and lane is chain.recursive
            and client[1] not in SENSELESS_PORTS
            and DESIGNATED not in data.lower()
        ):
            form = lane.form_of(data, chain.forms)
            if form is not None and exact.take(data, form, send, self._loop.time()):
                return
        self._receive(data, client, send)
        if address not in self._lanes and (lane := self._chain.lane(address)) is not None:
            self._lanes[address] = lane

    def _receive(self, data: bytes, client: Address, send: Callable[[bytes], None]) -> None:
        if client[1] in SENSELESS_PORTS or len(data) >= LONGEST_QUERY:
            self._chain.counters.add("malformed")
            return
        reply = self._chain.receive(data, UDP, client[0], client[1], send)
        if reply:
            send(reply)

    def _send(self, sock: socket.socket, data: bytes, client: Address, control: Control | None, reply: bytes) -> None:
        if not reply:
            return  # nothing is to be said
        look = self._watch.look
        if look is not None:
            shown = look(data, client, reply[2:])
            if shown is None:
                return
            reply = reply[:2] + shown
        self._chain.counters.codes[reply[3]] += 1
        try:
            if control is None:
                sock.sendto(reply, client)
            else:
                sock.sendmsg([reply], [control], 0, client)
        except OSError:
            pass  # as in drain

    # Sockets on all addresses: the answer must leave from the one that was asked.

    def _drain_messages(self, sock: socket.socket) -> None:
        chain = self._chain
        chain.tick(self._loop.time())
        if len(self._lanes) > MOST_LANES:
            self._lanes.clear()
        for _ in range(BATCH):
            try:
                data, received, _, client = sock.recvmsg(LONGEST_QUERY, CONTROL_SIZE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue
            chain.counters.values["queries_udp"] += 1
            send = partial(self._send, sock, data, client, answering(received))
            lane = self._lanes.get(client[0])
            reply = None if lane is None else (lane.memo.get(data[2:]) or lane.look_up(data))
            if reply is not None:
                send(data[:2] + reply)
                continue
            self._receive(data, client, send)
            if lane is None and (lane := chain.lane(client[0])) is not None:
                self._lanes[client[0]] = lane
