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
from catenet.posix.file import File
from catenet.posix.real_file import RealFile
from catenet.posix.structures import EXTENDED_ERROR, INT
from catenet.stack.datagram.datagram import Control
from catenet.stack.endpoint import ANY4, Address
from catenet.wire.address import to_v4_mapped

if TYPE_CHECKING:
    from catenet.posix.inet_datagram import InetDatagram
    from catenet.posix.kernel import Kernel
    from catenet.stack.datagram.datagram import Datagram, QueuedError

__all__ = [
    "HEADER",
    "IPV6_RECVERR",
    "IP_RECVERR",
    "SCM_CREDENTIALS",
    "SO_TIMESTAMPING",
    "Ancillary",
    "check_socket_control",
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
SCM_RIGHTS: Final = 1
SCM_CREDENTIALS: Final = 2
SO_PRIORITY: Final = 12
SO_MARK: Final = 36
SO_TIMESTAMPING: Final = 37
UDP_SEGMENT: Final = 103
IPV6_PKTINFO: Final = 50
IPV6_HOPLIMIT: Final = 52
IPV6_DONTFRAG: Final = 62
IPV6_TCLASS: Final = 67
SCM_MAX_FD: Final = 253
"""Descriptors of one message (SCM_MAX_FD)."""

_PKTINFO4 = struct.Struct("=i4s4s")
_PKTINFO6 = struct.Struct("=16si")


def _cmsg_len(size: int) -> int:
    """CMSG_LEN."""
    return HEADER + size


def _cmsg_space(size: int) -> int:
    """CMSG_SPACE."""
    return HEADER + (size + 7 & ~7)


def fit_control(control: Sequence[Ancillary], space: int) -> tuple[list[Ancillary], bool]:
    """Return the part of `control` that fits into `space` bytes, and whether anything was cut (MSG_CTRUNC)."""
    kept: list[Ancillary] = []
    for level, kind, data in control:
        if space < HEADER:
            return kept, True
        kept.append((level, kind, data[: space - HEADER]))
        if _cmsg_len(len(data)) > space:
            return kept, True
        space -= _cmsg_space(len(data))
    return kept, False


# What can be asked for: option, then level and type of the answer, and how it is made of the datagram.
_RECEIVED_CONTROL: Final[dict[int, tuple[tuple[str, int, int, Callable[[Any], bytes]], ...]]] = {
    socket.AF_INET: (
        (
            "IP_PKTINFO",
            socket.IPPROTO_IP,
            IP_PKTINFO,
            lambda d: _PKTINFO4.pack(d.destination[2], *[d.destination[0]] * 2),
        ),
        ("IP_RECVTTL", socket.IPPROTO_IP, IP_TTL, lambda d: INT.pack(d.hop_limit)),
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
        ("IPV6_RECVHOPLIMIT", socket.IPPROTO_IPV6, IPV6_HOPLIMIT, lambda d: INT.pack(d.hop_limit)),
        ("IPV6_RECVTCLASS", socket.IPPROTO_IPV6, IPV6_TCLASS, lambda d: INT.pack(d.traffic_class)),
    ),
}


def received_control(file: InetDatagram, datagram: Datagram, space: int) -> tuple[list[Ancillary], bool]:
    """What a datagram socket asked to be told of each datagram, and whether it did not fit."""
    value = file.endpoint_value
    found = [(level, kind, make(datagram)) for name, level, kind, make in _RECEIVED_CONTROL[file.family] if value(name)]
    return fit_control(found, space)


def error_control(file: InetDatagram, error: QueuedError) -> Ancillary:
    """`struct sock_extended_err` and the offender's address (ip(7), IP_RECVERR)."""
    report = error.report
    number = error_of(error.fault).errno or 0
    origin = 2 if len(report.offender) == 4 else 3
    head = EXTENDED_ERROR.pack(number, origin, report.type, report.code, 0, report.mtu, 0)
    if file.family == socket.AF_INET:
        return socket.IPPROTO_IP, IP_RECVERR, head + _sockaddr_in((report.offender, 0, 0))
    offender = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, to_v4_mapped(report.offender), 0)
    return socket.IPPROTO_IPV6, IPV6_RECVERR, head + offender


def _sockaddr_in(name: tuple[Address, int, int]) -> bytes:
    return struct.pack("=H", socket.AF_INET) + name[1].to_bytes(2, "big") + name[0][-4:] + bytes(8)


def sent_control(family: int, control: Sequence[Ancillary]) -> Control | None:
    """What a program wants otherwise for one datagram; other levels say nothing to it; OSError(EINVAL)."""
    if not control:
        return None
    check_socket_control(control)
    requests: dict[str, Any] = {}
    for level, kind, data in control:
        if level in _LEVELS[family]:
            read = _SENT_CONTROL.get((level, kind))
            if read is None:
                raise os_error(errno.EINVAL)
            read(requests, data)
    return Control(**requests)


def check_socket_control(control: Iterable[Ancillary]) -> None:
    """EINVAL for a message of the socket layer that is none, or has a wrong size (`__sock_cmsg_send` of Linux)."""
    for level, kind, data in control:
        if level != socket.SOL_SOCKET or kind in (SCM_RIGHTS, SCM_CREDENTIALS):
            continue
        if kind not in (SO_PRIORITY, SO_MARK, SO_TIMESTAMPING) or len(data) != INT.size:
            raise os_error(errno.EINVAL)


