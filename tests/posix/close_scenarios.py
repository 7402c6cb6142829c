"""What of an answer reaches the peer when its socket is closed in a way that resets: as `scenarios`."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import Any

from tests.posix.scenarios import connection, family_of, outcome, scenario

TCP_NODELAY, TCP_CORK = 1, 3
LINGER_0 = struct.pack("ii", 1, 0)

Write = Callable[[socket.socket], object]


def remains(sock: socket.socket) -> tuple[int, int, list[Any]]:
    """How much can be read once the connection has ended, its sum, and how the reads after that end."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll(5000)
    data = b""
    ends: list[Any] = []
    while len(ends) < 2:
        got = outcome(sock.recv, 1 << 20)
        if isinstance(got, bytes) and got:
            data += got
        else:
            ends.append(got)
    return len(data), sum(data), ends


def option(sock: socket.socket, name: int, value: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, name, value)


def unread(sock: socket.socket, peer: socket.socket) -> None:
    """Let data wait in `sock`, so that closing it resets."""
    peer.send(b"unread")
    select.select([sock], [], [], 5)


def partly_read(sock: socket.socket, peer: socket.socket) -> None:
    """As a server that has seen enough of a request."""
    peer.sendall(bytes(5000))
    sock.recv(100, socket.MSG_WAITALL)


def urgent_unread(sock: socket.socket, peer: socket.socket) -> None:
    """The urgent byte is not among what was read, but it is no ordinary data either."""
    peer.send(b"data!", socket.MSG_OOB)
    poll = select.poll()
    poll.register(sock, select.POLLPRI)
    poll.poll(5000)
    sock.recv(4, socket.MSG_WAITALL)


def no_linger(sock: socket.socket, peer: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)


def all_read(sock: socket.socket, peer: socket.socket) -> None:
    """Nothing that resets."""
    peer.send(b"read")
    sock.recv(4, socket.MSG_WAITALL)


CAUSES = (unread, partly_read, urgent_unread, no_linger, all_read)


@scenario
def answer_before_a_reset(version: int) -> Any:
    """What was written before the close arrives before the reset, however little time was between."""
    writes: dict[str, Write] = {
        "nothing": lambda sock: None,
        "a few bytes": lambda sock: sock.send(b"answer"),
        "two writes": lambda sock: (sock.send(b"head"), sock.send(b"body")),
        "50 kB": lambda sock: sock.sendall(bytes(range(250)) * 200),
        "more than a segment of loopback": lambda sock: sock.sendall(bytes(range(250)) * 400),
        "scattered": lambda sock: sock.sendmsg([b"a" * 100, bytearray(b"b" * 3000)]),
        "urgent": lambda sock: sock.send(b"12", socket.MSG_OOB),
        "end of record": lambda sock: (sock.send(b"one", 0x80), sock.send(b"two", 0x80)),
        "shut": lambda sock: (sock.send(b"answer"), sock.shutdown(socket.SHUT_WR)),
        "shut for reading": lambda sock: (sock.send(b"answer"), sock.shutdown(socket.SHUT_RD)),
    }
    seen: list[Any] = []
    for cause in CAUSES:
        for name, write in writes.items():
            peer, sock = connection(version)
            with peer:
                cause(sock, peer)
                write(sock)
                sock.close()
                seen.append((cause.__name__, name, remains(peer)))
    return seen


HELD: dict[str, Write] = {
    "more": lambda sock: sock.send(b"a", socket.MSG_MORE),
    "more, then a write": lambda sock: (sock.send(b"a", socket.MSG_MORE), sock.send(b"b")),
    "more, then the end": lambda sock: (sock.send(b"a", socket.MSG_MORE), sock.shutdown(socket.SHUT_WR)),
    "more, then no delay": lambda sock: (sock.send(b"a", socket.MSG_MORE), option(sock, TCP_NODELAY, 1)),
    "more, then uncorked": lambda sock: (sock.send(b"a", socket.MSG_MORE), option(sock, TCP_CORK, 0)),
    "a write, then a cork": lambda sock: (sock.send(b"a"), option(sock, TCP_CORK, 1)),
    "a write, then corked": lambda sock: (sock.send(b"a"), option(sock, TCP_CORK, 1), sock.send(b"b")),
    "corked": lambda sock: (option(sock, TCP_CORK, 1), sock.send(b"a")),
    "corked, then uncorked": lambda sock: (option(sock, TCP_CORK, 1), sock.send(b"a"), option(sock, TCP_CORK, 0)),
    "corked, then no delay": lambda sock: (option(sock, TCP_CORK, 1), sock.send(b"a"), option(sock, TCP_NODELAY, 1)),
    "uncorked, corked again": lambda sock: (
        option(sock, TCP_CORK, 1),
        sock.send(b"a"),
        option(sock, TCP_CORK, 0),
        option(sock, TCP_CORK, 1),
        sock.send(b"b"),
    ),
    "no delay, corked, uncorked, corked again": lambda sock: (
        option(sock, TCP_NODELAY, 1),
        option(sock, TCP_CORK, 1),
        sock.send(b"a"),
        option(sock, TCP_CORK, 0),
        option(sock, TCP_CORK, 1),
        sock.send(b"b"),
    ),
}


@scenario
def held_back_before_a_reset(version: int) -> Any:
    """What a program asked to hold back is lost with the reset, what it wrote before is not."""
    seen = []
    for name, write in HELD.items():
        peer, sock = connection(version)
        with peer:
            unread(sock, peer)
            write(sock)
            sock.close()
            seen.append((name, remains(peer)))
    return seen


@scenario
def held_back(version: int) -> Any:
    """What leaves at once, and what waits for the cork to be drawn."""
    seen = []
    for name, write in HELD.items():
        peer, sock = connection(version)
        with peer, sock:
            write(sock)
            early = bool(select.select([peer], [], [], 0.05)[0])
            seen.append((name, early, peer.recv(100) if early else b""))
    return seen


@scenario
def local_answer_before_the_end(version: int) -> Any:
    """AF_UNIX by comparison: a stream's answer comes before the error, messages come after it."""
    seen: list[Any] = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        for reads in (0, 3):
            one, other = socket.socketpair(socket.AF_UNIX, kind)
            with one:
                one.send(b"request")
                one.send(b"another")
                if reads:
                    other.recv(reads)
                other.send(b"answer")
                other.close()
                seen.append([outcome(one.recv, 100, socket.MSG_PEEK)])
                seen[-1] += [outcome(one.recv, 100) for _ in range(3)] + [outcome(one.send, b"x")]
    return seen


@scenario
def linger_for_a_negative_time(version: int) -> Any:
    """It is a very long time: all is delivered. Sockets without connections take the option too."""
    seen: list[Any] = []
    for seconds in (-1, -5, 1 << 30):
        linger = struct.pack("ii", 1, seconds)
        for sock in (socket.socket(family_of(version), socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)):
            with sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                seen.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
        client, child = connection(version)
        with child:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            seen.append(client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
            client.sendall(bytes(10_000))
            client.close()
            seen.append(remains(child))
    return seen
