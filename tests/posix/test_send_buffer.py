"""Datagrams that wait in their own host's queue are charged to their socket, as the kernel charges them."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


PROGRAMS = Path(__file__).parent / "programs"
ADDRESSES = {4: ("10.77.0.1", "10.77.0.2"), 6: ("fd77::1", "fd77::2")}
LENGTHS = {4: "24", 6: "64"}


def simulated(version: int, *words: str) -> list[str]:
    lines: list[str] = []
    own, other = ADDRESSES[version]
    with World(1, directory=PROGRAMS, output=lambda host, stream, line: lines.append(line)) as world:
        world.host("a", f"{own}/{LENGTHS[version]}").run(" ".join(("send_buffer.py", other, *words)))
        world.host("b", f"{other}/{LENGTHS[version]}")
        world.link("a", rate="200kbit", queue="1000000 packets")
        world.run()
    return lines


@pytest.mark.root
@pytest.mark.slow
def test_what_a_socket_is_charged_is_what_the_kernel_charges(version: int, namespaces: Callable[[], Any]) -> None:
    """A veth behind a token bucket is a device with a queue."""
    near, far = namespaces(), namespaces()
    own, other = ADDRESSES[version]
    length = LENGTHS[version]
    near.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", far.name)
    for namespace, device, address in ((near, "v0", own), (far, "v1", other)):
        namespace.run(
            "ip", "address", "add", f"{address}/{length}", "dev", device, *(["nodad"] if version == 6 else [])
        )
        namespace.run("ip", "link", "set", device, "address", f"02:00:00:00:00:0{device[1]}", "up")
    near.run("ip", "neighbour", "replace", other, "lladdr", "02:00:00:00:00:01", "dev", "v0", "nud", "permanent")
    near.run(
        "tc", "qdisc", "add", "dev", "v0", "root", "tbf", "rate", "200kbit", "burst", "1600", "limit", "1000000000"
    )
    expected = near.run(sys.executable, str(PROGRAMS / "send_buffer.py"), other).stdout.splitlines()
    assert simulated(version) == expected


def test_a_full_socket_is_writable_at_the_datagram_that_leaves_less_than_half(version: int) -> None:
    """What the kernel shows when nothing else keeps its processor."""
    figures = [20736, True, True, True, 9216, [11520, 13824, 16128, 18432, 20736, 11520, 13824, 16128, 18432, 20736]]
    assert json.loads(simulated(version, "exact")[0]) == figures


def pair(**properties: Any) -> World:
    world = World(1)
    world.host("a")
    world.host("b")
    world.link("a", **properties)
    return world


def timed(world: World, program: Callable[..., None], *args: Any) -> None:
    world.host("a").run(program, *args, start=1.0)
    with world:
        world.run(60)


def target(version: int) -> Any:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return family, socket.getaddrinfo("b", 9, family, socket.SOCK_DGRAM)[0][4]


def test_a_sender_is_as_fast_as_its_own_link(version: int) -> None:
    """1,000 packets of 1,000 bytes at 1 Mbit/s take 8 s; as many as the send buffer takes are sent at once."""

    def send() -> None:
        family, address = target(version)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            for _ in range(1000):
                sock.sendto(bytes(972 if version == 4 else 952), address)

    world = pair(rate=1e6)
    timed(world, send)
    assert world.topology.ports_of("a")[0].up.counters.drops == {}
    assert 8.0 - 93 * 0.008 <= world.now - 1.0 <= 8.0


@pytest.mark.parametrize("queue", ["droptail", "fq_codel", "dualpi2", "10 packets"])
def test_a_sender_that_waits_is_never_forgotten(queue: str, version: int) -> None:
    """Whether packets leave, are dropped by the queue, or have no room in it: the sender goes on."""
    sent: list[int] = []

    def send() -> None:
        family, address = target(version)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            for number in range(2000):
                sock.sendto(bytes(900), address)
                sent.append(number)

    timed(pair(rate=1e6, queue=queue), send)
    assert len(sent) == 2000


def test_a_changed_rate_wakes_the_sender_sooner_or_later(version: int) -> None:
    woken: dict[float, float] = {}
    for rate in (1e5, 1e7):
        world = pair(rate=1e6)

        def send(rate: float = rate) -> None:
            family, address = target(version)
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                began = time.monotonic()
                for _ in range(94):
                    sock.sendto(bytes(972), address)
                woken[rate] = time.monotonic() - began

        world.at(1.1, lambda world=world, rate=rate: world.link("a", rate=rate))
        timed(world, send)
    # 47 of 93 have to leave: of those 12 until then, and 35 at the new rate.
    assert woken[1e5] == pytest.approx(0.1 + 34.5 * 0.08, abs=0.1)
    assert woken[1e7] == pytest.approx(0.1 + 34.5 * 0.0008, abs=0.01)


def test_a_loopback_and_a_link_without_rate_charge_nobody(version: int) -> None:

    def send(name: str) -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        address = socket.getaddrinfo(name, 9, family, socket.SOCK_DGRAM)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            for _ in range(1000):
                sock.sendto(bytes(1000), address)

    world = pair(rate=1e3)
    world.host("c").run(send, "a", start=1.0)
    world.host("a").run(send, "localhost", start=1.0)
    with world:
        world.run(60)
    assert world.now == pytest.approx(1.0)


def test_asyncio_pauses_a_protocol_and_lets_it_go_on(version: int) -> None:
    calls: list[tuple[str, float]] = []

    class Protocol(asyncio.DatagramProtocol):
        def pause_writing(self) -> None:
            calls.append(("pause", time.monotonic()))

        def resume_writing(self) -> None:
            calls.append(("resume", time.monotonic()))

    async def send() -> None:
        family, address = target(version)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Protocol, family=family, remote_addr=address[:2])
        for _ in range(300):
            transport.sendto(bytes(972))
        while transport.get_write_buffer_size():
            await asyncio.sleep(0.01)
        transport.close()

    world = pair(rate=1e6)
    timed(world, lambda: asyncio.run(send()))
    assert [name for name, _ in calls] == ["pause", "resume"]
    assert calls[1][1] - calls[0][1] > 1.0
    up = world.topology.ports_of("a")[0].up
    assert up.counters.packets >= 300 and not up.counters.drops


def test_a_ping_socket_is_charged_too(version: int) -> None:
    count: list[int] = []

    def ping() -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
        address = socket.getaddrinfo("b", 0, family)[0][4]
        with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
            sock.setblocking(False)
            request = bytes([8 if version == 4 else 128]) + bytes(900)
            try:
                for number in range(1000):
                    sock.sendto(request, address)
                    count.append(number)
            except BlockingIOError:
                pass

    timed(pair(rate=1e3), ping)
    assert len(count) == 93


def test_a_larger_send_buffer_wakes_who_waits(version: int) -> None:
    seen: list[Any] = []

    def send() -> None:
        family, address = target(version)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:

            def widen() -> None:
                time.sleep(0.1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200_000)

            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
            threading.Thread(target=widen).start()
            began = time.monotonic()
            for _ in range(12):
                sock.sendto(bytes(1000), address)
            seen.append(time.monotonic() - began)

    timed(pair(rate=1e3), send)
    assert seen == [pytest.approx(0.1)]


def test_datagrams_of_a_closed_socket_still_arrive(version: int) -> None:
    got: list[int] = []

    def listen() -> None:
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 9))
            while True:
                got.append(len(sock.recv(2000)))

    def send() -> None:
        family, address = target(version)
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            for _ in range(93):
                sock.sendto(bytes(1000), address)
        time.sleep(5)

    world = pair(rate=1e6)
    world.host("b").run(listen, daemon=True)
    timed(world, send)
    assert got == [1000] * 93
