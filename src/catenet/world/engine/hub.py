"""Who owns time: a heap of events, what runs at this very instant, and what hosts have sent at it.

`Hub.run` executes a world by one rule of order (docs/design/world.md), so that what happens follows from the programs
and the seed: not from the machine's speed, the order of a hash table, or the order in which hosts were made. An
instant is a series of rounds. In a round, a host has

1. what arrives, in the order in which it was put on the links (`put`); then what leaves the queues of links
   (`call_at_link`), and arrives at once where nothing delays it;
2. its own timers, in the order in which they were set. After each of these events what it asked for
   (`call_soon`: a host's stack transmits) comes first, first in, first out;
3. when nothing of these is left, each program that was woken runs once (`turns`), and the host begins again with 2;
4. when it is quiet, what it sent goes on the links: `outlets`, sorted by port, each in the order of sending.

What was put on a link and arrives at the same instant begins another round. As hosts know of each other only by what
comes over links, it makes no difference that the hub runs the rounds of all hosts side by side, in one heap: an entry
is `(when, sequence, event)`, packets have the lowest sequences, and of one host's timers the first that was set has
the lower one. A process that runs a single host needs the same hub and no more.

What concerns more than one host (`World.at`, a fault, a change of a link) is a barrier (`call_between`): it comes
before all else at its instant, and one that is asked for at or after its time comes when the present instant is over.
Then the clock moves. Programs come after packets, as a machine serves interrupts before processes: one that waits for
packets and gets ten at once wakes once. Programs running among the events, in the order in which they were woken,
doubled the time of bulk transfers.

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

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final, TypeAlias

from catenet.compiled import mypyc_attr
from catenet.world.engine.realtime import Clock, RealClock, VirtualClock

__all__ = ["COPY", "NEVER", "Call", "Elsewhere", "Event", "Happenings", "Hub", "Outlet", "Timer"]

Callback: TypeAlias = Callable[..., object]

NEVER: Final = float("inf")

FIRST_PACKET: Final = -4398046511104.0
"""Sequence of the first packet (-2**42): all of them come before all timers. Sequences are floats because compiled code
makes and reads large integers at many times the price."""
FIRST_LINK_EVENT: Final = -1099511627776.0
"""Sequence of the first event of a link (-2**40): they come after packets that arrive, before all timers of hosts."""
LAST: Final = 1125899906842624.0
"""Added to the sequence of what comes last between two instants (2**50)."""
COPY: Final = 0.0009765625
"""What the sequence grows by (2**-10) with each copy that the receiver's link makes of a packet, and each change of
its plan; exact, and less than the distance to the next packet."""

COMPACT_FROM: Final = 1024
"""Useless entries stay in the heap until there are this many of them and they are more than half of it."""


class Event:
    """Something that happens, at a time or soon."""

    __slots__ = ()

    always_due = True
    """Whether `is_due` need not be asked."""

    def happen(self, when: float, sequence: float) -> None:
        """Do what the event is for. `when` is the time of its entry in the heap, or now for an event in `soon`."""
        raise NotImplementedError

    def is_due(self, when: float, sequence: float) -> bool:
        """Whether this entry is still wanted when it comes up; if not, calling `happen` early removes it."""
        return True


class Call(Event):
    """A callback."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callback, args: tuple[Any, ...]) -> None:
        self.callback = callback
        self.args = args

    def happen(self, when: float, sequence: float) -> None:
        """Call it."""
        self.callback(*self.args)


class Outlet(Event):
    """What leaves a host at the end of a round, as what one of its ports has sent. It happens in order of `place`."""

    __slots__ = ("place",)

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        """Name of the host and number of its port: the same in whatever order hosts were made."""


class _Leaving(Outlet):
    """A callback."""

    __slots__ = ("_callback",)

    def __init__(self, place: tuple[str, int], callback: Callback) -> None:
        super().__init__(place)
        self._callback = callback

    def happen(self, when: float, sequence: float) -> None:
        """Call it."""
        self._callback()


def _place(outlet: Outlet) -> tuple[str, int]:
    return outlet.place


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
        self.sequence = 0.0
        self.queued = NEVER
        """Time of its earliest entry in the heap."""

    def set(self, when: float) -> None:
        """Set the event to `when`, instead of any earlier setting."""
        hub = self._hub
        hub.sequence = self.sequence = sequence = hub.sequence + 1.0
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

    def is_due(self, when: float, sequence: float) -> bool:
        """Whether the entry is the event itself."""
        return sequence == self.sequence and when == self.when

    def happen(self, when: float, sequence: float) -> None:
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


