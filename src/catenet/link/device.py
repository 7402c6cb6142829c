"""Devices, which carry packets: a TUN device, a pipe, one end of a simulated link, or any of these wrapped in another.

A device takes complete IP packets down by `send` and hands them up to the one callable that `attach` set. Middleware
(capture, faults) wraps a device and is one, so that drivers never know what they drive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

__all__ = ["BaseDevice", "Device", "Receive", "offload_of"]

Receive: TypeAlias = "Callable[[bytes | memoryview, float], None]"
"""Where a device delivers: `receive(packet, now)`, seconds on the clock of whoever drives the device."""


class Device(Protocol):
    """A link-layer device that carries complete IP packets."""

    @property
    def mtu(self) -> int:
        """Largest packet in bytes that `send` carries."""

    def send(self, packet: bytes, now: float) -> None:
        """Send one packet; a device that cannot carry it drops and counts it, as hardware does."""

    def attach(self, receive: Receive) -> None:
        """Deliver what arrives to `receive` from now on."""


def offload_of(device: Device) -> tuple[bool, int]:
    """What a device does for a stack (`wire/offload.py`): whether checksums, and bytes of one packet to be cut.

    A device says so by an attribute `offload`, and does nothing of the kind without.
    """
    does: tuple[bool, int] = getattr(device, "offload", (False, 0))
    return does


class BaseDevice:
    """The receiving side that devices share: one callable; packets are dropped while there is none."""

    __slots__ = ("receive",)

    def __init__(self) -> None:
        self.receive: Receive = _discard

    def attach(self, receive: Receive) -> None:
        """Deliver what arrives to `receive` from now on."""
        self.receive = receive


def _discard(packet: bytes | memoryview, now: float) -> None:
    """Drop a packet: nothing is attached yet."""
