"""BBR's model and state machine, ACK by ACK (draft-ietf-ccwg-bbr-06); sections in the tests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stack.tcp.tcpnet import Net

from catenet.control import RateSample, make
from catenet.control.bbr import Bbr, control, loss, path
from catenet.control.bbr import variables as v
from catenet.control.states import CA_LOSS, CA_OPEN, CA_RECOVERY
from catenet.stack.tcp.control.connection import Connection, Sent

RTT = 40_000
BW = 0.002
"""Segments per microsecond: with RTT, a bandwidth-delay product of 80 segments."""
BDP = 80


class Flow:
    """A real connection whose ACKs are made up."""

    def __init__(self) -> None:
        self.net = Net(4, delay=0.02)
        client, _, _ = self.net.pair()
        connection = client.connection
        assert isinstance(connection, Connection)
        self.c = connection
        bbr = make("bbr")
        assert isinstance(bbr, Bbr)
        self.b = bbr
        self.c.congestion = bbr
        bbr.start(self.c)
        self.in_flight(10)

    def in_flight(self, segments: int) -> None:
        self.c.packets_out = segments

    def wait(self, microseconds: int) -> None:
        self.c.layer.us += microseconds

    def ack(
        self,
        bw: float = BW,
        acked: int = 1,
        delivered: int = 20,
        new_round: bool = True,
        rtt: int = RTT,
        tx_in_flight: int = BDP,
        lost: int = 0,
        marked: int = 0,
        app_limited: bool = False,
    ) -> None:
        """One ACK of a segment sent in the last round, or in this one's first half."""
        c, b = self.c, self.b
        rate = RateSample()
        rate.prior_delivered = c.delivered if new_round else min(b.next_round_delivered, b.loss_round_delivered) - 1
        c.delivered += acked
        rate.delivered = delivered
        rate.interval = round(delivered / bw) if bw else -1
        rate.delivered_at = 1
        rate.rtt = rtt
        rate.tx_in_flight = tx_in_flight
        rate.tx_lost = c.lost - lost
        rate.delivered_ce = marked
        rate.app_limited = app_limited
        b.control(c, acked, 0, rate)

    def lose(self, count: int = 1, tx_in_flight: int = BDP, apart: bool = True) -> None:
        """Segments sent when nothing was lost yet, each a range of its own or all in a row."""
        c = self.c
        before = c.lost
        for number in range(count):
            start = 10_000 + number * (2 if apart else 1) * 1000
            sent = Sent(start, start + 1000, b"", 0, 1)
            sent.lost, sent.in_flight = before, tx_in_flight
            c.lost += 1
            self.b.on_lost(c, sent)

    def to_startup_end(self) -> None:
        self.in_flight(2 * BDP)
        self.c.cwnd = 2 * BDP
        for _ in range(4):
            self.wait(RTT)
            self.ack()

    def to(self, state: int) -> None:
        """The quiet way to a state of ProbeBW."""
        b = self.b
        self.to_startup_end()
        assert b.state == v.DRAIN
        if state == v.PROBE_BW_DOWN:
            for _ in range(4):
                self.ack()
            assert b.state == v.PROBE_BW_DOWN
            return
        self.in_flight(BDP)
        self.wait(RTT)
        self.ack()
        # DOWN had nothing left to do.
        assert b.state == v.PROBE_BW_CRUISE
        if state == v.PROBE_BW_CRUISE:
            return
        self.wait(3_000_001)
        self.ack(rtt=RTT - 1)  # a lower round trip puts PROBE_RTT off
        assert b.state == v.PROBE_BW_REFILL
        if state == v.PROBE_BW_REFILL:
            return
        self.wait(RTT)
        self.ack()
        assert b.state == v.PROBE_BW_UP


