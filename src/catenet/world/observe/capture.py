"""Packets of a world in one capture file, each host's port an interface of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, BinaryIO

from catenet.wire.offload import complete
from catenet.wire.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter
from catenet.world.observe.report import counting_devices

if TYPE_CHECKING:
    from catenet.world.world import World

__all__ = ["capture_world"]


def capture_world(world: World, file: BinaryIO, host: str | None = None) -> None:
    """Write what every port sends and receives to `file` (pcapng), at the time of the day in the world.

    A packet that arrives is there twice: as its sender's port had it, and its receiver's. With `host` the file has
    what that host's ports sent and received, so each packet once for each port of the host that it crossed.
    """
    seconds = math.floor(world.epoch)
    fraction = world.epoch - seconds
    writer = PcapngWriter(file, offset=seconds)
    interfaces: dict[int, tuple[int, bool]] = {}

    def describe() -> None:
        """Add what devices there are that the file does not know yet: hosts may come while a world runs."""
        for device in counting_devices(world):
            if device.index not in interfaces and host in (None, device.host):
                ethernet = bool(device.link_address)
                kind = LINKTYPE_ETHERNET if ethernet else LINKTYPE_RAW
                number = writer.add_interface(f"{device.host}/{device.name}", kind)
                interfaces[device.index] = number, ethernet

    def tap(port: int, direction: int, packet: bytes, now: float) -> None:
        if port not in interfaces:
            describe()
        if port not in interfaces:
            return
        number, ethernet = interfaces[port]
        writer.write(number, now + fraction, packet if ethernet else complete(packet))

    describe()
    world.trace.taps.append(tap)
