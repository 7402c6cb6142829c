"""Fast Open (RFC 7413): data in the SYN, for clients that have a cookie of the server.

A server's cookie is SipHash-2-4 of both addresses under a key of the host or the listener, as Linux makes it. A child
that was made by a SYN with a good cookie is a whole connection in SYN-RECEIVED: the program may accept, read and write
it, but nothing is retransmitted except the SYN-ACK until the handshake is complete (`ServerHandshake`). A client keeps
cookies by peer address and sends them with its first write (`ClientHandshake`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from catenet.stack.endpoint import Fault
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import RTO_TIMER, Connection, Sent
from catenet.stack.tcp.control.constants import SECOND, TIMEOUT_INIT
from catenet.stack.tcp.control.lifecycle import fail
from catenet.stack.tcp.control.timers import set_timer
from catenet.stack.tcp.recovery.machine import enter_loss, retransmit_without_congestion
from catenet.stack.tcp.recovery.marks import mark_lost
from catenet.stack.tcp.sending.output import send_new_entry
from catenet.stack.tcp.sending.pending import take_pending
from catenet.stack.units import Micros
from catenet.wire.siphash import siphash
from catenet.wire.tcp import ACK, PSH

if TYPE_CHECKING:
    from catenet.stack.tcp.layer import TcpLayer
    from catenet.stack.tcp.opening.listener import HalfOpen, Listener
    from catenet.wire.tcp import TcpOptions, TcpSegment

__all__ = [
    "CLIENT",
    "CacheEntry",
    "ClientHandshake",
    "CookieCache",
    "ServerHandshake",
    "may_defer",
    "verdict",
]

CLIENT: Final = 0x1
SERVER: Final = 0x2
CLIENT_NO_COOKIE: Final = 0x4
SERVER_NO_COOKIE: Final = 0x200
SERVER_ALL: Final = 0x400
_MAX_COOKIES: Final = 1024
_OPTION_SPACE: Final = 40
_COOKIE_MIN: Final = 4
_COOKIE_MAX: Final = 16


class CacheEntry(NamedTuple):
    """What a client remembers of a server."""

    mss: int = 0
    cookie: bytes = b""
    experimental: bool = False
    """Whether the cookie came in the option of before RFC 7413 (kind 254)."""
    attempts: int = 0
    """Unanswered requests for a cookie: 1 with the option of RFC 7413, 2 with the older one too."""


class CookieCache:
    """What a client remembers of servers, by address; the oldest of 1,024 gives way.

    And of its own network: `pause` when it swallows what Fast Open sends (RFC 7413 7.1), for longer each time in a row.
    """

    __slots__ = ("_entries", "_paused_at", "_pauses")

    def __init__(self) -> None:
        self._entries: dict[bytes, CacheEntry] = {}
        self._paused_at = self._pauses = 0

    def pause(self, us: Micros) -> None:
        """Pause Fast Open: something on the path swallows its packets."""
        self._paused_at = us
        self._pauses += 1

    def is_paused(self, us: Micros, timeout: int) -> bool:
        """Whether Fast Open is paused; `timeout` (seconds) doubles with each pause in a row, at most six times."""
        return self._pauses > 0 and us < self._paused_at + (timeout * SECOND << min(self._pauses - 1, 6))

    def resume(self) -> None:
        """End the pauses: Fast Open works again."""
        self._pauses = 0

    def get(self, address: bytes) -> CacheEntry | None:
        """What is known of a server."""
        return self._entries.get(address)

    def learn(self, address: bytes, mss: int, cookie: bytes | None, experimental: bool, attempts: int) -> None:
        """Note the MSS and cookie of a SYN-ACK; without a cookie (None) `attempts` says which requests were in vain."""
        known = self._entries.pop(address, None) or CacheEntry()
        while len(self._entries) >= _MAX_COOKIES:
            del self._entries[next(iter(self._entries))]
        if cookie is not None:
            known = known._replace(cookie=cookie, experimental=experimental)
        elif not known.cookie:
            known = known._replace(attempts=max(known.attempts, attempts))
        self._entries[address] = known._replace(mss=mss)

    def clear(self) -> None:
        """Forget all servers."""
        self._entries.clear()


def keys_of(layer: TcpLayer, listener: Listener | None) -> list[bytes]:
    """Keys under which cookies are good, the one that new ones are made with first."""
    own = listener.endpoint.options.get("TCP_FASTOPEN_KEY") if listener is not None else None
    if isinstance(own, bytes):
        return [own[at : at + 16] for at in range(0, len(own), 16)]
    keys = [_key(text) for text in layer.settings.tcp_fastopen_key.split(",") if text]
    return keys or [layer.secret[:16]]


def _key(text: str) -> bytes:
    """Key in Linux's notation: four words in hexadecimal, each stored little-endian."""
    return b"".join(int(word, 16).to_bytes(4, "little") for word in text.split("-"))


