"""Time is bought with bytes."""

from catenet.net.pace import AHEAD, Pace


def kept(pieces, grace=10.0, rate=240.0, owes=lambda now: True):
    """Return when a peer that sends `pieces[now]` bytes in each second is late, or None within ten minutes."""
    pace, received = Pace(grace, rate), 0
    for now in range(600):
        received += pieces(now)
        if pace.is_late(owes(now), received, float(now)):
            return now
    return None


def test_silence_has_the_grace_and_no_more():
    assert kept(lambda now: 0) == 11
    assert kept(lambda now: 0, grace=3.0) == 4


def test_a_trickle_buys_little_and_the_rate_buys_all():
    assert 11 <= kept(lambda now: 24) <= 13
    assert kept(lambda now: 239, grace=0.5) is not None
    assert kept(lambda now: 240) is None


def test_a_burst_buys_a_minute_at_most():
    assert kept(lambda now: 1 << 30 if now == 1 else 0) == 1 + AHEAD


def test_a_burst_buys_what_it_may():
    pace = Pace(5.0, 240.0, 5.0)
    assert [pace.is_late(True, 1 << 30, float(now)) for now in range(8)] == [False] * 6 + [True] * 2


def test_who_owes_nothing_has_all_the_time():
    assert kept(lambda now: 0, owes=lambda now: now % 9 != 0) is None
    assert kept(lambda now: 0, owes=lambda now: False) is None


def test_no_rate_is_no_limit():
    assert kept(lambda now: 0, rate=0.0) is None
