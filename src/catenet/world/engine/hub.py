"""Who owns time: a heap of events, and what runs at this very instant in order of arrival.

`Hub.run` executes a world. The same calls in the same order give the same run, because nothing else decides: not the
machine's speed, not the order of a hash table. Everything at one instant happens in three steps, and the hub starts
again with the first whenever a later one has asked for something.

1. What was asked for at this instant (`call_soon`), first in, first out, until the queue is empty.
2. What is due by the heap: packets that arrive, deadlines of stacks, timers. An entry is `(when, sequence, event)`;
   ties break by sequence, the order in which they were asked for.
3. When nothing else is left at this instant, each program that was woken runs once (`turns`).

Then the clock moves. Programs come last, as a machine serves interrupts before processes: a program that
waits for packets and gets ten at once wakes once. Programs running among the events, in the order in which they were
woken, doubled the time of bulk transfers.

A `Clock` decides how time passes. Simulated time jumps to the next event. Real time (`RealClock`) waits for it, or
for a file descriptor: a TUN device becomes readable, its reader hands packets in, and the loop above goes on as ever.
So one hub serves simulated worlds and the real network, and nothing else in the engine knows which one it is.

Rare events may cost an object each (`Call`); what comes again and again is made once and put into the heap or the
queues as often as needed: a task's turn, a host's pump, the packets of a link (`Event`).

A `Timer` can be moved and cancelled, and that is what timers are mostly for: a program that reads with a timeout sets
one for every call and hardly any expires. Taking an entry out of the middle of a heap is expensive, so it stays. The
timer remembers when it is really due; an entry that comes up too early passes it on to the right place, and an entry
of a cancelled one is dropped. `always_due` tells the kinds apart without a call: any other entry is asked (`is_due`)
before the clock moves for its sake, since virtual time must not stop where nothing happens. Useless entries are
counted, and swept when they are most of the heap (`note_useless_entry`).

"Nothing can ever happen again" is therefore an empty heap with empty queues, and `run` returns False: a deadlock, or
the end of the world (`ending.py`). The hub knows nothing of processes, links and stacks.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

__all__ = ["NEVER", "Call", "Clock", "Event", "Hub", "RealClock", "Timer", "VirtualClock"]

Callback: TypeAlias = Callable[..., object]
Reader: TypeAlias = Callable[[float], int]

NEVER: Final = float("inf")

COMPACT_FROM: Final = 1024
"""Useless entries stay in the heap until there are this many of them and they are more than half of it."""


class Event:
    """Something that happens, at a time or soon."""

    __slots__ = ()

    always_due = True
    """Whether `is_due` need not be asked."""

    def happen(self, when: float, sequence: int) -> None:
        """Do what the event is for. `when` is the time of its entry in the heap, or now for an event in `soon`."""
        raise NotImplementedError

    def is_due(self, when: float, sequence: int) -> bool:
        """Whether this entry is still wanted when it comes up; if not, calling `happen` early removes it."""
        return True


class Call(Event):
    """A callback."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callback, args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args

    def happen(self, when: float, sequence: int) -> None:
        """Call it."""
        self.callback(*self.args)


class Timer(Event):
    """An event that can be moved and cancelled, at almost no cost.

    The heap holds at least one entry at or before `when`. An entry that comes up and is not the event itself (which was
    cancelled, or moved to a later time) is moved to where it belongs, before the clock moves; so a program that
    waits with a timeout, again and again, and is nearly always served in time, has one entry in the heap and not one
    for each wait. Events that are due at the same time run in the order in which they were set.
    """

    __slots__ = ("_hub", "args", "callback", "queued", "sequence", "when")

    always_due = False

    def __init__(self, hub: Hub, callback: Callback, args: tuple[Any, ...]) -> None:
        self._hub = hub
        self.callback: Callback | None = callback
        self.args = args
        self.when = NEVER
        self.sequence = 0
        self.queued = NEVER
        """Time of its earliest entry in the heap."""

    def set(self, when: float) -> None:
        """Set the event to `when`, instead of any earlier setting."""
        hub = self._hub
        hub.sequence = self.sequence = sequence = hub.sequence + 1
        self.when = when
        if when < self.queued:
            if self.queued != NEVER:
                hub.note_useless_entry()
            self.queued = when
            heappush(hub.heap, (when, sequence, self))

    def clear(self) -> None:
        """Cancel the event; it can be set again."""
        self.when = NEVER

    def cancel(self) -> None:
        """Cancel the event for good and release its callback; harmless to repeat."""
        self.when = NEVER
        if self.callback is not None:
            self.callback = None
            self.args = ()
            if self.queued != NEVER:
                self._hub.note_useless_entry()

    def is_due(self, when: float, sequence: int) -> bool:
        """Whether the entry is the event itself."""
        return sequence == self.sequence and when == self.when

    def happen(self, when: float, sequence: int) -> None:
        """Call the callback if the entry that came up is the event itself, else move it to where it belongs."""
        if sequence != self.sequence or when != self.when:
            self._requeue(when)
            return
        self.when = NEVER
        if self.queued == when:
            self.queued = NEVER
        if self.callback is not None:
            self.callback(*self.args)

    def _requeue(self, when: float) -> None:
        hub = self._hub
        if self.queued != when:
            hub.drop_useless_entry()
        elif self.when == NEVER:
            self.queued = NEVER
            if self.callback is None:
                hub.drop_useless_entry()
        else:
            self.queued = self.when
            heappush(hub.heap, (self.when, self.sequence, self))


