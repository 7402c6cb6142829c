"""A session of 4 KB each way, its connection cut at every byte of either direction: nothing lost, nothing twice."""

import itertools
import pickle
import random

import pytest
from pairs import Pair

from catenet.session.core import Ending

UP, DOWN = random.Random(1).randbytes(4096), random.Random(2).randbytes(4096)
PARTS = [0, 1, 2, 300, 1800, 1801, 4000, 4096]


class Conversation:
    """Both programs write in parts and end; the first connections are cut."""

    def __init__(self, seed, cuts, most=None):
        self.pair = Pair(seed)
        self.cuts = list(cuts)
        self._most = most
        self._parts = list(itertools.pairwise(PARTS))

    def step(self):
        """Go on for a while; return whether there is more."""
        pair = self.pair
        if pair.client.ended is None and not any(wire.open for wire in pair.wires):
            pair.connect(self.cuts.pop(0) if self.cuts else (None, None))
        server = pair.server
        if self._parts:
            start, end = self._parts.pop(0)
            pair.client.write(UP[start:end])
            if not self._parts:
                pair.client.write_eof()
        elif server is not None and len(pair.got[1]) == 4096 and not server.sending.finished:
            server.write(DOWN[1000:])
            server.write_eof()
        if server is not None and not server.sending.written:
            server.write(DOWN[:1000])
        pair.settle(turns=2 if self._parts else 60, most=self._most)
        return pair.client.ended is None or any(wire.open for wire in pair.wires)

    def check(self):
        """Go on to the end, and look what has come."""
        for _ in range(100):
            if not self.step():
                break
        pair = self.pair
        assert bytes(pair.got[1]) == UP and bytes(pair.got[0]) == DOWN
        assert pair.client.ended is Ending.DONE and pair.server.ended is Ending.DONE
        assert len(pair.opened) == 1, "one handler"


def stages():
    """How far a connection that is not cut is before each step, and the conversation then; how far it is at the end."""
    whole = Conversation(0, [(1 << 30, 1 << 30)])
    found = [((0, 0), pickle.dumps(Conversation(0, [])))]
    while whole.step():
        (wire,) = whole.pair.wires
        found.append((tuple(map(len, wire.passed)), pickle.dumps(whole)))
    whole.check()
    return found, whole.pair.totals


@pytest.mark.parametrize("side", [0, 1], ids=["client-to-server", "server-to-client"])
def test_a_cut_at_every_byte(side):
    found, totals = stages()
    assert totals[side] > 4200
    for cut in range(totals[side] + 1):
        # What comes before the step with the cut is the same for all.
        passed, kept = max((stage for stage in found if stage[0][side] < cut), default=found[0])
        conversation = pickle.loads(kept)
        if conversation.pair.wires:
            conversation.pair.wires[0].cuts[side] = cut - passed[side]
        else:
            conversation.cuts = [(cut, None) if side == 0 else (None, cut)]
        conversation.check()


def test_cuts_of_both_directions_one_after_the_other():
    up, down = stages()[1]
    rng = random.Random(3)
    for seed in range(300):
        cuts = [(rng.randrange(up), rng.randrange(down)) for _ in range(rng.randrange(1, 9))]
        Conversation(seed, cuts, most=rng.choice([None, 50, 100, 1000])).check()
