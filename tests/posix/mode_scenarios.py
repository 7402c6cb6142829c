"""Options, modes, waiting and the functions that make sockets, with odd arguments: what they raise."""

from __future__ import annotations

import array
import itertools
import math
import os
import select
import socket
import struct
from typing import Any

from tests.posix.odd_values import BIG, NUMBERS, Fileno, Index, Nothing, readable, told, varied, written
from tests.posix.scenarios import family_of, scenario

TIMES = (
    math.inf,
    -math.inf,
    -0.0,
    1e-12,
    -1e-12,
    1 / 3,
    1e9,
    1e10,
    1e300,
    1 << 33,
    1 << 34,
    2147483.647,
    2147484.0,
    9.3e9,
)


@scenario
def odd_modes(version: int) -> Any:
    seen: dict[str, Any] = {}
    with socket.socket(family_of(version)) as sock:
        for value in (*NUMBERS, *TIMES):
            seen[written("settimeout", (value,))] = told(sock.settimeout, value), sock.gettimeout(), sock.getblocking()
            seen[written("setblocking", (value,))] = told(sock.setblocking, value), sock.gettimeout()
            seen[written("default", (value,))] = told(socket.setdefaulttimeout, value), socket.getdefaulttimeout()
            socket.setdefaulttimeout(None)
            seen[written("shutdown", (value,))] = told(sock.shutdown, value)
            seen[written("set_inheritable", (value,))] = told(sock.set_inheritable, value)
    for value in NUMBERS:
        with socket.socket(family_of(version)) as sock, socket.socket(family_of(version), socket.SOCK_DGRAM) as plain:
            listening = told(sock.listen, value), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            seen[written("listen", (value,))] = listening, told(plain.listen, value)
    return seen


@scenario
def odd_makers(version: int) -> Any:
    """Families, types and protocols that are none, or that do not go together."""
    seen: dict[str, Any] = {}
    family, stream = int(family_of(version)), int(socket.SOCK_STREAM)
    kinds = (4, 5, 6, 7, 11, 15, stream | 16, stream | 0x100)
    odd = [number for number in NUMBERS if not isinstance(number, int) or not 2 < number < 256]
    with socket.socket(family) as sock:
        for place, number in [*itertools.product(range(3), odd), *((1, kind) for kind in kinds)]:
            args: list[Any] = [family, stream, 0]
            args[place] = number
            seen[written("socket", args)] = told(socket.socket, *args)
            if place < 2 and (number.__class__ is not int or not number & socket.SOCK_NONBLOCK):
                seen[written("fromfd", args[:2])] = told(socket.fromfd, sock.fileno(), *args[:2])
            args[0] = socket.AF_UNIX if place else number
            seen[written("socketpair", args)] = outcome_of_pair(*args)
    for protocol, kind in itertools.product((2, 6, 17, 41, 255, 256, 263, -1, -2), (stream, int(socket.SOCK_DGRAM))):
        seen[f"socket {kind} {protocol}"] = told(socket.socket, family, kind, protocol)
        seen[f"local {kind} {protocol}"] = told(socket.socket, socket.AF_UNIX, kind, protocol)
        seen[f"socketpair {kind} {protocol}"] = outcome_of_pair(socket.AF_UNIX, kind, protocol)
    for number in (0, 3, 5, 1000, -1, -2):
        seen[f"family {number}"] = told(socket.socket, number, socket.SOCK_STREAM)
    return seen


def outcome_of_pair(*args: Any) -> Any:
    result = told(socket.socketpair, *args)
    return [end[:2] for end in result] if isinstance(result[0], tuple) else result


@scenario
def odd_descriptors(version: int) -> Any:
    """What is no descriptor; nor are numbers among them that the interpreter cuts to one that is open."""
    seen: dict[str, Any] = {}
    family = family_of(version)
    for thing in NUMBERS:
        if not isinstance(thing, int | Index) or thing in (-1, 1 << 63, -(1 << 63) - 1, 1 << 100):
            seen[written("socket", (thing,))] = told(socket.socket, family, socket.SOCK_STREAM, 0, thing)
            if thing is not None:
                seen[written("socket alone", (thing,))] = told(lambda thing=thing: socket.socket(fileno=thing))
            seen[written("fromfd", (thing,))] = told(socket.fromfd, thing, family, socket.SOCK_STREAM)
            seen[written("dup", (thing,))] = told(socket.dup, thing)
            seen[written("close", (thing,))] = told(socket.close, thing)
    return seen


