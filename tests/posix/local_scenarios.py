"""Local sockets, pipes, epoll, select and poll: as `scenarios`."""

from __future__ import annotations

import array
import os
import select
import socket
from typing import Any

from tests.posix.scenarios import bits, outcome, scenario


@scenario
def local_stream(version: int) -> Any:
    one, other = socket.socketpair()
    seen: list[Any] = [one.family, one.type, one.getsockname(), one.getpeername(), bits(one)]
    one.sendall(b"abc")
    one.sendall(b"def")
    seen += [other.recv(4), other.recvfrom(4), outcome(other.recv, 1, socket.MSG_DONTWAIT)]
    one.shutdown(socket.SHUT_WR)
    seen += [bits(other), bits(one), other.recv(1), outcome(one.send, b"x"), other.send(b"y"), one.recv(1)]
    other.close()
    seen += [bits(one), one.recv(1), outcome(one.send, b"x")]
    one, other = socket.socketpair()
    one.send(b"unread")
    other.close()
    seen += [bits(one), outcome(one.recv, 1), outcome(one.recv, 1)]
    one, other = socket.socketpair()
    one.setblocking(False)
    sent = 0
    while True:
        try:
            sent += one.send(bytes(65_536))
        except BlockingIOError:
            break
    seen += [sent > 100_000, bits(one)]
    while sent:
        sent -= len(other.recv(65_536))
    seen.append(bits(one))
    return seen


@scenario
def local_names(version: int) -> Any:
    name = f"\0catenet-test-{os.getpid()}-{version}"
    server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    seen: list[Any] = [bits(client), outcome(client.connect, name), outcome(client.connect, "/nonexistent/path")]
    seen += [outcome(server.listen), server.getsockname()]
    server.bind(name)
    seen += [outcome(server.bind, name), outcome(socket.socket(socket.AF_UNIX).bind, name)]
    seen += [outcome(client.connect, name), outcome(server.accept) if version == 0 else None]
    server.listen(1)
    seen.append(outcome(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect, name))
    client = socket.socket(socket.AF_UNIX)
    client.connect(name)
    seen += [bits(server), client.getpeername() == name.encode(), outcome(client.connect, name)]
    accepted, address = server.accept()
    seen += [address, accepted.getsockname() == name.encode(), bits(accepted)]
    pending = socket.socket(socket.AF_UNIX)
    pending.connect(name)
    server.close()
    seen += [bits(pending), outcome(pending.recv, 1), outcome(socket.socket(socket.AF_UNIX).connect, name)]
    accepted.send(b"still there")
    seen.append(client.recv(100))
    return seen


@scenario
def local_messages(version: int) -> Any:
    seen: list[Any] = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        one.send(b"first")
        one.send(b"second")
        seen += [bits(one), bits(other), other.recv(3), other.recvmsg(10), outcome(other.recv, 1, socket.MSG_DONTWAIT)]
        one.send(b"123456")
        data, _, shown, _ = other.recvmsg(3)
        seen += [data, bool(shown & socket.MSG_TRUNC)]
        other.close()
        seen += [outcome(one.send, b"x")]
    server, client = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    name = f"\0catenet-datagrams-{os.getpid()}-{version}"
    server.bind(name)
    client.bind(name + "-client")
    client.sendto(b"hello", name)
    data, peer = server.recvfrom(100)
    seen += [
        data,
        peer == (name + "-client").encode(),
        outcome(client.send, b"x"),
        outcome(client.sendto, b"x", "\0no"),
    ]
    return seen


@scenario
def passed_descriptors(version: int) -> Any:
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    socket.send_fds(one, [b"take this"], [writing])
    os.close(writing)
    data, descriptors, shown, _ = socket.recv_fds(other, 100, 4)
    os.write(descriptors[0], b"through a passed pipe")
    seen: list[Any] = [data, len(descriptors), shown & socket.MSG_CTRUNC, os.read(reading, 100)]
    os.close(descriptors[0])
    seen.append(os.read(reading, 10))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reading]))]
    one.sendmsg([b"a"], rights)
    one.send(b"b")
    seen += [other.recv(100), other.recv(100)]
    seen.append(outcome(one.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1 << 29]))]))
    return seen


