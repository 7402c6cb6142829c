"""A session of 4 KB each way, its connection cut at every byte of either direction: nothing lost, nothing twice."""

import random

import pytest
from pairs import Pair

from catenet.session.core import Ending

UP, DOWN = random.Random(1).randbytes(4096), random.Random(2).randbytes(4096)
PARTS = [0, 1, 2, 300, 1800, 1801, 4000, 4096]


def converse(seed, cuts, most=None):
    """Both programs write in parts and end; the first connections are cut. Return the pair."""
    pair = Pair(seed)
    cuts = list(cuts)
    written = 0
    for _ in range(100):
        if pair.client.ended is None and not any(wire.open for wire in pair.wires):
            pair.connect(cuts.pop(0) if cuts else (None, None))
        server = pair.server
        if written < len(PARTS) - 1:
            pair.client.write(UP[PARTS[written] : PARTS[written + 1]])
            written += 1
            if written == len(PARTS) - 1:
                pair.client.write_eof()
        elif server is not None and len(pair.got[1]) == 4096 and not server.sending.finished:
            server.write(DOWN[1000:])
            server.write_eof()
        if server is not None and not server.sending.written:
            server.write(DOWN[:1000])
        pair.settle(turns=2 if written < len(PARTS) - 1 else 60, most=most)
        if pair.client.ended is not None and not any(wire.open for wire in pair.wires):
            break
    return pair


def check(pair):
    assert bytes(pair.got[1]) == UP and bytes(pair.got[0]) == DOWN
    assert pair.client.ended is Ending.DONE and pair.server.ended is Ending.DONE
    assert len(pair.opened) == 1, "one handler"


def lengths():
    whole = converse(0, [(1 << 30, 1 << 30)])
    check(whole)
    return whole.totals


@pytest.mark.parametrize("side", [0, 1], ids=["client-to-server", "server-to-client"])
def test_a_cut_at_every_byte(side):
    for cut in range(lengths()[side] + 1):
        cuts = (cut, None) if side == 0 else (None, cut)
        check(converse(0, [cuts]))


def test_cuts_of_both_directions_one_after_the_other():
    up, down = lengths()
    rng = random.Random(3)
    for seed in range(300):
        cuts = [(rng.randrange(up), rng.randrange(down)) for _ in range(rng.randrange(1, 9))]
        check(converse(seed, cuts, most=rng.choice([None, 50, 100, 1000])))
