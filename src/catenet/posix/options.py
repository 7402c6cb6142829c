"""Socket options: Linux's numbers and structures on one side, names and plain values for endpoints on the other.

Endpoints know options by name and take an int (or raw bytes where Linux has a structure of its own that only they
understand). Here is what becomes of each: handled in the socket layer (`SO_ERROR`, timeouts), translated (`SO_LINGER`
is seconds, -1 for off; multicast memberships are `join` and `leave`), remembered without effect, or passed on by name.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import error_of, os_error
from catenet.posix.structures import INT
from catenet.posix.tcp_info import pack_tcp_info
from catenet.stack.endpoint import ANY4, Fault, StackError

if TYPE_CHECKING:
    from catenet.posix.sockets import SocketFile

__all__ = ["get_option", "set_option"]

SOL_SOCKET, IP, IPV6, TCP, UDP, ICMPV6, UDPLITE, RAW = 1, 0, 41, 6, 17, 58, 136, 255

_SOCKET = """
1 SO_DEBUG 2 SO_REUSEADDR 3 SO_TYPE 4 SO_ERROR 5 SO_DONTROUTE 6 SO_BROADCAST 7 SO_SNDBUF 8 SO_RCVBUF 9
SO_KEEPALIVE 10 SO_OOBINLINE 11 SO_NO_CHECK 12 SO_PRIORITY 13 SO_LINGER 15 SO_REUSEPORT 16 SO_PASSCRED 17
SO_PEERCRED 18 SO_RCVLOWAT 19 SO_SNDLOWAT 20 SO_RCVTIMEO 21 SO_SNDTIMEO 25 SO_BINDTODEVICE 29 SO_TIMESTAMP 30
SO_ACCEPTCONN 32 SO_SNDBUFFORCE 33 SO_RCVBUFFORCE 34 SO_PASSSEC 35 SO_TIMESTAMPNS 36 SO_MARK 37 SO_TIMESTAMPING
38 SO_PROTOCOL 39 SO_DOMAIN 40 SO_RXQ_OVFL 41 SO_WIFI_STATUS 42 SO_PEEK_OFF 44 SO_LOCK_FILTER 45
SO_SELECT_ERR_QUEUE 46 SO_BUSY_POLL 47 SO_MAX_PACING_RATE 49 SO_INCOMING_CPU 53 SO_CNX_ADVICE 56
SO_INCOMING_NAPI_ID 57 SO_COOKIE 59 SO_PEERGROUPS 60 SO_ZEROCOPY 61 SO_TXTIME
"""
_TCP = """
1 TCP_NODELAY 2 TCP_MAXSEG 3 TCP_CORK 4 TCP_KEEPIDLE 5 TCP_KEEPINTVL 6 TCP_KEEPCNT 7 TCP_SYNCNT 8 TCP_LINGER2 9
TCP_DEFER_ACCEPT 10 TCP_WINDOW_CLAMP 11 TCP_INFO 12 TCP_QUICKACK 13 TCP_CONGESTION 14 TCP_MD5SIG 16
TCP_THIN_LINEAR_TIMEOUTS 17 TCP_THIN_DUPACK 18 TCP_USER_TIMEOUT 19 TCP_REPAIR 23 TCP_FASTOPEN 24 TCP_TIMESTAMP
25 TCP_NOTSENT_LOWAT 26 TCP_CC_INFO 27 TCP_SAVE_SYN 28 TCP_SAVED_SYN 30 TCP_FASTOPEN_CONNECT 31 TCP_ULP 33
TCP_FASTOPEN_KEY 34 TCP_FASTOPEN_NO_COOKIE 35 TCP_ZEROCOPY_RECEIVE 36 TCP_INQ 37 TCP_TX_DELAY
"""
_IP = """
1 IP_TOS 2 IP_TTL 3 IP_HDRINCL 4 IP_OPTIONS 6 IP_RECVOPTS 7 IP_RETOPTS 8 IP_PKTINFO 10 IP_MTU_DISCOVER 11
IP_RECVERR 12 IP_RECVTTL 13 IP_RECVTOS 14 IP_MTU 15 IP_FREEBIND 19 IP_TRANSPARENT 20 IP_RECVORIGDSTADDR 21
IP_MINTTL 22 IP_NODEFRAG 24 IP_BIND_ADDRESS_NO_PORT 32 IP_MULTICAST_IF 33 IP_MULTICAST_TTL 34 IP_MULTICAST_LOOP
35 IP_ADD_MEMBERSHIP 36 IP_DROP_MEMBERSHIP 39 IP_ADD_SOURCE_MEMBERSHIP 40 IP_DROP_SOURCE_MEMBERSHIP 42
MCAST_JOIN_GROUP 45 MCAST_LEAVE_GROUP 46 MCAST_JOIN_SOURCE_GROUP 47 MCAST_LEAVE_SOURCE_GROUP 49 IP_MULTICAST_ALL
50 IP_UNICAST_IF 51 IP_LOCAL_PORT_RANGE
"""
_IPV6 = """
7 IPV6_CHECKSUM 16 IPV6_UNICAST_HOPS 17 IPV6_MULTICAST_IF 18 IPV6_MULTICAST_HOPS 19 IPV6_MULTICAST_LOOP 20
IPV6_JOIN_GROUP 21 IPV6_LEAVE_GROUP 23 IPV6_MTU_DISCOVER 24 IPV6_MTU 25 IPV6_RECVERR 26 IPV6_V6ONLY 36 IPV6_HDRINCL
42 MCAST_JOIN_GROUP 45 MCAST_LEAVE_GROUP 46 MCAST_JOIN_SOURCE_GROUP 47 MCAST_LEAVE_SOURCE_GROUP 49 IPV6_RECVPKTINFO
50 IPV6_PKTINFO 51
IPV6_RECVHOPLIMIT 52 IPV6_HOPLIMIT 62 IPV6_DONTFRAG 63 IPV6_RECVPATHMTU 66 IPV6_RECVTCLASS 67 IPV6_TCLASS 70
IPV6_AUTOFLOWLABEL 72 IPV6_ADDR_PREFERENCES 73 IPV6_MINHOPCOUNT
"""
_UDP = "1 UDP_CORK 100 UDP_ENCAP 103 UDP_SEGMENT 104 UDP_GRO"
_UDPLITE = "10 UDPLITE_SEND_CSCOV 11 UDPLITE_RECV_CSCOV"


def _table(text: str) -> dict[int, str]:
    words = text.split()
    return {int(number): name for number, name in zip(words[::2], words[1::2], strict=True)}


NAMES: Final[dict[int, dict[int, str]]] = {
    SOL_SOCKET: _table(_SOCKET),
    TCP: _table(_TCP),
    IP: _table(_IP),
    IPV6: _table(_IPV6),
    UDP: _table(_UDP),
    UDPLITE: _table(_UDPLITE),
    ICMPV6: {1: "ICMPV6_FILTER"},
    RAW: {1: "ICMP_FILTER", 7: "IPV6_CHECKSUM"},
}
"""Linux's names by level and number (include/uapi/asm-generic/socket.h, linux/tcp.h, linux/in.h, linux/in6.h)."""

