"""Calls that send and receive with odd arguments: what they raise, and that nothing was read, sent or changed."""

from __future__ import annotations

import array
import itertools
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable
from typing import Any

from tests.posix.odd_values import NUMBERS, Nothing, readable, released, told, varied, writable, written
from tests.posix.scenarios import connection, family_of, loopback, scenario

KINDS = ("tcp", "udp", "stream", "datagram", "packet")
TYPES = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "packet": socket.SOCK_SEQPACKET}


def pair(kind: str, version: int) -> tuple[socket.socket, socket.socket]:
    """Two ends that hear each other."""
    if kind == "tcp":
        return connection(version)
    if kind == "udp":
        one, other = (socket.socket(family_of(version), socket.SOCK_DGRAM) for _ in range(2))
        for sock in (one, other):
            sock.bind((loopback(version), 0))
        one.connect(other.getsockname()[:2])
        other.connect(one.getsockname()[:2])
        return one, other
    return socket.socketpair(
        socket.AF_UNIX,
        {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "packet": socket.SOCK_SEQPACKET}[kind],
    )


def drained(one: socket.socket, other: socket.socket) -> list[bytes]:
    """What `other` has still to read, and what was sent to it."""
    one.send(b"$")
    found: list[bytes] = []
    while not found or not found[-1].endswith(b"$"):
        found.append(other.recv(1 << 17))
    return found if other.type != socket.SOCK_STREAM else [b"".join(found)]


