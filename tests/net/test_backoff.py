import random

from catenet.net.backoff import ConnectionBackoff


def test_backoff_grows_to_its_limit_and_starts_anew():
    rng, backoff = random.Random(1), ConnectionBackoff()
    delays = [backoff.failed(rng) for _ in range(20)]
    assert 0.8 <= delays[0] <= 1.2
    assert 1.28 <= delays[1] <= 1.92
    assert all(96 <= delay <= 144 for delay in delays[11:])
    backoff.succeeded()
    assert backoff.failed(rng) <= 1.2
