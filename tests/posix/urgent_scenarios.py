"""Urgent data of TCP, and calls with MSG_OOB on sockets of all kinds: as `scenarios`."""

from __future__ import annotations

import select
import socket
import termios
import time
from collections.abc import Callable
from typing import Any

from tests.posix.scenarios import connection, family_of, loopback, outcome, scenario
from tests.posix.tcp_scenarios import number

OOB, PEEK, DONTWAIT = socket.MSG_OOB, socket.MSG_PEEK, socket.MSG_DONTWAIT
SIOCATMARK = 0x8905


def came(sock: socket.socket, size: int = 0) -> None:
    """Wait for the urgent byte, and until `size` bytes can be read before it."""
    poll = select.poll()
    poll.register(sock, select.POLLPRI)
    poll.poll(5000)
    while number(sock, termios.FIONREAD) < size:
        time.sleep(0.01)
    time.sleep(0.05)


def state(sock: socket.socket) -> tuple[int, int, int]:
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLPRI)
    return number(sock, SIOCATMARK), number(sock, termios.FIONREAD), sum(bits for _, bits in poll.poll(0))


def replaced(version: int, inline: bool, before: bytes, act: Callable[[socket.socket], Any]) -> list[Any]:
    """A second urgent byte comes while the first one is at the head of what has not been read."""
    client, child = connection(version)
    with client, child:
        child.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
        client.send(before + b"!", OOB)
        came(child)
        seen: list[Any] = [act(child), state(child)]
        client.send(b"ab")
        time.sleep(0.05)
        client.send(b"?", OOB)
        client.send(b"cd")
        time.sleep(0.1)
        seen.append(state(child))
        for size, flags in ((9, PEEK), (9, 0), (1, OOB), (9, PEEK), (9, 0), (9, 0), (1, OOB)):
            seen += [outcome(child.recv, size, flags | DONTWAIT), state(child)]
    return seen


@scenario
def urgent_replaced(version: int) -> Any:
    """The first one was read or not, in line or not, at the head or behind other data, or peeked at."""
    acts: list[Callable[[socket.socket], Any]] = [
        lambda sock: None,
        lambda sock: outcome(sock.recv, 1, OOB),
        lambda sock: outcome(sock.recv, 1, OOB | PEEK),
        lambda sock: outcome(sock.recv, 9, DONTWAIT),
        lambda sock: outcome(sock.recv, 9, DONTWAIT | PEEK),
        lambda sock: (outcome(sock.recv, 1, OOB), outcome(sock.recv, 9, DONTWAIT)),
    ]
    return [
        replaced(version, inline, before, act) for inline in (False, True) for before in (b"", b"xy") for act in acts
    ]


@scenario
def urgent_alone(version: int) -> Any:
    """Nothing but urgent data: what a read in vain leaves of it."""
    seen: list[Any] = []
    for flags in (0, PEEK):
        client, child = connection(version)
        with client, child:
            client.send(b"!", OOB)
            came(child)
            seen += [outcome(child.recv, 9, flags | DONTWAIT), state(child)]
            seen += [outcome(child.recv, 1, OOB), state(child)]
            client.send(b"x")
            time.sleep(0.05)
            seen += [outcome(child.recv, 9, flags), outcome(child.recv, 9, DONTWAIT), state(child)]
    return seen


@scenario
def urgent_byte_with_a_timeout(version: int) -> Any:
    """CPython waits for POLLIN first when a socket has a timeout; blocking or not, it does not."""
    seen: list[Any] = []
    for timeout in (0.05, 0, None):
        for call in ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"):
            client, child = connection(version)
            with client, child:
                client.send(b"!", OOB)
                came(child)
                child.settimeout(timeout)
                seen.append(received(child, call, OOB))
                client.send(b"x")
                time.sleep(0.05)
                seen.append(received(child, call, OOB))
                client.close()
                child.recv(9, PEEK)
                seen.append(received(child, call, OOB))
    return seen


def received(sock: socket.socket, call: str, flags: int) -> Any:
    memory = bytearray(1)
    if call in ("recv", "recvfrom"):
        return outcome(getattr(sock, call), 1, flags)
    if call == "recvmsg":
        return outcome(lambda: sock.recvmsg(1, 0, flags)[:3])
    if call == "recvmsg_into":
        return outcome(lambda: sock.recvmsg_into([memory], 0, flags)[:3]), bytes(memory)
    return outcome(getattr(sock, call), memory, 1, flags), bytes(memory)


@scenario
def strange_reads_with_a_timeout(version: int) -> Any:
    """What a socket refuses, it refuses only once it is readable, when it has a timeout."""
    seen: list[Any] = []
    for timeout in (0.05, 0, None):
        with socket.socket(family_of(version), socket.SOCK_DGRAM) as udp:
            udp.bind((loopback(version), 0))
            udp.settimeout(timeout)
            seen.append(outcome(udp.recv, 1, socket.MSG_ERRQUEUE))
            seen.append(outcome(udp.accept))
            seen.append(outcome(udp.recv, 1, DONTWAIT))
            if version == 4 and timeout is not None:
                seen.append(outcome(udp.recv, 1, OOB))
                udp.sendto(b"x", udp.getsockname())
                time.sleep(0.05)
                seen += [outcome(udp.recv, 1, OOB), outcome(udp.recv, 1)]
        client, child = connection(version)
        with client, child:
            child.settimeout(timeout)
            seen.append(outcome(child.recv, 1, socket.MSG_ERRQUEUE))
            seen.append(outcome(child.recv, 1, DONTWAIT))
            seen += [outcome(child.recv, 1, OOB), outcome(child.accept)]
            client.send(b"x")
            child.recv(1, PEEK) if timeout != 0 else time.sleep(0.05)
            seen += [outcome(child.recv, 1, OOB), outcome(child.accept)]
        one, other = socket.socketpair()
        with one, other:
            one.settimeout(timeout)
            seen.append(outcome(one.recv, 1, DONTWAIT))
            seen.append(outcome(one.accept))
        with socket.socket(family_of(version)) as fresh:
            fresh.settimeout(timeout)
            seen += [outcome(fresh.accept), outcome(fresh.recv, 1, OOB)]
    return seen