def receiving(kind: str, version: int, call: str, cases: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """A call of a socket for which "hello" waits; then what is left of it."""
    one, other = pair(kind, version)
    seen = {}
    with one, other:
        for sock in (one, other):
            sock.settimeout(5)
        for args in cases:
            shown = written(f"{kind} {call}", args)
            one.send(b"hello")
            poll = select.poll()
            poll.register(other, select.POLLIN)
            poll.poll(5000)
            result = told(getattr(other, call), *args)
            memory = [
                part.tobytes()
                for part in args
                if isinstance(part, bytearray | array.array) and len(part)
                for part in [memoryview(part)]
            ]
            seen[shown] = addressless(result), memory, drained(one, other)
    return seen


def addressless(result: Any) -> Any:
    """Without ports that the kernel chose."""
    if isinstance(result, tuple):
        return tuple(addressless(part) for part in result if not (isinstance(part, tuple) and len(part) in (2, 4)))
    return result


def safe_flags() -> list[Any]:
    return [
        number
        for number in NUMBERS
        if not isinstance(number, int)
        or (isinstance(number, bool) is False and (number <= 0 or number > 1 << 31) and -(1 << 31) != number != -1)
    ]


@scenario
def odd_receiving(version: int) -> Any:
    seen: dict[str, Any] = {}
    for kind in KINDS:
        for call in ("recv", "recvfrom"):
            sizes = [number for number in NUMBERS if not (isinstance(number, int) and 1 << 20 < number < 1 << 62)]
            seen |= receiving(kind, version, call, varied((9, 0), sizes, safe_flags()))
        for call in ("recv_into", "recvfrom_into"):
            buffers = writable()
            cases = [
                *varied((bytearray(9), 0, 0), buffers, NUMBERS, safe_flags()),
                (bytearray(9),),
                (bytearray(3), 2),
                (bytearray(3), 3),
                (bytearray(3), 4),
            ]
            seen |= receiving(kind, version, call, cases)
        lists: list[Any] = [[thing] for thing in writable()]
        lists += [
            [bytearray(2), bytearray(2), bytearray(9)],
            [bytearray(2), Nothing()],
            [bytearray(2), b"x"],
            [bytearray(2)] * 1024,
        ]
        lists += [
            [bytearray(2)] * 1025,
            [],
            (),
            None,
            5,
            b"abc",
            bytearray(b"abc"),
            "abc",
            Nothing(),
            (bytearray(3),),
            iter([bytearray(4)]),
        ]
        sizes = [number for number in NUMBERS if not (isinstance(number, int) and number > 1 << 20)]
        seen |= receiving(kind, version, "recvmsg", varied((9, 0, 0), sizes, sizes, safe_flags()))
        seen |= receiving(kind, version, "recvmsg_into", varied(([bytearray(9)], 0, 0), lists, sizes, safe_flags()))
    return seen


@scenario
def cut_messages(version: int) -> Any:
    """MSG_TRUNC with every way to receive."""
    seen: dict[str, Any] = {}
    flags = [
        0,
        socket.MSG_TRUNC,
        socket.MSG_PEEK,
        socket.MSG_PEEK | socket.MSG_TRUNC,
        socket.MSG_TRUNC | socket.MSG_WAITALL,
    ]
    for kind, flag, size in itertools.product(KINDS, flags, (0, 1, 3, 5, 9)):
        whole = kind == "tcp" and flag & socket.MSG_TRUNC  # what CPython shows of it is memory that nobody wrote
        if not (flag & socket.MSG_WAITALL and size > 5):
            for call in ("recv", "recvfrom"):
                found = receiving(kind, version, call, [(size, flag)])
                for shown, (result, _, left) in found.items():
                    data = result if isinstance(result, bytes) else result[0]
                    data = data if isinstance(data, bytes) else b"?"
                    seen[shown] = len(data), b"" if whole else data[: min(size, 5)], left
            seen |= receiving(kind, version, "recv_into", [(bytearray(9), size, flag), (bytearray(size), 0, flag)])
            seen |= receiving(kind, version, "recvfrom_into", [(bytearray(9), size, flag), (bytearray(size), 0, flag)])
            if not whole:
                seen |= receiving(kind, version, "recvmsg", [(size, 0, flag)])
            seen |= receiving(kind, version, "recvmsg_into", [([bytearray(1), bytearray(size)], 0, flag)])
    return seen


@scenario
def all_or_nothing(version: int) -> Any:
    """MSG_WAITALL, of data that comes in two parts, with every way to receive, peeking and with a timeout."""
    seen: dict[str, Any] = {}
    ways = itertools.product(("tcp", "stream"), (0, socket.MSG_PEEK, socket.MSG_DONTWAIT), (None, 5), (False, True))
    for (kind, flag, timeout, closing), call in itertools.product(ways, ("recv", "recvfrom", "recvmsg_into")):
        waits = timeout is None and (flag == 0 or (flag == socket.MSG_PEEK and kind == "tcp"))
        one, other = pair(kind, version)
        with one, other:
            other.settimeout(timeout)
            one.send(b"he")
            poll = select.poll()
            poll.register(other, select.POLLIN)
            poll.poll(5000)
            later = threading.Timer(0.01, *((one.close,) if closing else (one.send, (b"llo",))))
            if waits:
                later.start()
            memory, flags = bytearray(5), flag | socket.MSG_WAITALL
            args: Any = ([memory], 0, flags) if call == "recvmsg_into" else (5, flags)
            result = told(getattr(other, call), *args)
            seen[f"{kind} {call} {flag} {timeout} {closing}"] = addressless(result), bytes(memory)
            if waits:
                later.join()
    return seen


def sending(kind: str, version: int, call: str, cases: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """A call of a connected socket, and what has come of it at the other end."""
    one, other = pair(kind, version)
    seen = {}
    with one, other:
        for sock in (one, other):
            sock.settimeout(5)
        for args in cases:
            shown = written(f"{kind} {call}", args)
            result = told(getattr(one, call), *args)
            seen[shown] = result, drained(one, other)
    return seen


ODD_ANCILLARY: tuple[Any, ...] = (
    None,
    5,
    "abc",
    b"abc",
    Nothing(),
    [None],
    [5],
    [()],
    [(1, 1)],
    [(1, 1, b"", 4)],
    [(1, 1, "x")],
    [(1, 1, None)],
    [(1, 1, 5)],
    [("x", 1, b"")],
    [(1, "x", b"")],
    [(1 << 31, 1, b"")],
    [(1, 1 << 63, b"")],
    [(1.5, 1, b"")],
    [Nothing()],
    (),
    [],
    iter(()),
    [(1, 1, memoryview(b"abcdef")[::2])],
    [(1, 1, released())],
    {},
)


@scenario
def odd_sending(version: int) -> Any:
    seen: dict[str, Any] = {}
    sent = readable()
    lists: list[Any] = (
        [[thing] for thing in sent] + [[b"ab", thing] for thing in sent] + [(thing,) for thing in sent[:4]]
    )
    lists += [
        None,
        5,
        b"abc",
        bytearray(b"abc"),
        "abc",
        b"",
        Nothing(),
        [],
        (),
        {},
        {b"x": 1},
        iter([b"ab", b"c"]),
        memoryview(b"ab"),
    ]
    lists += [[b"x"] * 1024, [b"x"] * 1025, [b""] * 2000, range(3)]
    for kind in KINDS:
        for call in ("send", "sendall"):
            seen |= sending(kind, version, call, varied((b"good", 0), sent, safe_flags()))
        seen |= sending(kind, version, "sendmsg", varied((lists[1], (), 0), lists, ODD_ANCILLARY, safe_flags()))
        seen |= sending(
            kind, version, "sendto", [(b"a",), (b"a", 1, 2, 3), (b"a", "x", ""), (b"a", 1 << 31, ""), (b"a", 1.5, "")]
        )
    udp = (loopback(version), 9)
    plain = socket.socket(family_of(version), socket.SOCK_DGRAM)
    for thing in sent:
        seen[written("udp sendto", (thing,))] = told(plain.sendto, thing, udp)
        seen[written("udp sendto", (thing, 0))] = told(plain.sendto, thing, 0, udp)
    for thing in NUMBERS:
        if not isinstance(thing, int) or thing > 1 << 30:
            seen[written("udp sendto flags", (thing,))] = told(plain.sendto, b"x", thing, udp)
    plain.close()
    return seen


@scenario
def odd_ancillary(version: int) -> Any:
    """Control messages that do not exist, of a wrong size or with a value out of range: nothing is sent with them."""
    seen: dict[str, Any] = {}
    level = socket.IPPROTO_IP if version == 4 else socket.IPPROTO_IPV6
    datas = [
        b"",
        b"\0",
        b"\1",
        b"\xff",
        bytes(2),
        bytes(3),
        bytes(4),
        bytes(8),
        bytes(12),
        bytes(20),
        bytes(28),
        bytes(40),
    ]
    datas += [struct.pack("i", value) for value in (-1, -2, 1, 5, 255, 256, -(1 << 31) + 300)]
    four = {1: "IP_TOS", 2: "IP_TTL", 8: "IP_PKTINFO", 99: "none"}
    six = {50: "IPV6_PKTINFO", 52: "IPV6_HOPLIMIT", 67: "IPV6_TCLASS", 62: "IPV6_DONTFRAG", 99: "none"}
    for number in four if version == 4 else six:
        seen |= sending("udp", version, "sendmsg", [([b"data"], [(level, number, data)]) for data in datas])
    for kind in KINDS:
        cases = [
            (1, 99, b""),
            (1, 2, b"x"),
            (999, 1, b""),
            (1, 1, b""),
            (1, 1, b"\0"),
            (1, 1, b"\xff" * 4),
            (17, 103, b"\4\0"),
            (17, 103, b"\0"),
        ]
        seen |= sending(
            kind, version, "sendmsg", [([b"data"], [case]) for case in cases if kind == "udp" or case[0] != 17]
        )
    return seen


@scenario
def cut_ancillary(version: int) -> Any:
    """MSG_CTRUNC: less room than the control messages need."""
    seen: dict[str, Any] = {}
    one, other = pair("udp", version)
    with one, other:
        names = (8, 12, 13) if version == 4 else (49, 51, 66)
        for name in names:
            other.setsockopt(socket.IPPROTO_IP if version == 4 else socket.IPPROTO_IPV6, name, 1)
        for size in (0, 1, 8, 15, 16, 17, 20, 24, 27, 28, 31, 32, 36, 40, 44, 48, 52, 56, 64, 72, 80, 88, 96, 1000):
            for flags in (0, socket.MSG_PEEK):
                one.send(b"x")
                poll = select.poll()
                poll.register(other, select.POLLIN)
                poll.poll(5000)
                data, control, shown, _ = other.recvmsg(9, size, flags)
                seen[f"udp {size} {flags}"] = data, control, shown
                drained(one, other)
    for kind in ("stream", "datagram", "packet"):
        one, other = pair(kind, version)
        with one, other:
            for count, size in itertools.product((1, 2, 3), (0, 1, 15, 16, 19, 20, 23, 24, 28, 32, 1000)):
                one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()] * count))])
                data, control, shown, _ = other.recvmsg(9, size)
                passed = [len(part) for _, _, part in control]
                for _, _, part in control:
                    for number in memoryview(part[: len(part) & ~3]).cast("i"):
                        socket.socket(fileno=number).close()
                seen[f"{kind} {count} {size}"] = data, passed, shown
                drained(one, other)
    return seen


