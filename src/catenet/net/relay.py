"""A relay between two ends, both ways: what comes from one goes to the other, as fast as that takes it.

An end is a stream or datagrams: a socket, TLS, pipes, a program (`catenet.net.ends`, `catenet.net.flows`). The
end of a stream is handed on in its direction only; the other one goes on. What breaks is handed on as a break.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeAlias

from catenet.net.faults import HARMLESS, Ending, Faults, FaultyDirection
from catenet.net.tls import explain

__all__ = ["End", "Filter", "Observer", "Outcome", "Piece", "RelayOptions", "relay"]

Piece: TypeAlias = "bytes | memoryview"

AS_MUCH_AS_COMES: Final = 1 << 30
GRACE: Final = 1.0
"""Seconds in which what an end has still said is read, after it could not be written to any more."""


class End(Protocol):
    """One side of a relay. One task reads, one writes; what they raise is `OSError`.

    * `datagrams`: pieces keep their bounds, an empty one is one, and there is no end to be seen.
    * `last_words`: when the other side has ended, seconds of silence after which this one has said all, as nobody sees
      the end of datagrams; None: it ends itself.
    * `afterlife`: when this one has ended, seconds of silence for which it is still written to; None: until the other
      side ends, since an end is one of one direction.
    """

    name: str
    datagrams: bool
    last_words: float | None
    afterlife: float | None

    async def read(self, most: int) -> Piece | None:
        """Return the next piece, at most so many bytes of a stream, valid until the next call; None after the last."""

    async def write(self, data: Piece) -> None:
        """Write it; returns when it is out of our hands, so that who reads slowly is waited for."""

    async def end(self) -> None:
        """Nothing more will be written."""

    def close(self) -> None:
        """Let go of it; what was written still arrives."""

    def abort(self) -> None:
        """Break it off, so that the peer sees an error."""


class Filter(Protocol):
    """Changes a stream on its way (`catenet.codec.text.Newlines`)."""

    def feed(self, data: bytes) -> bytes:
        """Return what becomes of the next piece."""

    def end(self) -> bytes:
        """Return what is left at the end."""


Observer: TypeAlias = Callable[[str, "Piece | None"], None]
"""Is told the direction, `>` from left to right or `<`, and each piece that was handed on; None: the end."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay works. Times in seconds; None: for ever.

    * `idle`: it ends when nothing has come for so long.
    * `linger`: when one direction has ended, how long the other may be silent; None: what the ends say of it.
    * `faults`, `seed`: what the link between both does.
    * `to_right`, `to_left`: filters of the directions, made anew for each relay.
    """

    idle: float | None = None
    linger: float | None = None
    faults: Faults = HARMLESS
    seed: int = 0
    to_right: Callable[[], Filter] | None = None
    to_left: Callable[[], Filter] | None = None


DEFAULTS: Final = RelayOptions()


@dataclass(slots=True)
class Outcome:
    """What a relay has done: bytes and pieces from `left` to `right` and back, seconds, why it ended.

    `failed`: not in the order of the protocol or of the user's wishes.
    """

    left: str
    right: str
    to_right: int = 0
    to_left: int = 0
    pieces_to_right: int = 0
    pieces_to_left: int = 0
    seconds: float = 0.0
    reason: str = ""
    failed: bool = False


class _Broken(Exception):
    """One direction could not go on; `reading`: its source has failed, not its sink."""

    def __init__(self, end: End, error: OSError, *, reading: bool) -> None:
        super().__init__(f"{end.name}: {explain(error)}")
        self.reading = reading
        self.quiet = isinstance(error, BrokenPipeError) and not reading


class _Over(Exception):
    """A fault has ended the relay."""

    def __init__(self, ending: Ending, after: object) -> None:
        super().__init__(f"{ending} after {after}")
        self.ending = ending


@dataclass(slots=True)
class _Direction:
    """One direction: its ends, and what has come through."""

    sign: str
    source: End
    sink: End
    filter: Filter | None
    relay: _Relay
    count: int = 0
    pieces: int = 0

    async def run(self) -> None:
        """Hand on until the source ends. Raises `_Broken`, `_Over`."""
        if self.relay.options.faults.harmless:
            while (data := await self._read(AS_MUCH_AS_COMES)) is not None:
                await self._write(data)
        else:
            await self._run_faulty()
        self.relay.observe(self.sign, None)
        try:
            await self.sink.end()
        except OSError as error:
            raise _Broken(self.sink, error, reading=False) from None

    async def _read(self, most: int) -> Piece | None:
        try:
            data = await self.source.read(most)
        except OSError as error:
            raise _Broken(self.source, error, reading=True) from None
        self.relay.touch()
        if self.filter is None:
            return data
        return await self._filtered(self.filter, data)

    async def _filtered(self, change: Filter, data: Piece | None) -> Piece | None:
        if data is not None:
            return change.feed(bytes(data))
        left = change.end()
        self.filter = None
        return left or None

    async def _write(self, data: Piece) -> None:
        if not data and not self.sink.datagrams:
            return
        self.count += len(data)
        self.pieces += 1
        self.relay.observe(self.sign, data)
        try:
            await self.sink.write(data)
        except OSError as error:
            raise _Broken(self.sink, error, reading=False) from None
        self.relay.touch()

    # Over a link with faults: what was read is on its way for a while, and then written.

    async def _run_faulty(self) -> None:
        options, loop = self.relay.options, self.relay.loop
        random = Random(f"{options.seed}{self.sign}")
        link = FaultyDirection(options.faults, random, self.relay.began, datagrams=self.source.datagrams)
        came, left = _Bell(loop), _Bell(loop)
        reading = loop.create_task(self._fill(link, came, left))
        reading.add_done_callback(lambda _: came.ring())
        try:
            while True:
                data = link.transmit(loop.time())
                if data is not None:
                    await self._write(data)
                    left.ring()
                elif (ending := link.next_event()) is not None:
                    if ending != "end":
                        raise _Over(ending, options.faults.reset if ending == "reset" else options.faults.cut)
                    return
                elif reading.done() and reading.exception() is not None and not link.queued:
                    await reading  # raises
                else:
                    await came.wait(link.next_deadline())
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled():
                reading.exception()  # seen, if it was still to be told

    async def _fill(self, link: FaultyDirection, came: _Bell, left: _Bell) -> None:
        loop = self.relay.loop
        while True:
            while not (room := link.room):
                await left.wait(None)
            data = await self._read(room)
            if data is None:
                link.receive_end(loop.time())
                return
            link.receive(bytes(data), loop.time())
            came.ring()


class _Bell:
    """Wakes one who waits; rung before, it wakes the next one who waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, due: float | None) -> None:
        """Wait for a ring, or until `due`."""
        if not self._rung:
            self._waiter = self._loop.create_future()
            timer = None if due is None else self._loop.call_at(due, self.ring)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        self._rung = False