def test_starts_with_the_initial_window_in_the_handshakes_round_trip():
    """5.2.1, 5.6.2."""
    flow = Flow()
    c = flow.c
    assert flow.b.state == v.STARTUP
    assert flow.b.min_rtt == c.rtt.srtt >> 3 == RTT
    assert c.pacing_rate == int(2.77 * 10 * c.mss * 1_000_000 / RTT)


def test_startup_goes_on_while_the_rate_grows_by_a_quarter():
    """5.3.1.2."""
    flow = Flow()
    bw = BW
    for _ in range(8):
        flow.ack(bw)
        bw *= 1.26
    assert flow.b.state == v.STARTUP
    assert not flow.b.full_bw_reached


def test_startup_ends_after_three_rounds_on_a_plateau():
    """5.3.1.2, 5.3.2."""
    flow = Flow()
    flow.in_flight(2 * BDP)
    states = []
    for _ in range(4):
        flow.wait(RTT)
        flow.ack()
        states.append(flow.b.state)
    assert states == [v.STARTUP, v.STARTUP, v.STARTUP, v.DRAIN]
    assert flow.c.pacing_rate == pytest.approx(0.5 * BW * flow.c.mss * 1e6 * 0.99, rel=1e-3)


def test_a_program_that_sends_little_shows_no_plateau():
    """5.3.1.2."""
    flow = Flow()
    for _ in range(8):
        flow.ack(app_limited=True)
    assert flow.b.state == v.STARTUP


def test_pacing_is_not_slowed_before_the_pipe_was_full():
    """5.6.2."""
    flow = Flow()
    before = flow.c.pacing_rate
    flow.ack(BW / 1000)
    assert flow.c.pacing_rate == before


def test_startup_ends_on_losses_in_six_places():
    """5.3.1.3: a whole round in recovery, above two per cent."""
    flow = Flow()
    flow.ack()
    flow.in_flight(4 * BDP)
    flow.c.ca_state = CA_RECOVERY
    flow.lose(6)
    flow.ack(bw=BW * 2, lost=6)
    assert flow.b.state == v.DRAIN
    assert flow.b.inflight_longterm >= 20


@pytest.mark.parametrize(
    ("losses", "tx_in_flight", "state", "apart"),
    [(5, BDP, CA_RECOVERY, True), (6, 400, CA_RECOVERY, True), (6, BDP, CA_OPEN, True), (20, BDP, CA_RECOVERY, False)],
)
def test_startup_ignores_other_losses(losses, tx_in_flight, state, apart):
    """Too few places, too small a share, no recovery yet, one burst."""
    flow = Flow()
    flow.ack()
    flow.c.ca_state = state
    flow.lose(losses, apart=apart)
    flow.ack(bw=BW * 2, lost=losses, tx_in_flight=tx_in_flight)
    assert flow.b.state == v.STARTUP


def test_startup_without_sack_ends_on_one_loss():
    """5.3.1.3."""
    flow = Flow()
    flow.c.sack_ok = False
    flow.in_flight(4 * BDP)
    flow.ack()
    flow.c.ca_state = CA_RECOVERY
    flow.lose()
    flow.ack(bw=BW * 2, lost=1)
    assert flow.b.state == v.DRAIN


def test_drain_ends_when_the_queue_is_gone():
    """5.3.2."""
    flow = Flow()
    flow.to_startup_end()
    flow.ack(new_round=False)
    assert flow.b.state == v.DRAIN
    flow.in_flight(BDP)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_CRUISE  # by way of DOWN


def test_drain_ends_after_three_rounds_in_any_case():
    """5.3.2."""
    flow = Flow()
    flow.to_startup_end()
    states = []
    for _ in range(4):
        flow.ack()
        states.append(flow.b.state)
    assert states == [v.DRAIN, v.DRAIN, v.DRAIN, v.PROBE_BW_DOWN]


