"""What ends a call that waits, and what an edge is to epoll: as `scenarios`."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.posix.scenarios import connection, family_of, listener, loopback, outcome, scenario

HOWS = (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)


class Waiting:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.found: list[Any] = []
        self._thread = threading.Thread(target=lambda: self.found.append(outcome(call, *args)), daemon=True)
        self._thread.start()
        time.sleep(0.02)

    def ends(self, soon: bool = True) -> Any:
        """Its outcome, or None when it goes on waiting."""
        self._thread.join(10 if soon else 0.05)
        return self.found[0] if self.found else None


def local_listener(kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind("")
    sock.listen()
    return sock


def full_listener(version: int) -> tuple[socket.socket, Any, socket.socket]:
    """A listener that answers no more SYNs, its name, and the connection that fills it."""
    server = socket.socket(family_of(version))
    server.bind((loopback(version), 0))
    server.listen(0)
    name = server.getsockname()[:2]
    return server, name, socket.create_connection(name)


def accepts(server: socket.socket) -> bool:
    server.accept()[0].close()
    return True


def watched(server: socket.socket, epoll: bool) -> Any:
    """Bits that show on a listener, once any does."""
    if epoll:
        with select.epoll() as watcher:
            watcher.register(server, select.EPOLLIN)
            return [events for _, events in watcher.poll(10)]
    poll = select.poll()
    poll.register(server, select.POLLIN | select.POLLRDHUP)
    return [events for _, events in poll.poll(10_000)]


@scenario
def shutdown_wakes_who_waits_for_connections(version: int) -> Any:
    seen: list[Any] = []
    waits: tuple[Callable[[Any], Any], ...] = (
        accepts,
        lambda server: select.select([server], [], [], 10)[0] == [server],
        lambda server: watched(server, False),
        lambda server: watched(server, True),
    )
    makers: tuple[Callable[[], socket.socket], ...] = (
        lambda: listener(version),
        lambda: local_listener(socket.SOCK_STREAM),
        lambda: local_listener(socket.SOCK_SEQPACKET),
    )
    for make in makers:
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            for wait in waits:
                with make() as server:
                    waiting = Waiting(wait, server)
                    seen += [outcome(server.shutdown, how), waiting.ends()]
                    server.settimeout(0.05)
                    seen += [outcome(server.listen), type(outcome(server.accept)).__name__]
    return seen


@scenario
def shutdown_for_writing_lets_a_listener_be(version: int) -> Any:
    seen: list[Any] = []
    with listener(version) as server, socket.socket(family_of(version)) as client:
        waiting = Waiting(accepts, server)
        seen += [outcome(server.shutdown, socket.SHUT_WR), waiting.ends(soon=False)]
        client.connect(server.getsockname()[:2])
        seen.append(waiting.ends())
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with local_listener(kind) as server, socket.socket(socket.AF_UNIX, kind) as client:
            waiting = Waiting(accepts, server)
            seen += [outcome(server.shutdown, socket.SHUT_WR), waiting.ends(soon=False)]
            client.connect(server.getsockname())
            seen.append(waiting.ends())
    return seen


@scenario
def shutdown_ends_a_read_of_datagrams(version: int) -> Any:
    """A read that waits ends, later ones find what has come, and with a timeout there is no end to be seen."""
    seen: list[Any] = []
    for connected in (False, True):
        for how in HOWS:
            with (
                socket.socket(family_of(version), socket.SOCK_DGRAM) as one,
                socket.socket(family_of(version), socket.SOCK_DGRAM) as other,
            ):
                one.bind((loopback(version), 0))
                other.bind((loopback(version), 0))
                if connected:
                    one.connect(other.getsockname()[:2])
                waiting = Waiting(one.recv, 10)
                seen += [outcome(one.shutdown, how), waiting.ends(soon=how != socket.SHUT_WR)]
                other.sendto(b"late", one.getsockname()[:2])
                seen.append(waiting.ends())
                other.sendto(b"later", one.getsockname()[:2])
                time.sleep(0.01)
                seen += [one.recv(10), outcome(one.recv, 10, socket.MSG_DONTWAIT)]
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 20_000))
                seen.append(outcome(one.recvfrom, 10))
                one.settimeout(0.02)
                seen.append(outcome(one.recv, 10))
    return seen


@scenario
def shutdown_ends_a_read_of_local_sockets(version: int) -> Any:
    seen: list[Any] = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        for how in HOWS:
            one, other = socket.socketpair(socket.AF_UNIX, kind)
            with one, other:
                waiting, across = Waiting(one.recv, 10), Waiting(other.recv, 10)
                seen.append(outcome(one.shutdown, how))
                seen += [waiting.ends(soon=how != socket.SHUT_WR), across.ends(soon=False)]
                seen += [outcome(other.send, b"x"), outcome(one.send, b"y")]
                seen += [outcome(one.shutdown, socket.SHUT_RDWR), outcome(other.shutdown, socket.SHUT_RDWR)]
                seen += [waiting.ends(), across.ends()]
    return seen


@scenario
def shutdown_ends_a_connect(version: int) -> Any:
    """ECONNRESET, once; who waited with a timeout has asked for SO_ERROR, so the next call is told of an end."""
    seen: list[Any] = []
    for how in HOWS:
        for timeout in (None, 10.0):
            server, name, filler = full_listener(version)
            with server, filler, socket.socket(family_of(version)) as sock:
                sock.settimeout(timeout)
                waiting = Waiting(sock.connect, name)
                while not sock.getsockname()[1]:
                    time.sleep(0.001)
                seen += [outcome(sock.shutdown, how), waiting.ends(), sock.getsockname()[0]]
                seen += [outcome(sock.getpeername), outcome(sock.send, b"x"), outcome(sock.recv, 1)]
                seen += [sock.connect_ex((loopback(version), 1)) for _ in range(3)]
                port = sock.getsockname()[1]
                seen += [sock.connect_ex((loopback(version), 1)), sock.getsockname()[1] != port]
    return seen


@scenario
def connects_that_wait_in_vain(version: int) -> Any:
    """SO_SNDTIMEO and timeouts, where the other side answers nothing."""
    seen: list[Any] = []
    server, name, filler = full_listener(version)
    with server, filler:
        with socket.socket(family_of(version)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 20_000))
            seen += [outcome(sock.connect, name), outcome(sock.connect, name)]
            sock.settimeout(0.02)
            seen.append(outcome(sock.connect, name))
        with socket.socket(family_of(version)) as sock:
            sock.settimeout(0.02)
            seen += [outcome(sock.connect, name), outcome(sock.connect, name), sock.connect_ex(name)]
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as fills:
        full.bind("")
        full.listen(0)
        fills.connect(full.getsockname())
        for timeout in (0.0, 0.02, None):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 20_000))
                sock.settimeout(timeout)
                seen.append(outcome(sock.connect, full.getsockname()))
    return seen


# SIGPIPE.


def broken(version: int) -> dict[str, tuple[Any, ...]]:
    """Things nobody reads from any more, each with what must stay open; pipes are descriptors."""
    things: dict[str, tuple[Any, ...]] = {"fresh": (socket.socket(family_of(version)),)}
    one, other = connection(version)
    one.shutdown(socket.SHUT_WR)
    things["shut"] = (one, other)
    for told in (False, True):
        one, other = connection(version)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        time.sleep(0.02)
        if told:
            outcome(one.recv, 1)
        things[f"reset, told: {told}"] = (one,)
    one, other = connection(version)
    other.close()
    time.sleep(0.02)
    one.send(b"x")
    time.sleep(0.02)
    things["closed and written to"] = (one,)
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        for what in ("closed", "closed unread", "shut", "peer shut"):
            one, other = socket.socketpair(socket.AF_UNIX, kind)
            if what == "closed unread":
                one.send(b"x")
            if what == "shut":
                one.shutdown(socket.SHUT_WR)
            if what == "peer shut":
                other.shutdown(socket.SHUT_RD)
            if what.startswith("closed"):
                other.close()
            things[f"{kind.name} {what}"] = (one, other)
    udp = socket.socket(family_of(version), socket.SOCK_DGRAM)
    udp.connect((loopback(version), 9))
    udp.shutdown(socket.SHUT_WR)
    things["udp"] = (udp,)
    reading, writing = os.pipe()
    os.close(reading)
    things["pipe"] = (writing,)
    return things


def writes(thing: Any) -> list[Callable[[], Any]]:
    if isinstance(thing, int):
        return [lambda: os.write(thing, b"x"), lambda: os.write(thing, b"")]
    return [
        lambda: thing.send(b"x"),
        lambda: thing.send(b""),
        lambda: thing.send(b"x", socket.MSG_NOSIGNAL),
        lambda: thing.sendall(b"xx"),
        lambda: thing.sendmsg([b"x"]),
        lambda: os.write(thing.fileno(), b"x"),
    ]


@scenario
def sigpipe(version: int) -> Any:
    """Ignored as Python begins; then the handler runs in the main thread, for streams and pipes alone."""
    seen: list[Any] = [signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGXFSZ)]
    signals: list[Any] = []

    def note(number: int, _frame: Any) -> None:
        signals.append((type(number), number, threading.current_thread() is threading.main_thread()))

    for handled in (False, True):
        previous = signal.signal(signal.SIGPIPE, note) if handled else signal.SIG_IGN
        for name, things in broken(version).items():
            for write in writes(things[0]):
                found = outcome(write)
                time.sleep(0)  # where the interpreter looks for signals
                seen.append((name, found, list(signals)))
                signals.clear()
            for thing in things:
                os.close(thing) if isinstance(thing, int) else thing.close()
    one, other = socket.socketpair()
    with one, other:
        one.shutdown(socket.SHUT_WR)
        seen.append(Waiting(one.send, b"x").ends())
        seen.append(list(signals))
        signals.clear()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
        seen += [outcome(one.send, b"x"), time.sleep(0), list(signals), signal.sigpending()]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPIPE])
        seen.append(list(signals))
    signal.signal(signal.SIGPIPE, previous)
    return seen


# Edges.


def datagram_pair(version: int) -> tuple[socket.socket, socket.socket]:
    one, other = (socket.socket(family_of(version), socket.SOCK_DGRAM) for _ in range(2))
    one.bind((loopback(version), 0))
    other.bind((loopback(version), 0))
    one.connect(other.getsockname()[:2])
    other.connect(one.getsockname()[:2])
    return one, other


ACTS: dict[str, Callable[[socket.socket, socket.socket], Any]] = {
    "send": lambda one, other: one.send(b"x"),
    "send twice": lambda one, other: (one.send(b"x"), one.send(b"y")),
    "send, read there": lambda one, other: (one.send(b"x"), time.sleep(0.01), other.recv(9)),
    "come": lambda one, other: other.send(b"x"),
    "come, read here": lambda one, other: (other.send(b"x"), time.sleep(0.01), one.recv(9)),
    "shut reading": lambda one, other: one.shutdown(socket.SHUT_RD),
    "shut writing": lambda one, other: one.shutdown(socket.SHUT_WR),
    "shut": lambda one, other: one.shutdown(socket.SHUT_RDWR),
    "shut reading there": lambda one, other: other.shutdown(socket.SHUT_RD),
    "shut writing there": lambda one, other: other.shutdown(socket.SHUT_WR),
    "shut there": lambda one, other: other.shutdown(socket.SHUT_RDWR),
    "close there": lambda one, other: other.close(),
    "nothing": lambda one, other: None,
}


@scenario
def edges(version: int) -> Any:
    """What an edge-triggered epoll reports after each act, of one that waits for everything."""
    pairs: dict[str, Callable[[], tuple[socket.socket, socket.socket]]] = {
        "tcp": lambda: connection(version),
        "udp": lambda: datagram_pair(version),
        "stream": socket.socketpair,
        "seqpacket": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET),
        "dgram": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    }
    seen = []
    for kind, make in pairs.items():
        for act, function in ACTS.items():
            one, other = make()
            with one, other, select.epoll() as epoll:
                epoll.register(one, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
                found = [[events for _, events in epoll.poll(0)] for _ in range(2)]
                function(one, other)
                time.sleep(0.01)
                found += [[events for _, events in epoll.poll(0)] for _ in range(2)]
                seen.append((kind, act, found))
    return seen


@scenario
def a_send_is_an_edge_of_a_datagram_socket(version: int) -> Any:
    one, other = datagram_pair(version)
    seen = []
    with one, other, select.epoll() as edge, select.epoll() as level, select.epoll() as once:
        edge.register(one, select.EPOLLOUT | select.EPOLLET)
        level.register(one, select.EPOLLOUT)
        once.register(one, select.EPOLLOUT | select.EPOLLET | select.EPOLLONESHOT)
        for call in (
            lambda: one.send(b"x"),
            lambda: one.sendto(b"x", other.getsockname()[:2]),
            lambda: one.sendmsg([b"x"]),
            lambda: edge.modify(one, select.EPOLLIN | select.EPOLLET),
            lambda: one.send(b"x"),
        ):
            seen.append([[events for _, events in epoll.poll(0)] for epoll in (edge, edge, level, once)])
            call()
            time.sleep(0.01)
        seen.append([[events for _, events in epoll.poll(0)] for epoll in (edge, edge, level, once)])
    return seen


@scenario
def a_read_is_an_edge_of_a_full_pipe(version: int) -> Any:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    seen = []
    with select.epoll() as epoll:
        epoll.register(writing, select.EPOLLOUT | select.EPOLLET)
        for fill in (False, True):
            os.write(writing, bytes(4096))
            while fill and not isinstance(outcome(os.write, writing, bytes(4096)), tuple):
                pass
            seen.append(epoll.poll(0) != [])
            os.read(reading, 4096)
            seen.append(epoll.poll(0) != [])
    os.close(reading)
    os.close(writing)
    return seen


@scenario
def bits_of_poll(version: int) -> Any:
    """All bits that poll(2) and epoll(7) show of sockets with room to send: POLLWRBAND too, but not of TCP."""
    client, child = connection(version)
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    socks = [client, child, *(socket.socket(family_of(version), kind) for kind in kinds)]
    socks += [socket.socket(socket.AF_UNIX, kind) for kind in kinds]
    socks += [sock for kind in kinds for sock in socket.socketpair(socket.AF_UNIX, kind)]
    seen = []
    for sock in socks:
        with select.epoll() as epoll:
            poll = select.poll()
            poll.register(sock, 0xFFFF)
            epoll.register(sock, 0x3FFF)
            seen.append(([bits for _, bits in poll.poll(0)], [bits for _, bits in epoll.poll(0)]))
    for sock in socks:
        sock.close()
    return seen
