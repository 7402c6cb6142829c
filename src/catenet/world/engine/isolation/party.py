"""A host that another process runs, as the world's process knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catenet.world.engine.hub import NEVER
from catenet.world.engine.isolation.messages import Channel, Packet, Parcel
from catenet.world.engine.isolation.process import RemoteProcess
from catenet.world.engine.isolation.processes import Child
from catenet.world.network.links import Arrival, ForwardingPath, InOrderQueue

if TYPE_CHECKING:
    from catenet.world.engine.host import Host

__all__ = ["Party"]


class Party:
    """A host that another process runs."""

    def __init__(self, host: Host, rank: int) -> None:
        self.host = host
        self.rank = rank
        self.child: Child | None = None
        self.dying = False
        """Whether its process has ended by itself, at a time that has not come here yet."""
        self.ports = host.world.topology.ports_of(host.name)
        self.receivers: list[Callable[..., None]] = [port.receive for port in self.ports]
        self.numbers = {port.index: number for number, port in enumerate(self.ports)}
        self.paths = [ForwardingPath(port, (b"", b""), port.up, [], True) for port in self.ports]
        self.next = NEVER
        """When its next event is due, as it has told."""
        self.given = 0.0
        """Time before which all packets were given to it that arrive."""
        self.reached = 0.0
        """Time before which it has done all."""
        self.fresh: list[Packet] = []
        """What arrives now and was not given to it ahead."""
        self.coming: list[tuple[float, float, int, Arrival]] = []
        """A heap of what arrives later and was not given to it: time, sequence, number of its port, what it is."""
        self.ahead: list[InOrderQueue] = []
        """What else arrives later, from hosts of the world's process; found when its bound was computed."""
        self.calls: list[tuple[str, Any]] = []
        self.news: list[tuple[str, Any]] = []
        """Calls that tell it of other hosts' addresses, and of its own."""
        self.processes: dict[int, RemoteProcess] = {}
        self.sent: dict[int, list[Parcel]] = {}
        """What its ports have sent in this round, by number of the port in the world."""
        self.starts = {False: 0, True: 0}
        """Programs that are about to start, other than declared services and these."""
        self.queued: dict[int, Arrival] = {}
        """What it may take back."""
        self.waited_for = True
        """Whether the run could end by the end of one of its programs."""
        # For `bounds`.
        self.event = NEVER
        """When it does something next, as far as is known."""
        self.flying = NEVER
        """When something arrives that cannot be given to it yet."""
        self.up = self.network_down = 0.0
        """Least latencies of its links to networks."""
        self.down = 0.0
        """The least latency from what happens in the world's process to it."""
        self.joined: list[tuple[Party, float]] = []
        """Parties that have links of their own to it, and the latency of each."""
        self.echoes = False
        """Whether it can send packets to itself over links."""

    @property
    def channel(self) -> Channel:
        """The way to its process."""
        assert self.child is not None
        return self.child.channel