def test_down_cruises_when_queue_and_headroom_are_free():
    """5.3.3.1."""
    flow = Flow()
    flow.to(v.PROBE_BW_DOWN)
    flow.b.inflight_longterm = 90
    flow.in_flight(78)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_DOWN
    flow.in_flight(90 - int(0.15 * 90))
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_CRUISE
    assert flow.c.pacing_rate == pytest.approx(BW * flow.c.mss * 1e6 * 0.99, rel=1e-3)


def test_cruise_ends_after_two_to_three_seconds():
    """5.3.3.8."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    assert 2_000_000 <= flow.b.bw_probe_wait < 3_000_000
    flow.wait(1_900_000)
    flow.ack(new_round=False, rtt=RTT - 1)
    assert flow.b.state == v.PROBE_BW_CRUISE
    flow.wait(1_100_000)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_REFILL


def test_cruise_ends_after_as_many_rounds_as_reno_would_need():
    """5.3.3.8: at most 63, fewer on a small path."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    rounds = 0
    while flow.b.state == v.PROBE_BW_CRUISE:
        flow.ack()
        rounds += 1
    assert 61 <= rounds <= 63
    flow.b.state, flow.b.rounds_since_probe_up = v.PROBE_BW_CRUISE, 0
    flow.b.min_rtt = 5_000
    flow.b.bw = BW
    rounds = 0
    while flow.b.state == v.PROBE_BW_CRUISE:
        flow.ack()
        rounds += 1
    assert rounds == 10


def test_refill_forgets_losses_and_lasts_a_round():
    """5.3.3.3."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.b.bw_shortterm, flow.b.inflight_shortterm = BW / 2, 30
    flow.wait(3_000_000)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_REFILL
    assert flow.b.bw_shortterm == math.inf
    assert flow.b.inflight_shortterm == v.UNLIMITED
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_REFILL
    flow.ack()
    assert flow.b.state == v.PROBE_BW_UP
    assert flow.c.pacing_rate == pytest.approx(1.25 * BW * flow.c.mss * 1e6 * 0.99, rel=1e-3)


def test_up_ends_on_a_plateau():
    """5.3.3.7, first condition."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.c.cwnd_limited = False
    for _ in range(2):
        flow.ack()
        assert flow.b.state == v.PROBE_BW_UP
    flow.ack()
    assert flow.b.state == v.PROBE_BW_DOWN
    assert not flow.b.prev_probe_too_high


def test_up_ends_on_loss_and_remembers_how_much_was_too_much():
    """5.5.10.2."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.lose(2, tx_in_flight=90)
    assert flow.b.state == v.PROBE_BW_DOWN
    assert flow.b.prev_probe_too_high
    # The second loss crossed 2 % of what was in flight then: 89 + (1.78 - 1) / 0.98.
    assert flow.b.inflight_longterm == 89


def test_up_reacts_by_no_more_than_three_tenths():
    """5.5.10.2: beta."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    target = min(flow.b.bdp, flow.c.cwnd)
    flow.lose(2, tx_in_flight=20)
    assert flow.b.inflight_longterm == int(target * 0.7)


