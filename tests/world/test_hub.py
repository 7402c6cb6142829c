"""Order, cancelling, and how time passes."""

from __future__ import annotations

import os
import random

from hypothesis import given
from hypothesis import strategies as st

from catenet.world.engine.hub import NEVER, Call, Hub
from catenet.world.engine.realtime import RealClock


def test_ties_break_by_order_of_calls() -> None:
    hub, ran = Hub(), []
    for label in "abc":
        hub.call_at(1.0, ran.append, label)
    hub.call_at(0.5, ran.append, "first")
    hub.call_soon(ran.append, "now")
    assert hub.run() is False
    assert ran == ["now", "first", "a", "b", "c"]
    assert hub.now == 1.0


def test_soon_runs_before_the_next_event_of_the_same_instant() -> None:
    hub, ran = Hub(), []

    def first() -> None:
        ran.append("first")
        hub.call_soon(ran.append, "soon")

    hub.call_at(1.0, first)
    hub.call_at(1.0, ran.append, "second")
    hub.run()
    assert ran == ["first", "soon", "second"]


def test_programs_have_their_turns_when_nothing_else_is_due_at_an_instant() -> None:
    hub, ran = Hub(), []

    def wake(label: str) -> None:
        ran.append(f"event {label}")
        hub.turns.append(Call(turn, (label,)))

    def turn(label: str) -> None:
        ran.append(f"turn {label}")
        hub.call_soon(ran.append, f"sent by {label}")
        if label == "a":
            hub.turns.append(Call(turn, ("again",)))

    for label in "ab":
        hub.call_at(1.0, wake, label)
    assert hub.run(until=1.0) is True
    expected = ["event a", "event b", "turn a", "turn b", "sent by a", "sent by b", "turn again", "sent by again"]
    assert ran == expected


def test_what_hosts_send_leaves_when_all_are_quiet_by_host_and_port() -> None:
    hub, ran = Hub(), []

    def send(host: str, number: int, delay: float = 0.0) -> None:
        ran.append(f"{host}{number} sends")
        arrive = Call(ran.append, (f"from {host}{number}",))
        hub.call_after_round((host, number), lambda: hub.put(arrive, hub.now + delay))

    hub.call_at(1.0, send, "b", 0)
    hub.call_at(1.0, send, "a", 1, 1.0)
    hub.call_at(1.0, send, "a", 0)
    hub.call_at(1.0, hub.turns.append, Call(ran.append, ("turn",)))
    hub.call_at(2.0, ran.append, "timer")
    assert hub.run() is False
    sends = ["b0 sends", "a1 sends", "a0 sends", "turn"]
    assert ran == [*sends, "from a0", "from b0", "from a1", "timer"]


def test_barriers_come_between_instants() -> None:
    hub, ran = Hub(), []

    def event() -> None:
        ran.append("event")
        hub.call_between(0.5, ran.append, "late barrier")
        hub.call_soon(ran.append, "soon")
        hub.call_at(1.0, ran.append, "second event")

    hub.call_at(1.0, event)
    hub.call_between(1.0, ran.append, "barrier")
    hub.call_between(1.0, ran.append, "second barrier")
    assert hub.next_event() == 1.0
    assert hub.run() is False
    assert ran == ["barrier", "second barrier", "event", "soon", "second event", "late barrier"]
    hub.call_between(3.0, ran.append, "last")
    assert hub.run(until=2.0) is True and hub.now == 2.0
    assert hub.run(until=3.0, idle=False) is False
    assert (ran[-1], hub.now) == ("last", 3.0)


def test_finish_returns_when_the_instant_is_over() -> None:
    hub, ran = Hub(), []
    hub.call_at(1.0, hub.finish)
    hub.call_at(1.0, ran.append, "event")
    hub.call_at(1.0, hub.turns.append, Call(ran.append, ("turn",)))
    hub.call_at(2.0, ran.append, "later")
    assert hub.run(until=5.0) is True
    assert (ran, hub.now) == (["event", "turn"], 1.0)
    assert hub.run(until=5.0) is True
    assert ran == ["event", "turn", "later"]


def test_until_is_reached_and_not_passed() -> None:
    hub, ran = Hub(), []
    hub.call_at(1.0, ran.append, 1)
    hub.call_at(2.0, ran.append, 2)
    assert hub.run(until=1.5) is True
    assert (ran, hub.now) == ([1], 1.5)
    assert hub.run(until=2.0) is True
    assert (ran, hub.now) == ([1, 2], 2.0)


class LateClock:
    """Time that goes on by more than was asked for, as real time does, and wakes a program meanwhile."""

    def __init__(self, ran: list[str]) -> None:
        self.ran = ran

    def start(self, now: float) -> None:
        pass

    def advance(self, until: float | None, hub: Hub) -> float | None:
        hub.turns.append(Call(self.ran.append, ("turn",)))
        return None if until is None else until + 1.0