@dataclass(slots=True)
class _Relay:
    """Both directions, the clock, and the end."""

    loop: asyncio.AbstractEventLoop
    left: End
    right: End
    options: RelayOptions
    observe: Observer
    began: float
    active: float

    def touch(self) -> None:
        self.active = self.loop.time()

    async def run(self, outcome: Outcome) -> None:
        """Run both directions, and say in `outcome` how it went."""
        options = self.options
        there = _Direction(">", self.left, self.right, options.to_right and options.to_right(), self)
        back = _Direction("<", self.right, self.left, options.to_left and options.to_left(), self)
        tasks = [self.loop.create_task(direction.run()) for direction in (there, back)]
        try:
            await self._finish(tasks, outcome)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            outcome.to_right, outcome.to_left = there.count, back.count
            outcome.pieces_to_right, outcome.pieces_to_left = there.pieces, back.pieces
            outcome.seconds = self.loop.time() - self.began

    async def _finish(self, tasks: list[asyncio.Task[None]], outcome: Outcome) -> None:
        running = set(tasks)
        while running:
            patience = self._patience(tasks[0] in running, tasks[1] in running)
            due = None if patience is None else self.active + patience
            timeout = None if due is None else max(due - self.loop.time(), 0)
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() is not None for task in done):
                await self._break(tasks, running, outcome)
                return
            if not done and patience is not None and self.loop.time() >= self.active + patience:
                self._fall_silent(patience, len(running), outcome)
                return
        outcome.reason = outcome.reason or "both directions have ended"
        for end in (self.left, self.right):
            end.close()

    def _patience(self, there: bool, back: bool) -> float | None:
        """How long it may be silent, by which of the directions still go on."""
        limits = [self.options.idle]
        if there is not back:
            ended, other = (self.left, self.right) if back else (self.right, self.left)
            limits += [ended.afterlife, other.last_words] if self.options.linger is None else [self.options.linger]
        return min((limit for limit in limits if limit is not None), default=None)

    def _fall_silent(self, patience: float, running: int, outcome: Outcome) -> None:
        outcome.reason = f"nothing came for {patience:g} s" if patience else "the other side has ended"
        if running == 1 and patience and patience != self.options.idle:
            outcome.reason = f"one direction has ended, and nothing came for {patience:g} s"
        for end in (self.left, self.right):
            end.close()

    async def _break(self, tasks: list[asyncio.Task[None]], running: set[asyncio.Task[None]], outcome: Outcome) -> None:
        failure = _worst(tasks)
        if isinstance(failure, _Broken) and not failure.reading and running:
            # Who does not listen any more may have said something before.
            await asyncio.wait(running, timeout=GRACE)
            failure = _worst(tasks)
        outcome.reason, outcome.failed = str(failure), True
        if isinstance(failure, _Over):
            for end in (self.left, self.right):
                end.abort() if failure.ending == "reset" else end.close()
            outcome.failed = False
            return
        if not isinstance(failure, _Broken):
            assert failure is not None
            raise failure
        if failure.quiet:
            outcome.failed = False
            outcome.reason = f"{outcome.reason}: nobody reads it any more"
        for end in (self.left, self.right):
            end.close() if failure.quiet else end.abort()


def _worst(tasks: list[asyncio.Task[None]]) -> BaseException | None:
    """What ended the relay: who reads is told why, who writes only that."""
    failures = [task.exception() for task in tasks if task.done() and task.exception() is not None]
    return max(failures, key=lambda failure: not isinstance(failure, _Broken) or failure.reading)


async def relay(
    left: End, right: End, options: RelayOptions = DEFAULTS, observe: Observer = lambda _sign, _data: None
) -> Outcome:
    """Relay between both until both directions have ended, or one breaks; then both ends are closed.

    `observe` is told each piece as it is written. Cancelled, it breaks both ends off.
    """
    loop = asyncio.get_running_loop()
    now = loop.time()
    outcome = Outcome(left.name, right.name)
    try:
        await _Relay(loop, left, right, options, observe, now, now).run(outcome)
    except BaseException:
        for end in (left, right):
            end.abort()
        raise
    return outcome
