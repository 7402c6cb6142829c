"""Every packet of a world in one capture file, each host's port an interface of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from catenet.wire.pcapng import PcapngWriter

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["capture_world"]


def capture_world(world: World, file: BinaryIO) -> None:
    """Write what every port sends and receives to `file` (pcapng), at the world's time."""
    writer = PcapngWriter(file)
    interfaces: dict[int, int] = {}

    def tap(port: int, direction: int, packet: bytes, now: float) -> None:
        interface = interfaces.get(port)
        if interface is None:
            one = world.topology.ports[port]
            interface = interfaces[port] = writer.add_interface(f"{one.host}/{one.name}")
        writer.write(interface, now, packet)

    world.trace.taps.append(tap)
