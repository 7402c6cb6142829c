"""The port of a host in real time: a TUN or TAP device between its stack and the kernel."""

from __future__ import annotations

from catenet.link.tun import TunDevice
from catenet.world.links import Meter

__all__ = ["TunPort"]


class TunPort(Meter):
    """A TUN or TAP device that counts what it carries and lets the world's trace listen in."""

    __slots__ = ("_device", "link_address")

    def __init__(self, host: str, device: TunDevice, link_address: bytes = b"") -> None:
        super().__init__(0, host, device.name)
        self._device = device
        self.link_address = link_address
        device.attach(self.arrive)

    @property
    def mtu(self) -> int:
        """The device's."""
        return self._device.mtu

    @property
    def offload(self) -> tuple[bool, int]:
        """The device's."""
        return self._device.offload

    def send(self, packet: bytes, now: float) -> None:
        """Hand one packet of the host to the kernel."""
        self.note_sent(packet, now)
        self._device.send(packet, now)