class Clock(Protocol):
    """How time passes for a hub."""

    def start(self, now: float) -> None:
        """Begin a run with the hub's clock at `now`."""

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Let time pass up to `until` (None: nothing is due) and return the new time; None when no event can come."""


class VirtualClock:
    """Simulated time, which jumps to the next event."""

    def start(self, now: float) -> None:
        """Nothing to prepare."""

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Jump to `until`."""
        return until


BUSY_POLL_TIME: Final = 100e-6
"""Seconds for which a real clock polls before it sleeps, while its waits are short: an answer that comes at once is
then read before the processor has gone to sleep and been woken."""
BUSY_POLL_FACTOR: Final = 2
"""Waits are short up to so many times as long: a wait that was slept through contains the waking, some 50 us, which
must not keep a peer that answers within BUSY_POLL_TIME from being waited for awake."""


class RealClock:
    """Real time, waiting on file descriptors of the kernel (a TUN device); for the network `tun`.

    `spin` (seconds) is how long to look for work before sleeping while work comes at short intervals; 0 never does.
    A reader's callback takes the time, serves what its descriptor has and returns how much that was (0: nothing).
    """

    def __init__(self, spin: float = BUSY_POLL_TIME) -> None:
        self.spin = spin
        self.waited = True
        """Whether nothing could be read when the last wait began."""
        self._busy = False
        self._origin: float | None = None
        self._poll = select.epoll()
        self._readers: dict[int, Reader] = {}

    def add_reader(self, descriptor: int, reader: Reader) -> None:
        """Call `reader(now)` when the kernel's `descriptor`, which must not block, can be read, or may be readable."""
        self._readers[descriptor] = reader
        self._poll.register(descriptor, select.EPOLLIN)

    def remove_reader(self, descriptor: int) -> None:
        """No longer watch `descriptor`."""
        del self._readers[descriptor]
        self._poll.unregister(descriptor)

    def start(self, now: float) -> None:
        """Pin the hub's `now` to the kernel's monotonic clock."""
        self._origin = monotonic() - now

    def advance(self, until: float | None, hub: Hub) -> float | None:
        """Wait until `until` or until a descriptor is readable, whichever comes first, and serve the descriptors."""
        if until is None and not self._readers:
            return None
        if self._busy and self._serve(hub):
            self.waited = False
            return self.time()
        begun = monotonic()
        timeout = -1.0 if until is None else max(0.0, until - self.time())
        self.waited = True
        if not (self._busy and self._spin(begun, timeout, hub)):
            ready = [] if self._busy else self._poll.poll(0)
            self.waited = not ready
            for descriptor, _ in ready or self._poll.poll(timeout):
                hub.now = max(hub.now, self.time())
                self._readers[descriptor](hub.now)
        self._busy = monotonic() - begun < BUSY_POLL_FACTOR * self.spin
        return self.time()

    def _spin(self, begun: float, timeout: float, hub: Hub) -> bool:
        """Poll for as long as sleeping would take, unless `timeout` (seconds) is shorter; whether any work came."""
        if 0 <= timeout < self.spin:
            return False
        while monotonic() - begun < self.spin:
            if self._serve(hub):
                return True
        return False

    def _serve(self, hub: Hub) -> bool:
        """Call every reader, which costs less than asking epoll which is ready; whether any found work."""
        found = 0
        for reader in self._readers.values():
            hub.now = max(hub.now, self.time())
            found += reader(hub.now)
        return found > 0

    def time(self) -> float:
        """Seconds since the hub's time 0."""
        if self._origin is None:
            self._origin = monotonic()
        return monotonic() - self._origin

    def close(self) -> None:
        """Give the epoll descriptor back."""
        self._poll.close()


