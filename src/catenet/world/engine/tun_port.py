"""The port of a host in real time: a TUN or TAP device between its stack and the kernel."""

from __future__ import annotations

from collections.abc import Mapping

from catenet.link.tun import TunDevice
from catenet.wire.gso import GsoPacket
from catenet.world.network.links import CountingDevice
from catenet.world.network.trace import INBOUND, OUTBOUND, Tap

__all__ = ["TunPort"]


class TunPort(CountingDevice):
    """A TUN or TAP device that counts what it carries and lets `taps` listen in: those of the world's trace.

    The trace itself has no part in it, for the hash of a network in real time says nothing.
    """

    __slots__ = ("_device", "link_address", "taps")

    def __init__(self, host: str, device: TunDevice, link_address: bytes = b"") -> None:
        super().__init__(0, host, device.name)
        self._device = device
        self.link_address = link_address
        self.taps: list[Tap] = []
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
        self.sent_packets += 1
        self.sent_bytes += packet.size if isinstance(packet, GsoPacket) else len(packet)
        if self.taps:
            self._show(OUTBOUND, packet.whole() if isinstance(packet, GsoPacket) else packet, now)
        self._device.send(packet, now)

    def drops(self) -> Mapping[str, int]:
        """Packets that the kernel did not take, and packets of the kernel that found the device's queue full."""
        causes = {"not taken by the kernel": self._device.dropped, "device queue full": self._device.lost()}
        return {cause: count for cause, count in causes.items() if count}

    def arrive(self, packet: bytes | memoryview, now: float) -> None:
        """Deliver a packet to the host."""
        if self.taps:
            self._show(INBOUND, bytes(packet), now)
        super().arrive(packet, now)

    def _show(self, direction: int, packet: bytes, now: float) -> None:
        for tap in self.taps:
            tap(self.index, direction, packet, now)
