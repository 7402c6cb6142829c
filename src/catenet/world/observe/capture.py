"""Every packet of a world in one capture file, each host's port an interface of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from catenet.wire.offload import complete
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from catenet.world.observe.report import counting_devices

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["capture_world"]


def capture_world(world: World, file: BinaryIO) -> None:
    """Write what every port sends and receives to `file` (pcapng), at the world's time."""
    writer = PcapngWriter(file)
    interfaces: dict[int, tuple[int, bool]] = {}

    def describe() -> None:
        """Add what devices there are that the file does not know yet: hosts may come while a world runs."""
        for device in counting_devices(world):
            if device.index not in interfaces:
                ethernet = bool(device.link_address)
                kind = LINKTYPE_ETHERNET if ethernet else LINKTYPE_RAW
                number = writer.add_interface(f"{device.host}/{device.name}", kind)
                interfaces[device.index] = number, ethernet

    def tap(port: int, direction: int, packet: bytes, now: float) -> None:
        if port not in interfaces:
            describe()
        number, ethernet = interfaces[port]
        writer.write(number, now, packet if ethernet else complete(packet))

    describe()
    world.trace.taps.append(tap)
