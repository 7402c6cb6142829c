import heapq
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.link.properties import DISCIPLINES, LinkProperties, QueueProperties
from catenet.link.queues import flow_key
from catenet.link.shaped import ShapedLink, make_link
from catenet.link.simulated import SimulatedLink
from catenet.wire.checksum import checksum, is_valid
from catenet.wire.ecn import CE, ECT0, ECT1, NOT_ECT, codepoint, mark

SHAPED = [name for name in DISCIPLINES if name != "droptail"]
RATE = 10e6


def packet(version=4, ecn=NOT_ECT, flow=1, size=1500):
    """An IP packet with valid header checksum, as much of it as queues look at."""
    ports = flow.to_bytes(2, "big") + b"\x00\x50"
    if version == 6:
        head = bytes([0x60, ecn << 4, 0, 0]) + (size - 40).to_bytes(2, "big") + bytes([6, 64]) + bytes(32)
        return head + ports + bytes(size - 44)
    head = bytes([0x45, ecn]) + size.to_bytes(2, "big") + bytes(4) + bytes([64, 6])
    addresses = bytes([10, 0, 0, 1, 10, 0, 0, 2])
    total = checksum(head + bytes(2) + addresses)
    return head + total.to_bytes(2, "big") + addresses + ports + bytes(size - 24)


