"""Every packet of a world in one capture file, each host's port an interface of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from catenet.wire.offload import complete
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from catenet.world.report import meters

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["capture_world"]


def capture_world(world: World, file: BinaryIO) -> None:
    """Write what every port sends and receives to `file` (pcapng), at the world's time."""
    writer = PcapngWriter(file)
    ethernet = {meter.index: bool(meter.link_address) for meter in meters(world)}
    interfaces = {
        meter.index: writer.add_interface(
            f"{meter.host}/{meter.name}", LINKTYPE_ETHERNET if meter.link_address else LINKTYPE_RAW
        )
        for meter in meters(world)
    }

    def tap(port: int, direction: int, packet: bytes, now: float) -> None:
        writer.write(interfaces[port], now, packet if ethernet[port] else complete(packet))

    world.trace.taps.append(tap)