@scenario
def odd_option_arguments(version: int) -> Any:
    """Levels, names, lengths and types."""
    seen: dict[str, Any] = {}
    level, option = int(socket.SOL_SOCKET), int(socket.SO_KEEPALIVE)
    raw = struct.pack("i", 1)
    values = (*NUMBERS, *readable(), raw, bytearray(raw), array.array("i", [1]))
    levels = [number for number in NUMBERS if number.__class__ is not int or number not in (0, 1)]
    options = [number for number in NUMBERS if number.__class__ is not int or not 0 <= number < 100]
    with socket.socket(family_of(version)) as sock:
        for args in varied((level, option, 1), levels, options, values):
            seen[written("set", args)] = told(sock.setsockopt, *args), sock.getsockopt(level, option)
        for rest in ((None,), (1, 4), (b"1234", 4), (None, 4, 5), *((None, length) for length in NUMBERS)):
            seen[written("set", rest)] = told(sock.setsockopt, level, option, *rest)
        for args in varied((level, option, 4), levels, options, NUMBERS):
            seen[written("get", args)] = told(sock.getsockopt, *args)
    return seen


SOCKET_OPTIONS = (1, 2, 3, 4, 5, 6, 9, 10, 11, 13, 20, 21, 25, 29, 30, 35, 38, 39, 40, 42, 45)
OPTIONS_4 = (1, 2, 6, 7, 8, 10, 11, 12, 13, 14, 15, 20)
OPTIONS_6 = (25, 26, 49, 51, 66, 67)
TCP_OPTIONS = (1, 3, 4, 5, 6, 7, 16, 18, 25, 36)
SIZED = [bytes(size) for size in (0, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 20, 300)]
OPTION_VALUES = (
    0,
    1,
    -1,
    2,
    255,
    256,
    *SIZED,
    b"\1",
    b"\1\0",
    b"\1\0\0\0",
    b"x",
    b"none-such\0",
    b"\xff" * 4,
    b"\xff" * 16,
)


@scenario
def odd_options(version: int) -> Any:
    """Values of wrong sizes and out of range, and what the option holds after them."""
    seen: dict[str, Any] = {}
    family = family_of(version)
    own = (0, OPTIONS_4) if version == 4 else (41, OPTIONS_6)
    for name, kind, levels in (
        ("tcp", (family, socket.SOCK_STREAM), ((1, SOCKET_OPTIONS), own, (6, TCP_OPTIONS), (17, (1,)), (99, (1,)))),
        ("udp", (family, socket.SOCK_DGRAM), ((1, SOCKET_OPTIONS), own, (6, (1,)), (99, (1,)))),
        (
            "local",
            (socket.AF_UNIX, socket.SOCK_STREAM),
            ((1, SOCKET_OPTIONS), (0, (1,)), (41, (26,)), (6, (1,)), (99, (1,))),
        ),
    ):
        for level, options in levels:
            for option in options:
                with socket.socket(*kind) as sock:
                    seen[f"{name} get {level} {option}"] = [
                        told(sock.getsockopt, level, option, size) for size in (0, 1, 3, 4, 8, 300)
                    ]
                    for value in OPTION_VALUES:
                        seen[written(f"{name} set {level} {option}", (value,))] = (
                            told(sock.setsockopt, level, option, value),
                            told(sock.getsockopt, level, option),
                        )
    return seen


@scenario
def odd_waiting(version: int) -> Any:
    """Descriptors that are none, for select, poll and epoll."""
    seen: dict[str, Any] = {}
    with socket.socket(family_of(version), socket.SOCK_DGRAM) as sock:
        things: list[Any] = [thing for thing in NUMBERS if not isinstance(thing, Index) and not is_a_descriptor(thing)]
        things += [Fileno(number) for number in (None, 1.5, "x", -1, *BIG, Nothing(), Index())]
        things += [Fileno, {}, sock, sock.fileno(), Fileno(sock.fileno())]
        for number, thing in enumerate(things):
            for place in range(3):
                lists: list[list[Any]] = [[], [], []]
                lists[place] = [thing]
                seen[f"select {number} {place}"] = told(selected, *lists, 0)
            poll = select.poll()
            calls: list[tuple[Any, ...]]
            calls = [(poll.register,), (poll.modify, 1), (poll.unregister,), (poll.modify, 1), (poll.unregister,)]
            for turn, call in enumerate(calls):
                result = told(call[0], thing, *call[1:])
                seen[f"poll {number} {turn}"] = result[:1] if result and result[0] == "KeyError" else result
            with select.epoll() as epoll:
                calls = [(epoll.modify, 1), (epoll.register,), (epoll.register, 4), (epoll.modify, 0)]
                for turn, call in enumerate((*calls, *[(epoll.unregister,)] * 2)):
                    seen[f"epoll {number} {turn}"] = told(call[0], thing, *call[1:])
    return seen


def is_a_descriptor(thing: Any) -> bool:
    return isinstance(thing, int) and 0 <= thing < 1 << 31


