"""Ancillary data of sendmsg and recvmsg (cmsg(3), ip(7), ipv6(7), RFC 3542) between bytes and values."""

from __future__ import annotations

import array
import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from catenet.posix.errors import error_of, os_error
from catenet.stack.datagram import Control
from catenet.stack.endpoint import ANY4, Address
from catenet.wire.address import to_v4_mapped

if TYPE_CHECKING:
    from catenet.posix.file import File
    from catenet.posix.inet_datagram import InetDatagram
    from catenet.posix.kernel import Kernel
    from catenet.stack.datagram import Datagram, QueuedError

__all__ = [
    "Ancillary",
    "cmsg_len",
    "cmsg_space",
    "error_control",
    "files_of",
    "fit_control",
    "received_control",
    "rights_of",
    "sent_control",
]

Ancillary: TypeAlias = tuple[int, int, bytes]
"""(level, type, data)."""

HEADER: Final = 16
IP_TTL: Final = 2
IP_TOS: Final = 1
IP_PKTINFO: Final = 8
IP_RECVERR: Final = 11
IP_ORIGDSTADDR: Final = 20
IPV6_RECVERR: Final = 25
UDP_SEGMENT: Final = 103
IPV6_PKTINFO: Final = 50
IPV6_HOPLIMIT: Final = 52
IPV6_TCLASS: Final = 67

_INT = struct.Struct("=i")
_PKTINFO4 = struct.Struct("=i4s4s")
_EXTENDED = struct.Struct("=IBBBBII")
_PKTINFO6 = struct.Struct("=16si")


def cmsg_len(size: int) -> int:
    """CMSG_LEN."""
    return HEADER + size


def cmsg_space(size: int) -> int:
    """CMSG_SPACE."""
    return HEADER + (size + 7 & ~7)


def fit_control(control: Sequence[Ancillary], space: int) -> tuple[list[Ancillary], bool]:
    """What of `control` fits into a buffer of `space` bytes, and whether something was cut (MSG_CTRUNC)."""
    kept: list[Ancillary] = []
    for level, kind, data in control:
        if cmsg_len(len(data)) > space:
            room = space - HEADER
            if room > 0:
                kept.append((level, kind, data[:room]))
            return kept, True
        kept.append((level, kind, data))
        space -= cmsg_space(len(data))
    return kept, False


# What can be asked for: option, then level and type of the answer, and how it is made of the datagram.
_TOLD: Final[dict[int, tuple[tuple[str, int, int, Callable[[Any], bytes]], ...]]] = {
    socket.AF_INET: (
        (
            "IP_PKTINFO",
            socket.IPPROTO_IP,
            IP_PKTINFO,
            lambda d: _PKTINFO4.pack(d.destination[2], *[d.destination[0]] * 2),
        ),
        ("IP_RECVTTL", socket.IPPROTO_IP, IP_TTL, lambda d: _INT.pack(d.hop_limit)),
        ("IP_RECVTOS", socket.IPPROTO_IP, IP_TOS, lambda d: bytes([d.traffic_class])),
        ("IP_RECVORIGDSTADDR", socket.IPPROTO_IP, IP_ORIGDSTADDR, lambda d: _sockaddr_in(d.destination)),
    ),
    socket.AF_INET6: (
        (
            "IPV6_RECVPKTINFO",
            socket.IPPROTO_IPV6,
            IPV6_PKTINFO,
            lambda d: _PKTINFO6.pack(to_v4_mapped(d.destination[0]), d.destination[2]),
        ),
        ("IPV6_RECVHOPLIMIT", socket.IPPROTO_IPV6, IPV6_HOPLIMIT, lambda d: _INT.pack(d.hop_limit)),
        ("IPV6_RECVTCLASS", socket.IPPROTO_IPV6, IPV6_TCLASS, lambda d: _INT.pack(d.traffic_class)),
    ),
}


def received_control(file: InetDatagram, datagram: Datagram, space: int) -> tuple[list[Ancillary], bool]:
    """What a datagram socket asked to be told of each datagram, and whether it did not fit."""
    value = file.endpoint_value
    found = [(level, kind, make(datagram)) for name, level, kind, make in _TOLD[file.family] if value(name)]
    return fit_control(found, space)


def error_control(file: InetDatagram, error: QueuedError) -> Ancillary:
    """`struct sock_extended_err` and the offender's address (ip(7), IP_RECVERR)."""
    report = error.report
    number = error_of(error.fault).errno or 0
    origin = 2 if len(report.offender) == 4 else 3
    head = _EXTENDED.pack(number, origin, report.type, report.code, 0, report.mtu, 0)
    if file.family == socket.AF_INET:
        return socket.IPPROTO_IP, IP_RECVERR, head + _sockaddr_in((report.offender, 0, 0))
    offender = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, to_v4_mapped(report.offender), 0)
    return socket.IPPROTO_IPV6, IPV6_RECVERR, head + offender


def _sockaddr_in(name: tuple[Address, int, int]) -> bytes:
    return struct.pack("=H", socket.AF_INET) + name[1].to_bytes(2, "big") + name[0][-4:] + bytes(8)


def sent_control(control: Sequence[Ancillary]) -> Control | None:
    """What a program wants otherwise for one datagram; OSError(EINVAL)."""
    if not control:
        return None
    wishes: dict[str, Any] = {}
    for level, kind, data in control:
        raw = bytes(data)
        try:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                wishes["interface"], source, _ = _PKTINFO4.unpack(raw)
                wishes["source"] = source if source != ANY4 else None
            elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
                source, wishes["interface"] = _PKTINFO6.unpack(raw)
                wishes["source"] = source if any(source) else None
            elif (level, kind) in ((socket.IPPROTO_IP, IP_TTL), (socket.IPPROTO_IPV6, IPV6_HOPLIMIT)):
                (wishes["hop_limit"],) = _INT.unpack(raw)
            elif (level, kind) in ((socket.IPPROTO_IP, IP_TOS), (socket.IPPROTO_IPV6, IPV6_TCLASS)):
                wishes["traffic_class"] = raw[0] if len(raw) == 1 else _INT.unpack(raw)[0]
            elif (level, kind) == (socket.IPPROTO_UDP, UDP_SEGMENT):
                wishes["segment_size"] = int.from_bytes(raw[:2], sys.byteorder)
            else:
                raise os_error(errno.EINVAL)
        except (struct.error, IndexError):
            raise os_error(errno.EINVAL) from None
    return Control(**wishes)


def files_of(kernel: Kernel, control: Iterable[Ancillary]) -> list[File]:
    """Files whose descriptors are sent (SCM_RIGHTS), each held once more; EBADF, EINVAL."""
    files: list[File] = []
    for level, kind, data in control:
        if level != socket.SOL_SOCKET or kind != socket.SCM_RIGHTS:
            raise os_error(errno.EINVAL)
        numbers = array.array("i")
        raw = bytes(data)
        numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
        files += [kernel.file(number) for number in numbers]
    for file in files:
        file.acquire()
    return files


def rights_of(kernel: Kernel, files: Sequence[File], space: int) -> tuple[list[Ancillary], bool]:
    """Ancillary data with new descriptors for received files; those that do not fit are closed (and True returned)."""
    fitting = max(0, (space - HEADER) // 4)
    kept, lost = files[:fitting], files[fitting:]
    numbers = array.array("i", [kernel.install(file) for file in kept])
    for file in files:
        file.release()
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers.tobytes())] if kept else []
    return control, bool(lost)
