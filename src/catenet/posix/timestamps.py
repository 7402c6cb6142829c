"""Times at which data left, as notifications of the error queue (SO_TIMESTAMPING, SCM_TSTAMP).

The packet is not looped back: without SOF_TIMESTAMPING_OPT_TSONLY its place is empty, and MSG_TRUNC says so.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from catenet.posix.control import IP_RECVERR, IPV6_RECVERR, SO_TIMESTAMPING, Ancillary
from catenet.posix.structures import EXTENDED_ERROR
from catenet.stack.tcp.user.tx_timestamps import SCHEDULED, SENT, WITH_NUMBER, TxTimestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catenet.posix.kernel import Kernel

__all__ = ["SOF_TIMESTAMPING_OPT_TSONLY", "DatagramTimestamps", "requested", "timestamp_control"]

SOF_TIMESTAMPING_OPT_TSONLY: Final = 0x800

SOF_TIMESTAMPING_SOFTWARE: Final = 0x10
SOF_TIMESTAMPING_TX_SOFTWARE: Final = 0x2
SOF_TIMESTAMPING_TX_SCHED: Final = 0x100
SO_EE_ORIGIN_TIMESTAMPING: Final = 4
MAXIMUM_PENDING: Final = 1024
_TIMES: Final = struct.Struct("=qqqqqq")
_UINT: Final = struct.Struct("=I")


def requested(control: Sequence[Ancillary]) -> int:
    """Flags that a call asks for by a control message of its own, 0 for none."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING and len(data) >= 4:
            flags: int = _UINT.unpack_from(data)[0]
            return flags
    return 0


def timestamp_control(kernel: Kernel, family: int, flags: int, stamp: TxTimestamp) -> list[Ancillary]:
    """The two messages that tell of one stamp: when (`struct scm_timestamping`), and what (`sock_extended_err`)."""
    control: list[Ancillary] = []
    if flags & SOF_TIMESTAMPING_SOFTWARE:
        nanoseconds = round((kernel.epoch + kernel.runtime.elapsed(stamp.seconds)) * 1e9)
        times = _TIMES.pack(*divmod(nanoseconds, 1_000_000_000), 0, 0, 0, 0)
        control.append((socket.SOL_SOCKET, SO_TIMESTAMPING, times))
    wide = family == socket.AF_INET6
    level, kind = (socket.IPPROTO_IPV6, IPV6_RECVERR) if wide else (socket.IPPROTO_IP, IP_RECVERR)
    extended = EXTENDED_ERROR.pack(errno.ENOMSG, SO_EE_ORIGIN_TIMESTAMPING, 0, 0, 0, stamp.kind, stamp.number)
    control.append((level, kind, extended + bytes(28 if wide else 16)))
    return control


class DatagramTimestamps:
    """Of one datagram socket: what it sends leaves at once. At most 1,024 wait to be read, later ones are lost."""

    __slots__ = ("_number", "ready")

    def __init__(self) -> None:
        self._number = 0
        self.ready: deque[TxTimestamp] = deque()

    def on_sent(self, flags: int, socket_flags: int, seconds: float) -> None:
        """A datagram was sent; datagrams are numbered from 0 with SOF_TIMESTAMPING_OPT_ID."""
        number = self._number if socket_flags & WITH_NUMBER else 0
        self._number = self._number + 1 & 0xFFFFFFFF
        for wanted, kind in ((SOF_TIMESTAMPING_TX_SCHED, SCHEDULED), (SOF_TIMESTAMPING_TX_SOFTWARE, SENT)):
            if flags & wanted and len(self.ready) < MAXIMUM_PENDING:
                self.ready.append(TxTimestamp(kind, number, seconds))