REMEMBERED: Final = frozenset(
    [
        "SO_DEBUG",
        "SO_DONTROUTE",
        "SO_PRIORITY",
        "SO_PASSCRED",
        "SO_SNDLOWAT",
        "SO_TIMESTAMP",
        "SO_TIMESTAMPNS",
        "SO_TIMESTAMPING",
        "SO_MARK",
        "SO_BUSY_POLL",
        "SO_INCOMING_CPU",
        "SO_RXQ_OVFL",
        "SO_ZEROCOPY",
        "SO_NO_CHECK",
        "SO_MAX_PACING_RATE",
        "SO_PEEK_OFF",
        "SO_WIFI_STATUS",
        "SO_LOCK_FILTER",
        "SO_SELECT_ERR_QUEUE",
        "SO_PASSSEC",
        "SO_TXTIME",
        "SO_BINDTODEVICE",
        "IP_PKTINFO",
        "IP_RECVTTL",
        "IP_RECVTOS",
        "IP_RECVORIGDSTADDR",
        "IP_BIND_ADDRESS_NO_PORT",
        "IP_RECVOPTS",
        "IP_RETOPTS",
        "IP_NODEFRAG",
        "IP_OPTIONS",
        "IP_RECVERR",
        "IPV6_RECVERR",
        "IPV6_RECVPKTINFO",
        "IPV6_RECVHOPLIMIT",
        "IPV6_RECVTCLASS",
        "IPV6_RECVPATHMTU",
        "IPV6_AUTOFLOWLABEL",
        "IPV6_ADDR_PREFERENCES",
        "TCP_THIN_LINEAR_TIMEOUTS",
        "TCP_THIN_DUPACK",
        "TCP_REPAIR",
        "TCP_INQ",
        "UDP_CORK",
        "UDP_GRO",
    ]
)
"""Options that the socket layer keeps when the endpoint does not know them."""

