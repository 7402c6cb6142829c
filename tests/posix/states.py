"""Every call in every state: what sockets and pipes answer, for the kernel and a simulated host to be compared.

A state is made by a function that takes a `Bench` and returns the socket in question; a call takes both and returns
what it saw. Nothing blocks.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

Subject = Any
State = Callable[["Bench"], Subject]
Call = Callable[["Bench", Subject], Any]

UNUSED = 1
"""A port at which nobody listens."""


class Bench:
    """What the states of one kind of socket are made of."""

    numbers = itertools.count()

    def __init__(self, kind: str, pause: float) -> None:
        self.kind = kind
        self.pause = pause
        """Longer than loopback takes to bring anything over (seconds)."""
        self.others: list[socket.socket] = []
        self.local_port = 0
        name = kind.removesuffix("4").removesuffix("6")
        self.family = {"4": socket.AF_INET, "6": socket.AF_INET6}.get(kind[-1], socket.AF_UNIX)
        self.type = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "stream": socket.SOCK_STREAM}.get(
            name, socket.SOCK_SEQPACKET if name == "seqpacket" else socket.SOCK_DGRAM
        )

    def keep(self, sock: socket.socket) -> socket.socket:
        self.others.append(sock)
        sock.setblocking(False)
        return sock

    def new(self) -> socket.socket:
        return self.keep(socket.socket(self.family, self.type))

    def name(self, port: int = 0) -> Any:
        """A local name that nobody has, or the host's with this port."""
        if self.family == socket.AF_UNIX:
            return f"\0states-{os.getpid()}-{next(self.numbers)}"
        return ("127.0.0.1" if self.family == socket.AF_INET else "::1", port)

    def nobody(self) -> Any:
        return self.name(UNUSED)

    def bound(self) -> socket.socket:
        sock = self.new()
        sock.bind(self.name())
        return sock

    def listener(self, backlog: int = 5) -> socket.socket:
        sock = self.bound()
        sock.listen(backlog)
        return sock

    def address(self, sock: socket.socket) -> Any:
        name = sock.getsockname()
        return name if self.family == socket.AF_UNIX else name[:2]

    def connected(self, target: socket.socket) -> socket.socket:
        sock = self.new()
        sock.connect_ex(self.address(target))
        self.wait()
        sock.connect_ex(self.address(target))
        return sock

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two ends of a connection, the first made it."""
        server = self.listener()
        one = self.connected(server)
        return one, self.keep(server.accept()[0])

    def abort(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.wait()

    def wait(self) -> None:
        time.sleep(self.pause)

    def show(self, name: Any) -> Any:
        """A name without what differs from run to run."""
        if self.family == socket.AF_UNIX:
            return "name" if name else name
        if name[1] and not self.local_port:
            self.local_port = name[1]
        return name[0], "port" if name[1] == self.local_port and name[1] else "other" if name[1] else 0

    def close(self) -> None:
        for sock in self.others:
            sock.close()


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))


def bits(sock: Any) -> str:
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT | select.POLLRDHUP | select.POLLPRI)
    found = poll.poll(0)
    names = [(select.POLLIN, "in"), (4, "out"), (2, "pri"), (8, "err"), (16, "hup"), (0x2000, "rdhup")]
    return " ".join(name for bit, name in names if found and found[0][1] & bit)


# States.

STATES: dict[str, dict[str, State]] = {}


def state(*kinds: str) -> Callable[[State], State]:
    def add(function: State) -> State:
        for kind in kinds:
            STATES.setdefault(kind, {})[function.__name__] = function
        return function

    return add


TCP = ("tcp4", "tcp6")
UDP = ("udp4", "udp6")
LOCAL = ("stream", "seqpacket")
CONNECTING = TCP + LOCAL


@state(*CONNECTING, *UDP, "dgram")
def fresh(bench: Bench) -> Subject:
    return bench.new()


@state(*CONNECTING, *UDP, "dgram")
def bound(bench: Bench) -> Subject:
    return bench.bound()


@state(*CONNECTING)
def listening(bench: Bench) -> Subject:
    return bench.listener()


@state(*CONNECTING)
def listening_with_connection(bench: Bench) -> Subject:
    server = bench.listener()
    bench.connected(server)
    return server


@state(*CONNECTING)
def listening_with_dead_connection(bench: Bench) -> Subject:
    server = bench.listener()
    bench.abort(bench.connected(server))
    return server


@state(*CONNECTING)
def listener_shut_for_reading(bench: Bench) -> Subject:
    server = listening_with_connection(bench)
    server.shutdown(socket.SHUT_RD)
    return server


@state(*CONNECTING)
def listener_shut_for_writing(bench: Bench) -> Subject:
    server = listening_with_connection(bench)
    server.shutdown(socket.SHUT_WR)
    return server


@state(*CONNECTING)
def listener_shut(bench: Bench) -> Subject:
    server = listening_with_connection(bench)
    server.shutdown(socket.SHUT_RDWR)
    return server


@state(*TCP)
def connecting(bench: Bench) -> Subject:
    server = bench.listener(0)
    bench.connected(server)
    sock = bench.new()
    assert sock.connect_ex(bench.address(server)) == errno.EINPROGRESS
    bench.wait()
    return sock


@state(*TCP)
def connecting_from_bound(bench: Bench) -> Subject:
    server = bench.listener(0)
    bench.connected(server)
    sock = bench.bound()
    assert sock.connect_ex(bench.address(server)) == errno.EINPROGRESS
    bench.wait()
    return sock


@state(*TCP)
def refused(bench: Bench) -> Subject:
    sock = bench.new()
    assert sock.connect_ex(bench.nobody()) == errno.EINPROGRESS
    bench.wait()
    return sock


@state(*TCP)
def refused_and_told_by_connect(bench: Bench) -> Subject:
    sock = refused(bench)
    sock.connect_ex(bench.nobody())
    return sock


@state(*TCP)
def refused_and_told_by_option(bench: Bench) -> Subject:
    sock = refused(bench)
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return sock


@state(*TCP)
def refused_from_bound(bench: Bench) -> Subject:
    sock = bench.bound()
    sock.connect_ex(bench.nobody())
    bench.wait()
    return sock


@state(*TCP)
def connected_and_not_told(bench: Bench) -> Subject:
    server = bench.listener()
    sock = bench.new()
    sock.connect_ex(bench.address(server))
    bench.wait()
    return sock


@state(*CONNECTING)
def established(bench: Bench) -> Subject:
    return bench.pair()[0]


@state(*CONNECTING)
def accepted(bench: Bench) -> Subject:
    return bench.pair()[1]


@state(*CONNECTING)
def accepted_dead(bench: Bench) -> Subject:
    return bench.keep(listening_with_dead_connection(bench).accept()[0])


@state(*CONNECTING)
def accepted_dead_with_data(bench: Bench) -> Subject:
    server = bench.listener()
    one = bench.connected(server)
    one.send(b"data")
    bench.wait()
    bench.abort(one)
    return bench.keep(server.accept()[0])


@state(*CONNECTING)
def listening_after_shutdown(bench: Bench) -> Subject:
    server = bench.bound()
    outcome(server.shutdown, socket.SHUT_WR)
    server.listen()
    bench.connected(server)
    return server


@state(*CONNECTING)
def established_with_data(bench: Bench) -> Subject:
    one, other = bench.pair()
    other.send(b"data")
    bench.wait()
    return one


def _shut(how: int) -> State:
    def make(bench: Bench) -> Subject:
        one, other = bench.pair()
        other.send(b"data")
        bench.wait()
        one.shutdown(how)
        bench.wait()
        return one

    return make


def _peer_shut(how: int) -> State:
    def make(bench: Bench) -> Subject:
        one, other = bench.pair()
        other.send(b"data")
        other.shutdown(how)
        bench.wait()
        return one

    return make


for _how, _text in enumerate(("for_reading", "for_writing", "both_ways")):
    for _kind in CONNECTING:
        STATES[_kind][f"shut_{_text}"] = _shut(_how)
        STATES[_kind][f"peer_shut_{_text}"] = _peer_shut(_how)


@state(*CONNECTING)
def both_shut_for_writing(bench: Bench) -> Subject:
    """TCP: TIME-WAIT."""
    one, other = bench.pair()
    one.shutdown(socket.SHUT_WR)
    bench.wait()
    other.shutdown(socket.SHUT_WR)
    bench.wait()
    return one


@state(*CONNECTING)
def peer_and_then_own_shut_for_writing(bench: Bench) -> Subject:
    one, other = bench.pair()
    other.shutdown(socket.SHUT_WR)
    bench.wait()
    one.shutdown(socket.SHUT_WR)
    bench.wait()
    return one


@state(*CONNECTING)
def peer_closed(bench: Bench) -> Subject:
    one, other = bench.pair()
    other.close()
    bench.wait()
    return one


@state(*CONNECTING)
def peer_closed_after_data(bench: Bench) -> Subject:
    one, other = bench.pair()
    other.send(b"data")
    other.close()
    bench.wait()
    return one


@state(*CONNECTING)
def peer_closed_with_unread_data(bench: Bench) -> Subject:
    one, other = bench.pair()
    one.send(b"data")
    bench.wait()
    other.close()
    bench.wait()
    return one


@state(*CONNECTING)
def peer_closed_and_written_to(bench: Bench) -> Subject:
    one = peer_closed(bench)
    outcome(one.send, b"x")
    bench.wait()
    return one


@state(*CONNECTING)
def shut_for_writing_and_peer_closed(bench: Bench) -> Subject:
    one, other = bench.pair()
    one.shutdown(socket.SHUT_WR)
    bench.wait()
    other.close()
    bench.wait()
    return one


@state(*TCP)
def reset(bench: Bench) -> Subject:
    one, other = bench.pair()
    bench.abort(other)
    return one


@state(*TCP)
def reset_after_data(bench: Bench) -> Subject:
    one, other = bench.pair()
    other.send(b"data")
    bench.wait()
    bench.abort(other)
    return one


@state(*TCP)
def reset_and_told(bench: Bench) -> Subject:
    one = reset(bench)
    outcome(one.recv, 1)
    return one


@state(*TCP)
def reset_when_half_closed(bench: Bench) -> Subject:
    one, other = bench.pair()
    one.shutdown(socket.SHUT_WR)
    bench.wait()
    bench.abort(other)
    return one


@state(*CONNECTING)
def server_gone_before_accept(bench: Bench) -> Subject:
    server = bench.listener()
    one = bench.connected(server)
    server.close()
    bench.wait()
    return one


@state(*CONNECTING)
def shut_when_fresh(bench: Bench) -> Subject:
    sock = bench.new()
    outcome(sock.shutdown, socket.SHUT_RDWR)
    return sock


@state(*CONNECTING)
def shut_for_writing_when_bound(bench: Bench) -> Subject:
    sock = bench.bound()
    outcome(sock.shutdown, socket.SHUT_WR)
    return sock


@state(*TCP)
def shut_when_connecting(bench: Bench) -> Subject:
    sock = connecting(bench)
    sock.shutdown(socket.SHUT_RD)
    return sock


# Datagrams.


@state(*UDP, "dgram")
def peered(bench: Bench) -> Subject:
    sock = bench.new()
    sock.connect(bench.address(bench.bound()))
    return sock


@state(*UDP, "dgram")
def peered_and_bound(bench: Bench) -> Subject:
    sock, other = bench.bound(), bench.bound()
    sock.connect(bench.address(other))
    other.connect(bench.address(sock))
    return sock


@state(*UDP, "dgram")
def peered_with_data(bench: Bench) -> Subject:
    sock = peered_and_bound(bench)
    bench.others[-1].send(b"data")
    bench.wait()
    return sock


@state(*UDP)
def peered_and_refused(bench: Bench) -> Subject:
    sock = bench.new()
    sock.connect(bench.nobody())
    sock.send(b"x")
    bench.wait()
    return sock


@state("dgram")
def peer_gone(bench: Bench) -> Subject:
    sock = peered_and_bound(bench)
    bench.others[-1].close()
    return sock


@state("dgram")
def peer_gone_with_unread_data(bench: Bench) -> Subject:
    sock = peered_and_bound(bench)
    sock.send(b"data")
    bench.others[-1].close()
    return sock


@state("dgram")
def peer_gone_after_data(bench: Bench) -> Subject:
    sock = peered_with_data(bench)
    bench.others[-1].close()
    return sock


@state("dgram")
def peer_elsewhere(bench: Bench) -> Subject:
    sock, third = peered_and_bound(bench), bench.bound()
    bench.others[-2].connect(bench.address(third))
    return sock


@state("dgram")
def one_of_a_pair(bench: Bench) -> Subject:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    bench.keep(other)
    return bench.keep(one)


def _shut_datagram(how: int, make: State) -> State:
    def shut(bench: Bench) -> Subject:
        sock = make(bench)
        outcome(sock.shutdown, how)
        return sock

    return shut


def _peer_shut_datagram(how: int) -> State:
    def shut(bench: Bench) -> Subject:
        sock = peered_with_data(bench)
        bench.others[-1].shutdown(how)
        return sock

    return shut


for _kind in (*UDP, "dgram"):
    for _how, _text in enumerate(("for_reading", "for_writing", "both_ways")):
        STATES[_kind][f"unpeered_shut_{_text}"] = _shut_datagram(_how, bound)
        STATES[_kind][f"peered_shut_{_text}"] = _shut_datagram(_how, peered_with_data)
        STATES[_kind][f"peer_shut_{_text}"] = _peer_shut_datagram(_how)


# Calls.

CALLS: dict[str, dict[str, Call]] = {}


def call(*kinds: str) -> Callable[[Call], Call]:
    def add(function: Call) -> Call:
        for kind in kinds:
            CALLS.setdefault(kind, {})[function.__name__] = function
        return function

    return add


INET = TCP + UDP
ALL = (*CONNECTING, *UDP, "dgram")


def _shutting(how: int) -> Call:
    return lambda bench, sock: sock.shutdown(how)


for _kind in ALL:
    for _how, _text in enumerate(("read", "write", "both")):
        CALLS.setdefault(_kind, {})[f"shutdown_{_text}"] = _shutting(_how)


@call(*ALL)
def connect(bench: Bench, sock: Subject) -> Any:
    server = bench.listener() if bench.kind in CONNECTING else bench.bound()
    return sock.connect(bench.address(server))


@call(*ALL)
def connect_to_nobody(bench: Bench, sock: Subject) -> Any:
    return sock.connect(bench.nobody())


@call(*ALL)
def bind(bench: Bench, sock: Subject) -> Any:
    return sock.bind(bench.name())


@call(*ALL)
def listen(bench: Bench, sock: Subject) -> Any:
    return sock.listen()


@call(*ALL)
def accept(bench: Bench, sock: Subject) -> Any:
    new, address = sock.accept()
    bench.keep(new)
    seen = [bits(new), outcome(lambda: bench.show(new.getpeername())), outcome(lambda: new.getsockname() != "")]
    if bench.kind in TCP:
        seen.append((address[0], address[1] > 0))
    return [*seen, outcome(new.recv, 5), outcome(new.send, b"x"), bits(new)]


@call(*ALL)
def send(bench: Bench, sock: Subject) -> Any:
    return sock.send(b"xyz")


@call(*ALL)
def send_nothing(bench: Bench, sock: Subject) -> Any:
    return sock.send(b"")


@call(*ALL)
def send_to(bench: Bench, sock: Subject) -> Any:
    return sock.sendto(b"xyz", bench.address(bench.bound()))


@call(*ALL)
def send_message_to_nobody(bench: Bench, sock: Subject) -> Any:
    return sock.sendmsg([b"xyz"], [], 0, bench.nobody())


@call(*ALL)
def receive(bench: Bench, sock: Subject) -> Any:
    return sock.recv(100)


@call(*ALL)
def peek(bench: Bench, sock: Subject) -> Any:
    return sock.recv(2, socket.MSG_PEEK)


@call(*ALL)
def receive_from(bench: Bench, sock: Subject) -> Any:
    data, name = sock.recvfrom(100)
    return data, name and (bench.show(name) if bench.family == socket.AF_UNIX else name[0])


@call(*ALL)
def peer_name(bench: Bench, sock: Subject) -> Any:
    name = sock.getpeername()
    return name[0] if bench.family != socket.AF_UNIX else bench.show(name)


@call(*ALL)
def own_name(bench: Bench, sock: Subject) -> Any:
    return bench.show(sock.getsockname())


@call(*ALL)
def pending_error(bench: Bench, sock: Subject) -> Any:
    return errno.errorcode.get(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)


@call(*ALL)
def is_listening(bench: Bench, sock: Subject) -> Any:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@call(*ALL)
def unread(bench: Bench, sock: Subject) -> Any:
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


@call(*TCP)
def unsent(bench: Bench, sock: Subject) -> Any:
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] >= 0


@call(*TCP)
def urgent(bench: Bench, sock: Subject) -> Any:
    return sock.recv(1, socket.MSG_OOB)


@call(*TCP)
def send_urgent(bench: Bench, sock: Subject) -> Any:
    return sock.send(b"!", socket.MSG_OOB)


@call("tcp6", "udp6")
def only_six(bench: Bench, sock: Subject) -> Any:
    before = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return before, outcome(sock.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@call("udp4", "udp6")
def send_to_port_0(bench: Bench, sock: Subject) -> Any:
    return sock.sendto(b"x", bench.name(0))


@call("udp4", "udp6", "tcp4", "tcp6")
def connect_to_port_0(bench: Bench, sock: Subject) -> Any:
    return sock.connect(bench.name(0))


def sequences(kind: str) -> list[tuple[str, ...]]:
    """Every call in every state, as (state, call), and a sample of what two calls after each other do."""
    states, calls = STATES[kind], CALLS[kind]
    singles: list[tuple[str, ...]] = list(itertools.product(states, calls))
    return singles + list(itertools.product(states, calls, calls))[:: len(calls) * 2 + 1]


def run(kind: str, state_name: str, *calls: str, pause: float = 0.001) -> list[Any]:
    """Make a state, make calls, and say what was seen."""
    bench = Bench(kind, pause)
    try:
        sock = STATES[kind][state_name](bench)
        seen: list[Any] = [bits(sock), outcome(own_name, bench, sock)]
        for name in calls:
            seen.append(outcome(CALLS[kind][name], bench, sock))
            bench.wait()
            seen.append(bits(sock))
        seen += [outcome(CALLS[kind][name], bench, sock) for name in ("own_name", "peer_name", "pending_error")]
        return seen
    finally:
        bench.close()