def test_what_is_due_when_time_has_passed_until_runs_before_the_turns() -> None:
    ran: list[str] = []
    hub = Hub(LateClock(ran))
    hub.call_at(1.5, ran.append, "event")
    assert hub.run(until=1.0) is True
    assert ran == ["event", "turn"]


def test_an_event_in_the_past_runs_now_and_time_never_goes_back() -> None:
    hub, seen = Hub(), []
    hub.call_at(3.0, lambda: hub.call_at(1.0, lambda: seen.append(hub.now)))
    hub.run()
    assert seen == [3.0]


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_cancelled_timers_never_run_and_do_not_move_the_clock(plan: list[tuple[float, bool]]) -> None:
    hub, ran = Hub(), []
    timers = [hub.timer(when, ran.append, (when, index)) for index, (when, _) in enumerate(plan)]
    for timer, (_, cancelled) in zip(timers, plan, strict=True):
        if cancelled:
            timer.cancel()
            timer.cancel()
    hub.run()
    expected = [(when, index) for index, (when, cancelled) in enumerate(plan) if not cancelled]
    assert ran == sorted(expected)
    assert hub.now == max((when for when, _ in expected), default=0.0)


def test_cancelled_timers_do_not_pile_up() -> None:
    hub = Hub()
    for _ in range(10_000):
        hub.timer(1000.0, print).cancel()
    assert len(hub.heap) < 3_000


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 3)), max_size=60))
def test_a_timer_that_is_moved_runs_when_it_was_last_set_to_and_in_the_order_of_setting(
    plan: list[tuple[int, int | None, int]],
) -> None:
    """The model: a list in which every setting takes the timer's earlier one away."""
    hub, ran = Hub(), []
    timers = [hub.timer(NEVER, lambda number=number: ran.append((hub.now, number))) for number in range(4)]
    expected, due = [], dict[int, tuple[float, int]]()

    def pass_time(until: float) -> None:
        hub.run(until=until)
        for when, _, number in sorted((when, order, number) for number, (when, order) in due.items()):
            if when <= until:
                expected.append((when, number))
                del due[number]

    for order, (number, delay, pause) in enumerate(plan):
        pass_time(hub.now + pause)
        if delay is None:
            timers[number].clear()
            due.pop(number, None)
        else:
            timers[number].set(hub.now + delay)
            due[number] = (hub.now + delay, order)
    assert hub.next_event() == min((when for when, _ in due.values()), default=None)
    pass_time(100.0)
    assert ran == expected


def test_a_timer_that_is_always_put_off_has_one_entry() -> None:
    hub = Hub()
    timer = hub.timer(NEVER, print)
    for number in range(10_000):
        timer.set(1000.0 + number)
        timer.clear()
    assert len(hub.heap) == 1
    assert hub.run() is False
    assert hub.now == 0.0


def test_a_timer_that_is_always_put_forward_does_not_pile_up() -> None:
    hub, ran = Hub(), []
    timer = hub.timer(NEVER, ran.append, 1)
    for number in range(10_000):
        timer.set(20_000.0 - number)
    assert len(hub.heap) < 3_000
    hub.run()
    assert (ran, hub.now) == ([1], 10_001.0)


def test_stop_returns_before_the_next_event() -> None:
    hub, ran = Hub(), []
    hub.call_at(1.0, hub.stop)
    hub.call_at(1.0, ran.append, 1)
    assert hub.run() is True
    assert ran == []
    assert hub.run() is False
    assert ran == [1]


def test_real_clock_serves_descriptors_and_timers() -> None:
    clock = RealClock()
    hub, ran = Hub(clock), []
    reader, writer = os.pipe()
    try:

        def readable(now: float) -> int:
            try:
                ran.append(os.read(reader, 10))
            except BlockingIOError:
                return 0
            hub.stop()
            return 1

        os.set_blocking(reader, False)

        clock.add_reader(reader, readable)
        hub.call_at(0.01, os.write, writer, b"x")
        assert hub.run(until=10.0) is True
        assert ran == [b"x"]
        assert 0.01 <= hub.now < 10.0
        clock.remove_reader(reader)
        assert hub.run(until=hub.now + 0.01) is True
    finally:
        clock.close()
        os.close(reader)
        os.close(writer)


def test_what_a_sweep_of_the_heap_leaves_still_happens_in_order() -> None:
    hub, ran, draw = Hub(), [], random.Random(3)
    times = [draw.random() * 100 for _ in range(6000)]
    timers = [hub.timer(when, lambda number=number: ran.append((hub.now, number))) for number, when in enumerate(times)]
    again = timers[:100]
    for timer in again:
        timer.clear()
    for timer in timers[100:5000]:
        timer.cancel()
    assert len(hub.heap) < 4000
    due = {number: times[number] for number in range(5000, 6000)}
    for number, timer in enumerate(again):
        due[number] = times[number] + 1
        timer.set(due[number])
    hub.run()
    assert ran == sorted((when, number) for number, when in due.items())
