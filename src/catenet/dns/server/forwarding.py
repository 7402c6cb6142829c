"""The sockets, timers and connections of forwarding."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from catenet.dns.response import ExtendedError, Response
from catenet.dns.server.fast.answers import Answers, Entry
from catenet.dns.server.fast.forward import ForwardQuery, ForwardTable, Port
from catenet.dns.server.request import Request
from catenet.dns.stream import StreamQueries
from catenet.net import connect
from catenet.net.target import host_and_port
from catenet.wire.dns.message import Question
from catenet.wire.dns.numbers import SERVFAIL

__all__ = ["Forwarder"]

NO_REACHABLE_AUTHORITY: Final = 22
STREAM_TIME: Final = 5.0
MOST_STREAMS: Final = 100


class Forwarder:
    """A backend that asks recursive servers, and checks nothing of what they say.

    `answers` are those that it fills, `tick` lets them know the time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: Sequence[tuple[str, int]],
        answers: Answers,
        tick: Callable[[float], None],
        most: int,
    ) -> None:
        self._loop = loop
        self._servers = list(servers)
        self._tick = tick
        self.table = ForwardTable(servers, answers, most, self._watch, self._unwatch, self._by_stream)
        self._timer: asyncio.TimerHandle | None = None
        self._streams: set[asyncio.Task[None]] = set()

    # As the chain and the datagrams see it.

    def ask(self, request: Request, question: Question, done: Callable[[Response | Entry], None]) -> None:
        """Ask for one client, or several that wait together."""
        data = request.message.data
        self.table.ask(
            request.key(question), data[12 : request.message.questions_end], partial(_end, done), self._loop.time()
        )
        self.arm()

    def arm(self) -> None:
        """See to it that what has no answer is asked again."""
        if self._timer is None and (due := self.table.next_deadline()) is not None:
            self._timer = self._loop.call_at(due, self._on_time)

    @property
    def is_personal(self) -> bool:
        """False: servers are not told who asks."""
        return False

    def close(self) -> None:
        """Stop at once."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._streams:
            task.cancel()
        self.table.close()

    # Sockets and time.

    def _watch(self, port: Port) -> None:
        self._loop.add_reader(port.sock, self._read, port)

    def _unwatch(self, port: Port) -> None:
        self._loop.remove_reader(port.sock)

    def _read(self, port: Port) -> None:
        now = self._loop.time()
        self._tick(now)
        self.table.receive(port, now)

    def _on_time(self) -> None:
        self._timer = None
        self.table.handle_timeout(self._loop.time())
        self.arm()

    # Answers that do not fit into a datagram.

    def _by_stream(self, query: ForwardQuery) -> None:
        if len(self._streams) >= MOST_STREAMS:
            self.table.finish(query, None)
            return
        task = self._loop.create_task(self._ask_by_stream(query))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _ask_by_stream(self, query: ForwardQuery) -> None:
        table = self.table
        url = "tcp://" + host_and_port(*self._servers[query.server])
        message = table.message(query)
        core = StreamQueries()
        try:
            async with asyncio.timeout(STREAM_TIME):
                async with await connect(core, url) as connection:
                    core.send(message)
                    await connection.drained()
                    async for reply in connection:
                        if reply[:2] == message[:2] and table.fits(query, reply):
                            table.deliver(query, reply, self._loop.time())
                            return
        except (OSError, TimeoutError):
            pass
        table.try_again(query, self._loop.time())
        self.arm()


def _end(done: Callable[[Response | Entry], None], entry: Entry | None) -> None:
    if entry is None:
        done(Response(SERVFAIL, errors=[ExtendedError(NO_REACHABLE_AUTHORITY)]))
    else:
        done(entry)
