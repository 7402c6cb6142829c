"""Who may have a port beside whom, by address, family, flags and state: as `scenarios`."""

from __future__ import annotations

import errno
import itertools
import select
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.posix.scenarios import family_of, loopback, outcome, scenario

IPV6_V6ONLY = 26
IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 24, 51
FLAGS = ("", "a", "p", "ap")
"""SO_REUSEADDR, SO_REUSEPORT."""
PLACES = {
    4: ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0"),
    6: ("::1", "::", ":: only"),
}
ALL_PLACES = PLACES[4] + PLACES[6]


def made(place: str, flags: str = "", kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket with its flags, of the family that a place is of."""
    sock = socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, "a" in flags)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, "p" in flags)
    if ":" in place:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY, "only" in place)
    return sock


def host_of(place: str) -> str:
    return place.removesuffix(" only")


def free_port() -> int:
    """A port that nobody has, whatever other tests have left in TIME-WAIT."""
    while True:
        with made("::", "", socket.SOCK_DGRAM) as datagrams, made("::") as stream:
            datagrams.bind(("::", 0))
            port: int = datagrams.getsockname()[1]
            if outcome(stream.bind, ("::", port)) is None:
                return port


def taken(place: str, flags: str = "", kind: int = socket.SOCK_STREAM) -> tuple[socket.socket, int]:
    """A socket bound to a free port of a place, and the port."""
    sock, port = made(place, flags, kind), free_port()
    sock.bind((host_of(place), port))
    return sock, port


def name_of(result: Any) -> str:
    return "may" if result is None else errno.errorcode[result[1]]


def may_bind(port: int, flags: tuple[str, ...] = FLAGS, kind: int = socket.SOCK_STREAM) -> list[str]:
    """Which others may bind the port, and then listen."""
    seen = []
    for place, letters in itertools.product(ALL_PLACES, flags):
        with made(place, letters, kind) as sock:
            bound = outcome(sock.bind, (host_of(place), port))
            listens = outcome(sock.listen) if bound is None and kind == socket.SOCK_STREAM else None
            seen.append(f"{place} {letters}: {name_of(bound)} bind, {name_of(listens)} listen")
    return seen


def without_a_name(version: int, seen: list[str]) -> list[str]:
    """Leave out who meets on an address that an IPv6 socket does not have: to Linux it is 127.0.0.6 once connected."""
    return [line for line in seen if version == 4 or "0.0.0.0" not in line]


@scenario
def bind_beside_bound(version: int) -> Any:
    seen = []
    for place, flags in itertools.product(PLACES[version], FLAGS):
        first, port = taken(place, flags)
        with first:
            seen.append((place, flags, may_bind(port)))
    return seen


@scenario
def bind_beside_listening(version: int) -> Any:
    seen = []
    for place, flags in itertools.product(PLACES[version], FLAGS):
        first, port = taken(place, flags)
        with first:
            first.listen()
            seen.append((place, flags, may_bind(port)))
    return seen


@scenario
def bind_beside_datagrams(version: int) -> Any:
    seen: list[Any] = []
    for place, flags in itertools.product(PLACES[version], FLAGS):
        first, port = taken(place, flags, socket.SOCK_DGRAM)
        with first:
            seen.append((place, flags, may_bind(port, kind=socket.SOCK_DGRAM)))
            seen.append(may_bind(port, ("",)))  # TCP's ports are others
            first.connect((host_of(place).replace("0.0.0.0", "127.0.0.1"), 9))
            seen.append(("connected", without_a_name(version, may_bind(port, kind=socket.SOCK_DGRAM))))
    return seen


SIZE = 4
"""Ports in the ranges below; an odd number would leave one out on Linux."""


def range_of(port: int) -> bytes:
    return struct.pack("=I", (port + SIZE - 1) << 16 | port)


def free_ranges(count: int) -> list[int]:
    """First ports of ranges in which nobody has a port."""
    found: list[int] = []
    for first in range(41_000, 60_000, SIZE):
        socks = [socket.socket(socket.AF_INET6, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) * SIZE]
        if all(outcome(sock.bind, ("::", first + number // 2)) is None for number, sock in enumerate(socks)):
            found.append(first)
        for sock in socks:
            sock.close()
        if len(found) == count:
            break
    return found


def in_range(version: int, first: int, flags: str = "", kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = made(loopback(version), flags, kind)
    sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, range_of(first))
    return sock


def ended(sock: socket.socket) -> None:
    """Wait until the peer has closed."""
    select.select([sock], [], [], 5)


def established(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    """A connection whose listener is gone: the server's port, and what keeps it."""
    listener, port = taken(loopback(version), flags)
    with listener:
        listener.listen()
        client = socket.create_connection((loopback(version), port))
        return port, [listener.accept()[0], client]


def time_wait(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    port, (child, client) = established(version, flags)
    child.close()
    ended(client)
    client.close()
    return port, []


def fin_wait(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    """Closed by the program, not by the peer."""
    port, (child, client) = established(version, flags)
    child.close()
    ended(client)
    return port, [client]


def client_of_any_port(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    listener, port = taken(loopback(version))
    listener.listen()
    client = in_range(version, free_ranges(1)[0], flags)
    client.connect((loopback(version), port))
    return client.getsockname()[1], [listener, client, listener.accept()[0]]


def client_of_a_port(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    listener, port = taken(loopback(version))
    listener.listen()
    client, own = taken(loopback(version), flags)
    client.connect((loopback(version), port))
    return own, [listener, client, listener.accept()[0]]


def closed_client(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    """In TIME-WAIT on the client's side, with a port that it had not asked for."""
    port, (listener, client, child) = client_of_any_port(version, flags)
    client.close()
    ended(child)
    child.close()
    return port, [listener]


def reset_client(version: int, flags: str) -> tuple[int, list[socket.socket]]:
    """Nothing is left of it."""
    port, (listener, client, child) = client_of_a_port(version, flags)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    ended(child)
    return port, [listener, child]


HOLDERS: tuple[Callable[[int, str], tuple[int, list[socket.socket]]], ...] = (
    established,
    time_wait,
    fin_wait,
    client_of_any_port,
    client_of_a_port,
    closed_client,
    reset_client,
)


@scenario
def bind_beside_connections(version: int) -> Any:
    seen = []
    for holder, flags in itertools.product(HOLDERS, FLAGS):
        port, kept = holder(version, flags)
        seen.append((holder.__name__, flags, without_a_name(version, may_bind(port))))
        for sock in kept:
            sock.close()
    return seen


def until_none_is_left(make: Callable[[], socket.socket], call: Callable[[socket.socket], Any]) -> list[Any]:
    """Outcomes of a call on one socket after the other, all of them kept."""
    socks = [make() for _ in range(SIZE + 2)]
    seen = [outcome(call, sock) for sock in socks]
    seen += [sorted(sock.getsockname()[1] > 0 for sock in socks)]
    for sock in socks:
        if sock.type == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    return seen


@scenario
def ports_run_out(version: int) -> Any:
    """How calls that take any port fail when there is none, and who gets one that another has."""
    (first,) = free_ranges(1)
    host = loopback(version)
    server = socket.create_server((host, 0), family=family_of(version))
    calls: dict[str, tuple[int, Callable[[socket.socket], Any]]] = {
        "bind": (socket.SOCK_STREAM, lambda sock: sock.bind((host, 0))),
        "listen": (socket.SOCK_STREAM, lambda sock: sock.listen()),
        "connect": (socket.SOCK_STREAM, lambda sock: sock.connect(server.getsockname())),
        "bind datagrams": (socket.SOCK_DGRAM, lambda sock: sock.bind((host, 0))),
        "connect datagrams": (socket.SOCK_DGRAM, lambda sock: sock.connect((host, 9))),
        "send datagrams": (socket.SOCK_DGRAM, lambda sock: sock.sendto(b"", (host, 9))),
    }
    seen: list[Any] = []
    for flags, (name, (kind, call)) in itertools.product(FLAGS, calls.items()):
        seen.append((name, flags, until_none_is_left(partial(in_range, version, first, flags, kind), call)))
    return seen


@scenario
def address_without_a_port(version: int) -> Any:
    """IP_BIND_ADDRESS_NO_PORT: the port is chosen when the peer is known."""
    (first,) = free_ranges(1)
    host = loopback(version)
    server = socket.create_server((host, 0), family=family_of(version))
    other = socket.create_server((host, 0), family=family_of(version))

    def make() -> socket.socket:
        sock = in_range(version, first)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((host, 0))
        assert sock.getsockname()[:2] == (host, 0)
        return sock

    seen: list[Any] = [until_none_is_left(make, lambda sock: sock.listen())]
    with make() as sock:
        seen += [outcome(sock.bind, (host, 0)), outcome(sock.bind, (host, first)), sock.getsockname()[1] == first]
    socks = [make() for _ in range(2 * SIZE)]
    for number, sock in enumerate(socks):
        seen.append(outcome(sock.connect, (server if number < SIZE else other).getsockname()))
    seen.append(sorted(sock.getsockname()[1] - first for sock in socks))
    for sock in socks:
        sock.close()
    return seen


def ends(version: int) -> dict[str, Callable[[socket.socket, socket.socket], object]]:
    def after(one: socket.socket, other: socket.socket) -> None:
        one.close()
        ended(other)
        other.close()

    def reset(client: socket.socket, child: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        after(client, child)

    return {
        "client first": after,
        "server first": lambda client, child: after(child, client),
        "both": lambda client, child: (client.close(), child.close()),
        "reset": reset,
        "server does not": lambda client, child: client.close(),
    }


@scenario
def ports_in_time_wait(version: int) -> Any:
    """All ports toward one address are in TIME-WAIT: on loopback they are there again after a second."""
    while True:
        seen, in_time = _ports_in_time_wait(version)
        if in_time:
            return seen


def _ports_in_time_wait(version: int) -> tuple[list[Any], bool]:
    server = socket.create_server((loopback(version), 0), family=family_of(version), backlog=100)
    name = server.getsockname()
    firsts = dict(zip(ends(version), free_ranges(len(ends(version))), strict=True))
    children = []
    began = time.monotonic()
    for how, end in ends(version).items():
        for _ in range(SIZE):
            client = in_range(version, firsts[how])
            client.connect(name)
            children.append(server.accept()[0])
            end(client, children[-1])
    seen: list[Any] = []
    in_time = False
    for pause in (0.0, 1.2):
        time.sleep(pause)
        for how, first in firsts.items():
            seen.append((how, until_none_is_left(partial(in_range, version, first), lambda sock: sock.connect(name))))
        in_time = in_time or time.monotonic() - began < 0.9
    for child in children:
        child.close()
    server.close()
    return seen, in_time


@scenario
def names_of_a_reset_connection(version: int) -> Any:
    """They are free at once: the port to bind, both names to connect anew."""
    seen: list[Any] = []
    host = loopback(version)

    def reset(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    port, (child, client) = established(version, "")
    reset(child)
    with made(host) as again:
        seen.append(outcome(again.bind, (host, port)))
    client.close()
    port, (child, client) = established(version, "")
    client.send(b"unread")
    select.select([child], [], [], 5)
    child.send(b"answer")
    child.close()
    with made(host) as again:
        seen.append(outcome(again.bind, (host, port)))
    seen += [client.recv(100), outcome(client.recv, 100)]
    client.close()

    listener, port = taken(host)
    listener.listen()
    client = socket.create_connection((host, port))
    listener.close()  # with a connection that nobody has accepted
    with made(host) as again:
        seen.append(outcome(again.bind, (host, port)))
    client.close()

    server = socket.create_server((host, 0), family=family_of(version))
    client, port = taken(host)
    client.connect(server.getsockname())
    for number in range(10):
        client.send(bytes([number]))
        reset(client)
        client = made(host)
        seen.append((outcome(client.bind, (host, port)), outcome(client.connect, server.getsockname())))
    client.send(b"last")
    for _ in range(11):
        child, name = server.accept()
        seen.append((name[1] == port, outcome(child.recv, 10)))
        child.close()
    return seen