@mypyc_attr(allow_interpreted_subclasses=True)
class Elsewhere:
    """Hosts that are run by other hubs, in processes of their own; what comes of them are events of this hub."""

    def finish_round(self, now: float) -> bool:
        """Run what they have to do in this round, in which nothing is left here; whether there was anything."""
        raise NotImplementedError

    def prepare(self, when: float, limit: float) -> bool:
        """Run them so far that all is known that happens by `when`, before the clock moves there, and not past `limit`.

        Returns whether there may be something before `when` now, so that the hub looks again.
        """
        raise NotImplementedError

    def barriers_over(self, now: float) -> None:
        """Let them do what has just been done here between two instants."""
        raise NotImplementedError

    def is_due(self, when: float) -> bool:
        """Whether they have done anything by `when`, or are to do it."""
        raise NotImplementedError

    def arrivals_end(self) -> float:
        """Return when the last packet arrives that is on its way to them; 0 without any."""
        raise NotImplementedError

    def happen(self, when: float) -> None:
        """Have what they have done by `when` be done here, if it is due."""
        raise NotImplementedError


class Happenings(Event):
    """What hosts elsewhere have done, or are to do at a time to which the clock has to come for it."""

    __slots__ = ("_elsewhere",)

    always_due = False

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere

    def is_due(self, when: float, sequence: float) -> bool:
        """Whether there is anything by then."""
        return self._elsewhere.is_due(when)

    def happen(self, when: float, sequence: float) -> None:
        """Have it be done here."""
        self._elsewhere.happen(when)


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
        self.heap: list[tuple[float, float, Event]] = []
        self.sequence = 0.0
        self.packets = FIRST_PACKET
        """Sequence of the packet that was put on a link last."""
        self.link_events = FIRST_LINK_EVENT
        """Sequence of the event of a link that was asked for last."""
        self.outlet: Outlet | None = None
        """What is to leave a host at the end of this round; most rounds have one."""
        self.outlets: list[Outlet] = []
        """What else is to leave."""
        self.barriers: list[tuple[float, float, Call]] = []
        """A heap of what happens between instants."""
        self.is_between = False
        """Whether what happens now is between instants."""
        self.elsewhere: Elsewhere | None = None
        """Hosts that other hubs run, if there are any."""
        self.turns_begin: memoryview[float] | None = None
        """Memory whose first number is when programs had their last turns: for whoever is left if one ends all."""
        self._useless = 0
        self._stopping = False
        self._finishing = False

    def time(self) -> float:
        """Now, as a program sees it that looks: in real time the clock goes on while callbacks run."""
        clock = self.clock
        return max(self.now, clock.time()) if isinstance(clock, RealClock) else self.now

    def call_at(self, when: float, callback: Callback, *args: Any) -> None:
        """Call `callback(*args)` at `when` (now, if that has passed); cannot be cancelled, see `timer`."""
        self.sequence = sequence = self.sequence + 1.0
        heappush(self.heap, (when, sequence, Call(callback, args)))

    def call_at_link(self, when: float, callback: Callback, *args: Any) -> None:
        """As `call_at`, for a link that serves its queue: at that time it comes before what hosts do by themselves."""
        self.link_events = sequence = self.link_events + 1.0
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

    def call_between(self, when: float, callback: Callback, *args: Any) -> None:
        """Call `callback(*args)` at `when` before all else, or once that has begun, when the present instant is over.

        For what concerns more than one host; cannot be cancelled.
        """
        self.sequence = sequence = self.sequence + 1.0
        heappush(self.barriers, (when, sequence, Call(callback, args)))

    def call_between_last(self, when: float, callback: Callback, *args: Any) -> None:
        """As `call_between`, after all that was or will be asked for by that at the same time."""
        self.sequence = sequence = self.sequence + 1.0
        heappush(self.barriers, (when, LAST + sequence, Call(callback, args)))

    def call_after_round(self, place: tuple[str, int], callback: Callback) -> None:
        """Call `callback()` at the end of this round, among what goes on the links of other ports by its `place`."""
        self.leave(_Leaving(place, callback))

    def leave(self, outlet: Outlet) -> None:
        """Have an outlet happen at the end of this round; it is not among them yet."""
        if self.outlet is None:
            self.outlet = outlet
        else:
            self.outlets.append(outlet)

    def put(self, event: Event, when: float) -> None:
        """Put a packet on a link that arrives at `when`. Called by outlets only."""
        self.packets = sequence = self.packets + 1.0
        heappush(self.heap, (when, sequence, event))

    def put_on_links(self) -> None:
        """Let leave what is in the outlets: the end of a round, or of what is done between two."""
        first, self.outlet = self.outlet, None
        if first is None:
            return
        if not self.outlets:
            first.happen(self.now, 0.0)
            return
        outlets, self.outlets = self.outlets, []
        outlets.append(first)
        outlets.sort(key=_place)
        for outlet in outlets:
            outlet.happen(self.now, 0.0)

    def stop(self) -> None:
        """Let `run` return before the next event."""
        self._stopping = True

    def finish(self) -> None:
        """Let `run` return when the present instant is over."""
        self._finishing = True

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
        if self.soon or self.turns or self.outlet is not None:
            return self.now
        when = min(self.next_due(), self._next_barrier())
        return None if when == NEVER else when

    def next_due(self) -> float:
        """When the first event of the heap is due, NEVER without any."""
        heap = self.heap
        while heap:
            when, sequence, event = heap[0]
            if event.always_due or event.is_due(when, sequence):
                return when
            heappop(heap)
            event.happen(when, sequence)
        return NEVER

    def _next_barrier(self) -> float:
        """When the first barrier is due, NEVER without any; now, when that has passed."""
        return max(self.barriers[0][0], self.now) if self.barriers else NEVER

    def run(self, until: float | None = None, *, idle: bool = True) -> bool:
        """Run events up to and including time `until` (None: without end), and the last instant to its end.

        Returns True when `until` was reached, or `stop()` or `finish()` called, False when nothing can ever happen any
        more. Up to `until` simulated time passes all the same, unless not `idle`: then it stands where the last thing
        happened.
        """
        self._stopping = self._finishing = False
        self.clock.start(self.now)
        soon, turns = self.soon, self.turns
        limit = NEVER if until is None else until
        if self.barriers and self.barriers[0][0] <= self.now:
            self._run_barriers()
        while True:
            while soon and not self._stopping:
                soon.popleft().happen(self.now, 0.0)
            if self._stopping:
                return True
            when = self.next_due()
            # Real time may have gone beyond `until`: what is due then happens before the turns that wait for it.
            if when > self.now:
                if turns:
                    self._take_turns()
                    continue
                elsewhere = self.elsewhere
                if elsewhere is not None and elsewhere.finish_round(self.now):
                    continue
                if self.outlet is not None:
                    self.put_on_links()
                    continue
                if self._finishing:
                    return True
                if self.barriers:
                    when = min(when, self._next_barrier())
                if elsewhere is not None and elsewhere.prepare(when, limit):
                    continue
                if when > limit:
                    if when == NEVER and not idle and not self.is_real:
                        return False
                    if not self._pass_idle_time(limit):
                        return True
                    continue
                if not self._jumps:
                    if when > self.now:
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
                if self.barriers and self.barriers[0][0] <= self.now:
                    self._run_barriers()
                    continue
            self._run_due()

    def _run_barriers(self) -> None:
        """Run what is due between the instants, in the order in which it was asked for."""
        barriers = self.barriers
        while barriers and barriers[0][0] <= self.now and not self._stopping:
            when, sequence, event = heappop(barriers)
            self.is_between = True
            try:
                event.happen(when, sequence)
            finally:
                self.is_between = False
            self.put_on_links()
        if self.elsewhere is not None:
            self.elsewhere.barriers_over(self.now)

    def run_barriers(self, now: float) -> None:
        """Do what is to be done before the instant `now`, and nothing of it; for a hub of one host."""
        self._stopping = False
        self.now = max(self.now, now)
        self._run_barriers()

    def _take_turns(self) -> None:
        """Run every woken program once; programs that they wake run after the packets that they send."""
        turns, begin = self.turns, self.turns_begin
        if begin is not None:
            begin[0] = self.now
        for _ in range(len(turns)):
            turns.popleft().happen(self.now, 0.0)
            if self._stopping:
                return

    def _pass_idle_time(self, until: float) -> bool:
        """Let time pass up to `until`, before which nothing is due; False when `until` is reached first."""
        if self.now < until:
            reached = self.clock.advance(until, self)
            self.now = until if reached is None else max(self.now, reached)
        return bool(self.soon or self.turns) or self.outlet is not None or self.now < until

    def _run_due(self) -> None:
        """Run every due event in order, until one asks for something at this instant."""
        heap, soon = self.heap, self.soon
        while heap and heap[0][0] <= self.now and not soon and not self._stopping:
            when, sequence, event = heappop(heap)
            event.happen(when, sequence)