def _number(data: bytes, least: int, most: int, *, byte: bool = False) -> int:
    """The int of a message, which some may write as one byte; EINVAL when it is none or out of range."""
    if len(data) != INT.size and not (byte and len(data) == 1):
        raise os_error(errno.EINVAL)
    value: int = data[0] if len(data) == 1 else INT.unpack(data)[0]
    if not least <= value <= most:
        raise os_error(errno.EINVAL)
    return value


def _read_pktinfo4(requests: dict[str, Any], data: bytes) -> None:
    if len(data) != _PKTINFO4.size:
        raise os_error(errno.EINVAL)
    requests["interface"], source, _ = _PKTINFO4.unpack(data)
    requests["source"] = source if source != ANY4 else None


def _read_pktinfo6(requests: dict[str, Any], data: bytes) -> None:
    if len(data) < _PKTINFO6.size:
        raise os_error(errno.EINVAL)
    source, requests["interface"] = _PKTINFO6.unpack_from(data)
    requests["source"] = source if any(source) else None


def _read_ttl(requests: dict[str, Any], data: bytes) -> None:
    requests["hop_limit"] = _number(data, 1, 255)


def _read_tos(requests: dict[str, Any], data: bytes) -> None:
    requests["traffic_class"] = _number(data, 0, 255, byte=True)


def _read_hop_limit(requests: dict[str, Any], data: bytes) -> None:
    requests["hop_limit"] = _or_default(_number(data, -1, 255))


def _read_traffic_class(requests: dict[str, Any], data: bytes) -> None:
    requests["traffic_class"] = _or_default(_number(data, -1, 255))


def _or_default(value: int) -> int | None:
    return value if value >= 0 else None


def _read_dont_fragment(requests: dict[str, Any], data: bytes) -> None:
    _number(data, 0, 1)


def _read_segment(requests: dict[str, Any], data: bytes) -> None:
    if len(data) != 2:
        raise os_error(errno.EINVAL)
    requests["segment_size"] = int.from_bytes(data, sys.byteorder)


_LEVELS: Final[dict[int, tuple[int, ...]]] = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IPPROTO_UDP),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPPROTO_UDP, socket.IPPROTO_IP),
}
"""Levels that a socket of each family looks at; one of IPv6 may talk to IPv4."""

_SENT_CONTROL: Final[dict[tuple[int, int], Callable[[dict[str, Any], bytes], None]]] = {
    (socket.IPPROTO_IP, IP_PKTINFO): _read_pktinfo4,
    (socket.IPPROTO_IP, IP_TTL): _read_ttl,
    (socket.IPPROTO_IP, IP_TOS): _read_tos,
    (socket.IPPROTO_IPV6, IPV6_PKTINFO): _read_pktinfo6,
    (socket.IPPROTO_IPV6, IPV6_HOPLIMIT): _read_hop_limit,
    (socket.IPPROTO_IPV6, IPV6_TCLASS): _read_traffic_class,
    (socket.IPPROTO_IPV6, IPV6_DONTFRAG): _read_dont_fragment,
    (socket.IPPROTO_UDP, UDP_SEGMENT): _read_segment,
}


def _passed(kernel: Kernel, number: int) -> File:
    """The file that a descriptor stands for, also one of the machine; EBADF.

    A process that came by fork has real files of its own, which the kernel's process does not.
    """
    led = kernel.runtime.redirected(number)
    if led > 2 and not kernel.is_open_here(led) and not kernel.runs_child():
        return RealFile(led, held=True)
    return kernel.file(led)


def files_of(kernel: Kernel, control: Iterable[Ancillary]) -> list[File]:
    """Files whose descriptors are sent (SCM_RIGHTS), each held once more; EBADF, EINVAL."""
    files: list[File] = []
    for level, kind, data in control:
        if level != socket.SOL_SOCKET or kind == SCM_CREDENTIALS:
            continue
        if kind != SCM_RIGHTS or len(files) + len(data) // 4 > SCM_MAX_FD:
            raise os_error(errno.EINVAL)
        numbers = array.array("i")
        raw = bytes(data)
        numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
        try:
            for number in numbers:  # no comprehension: what was opened before one that fails is closed below
                file = _passed(kernel, number)
                files.append(file)
        except OSError:
            for file in files:
                if isinstance(file, RealFile):
                    file.close()
            raise
    for file in files:
        file.acquire()
    return files


def rights_of(kernel: Kernel, files: Sequence[File], space: int) -> tuple[list[Ancillary], bool]:
    """Ancillary data with new descriptors for received files; those that do not fit are closed (and True returned)."""
    fitting = max(0, (space - HEADER) // 4)
    kept = files[:fitting]
    if kernel.runs_child():  # it has none of the machine's files that this process has
        kept = [file for file in kept if not isinstance(file, RealFile)]
    numbers = array.array(
        "i", [file.descriptor() if isinstance(file, RealFile) else kernel.install(file) for file in kept]
    )
    for file in files:
        file.release()
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers.tobytes())] if kept else []
    return control, len(kept) < len(files)