class Bench:
    """A link with its events; `sojourns` are (delay, packet) of all that arrived."""

    def __init__(self, discipline, **queue):
        properties = LinkProperties(rate=RATE, queue=QueueProperties(discipline, **queue))
        self.link = make_link(properties, random.Random(5))
        self.heap = []
        self.count = itertools.count()
        self.sojourns = []

    def schedule(self, when, callback, *args):
        heapq.heappush(self.heap, (when, next(self.count), callback, args))

    def send(self, data, now):
        self.run(now)
        self.link.offer(data, now, self.schedule, lambda got, when: self.sojourns.append((when - now, got)))

    def run(self, until=float("inf")):
        while self.heap and self.heap[0][0] <= until:
            _, _, callback, args = heapq.heappop(self.heap)
            callback(*args)

    def overload(self, seconds, factor, make):
        """Offer `factor` times the rate; return the delays of the second half."""
        number, now = 0, 0.0
        while now < seconds:
            data = make(number)
            self.send(data, now)
            now += len(data) * 8 / RATE / factor
            number += 1
        self.run()
        half = self.sojourns[len(self.sojourns) // 2 :]
        return [delay for delay, _ in half]


@pytest.mark.parametrize("version", [4, 6])
def test_marking_sets_congestion_experienced_and_nothing_else(version):
    for ecn in (ECT0, ECT1):
        marked = mark(packet(version, ecn))
        assert codepoint(marked) == CE
        assert mark(marked) == marked
        assert len(marked) == 1500
        assert version == 6 or is_valid(marked[:20])
    assert mark(packet(version, NOT_ECT)) is None


def test_the_kind_of_link_follows_from_rate_and_discipline():
    stream = random.Random(1)
    queue = QueueProperties("codel")
    plain = make_link(LinkProperties(queue=queue), stream)
    assert type(plain) is SimulatedLink
    plain.transit(b"x", 0.0)
    shaped = make_link(LinkProperties(rate=1e6, queue=queue), stream, plain)
    assert type(shaped) is ShapedLink
    assert shaped.counters.packets == 1
    assert make_link(LinkProperties(rate=2e6, queue=queue), stream, shaped) is shaped
    assert type(make_link(LinkProperties(rate=2e6), stream, shaped)) is SimulatedLink


@pytest.mark.parametrize("discipline", SHAPED)
def test_below_its_rate_a_link_neither_drops_nor_marks(discipline):
    bench = Bench(discipline)
    delays = bench.overload(2, 0.9, lambda _: packet(ecn=ECT0))
    assert bench.link.counters.dropped == bench.link.counters.marked == 0
    assert max(delays) < 0.002


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("discipline", SHAPED)
def test_a_standing_queue_is_marked_for_those_who_can_tell_and_dropped_for_others(discipline, version):
    deaf = Bench(discipline)
    deaf.overload(4, 1.2, lambda _: packet(version))
    assert deaf.link.counters.drops["aqm"] > 20
    assert deaf.link.counters.marked == 0
    able = Bench(discipline)
    able.overload(2, 1.1, lambda _: packet(version, ECT0))
    assert able.link.counters.marked > 5


def test_codel_keeps_the_delay_of_drop_tail_away():
    """At 5 % overload CoDel's law brings the delay down; a drop-tail queue of the same length stays full."""
    codel = Bench("codel").overload(20, 1.05, lambda _: packet())
    tail = Bench("droptail").overload(20, 1.05, lambda _: packet())
    assert min(tail) > 0.4
    assert sum(codel) / len(codel) < 0.1


def test_codel_leaves_bursts_alone():
    bench = Bench("codel")
    for _ in range(20):
        bench.send(packet(), 0.0)
    bench.run()
    assert bench.link.counters.dropped == 0


def test_fq_codel_shields_a_thin_flow_from_a_thick_one():
    """A flow of one packet in twenty waits for one packet of the other at most, not for its queue."""
    bench = Bench("fq_codel")
    bench.overload(4, 1.5, lambda number: packet(flow=2, size=200) if number % 20 == 0 else packet(flow=1))
    thin = [delay for delay, data in bench.sojourns if len(data) == 200]
    thick = [delay for delay, data in bench.sojourns if len(data) == 1500]
    assert max(thin) < 2 * 1500 * 8 / RATE
    assert sum(thick) / len(thick) > 0.005


def test_fq_codel_shares_the_rate_between_thick_flows():
    bench = Bench("fq_codel")
    bench.overload(3, 4, lambda number: packet(flow=1 if number % 3 else 2))
    counts = [sum(1 for _, data in bench.sojourns if data[20:22] == flow.to_bytes(2, "big")) for flow in (1, 2)]
    assert counts[1] / counts[0] == pytest.approx(1, abs=0.1)


def test_dualpi2_gives_l4s_low_delay_beside_a_classic_queue():
    bench = Bench("dualpi2")
    bench.overload(6, 1.1, lambda number: packet(ecn=ECT1 if number % 3 == 0 else ECT0))
    low = [delay for delay, data in bench.sojourns if codepoint(data) in (ECT1,)]
    classic = [delay for delay, data in bench.sojourns if codepoint(data) == ECT0]
    assert sum(low) / len(low) < 0.004
    assert sum(classic) / len(classic) > 0.008


@pytest.mark.parametrize("discipline", SHAPED)
def test_no_queue_exceeds_its_limit_of_packets(discipline):
    bench = Bench(discipline, packets=10)
    for _ in range(100):
        bench.send(packet(ecn=ECT1), 0.0)
    bench.run()
    assert bench.link.counters.drops["queue"] == 89
    assert len(bench.sojourns) == 11


@given(
    st.sampled_from(SHAPED),
    st.lists(st.tuples(st.floats(0, 0.02), st.integers(60, 1500), st.integers(0, 3), st.integers(0, 4)), max_size=80),
)
def test_every_packet_arrives_or_is_counted_in_its_flow_s_order(discipline, sends):
    bench = Bench(discipline, packets=20)
    now, sent = 0.0, {}
    for number, (gap, size, ecn, flow) in enumerate(sends):
        now += gap
        # The last bytes number the packet.
        data = packet(4, ecn, flow, size)[:-4] + number.to_bytes(4, "big")
        sent.setdefault((flow, ecn in (ECT1, CE)), []).append(number)
        bench.send(data, now)
    bench.run()
    counters = bench.link.counters
    assert len(bench.sojourns) + counters.dropped == len(sends) == counters.packets
    arrived = [int.from_bytes(data[-4:], "big") for _, data in bench.sojourns]
    for numbers in sent.values():
        assert [number for number in arrived if number in numbers] == [n for n in numbers if n in arrived]


def test_flows_are_told_apart_by_ports_but_fragments_by_addresses():
    assert flow_key(packet(flow=1)) != flow_key(packet(flow=2))
    assert flow_key(packet(6, flow=1)) != flow_key(packet(6, flow=2))
    fragments = [data[:6] + b"\x20\x00" + data[8:] for data in (packet(flow=1), packet(flow=2))]
    assert flow_key(fragments[0]) == flow_key(fragments[1])