def _cookie_for(key: bytes, client: bytes, server: bytes) -> bytes:
    """Cookie of one client for one server address."""
    return siphash(key, client + server).to_bytes(8, "little")


def verdict(half_open: HalfOpen, segment: TcpSegment) -> tuple[bool, bytes | None]:
    """Judge the Fast Open option of a SYN: (whether a connection begins with it, cookie for the SYN-ACK or None)."""
    layer, listener = half_open.layer, half_open.listener
    mode = layer.settings.tcp_fastopen
    offered = segment.options.fast_open
    limit = listener.endpoint.number("TCP_FASTOPEN", listener.backlog if mode & SERVER_ALL else 0)
    if not mode & SERVER or not limit or (offered is None and not segment.payload):
        return False, None
    if listener.fast_opening >= limit:
        return False, None
    if mode & SERVER_NO_COOKIE or listener.endpoint.number("TCP_FASTOPEN_NO_COOKIE", 0):
        return True, None
    if offered is None:
        return False, None
    cookies = [_cookie_for(key, half_open.destination, half_open.source) for key in keys_of(layer, listener)]
    if offered in cookies:
        # A cookie of the older key is accepted once more, and replaced.
        return True, None if offered == cookies[0] else cookies[0]
    return False, cookies[0]


class ServerHandshake:
    """The rest of the handshake of a connection that began with data in its SYN, on the server."""

    __slots__ = ("half_open", "listener", "timeouts")

    def __init__(self, listener: Listener, half_open: HalfOpen) -> None:
        self.listener: Listener | None = listener
        self.half_open = half_open
        self.timeouts = 0

    def start(self, c: Connection, sent: Sent) -> bool:
        """Do nothing: a server sends no SYN."""
        return False

    def on_timeout(self, c: Connection) -> bool:
        """Send the SYN-ACK again, and nothing else, as it is not acknowledged yet."""
        if c.state != states.SYN_RECEIVED and self.listener is None:
            return False
        settings = c.layer.settings
        limit = (c.option("TCP_SYNCNT", 0) or settings.tcp_synack_retries) + 1
        if self.timeouts >= limit:
            fail(c, Fault.TIMED_OUT)
            return True
        if c.retransmits == 1:
            enter_loss(c)
        self.send_syn_ack(c)
        self.timeouts += 1
        c.retransmits += 1
        c.total_retransmits += 1
        c.layer.counters.retransmitted += 1
        if not c.recovery.retransmit_stamp:
            c.recovery.retransmit_stamp = c.layer.us
        set_timer(c, RTO_TIMER, min(TIMEOUT_INIT << self.timeouts, c.layer.rto_max))
        return True

    def send_syn_ack(self, c: Connection) -> None:
        """Send the SYN-ACK, which acknowledges the data of the SYN."""
        self.half_open.rcv_nxt = c.rcv_nxt
        self.half_open.retransmits = c.total_retransmits
        self.half_open.send_syn_ack()
        c.rcv_wup = c.rcv_nxt

    def complete(self, c: Connection) -> None:
        """End the handshake: the SYN-ACK is acknowledged."""
        if self.listener is not None:
            self.listener.on_child_established(c)
            self.listener = None

    def on_syn_ack(self, c: Connection, segment: TcpSegment, ack: int) -> None:
        """Do nothing: it concerns clients."""

    def on_black_hole(self, c: Connection) -> None:
        """Do nothing: it concerns clients."""

    def on_end(self, c: Connection) -> None:
        """Do nothing: it concerns clients."""

    def syn_option(self, c: Connection, options: TcpOptions) -> bytes:
        """Do nothing: it concerns clients."""
        return b""


def may_defer(c: Connection, no_cookie: bool) -> bool:
    """Prepare Fast Open for a connection that begins; whether the SYN is to wait for data."""
    layer = c.layer
    if not layer.settings.tcp_fastopen & CLIENT:
        return False
    known = layer.cookies.get(c.destination) or CacheEntry()
    mss = known.mss or c.advertised_mss
    no_cookie = no_cookie or bool(layer.settings.tcp_fastopen & CLIENT_NO_COOKIE)
    no_cookie = no_cookie or bool(c.option("TCP_FASTOPEN_NO_COOKIE", 0))
    if no_cookie:
        c.fast_open = ClientHandshake(None, mss, False)
    elif known.cookie:
        c.fast_open = ClientHandshake(known.cookie, mss, known.experimental)
    else:
        c.fast_open = ClientHandshake(b"", mss, known.attempts == 1)
        return False
    return True


