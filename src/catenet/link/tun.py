"""A TUN or TAP device (Documentation/networking/tuntap.rst of Linux): packets or frames to and from the kernel.

Opening a device that does not exist makes it, for as long as it is open; opening one that `ip tuntap add` made attaches
to it. Reads and writes never block; who drives the device waits on `fileno()`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterable
from os import read, writev
from typing import Final

from catenet.link import netlink, vnet
from catenet.link.device import BaseDevice
from catenet.link.unavailable import DeviceUnavailable, unavailable
from catenet.link.vnet import accept, header_for
from catenet.wire.address import Address, format_address
from catenet.wire.gather import Gather
from catenet.wire.gso import GsoPacket
from catenet.wire.offload import VIEW_THRESHOLD

__all__ = ["DeviceUnavailable", "TunDevice"]

TUNSETIFF: Final = 0x400454CA
IFF_TUN: Final = 0x0001
IFF_TAP: Final = 0x0002
ETHERNET_HEADER: Final = 14
IFF_NO_PI: Final = 0x1000
QUEUE: Final = 10_000
"""Packets of the kernel that may wait to be read: acknowledgements of many connections come by the hundred while a
program has its turn, and each one lost costs a round trip, at the end of a window a retransmission timeout."""
LARGEST_FRAME: Final = 65_535 + ETHERNET_HEADER
LARGEST_LARGE: Final = 65_535 - 40 - 60
"""Payload of the largest segment that leaves uncut: what any IP and TCP header leave of a packet."""

_REQUEST: Final = struct.Struct("16sH22x")
_LONGEST_NAME: Final = 15
_NAMES: Final = f"up to {_LONGEST_NAME} bytes without '/', ':' and white space"


def _is_name(name: str) -> bool:
    """What Linux takes (`dev_valid_name`); it would cut what is longer."""
    size = len(os.fsencode(name))
    return 0 < size <= _LONGEST_NAME and name not in (".", "..") and not re.search(r"[/:\s\0]", name)


class TunDevice(BaseDevice):
    """A TUN device named `name` (`%d` in it is a number that the kernel chooses).

    With `offload` TCP's checksums and segmentation are left to the other side, in both directions (`wire/offload.py`):
    the kernel hands over TCP in packets of up to 64 KB and takes `GsoPacket` ones; a stack has to leave checksums out.
    With `ethernet` it is a TAP device: what crosses it are Ethernet frames, and `bridge` can join it to others.
    Raises DeviceUnavailable when the kernel has no TUN, or the privilege is missing, or the device is in use, or no
    device can have the name.
    """

    __slots__ = ("_fd", "_lost_before", "dropped", "ethernet", "mtu", "name", "offload")

    def __init__(
        self, name: str = "catenet%d", mtu: int = 1500, *, offload: bool = False, ethernet: bool = False
    ) -> None:
        if offload and ethernet:
            raise ValueError("offload is for devices that carry packets, not frames")
        if not _is_name(name):
            raise DeviceUnavailable(errno.EINVAL, f"{name!r} is no name of a device: {_NAMES}")
        super().__init__()
        self.mtu = mtu
        self.dropped = 0
        self.ethernet = ethernet
        self.name = name
        self.offload = (True, LARGEST_LARGE) if offload else (False, 0)
        self._fd = -1
        self._lost_before = 0
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            flags = (IFF_TAP if ethernet else IFF_TUN) | IFF_NO_PI | (vnet.IFF_VNET_HDR if offload else 0)
            answer = fcntl.ioctl(self._fd, TUNSETIFF, _REQUEST.pack(os.fsencode(name), flags))
            if offload:
                fcntl.ioctl(self._fd, vnet.TUNSETOFFLOAD, vnet.OFFLOADS)
        except OSError as error:
            self.close()
            raise unavailable(error, name) from None
        self.name = answer[:16].rstrip(b"\0").decode()

    @property
    def index(self) -> int:
        """The kernel's interface index."""
        return socket.if_nametoindex(self.name)

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._fd

    def configure(self, addresses: Iterable[tuple[Address, int]]) -> None:
        """Give the kernel's end its (address, prefix length) pairs and the MTU, and set it up; DeviceUnavailable.

        What somebody with the privilege has set before is left as it is, so that a device made for a user will do.
        """
        index = self.index
        now = self._interface()
        self._lost_before = now.dropped
        there = {(one.address, one.prefix_length) for one in now.addresses}
        try:
            if not now.flags & netlink.IFF_UP or now.mtu != self.mtu:
                netlink.set_link(index, up=True, mtu=self.mtu)
            if now.queue < QUEUE:
                self._lengthen_queue(index)
            for address, length in addresses:
                if (address, length) not in there:
                    self._add_address(index, address, length)
        except DeviceUnavailable:
            raise
        except OSError as error:
            raise unavailable(error, self.name) from None

    def _lengthen_queue(self, index: int) -> None:
        """Lengthen the device's queue beyond the kernel's 500 packets, where the privilege allows it."""
        with contextlib.suppress(OSError):
            netlink.set_link(index, queue=QUEUE)

    def lost(self) -> int:
        """Packets of the kernel dropped at a full queue of the device since it was opened."""
        try:
            return self._interface().dropped - self._lost_before
        except OSError:
            return 0

    def _interface(self) -> netlink.Interface:
        index = self.index
        found = next((one for one in netlink.interfaces() if one.index == index), None)
        if found is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return found

    def bridge(self, name: str) -> None:
        """Make the device, a TAP, a port of the kernel's bridge `name`; DeviceUnavailable when there is none."""
        try:
            # The standard library's OSError for an unknown name has no errno.
            netlink.set_master(self.index, socket.if_nametoindex(name))
        except OSError as error:
            if error.errno not in (None, errno.EOPNOTSUPP, errno.EINVAL):
                raise unavailable(error, self.name) from None
            text = f"there is no bridge {name!r}; make it with: sudo ip link add {name} type bridge"
            raise DeviceUnavailable(errno.ENODEV, text) from None

    def _add_address(self, index: int, address: Address, length: int) -> None:
        try:
            netlink.add_address(index, address, length)
        except OSError as error:
            if len(address) == 16 and error.errno in (errno.EOPNOTSUPP, errno.EACCES):
                text = f"{self.name} cannot have {format_address(address)}: the kernel has IPv6 switched off"
                raise DeviceUnavailable(error.errno, text) from None
            raise

    def send(self, packet: bytes, now: float) -> None:
        """Hand one packet to the kernel; what it does not take (queue full, interface down) is dropped and counted."""
        try:
            if isinstance(packet, GsoPacket):
                payload = packet.payload
                if isinstance(payload, Gather):
                    writev(self._fd, (header_for(packet), packet, *payload.pieces))
                else:
                    writev(self._fd, (header_for(packet), packet, payload))
            elif self.offload[0]:
                writev(self._fd, (header_for(packet), packet))
            else:
                os.write(self._fd, packet)
        except OSError:
            self.dropped += 1

    def read(self, now: float, limit: int = 64) -> int:
        """Deliver up to `limit` packets that wait; return how many there were."""
        descriptor, offload, receive = self._fd, self.offload[0], self.receive
        for count in range(limit):
            try:
                packet = read(descriptor, LARGEST_FRAME)
            except OSError:
                # EAGAIN: that was all. EBADFD: the interface is down, nothing to read until it is up again.
                return count
            receive(accept(packet, VIEW_THRESHOLD) if offload else packet, now)
        return limit

    def close(self) -> None:
        """Close the device, which vanishes unless it is persistent."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
