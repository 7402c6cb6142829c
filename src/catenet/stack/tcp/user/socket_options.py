"""Socket options by their Linux names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from catenet.control import ALGORITHMS, make
from catenet.stack.endpoint import Fault, StackError
from catenet.stack.ports import checked_range
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import (
    ACK_NOW,
    ACK_SCHEDULED,
    NAGLE_CORK,
    NAGLE_OFF,
    NAGLE_PUSH,
    Connection,
)
from catenet.stack.tcp.control.constants import RCVBUF_LOCK, SNDBUF_LOCK
from catenet.stack.tcp.opening.fast_open import CLIENT as FAST_OPEN_CLIENT
from catenet.stack.tcp.opening.fast_open import ClientHandshake, may_defer
from catenet.stack.tcp.receiving.window import window_from_buffer
from catenet.stack.tcp.sending import flush
from catenet.stack.tcp.user.tx_timestamps import TX_FLAGS, WITH_NUMBER, TxTimestamps
from catenet.wire.tcp import TIMESTAMPS_LENGTH

if TYPE_CHECKING:
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["defer_connect", "forget_maxseg", "get_option", "set_option", "stamp_as_configured"]

_SECONDS_LIMIT: Final = 32767
_INT_MAX: Final = 0x7FFFFFFF
_LONGEST_LINGER: Final = 120
_LEAST_MSS: Final = {4: 536, 6: 1220}

_PLAIN: Final = {
    "IPV6_RECVERR": (0, 1),
    "IPV6_TCLASS": (-1, 255),
    "IP_BIND_ADDRESS_NO_PORT": (0, 1),
    "IP_FREEBIND": (0, 1),
    "IP_MTU_DISCOVER": (0, 5),
    "IPV6_MTU_DISCOVER": (0, 5),
    "IP_RECVERR": (0, 1),
    "IP_TOS": (0, 255),
    "SO_KEEPALIVE": (0, 1),
    "SO_LINGER": (-1, (1 << 63) // 250),
    "SO_MAX_PACING_RATE": (0, 1 << 62),
    "SO_OOBINLINE": (0, 1),
    "SO_PRIORITY": (-_INT_MAX - 1, _INT_MAX),
    "SO_RCVLOWAT": (0, _INT_MAX),
    "TCP_CORK": (0, 1),
    "TCP_DEFER_ACCEPT": (0, _INT_MAX),
    "TCP_FASTOPEN": (0, _INT_MAX),
    "TCP_FASTOPEN_NO_COOKIE": (0, 1),
    "TCP_KEEPCNT": (1, 127),
    "TCP_KEEPIDLE": (1, _SECONDS_LIMIT),
    "TCP_KEEPINTVL": (1, _SECONDS_LIMIT),
    "TCP_MAXSEG": (88, 32767),
    "TCP_NODELAY": (0, 1),
    "TCP_NOTSENT_LOWAT": (0, 0xFFFFFFFF),
    "TCP_SAVE_SYN": (0, 2),
    "TCP_SYNCNT": (1, 127),
    "TCP_THIN_LINEAR_TIMEOUTS": (0, 1),
    "TCP_USER_TIMEOUT": (0, _INT_MAX),
}
"""Options that are a number, with their limits; switches take any number as on."""
_AT_FIRST: Final = {"SO_LINGER": -1, "IP_MTU_DISCOVER": 1, "IPV6_MTU_DISCOVER": 1}
"""Initial values that are not 0."""


def set_option(endpoint: TcpEndpoint, option: str, value: int | bytes) -> None:
    """See `TcpEndpoint.set_option`."""
    special = _SETTERS.get(option)
    if special is not None:
        special(endpoint, value)
        return
    limits = _PLAIN.get(option)
    if limits is None:
        raise StackError(Fault.NO_PROTOCOL_OPTION)
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    low, high = limits
    if (low, high) == (0, 1):
        value = int(bool(value))
    if option == "TCP_NOTSENT_LOWAT":
        value &= 0xFFFFFFFF
    if option == "TCP_MAXSEG" and not value:
        low = 0
    if not low <= value <= high:
        raise StackError(Fault.INVALID)
    _store(endpoint, option, value)
    c = endpoint.connection
    if c is not None:
        _apply(c, option, value)


def _store(endpoint: TcpEndpoint, option: str, value: int | bytes | str) -> None:
    endpoint.keep_option(option, value)
    if endpoint.connection is not None:
        endpoint.connection.options[option] = value


def _apply(c: Connection, option: str, value: int) -> None:
    """Apply an option to an existing connection."""
    if option == "TCP_NODELAY":
        if value:
            c.nagle |= NAGLE_OFF
            flush.uncork(c)
        else:
            c.nagle &= ~NAGLE_OFF
    elif option == "TCP_CORK":
        if value:
            flush.hold(c)
            c.nagle |= NAGLE_CORK
        else:
            c.nagle &= ~NAGLE_CORK
            c.work &= ~flush.WORK_MORE
            if c.nagle & NAGLE_OFF:
                c.nagle &= ~NAGLE_PUSH
                flush.uncork(c)
            else:
                flush.schedule(c, flush.WORK_SEND)
    elif option in ("SO_KEEPALIVE", "TCP_KEEPIDLE"):
        if c.state not in (states.CLOSED, states.SYN_SENT):
            flush.schedule(c, flush.WORK_KEEPALIVE)
    elif option == "TCP_USER_TIMEOUT":
        c.user_timeout = value * 1000
        if value:
            flush.schedule(c, flush.WORK_RETIME)
    elif option in ("IP_TOS", "IPV6_TCLASS"):
        c.traffic_class = max(value, 0) & 0xFC
    elif option == "SO_MAX_PACING_RATE" and value:
        c.pacing_rate = min(c.pacing_rate, value)


def _set_buffer(endpoint: TcpEndpoint, option: str, value: int | bytes) -> None:
    """SO_RCVBUF, SO_SNDBUF: doubled, as on Linux, and fixed from then on."""
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    settings = endpoint.layer.settings
    receive = option.startswith("SO_RCVBUF")
    if not option.endswith("FORCE"):
        value = min(value & 0xFFFFFFFF, settings.rmem_max if receive else settings.wmem_max)
    size = max(min(value, _INT_MAX // 2) * 2, 2304 if receive else 4608)
    _store(endpoint, "SO_RCVBUF" if receive else "SO_SNDBUF", size)
    lock = RCVBUF_LOCK if receive else SNDBUF_LOCK
    endpoint.locks |= lock
    c = endpoint.connection
    if c is None:
        return
    c.locks |= lock
    if receive:
        c.receive_buffer = size
        c.window_clamp = min(c.window_clamp, window_from_buffer(size)) if c.window_clamp else window_from_buffer(size)
    else:
        c.send_buffer = size


def _set_quick(endpoint: TcpEndpoint, value: int | bytes) -> None:
    c = endpoint.connection
    if c is None or isinstance(value, bytes):
        return
    if not value:
        c.delayed_ack.pingpong = max(c.delayed_ack.pingpong, c.layer.settings.tcp_pingpong_thresh)
        return
    c.delayed_ack.pingpong = 0
    if c.state in (states.ESTABLISHED, states.CLOSE_WAIT) and c.ack_pending & ACK_SCHEDULED:
        c.ack_pending |= ACK_NOW
        flush.schedule(c, flush.WORK_ACK)
    if not value & 1:
        c.delayed_ack.pingpong = max(c.delayed_ack.pingpong, c.layer.settings.tcp_pingpong_thresh)


def _set_congestion(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if isinstance(value, int):
        raise StackError(Fault.INVALID)
    name = value.rstrip(b"\0").decode("ascii", "replace")
    if not name:
        raise StackError(Fault.INVALID)
    if name not in ALGORITHMS:
        # ENOENT in Linux; the nearest fault there is.
        raise StackError(Fault.NO_SUCH_ENTRY)
    _store(endpoint, "TCP_CONGESTION", name)
    c = endpoint.connection
    if c is not None and c.congestion.name != name:
        c.congestion = make(name)
        if c.state not in (states.CLOSED, states.SYN_SENT):
            c.congestion.start(c)


def _set_linger2(endpoint: TcpEndpoint, value: int | bytes) -> None:
    """How long FIN-WAIT-2 lasts, two minutes at most; negative: not at all."""
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    _store(endpoint, "TCP_LINGER2", max(-1, min(value, _LONGEST_LINGER)))


def _set_window_clamp(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if isinstance(value, bytes) or value < 0:
        raise StackError(Fault.INVALID)
    c = endpoint.connection
    if not value:
        if c is not None and c.state != states.CLOSED:
            raise StackError(Fault.INVALID)
        _store(endpoint, "TCP_WINDOW_CLAMP", 0)
        return
    value = max(value, 1152)
    _store(endpoint, "TCP_WINDOW_CLAMP", value)
    if c is not None:
        c.window_clamp = value
        c.rcv_ssthresh = min(c.rcv_wnd, c.window_clamp) if value < c.rcv_ssthresh else c.rcv_ssthresh


def _set_hop_limit(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if isinstance(value, bytes) or not -1 <= value <= 255 or value == 0:
        raise StackError(Fault.INVALID)
    endpoint.hop_limit = None if value < 0 else value
    if endpoint.connection is not None:
        endpoint.connection.hop_limit = endpoint.hop_limit


def _set_only_six(endpoint: TcpEndpoint, value: int | bytes) -> None:
    """IPV6_V6ONLY; not once there is a port, whose conflicts were judged by the option."""
    if isinstance(value, bytes) or endpoint.ported or endpoint.is_connected():
        raise StackError(Fault.INVALID)
    _store(endpoint, "IPV6_V6ONLY", int(bool(value)))


def _set_defer_accept(endpoint: TcpEndpoint, value: int | bytes) -> None:
    """TCP_DEFER_ACCEPT: seconds become the number of SYN-ACK retransmissions that take as long."""
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    count, timeout, total = 0, 1, 0
    while total < value and count < 255:
        count += 1
        total += timeout
        timeout = min(timeout * 2, 120)
    _store(endpoint, "TCP_DEFER_ACCEPT", count)


def _set_fast_open_connect(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if not endpoint.layer.settings.tcp_fastopen & FAST_OPEN_CLIENT:
        raise StackError(Fault.OPERATION_NOT_SUPPORTED)
    if value not in (0, 1) or endpoint.state != "CLOSED":
        raise StackError(Fault.INVALID)
    _store(endpoint, "TCP_FASTOPEN_CONNECT", value)


def _set_port_range(endpoint: TcpEndpoint, value: int | bytes) -> None:
    _store(endpoint, "IP_LOCAL_PORT_RANGE", checked_range(value))


def _set_sharing(endpoint: TcpEndpoint, option: str, value: int | bytes) -> None:
    """SO_REUSEADDR, SO_REUSEPORT."""
    if isinstance(value, bytes):
        raise StackError(Fault.INVALID)
    endpoint.keep_option(option, int(bool(value)))
    if endpoint.connection is not None:
        endpoint.layer.share_port(endpoint.connection, option, int(bool(value)))


def _set_timestamping(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if isinstance(value, bytes) or (value & WITH_NUMBER and endpoint.state in ("CLOSED", "LISTEN")):
        raise StackError(Fault.INVALID)
    _store(endpoint, "SO_TIMESTAMPING", value)
    stamp_as_configured(endpoint)


def stamp_as_configured(endpoint: TcpEndpoint) -> None:
    """Have the connection timestamp its writes, if SO_TIMESTAMPING says so."""
    c = endpoint.connection
    flags = endpoint.number("SO_TIMESTAMPING", 0)
    if c is None or (c.tx_timestamps is None and not flags & TX_FLAGS):
        return
    if c.tx_timestamps is None:
        c.tx_timestamps = TxTimestamps()
    c.tx_timestamps.configure(c, flags)


def _set_key(endpoint: TcpEndpoint, value: int | bytes) -> None:
    if not isinstance(value, bytes) or len(value) not in (16, 32):
        raise StackError(Fault.INVALID)
    endpoint.keep_option("TCP_FASTOPEN_KEY", value)


_SETTERS: Final = {
    "TCP_LINGER2": _set_linger2,
    "SO_REUSEADDR": lambda endpoint, value: _set_sharing(endpoint, "SO_REUSEADDR", value),
    "SO_REUSEPORT": lambda endpoint, value: _set_sharing(endpoint, "SO_REUSEPORT", value),
    "SO_RCVBUF": lambda endpoint, value: _set_buffer(endpoint, "SO_RCVBUF", value),
    "SO_RCVBUFFORCE": lambda endpoint, value: _set_buffer(endpoint, "SO_RCVBUFFORCE", value),
    "SO_SNDBUF": lambda endpoint, value: _set_buffer(endpoint, "SO_SNDBUF", value),
    "SO_SNDBUFFORCE": lambda endpoint, value: _set_buffer(endpoint, "SO_SNDBUFFORCE", value),
    "TCP_QUICKACK": _set_quick,
    "TCP_CONGESTION": _set_congestion,
    "TCP_WINDOW_CLAMP": _set_window_clamp,
    "TCP_DEFER_ACCEPT": _set_defer_accept,
    "TCP_FASTOPEN_KEY": _set_key,
    "TCP_FASTOPEN_CONNECT": _set_fast_open_connect,
    "IP_LOCAL_PORT_RANGE": _set_port_range,
    "SO_TIMESTAMPING": _set_timestamping,
    "IP_TTL": _set_hop_limit,
    "IPV6_UNICAST_HOPS": _set_hop_limit,
    "IPV6_V6ONLY": _set_only_six,
}


def get_option(endpoint: TcpEndpoint, option: str) -> int | bytes:
    """See `TcpEndpoint.get_option`."""
    reader = _GETTERS.get(option)
    if reader is not None:
        return reader(endpoint)
    if option in _PLAIN or option in _SETTERS:
        value = endpoint.options.get(option)
        if isinstance(value, (int, bytes)):
            return value
        return _AT_FIRST.get(option, 0)
    raise StackError(Fault.NO_PROTOCOL_OPTION)


def _get_maxseg(endpoint: TcpEndpoint) -> int:
    """TCP_MAXSEG: payload of segments, even of an ended connection; the value that was set, before there is one."""
    c = endpoint.connection
    user = endpoint.number("TCP_MAXSEG", 0)
    if user and (c is None or c.state == states.CLOSED):
        return user
    return endpoint.last_mss or _LEAST_MSS[4] if c is None else _segment_size(c, user)


def _segment_size(c: Connection, user: int) -> int:
    if c.rcv_nxt:
        return c.mss
    # The peer's MSS is not known: the default (RFC 9293 3.7.1, RFC 8200 5).
    stamps = TIMESTAMPS_LENGTH if c.layer.settings.tcp_timestamps else 0
    return min(c.mss, user or _LEAST_MSS[4 if len(c.source) == 4 else 6]) - stamps


def _get_congestion(endpoint: TcpEndpoint) -> bytes:
    c = endpoint.connection
    chosen = endpoint.options.get("TCP_CONGESTION")
    name = c.congestion.name if c is not None else chosen or endpoint.layer.settings.tcp_congestion_control
    return str(name).encode()


def _get_buffer(endpoint: TcpEndpoint, receive: bool) -> int:
    c = endpoint.connection
    settings = endpoint.layer.settings
    if c is not None and (c.receive_buffer if receive else c.send_buffer):
        return c.receive_buffer if receive else c.send_buffer
    return (
        endpoint.number("SO_RCVBUF", settings.tcp_rmem[1])
        if receive
        else endpoint.number("SO_SNDBUF", settings.tcp_wmem[1])
    )


def _get_defer_accept(endpoint: TcpEndpoint) -> int:
    seconds, timeout = 0, 1
    for _ in range(endpoint.number("TCP_DEFER_ACCEPT", 0)):
        seconds += timeout
        timeout = min(timeout * 2, 120)
    return seconds


def _get_mtu(endpoint: TcpEndpoint) -> int:
    if endpoint.connection is None:
        raise StackError(Fault.NOT_CONNECTED)
    return endpoint.connection.path_mtu


def _get_linger2(endpoint: TcpEndpoint) -> int:
    value = endpoint.number("TCP_LINGER2", 0)
    return value if value else endpoint.layer.settings.tcp_fin_timeout


_GETTERS: Final[dict[str, Callable[[TcpEndpoint], int | bytes]]] = {
    "TCP_MAXSEG": _get_maxseg,
    "TCP_CONGESTION": _get_congestion,
    "SO_RCVBUF": lambda endpoint: _get_buffer(endpoint, True),
    "SO_SNDBUF": lambda endpoint: _get_buffer(endpoint, False),
    "TCP_DEFER_ACCEPT": _get_defer_accept,
    "TCP_LINGER2": _get_linger2,
    "TCP_KEEPIDLE": lambda e: e.number("TCP_KEEPIDLE", 0) or e.layer.settings.tcp_keepalive_time,
    "TCP_KEEPINTVL": lambda e: e.number("TCP_KEEPINTVL", 0) or e.layer.settings.tcp_keepalive_intvl,
    "TCP_KEEPCNT": lambda e: e.number("TCP_KEEPCNT", 0) or e.layer.settings.tcp_keepalive_probes,
    "TCP_SYNCNT": lambda e: e.number("TCP_SYNCNT", 0) or e.layer.settings.tcp_syn_retries,
    "TCP_QUICKACK": lambda e: int(
        e.connection is None or e.connection.delayed_ack.pingpong < e.layer.settings.tcp_pingpong_thresh
    ),
    "TCP_WINDOW_CLAMP": lambda e: e.connection.window_clamp if e.connection else e.number("TCP_WINDOW_CLAMP", 0),
    "IP_TTL": lambda e: e.hop_limit or e.layer.settings.ip_default_ttl,
    "IPV6_UNICAST_HOPS": lambda e: e.hop_limit or e.layer.settings.ip_default_ttl,
    "IP_MTU": _get_mtu,
    "IPV6_MTU": _get_mtu,
}


def forget_maxseg(endpoint: TcpEndpoint) -> None:
    """Unset TCP_MAXSEG at the end of its connection, and keep its segment size to show (Linux's tcp_disconnect)."""
    c = endpoint.connection
    kept = {name: value for name, value in endpoint.options.items() if name != "TCP_MAXSEG"}
    if c is not None:
        endpoint.last_mss = _segment_size(c, endpoint.number("TCP_MAXSEG", 0))
    endpoint.options = kept


def defer_connect(c: Connection, fast_open: bool, no_cookie: bool) -> bool:
    """Whether the SYN waits for the first data (Fast Open with a cookie at hand)."""
    if not fast_open and not c.option("TCP_FASTOPEN_CONNECT", 0):
        return False
    if may_defer(c, no_cookie):
        assert isinstance(c.fast_open, ClientHandshake)
        c.fast_open.deferred = True
        return True
    return False
