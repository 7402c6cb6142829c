import itertools
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.ntp import kiss
from catenet.ntp.association import Association, PollRange, Rejected
from catenet.ntp.clock_filter import ClockFilter, Sample
from catenet.ntp.keys import Key
from catenet.ntp.packet import Mac, Mode, parse
from catenet.ntp.timestamp import from_unix

from .conversation import START, Conversation, answer_to

ERA_1 = 2_085_978_496.0


def close(value, wanted, within=1e-6):
    return abs(value - wanted) <= within


@pytest.mark.parametrize("start", [START, ERA_1 - 0.005, 0.0])
@pytest.mark.parametrize("offset", [0.25, -0.25, 0.0, 86400.0, -3e6])
def test_offset_and_delay_of_an_exchange(start, offset):
    sample = Conversation(offset=offset, start=start).exchange(0.01, 0.03)
    assert close(sample.offset, offset - 0.01)  # half of what the ways differ
    assert close(sample.delay, 0.04)
    assert 0 < sample.dispersion < 1e-5
    assert close(sample.time, start + 0.041)


def test_a_request_says_nothing_of_its_client():
    """RFC 9109 is about ports; what the header says is the draft on data minimization."""
    association = Association(random.Random(1))
    first, second = parse(association.poll(START)), parse(association.poll(START + 64))
    assert first.transmit != second.transmit
    for one in (first, second):
        assert abs(one.transmit - from_unix(START)) > 1 << 32
        assert replace(one, transmit=0, poll=0, precision=0) == type(one)()


def answered(**changes):
    conversation = Conversation()
    request = conversation.association.poll(START)
    packet = answer_to(request, START + 0.26, START + 0.261, **changes)
    return conversation.association, packet


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": 0}, Rejected.ZERO),
        ({"receive": 0}, Rejected.ZERO),
        ({"transmit": 0}, Rejected.ZERO),
        ({"origin": 7}, Rejected.BOGUS),
        ({"mode": Mode.CLIENT}, Rejected.UNEXPECTED),
        ({"mode": Mode.BROADCAST}, Rejected.UNEXPECTED),
        ({"leap": 3}, Rejected.UNSYNCHRONIZED),
        ({"stratum": 16}, Rejected.UNSYNCHRONIZED),
        ({"root_delay": 40 << 16}, Rejected.DISTANCE),
        ({"reference": from_unix(START + 100)}, Rejected.DISTANCE),
        ({"transmit": from_unix(START)}, Rejected.DISTANCE),
        ({"receive": from_unix(START - 1e4), "transmit": from_unix(START + 1e4)}, Rejected.DISTANCE),
        ({"precision": 20}, Rejected.DISTANCE),
    ],
)
def test_what_is_not_used(changes, reason):
    association, packet = answered(**changes)
    assert association.receive(packet.build(), START + 0.02) is None
    assert association.rejected == {reason: 1}
    assert association.reach == 0


def test_a_copy_of_an_answer_and_an_answer_nobody_asked_for():
    association, packet = answered()
    assert association.receive(packet.build(), START + 0.02) is not None
    assert association.receive(packet.build(), START + 0.03) is None
    association.poll(START + 64)
    assert association.receive(packet.build(), START + 64.1) is None
    assert association.rejected == {Rejected.DUPLICATE: 1, Rejected.BOGUS: 1}
    assert Association(random.Random(1)).receive(packet.build(), START) is None


def test_a_forged_answer_before_the_true_one_changes_nothing():
    association, packet = answered()
    for forged in (replace(packet, origin=5), replace(packet, origin=5, stratum=0, reference_id=b"DENY")):
        assert association.receive(forged.build(), START + 0.01) is None
    assert not association.stopped
    assert association.receive(packet.build(), START + 0.02) is not None


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_nothing_that_comes_raises(junk, tail):
    association, packet = answered()
    assert association.receive(junk, START) is None
    association.receive(packet.build() + tail, START + 0.02)
    association.receive(packet.build()[: len(junk)] + junk, START + 0.02)


# Kiss-o'-death.


@pytest.mark.parametrize("code", [b"DENY", b"RSTR"])
def test_a_server_that_refuses_is_not_asked_again(code):
    association, packet = answered(stratum=0, reference_id=code)
    assert association.receive(packet.build(), START + 0.02) is None
    assert association.stopped
    assert association.next_poll is None
    assert association.candidate("a", START) is None


def test_rate_makes_the_interval_longer_for_good():
    association, packet = answered(stratum=0, reference_id=b"RATE")
    assert association.next_poll == START + 64
    association.receive(packet.build(), START + 0.02)
    assert association.kiss == kiss.RATE
    assert association.next_poll >= START + 128
    conversation = Conversation()
    for _ in range(12):
        conversation.exchange(stratum=0, reference_id=b"RATE")
    assert conversation.association.poll_exponent == 17
    for _ in range(20):
        conversation.exchange()
    assert conversation.association.poll_exponent == 17


def test_a_code_that_nobody_knows_is_ignored():
    association, packet = answered(stratum=0, reference_id=b"XYZW")
    association.receive(packet.build(), START + 0.02)
    assert not association.stopped
    assert association.next_poll == START + 64


# Intervals and reach.


def test_requests_are_never_closer_than_64_s_unless_asked_for():
    association = Association(random.Random(1))
    association.poll(START)
    assert association.next_poll == START + 64
    burst = Association(random.Random(1), burst=True)
    times = [START]
    for _ in range(4):
        burst.poll(times[-1])
        times.append(burst.next_poll)
    assert [b - a for a, b in itertools.pairwise(times)] == [2, 2, 2, 64]
    with pytest.raises(ValueError, match="poll 6 to 5"):
        PollRange(6, 5)


