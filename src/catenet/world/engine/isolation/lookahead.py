"""How far each host may run ahead of the others: nothing that is not known yet can reach it before.

A packet that host a sends at t by a network reaches host b at t + up(a) + down(b) at the earliest, whatever is between
them, where `up` and `down` are the least latencies of their links; by a link of their own, after the latency of that.
What goes on at the downward links, and in hosts that the world's own process runs, reaches b at down(b) after the next
of these events at the earliest. A host that has nothing to do may answer what comes to it: nothing that is not known
yet comes to any of them before `unknown`.

What a host has got for addresses from its network all know after the least latency from it (`configuring.Asking`),
wherever they are: names and switches tell it without a packet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.link.simulated import SimulatedLink
    from catenet.world.engine.isolation.party import Party
    from catenet.world.network.topology import Topology

__all__ = ["Distances", "bounds"]

SLACK: Final = 1e-9
RELATIVE_SLACK: Final = 4e-15
"""What sums of times are rounded by, at most: a packet adds its latencies in another order than it is done here."""
EXACT: Final = SLACK / RELATIVE_SLACK
"""Time up to which the first is the greater one."""


class Distances:
    """Least latencies from and to each host, as links are now."""

    def __init__(self, topology: Topology, asking: Collection[str] = ()) -> None:
        """`asking` are hosts that get addresses from their networks."""
        self.of_host: dict[str, tuple[float, float, bool]] = {}
        """By networks: up, down, and whether a host has several links."""
        self.joined: dict[str, dict[str, float]] = {}
        """For each host, the latency of the links of their own from others to it."""
        for name in {port.host for port in topology.ports}:
            ports = topology.ports_of(name)
            up, down = min(_upward(port.up) for port in ports), min(_least(port.down) for port in ports)
            self.of_host[name] = up, down, len(ports) > 1
        for (sender, receiver), link in topology.dedicated.items():
            self.joined.setdefault(receiver, {})[sender] = _upward(link)
        self.up = min((up for up, _, _ in self.of_host.values()), default=inf)
        self.down = min((down for _, down, _ in self.of_host.values()), default=inf)
        """The least of all."""
        self.delays = {name: topology.least_delay(name) for name in asking}
        self.tell = min(self.delays.values(), default=inf)
        """The least time from when a host has other addresses until all know."""


def _upward(link: SimulatedLink) -> float:
    return _least(link) if link.pure else 0.0


def _least(link: SimulatedLink) -> float:
    return max(0.0, link.properties.latency - link.properties.jitter)


def bounds(parties: Sequence[Party], distances: Distances, here: float, cap: float, ended: float) -> list[float]:
    """Time before which each party may do all that it has to do.

    `here` is when something happens in the world's process next, other than the arrival of a packet at a party; `cap`
    is a time that nobody passes. A party that is not waited for does not pass those that are, or without any `ended`,
    when the last program ends: then nobody has passed the end of the run.
    """
    # Comparisons in place of `min`: this runs for each exchange, over all parties.
    first, second, leader = inf, inf, -1
    unknown = inf
    waits = True
    for index, party in enumerate(parties):
        reach = party.event + party.up
        if reach < first:
            first, second, leader = reach, first, index
        elif reach < second:
            second = reach
        reach = here + party.down
        if reach < unknown:
            unknown = reach
        for sender, latency in party.joined:
            reach = sender.event + latency
            if reach < unknown:
                unknown = reach
        waits = waits and party.waited_for
    unknown = min(unknown, first + distances.down)
    end = inf if waits else _earliest_end(parties, unknown, ended)
    if distances.delays:
        cap = min(cap, _less(_earliest_told(parties, distances, unknown, here)))
    answer = unknown + distances.up
    found = []
    for index, party in enumerate(parties):
        others = second if index == leader and not party.echoes else first
        bound = (others if others < answer else answer) + party.network_down
        reach = here + party.down
        if reach < bound:
            bound = reach
        for sender, latency in party.joined:
            reach = (sender.event if sender.event < unknown else unknown) + latency
            if reach < bound:
                bound = reach
        bound = _less(bound)
        if cap < bound:
            bound = cap
        if party.flying < bound:
            bound = party.flying
        if end < bound and not party.waited_for:
            bound = end
        found.append(bound)
    return found


def _less(when: float) -> float:
    if when < EXACT:
        return when - SLACK
    return when - when * RELATIVE_SLACK if when < inf else inf


def _earliest_told(parties: Sequence[Party], distances: Distances, unknown: float, here: float) -> float:
    """Time at which all could know of other addresses of a host at the earliest."""
    delays = distances.delays
    own = min([party.event + delays[party.host.name] for party in parties if party.host.name in delays], default=inf)
    return min(own, min(unknown, here) + distances.tell)


def _earliest_end(parties: Sequence[Party], unknown: float, ended: float) -> float:
    """Time after that at which a run could be over at the earliest."""
    times = [min(party.event, unknown) for party in parties if party.waited_for]
    return nextafter(min(times, default=ended), inf)
