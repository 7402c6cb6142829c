"""Echo over a lossy network in every style that the socket interface has."""

from __future__ import annotations

import select
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

PAYLOAD = bytes(range(256)) * 800


def serve(family: int) -> None:
    """A threaded echo server."""
    with socket.create_server(("", 7), family=family) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(65_536):
            connection.sendall(data)


def blocking(address: str) -> bytes:
    with socket.create_connection((address, 7)) as sock:
        threading.Thread(target=lambda: (sock.sendall(PAYLOAD), sock.shutdown(socket.SHUT_WR))).start()
        with sock.makefile("rb") as file:
            return file.read()


def with_timeout(address: str) -> bytes:
    with socket.create_connection((address, 7), timeout=20) as sock:
        received = b""
        for start in range(0, len(PAYLOAD), 50_000):
            sock.sendall(PAYLOAD[start : start + 50_000])
            part = bytearray(min(50_000, len(PAYLOAD) - start))
            view = memoryview(part)
            while view:
                view = view[sock.recv_into(view) :]
            received += part
        sock.settimeout(0.25)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        return received


class Pump:
    """Sends and receives as far as the socket allows, for the styles that wait by readiness."""

    def __init__(self, address: str) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.sock.setblocking(False)
        try:
            self.sock.connect((address, 7))
        except BlockingIOError:
            pass
        self.to_send = memoryview(PAYLOAD)
        self.received = bytearray()
        self.done = False

    def write(self) -> None:
        while self.to_send:
            try:
                self.to_send = self.to_send[self.sock.send(self.to_send) :]
            except BlockingIOError:
                return
        self.sock.shutdown(socket.SHUT_WR)

    def read(self) -> None:
        while True:
            try:
                data = self.sock.recv(65_536)
            except BlockingIOError:
                return
            self.received += data
            if not data:
                self.done = True
                return


def by_select(address: str) -> bytes:
    pump = Pump(address)
    while not pump.done:
        readable, writable, _ = select.select([pump.sock], [pump.sock] if pump.to_send else [], [], 60)
        if writable:
            pump.write()
        if readable:
            pump.read()
    pump.sock.close()
    return bytes(pump.received)


def by_poll(address: str) -> bytes:
    pump = Pump(address)
    poll = select.poll()
    poll.register(pump.sock, select.POLLIN | select.POLLOUT)
    while not pump.done:
        for descriptor, bits in poll.poll(60_000):
            assert descriptor == pump.sock.fileno()
            if bits & select.POLLOUT and pump.to_send:
                pump.write()
                if not pump.to_send:
                    poll.modify(pump.sock, select.POLLIN)
            if bits & select.POLLIN:
                pump.read()
    pump.sock.close()
    return bytes(pump.received)


def by_epoll(flags: int) -> Callable[[str], bytes]:
    def client(address: str) -> bytes:
        pump = Pump(address)
        with select.epoll() as epoll:
            wanted = select.EPOLLIN | select.EPOLLOUT
            epoll.register(pump.sock.fileno(), wanted | flags)
            while not pump.done:
                for _, bits in epoll.poll(60):
                    if bits & select.EPOLLOUT and pump.to_send:
                        pump.write()
                    if bits & select.EPOLLIN:
                        pump.read()
                    if not pump.to_send:
                        wanted = select.EPOLLIN
                    if flags & select.EPOLLONESHOT or not pump.to_send:
                        epoll.modify(pump.sock.fileno(), wanted | flags)
        pump.sock.close()
        return bytes(pump.received)

    return client


def by_selectors(address: str) -> bytes:
    pump = Pump(address)
    with selectors.DefaultSelector() as selector:
        selector.register(pump.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while not pump.done:
            for _, events in selector.select(60):
                if events & selectors.EVENT_WRITE:
                    pump.write()
                    if not pump.to_send:
                        selector.modify(pump.sock, selectors.EVENT_READ)
                if events & selectors.EVENT_READ:
                    pump.read()
    pump.sock.close()
    return bytes(pump.received)


STYLES = {
    "blocking": blocking,
    "timeout": with_timeout,
    "select": by_select,
    "poll": by_poll,
    "epoll-level": by_epoll(0),
    "epoll-edge": by_epoll(select.EPOLLET),
    "epoll-one-shot": by_epoll(select.EPOLLONESHOT),
    "selectors": by_selectors,
}


@pytest.mark.parametrize("style", STYLES)
def test_echo(internet: Any, version: int, style: str) -> None:
    results: list[bytes] = []
    internet.server.run(serve, socket.AF_INET if version == 4 else socket.AF_INET6, daemon=True)
    internet.client.run(lambda: results.append(STYLES[style](internet.address(version))), start=0.1)
    internet.run()
    assert results == [PAYLOAD]


def test_dual_stack_server_sees_mapped_addresses(internet: Any) -> None:
    peers: list[str] = []

    def server() -> None:
        listener = socket.create_server(("", 7), family=socket.AF_INET6, dualstack_ipv6=True)
        for _ in range(2):
            connection, address = listener.accept()
            peers.append(address[0])
            connection.close()

    def client() -> None:
        for version in (4, 6):
            assert socket.create_connection((internet.address(version), 7)).recv(1) == b""

    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.run()
    assert peers == ["::ffff:10.0.0.2", "fd00::2"]


def test_datagrams_and_their_errors(internet: Any, version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    address = internet.address(version)
    seen: list[Any] = []

    def server() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 7))
            while True:
                data, peer = sock.recvfrom(2048)
                sock.sendto(data.upper(), peer)

    def client() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            while not seen:
                sock.sendto(b"hello", (address, 7))
                try:
                    seen.append(sock.recvfrom(2048)[0])
                except TimeoutError:
                    continue
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
            sock.settimeout(0.5)
            while len(seen) < 2:
                try:
                    sock.send(b"nobody")
                    sock.recv(10)
                except TimeoutError:
                    continue
                except ConnectionRefusedError as error:
                    seen.append(error.errno)

    internet.server.run(server, daemon=True)
    internet.client.run(client, start=0.1)
    internet.run()
    assert seen == [b"HELLO", 111]


def test_connection_refused_and_unreachable(internet: Any, version: int) -> None:
    errors: list[str] = []

    def client() -> None:
        nowhere = "10.99.0.1" if version == 4 else "fd99::1"
        for address in (internet.address(version), nowhere):
            try:
                socket.create_connection((address, 9), timeout=5)
            except OSError as error:
                errors.append(type(error).__name__)

    internet.client.run(client)
    internet.run()
    assert errors == ["ConnectionRefusedError", "TimeoutError"]