class ClientHandshake:
    """A client's SYN, with a cookie or the request for one."""

    __slots__ = ("_armed", "_data", "_experimental", "cookie", "data_follows", "deferred", "listener", "mss")

    def __init__(self, cookie: bytes | None, mss: int, experimental: bool) -> None:
        self.cookie = cookie
        """None: no option at all, b"": ask for one."""
        self.mss = mss
        self.deferred = False
        """Whether the SYN waits for the first data."""
        self.data_follows = False
        """Whether a writer has more data than the SYN holds, so that the last segment of the handshake carries some."""
        self._experimental = experimental
        self._data = b""
        self._armed = True
        self.listener: Listener | None = None

    def start(self, c: Connection, sent: Sent) -> bool:
        """Send the SYN with as much data as fits."""
        # Decided here and not in the call, which carries no clock.
        timeout = c.layer.settings.tcp_fastopen_blackhole_timeout_sec
        if timeout and c.layer.cookies.is_paused(c.layer.us, timeout):
            self._armed = False
            return False
        waiting = c.write_seq - c.iss - 1
        if self.cookie == b"" or not waiting:
            return False
        size = min(waiting, self.room(c))
        self._data = take_pending(c, size)
        marks = c.push_marks
        while marks and marks[0] <= c.iss + 1 + size:
            marks.popleft()
        send_new_entry(c, sent)
        data = Sent(c.iss + 1, c.iss + 1 + size, self._data, ACK | PSH, 1)
        data.sent_at = c.layer.us
        data.first_sent_at, data.delivered_at = sent.first_sent_at, sent.delivered_at
        c.sent.append(data)
        c.snd_nxt = data.end
        c.packets_out += 1
        c.syn_data = 1
        c.bytes_sent += size
        c.data_segments_out += 1
        if c.tx_timestamps is not None:
            c.tx_timestamps.on_sent(c, data.end)
        set_timer(c, RTO_TIMER, c.rto)
        return True

    def room(self, c: Connection) -> int:
        """Bytes of data that fit into the SYN beside all options that it may carry."""
        header = 20 if len(c.source) == 4 else 40
        return min(self.mss, c.option("TCP_MAXSEG", 0) or self.mss, c.path_mtu - header - 20) - _OPTION_SPACE

    def syn_option(self, c: Connection, options: TcpOptions) -> bytes:
        """Add the option to the first SYN only; returns the data that it carries."""
        if not self._armed:
            return b""
        self._armed = False
        if self.cookie is not None:
            options.fast_open = self.cookie
            options.fast_open_experimental = self._experimental
        return self._data

    def on_timeout(self, c: Connection) -> bool:
        """Leave a lost SYN to the ordinary retransmission, which sends it without data."""
        return False

    def on_syn_ack(self, c: Connection, segment: TcpSegment, ack: int) -> None:
        """Learn MSS and cookie; a server that sent no cookie is asked once more by the older option."""
        offered = segment.options.fast_open
        if self.cookie is None or offered is None or len(offered) & 1 or not _COOKIE_MIN <= len(offered) <= _COOKIE_MAX:
            offered = None
        attempts = 0
        if self.cookie is not None and not c.total_retransmits and not c.syn_data:
            attempts = 2 if self._experimental else 1
        if self.cookie is not None or c.syn_data:
            experimental = segment.options.fast_open_experimental
            c.layer.cookies.learn(c.destination, c.peer_mss, offered, experimental, attempts)

    def on_black_hole(self, c: Connection) -> None:
        """Pause Fast Open on this host, if so configured, since its packets vanish."""
        if c.layer.settings.tcp_fastopen_blackhole_timeout_sec:
            c.layer.cookies.pause(c.layer.us)

    def on_end(self, c: Connection) -> None:
        """Judge the path at the connection's end: a FIN without the data before it means that data was swallowed."""
        if c.data_segments_in:
            c.layer.cookies.resume()
        elif c.reassembly is not None and c.reassembly.fin >= 0:
            self.on_black_hole(c)

    def complete(self, c: Connection) -> bool:
        """End the handshake: send again what the SYN-ACK did not acknowledge; returns whether there was any."""
        if not c.syn_data:
            return False
        if not c.sent:
            c.syn_data = 2
            if c.delivered > 1:
                # SYN and data were one segment, though the queue had two entries.
                c.delivered -= 1
            return False
        for sent in list(c.sent):
            mark_lost(c, sent)
        retransmit_without_congestion(c)
        return True