def test_a_careful_probe_follows_one_that_went_too_high():
    """5.3.3.6: down as soon as the bound is reached, and up again at once when that did no harm."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.lose(2, tx_in_flight=99)
    flow.ack(lost=2)
    flow.wait(3_000_001)
    flow.ack(rtt=RTT - 2)
    flow.in_flight(flow.b.inflight_longterm - 1)
    flow.ack()
    assert flow.b.state == v.PROBE_BW_UP
    flow.in_flight(flow.b.inflight_longterm)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_BW_DOWN
    assert flow.b.prev_probe_precautionary
    flow.ack()
    assert flow.b.state == v.PROBE_BW_REFILL


def test_the_bound_on_what_is_in_flight_grows_faster_each_round():
    """5.3.3.5: by 1, 2, 4 … segments."""
    flow = Flow()
    flow.to(v.PROBE_BW_REFILL)
    b, c = flow.b, flow.c
    b.inflight_longterm = c.cwnd = 100
    flow.ack()
    assert b.state == v.PROBE_BW_UP
    growth = []
    for number in range(4):
        before = b.inflight_longterm
        for last in [False] * (before - 1) + [True]:
            c.cwnd, c.cwnd_limited = b.inflight_longterm, True
            flow.ack(new_round=last, bw=BW * (1 + number))
        growth.append(b.inflight_longterm - before)
    assert b.state == v.PROBE_BW_UP
    assert growth == [1, 2, 4, 8]


def test_cruising_gives_way_to_losses_once_a_round():
    """5.5.10.3."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.ack(bw=BW * 0.5, delivered=40)
    flow.lose()
    flow.ack(bw=BW * 0.5, delivered=40)
    assert flow.b.bw_shortterm == pytest.approx(0.7 * BW, rel=1e-3)
    flow.ack(bw=BW * 0.9, delivered=60)
    assert flow.b.bw_shortterm == pytest.approx(0.7 * BW, rel=1e-3)
    flow.lose()
    flow.ack(bw=BW * 0.9, delivered=60)
    assert flow.b.bw_shortterm == pytest.approx(0.9 * BW, rel=1e-3)
    assert flow.b.bw == flow.b.bw_shortterm


def test_probing_does_not_touch_the_shortterm_model():
    """5.5.10.3."""
    flow = Flow()
    flow.to(v.PROBE_BW_REFILL)
    flow.lose()
    flow.ack(new_round=False)
    flow.ack()
    assert flow.b.bw_shortterm == math.inf


def test_the_largest_rate_is_forgotten_after_two_cycles():
    """5.5.6."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.ack()
    assert flow.b.max_bw == pytest.approx(BW)
    flow.b.cycle_count += 1
    flow.ack(bw=BW / 2)
    assert flow.b.max_bw == pytest.approx(BW)
    flow.b.cycle_count += 1
    flow.ack(bw=BW / 2)
    assert flow.b.max_bw == pytest.approx(BW / 2)


def test_a_cycle_ends_a_round_after_the_probe():
    """5.5.6."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.c.cwnd_limited = False
    cycle = flow.b.cycle_count
    for _ in range(3):
        flow.ack()
    assert (flow.b.state, flow.b.cycle_count) == (v.PROBE_BW_DOWN, cycle)
    flow.ack()
    assert flow.b.cycle_count == cycle + 1


def test_low_rates_of_a_slow_program_count_only_upwards():
    """5.5.4."""
    flow = Flow()
    flow.ack()
    flow.b.cycle_count += 2
    flow.ack(bw=BW / 4, app_limited=True)
    assert flow.b.max_bw == pytest.approx(BW)
    flow.ack(bw=BW * 4, app_limited=True)
    assert flow.b.max_bw == pytest.approx(BW * 4)


def test_the_window_covers_bundled_acks():
    """5.5.9."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.b.extra_acked_samples, flow.c.cwnd = [], 150
    flow.wait(RTT)
    flow.ack(acked=1)
    flow.ack(acked=30, new_round=False)
    assert flow.b.extra_acked == pytest.approx(31, abs=1)
    flow.c.cwnd = 500
    flow.ack(new_round=False)
    assert flow.c.cwnd == int(2 * flow.b.bdp + flow.b.extra_acked)
    for _ in range(11):
        flow.wait(RTT)
        flow.ack()
    assert flow.b.extra_acked < 5


def test_probe_rtt_comes_after_five_seconds_with_half_the_window():
    """5.3.4.3, 5.6.4.5; afterwards straight to CRUISE with the old window."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.c.cwnd = 160
    flow.wait(5_000_001)
    flow.b.bw_probe_wait = 100_000_000
    flow.ack(new_round=False, rtt=RTT + 500)
    b, c = flow.b, flow.c
    assert b.state == v.PROBE_RTT
    assert c.cwnd == int(0.5 * b.bdp)
    assert c.app_limited > 0
    flow.in_flight(c.cwnd)
    flow.ack(new_round=False)
    flow.wait(150_000)
    flow.ack()
    assert b.state == v.PROBE_RTT
    flow.wait(50_001)
    flow.ack(new_round=False)
    assert b.state == v.PROBE_BW_CRUISE
    assert c.cwnd >= 2 * BDP - 2