def test_a_silent_server_is_asked_less_and_less_often():
    association, now = Association(random.Random(1)), START
    for _ in range(40):
        association.poll(now)
        now = association.next_poll
    assert association.poll_exponent == 10
    assert association.reach == 0
    assert association.candidate("a", now) is None


def test_steady_offsets_make_the_interval_longer():
    conversation = Conversation(offset=0.0)
    rng = random.Random(2)
    for _ in range(60):
        conversation.exchange(0.01 + rng.random() / 1000, 0.01 + rng.random() / 1000)
    assert conversation.association.poll_exponent > 6
    assert conversation.association.reach == 0xFF


def test_four_samples_make_a_candidate():
    conversation = Conversation()
    found = []
    for _ in range(5):
        conversation.exchange()
        found.append(conversation.association.candidate("a", conversation.now))
    assert found[:3] == [None] * 3
    assert found[3].stratum == 2
    assert 0.01 < found[3].root_distance < 1.5


def test_a_clock_that_was_stepped_forgets():
    conversation = Conversation()
    conversation.exchange()
    conversation.association.step(5.0)
    assert conversation.association.current is None
    conversation.now += 5.0
    conversation.offset -= 5.0
    assert close(conversation.exchange().offset, -4.75)


# The clock filter.


def test_the_sample_with_the_least_delay_is_used_and_only_once():
    clock_filter = ClockFilter()
    quick = Sample(0.1, 0.01, 1e-6, START)
    slow = Sample(0.4, 0.61, 1e-6, START + 64)
    assert clock_filter.add(quick, 1e-6, 64).offset == 0.1
    assert clock_filter.add(slow, 1e-6, 64) is None
    assert clock_filter.current.offset == 0.1
    assert close(clock_filter.current.jitter, 0.3)


def test_the_dispersion_falls_as_stages_fill():
    clock_filter, dispersions = ClockFilter(), []
    for at in range(8):
        clock_filter.add(Sample(0.1, 0.01, 1e-6, START + at), 1e-6, 64)
        dispersions.append(clock_filter.current.dispersion)
    assert dispersions == sorted(dispersions, reverse=True)
    assert dispersions[2] > 1.5 > dispersions[3]
    assert dispersions[7] < 1e-3


def test_a_spike_is_believed_when_it_stays():
    clock_filter, now = ClockFilter(), START
    for at in range(8):
        clock_filter.add(Sample(at * 1e-5, 0.01, 1e-6, now), 1e-6, 64)
        now += 64
    assert clock_filter.add(Sample(3.0, 0.001, 1e-6, now), 1e-6, 64) is None
    assert clock_filter.current.offset < 0.001
    assert clock_filter.add(Sample(3.0, 0.001, 1e-6, now + 64), 1e-6, 64).offset == 3.0


# Keys.


@pytest.mark.parametrize("kind", ["MD5", "SHA1", "AES128"])
def test_answers_must_be_by_the_key(kind):
    key = Key(7, kind, b"sixteen octets..")
    conversation = Conversation(key=key)
    association = conversation.association
    request = association.poll(START)
    assert key.verifies(request, parse(request).mac)
    packet = answer_to(request, START + 0.26, START + 0.261)
    other = Key(7, kind, b"other secret....")
    for wrong in (
        packet.build(),
        other.seal(packet.build()),
        Key(8, kind, key.secret).seal(packet.build()),
        packet.build() + Mac(7).build(),
        replace(packet, stratum=0, reference_id=b"DENY").build(),
    ):
        assert association.receive(wrong, START + 0.02) is None
    assert association.rejected == {Rejected.UNAUTHENTICATED: 5}
    assert association.receive(key.seal(packet.build()), START + 0.02) is not None


# Interleaved mode (RFC 9769).


class Interleaving:
    """A server whose answers say when the one before really left."""

    def __init__(self):
        self.saved = {}

    def answer(self, request, received, sent, left):
        asked = parse(request)
        packet = answer_to(request, received, sent)
        if asked.origin in self.saved:
            packet = replace(packet, origin=asked.receive, transmit=from_unix(self.saved[asked.origin]))
        self.saved = {from_unix(received): left}
        return packet


def test_interleaved_answers_have_the_true_time_of_sending():
    association, server, now = Association(random.Random(1), interleaved=True), Interleaving(), START
    samples = []
    for _ in range(4):
        request = association.poll(now)
        # Each answer is stamped 5 ms before it leaves.
        packet = server.answer(request, now + 0.01, now + 0.01, now + 0.015)
        samples.append(association.receive(packet.build(), now + 0.025))
        now += 64
    assert close(samples[0].delay, 0.025) and not close(samples[0].offset, 0)
    for at in (1, 2, 3):
        assert close(samples[at].delay, 0.02)
        assert close(samples[at].offset, 0)
        assert close(samples[at].time, START + 64 * (at - 1) + 0.025)
    assert association.in_interleaved_mode


def test_interleaved_mode_is_left_when_an_answer_is_lost_and_copies_are_none():
    association, server, now = Association(random.Random(1), interleaved=True), Interleaving(), START
    for lost in (False, False, True, False, False):
        request = association.poll(now)
        packet = server.answer(request, now + 0.01, now + 0.01, now + 0.015)
        if not lost:
            assert association.receive(packet.build(), now + 0.025) is not None
            assert association.receive(packet.build(), now + 0.026) is None
        now += 64
    assert association.rejected == {Rejected.DUPLICATE: 4}