@scenario
def odd_files(version: int) -> Any:
    """`os.read` and its kin on sockets and pipes."""
    seen: dict[str, Any] = {}
    lists: list[Any] = [[thing] for thing in writable()]
    lists += [None, 5, b"abc", "abc", [], (), Nothing(), iter([b"a"]), [b"x"] * 1024, [b"x"] * 1025, range(3)]
    cases = [
        ("read", number) for number in NUMBERS if number.__class__ is not int or number < 1 << 20 or number > 1 << 62
    ]
    cases += [
        ("readv", things)
        for things in (*lists, [bytearray(2), bytearray(9)], [bytearray(1)] * 1024, [bytearray(1)] * 1025)
    ]
    sent = [("write", thing) for thing in writable()] + [("writev", things) for things in lists]
    for kind in ("socket", "pipe"):
        for call, argument in [*cases, *sent]:
            near, far = socket.socketpair() if kind == "socket" else (None, None)
            reader, writer = (near.fileno(), far.fileno()) if near and far else os.pipe()
            os.write(writer, b"hello")
            result = told(getattr(os, call), reader if call.startswith("read") else writer, argument)
            os.write(writer, b"$")
            seen[f"{kind} {len(seen)} {call}"] = result, os.read(reader, 1 << 17)
            for number in () if near else (reader, writer):
                os.close(number)
            for end in (near, far):
                if end:
                    end.close()
    return seen
