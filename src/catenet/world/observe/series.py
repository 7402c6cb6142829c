"""Time series of each TCP connection of a world: congestion window, round trip, bytes in flight, retransmissions.

A connection is sampled whenever its host sends one of its segments, because these figures change or are used then.
Samples of long runs are thinned out, so that a connection keeps a limited number of them. Those of a host with a
process of its own are made there, and told when they are asked for, when the host crashes, and at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catenet.control.states import INFINITE
from catenet.stack.tcp.control.connection import START, Connection
from catenet.wire.address import format_address
from catenet.world.network.trace import OUTBOUND
from catenet.world.observe.report import counting_devices

if TYPE_CHECKING:
    from catenet.world.network.links import CountingDevice
    from catenet.world.world import World

__all__ = ["SAMPLES_KEPT", "ConnectionEnd", "Sample", "TimeSeries"]

TCP: Final = 6
ETHERNET_HEADER: Final = 14
SAMPLES_KEPT: Final = 10_000


class Sample(NamedTuple):
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
class ConnectionEnd:
    """One end of a connection: whose, from where to where, and the samples in order of time."""

    host: str
    local: tuple[str, int]
    peer: tuple[str, int]
    congestion: str
    """Name of its congestion control."""
    connection: Connection | None
    """None for one of another process, of which all is told."""
    samples: list[Sample] = field(default_factory=list)
    interval: float = 0.0
    """Least time between two samples that are kept."""
    last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Keep a sample, unless it comes too soon after the one before and nothing was retransmitted."""
        samples = self.samples
        self.last = sample
        before = samples[-1] if samples else None
        soon = before is not None and sample.time - before.time < self.interval
        if soon and before is not None and sample.retransmitted == before.retransmitted:
            return
        samples.append(sample)
        if len(samples) > SAMPLES_KEPT:
            self.interval = max(2 * self.interval, 2 * (sample.time - samples[0].time) / SAMPLES_KEPT)
            samples[:] = samples[::2]

    @property
    def began(self) -> float:
        """Time of the first sample."""
        return self.samples[0].time

    def all_samples(self) -> list[Sample]:
        """The samples kept, the last of all, and how it stood when the peer was last heard of."""
        samples = list(self.samples)
        if self.last is not None and samples[-1] is not self.last:
            samples.append(self.last)
        if (c := self.connection) is not None:
            samples.append(sample_of(c, max(samples[-1].time, (c.last_heard - START) / 1e6)))
        return samples

    def to_values(self) -> tuple[Any, ...]:
        """All of it as plain values, for another process."""
        samples = [tuple(sample) for sample in self.all_samples()]
        return self.host, self.local, self.peer, self.congestion, samples

    @classmethod
    def from_values(cls, values: tuple[Any, ...]) -> ConnectionEnd:
        """What `to_values` has made plain."""
        host, local, peer, congestion, samples = values
        return cls(host, local, peer, congestion, None, [Sample(*sample) for sample in samples])


def sample_of(c: Connection, now: float) -> Sample:
    """Return a sample of a connection."""
    return Sample(
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
    """Samples the connections of all hosts; make it before the run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._devices: dict[int, CountingDevice] = {}
        self._ends: dict[tuple[str, bytes, int], ConnectionEnd] = {}
        world.trace.taps.append(self.tap)
        world.trace.collectors.append(self)

    def connections(self) -> Iterator[list[ConnectionEnd]]:
        """The ends of each connection that sent data: one or, when both hosts are here, two; in order of beginning."""
        self._world.isolation.collect()
        waiting = {(end.local, end.peer, number): end for number, end in self._numbered()}
        while waiting:
            key = next(iter(waiting))
            first = waiting.pop(key)
            other = waiting.pop((key[1], key[0], key[2]), None)
            ends = [end for end in (first, other) if end is not None and end.all_samples()[-1].acked > 1]
            if ends:
                yield ends

    def _numbered(self) -> Iterator[tuple[int, ConnectionEnd]]:
        """Ends with their number among those of the same names: ports are used again."""
        counts: dict[tuple[object, object], int] = {}
        for end in sorted(self._ends.values(), key=attrgetter("began")):
            number = counts[end.local, end.peer] = counts.get((end.local, end.peer), -1) + 1
            yield number, end

    def begin_elsewhere(self) -> None:
        """See `Collector`."""
        self._ends.clear()

    def tell(self) -> list[Any]:
        """See `Collector`."""
        return [(host, key, number, end.to_values()) for (host, key, number), end in self._ends.items()]

    def take(self, told: list[Any]) -> None:
        """See `Collector`."""
        for host, key, number, values in told:
            self._ends[host, key, number] = ConnectionEnd.from_values(values)

    def tap(self, port: int, direction: int, packet: bytes, now: float) -> None:
        """See `Collector`."""
        if direction != OUTBOUND:
            return
        if port not in self._devices:
            self._devices = {one.index: one for one in counting_devices(self._world)}
        device = self._devices[port]
        if device.link_address:
            packet = packet[ETHERNET_HEADER:]
        if packet[0] >= 0x60:
            if packet[6] != TCP:
                return
            key = packet[24:40] + packet[8:24] + packet[42:44] + packet[40:42]
        else:
            if packet[9] != TCP or packet[0] != 0x45:
                return
            key = packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22]
        host = device.host
        connection = self._world.hosts[host].stack.tcp.connections.get(key)
        if isinstance(connection, Connection):
            self._sample(host, key, connection, now)

    def _sample(self, host: str, key: bytes, c: Connection, now: float) -> None:
        end = self._ends.get((host, key, c.iss))
        if end is None:
            # A connection that is parked and comes back is another object: those that are sampled stay as they are.
            self._world.hosts[host].stack.tcp.idle_pool.limit = sys.maxsize
            local = (format_address(c.source), c.source_port)
            peer = (format_address(c.destination), c.destination_port)
            end = self._ends[host, key, c.iss] = ConnectionEnd(host, local, peer, c.congestion.name, c)
        end.add(sample_of(c, now))