@scenario
def pipes(version: int) -> Any:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    seen: list[Any] = [outcome(os.read, reading, 1), bits(reading), bits(writing)]
    seen += [os.write(writing, b"abc"), bits(reading), os.read(reading, 2), os.read(reading, 2)]
    os.set_blocking(writing, False)
    total = 0
    while True:
        try:
            total += os.write(writing, bytes(4096))
        except BlockingIOError:
            break
    seen += [total, bits(writing), outcome(os.write, writing, b"x")]
    os.close(reading)
    seen += [bits(writing), outcome(os.write, writing, b"x")]
    os.close(writing)
    reading, writing = os.pipe()
    os.write(writing, b"rest")
    os.close(writing)
    seen += [bits(reading), os.read(reading, 10), os.read(reading, 10), bits(reading), outcome(os.write, reading, b"x")]
    return seen


@scenario
def epoll_triggering(version: int) -> Any:
    one, other = socket.socketpair()
    number = other.fileno()
    seen: list[Any] = []

    def poll(epoll: select.epoll) -> list[int]:
        return [events for descriptor, events in epoll.poll(0) if descriptor == number]

    with select.epoll() as level:
        level.register(other, select.EPOLLIN)
        seen.append(poll(level))
        one.send(b"a")
        seen += [poll(level), poll(level)]
        other.recv(1)
        seen.append(poll(level))
        seen += [outcome(level.register, other, 1), outcome(level.modify, one, 1), outcome(level.unregister, one)]
        level.modify(other, select.EPOLLOUT)
        seen.append(poll(level))
        level.unregister(other)
        seen.append(poll(level))
    seen += [level.closed, outcome(level.poll, 0)]
    with select.epoll() as edge:
        edge.register(other, select.EPOLLIN | select.EPOLLET)
        one.send(b"b")
        seen += [poll(edge), poll(edge)]
        one.send(b"c")
        seen += [poll(edge), poll(edge)]
        edge.modify(other, select.EPOLLIN | select.EPOLLET)
        seen += [poll(edge), poll(edge)]
        other.recv(10)
    with select.epoll() as once:
        once.register(other, select.EPOLLIN | select.EPOLLONESHOT)
        one.send(b"d")
        seen += [poll(once), poll(once)]
        one.send(b"e")
        seen.append(poll(once))
        once.modify(other, select.EPOLLIN | select.EPOLLONESHOT)
        seen.append(poll(once))
        with select.epoll() as outer:
            outer.register(once.fileno(), select.EPOLLIN)
            once.modify(other, select.EPOLLIN)
            seen.append(len(outer.poll(0)))
            seen.append(outcome(once.register, outer.fileno(), select.EPOLLIN))
            seen.append(outcome(once.register, once.fileno(), select.EPOLLIN))
        other.recv(10)
        one.close()
        seen.append(poll(once))
        other.close()
        seen.append(poll(once))
    return seen


@scenario
def select_and_poll(version: int) -> Any:
    one, other = socket.socketpair()
    seen: list[Any] = [[len(found) for found in select.select([one, other], [one, other], [one], 0)]]
    one.send(b"x")
    readable, writable, special = select.select([one, other], [], [one])
    seen.append((readable == [other], writable, special))
    seen += [outcome(select.select, [-1], [], [], 0), outcome(select.select, ["x"], [], [], 0)]
    seen += [outcome(select.select, [], [], [], -1), select.select([], [], [], 0.001)]
    other.close()
    seen.append(outcome(select.select, [other], [], [], 0))
    poll = select.poll()
    poll.register(one, select.POLLIN)
    seen += [outcome(poll.modify, 1 << 29, 1), outcome(poll.register, -1)]
    poll.register((1 << 29) + 5, select.POLLIN)
    seen.append(sorted(events for _, events in poll.poll(1000)))
    return seen
