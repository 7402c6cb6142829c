"""Lines through samples, and what is done to a clock."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.ntp.discipline import Action, Discipline
from catenet.ntp.regression import Point, Regression
from catenet.ntp.steering import Steering

UNSURE = 100e-6


def line(count: int, offset: float, slope: float, jitter: float, seed: int = 1, interval: float = 64.0) -> Regression:
    """Samples of a clock that is off by a line, ending at time 0, over paths that queue up to twice the jitter."""
    chance = random.Random(seed)
    found = Regression()
    for number in range(count):
        time = (number + 1 - count) * interval
        there, back = chance.uniform(0, 2 * jitter), chance.uniform(0, 2 * jitter)
        point = Point(time, offset + slope * time + (there - back) / 2, 0.040 + there + back)
        found.add(point, 0.0, UNSURE)
    return found


@pytest.mark.parametrize("jitter", [0.0, 0.001, 0.01])
def test_a_line_has_offset_and_frequency(jitter: float) -> None:
    """Within four deviations of what is true, and the deviations are small."""
    for seed in range(20):
        found = line(48, 0.010, 25e-6, jitter, seed).estimate(0.0, 0.0, UNSURE)
        assert found is not None
        assert abs(found.offset - 0.010) < 5 * found.offset_error + 1e-9
        assert abs(found.frequency - 25e-6) < 5 * found.frequency_error + 1e-12
        assert found.offset_error < jitter / 4 + 20e-6
        assert found.frequency_error < jitter / 1000 + 1e-6


def test_few_samples_change_no_frequency() -> None:
    """Four samples of six seconds over a jittery path say nothing that is not known better."""
    for seed in range(20):
        found = line(4, 0.5, 0.0, 0.02, seed, interval=2.0).estimate(0.0, 10e-6, 1e-6)
        assert found is not None
        assert found.frequency == pytest.approx(10e-6, abs=1e-6)
        assert found.offset == pytest.approx(0.5, abs=0.021)


def test_a_bent_line_loses_its_old_samples() -> None:
    """When the frequency changes the samples before are dropped, and the new one is found."""
    found = line(32, 0.0, 0.0, 0.0005)
    chance = random.Random(5)
    for number in range(1, 33):
        noise = chance.uniform(-0.0003, 0.0003)
        found.add(Point(number * 64.0, number * 64 * 5e-6 + noise, 0.0405), 0.0, UNSURE)
    estimate = found.estimate(32 * 64.0, 0.0, UNSURE)
    assert estimate is not None
    assert estimate.samples < 50
    assert estimate.frequency == pytest.approx(5e-6, abs=1e-6)


def test_a_spike_is_left_out_and_a_step_believed() -> None:
    """One wild sample says nothing; three in a row are a server that has been stepped."""
    found = line(16, 0.0, 0.0, 0.001)
    assert not found.add(Point(64.0, 0.5, 0.041), 0.0, UNSURE)
    assert found.add(Point(128.0, 0.0, 0.041), 0.0, UNSURE)
    taken = [found.add(Point(192.0 + 64 * number, 0.5, 0.041), 0.0, UNSURE) for number in range(3)]
    assert taken == [False, False, True]
    estimate = found.estimate(320.0, 0.0, UNSURE)
    assert estimate is not None
    assert estimate.offset == pytest.approx(0.5)
    assert len(found) == 1


def test_a_sample_from_before_the_last_one_is_left_out() -> None:
    """Time goes forward; 64 samples are kept."""
    found = line(100, 0.0, 0.0, 0.001)
    assert len(found) == 64
    assert not found.add(Point(0.0, 0.0, 0.04), 0.0, UNSURE)


@given(st.floats(-0.1, 0.1), st.floats(-1e-4, 1e-4), st.floats(-0.1, 0.1), st.floats(-1e-4, 1e-4))
def test_a_correction_moves_the_line(offset: float, slope: float, set_ahead: float, faster: float) -> None:
    """After a correction the line says what is left of offset and slope, wherever the clock was."""
    found = line(20, offset, slope, 0.0)
    found.correct(0.0, set_ahead, faster)
    left = found.estimate(set_ahead, slope - faster, UNSURE)
    assert left is not None
    assert left.offset == pytest.approx(offset - set_ahead, abs=2e-6)
    assert left.frequency == pytest.approx(slope - faster, abs=1e-7)


def test_small_offsets_are_slewed_and_the_rest_of_a_slew_counts() -> None:
    """500 microseconds a second; a new offset is added to what is still to come."""
    discipline = Discipline(10e-6)
    assert discipline.update(0.010, -2e-6, 100.0) == Action(slew=0.010, frequency=pytest.approx(8e-6))
    assert discipline.pending(110.0) == pytest.approx(0.005)
    assert discipline.update(0.001, 0.0, 110.0) == Action(slew=pytest.approx(0.006), frequency=pytest.approx(8e-6))
    assert discipline.pending(200.0) == 0.0
    assert discipline.update(-0.001, 0.0, 200.0) == Action(slew=-0.001, frequency=pytest.approx(8e-6))
    assert discipline.pending(201.0) == pytest.approx(-0.0005)


def test_a_large_offset_is_stepped_at_the_beginning_and_later_when_it_lasts() -> None:
    """The step threshold and the stepout of RFC 5905 section 12."""
    discipline = Discipline()
    assert discipline.update(5000.0, 0.0, 0.0) == Action(step=5000.0)
    assert discipline.update(0.2, 0.0, 5000.0) is None
    assert discipline.update(0.2, 0.0, 5299.0) is None
    assert discipline.update(0.1, 0.0, 5300.0) == Action(slew=0.1)
    assert discipline.update(0.2, 0.0, 5600.0) is None
    assert discipline.update(0.2, 0.0, 5900.0) == Action(step=pytest.approx(0.2))
    assert not discipline.panicked
    assert discipline.update(1000.1, 0.0, 6000.0) is None
    assert discipline.panicked


def test_a_step_ends_a_slew() -> None:
    """The part that was still to be slewed is part of the step."""
    discipline = Discipline()
    assert discipline.update(0.1, 0.0, 0.0) == Action(slew=0.1)
    assert discipline.update(-1.0, 0.0, 100.0) is None
    assert discipline.update(-1.0, 0.0, 400.0) == Action(step=-1.0)
    assert Discipline(step_threshold=math.inf).update(7.0, 0.0, 0.0) == Action(slew=7.0)


def test_the_frequency_stays_within_what_a_clock_can_do() -> None:
    """500 ppm, as adjtimex(2) has it."""
    assert Discipline().update(0.0, 1.0, 0.0) == Action(frequency=500e-6)
    assert Discipline().update(0.0, -1.0, 0.0) == Action(frequency=-500e-6)


def test_holdover_gets_less_sure() -> None:
    """While no server is reached the bound grows, by what the frequency may be off and by its wandering."""
    discipline = Discipline()
    assert discipline.held_error(100.0) == 0.0
    discipline.update(0.0, 10e-6, 0.0)
    discipline.learn(0.1e-6, 64.0)
    assert discipline.slope == 0.0
    errors = [discipline.held_error(seconds) for seconds in (0.0, 3600.0, 86400.0)]
    assert errors == sorted(errors)
    assert 0.0005 < errors[1] < 0.005


class Delayed:
    """A server that is right, asked each 64 s; what an exchange was comes `late` exchanges later."""

    reach, next_poll, stopped, waiting = 1, 0.0, False, False

    def __init__(self, late: int) -> None:
        self._late = late
        self.clock = 0.0
        self._samples: list[Point] = []

    def poll(self, now: float) -> bytes:
        return b""

    def receive(self, data: bytes, now: float) -> Point | None:
        self._samples.append(Point(now, -self.clock, 0.01))
        return self._samples[-1 - self._late] if len(self._samples) > self._late else None

    def step(self, seconds: float) -> None:
        self._samples.clear()

    def root_distance(self, now: float) -> float:
        return 0.01


@pytest.mark.parametrize("late", [0, 1, 3])
def test_samples_of_exchanges_before_are_not_corrected_twice(late: int) -> None:
    """As interleaved mode has them: the clock is 20 ms behind and 30 ppm slow, and comes near without swinging over."""
    server = Delayed(late)
    steering = Steering({"a": server}, Discipline())
    server.clock, frequency, slewing, true = -0.020, 0.0, 0.0, 0.0
    updates = 0
    for _ in range(60):
        update = steering.receive("a", b"", true + server.clock)
        if update is not None:
            updates += 1
            slewing, frequency = update.action.slew, update.action.frequency
        done = max(-0.032, min(0.032, slewing))
        slewing -= done
        true += 64.0
        server.clock += done + 64.0 * (frequency - 30e-6)
        assert server.clock < 0.002
    assert updates == 60 - 3 - late, "none is taken for a spike"
    assert abs(server.clock) < 50e-6
    assert steering.discipline.frequency == pytest.approx(30e-6, rel=0.02)
