"""Faults of a link, in virtual time: what comes out is what went in or its beginning, and when it comes."""

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catenet.net.faults import HARMLESS, LEAST_HELD, MOST_HELD, After, Faults, FaultyDirection


class Line:
    """One direction with a clock: `send` at a time, `run` until nothing is left to come."""

    def __init__(self, faults, seed=1, datagrams=False):
        self.now = 0.0
        self.link = FaultyDirection(faults, random.Random(seed), 0.0, datagrams=datagrams)
        self.came = []
        self.ending = None

    def send(self, data, now=None):
        self.advance(self.now if now is None else now)
        self.link.receive(data, self.now)

    def advance(self, until):
        while self.ending is None:
            while (data := self.link.transmit(self.now)) is not None:
                self.came.append((self.now, data))
            self.ending = self.link.next_event()
            due = self.link.next_deadline()
            if due is None or due > until:
                break
            self.now = max(due, self.now)
        self.now = max(self.now, until)

    def run(self, until=1e6):
        self.advance(until)
        return self.data

    @property
    def data(self):
        return b"".join(data for _, data in self.came)

    @property
    def times(self):
        return [moment for moment, _ in self.came]


def test_latency_delays_and_the_end_comes_last():
    line = Line(Faults(latency=0.1))
    line.send(b"one", 1.0)
    line.send(b"two", 1.05)
    line.link.receive_end(1.05)
    line.run()
    assert line.came == [(1.1, b"one"), (pytest.approx(1.15), b"two")]
    assert line.ending == "end"


def test_jitter_never_reorders():
    line = Line(Faults(latency=0.1, jitter=0.1))
    for number in range(1000):
        line.send(b"%d," % number, number * 0.001)
    assert line.run() == b"".join(b"%d," % number for number in range(1000))
    assert line.times == sorted(line.times)
    delays = [moment - number * 0.001 for number, moment in enumerate(line.times[:50])]
    assert min(delays) >= 0 and max(delays) <= 0.2 + 1e-9 and max(delays) - min(delays) > 0.02


def test_rate_spreads_a_burst_over_its_time():
    line = Line(Faults(rate=80_000))  # 10 kB/s
    line.send(b"x" * 10_000)
    assert len(line.run()) == 10_000
    assert line.now >= 1.0 and line.times[-1] == pytest.approx(1.0)
    assert line.times[0] == pytest.approx(0.02)
    assert max(two - one for one, two in zip(line.times, line.times[1:], strict=False)) < 0.021


def test_a_stall_at_a_byte():
    line = Line(Faults(stall=(After(bytes=4), 5.0)))
    line.send(b"abcdefgh", 1.0)
    line.send(b"ij", 2.0)
    line.run()
    assert line.came == [(1.0, b"abcd"), (6.0, b"efgh"), (6.0, b"ij")]


def test_a_stall_at_a_time():
    line = Line(Faults(stall=(After(seconds=1.0), 5.0)))
    for moment in (0.5, 1.5, 3.0, 7.0):
        line.send(b"%g " % moment, moment)
    line.run()
    assert line.came == [(0.5, b"0.5 "), (6.0, b"1.5 "), (6.0, b"3 "), (7.0, b"7 ")]


def test_a_stall_for_ever_holds_back_even_the_end():
    line = Line(Faults(stall=(After(bytes=2), math.inf)))
    line.send(b"abcd")
    line.link.receive_end(0.0)
    assert line.run() == b"ab"
    assert line.ending is None and line.link.next_deadline() is None


@pytest.mark.parametrize("name", ["cut", "reset"])
def test_an_end_at_a_byte(name):
    line = Line(Faults(latency=0.5, **{name: After(bytes=5)}))
    line.send(b"abc")
    line.send(b"defgh")
    assert line.run() == b"abcde"
    assert line.ending == name and line.link.room == 0 and line.times[-1] == 0.5


@pytest.mark.parametrize("name", ["cut", "reset"])
def test_an_end_at_a_time_though_nothing_comes(name):
    line = Line(Faults(**{name: After(seconds=3.0)}))
    line.send(b"abc", 1.0)
    line.run(2.999)
    assert line.ending is None
    line.run(3.0)
    assert line.ending == name and line.data == b"abc"


def test_an_end_before_the_first_byte():
    line = Line(Faults(cut=After(bytes=0)))
    line.send(b"abc")
    line.run()
    assert (line.data, line.ending) == (b"", "cut")


def test_the_earlier_of_two_ends_counts():
    line = Line(Faults(cut=After(bytes=7), reset=After(bytes=3)))
    line.send(b"abcdefgh")
    line.run()
    assert (line.data, line.ending) == (b"abc", "reset")


def test_datagrams_stay_whole_and_empty_ones_come():
    line = Line(Faults(latency=0.1, rate=800.0), datagrams=True)
    sent = [b"x" * 100, b"", b"y" * 50]
    for data in sent:
        line.send(data)
    line.run()
    assert [data for _, data in line.came] == sent


@pytest.mark.parametrize(
    ("faults", "most"),
    [
        (Faults(latency=1.0), MOST_HELD),
        (Faults(rate=8000.0), LEAST_HELD),
        (Faults(rate=8e6, latency=0.5), 1_000_000),
        (Faults(rate=8e9, latency=0.5), MOST_HELD),
    ],
)
def test_what_is_on_the_way_is_bounded(faults, most):
    line = Line(faults)
    assert line.link.room == most
    line.link.receive(b"x" * most, 0.0)
    assert line.link.room == 0 and line.link.queued == most
    line.run()
    assert line.link.room == most


def test_the_number_of_datagrams_on_the_way_is_bounded_too():
    line = Line(Faults(latency=1.0), datagrams=True)
    count = 0
    while line.link.room:
        line.link.receive(b"", 0.0)
        count += 1
    assert count == 1000


POINTS = st.one_of(
    st.none(), st.integers(0, 60).map(lambda n: After(bytes=n)), st.floats(0, 3).map(lambda s: After(seconds=s))
)
FAULTS = st.builds(
    Faults,
    latency=st.floats(0, 2),
    jitter=st.floats(0, 2),
    rate=st.one_of(st.none(), st.floats(100, 1e6)),
    stall=st.one_of(st.none(), st.tuples(POINTS.filter(lambda p: p is not None), st.floats(0, 5))),
    cut=POINTS,
    reset=POINTS,
)


@given(FAULTS, st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=20)), max_size=12), st.integers(0, 5))
@example(Faults(stall=(After(bytes=0), 1.0), cut=After(bytes=0)), [(0.0, b"a")], 0)
def test_the_output_is_a_beginning_of_the_input(faults, sent, seed):
    line = Line(faults, seed)
    for gap, data in sent:
        line.send(data, line.now + gap)
    line.advance(line.now)
    line.link.receive_end(line.now)
    data, whole = line.run(), b"".join(data for _, data in sent)
    assert whole.startswith(data)
    assert line.times == sorted(line.times)
    assert line.ending is not None
    if line.ending == "end":
        assert data == whole


def test_the_seed_decides():
    def times(seed):
        line = Line(Faults(latency=0.1, jitter=0.05), seed)
        for number in range(20):
            line.send(b"x", number * 0.2)
        line.run()
        return line.times

    assert times(1) == times(1) != times(2)


def test_harmless():
    assert Faults().harmless and HARMLESS.harmless and not Faults(latency=0.1).harmless
    assert (str(After(bytes=5)), str(After(seconds=1.5))) == ("5 bytes", "1.5 s")