READ_ONLY: Final = frozenset(
    [
        "SO_TYPE",
        "SO_ERROR",
        "SO_DOMAIN",
        "SO_PROTOCOL",
        "SO_ACCEPTCONN",
        "SO_PEERCRED",
        "SO_PEERGROUPS",
        "SO_COOKIE",
        "SO_SNDLOWAT",
        "TCP_CC_INFO",
        "IP_MTU",
        "IPV6_MTU",
    ]
)
TEXTS: Final = frozenset(["TCP_CONGESTION", "SO_BINDTODEVICE", "TCP_ULP"])
FLAGS: Final = frozenset(
    [
        "SO_DEBUG",
        "SO_DONTROUTE",
        "SO_NO_CHECK",
        "SO_PASSCRED",
        "SO_TIMESTAMP",
        "SO_TIMESTAMPNS",
        "SO_RXQ_OVFL",
        "SO_WIFI_STATUS",
        "SO_PASSSEC",
        "SO_SELECT_ERR_QUEUE",
        "SO_LOCK_FILTER",
        "SO_REUSEADDR",
        "SO_BROADCAST",
        "SO_KEEPALIVE",
        "SO_OOBINLINE",
        "SO_REUSEPORT",
        "IP_RECVOPTS",
        "IP_RETOPTS",
        "IP_PKTINFO",
        "IP_RECVTTL",
        "IP_RECVTOS",
        "IP_RECVORIGDSTADDR",
        "IP_BIND_ADDRESS_NO_PORT",
        "IP_RECVERR",
        "IP_FREEBIND",
        "IP_TRANSPARENT",
        "IP_MULTICAST_LOOP",
        "IPV6_V6ONLY",
        "IPV6_RECVERR",
        "IPV6_RECVPKTINFO",
        "IPV6_RECVHOPLIMIT",
        "IPV6_RECVTCLASS",
        "IPV6_RECVPATHMTU",
        "IPV6_AUTOFLOWLABEL",
        "UDP_CORK",
        "UDP_GRO",
    ]
)
"""Switches for which any number but 0 is on."""
STRICT_FLAGS: Final = frozenset(
    ["SO_ZEROCOPY", "IP_MULTICAST_ALL", "IPV6_MULTICAST_LOOP", "TCP_INQ", "TCP_THIN_LINEAR_TIMEOUTS", "TCP_THIN_DUPACK"]
)
"""Switches that take 0 and 1 alone."""
EVERYWHERE: Final = {
    "SO_REUSEADDR": 0,
    "SO_BROADCAST": 0,
    "SO_KEEPALIVE": 0,
    "SO_OOBINLINE": 0,
    "SO_REUSEPORT": 0,
    "SO_LINGER": -1,
    "SO_RCVLOWAT": 1,
    "SO_RCVBUF": 212_992,
    "SO_SNDBUF": 212_992,
}
"""Options that every socket of Linux has, whatever good they do it, with what they hold at first."""
DEFAULTS: Final = {"SO_PEEK_OFF": -1, "SO_MAX_PACING_RATE": -1, "SO_INCOMING_CPU": -1, "SO_SNDLOWAT": 1}
"""Initial values of remembered options that are not 0."""

_INT_MAX: Final = (1 << 31) - 1
ECN_BITS: Final = 3
"""Low bits of the traffic class, which TCP sets itself (RFC 3168)."""
_LINGER = struct.Struct("=ii")
_LONGEST_LINGER: Final = ((1 << 63) - 1) // 250
"""Seconds that Linux (of 250 ticks a second) makes of a negative time: MAX_SCHEDULE_TIMEOUT."""
_TIMEVAL = struct.Struct("=qq")
_CREDENTIALS = struct.Struct("=iii")


