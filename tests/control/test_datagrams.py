"""Congestion control without TCP: a transport of numbered datagrams, each acknowledged by itself, over a bottleneck."""

from __future__ import annotations

import heapq
import random
import subprocess
import sys

import pytest

from catenet.control import ALGORITHMS, Congestion, RateSample, Sender, Transmission, make, register
from catenet.control.delivery_rate import finish, on_delivered, on_sent
from catenet.control.settings import ControlSettings
from catenet.control.states import CA_LOSS, CA_OPEN, CA_RECOVERY

SIZE = 1200
REORDERING = 3
"""Datagrams that may overtake one before it counts as lost (as in QUIC, RFC 9002 6.1.1)."""


class Flow(Sender):
    """Sends datagrams through a bottleneck for as long as it may; times are those of the simulation."""

    def __init__(self, name: str, rate: int, delay: int, queue: int) -> None:
        super().__init__(ControlSettings())
        self.clock, self.free_at, self.go_at, self.waits_for = 1_000_000, 0, 0, 0
        self.service, self.delay, self.queue = SIZE * 1_000_000 // rate, delay, queue
        self.mss = SIZE
        self.sack_ok = True
        self.events: list[tuple[int, int]] = []
        self.out: dict[int, Transmission] = {}
        self.end = -1
        """Last number sent when the recovery under way began."""
        self.chance = random.Random(1)
        self.congestion: Congestion = make(name)
        self.congestion.start(self)

    @property
    def now(self) -> int:
        return self.clock

    @property
    def random(self) -> random.Random:
        return self.chance

    @property
    def is_paced(self) -> bool:
        return self.congestion.paces

    def send(self) -> None:
        """Send what window and rate allow."""
        while self.in_flight < self.cwnd:
            if self.is_paced and self.pacing_rate and self.go_at > self.clock:
                if self.waits_for != self.go_at:
                    self.waits_for = self.go_at
                    heapq.heappush(self.events, (self.go_at, -1))
                return
            self.go_at = self.clock + (SIZE * 1_000_000 // self.pacing_rate if self.pacing_rate else 0)
            sent = Transmission(self.snd_nxt, self.snd_nxt + 1, 1)
            sent.sent_at = self.clock
            on_sent(self, sent, self.now)
            self.out[sent.seq] = sent
            self.snd_nxt += 1
            self.packets_out += 1
            self.max_packets_out = self.packets_out
            start = max(self.clock, self.free_at)
            if start - self.clock <= self.queue * self.service:
                self.free_at = start + self.service
                heapq.heappush(self.events, (self.free_at + self.delay, sent.seq))
        self.cwnd_limited = True

    def arrive(self, number: int) -> None:
        """The acknowledgment of a datagram."""
        sent = self.out.pop(number)
        rate, lost = RateSample(), [each for each in self.out.values() if each.seq < number - REORDERING]
        self.packets_out -= 1
        self.delivered += 1
        rate.rtt = self.clock - sent.sent_at
        on_delivered(self, sent, rate)
        for each in lost:
            del self.out[each.seq]
            self.packets_out -= 1
            self.lost += 1
            if self.congestion.controls:
                self.congestion.on_lost(self, each)
        self.snd_una = min(self.out, default=self.snd_nxt)
        self.rtt.sample(rate.rtt, self.snd_una, self.snd_nxt, 200_000)
        self.rtt.update_minimum(rate.rtt, self.clock, 300_000_000)
        finish(self, 1, len(lost), rate, False)
        self.congestion.on_rtt(self, rate.rtt)
        self.move(bool(lost))
        if self.congestion.controls:
            self.congestion.control(self, 1, 0, rate)
        elif self.ca_state == CA_OPEN:
            self.congestion.on_ack(self, 1)

    def move(self, lost: bool) -> None:
        """Enter recovery at a loss, leave it when what was in flight then is acknowledged."""
        if lost and self.ca_state == CA_OPEN:
            self.end = self.snd_nxt
            self.prior_cwnd = self.cwnd
            self.ssthresh = self.congestion.ssthresh(self)
            if not self.congestion.controls:
                self.cwnd = self.ssthresh
            self.congestion.on_state(self, CA_RECOVERY)
            self.ca_state = CA_RECOVERY
        elif self.ca_state == CA_RECOVERY and self.snd_una >= self.end:
            self.congestion.on_state(self, CA_OPEN)
            self.ca_state = CA_OPEN

    def run(self, until: int) -> None:
        """Let `until` microseconds pass."""
        until += self.clock
        self.send()
        while self.events and self.events[0][0] < until:
            self.clock, number = heapq.heappop(self.events)
            if number in self.out:
                self.arrive(number)
            self.send()


@pytest.mark.parametrize("name", ["reno", "cubic", "bbr"])
def test_a_bottleneck_is_well_used(name):
    flow = Flow(name, rate=1_250_000, delay=40_000, queue=40)
    flow.run(30_000_000)
    assert flow.delivered * SIZE > 0.8 * 30 * 1_250_000
    assert flow.lost < 0.05 * flow.delivered
    assert 40_000 <= flow.rtt.minimum() < 45_000


def test_bbr_keeps_the_queue_shorter_than_cubic():
    srtt = {}
    for name in ("cubic", "bbr"):
        flow = Flow(name, rate=1_250_000, delay=40_000, queue=200)
        flow.run(20_000_000)
        srtt[name] = flow.rtt.srtt >> 3
    assert srtt["bbr"] - 40_000 < (srtt["cubic"] - 40_000) / 2


def test_a_timeout_resets_what_cubic_knows():
    flow = Flow("cubic", rate=1_250_000, delay=40_000, queue=40)
    flow.run(5_000_000)
    assert flow.congestion.last_max > 0
    flow.congestion.on_state(flow, CA_LOSS)
    assert flow.congestion.last_max == 0


def test_an_algorithm_of_the_users_own():
    class Halving(Congestion):
        name = "halving"

        def on_ack(self, c, acked):
            c.cwnd = 20

    register(Halving)
    try:
        flow = Flow("halving", rate=1_250_000, delay=40_000, queue=40)
        flow.run(10_000_000)
    finally:
        del ALGORITHMS["halving"]
    assert flow.lost == 0
    assert flow.delivered == pytest.approx(20 * 10 / 0.041, rel=0.05)


def test_it_needs_nothing_of_the_stack():
    code = "import sys, catenet.control; print([m for m in sys.modules if m.startswith('catenet.stack')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
