"""One host whose network is a TUN device, in real time: its stack talks to the kernel's, and through it to anybody.

The kernel's end gets the other address of each subnet, and is the host's way to everywhere else.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from catenet.link.tun import TunDevice
from catenet.wire.address import Address, Prefix, parse_interface
from catenet.world.host import Host
from catenet.world.hub import RealClock
from catenet.world.links import Meter
from catenet.world.streams import print_line
from catenet.world.world import World

__all__ = ["kernel_end", "open_host"]

# Parameters of mallopt(3).
M_TRIM_THRESHOLD: Final = -1
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3


@contextlib.contextmanager
def open_host(
    name: str,
    addresses: Sequence[str],
    *,
    device: str = "catenet%d",
    mtu: int = 1500,
    seed: int | str = 0,
    output: Callable[[str, str, str], None] = print_line,
) -> Iterator[tuple[World, Host]]:
    """Make a world of one host on a TUN device; `addresses` are texts with prefix lengths.

    Raises DeviceUnavailable when the device cannot be had, ValueError for an address without room for another.
    """
    own = [parse_interface(text) for text in addresses]
    ends = [kernel_end(*pair) for pair in own]
    clock = RealClock()
    keep_freed_memory()
    tun = TunDevice(device, mtu, offload=True)
    try:
        tun.configure(ends)
        with World(seed, clock=clock, epoch=time.time(), output=output) as world:
            host = world.hosts[name] = Host(world, name)
            port = TunPort(host.name, tun)
            port.tap = world.trace.pass_on
            interface = host.attach(port, tuple(own))
            host.reconfigure()
            for size in dict.fromkeys(len(address) for address, _ in own):
                host.stack.add_route(Prefix(bytes(size), 0), interface)
            clock.add_reader(tun.fileno(), lambda: tun.read(world.now))
            try:
                yield world, host
            finally:
                clock.remove_reader(tun.fileno())
    finally:
        clock.close()
        tun.close()


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, up to 64 MB, instead of giving it back to the kernel.

    Packets of 64 KB come and go by the thousand: each would take the kernel sixteen page faults, a third of the time.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TOP_PAD, 4 << 20)


class TunPort(Meter):
    """A TUN device that counts what it carries and lets the world's trace listen in."""

    __slots__ = ("_device",)

    def __init__(self, host: str, device: TunDevice) -> None:
        super().__init__(0, host, device.name)
        self._device = device
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


def kernel_end(address: Address, length: int) -> tuple[Address, int]:
    """Address for the kernel's end: the first of the subnet, or the second when that is the host's own."""
    prefix = Prefix.of(address, length)
    for number in (1, 2, 0):
        with contextlib.suppress(ValueError):
            other = prefix.host(number)
            if other not in (address, prefix.broadcast()):
                return other, length
    raise ValueError(f"{prefix} has no second address for the kernel's end; use a shorter prefix, as /24 or /64")
