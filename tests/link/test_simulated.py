import itertools
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.link.properties import LinkProperties, QueueProperties
from catenet.link.simulated import SimulatedLink, flip_bit
from catenet.wire import ip
from catenet.wire.checksum import pseudo_sum
from catenet.wire.offload import complete, is_unsummed


def link(**properties):
    return SimulatedLink(LinkProperties(**properties), random.Random(7))


def send_all(one, count, gap=0.001, size=100):
    """Send numbered packets `gap` seconds apart; return (arrival, number) in the order of arrival."""
    arrivals = []
    for number in range(count):
        arrivals += one.transit(number.to_bytes(4, "big") + bytes(size - 4), number * gap)
    arrivals.sort(key=lambda arrival: arrival[0])
    return [(when, int.from_bytes(data[:4], "big")) for when, data in arrivals]


def test_a_perfect_link_only_delays():
    one = link(latency=0.02)
    assert one.transit(b"abc", 1.0) == [(1.02, b"abc")]
    assert (one.counters.packets, one.counters.bytes, one.counters.dropped) == (1, 3, 0)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_loss_takes_its_share(share):
    one = link(loss=share)
    arrived = len(send_all(one, 20_000))
    assert one.counters.drops == {"loss": 20_000 - arrived}
    assert abs(20_000 - arrived - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5


def test_duplicates_are_counted_and_arrive():
    one = link(duplicate=0.1)
    assert len(send_all(one, 10_000)) == 10_000 + one.counters.duplicated
    assert 850 < one.counters.duplicated < 1150


def test_jitter_spreads_but_keeps_the_order():
    arrivals = send_all(link(latency=0.05, jitter=0.02), 5_000, gap=0.01)
    assert [number for _, number in arrivals] == list(range(5_000))
    delays = [when - number * 0.01 for when, number in arrivals]
    assert 0.03 <= min(delays) < 0.032
    assert 0.068 < max(delays) <= 0.0701
    assert abs(statistics.mean(delays) - 0.05) < 0.004


@pytest.mark.parametrize("gap", [0.0001, 0.001, 0.01, 0.03, 0.0401, 0.1])
@pytest.mark.parametrize("rate", [None, 10e6])
def test_jitter_leaves_the_mean_where_it_is_whatever_the_traffic(gap, rate):
    """Every part of latency +- jitter gets its share, and no packet overtakes another."""
    count = max(4_000, int(60 / gap))
    one = link(latency=0.05, jitter=0.02, rate=rate)
    arrivals = send_all(one, count, gap=gap)
    assert [number for _, number in arrivals] == list(range(count))
    wire = 0.0 if rate is None else 100 * 8 / rate
    delays = [when - number * gap - wire for when, number in arrivals]
    assert abs(statistics.mean(delays) - 0.05) < 0.002
    assert 0.03 - 1e-9 <= min(delays) < 0.031 and 0.069 < max(delays) <= 0.07 + 1e-9
    for share in (0.25, 0.5, 0.75):
        below = sum(delay < 0.03 + share * 0.04 for delay in delays) / count
        assert abs(below - share) < 0.06


@pytest.mark.parametrize("gap", [0.001, 0.07])
def test_jitter_above_the_latency_never_lets_a_packet_arrive_before_it_was_sent(gap):
    arrivals = send_all(link(latency=0.01, jitter=0.03), max(4_000, int(60 / gap)), gap=gap)
    assert [number for _, number in arrivals] == list(range(len(arrivals)))
    delays = [when - number * gap for when, number in arrivals]
    assert -1e-9 <= min(delays) < 1e-9
    assert 0.039 < max(delays) <= 0.04 + 1e-9
    assert abs(sum(delay < 1e-9 for delay in delays) / len(delays) - 1 / 3) < 0.04
    assert abs(statistics.mean(delays) - 0.04**2 / (4 * 0.03)) < 0.001


def test_jitter_of_packets_far_apart_is_that_of_each_alone():
    delays = [when - number * 0.05 for when, number in send_all(link(latency=0.05, jitter=0.02), 4_000, gap=0.05)]
    ahead, behind = delays[:-1], delays[1:]
    assert abs(statistics.correlation(ahead, behind)) < 0.06


def test_reordered_packets_are_overtaken():
    one = link(latency=0.05, reorder=0.1)
    arrivals = send_all(one, 2_000)
    late = sum(1 for (_, a), (_, b) in itertools.pairwise(arrivals) if b < a)
    assert 100 < late <= one.counters.reordered
    assert len(arrivals) == 2_000


def test_corruption_inverts_one_bit():
    one = link(corrupt=1)
    original = bytes(range(100))
    [(_, damaged)] = one.transit(original, 0.0)
    assert sum((a ^ b).bit_count() for a, b in zip(original, damaged, strict=True)) == 1
    assert flip_bit(b"", random.Random(1)) == b""


def test_rate_serialises():
    one = link(rate=8_000, latency=0.1)
    assert [when for when, _ in send_all(one, 3, gap=0.0, size=1000)] == pytest.approx([1.1, 2.1, 3.1])
    assert one.transit(bytes(500), 10.0)[0][0] == pytest.approx(10.6)


def test_a_queue_of_packets_drops_its_tail():
    one = link(rate=8_000, queue=QueueProperties(packets=2))
    assert [number for _, number in send_all(one, 6, gap=0.0, size=1000)] == [0, 1, 2]
    assert one.counters.drops == {"queue": 3}
    assert one.transit(bytes(1000), 1.5)[0][0] == pytest.approx(4.0)


def test_a_queue_of_bytes_drops_its_tail():
    one = link(rate=8_000, queue=QueueProperties(packets=None, bytes=2500))
    assert [number for _, number in send_all(one, 6, gap=0.0, size=1000)] == [0, 1]
    assert one.counters.drops == {"queue": 4}


def test_packets_larger_than_the_link_carries_are_dropped():
    one = link(mtu=1280)
    assert one.transit(bytes(1281), 0.0) == []
    assert one.transit(bytes(1280), 0.0) == [(0.0, bytes(1280))]
    assert one.counters.drops == {"mtu": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"latency": -1}, {"loss": 1.5}, {"reorder": -0.1}, {"rate": 0}, {"mtu": 20}, {"jitter": float("nan")}],
)
def test_impossible_properties_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LinkProperties(**wrong)


