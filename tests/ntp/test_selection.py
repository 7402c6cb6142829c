import itertools
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from catenet.ntp.selection import Candidate, select


def candidates(*pairs, **options):
    return [Candidate(f"s{at}", offset, distance, **options) for at, (offset, distance) in enumerate(pairs)]


def names(found):
    return {one.source for one in found}


def test_nobody():
    found = select([])
    assert found.offset is None
    assert found.system_peer is None
    assert found.error_bound == math.inf


def test_one_server_is_believed():
    found = select(candidates((0.5, 0.1)))
    assert found.offset == 0.5
    assert math.isclose(found.error_bound, 0.1)


def test_two_that_disagree_are_no_majority():
    found = select(candidates((0.0, 0.1), (1.0, 0.1)))
    assert found.offset is None
    assert names(found.falsetickers) == {"s0", "s1"}


def test_one_liar_among_four():
    found = select(candidates((0.010, 0.02), (0.012, 0.03), (5.0, 0.001), (0.008, 0.02)))
    assert names(found.falsetickers) == {"s2"}
    assert 0.008 <= found.offset <= 0.012
    assert found.error_bound < 0.03


def test_two_liars_who_agree_win_nothing_against_three():
    found = select(candidates((0.0, 0.01), (0.001, 0.01), (0.002, 0.01), (1.0, 0.01), (1.001, 0.01)))
    assert names(found.falsetickers) == {"s3", "s4"}


def test_two_against_two_is_no_majority():
    assert select(candidates((0.0, 0.01), (0.001, 0.01), (1.0, 0.01), (1.001, 0.01))).offset is None


def test_answers_that_were_held_up_on_one_way_do_not_end_agreement():
    """The interval is that of the near server, and has no midpoint but its own; the liar is named all the same."""
    found = select(candidates((0.0, 0.003), (0.010, 0.012), (-0.008, 0.010), (100.0, 0.003)))
    assert names(found.falsetickers) == {"s3"}
    assert abs(found.offset) <= 0.003
    assert found.error_bound >= abs(found.offset)
    apart = select(candidates((0.010, 0.0101), (-0.010, 0.0101), (0.011, 0.0111)))
    assert apart.falsetickers == ()
    assert abs(apart.offset) <= apart.error_bound


def test_who_is_cautious_is_no_falseticker_but_is_not_averaged():
    found = select(candidates((0.0, 0.01), (0.001, 0.01), (0.002, 0.01), (0.5, 0.6)))
    assert found.falsetickers == ()
    assert names(found.survivors) == {"s0", "s1", "s2"}


def test_a_lower_stratum_is_the_system_peer():
    found = select(
        [
            Candidate("far", 0.0, 0.05, stratum=1),
            Candidate("near", 0.001, 0.01, stratum=3),
            Candidate("c", 0, 1, stratum=3),
        ]
    )
    assert found.system_peer.source == "far"


def test_the_cluster_algorithm_drops_what_scatters():
    found = select(candidates((0.0, 0.5), (0.001, 0.5), (0.002, 0.5), (0.003, 0.5), (0.3, 0.5), jitter=0.01))
    assert names(found.survivors) == {"s0", "s1", "s2", "s3"}
    assert len(found.truechimers) == 5


def test_the_order_changes_nothing():
    given_ones = candidates((0.0, 0.3), (0.001, 0.2), (0.002, 0.1), (0.03, 0.1), (0.3, 0.5), jitter=0.001)
    first = select(given_ones)
    assert all(select(order) == first for order in itertools.permutations(given_ones))


numbers = st.floats(-1e3, 1e3)
distances = st.floats(0, 1e3)


@given(st.lists(st.tuples(numbers, distances, st.floats(0, 10), st.integers(1, 15)), max_size=12))
def test_every_server_has_one_verdict(rows):
    given_ones = [Candidate(at, offset, d, jitter, stratum) for at, (offset, d, jitter, stratum) in enumerate(rows)]
    found = select(given_ones)
    assert sorted(one.source for one in (*found.truechimers, *found.falsetickers)) == list(range(len(rows)))
    assert set(found.survivors) <= set(found.truechimers)
    if found.offset is not None:
        assert len(found.truechimers) * 2 > len(rows)
        assert found.error_bound >= 0
        offsets = [one.offset for one in found.survivors]
        assert min(offsets) <= found.offset <= max(offsets)


def test_the_truth_is_within_the_bound_as_long_as_most_are_honest():
    rng, believed = random.Random(5), 0
    for _ in range(500):
        count = rng.randrange(1, 9)
        liars = rng.randrange((count + 1) // 2)
        truth = rng.uniform(-10, 10)
        given_ones = []
        for at in range(count):
            distance = rng.uniform(0.001, 1)
            wrong = rng.uniform(-20, 20) if at < liars else rng.uniform(-distance, distance)
            given_ones.append(Candidate(at, truth + wrong, distance))
        found = select(given_ones)
        if found.offset is not None:
            believed += 1
            assert abs(found.offset - truth) <= found.error_bound + 1e-9
    assert believed > 250
