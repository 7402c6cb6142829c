"""BBR on paths: random loss, deep and shallow queues, beside CUBIC and beside itself, outages."""

from __future__ import annotations

import random

import pytest
from tests.stack.tcp.tcpnet import Net
from tests.stack.tcp.test_congestion import Bottleneck

from catenet.control.bbr import variables as v
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.user.endpoint import TcpEndpoint

RATE = 10e6
DELAY = 0.02
CHUNK = bytes(32768)


class Link:
    """Data's way: `RATE`, a queue of so many seconds, random loss, and an outage."""

    def __init__(self, queue: float, loss: float = 0.0, outage: tuple[float, float] = (0.0, 0.0)) -> None:
        self.queue, self.loss, self.outage = queue, loss, outage
        self.random = random.Random(5)
        self.free_at = self.waited = 0.0
        self.offered = self.lost = 0

    def __call__(self, packet: bytes, now: float) -> list[tuple[float, bytes]]:
        start = max(now, self.free_at)
        self.offered += 1
        out = self.outage[0] <= now < self.outage[1]
        if start - now > self.queue or self.random.random() < self.loss or out:
            self.lost += 1
            return []
        self.waited += start - now
        self.free_at = start + len(packet) * 8 / RATE
        return [(self.free_at - now + DELAY, packet)]


class Flows:
    """Connections that send for ever, on one link."""

    def __init__(self, link: Link, *algorithms: str) -> None:
        self.net = Net(4, delay=DELAY)
        self.ends: list[tuple[TcpEndpoint, TcpEndpoint]] = []
        self.taken = [0] * len(algorithms)
        for number, algorithm in enumerate(algorithms):
            self.net.hosts[0].settings.tcp_congestion_control = algorithm
            client, server, _ = self.net.pair(80 + number)
            self.ends.append((client, server))
        self.net.filters[0] = link

    def run(self, seconds: float) -> list[float]:
        """Shares of the link's rate in the next `seconds`."""
        before = list(self.taken)
        end = self.net.now + seconds
        while self.net.now < end:
            for number, (client, server) in enumerate(self.ends):
                while client.send(CHUNK):
                    pass
                while data := server.receive(1 << 20):
                    self.taken[number] += len(data)
            if not self.net.step():
                break
        return [(now - then) * 8 / seconds / RATE for now, then in zip(self.taken, before, strict=True)]

    def connection(self, number: int = 0) -> Connection:
        found = self.ends[number][0].connection
        assert isinstance(found, Connection)
        return found


@pytest.mark.parametrize("loss", [0.01, 0.02])
def test_random_loss_that_starves_cubic_leaves_bbr_most_of_the_link(loss):
    shares = {}
    for algorithm in ("bbr", "cubic"):
        flows = Flows(Link(0.2, loss), algorithm)
        flows.run(2)
        shares[algorithm] = flows.run(8)[0]
    assert shares["bbr"] > 0.55
    assert shares["bbr"] > 2 * shares["cubic"]


def test_a_deep_queue_stays_nearly_empty():
    link = Link(1.0)
    flows = Flows(link, "bbr")
    flows.run(3)
    link.waited, link.offered = 0.0, 0
    assert flows.run(6)[0] > 0.85
    assert link.waited / link.offered < 0.01
    assert link.lost == 0


def test_a_shallow_queue_is_enough():
    link = Link(0.006)
    flows = Flows(link, "bbr")
    flows.run(2)
    assert flows.run(6)[0] > 0.85
    assert link.lost / link.offered < 0.02


@pytest.mark.parametrize("rival", ["cubic", "reno"])
@pytest.mark.parametrize("queue", [0.04, 0.08])
def test_others_keep_a_share_beside_bbr(rival, queue):
    flows = Flows(Link(queue), "bbr", rival)
    flows.run(3)
    shares = flows.run(12)
    assert min(shares) > 0.15
    assert sum(shares) > 0.85


def test_a_second_bbr_flow_gets_its_share():
    flows = Flows(Link(0.08), "bbr", "bbr")
    flows.run(4)
    shares = flows.run(12)
    assert min(shares) > 0.25
    assert sum(shares) > 0.85


def test_probe_rtt_empties_the_path_every_five_seconds():
    flows = Flows(Link(0.2), "bbr")
    c = flows.connection()
    bbr = c.congestion
    assert isinstance(bbr, v.Variables)
    entered, before, least = [], v.STARTUP, 1000
    while flows.net.now < 1012:
        flows.run(0.02)
        if bbr.state == v.PROBE_RTT:
            least = min(least, c.in_flight)
            if before != v.PROBE_RTT:
                entered.append(flows.net.now)
        before = bbr.state
    assert len(entered) == 2
    assert entered[1] - entered[0] == pytest.approx(5.2, abs=0.3)
    assert least <= 0.5 * bbr.max_bw * bbr.min_rtt + 1


def test_an_outage_is_recovered_from():
    flows = Flows(Link(0.08, outage=(1004.0, 1006.0)), "bbr")
    flows.run(9)
    assert flows.run(4)[0] > 0.85


def test_a_link_that_got_faster_is_found_within_seconds():
    """ProbeBW_UP finds in a few cycles what Startup could not know."""

    class Slower(Link):
        def __call__(self, packet: bytes, now: float) -> list[tuple[float, bytes]]:
            passed = super().__call__(packet, now)
            if passed and now < 1004.0:
                self.free_at += len(packet) * 8 / RATE * 3  # a quarter of the rate
            return [(self.free_at - now + DELAY, packet)] if passed else []

    flows = Flows(Slower(0.3), "bbr")
    assert flows.run(4)[0] < 0.26
    flows.run(8)
    assert flows.run(3)[0] > 0.8


def test_a_program_that_pauses_resumes_at_the_known_rate():
    flows = Flows(Link(0.08), "bbr")
    flows.run(3)
    client, server = flows.ends[0]
    while flows.net.now < 1006.0:
        while server.receive(1 << 20):
            pass
        if not flows.net.step():
            flows.net.now = 1006.0
    bbr = flows.connection().congestion
    assert isinstance(bbr, v.Variables)
    flows.net.run(6)
    assert flows.run(1)[0] > 0.7
    assert bbr.state != v.STARTUP
    assert client.info().tcpi_total_retrans < 20


def test_bbr_reacts_to_marks_without_starving():
    """With ECN, BBR neither ignores the marks nor starves."""
    net = Net(4, delay=DELAY)
    for host in net.hosts:
        host.settings.tcp_congestion_control = "bbr"
        host.settings.tcp_ecn = 3
    client, server, _ = net.pair()
    link = Bottleneck(RATE, DELAY, 0.3, mark=0.005)
    net.filters[0] = link
    taken, end = 0, net.now + 8
    while net.now < end:
        while client.send(CHUNK):
            pass
        while data := server.receive(1 << 20):
            taken += len(data)
        net.step()
    assert taken > 0.7 * RATE  # eight seconds, eight bits
    assert link.marks > 0
    assert link.drops == 0