PROPERTIES = st.builds(
    LinkProperties,
    latency=st.floats(0, 0.2),
    jitter=st.floats(0, 0.1),
    loss=st.floats(0, 1),
    duplicate=st.floats(0, 1),
    reorder=st.floats(0, 1),
    corrupt=st.floats(0, 1),
    rate=st.none() | st.floats(1e4, 1e9),
    queue=st.builds(QueueProperties, packets=st.integers(1, 50)),
)


@given(PROPERTIES, st.integers(), st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 1600)), max_size=60))
def test_books_balance_and_nothing_arrives_before_it_was_sent(properties, seed, sends):
    one = SimulatedLink(properties, random.Random(seed))
    now, arrived = 0.0, 0
    for gap, size in sends:
        now += gap
        for when, data in one.transit(bytes(size), now):
            arrived += 1
            assert when >= now
            assert len(data) == size
    counters = one.counters
    assert counters.packets == len(sends)
    assert arrived == counters.packets - counters.dropped + counters.duplicated


@given(PROPERTIES, st.integers())
def test_the_same_seed_decides_the_same(properties, seed):
    one, other = (SimulatedLink(properties, random.Random(seed)) for _ in range(2))
    assert send_all(one, 30) == send_all(other, 30)


def model(properties, sends):
    """When packets (moment, size) arrive over a faultless link, None for those dropped: a queue written out."""
    under_way, arrivals = [], []
    for now, size in sends:
        waiting = [(start, end, length) for start, end, length in under_way if end > now]
        free = max([now, *(end for _, end, _ in waiting)])
        backlog = (free - now) * properties.rate / 8
        queue = properties.queue
        full = queue.packets is not None and len(waiting) > queue.packets
        full |= bool(waiting) and queue.bytes is not None and backlog + size > queue.bytes
        if size > properties.mtu or full:
            arrivals.append(None)
            continue
        end = free + size * 8 / properties.rate
        under_way.append((free, end, size))
        arrivals.append(end + properties.latency)
    return arrivals


# Times are multiples of 2**-10 s and rates powers of two, so that ends of packets and of waits fall together exactly.
SENDS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from((64, 128, 256, 1024))), min_size=1, max_size=60)


@given(
    sends=SENDS,
    packets=st.one_of(st.none(), st.integers(1, 4)),
    size=st.one_of(st.none(), st.sampled_from((128, 256, 1024))),
    rate=st.sampled_from((2.0**19, 2.0**20)),
)
def test_the_fast_path_of_a_link_equals_the_slow_path_and_a_model_of_its_queue(sends, packets, size, rate):
    if packets is None and size is None:
        packets = 1000
    queue = QueueProperties(packets=packets, bytes=size)
    properties = {"latency": 2.0**-6, "rate": rate, "queue": queue, "mtu": 512}
    short, long, now, moments = link(**properties), link(**properties), 0.0, []
    for gap, length in sends:
        now += gap * 2.0**-10
        moments.append((now, length))
    came = [short.arrival(length, at) for at, length in moments]
    went = [long.transit(bytes(length), at) for at, length in moments]
    assert came == [each[0][0] if each else -1.0 for each in went]
    assert came == [-1.0 if each is None else each for each in model(short.properties, moments)]
    assert (short.counters.packets, short.counters.bytes) == (long.counters.packets, long.counters.bytes)
    assert short.counters.drops == long.counters.drops


@pytest.mark.parametrize("fault", ["loss", "duplicate", "reorder", "corrupt", "jitter"])
def test_a_link_with_any_fault_is_not_faultless(fault):
    assert not link(**{fault: 0.01}).faultless
    assert link().faultless


@given(st.integers(0, 2**32), st.binary(max_size=40))
def test_damage_to_a_segment_whose_checksum_was_left_out_is_seen(seed, data):
    """The right checksum goes in first: one bit changed, either that checksum fails or the IP header's."""
    source, destination = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    segment = bytearray(20) + data
    segment[12] = 0x50
    segment[16:18] = (pseudo_sum(source, destination, 6) + len(segment)).to_bytes(3, "big")[1:]
    packet = ip.build(ip.IpPacket(source, destination, 6, bytes(segment)))
    assert is_unsummed(packet)
    whole = complete(packet)
    damaged = flip_bit(packet, random.Random(seed))
    assert (int.from_bytes(damaged, "big") ^ int.from_bytes(whole, "big")).bit_count() == 1
    assert not is_unsummed(damaged)
