"""Middleware around a device that writes all packets to a pcapng file, as Wireshark reads it."""

from __future__ import annotations

from catenet.link.device import Device, Receive, offload_of
from catenet.wire.offload import complete
from catenet.wire.pcapng import PcapngWriter

__all__ = ["Capture"]


class Capture:
    """`device`, with every packet in both directions written under the interface name `name`."""

    __slots__ = ("_device", "_interface", "_receive", "_writer")

    def __init__(self, device: Device, writer: PcapngWriter, name: str) -> None:
        self._device = device
        self._writer = writer
        self._interface = writer.add_interface(name)

    @property
    def mtu(self) -> int:
        """The device's."""
        return self._device.mtu

    @property
    def offload(self) -> tuple[bool, int]:
        """The device's; checksums that are left to it are completed in the capture."""
        return offload_of(self._device)

    def send(self, packet: bytes, now: float) -> None:
        """Write the packet, then pass it down."""
        self._writer.write(self._interface, now, complete(packet))
        self._device.send(packet, now)

    def attach(self, receive: Receive) -> None:
        """Write what arrives, then pass it to `receive`."""
        self._receive = receive
        self._device.attach(self._arrive)

    def _arrive(self, packet: bytes | memoryview, now: float) -> None:
        self._writer.write(self._interface, now, complete(bytes(packet)))
        self._receive(packet, now)