def test_probe_rtt_lasts_a_round_at_least():
    """5.3.4.3."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.wait(5_000_001)
    flow.ack(new_round=False, rtt=RTT + 500)
    flow.in_flight(flow.c.cwnd)
    flow.ack(new_round=False)
    flow.wait(1_000_000)
    flow.ack(new_round=False)
    assert flow.b.state == v.PROBE_RTT
    flow.ack()
    assert flow.b.state == v.PROBE_BW_CRUISE


def test_probe_rtt_before_the_pipe_was_full_leads_back_to_startup():
    """5.3.4.4."""
    flow = Flow()
    flow.ack(app_limited=True)
    flow.wait(5_000_001)
    flow.ack(rtt=RTT + 1, app_limited=True)
    assert flow.b.state == v.PROBE_RTT
    flow.in_flight(4)
    flow.ack(app_limited=True)
    flow.wait(200_001)
    flow.ack(app_limited=True)
    assert flow.b.state == v.STARTUP


def test_a_lower_round_trip_puts_probe_rtt_off():
    """5.3.4.3."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    for number in range(4):
        flow.wait(2_000_000)
        flow.ack(new_round=False, rtt=RTT - 10 - number)
        assert flow.b.state != v.PROBE_RTT


def test_the_smallest_round_trip_is_kept_for_ten_seconds():
    """5.5.7.2."""
    flow = Flow()
    flow.ack(rtt=30_000)
    flow.wait(5_000_001)
    flow.ack(rtt=50_000)
    assert flow.b.min_rtt == 30_000
    flow.wait(5_000_001)
    flow.ack(rtt=50_000)
    assert flow.b.min_rtt == 50_000


def test_restart_after_idle_paces_at_the_known_rate_and_needs_no_probe_rtt():
    """5.4.1."""
    flow = Flow()
    flow.to(v.PROBE_BW_DOWN)
    b, c = flow.b, flow.c
    flow.wait(20_000_000)
    c.app_limited = 1
    flow.in_flight(0)
    b.on_start_after_idle(c)
    assert c.pacing_rate == pytest.approx(BW * c.mss * 1e6 * 0.99, rel=1e-3)
    flow.in_flight(10)
    flow.ack(rtt=RTT + 5)
    assert b.state != v.PROBE_RTT
    assert not b.idle_restart


def test_idle_in_probe_rtt_ends_it():
    """5.4.1."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.wait(5_000_001)
    flow.ack(new_round=False, rtt=RTT + 5)
    flow.in_flight(10)
    flow.ack(new_round=False)
    flow.in_flight(0)
    flow.wait(10_000_000)
    flow.b.on_start_after_idle(flow.c)
    assert flow.b.state == v.PROBE_BW_CRUISE


def test_a_spurious_loss_in_startup_leads_back():
    """5.5.11.2."""
    flow = Flow()
    flow.in_flight(4 * BDP)
    flow.ack()
    flow.c.cwnd = 50
    flow.lose(6)
    flow.c.ca_state = CA_RECOVERY
    flow.ack(bw=BW * 2, lost=6)
    assert flow.b.state == v.DRAIN
    flow.c.cwnd = 20
    assert flow.b.undo(flow.c) >= 50
    assert flow.b.state == v.STARTUP
    assert not flow.b.full_bw_reached
    assert flow.b.inflight_longterm == v.UNLIMITED


def test_a_spurious_loss_in_up_starts_the_probe_anew():
    """5.5.11.2."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.lose(3)
    assert flow.b.state == v.PROBE_BW_DOWN
    flow.b.undo(flow.c)
    assert flow.b.state == v.PROBE_BW_REFILL
    assert flow.b.inflight_longterm == v.UNLIMITED