def set_option(file: SocketFile, level: int, option: int, value: int | bytes | None, length: int = 0) -> None:
    """setsockopt(2); OSError with ENOPROTOOPT, EINVAL, …; TypeError for a value that is no int, bytes or None."""
    name = _name(file, level, option)
    if value is None:
        value = b"" if name == "SO_BINDTODEVICE" and not length else _no_value(level, length)
    if level == SOL_SOCKET and name not in TEXTS and not isinstance(value, int) and len(value) < INT.size:
        raise os_error(errno.EINVAL)
    if name in READ_ONLY:
        raise os_error(errno.ENOPROTOOPT)
    if name == "SO_LINGER":
        seconds, on = _linger(value)
        _pass(file, name, seconds if on else -1)
    elif name in ("SO_RCVTIMEO", "SO_SNDTIMEO"):
        timeout = _timeout(value)
        if name == "SO_RCVTIMEO":
            file.receive_timeout = timeout
        else:
            file.send_timeout = timeout
    elif name in _MEMBERSHIPS:
        _membership(file, name, _raw(value))
    elif name in ("IP_MULTICAST_IF", "IPV6_MULTICAST_IF", "IP_UNICAST_IF"):
        _pass(file, name, _interface_of(file, name, value))
    elif name in ("TCP_FASTOPEN_KEY", "ICMP_FILTER", "ICMPV6_FILTER"):
        _pass(file, name, _raw(value))
    elif name == "SO_BINDTODEVICE":
        _pass(file, name, _device(file, _raw(value)))
    elif name in TEXTS:
        _pass(file, name, _raw(value).rstrip(b"\0"))
    else:
        _pass(file, name, _in_range(file, name, _number(name, level, value)))


def _device(file: SocketFile, raw: bytes) -> bytes:
    """Name of an interface, or none; ENODEV."""
    name = raw[:15].partition(b"\0")[0]
    if name and all(interface.name.encode() != name for interface in file.kernel.interfaces()):
        raise os_error(errno.ENODEV)
    return name


def _in_range(file: SocketFile, name: str, value: int) -> int:
    """A number as Linux takes it; EINVAL for some, of others the endpoints say it."""
    if name in FLAGS:
        return int(value != 0)
    if (name in STRICT_FLAGS and value not in (0, 1)) or (name == "SO_BUSY_POLL" and value < 0):
        raise os_error(errno.EINVAL)
    if name == "IP_TOS":
        value &= 0xFF
    elif name == "IPV6_TCLASS":
        value = 0 if value == -1 else value
    elif name == "IP_MULTICAST_TTL":
        value = 1 if value == -1 else value
    elif name == "SO_RCVLOWAT":
        value = _INT_MAX if value < 0 else max(1, value)
    if name in ("IP_TOS", "IPV6_TCLASS") and file.is_stream and value > 0:
        value &= ~ECN_BITS
    return value


def get_option(file: SocketFile, level: int, option: int, size: int) -> int | bytes:
    """getsockopt(2)."""
    name = _name(file, level, option, errno.EOPNOTSUPP)
    value = _value(file, name)
    if size == 0:
        if isinstance(value, int):
            return _signed(value)
        if not value:
            return 0
        number: int = INT.unpack(value[:4].ljust(4, b"\0"))[0]
        return number
    if not 0 < size <= 1024:
        raise OSError("getsockopt buflen out of range")
    if level == IP and size < INT.size and isinstance(value, int) and 0 <= value <= 0xFF:
        return bytes([value])
    raw = value if isinstance(value, bytes) else INT.pack(_signed(value))
    return raw[:size]


def _value(file: SocketFile, name: str) -> int | bytes:
    simple = _SOCKET_LAYER.get(name)
    if simple is not None:
        own: int | bytes = simple(file)
        return own
    if name == "TCP_INFO":
        return pack_tcp_info(file.tcp_info())
    try:
        value = file.endpoint_value(name)
    except (StackError, OSError) as error:
        found = file.kept_options.get(name, DEFAULTS.get(name, EVERYWHERE.get(name)))
        if found is None and name not in REMEMBERED:
            raise (error_of(error) if isinstance(error, StackError) else error) from None
        value = 0 if found is None else found
    if name == "SO_RCVLOWAT" and value == 0:
        return 1
    if name == "SO_LINGER":
        assert isinstance(value, int)
        return _LINGER.pack(value >= 0, _signed(max(0, value) & 0xFFFFFFFF))
    if name in TEXTS and isinstance(value, bytes):
        return value.ljust(16, b"\0")
    if name == "SO_BINDTODEVICE" and not value:
        return b""
    return value


