"""Worlds of more than one network, and what a world is built of."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from catenet.wire.address import format_address
from catenet.world import ProcessFailed, World


def shown(world: World, name: str) -> list[str]:
    return [format_address(address) for address in world.addresses(name)]


def test_addresses_are_given_out_in_order_or_as_asked() -> None:
    world = World()
    world.host("a")
    world.host("b", "10.0.0.77")
    world.host("c", ["10.0.0.5/24", "fd00::c/64"])
    assert shown(world, "a") == ["10.0.0.1", "fd00::1"]
    assert shown(world, "b") == ["10.0.0.77"]
    assert shown(world, "c") == ["10.0.0.5", "fd00::c"]
    with pytest.raises(ValueError, match=r"10\.0\.0\.5 of d is c's already"):
        world.host("d", "10.0.0.5")
    with pytest.raises(ValueError, match="there is a host 'a' already"):
        world.host("a", "10.0.0.9")
    assert world.host("a") is world.hosts["a"]


def test_routers_forward_between_networks(version: int) -> None:
    lines: list[str] = []
    world = World(1, output=lambda host, stream, line: lines.append(f"{host} {line}"))
    world.network("office", "192.168.1.0/24", "fd01::/64")
    world.network("factory", "192.168.2.0/24", "fd02::/64")
    world.network("yard", "192.168.3.0/24", "fd03::/64")
    world.host("pc", network="office")
    world.host("gate", ["192.168.2.254", "192.168.1.254", "fd01::fe"], network=["office", "factory"], forwarding=True)
    world.host("door", network=["factory", "yard"], forwarding=True)
    world.host("robot", network="yard")
    assert "192.168.1.254" in shown(world, "gate") and "192.168.2.254" in shown(world, "gate")
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def robot() -> None:
        connection, peer = socket.create_server(("", 80), family=family).accept()
        print("asked by", peer[0])
        connection.sendall(b"beep" * 50_000)

    def pc() -> None:
        address = socket.getaddrinfo("robot", 80, family)[0][4][0]
        with socket.create_connection((address, 80)) as sock:
            assert sock.recv(200_000, socket.MSG_WAITALL) == b"beep" * 50_000

    world.hosts["robot"].run(robot)
    world.hosts["pc"].run(pc, start=0.1)
    for name in world.hosts:
        world.link(name, latency="5ms", loss="0.5%")
    with world:
        world.run(60)
    assert lines == [f"robot asked by {'192.168.1.1' if version == 4 else 'fd01::1'}"]
    assert world.hosts["gate"].stack.counters[version].ip.ForwDatagrams > 100


def test_hop_limit_is_spent_on_the_way() -> None:
    """What traceroute does: each router in turn says that the time is exceeded."""
    world = World(1)
    for name in ("one", "two"):
        world.network(name)
    world.host("a", network="one")
    world.host("r", network=["one", "two"], forwarding=True)
    world.host("b", network="two")
    seen: list[Any] = []

    def trace() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
        for limit in (1, 2):
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, limit)
            sock.sendto(b"probe", ("b", 33_434))
            time.sleep(1)
            control = sock.recvmsg(100, 200, socket.MSG_ERRQUEUE)[1]
            kind, code = control[0][2][5:7]
            seen.append((kind, code, socket.inet_ntoa(control[0][2][20:24])))

    world.hosts["a"].run(trace)
    with world:
        world.run(10)
    router, target = shown(world, "r")[0], shown(world, "b")[0]
    assert seen == [(11, 0, router), (3, 3, target)]


def test_a_dedicated_link_carries_what_two_hosts_say_to_each_other() -> None:
    times: dict[str, float] = {}
    world = World(1)
    for name in ("a", "b", "c"):
        world.host(name)
        world.link(name, latency="50ms")
    world.link("a", "b", latency="1ms")

    def echo() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", 7))
        data, peer = sock.recvfrom(10)
        sock.sendto(data, peer)

    def ask() -> None:
        for name in ("b", "c"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                began = time.monotonic()
                sock.sendto(b"x", (name, 7))
                sock.recv(10)
                times[name] = time.monotonic() - began

    world.hosts["b"].run(echo)
    world.hosts["c"].run(echo)
    world.hosts["a"].run(ask, start=0.1)
    with world:
        world.run(10)
    assert times == {"b": pytest.approx(0.002), "c": pytest.approx(0.2)}


def test_multicast_reaches_the_members_of_one_network(version: int) -> None:
    group = "239.1.2.3" if version == 4 else "ff15::123"
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    heard: list[str] = []
    world = World(1)

    def listen(member: bool) -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 5000))
            if member and version == 4:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4))
            elif member:
                mreq = socket.inet_pton(family, group) + (2).to_bytes(4, "little")
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, mreq)
            sock.settimeout(5)
            try:
                heard.append(f"{socket.gethostname()} {sock.recv(100).decode()}")
            except TimeoutError:
                heard.append(f"{socket.gethostname()} nothing")

    def speak() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello all", (group, 5000))

    for name, member in (("a", True), ("b", True), ("c", False)):
        world.host(name).run(listen, member)
    world.host("d").run(speak, start=1.0)
    with world:
        world.run(30)
    assert sorted(heard) == ["a hello all", "b hello all", "c nothing"]


def test_a_wide_link_between_two_hosts_carries_large_segments_and_others_stay_small() -> None:
    largest: dict[tuple[int, int], int] = {}
    world = World(1)

    def serve() -> None:
        with socket.create_server(("", 9000)) as listener:
            while True:
                connection, _ = listener.accept()
                while connection.recv(1 << 20):
                    pass

    def send(to: str) -> None:
        with socket.create_connection((to, 9000)) as connection:
            connection.sendall(bytes(100_000))

    def measure(port: int, direction: int, packet: bytes, now: float) -> None:
        key = port, packet[19]
        largest[key] = max(largest.get(key, 0), len(packet))

    hosts = {name: world.host(name) for name in ("left", "right", "third", "narrow")}
    world.link("left", "right", mtu=9000)
    world.link("left", "narrow", mtu=1000)
    numbers = {name: world.addresses(name)[0][3] for name in hosts}
    world.trace.taps.append(measure)
    for name in ("right", "third", "narrow"):
        hosts[name].run(serve, daemon=True)
        hosts["left"].run(send, name, start=1)
    with world:
        world.run(100)
    port = world.topology.ports_of("left")[0].index
    assert [largest[port, numbers[name]] for name in ("right", "third", "narrow")] == [9000, 1500, 1000]


def test_a_hundred_hosts_talk_to_one() -> None:
    world = World(1)
    served: list[str] = []

    def server() -> None:
        listener = socket.create_server(("", 80), backlog=200)
        for _ in range(100):
            connection, _ = listener.accept()
            served.append(connection.recv(100).decode())
            connection.close()

    def client() -> None:
        with socket.create_connection(("server", 80)) as sock:
            sock.sendall(socket.gethostname().encode())
            assert sock.recv(10) == b""

    world.host("server").run(server)
    for number in range(100):
        world.host(f"client{number}").run(client, start=0.1)
    with world:
        world.run(60)
    assert sorted(served) == sorted(f"client{number}" for number in range(100))


def test_an_unknown_name_is_an_error_of_the_resolver() -> None:
    world = World()

    def program() -> None:
        socket.create_connection(("nobody", 80))

    world.host("a").run(program)
    with world, pytest.raises(ProcessFailed) as failure:
        world.run()
    assert isinstance(failure.value.__cause__, socket.gaierror)
    with pytest.raises(ValueError, match="unknown host 'b'"):
        world.link("b", latency="1ms")
    with pytest.raises(ValueError, match="latnecy"):
        world.link("a", latnecy="1ms")