class Hub:
    """Events in order of time, then of sequence."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = VirtualClock() if clock is None else clock
        self.is_real = isinstance(clock, RealClock)
        """Whether time passes by itself."""
        self._jumps = clock is None
        self.now = 0.0
        """Seconds since the world began."""
        self.soon: deque[Event] = deque()
        self.turns: deque[Event] = deque()
        """Programs that may run at this instant, in the order in which they were woken."""
        self.heap: list[tuple[float, int, Event]] = []
        self.sequence = 0
        self._useless = 0
        self._stopping = False

    def time(self) -> float:
        """Now, as a program sees it that looks: in real time the clock goes on while callbacks run."""
        clock = self.clock
        return max(self.now, clock.time()) if isinstance(clock, RealClock) else self.now

    def call_at(self, when: float, callback: Callback, *args: Any) -> None:
        """Call `callback(*args)` at `when` (now, if that has passed); cannot be cancelled, see `timer`."""
        self.sequence = sequence = self.sequence + 1
        heappush(self.heap, (when, sequence, Call(callback, args)))

    def call_later(self, delay: float, callback: Callback, *args: Any) -> None:
        """Call `callback(*args)` in `delay` seconds; cannot be cancelled."""
        self.call_at(self.now + delay, callback, *args)

    def call_soon(self, callback: Callback, *args: Any) -> None:
        """Call `callback(*args)` at this instant, after what already waits to run."""
        self.soon.append(Call(callback, args))

    def timer(self, when: float, callback: Callback, *args: Any) -> Timer:
        """As `call_at`, and return a timer that can be moved and cancelled; with NEVER it is set later."""
        timer = Timer(self, callback, args)
        if when != NEVER:
            timer.set(when)
        return timer

    def stop(self) -> None:
        """Let `run` return before the next event."""
        self._stopping = True

    def note_useless_entry(self) -> None:
        """Note that an entry of the heap has become useless; rebuild the heap when most of them are."""
        self._useless += 1
        if self._useless > COMPACT_FROM and 2 * self._useless > len(self.heap):
            kept = []
            for entry in self.heap:
                timer = entry[2]
                if isinstance(timer, Timer) and (timer.when == NEVER or entry[0] != timer.queued):
                    if entry[0] == timer.queued:
                        timer.queued = NEVER
                    continue
                kept.append(entry)
            self.heap[:] = kept
            heapify(self.heap)
            self._useless = 0

    def drop_useless_entry(self) -> None:
        """Note that a useless entry has come up."""
        self._useless = max(0, self._useless - 1)

    def next_event(self) -> float | None:
        """When the next event is due; None when there is none (something in `soon` or `turns` is due now)."""
        if self.soon or self.turns:
            return self.now
        when = self._next_due()
        return None if when == NEVER else when

    def _next_due(self) -> float:
        """When the first event of the heap is due, NEVER without any."""
        heap = self.heap
        while heap:
            when, sequence, event = heap[0]
            if event.always_due or event.is_due(when, sequence):
                return when
            heappop(heap)
            event.happen(when, sequence)
        return NEVER

    def run(self, until: float | None = None, *, idle: bool = True) -> bool:
        """Run events up to and including time `until` (None: without end).

        Returns True when `until` was reached or `stop()` called, False when nothing can ever happen any more. Up to
        `until` simulated time passes all the same, unless not `idle`: then it stands where the last thing happened.
        """
        self._stopping = False
        self.clock.start(self.now)
        soon, turns = self.soon, self.turns
        limit = NEVER if until is None else until
        while self._drain_soon():
            when = self._next_due()
            # Real time may have gone beyond `until`: what is due then happens before the turns that wait for it.
            if when > self.now:
                if turns:
                    self._take_turns()
                    continue
                if when > limit:
                    if when == NEVER and not idle and not self.is_real:
                        return False
                    if not self._pass_idle_time(limit):
                        return True
                    continue
                if not self._jumps:
                    reached = self.clock.advance(None if when == NEVER else when, self)
                    if reached is None:
                        return bool(soon or turns)
                    self.now = max(self.now, reached)
                    if soon or turns or when > self.now:
                        continue
                elif when == NEVER:
                    return False
                else:
                    self.now = when
            self._run_due()
        return True

    def _drain_soon(self) -> bool:
        """Run what waits for this instant; False when `stop` was called."""
        soon = self.soon
        while soon and not self._stopping:
            soon.popleft().happen(self.now, 0)
        return not self._stopping

    def _take_turns(self) -> None:
        """Run every woken program once; programs that they wake run after the packets that they send."""
        turns = self.turns
        for _ in range(len(turns)):
            turns.popleft().happen(self.now, 0)
            if self._stopping:
                return

    def _pass_idle_time(self, until: float) -> bool:
        """Let time pass up to `until`, before which nothing is due; False when `until` is reached first."""
        if self.now < until:
            reached = self.clock.advance(until, self)
            self.now = until if reached is None else max(self.now, reached)
        return bool(self.soon or self.turns) or self.now < until

    def _run_due(self) -> None:
        """Run every due event in order, until one asks for something at this instant."""
        heap, soon = self.heap, self.soon
        while heap and heap[0][0] <= self.now and not soon and not self._stopping:
            when, sequence, event = heappop(heap)
            event.happen(when, sequence)