@scenario
def odd_events(version: int) -> Any:
    """Masks, sizes and timeouts that are none or too large."""
    seen: dict[str, Any] = {}
    with socket.socket(family_of(version), socket.SOCK_DGRAM) as sock:
        real = sock.fileno()
        for number in NUMBERS:
            poll = select.poll()
            for name in ("register", "modify"):
                seen[written(f"poll.{name}", (number,))] = told(getattr(poll, name), real, number), ready(poll.poll, 0)
            with select.epoll() as epoll:
                for name in ("register", "modify"):
                    seen[written(f"epoll.{name}", (number,))] = (
                        told(getattr(epoll, name), real, number),
                        ready(epoll.poll, 0),
                    )
            with select.epoll() as epoll:
                epoll.register(real, select.EPOLLOUT)
                if number != (1 << 31) - 1:  # which takes some gigabytes of the kernel's machine
                    seen[written("epoll.poll", (0, number))] = ready(epoll.poll, 0, number)
            seen[written("epoll", (number,))] = told(make_epoll, number), told(make_epoll, -1, number)
            if not isinstance(number, int | Index):
                seen[written("epoll.fromfd", (number,))] = told(select.epoll.fromfd, number)
        for number in (*NUMBERS, math.inf, -math.inf, -0.5, 1e-9, 1e300, 2147483.0, 2147484.0, 3e9):
            poll, epoll = select.poll(), select.epoll()
            poll.register(real, select.POLLOUT)
            epoll.register(real, select.EPOLLOUT)
            seen[written("timeout", (number,))] = ready(poll.poll, number), ready(epoll.poll, number)
            seen[written("select timeout", (number,))] = told(selected, [], [real], [], number)
            epoll.close()
        with select.epoll() as epoll:
            seen["itself"] = told(epoll.register, epoll), told(epoll.register, epoll.fileno())
            seen["exclusive"] = told(epoll.register, real, select.EPOLLEXCLUSIVE | select.EPOLLONESHOT)
    return seen


@scenario
def odd_lists(version: int) -> Any:
    """Arguments of select that are no sequences, and calls of an epoll that is closed."""
    with socket.socket(family_of(version), socket.SOCK_DGRAM) as sock:
        real = sock.fileno()
        threes: list[tuple[Any, ...]] = [(None, [], []), ([], 5, []), ([], [], "abc"), ({real}, (), {})]
        threes += [(iter([real]), [], []), ([real] * 3, [real] * 2, [])]
        epoll = select.epoll()
        epoll.close()
        calls: list[tuple[Any, ...]] = [(epoll.register, thing) for thing in (real, "x", -1)]
        calls += [
            (epoll.modify, real, 1),
            (epoll.modify, real, "x"),
            (epoll.unregister, real),
            (epoll.unregister, None),
        ]
        calls += [(epoll.poll, 0), (epoll.poll, "x"), (epoll.poll, 0, 0), (epoll.fileno,), (epoll.close,)]
        calls += [(epoll.__enter__,)]
        seen = {f"select {number}": told(selected, *three, 0) for number, three in enumerate(threes)}
        return seen | {f"closed {number}": told(*call) for number, call in enumerate(calls)}


def ready(call: Any, *args: Any) -> Any:
    """Bits that all kernels have, of the only descriptor, whatever it is; or what is wrong."""
    found = told(call, *args)
    return [bits & 0x10F for _, bits in found] if isinstance(found, list) else found


def selected(*args: Any) -> list[int]:
    return [len(found) for found in select.select(*args)]


def make_epoll(*args: Any) -> None:
    select.epoll(*args).close()


@scenario
def nonblocking_by_fcntl(version: int) -> Any:
    """O_NONBLOCK that is not of the socket's own timeout: what would block fails, unless there is a timeout."""
    seen: dict[str, Any] = {}
    listener = socket.create_server(("127.0.0.1" if version == 4 else "::1", 0), family=family_of(version))
    client = socket.create_connection(listener.getsockname()[:2])
    server, _ = listener.accept()
    datagrams = socket.socket(family_of(version), socket.SOCK_DGRAM)
    pairs = [*socket.socketpair(), *socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
    for name, sock in {"tcp": server, "udp": datagrams, "local": pairs[0], "local datagrams": pairs[2]}.items():
        os.set_blocking(sock.fileno(), False)
        seen[f"{name} modes"] = sock.gettimeout(), sock.getblocking()
        calls: list[Any] = [(sock.recv, 5), (sock.recv_into, bytearray(5)), (sock.recvfrom, 5), (sock.recvmsg, 5)]
        seen[name] = [told(*call) for call in calls]
        with sock.makefile("rb") as file:
            seen[f"{name} file"] = told(file.read, 5)
        sock.settimeout(0.01)
        seen[f"{name} in time"] = told(sock.recv, 5)
    os.set_blocking(listener.fileno(), False)
    seen["accept"] = told(listener.accept)
    with socket.socket(family_of(version)) as sock:
        os.set_blocking(sock.fileno(), False)
        seen["connect"] = told(sock.connect, listener.getsockname())
    for each in (listener, client, server, datagrams, *pairs):
        each.close()
    return seen
