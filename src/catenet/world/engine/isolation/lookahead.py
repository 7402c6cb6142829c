"""How far each host may run ahead of the others: nothing that is not known yet can reach it before.

A packet that host a sends at t reaches host b at t + up(a) + down(b) at the earliest, whatever is between them, where
`up` and `down` are the least latencies of their links. What goes on at the downward links, and in hosts that the
world's own process runs, reaches b at down(b) after the next of these events at the earliest.

What a host has got for addresses from its network all know at up(a) after that (`configuring.Asking`), wherever they
are: names and switches tell it without a packet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.world.engine.isolation.party import Party
    from catenet.world.network.topology import Topology

__all__ = ["Distances", "bounds"]

SLACK: Final = 1e-9
RELATIVE_SLACK: Final = 4e-15
"""What sums of times are rounded by, at most: a packet adds its latencies in another order than it is done here."""


class Distances:
    """Least latencies from and to each host, as links are now."""

    def __init__(self, topology: Topology, asking: Collection[str] = ()) -> None:
        """`asking` are hosts that get addresses from their networks."""
        self.of_host: dict[str, tuple[float, float, bool]] = {}
        self.turn = inf
        """The least time from a packet's way up to the switch until one that answers it is there."""
        for name in {port.host for port in topology.ports}:
            up, down = topology.least_delay(name), topology.least_delay_down(name)
            self.of_host[name] = up, down, len(topology.ports_of(name)) > 1
            self.turn = min(self.turn, up + down)
        self.tell = min([self.of_host[name][0] for name in asking], default=inf)
        """The least time from when a host has other addresses until all know."""
        self.hear_and_tell = min([sum(self.of_host[name][:2]) for name in asking], default=inf)
        """The least time from when a packet is on its way down to a host until all know of addresses that it brings."""


def bounds(parties: Sequence[Party], distances: Distances, here: float, cap: float) -> list[float]:
    """Time before which each party may do all that it has to do.

    `here` is when something happens in the world's process next, other than the arrival of a packet at a party; `cap`
    is a time that nobody passes. A party that is not waited for does not pass those that are: then nobody has passed
    the end of the run.
    """
    first, second, leader = inf, inf, -1
    for index, party in enumerate(parties):
        reach = party.event + party.up
        if reach < first:
            first, second, leader = reach, first, index
        elif reach < second:
            second = reach
    end = _earliest_end(parties, first, here)
    cap = min(cap, _less(_earliest_told(parties, distances, first, here)))
    found = []
    for index, party in enumerate(parties):
        others = first
        if index == leader and not party.echoes:
            others = min(second, first + distances.turn)
        sum_ = min(here, others) + party.down
        bound = min(cap, _less(sum_), party.flying)
        found.append(bound if party.waited_for else min(bound, end))
    return found


def _less(when: float) -> float:
    return when - max(SLACK, when * RELATIVE_SLACK) if when < inf else inf


def _earliest_told(parties: Sequence[Party], distances: Distances, first: float, here: float) -> float:
    """Time at which all could know of other addresses of a host at the earliest."""
    if distances.tell == inf:
        return inf
    own = min([party.event + party.up for party in parties if party.host.asking is not None], default=inf)
    return min(own, first + distances.hear_and_tell, here + distances.tell)


def _earliest_end(parties: Sequence[Party], first: float, here: float) -> float:
    """Time after that at which a run could be over at the earliest."""
    times = [min(party.event, first + party.down) for party in parties if party.waited_for]
    return nextafter(min(times), inf) if times else inf
