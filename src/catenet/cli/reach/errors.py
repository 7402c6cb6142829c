"""What comes back of a probe that did not arrive: entries of a socket's error queue (ip(7), IP_RECVERR)."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from catenet.cli.reach.target import Family
from catenet.wire.icmp import Problem, numbers

__all__ = ["ProbeError", "next_error"]

MSG_ERRQUEUE: Final = 0x2000
LOCAL: Final = 1
"""SO_EE_ORIGIN_LOCAL: this host itself has refused to send."""
ROOM: Final = 512
_EXTENDED = struct.Struct("=IBBBBII")
_ADDRESSES: Final = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}
_PROBLEMS: Final = {
    (version, *found): problem
    for version in (4, 6)
    for problem in Problem
    if (found := numbers(problem, version)) is not None
}


@dataclass(frozen=True, slots=True)
class ProbeError:
    """An error about one probe."""

    quoted: bytes
    """What was sent, behind the header of IP, as far as it came back."""
    port: int
    """Where it was sent to."""
    source: str | None
    """Who says so; None for this host itself."""
    problem: Problem | None
    text: str
    mtu: int
    """Largest packet from now on, 0 when that is not the matter."""

    @property
    def is_hop(self) -> bool:
        """Whether the probe got as far as its hop limit let it."""
        return self.problem is Problem.HOP_LIMIT


def next_error(sock: socket.socket, kind: Family) -> ProbeError | None:
    """Take the next entry of a socket's error queue; None when it is empty."""
    try:
        quoted, control, _, address = sock.recvmsg(ROOM, ROOM, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    for level, number, data in control:
        if (level, number) == (kind.level, kind.receive_errors):
            return _read(quoted, address[1] if address else 0, data, kind)
    return None


def _read(quoted: bytes, port: int, data: bytes, kind: Family) -> ProbeError:
    number, origin, message, code, _, information, _ = _EXTENDED.unpack_from(data)
    problem = None if origin == LOCAL else _PROBLEMS.get((kind.version, message, code))
    too_big = problem is Problem.PACKET_TOO_BIG or (origin == LOCAL and information > 0)
    offender = data[_EXTENDED.size :]
    source = None
    if origin != LOCAL and len(offender) >= 2:
        family = int.from_bytes(offender[:2], "little" if struct.pack("=H", 1)[0] else "big")
        source = socket.inet_ntop(family, offender[_ADDRESSES[socket.AddressFamily(family)]])
    text = problem.value if problem is not None else os.strerror(number).lower()
    return ProbeError(quoted, port, source, problem, text, information if too_big else 0)
