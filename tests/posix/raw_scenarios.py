"""Raw sockets: headers, checksums, filters, errors, on the loopback."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import Any

from tests.posix.scenarios import family_of, loopback, outcome, scenario

ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
LEVEL = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
SOL_RAW = 255
ICMP_FILTER = ICMPV6_FILTER = 1
IPV6_CHECKSUM = 7
EXPERIMENT = 253
"""A protocol for experiments (RFC 3692)."""
IP_RECVERR, IPV6_RECVERR = 11, 25


def sum_of(data: bytes) -> int:
    words = int.from_bytes(data + bytes(len(data) & 1), "big")
    return -words % 65535


def echo(version: int, number: int, data: bytes = b"data") -> bytes:
    head = struct.pack("!BBHHH", REQUEST[version], 0, 0, 0x1234, number)
    return head[:2] + (sum_of(head + data) if version == 4 else 0).to_bytes(2, "big") + head[4:] + data


def raw(version: int, protocol: int) -> socket.socket:
    sock = socket.socket(family_of(version), socket.SOCK_RAW, protocol)
    sock.settimeout(5)
    return sock


def shown(version: int, data: bytes) -> Any:
    """A packet without what differs from run to run: identification, checksum."""
    return (data[:4], data[6:10], data[12:]) if version == 4 else data


def drained(version: int, sock: socket.socket, count: int) -> list[Any]:
    found = []
    for _ in range(count):
        data, address = sock.recvfrom(2000)
        found.append((shown(version, data), address))
    sock.setblocking(False)
    return [*found, outcome(sock.recvfrom, 2000)]


@scenario
def raw_kinds(version: int) -> Any:
    """Which protocols there are, and what a new socket looks like."""
    seen: list[Any] = []
    for protocol in (0, 1, 58, 253, 255, 256, 262, 263, -1):
        made = outcome(socket.socket, family_of(version), socket.SOCK_RAW, protocol)
        if isinstance(made, socket.socket):
            with made:
                seen.append((made.type, made.proto, made.getsockname(), outcome(made.getpeername)))
                seen.append([made.getsockopt(socket.SOL_SOCKET, each) for each in (socket.SO_TYPE, socket.SO_PROTOCOL)])
                seen.append(
                    [outcome(made.getsockopt, socket.IPPROTO_IP, 3), outcome(made.listen), outcome(made.accept)]
                )
        else:
            seen.append(made)
    return seen


@scenario
def raw_echo_is_seen_both_ways(version: int) -> Any:
    """A host that asks itself sees request and reply."""
    with raw(version, ICMP[version]) as sock:
        sent = sock.sendto(echo(version, 7), (loopback(version), 0))
        return sent, drained(version, sock, 2)


@scenario
def raw_addresses(version: int) -> Any:
    """Names, and whose packets come in."""
    seen: list[Any] = []
    with raw(version, EXPERIMENT) as one, raw(version, EXPERIMENT) as other, raw(version, 252) as third:
        seen.append(outcome(one.bind, (loopback(version), 77)))
        seen.append(one.getsockname())
        seen.append(outcome(one.bind, ("192.0.2.1" if version == 4 else "2001:db8::1", 0)))
        seen.append(outcome(other.connect, (loopback(version), 0)))
        seen += [other.getsockname(), outcome(other.getpeername)]
        seen.append(outcome(other.send, b"one"))
        seen.append(outcome(third.send, b"nowhere"))
        seen.append(outcome(third.sendto, b"other port", (loopback(version), 9)))
        seen.append(outcome(other.sendto, b"to", (loopback(version), 0)))
        seen.append(drained(version, one, 2))
        seen.append(drained(version, other, 2))
        third.setblocking(False)
        seen.append([len(outcome(third.recv, 100)) for _ in range(1)])
    return seen


@scenario
def raw_own_header(version: int) -> Any:
    """IP_HDRINCL: what is filled in, and what is refused."""
    if version == 6:
        packet = (
            struct.pack("!IHBB", 0x60000000, 4, EXPERIMENT, 9) + socket.inet_pton(socket.AF_INET6, "::1") * 2 + b"data"
        )
    else:
        packet = (
            struct.pack("!BBHHHBBH", 0x45, 4, 0, 0, 0, 9, EXPERIMENT, 0) + bytes(4) + bytes((127, 0, 0, 1)) + b"data"
        )
    seen: list[Any] = []
    with raw(version, EXPERIMENT) as receiver, raw(version, 255) as sender:
        seen.append(outcome(sender.sendto, packet, (loopback(version), 0)))
        data, address = receiver.recvfrom(2000)
        seen += [shown(version, data), address]
        if version == 4:
            seen.append(
                (sum_of(data[:20]), data[4:6] != b"\0\0", outcome(sender.sendto, packet[:19], (loopback(version), 0)))
            )
            seen.append(outcome(sender.sendto, b"\x4f" + packet[1:], (loopback(version), 0)))
            receiver.setsockopt(socket.IPPROTO_IP, 3, 1)
            seen.append(receiver.getsockopt(socket.IPPROTO_IP, 3))
        seen.append(outcome(sender.sendto, packet + bytes(66_000), (loopback(version), 0)))
    return seen


@scenario
def raw_filter(version: int) -> Any:
    """ICMP_FILTER and ICMPV6_FILTER: a bit for each type that is not wanted."""
    seen: list[Any] = []
    level, option = (SOL_RAW, ICMP_FILTER) if version == 4 else (socket.IPPROTO_ICMPV6, ICMPV6_FILTER)
    with raw(version, ICMP[version]) as sock, raw(version, EXPERIMENT) as other:
        size = 4 if version == 4 else 32
        seen.append(sock.getsockopt(level, option, 100))
        words = bytearray(size)
        kind = REQUEST[version]
        words[kind // 8] |= 1 << kind % 8
        seen.append(outcome(sock.setsockopt, level, option, bytes(words)))
        seen.append(sock.getsockopt(level, option, 100))
        seen.append(outcome(other.setsockopt, level, option, bytes(words)))
        seen.append(outcome(other.getsockopt, level, option, 100))
        sock.sendto(echo(version, 8), (loopback(version), 0))
        seen.append(drained(version, sock, 1))
    return seen


@scenario
def raw_checksums(version: int) -> Any:
    """IPV6_CHECKSUM: where a checksum goes, and that what has none is not seen."""
    if version == 4:
        return None
    seen: list[Any] = []
    with raw(6, EXPERIMENT) as one, raw(6, EXPERIMENT) as plain, raw(6, ICMP[6]) as echoes:
        for value in (3, -1, 2):
            seen.append(outcome(one.setsockopt, socket.IPPROTO_IPV6, IPV6_CHECKSUM, value))
            seen.append(one.getsockopt(socket.IPPROTO_IPV6, IPV6_CHECKSUM))
        seen.append(outcome(echoes.setsockopt, socket.IPPROTO_IPV6, IPV6_CHECKSUM, 2))
        seen.append(outcome(echoes.getsockopt, socket.IPPROTO_IPV6, IPV6_CHECKSUM))
        seen.append(outcome(one.sendto, b"abcdef", ("::1", 0)))
        seen.append(outcome(one.sendto, b"abc", ("::1", 0)))
        seen.append(outcome(plain.sendto, b"without", ("::1", 0)))
        seen.append(drained(6, plain, 2))
        seen.append(drained(6, one, 1))
    return seen


@scenario
def raw_control(version: int) -> Any:
    """What recvmsg says beside, and what a hop limit does."""
    seen: list[Any] = []
    with raw(version, EXPERIMENT) as sock:
        if version == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 5)
            sock.setsockopt(socket.IPPROTO_IP, 12, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 5)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        sock.sendto(b"data", (loopback(version), 0))
        data, control, flags, address = sock.recvmsg(100, 100)
        seen += [shown(version, data), control, flags, address]
        sock.sendto(b"data" * 10, (loopback(version), 0))
        seen.append(len(sock.recv(21)))
        seen.append([bool(events & select.POLLOUT) for _, events in polled(sock)])
    return seen


def polled(sock: socket.socket) -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    return poll.poll(0)


@scenario
def raw_errors_of_others(version: int) -> Any:
    """An unknown protocol: nobody answers while a raw socket takes it; without one there is an error."""
    option = IP_RECVERR if version == 4 else IPV6_RECVERR
    seen: list[Any] = []
    with raw(version, EXPERIMENT) as sock:
        sock.setsockopt(LEVEL[version], option, 1)
        sock.bind((loopback(version), 0))
        sock.sendto(b"taken", (loopback(version), 0))
        seen.append(drained(version, sock, 1))
        seen.append(outcome(sock.recvmsg, 100, 512, socket.MSG_ERRQUEUE))
    with raw(version, 255) as sock:
        seen.append(outcome(sock.recv, 10, socket.MSG_DONTWAIT) if sock else errno.EPERM)
    return seen