def _timeval(seconds: float | None) -> bytes:
    whole = seconds or 0.0
    return _TIMEVAL.pack(int(whole), round((whole % 1) * 1e6))


def _peer_credentials(file: SocketFile) -> bytes:
    peer = getattr(file, "_peer", None)
    return _CREDENTIALS.pack(*(peer.credentials if peer is not None else (0, -1, -1)))


def _peer_groups(file: SocketFile) -> bytes:
    """Supplementary groups of the peer; ENODATA if there is none (unix(7))."""
    peer = getattr(file, "_peer", None)
    if peer is None:
        raise os_error(errno.ENODATA)
    return struct.pack(f"{len(peer.groups)}I", *peer.groups)


_SOCKET_LAYER: Final[dict[str, Any]] = {
    "SO_TYPE": lambda file: file.type,
    "SO_DOMAIN": lambda file: file.family,
    "SO_PROTOCOL": lambda file: file.protocol,
    "SO_ERROR": lambda file: file.pending_error(),
    "SO_ACCEPTCONN": lambda file: int(file.is_listening()),
    "SO_RCVTIMEO": lambda file: _timeval(file.receive_timeout),
    "SO_SNDTIMEO": lambda file: _timeval(file.send_timeout),
    "SO_PEERCRED": _peer_credentials,
    "SO_PEERGROUPS": _peer_groups,
}


def _pass(file: SocketFile, name: str, value: int | bytes) -> None:
    """Hand an option to the endpoint; keep those that may be kept when it does not know them."""
    try:
        file.endpoint_option(name, value)
    except (StackError, OSError) as error:
        known = isinstance(error, StackError) and error.fault is not Fault.NO_PROTOCOL_OPTION
        if not known and (name in REMEMBERED or name in EVERYWHERE):
            file.kept_options[name] = _buffer_size(name, value) if name in ("SO_RCVBUF", "SO_SNDBUF") else value
            if name == "UDP_CORK" and not value:
                file.uncork()
            return
        raise (error_of(error) if isinstance(error, StackError) else error) from None


def _name(file: SocketFile, level: int, option: int, strange: int = errno.ENOPROTOOPT) -> str:
    """Name of an option; ENOPROTOOPT, or `strange` for a level that IPv4 does not know, EOPNOTSUPP of local sockets."""
    if level not in (SOL_SOCKET, file.protocol or SOL_SOCKET) and not (
        (level == socket.IPPROTO_UDP and file.protocol == socket.IPPROTO_UDPLITE)
        or (file.type == socket.SOCK_RAW and (level == RAW or (level == ICMPV6 and file.family == socket.AF_INET6)))
    ):
        if file.family == socket.AF_UNIX:
            raise os_error(errno.EOPNOTSUPP)
        if file.family == socket.AF_INET and level != IP:
            raise os_error(strange)
        if level not in (IP, IPV6):
            raise os_error(errno.ENOPROTOOPT)
    name = NAMES.get(level, {}).get(option)
    if name is None:
        raise os_error(errno.ENOPROTOOPT)
    return name


def _no_value(level: int, length: int) -> int:
    """What Linux reads where a program gave no value but a length: nothing (EFAULT), or for IPv6 a zero."""
    if not 4 <= length <= _INT_MAX:
        raise os_error(errno.EINVAL)
    if level != IPV6:
        raise os_error(errno.EFAULT)
    return 0


def _raw(value: int | bytes) -> bytes:
    return INT.pack(_signed(value)) if isinstance(value, int) else value


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _buffer_size(name: str, value: int | bytes) -> int:
    """Size of a buffer that nothing fills: doubled and within limits, as that of others."""
    number = value & 0xFFFFFFFF if isinstance(value, int) else 0
    return max(2 * min(number, EVERYWHERE[name]), 2304 if name == "SO_RCVBUF" else 4608)


def _number(name: str, level: int, value: int | bytes) -> int:
    """The int of a value; options of IPv4 may be one byte, or nothing for 0; EINVAL."""
    if isinstance(value, int):
        return value
    if len(value) >= INT.size:
        return INT.unpack(value[: INT.size])[0]  # type: ignore[no-any-return]
    if level == IP and (value or name not in ("IP_FREEBIND", "IP_TRANSPARENT")):
        return value[0] if value else 0
    raise os_error(errno.EINVAL)


