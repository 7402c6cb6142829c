"""How each TCP connection of a world went: congestion window, round trip, bytes in flight, retransmissions over time.

A connection is looked at whenever its host sends one of its segments, which is when these figures change or are used.
Long runs are thinned out, so that a connection never keeps more than a fixed number of looks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.control.states import INFINITE
from catenet.stack.tcp.control.connection import START, Connection
from catenet.wire.address import format_address
from catenet.world.network.trace import OUTBOUND
from catenet.world.observe.report import meters

if TYPE_CHECKING:
    from catenet.world.network.links import Meter
    from catenet.world.world import World

__all__ = ["End", "Look", "TimeSeries"]

TCP: Final = 6
ETHERNET_HEADER: Final = 14
LOOKS_KEPT: Final = 10_000


class Look(NamedTuple):
    """One end of a connection at one moment. Windows in bytes, times in seconds, `acked` and `retransmitted` so far."""

    time: float
    cwnd: int
    ssthresh: int | None
    in_flight: int
    rtt: float
    rto: float
    acked: int
    retransmitted: int


@dataclass(slots=True)
class End:
    """One end of a connection: whose, from where to where, and the looks in order of time."""

    host: str
    local: tuple[str, int]
    peer: tuple[str, int]
    connection: Connection
    looks: list[Look] = field(default_factory=list)
    interval: float = 0.0
    """Least time between two looks that are kept."""
    last: Look | None = None

    def add(self, look: Look) -> None:
        """Keep a look, unless it comes too soon after the one before and nothing was retransmitted."""
        looks = self.looks
        self.last = look
        if looks and look.time - looks[-1].time < self.interval and look.retransmitted == looks[-1].retransmitted:
            return
        looks.append(look)
        if len(looks) > LOOKS_KEPT:
            self.interval = max(2 * self.interval, 2 * (look.time - looks[0].time) / LOOKS_KEPT)
            looks[:] = looks[::2]

    def all_looks(self) -> list[Look]:
        """The looks kept, the last of all, and how it stood when the peer was last heard of."""
        looks = list(self.looks)
        if self.last is not None and looks[-1] is not self.last:
            looks.append(self.last)
        looks.append(look_at(self.connection, max(looks[-1].time, (self.connection.last_heard - START) / 1e6)))
        return looks


def look_at(c: Connection, now: float) -> Look:
    """How a connection stands."""
    return Look(
        now,
        c.cwnd * c.mss,
        c.ssthresh * c.mss if c.ssthresh < INFINITE else None,
        max(c.packets_out - c.sacked_out - c.lost_out + c.retransmitted_out, 0) * c.mss,
        c.rtt.srtt / 8e6,
        c.rto / 1e6,
        c.bytes_acked,
        c.total_retransmits,
    )


class TimeSeries:
    """Looks at the connections of all hosts; make it before the run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._meters: dict[int, Meter] = {}
        self._ends: dict[tuple[str, bytes, int], End] = {}
        world.trace.taps.append(self._tap)

    def connections(self) -> Iterator[list[End]]:
        """The ends of each connection that sent data: one or, when both hosts are here, two; in order of beginning."""
        waiting = {(end.local, end.peer, number): end for number, end in self._numbered()}
        while waiting:
            key = next(iter(waiting))
            first = waiting.pop(key)
            other = waiting.pop((key[1], key[0], key[2]), None)
            ends = [end for end in (first, other) if end is not None and end.connection.bytes_acked > 1]
            if ends:
                yield ends

    def _numbered(self) -> Iterator[tuple[int, End]]:
        """Ends with their number among those of the same names: ports are used again."""
        counts: dict[tuple[object, object], int] = {}
        for end in self._ends.values():
            number = counts[end.local, end.peer] = counts.get((end.local, end.peer), -1) + 1
            yield number, end

    def _tap(self, port: int, direction: int, packet: bytes, now: float) -> None:
        if direction != OUTBOUND:
            return
        if port not in self._meters:
            self._meters = {one.index: one for one in meters(self._world)}
        meter = self._meters[port]
        if meter.link_address:
            packet = packet[ETHERNET_HEADER:]
        if packet[0] >= 0x60:
            if packet[6] != TCP:
                return
            key = packet[24:40] + packet[8:24] + packet[42:44] + packet[40:42]
        else:
            if packet[9] != TCP or packet[0] != 0x45:
                return
            key = packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22]
        host = meter.host
        connection = self._world.hosts[host].stack.tcp.connections.get(key)
        if isinstance(connection, Connection):
            self._look(host, key, connection, now)

    def _look(self, host: str, key: bytes, c: Connection, now: float) -> None:
        end = self._ends.get((host, key, c.iss))
        if end is None:
            # A connection that is parked and comes back is another object: those that are looked at stay as they are.
            self._world.hosts[host].stack.tcp.idle_pool.limit = sys.maxsize
            local = (format_address(c.source), c.source_port)
            peer = (format_address(c.destination), c.destination_port)
            end = self._ends[host, key, c.iss] = End(host, local, peer, c)
        end.add(look_at(c, now))
