"""Many datagrams by one system call: sent by UDP_SEGMENT, received by UDP_GRO (Linux udp(7)).

All datagrams of a `Segments` have the same size, the last may be shorter. Where the kernel, the device or the path's
MTU does not take them at once, they are sent one by one.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.net.pktinfo import Control

__all__ = [
    "MOST_BYTES",
    "MOST_SEGMENTS",
    "NOT_AT_ONCE",
    "SEGMENT_CONTROL_SIZE",
    "Segments",
    "segment_size",
    "take_many",
]

# <netinet/udp.h> of Linux; the module socket lacks them.
_UDP_SEGMENT: Final = 103
_UDP_GRO: Final = 104
_SIZE: Final = struct.Struct("=H")
_INT: Final = struct.Struct("=i")

MOST_SEGMENTS: Final = 64
"""UDP_MAX_SEGMENTS of older kernels."""
MOST_BYTES: Final = 65_487
"""What one call may send: 65,535 without the headers of IPv6 and UDP; IPv4 takes 20 more."""
NOT_AT_ONCE: Final = (errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP)
SEGMENT_CONTROL_SIZE: Final = socket.CMSG_SPACE(_INT.size)


@dataclass(frozen=True, slots=True)
class Segments:
    """Datagrams of `size` bytes, the last of at most as many; each is `parts` buffers."""

    buffers: Sequence[bytes | memoryview]
    size: int
    parts: int = 1

    @property
    def control(self) -> Control:
        """The ancillary data that has the kernel cut them."""
        return socket.IPPROTO_UDP, _UDP_SEGMENT, _SIZE.pack(self.size)

    def __iter__(self) -> Iterator[bytes]:
        """Each datagram by itself."""
        for start in range(0, len(self.buffers), self.parts):
            yield b"".join(self.buffers[start : start + self.parts])


def take_many(sock: socket.socket) -> bool:
    """Let the kernel hand over several datagrams of one peer at once; False: it cannot."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def segment_size(received: list[Control]) -> int:
    """Return the size of each datagram in what was received; 0: it is one."""
    for level, kind, data in received:
        if level == socket.IPPROTO_UDP and kind == _UDP_GRO and len(data) >= 2:
            return int(_INT.unpack_from(data)[0]) if len(data) >= _INT.size else int(_SIZE.unpack_from(data)[0])
    return 0