def _linger(value: int | bytes) -> tuple[int, bool]:
    if isinstance(value, int) or len(value) < _LINGER.size:
        raise os_error(errno.EINVAL)
    on, seconds = _LINGER.unpack(value[: _LINGER.size])
    return (seconds if seconds >= 0 else _LONGEST_LINGER), bool(on)


def _timeout(value: int | bytes) -> float | None:
    if isinstance(value, int) or len(value) < _TIMEVAL.size:
        raise os_error(errno.EINVAL)
    seconds, microseconds = _TIMEVAL.unpack(value[: _TIMEVAL.size])
    if not 0 <= microseconds < 1_000_000:
        raise os_error(errno.EDOM)
    return None if seconds == 0 and microseconds == 0 else max(0.0, seconds + microseconds / 1e6)


# Multicast (RFC 3678): (joins, structure).
_MEMBERSHIPS: Final = {
    "IP_ADD_MEMBERSHIP": (True, "ip_mreq"),
    "IP_DROP_MEMBERSHIP": (False, "ip_mreq"),
    "IP_ADD_SOURCE_MEMBERSHIP": (True, "ip_mreq_source"),
    "IP_DROP_SOURCE_MEMBERSHIP": (False, "ip_mreq_source"),
    "IPV6_JOIN_GROUP": (True, "ipv6_mreq"),
    "IPV6_LEAVE_GROUP": (False, "ipv6_mreq"),
    "MCAST_JOIN_GROUP": (True, "group_req"),
    "MCAST_LEAVE_GROUP": (False, "group_req"),
    "MCAST_JOIN_SOURCE_GROUP": (True, "group_source_req"),
    "MCAST_LEAVE_SOURCE_GROUP": (False, "group_source_req"),
}


def _membership(file: SocketFile, name: str, raw: bytes) -> None:
    if not file.has_memberships:
        raise os_error(errno.ENOPROTOOPT)
    joins, shape = _MEMBERSHIPS[name]
    file.change_membership(joins, *_group(file, shape, raw))


def _group(file: SocketFile, shape: str, raw: bytes) -> tuple[bytes, int, bytes | None]:
    """(group, interface index or 0, source or None) of a membership structure."""
    try:
        if shape == "ip_mreq":
            if len(raw) >= 12:  # ip_mreqn
                group, address, index = struct.unpack("=4s4si", raw[:12])
                return group, index or _index_of(file, address), None
            group, address = struct.unpack("=4s4s", raw[:8])
            return group, _index_of(file, address), None
        if shape == "ip_mreq_source":
            group, address, source = struct.unpack("=4s4s4s", raw[:12])
            return group, _index_of(file, address), source
        if shape == "ipv6_mreq":
            group, index = struct.unpack("=16sI", raw[:20])
            return group, index, None
        (index,) = struct.unpack("=I", raw[:4])
        group = _sockaddr(raw[8:136])
        return group, index, _sockaddr(raw[136:264]) if shape == "group_source_req" else None
    except struct.error:
        raise os_error(errno.EINVAL) from None


def _sockaddr(raw: bytes) -> bytes:
    (family,) = struct.unpack("=H", raw[:2])
    if family == socket.AF_INET:
        return raw[4:8]
    if family == socket.AF_INET6:
        return raw[8:24]
    raise os_error(errno.EINVAL)


def _index_of(file: SocketFile, address: bytes) -> int:
    """Index of the interface that has an address; 0 for the unspecified one; ENODEV."""
    if address == ANY4:
        return 0
    for interface in file.kernel.interfaces():
        if interface.find(address) is not None:
            return interface.index
    raise os_error(errno.ENODEV)


def _interface_of(file: SocketFile, name: str, value: int | bytes) -> int:
    """Interface index of IP_MULTICAST_IF's in_addr, ip_mreq or ip_mreqn, or of IPV6_MULTICAST_IF's int."""
    if isinstance(value, int) and name != "IP_MULTICAST_IF":
        return value
    raw = _raw(value)
    if name != "IP_MULTICAST_IF":
        return _number(name, IPV6, raw)
    if len(raw) >= 12:
        _, address, index = struct.unpack("=4s4si", raw[:12])
        return index or _index_of(file, address)
    if len(raw) >= 8:
        return _index_of(file, raw[4:8])
    return _index_of(file, raw[:4].ljust(4, b"\0"))
