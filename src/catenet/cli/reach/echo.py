"""Echo requests and what comes of them, by a ping socket where the system lets everybody have one, else a raw one."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

from catenet.cli.reach.errors import ProbeError, next_error
from catenet.cli.reach.target import Target
from catenet.wire.checksum import checksum

__all__ = ["DO", "HEADER", "PROBE", "Echo", "Reply"]

HEADER: Final = 8
"""Bytes of an echo request ahead of its data."""
LARGEST: Final = 65_535
CONTROL: Final = 256
DO, PROBE = 2, 3
"""Values of IP_MTU_DISCOVER: never fragment; never fragment, whatever is known of the path."""
_HEAD = struct.Struct("!BBHHH")
_SUFFICES: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or an error: exactly one of `hop_limit` (of an answer) and `error` is there."""

    number: int
    """Of the request, modulo 65,536."""
    when: float
    """By `time.monotonic`."""
    source: str
    size: int
    """Bytes behind the header of IP."""
    hop_limit: int | None = None
    error: ProbeError | None = None


class Echo:
    """Asks one target; a context manager. PermissionError when the system allows neither kind of socket."""

    def __init__(self, target: Target, *, dont_fragment: bool = False, hop_limit: int | None = None) -> None:
        self.target = target
        self._kind = kind = target.kind
        self._sock, self._raw = _open(target)
        self._identifier = os.getpid() & 0xFFFF
        sock = self._sock
        sock.setblocking(False)
        for option in (kind.receive_errors, kind.receive_hop_limit):
            sock.setsockopt(kind.level, option, 1)
        if dont_fragment:
            sock.setsockopt(kind.level, kind.mtu_discovery, DO)
        if hop_limit is not None:
            self.limit(hop_limit)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sock.close()

    def limit(self, hops: int) -> None:
        """Let what is sent from now on live for so many hops."""
        self._sock.setsockopt(self._kind.level, self._kind.hop_limit, hops)

    def send(self, number: int, data: bytes) -> float:
        """Send a request and return when; OSError as of `sendto`, among them EMSGSIZE."""
        head = _HEAD.pack(self._kind.request, 0, 0, self._identifier, number & _SUFFICES)
        packet = head + data
        if self._raw and self._kind.version == 4:
            packet = head[:2] + checksum(packet).to_bytes(2, "big") + packet[4:]
        when = time.monotonic()
        self._sock.sendto(packet, self.target.address)
        return when

    def receive(self, until: float) -> Reply | None:
        """Wait for the next answer or error; None when there is none by `until` (`time.monotonic`)."""
        while True:
            found = self._next_error() or self._next_answer()
            if found is not None:
                return found
            left = until - time.monotonic()
            if left <= 0:
                return None
            self._poll.poll(max(1, round(left * 1000)))

    def _next_error(self) -> Reply | None:
        error = next_error(self._sock, self._kind)
        if error is None or len(error.quoted) < HEADER or (self._raw and not self._is_mine(error.quoted)):
            return None
        number = int.from_bytes(error.quoted[6:8], "big")
        return Reply(number, time.monotonic(), error.source or "", len(error.quoted), error=error)

    def _is_mine(self, message: bytes) -> bool:
        return int.from_bytes(message[4:6], "big") == self._identifier

    def _next_answer(self) -> Reply | None:
        """The next of our answers; a raw socket gets those of others too."""
        kind = self._kind
        while True:
            try:
                data, control, _, address = self._sock.recvmsg(LARGEST, CONTROL)
            except BlockingIOError:
                return None
            except OSError:  # of an error that is in the queue too
                return self._next_error()
            when = time.monotonic()
            if self._raw and kind.version == 4:
                data = data[(data[0] & 15) << 2 :]
            if len(data) >= HEADER and data[0] == kind.reply and (not self._raw or self._is_mine(data)):
                break
        hops = next(
            (raw for level, number, raw in control if (level, number) == (kind.level, kind.hop_limit_control)), b""
        )
        limit = int.from_bytes(hops, "little") if hops else 0
        return Reply(int.from_bytes(data[6:8], "big"), when, address[0], len(data), limit)


def _open(target: Target) -> tuple[socket.socket, bool]:
    """A socket for echo requests, and whether it is a raw one."""
    kind = target.kind
    try:
        return socket.socket(kind.family, socket.SOCK_DGRAM, kind.protocol), False
    except OSError as error:  # EACCES: the group is not in net.ipv4.ping_group_range; EPROTONOSUPPORT: no such sockets
        refused = error
    try:
        return socket.socket(kind.family, socket.SOCK_RAW, kind.protocol), True
    except PermissionError:
        raise PermissionError(
            refused.errno, "this user may send no echo requests (sysctl net.ipv4.ping_group_range, or CAP_NET_RAW)"
        ) from None
