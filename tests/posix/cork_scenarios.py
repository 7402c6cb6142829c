"""UDP of which one datagram is made by several calls (MSG_MORE, UDP_CORK): as `scenarios`."""

from __future__ import annotations

import socket
import struct
from typing import Any

from tests.posix.scenarios import bits, outcome, scenario

MSG_MORE = 0x8000
IP_RECVTTL = 12
UDP_CORK = 1
UDPLITE = 136


def places(version: int, protocol: int) -> tuple[socket.socket, socket.socket, socket.socket]:
    """Two sockets that receive, and one that sends."""
    family, address = (socket.AF_INET, "127.0.0.1") if version == 4 else (socket.AF_INET6, "::1")
    socks = [socket.socket(family, socket.SOCK_DGRAM, protocol) for _ in range(3)]
    for sock in socks[:2]:
        sock.bind((address, 0))
        sock.settimeout(0.5)
    return socks[0], socks[1], socks[2]


def received(sock: socket.socket) -> Any:
    """The next datagram, which may be long, as lengths of equal bytes."""
    data = outcome(sock.recv, 100_000)
    return data if not isinstance(data, bytes) or len(data) < 50 else (len(data), data[:1], data[-1:])


def corked(version: int, protocol: int) -> Any:
    first, second, sender = places(version, protocol)
    one, other = first.getsockname(), second.getsockname()
    # By flags; the first call decides where it goes.
    seen: list[Any] = [outcome(sender.send, b"x", MSG_MORE), sender.getsockname()[1] != 0]
    seen += [sender.sendto(b"ab", MSG_MORE, one), sender.sendto(b"cd", MSG_MORE, other), sender.send(b"", MSG_MORE)]
    seen += [sender.sendto(b"ef", 0, other), received(first), outcome(sender.send, b"x")]
    # By the option.
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 7)
    seen += [sender.getsockopt(socket.IPPROTO_UDP, UDP_CORK), outcome(sender.send, b"x")]
    seen += [sender.sendto(b"12", one), sender.send(b"34"), sender.sendmsg([b"5", b"6"], [], 0, other), bits(sender)]
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 1)
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
    seen += [received(first), sender.getsockopt(socket.IPPROTO_UDP, UDP_CORK)]
    sender.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
    # With a peer, which may change meanwhile.
    sender.connect(one)
    seen += [sender.send(b"to one", MSG_MORE), outcome(sender.connect, other), sender.send(b", all"), received(first)]
    seen += [sender.send(b"", MSG_MORE), sender.send(b""), received(second)]
    # Control messages of the first call count.
    level, kind, wanted = (
        (socket.IPPROTO_IP, socket.IP_TTL, IP_RECVTTL)
        if version == 4
        else (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT, socket.IPV6_RECVHOPLIMIT)
    )
    second.setsockopt(level, wanted, 1)
    for number, flags in ((7, MSG_MORE), (9, 0)):
        sender.sendmsg([b"ttl"], [(level, kind, struct.pack("=i", number))], flags)
    seen.append(second.recvmsg(100, 100)[:2])
    second.setsockopt(level, wanted, 0)
    # What is too long is lost, all of it.
    seen += [sender.send(bytes(40_000), MSG_MORE), outcome(sender.send, bytes(40_000)), sender.send(b"next")]
    seen.append(received(second))
    seen += [sender.send(b"a" * 30_000, MSG_MORE), sender.send(b"b" * 30_000), received(second)]
    seen += [outcome(sender.send, bytes(70_000), MSG_MORE), sender.send(b"then"), received(second)]
    # What waits is lost with the socket, and sent by who shuts down.
    sender.send(b"shut", MSG_MORE)
    sender.shutdown(socket.SHUT_WR)
    seen += [outcome(sender.send, b" down"), outcome(sender.send, b"x"), received(second)]
    with socket.socket(sender.family, socket.SOCK_DGRAM, protocol) as another:
        seen.append(another.sendto(b"never", MSG_MORE, other))
    seen.append(received(second))
    return seen


@scenario
def corked_datagrams(version: int) -> Any:
    return corked(version, 0)


@scenario
def corked_datagrams_of_udp_lite(version: int) -> Any:
    return corked(version, UDPLITE)


@scenario
def corked_datagrams_that_cannot_be_sent(version: int) -> Any:
    first, _, sender = places(version, 0)
    one = first.getsockname()
    bad = ("255.255.255.255", 9) if version == 4 else ("ff02::1", 0)
    seen: list[Any] = [outcome(sender.sendto, b"x", MSG_MORE, bad), outcome(sender.sendto, b"x", MSG_MORE, (one[0], 0))]
    seen += [sender.sendto(b"good", MSG_MORE, one), outcome(sender.sendto, b"x", 0, bad), received(first)]
    seen += [sender.sendto(b"good", MSG_MORE, one), outcome(sender.sendto, b"x", socket.MSG_OOB, one)]
    seen += [outcome(sender.send, b"x"), received(first)]
    # To a port that nobody has: the error comes when it has been sent.
    first.close()
    sender.connect(one)
    seen += [sender.send(b"x", MSG_MORE), sender.send(b"x", MSG_MORE), sender.send(b"x")]
    sender.settimeout(0.5)
    seen.append(outcome(sender.recv, 1))
    return seen