def test_recovery_gives_the_window_back():
    """5.6.4.4."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    b, c = flow.b, flow.c
    c.cwnd = 140
    assert b.ssthresh(c) == c.ssthresh
    b.on_state(c, CA_LOSS)
    c.ca_state = CA_LOSS
    c.cwnd = 1
    flow.ack(new_round=False)
    assert c.cwnd == 4
    b.on_state(c, CA_OPEN)
    assert c.cwnd == 140


def test_marks_are_congestion():
    """3.7: a probe ends on them, Startup too, and cruising slows down."""
    flow = Flow()
    flow.to(v.PROBE_BW_UP)
    flow.ack(new_round=False, marked=5)
    assert flow.b.state == v.PROBE_BW_DOWN
    assert flow.b.inflight_longterm == BDP
    flow = Flow()
    flow.in_flight(4 * BDP)
    flow.ack()
    flow.ack(bw=2 * BW, marked=5)
    assert flow.b.state == v.DRAIN
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.ack(bw=BW / 2)
    flow.b.on_state(flow.c, 2)
    flow.ack(bw=BW / 2)
    assert flow.b.bw_shortterm < BW


def test_headroom_is_left_while_cruising():
    """5.6.4.7."""
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    flow.b.inflight_longterm, flow.c.cwnd = 100, 150
    flow.ack(new_round=False, tx_in_flight=50)
    assert flow.c.cwnd == 85


def test_a_limit_on_the_pacing_rate_holds():
    flow = Flow()
    flow.c.options["SO_MAX_PACING_RATE"] = 1000
    flow.ack(BW * 100)
    assert flow.c.pacing_rate == 1000
    assert control.send_quantum(flow.c) == 2


def test_the_quantum_is_a_millisecond_of_data():
    """5.6.3."""
    flow = Flow()
    for rate, segments in ((1_000, 2), (10_000_000, 10_000 // 1448), (10**10, 65536 // 1448)):
        flow.c.pacing_rate = rate
        assert control.send_quantum(flow.c) == segments


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100)), max_size=40), st.integers(1, 12))
def test_windowed_maximum_is_that_of_the_window(steps, length):
    samples: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    now = 0
    for step, value in steps:
        now += step
        seen.append((now, value))
        samples = v.windowed_max(samples, now, value, length)
        assert samples[0][1] == max(value for at, value in seen if now - at < length)


@given(st.integers(1, 2000), st.integers(0, 60), st.integers(1, 45))
def test_inflight_at_loss_is_where_the_threshold_was_crossed(before, lost_before, size):
    """5.5.10.2: with the prefix found, losses are two per cent of what was in flight."""
    lost, in_flight = lost_before + size, before + size
    at = loss._inflight_at_loss(in_flight, lost, size)
    assert at <= in_flight or lost <= 0.02 * in_flight
    prefix = at - before
    assert abs((lost_before + prefix) - 0.02 * (before + prefix)) <= 1.0


def test_info_has_the_names_of_linux():
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    info = flow.b.info(flow.c)
    assert info["bbr_bw_lo"] == int(BW * flow.c.mss * 1e6)
    assert info["bbr_min_rtt"] == RTT
    assert (info["bbr_pacing_gain"], info["bbr_cwnd_gain"]) == (256, 512)


def test_an_ack_without_a_sample_changes_no_model():
    flow = Flow()
    flow.to(v.PROBE_BW_CRUISE)
    names = getattr(v.Variables, "__mypyc_attrs__", None) or v.Variables.__slots__
    before = {name: getattr(flow.b, name) for name in names}
    empty = RateSample()
    path.update_latest_delivery_signals(flow.b, flow.c, empty)
    path.update_congestion_signals(flow.b, flow.c, empty)
    after = {name: getattr(flow.b, name) for name in names}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"delivery_rate", "round_start", "loss_round_start"}
