"""Many deadlines behind one timer."""

from hypothesis import given
from hypothesis import strategies as st

from catenet.net.deadlines import Deadlines


class Clock:
    """As much of an event loop as timers need; time passes when `run` is called."""

    def __init__(self):
        self.now = 0.0
        self.timers = []
        self.armed = 0

    def time(self):
        return self.now

    def call_at(self, when, callback):
        timer = Timer(self, when, callback)
        self.timers.append(timer)
        self.armed += 1
        return timer

    def run(self, until):
        while due := [timer for timer in self.timers if timer.at <= until]:
            timer = min(due, key=lambda timer: timer.at)
            self.timers.remove(timer)
            self.now = max(self.now, timer.at)
            timer.callback()
        self.now = until


class Timer:
    def __init__(self, clock, at, callback):
        self.clock, self.at, self.callback = clock, at, callback

    def cancel(self):
        if self in self.clock.timers:
            self.clock.timers.remove(self)


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=300))
def test_each_is_called_at_its_time_unless_it_was_removed(calls):
    clock, called = Clock(), []
    deadlines = Deadlines(clock)
    for number, (when, removed) in enumerate(calls):
        entry = deadlines.add(float(when), lambda number=number: called.append((clock.now, number)))
        if removed:
            deadlines.remove(entry)
        assert len(clock.timers) <= 1
    clock.run(100.0)
    expected = [(float(when), number) for number, (when, removed) in enumerate(calls) if not removed]
    assert called == sorted(expected)
    assert len(deadlines) == 0
    assert not clock.timers


def test_calls_that_end_leave_nothing_behind():
    clock = Clock()
    deadlines = Deadlines(clock)
    kept = deadlines.add(5.0, lambda: None)
    for number in range(100_000):
        deadlines.remove(deadlines.add(5.0 + number, lambda: None))
    assert len(deadlines) < 200
    assert clock.armed == 1
    deadlines.remove(kept)
    assert kept[2] is None


def test_an_earlier_deadline_moves_the_timer():
    clock, called = Clock(), []
    deadlines = Deadlines(clock)
    deadlines.add(9.0, lambda: called.append("late"))
    deadlines.add(3.0, lambda: called.append("early"))
    clock.run(4.0)
    assert called == ["early"]
    clock.run(9.0)
    assert called == ["early", "late"]


def test_one_that_expires_may_add_and_remove_others():
    clock, called = Clock(), []
    deadlines = Deadlines(clock)

    def expire():
        deadlines.remove(other)
        deadlines.add(2.0, lambda: called.append("added"))

    deadlines.add(1.0, expire)
    other = deadlines.add(1.0, lambda: called.append("removed"))
    clock.run(3.0)
    assert called == ["added"]


def test_after_the_end_nothing_is_called():
    clock, called = Clock(), []
    deadlines = Deadlines(clock)
    deadlines.add(1.0, lambda: called.append(1))
    deadlines.close()
    clock.run(2.0)
    assert not called
    assert not clock.timers


def test_what_is_due_again_at_once_waits_for_a_turn_of_the_event_loop():
    clock, called = Clock(), []
    deadlines = Deadlines(clock)

    def again():
        called.append(clock.now)
        if len(called) < 5:
            deadlines.add(1.0, again)

    deadlines.add(1.0, again)
    deadlines.add(1.0, lambda: called.append("another"))
    clock.now = 2.0
    for turns in (2, 3, 4):
        (timer,) = clock.timers
        clock.timers.remove(timer)
        timer.callback()
        assert len(called) == turns and "another" in called
