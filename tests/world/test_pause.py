"""Hosts that sleep, and hosts whose programs are stopped: clocks, timers, connections."""

from __future__ import annotations

import asyncio
import select
import signal
import socket
import threading
import time
from typing import Any

import pytest

from catenet.stack.endpoint import Name
from catenet.world import World


def pair(seed: int = 1) -> tuple[World, list[str]]:
    lines: list[str] = []
    world = World(seed, output=lambda host, stream, line: lines.append(f"{host} {line}"))
    for name in ("laptop", "server"):
        world.host(name)
        world.link(name, latency="5ms")
    return world, lines


def clocks() -> list[float]:
    kinds = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME, time.CLOCK_REALTIME)
    return [time.clock_gettime(kind) for kind in kinds] + [time.monotonic()]


def sleep() -> None:
    time.sleep(5)


def wait_for_event() -> None:
    assert not threading.Event().wait(5)


def wait_in_asyncio() -> None:
    asyncio.run(asyncio.sleep(5))


def wait_for_sockets() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert select.select([sock], [], [], 5) == ([], [], [])


def wait_for_signal() -> None:
    assert signal.sigtimedwait([signal.SIGUSR1], 5) is None


def wait_for_alarm() -> None:
    fired: list[int] = []
    signal.signal(signal.SIGALRM, lambda number, frame: fired.append(number))
    signal.setitimer(signal.ITIMER_REAL, 5)
    signal.pause()
    assert fired


WAITS = [sleep, wait_for_event, wait_in_asyncio, wait_for_sockets, wait_for_signal, wait_for_alarm]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("frozen", [False, True])
def test_timers_stand_still_while_the_host_sleeps_and_go_on_while_it_is_frozen(wait: Any, frozen: bool) -> None:
    world, _ = pair()
    seen: list[list[float]] = []

    def program() -> None:
        before = clocks()
        wait()
        seen.append([round(after - one, 6) for after, one in zip(clocks(), before, strict=True)])

    world.host("laptop").run(program)
    world.at(2, world.freeze if frozen else world.pause, "laptop")
    world.at(102, world.thaw if frozen else world.resume, "laptop")
    with world:
        world.run(200)
    # Frozen, the timer has expired when the program goes on at 102 s; asleep, it has 3 s left.
    assert seen == [[102.0] * 4 if frozen else [5.0, 105.0, 105.0, 5.0]]


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_outlives_a_sleep_and_what_was_sent_meanwhile_is_sent_again(version: int) -> None:
    world, lines = pair()
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def server() -> None:
        connection, _ = socket.create_server(("", 80), family=family).accept()
        with connection:
            time.sleep(10)  # the laptop sleeps by now
            connection.sendall(b"x" * 100_000)
            print(connection.recv(100))

    def laptop() -> None:
        address = socket.getaddrinfo("server", 80, family)[0][4][0]
        with socket.create_connection((address, 80)) as sock:
            began = time.monotonic()
            assert sock.recv(100_000, socket.MSG_WAITALL) == b"x" * 100_000
            print("awake for", round(time.monotonic() - began))
            sock.sendall(b"thanks")

    world.host("server").run(server)
    world.host("laptop").run(laptop, start=1)
    world.at(5, world.pause, "laptop")
    world.at(65, world.resume, "laptop")
    with world:
        world.run(300)
        assert world.hosts["laptop"].drops()["asleep"] > 3
    assert lines[1] == "server b'thanks'"
    assert 4 <= int(lines[0].split()[-1]) <= 64


def test_a_retransmission_timer_goes_on_where_it_was() -> None:
    """What the laptop had sent, and nobody has acknowledged, is sent again at the time that was left of its timer."""
    world, lines = pair()

    def server() -> None:
        connection, _ = socket.create_server(("", 80)).accept()
        print(connection.recv(100))

    def laptop() -> None:
        with socket.create_connection(("server", 80)) as sock:
            time.sleep(1)
            sock.sendall(b"hello")
            time.sleep(20)

    world.host("server").run(server)
    world.host("laptop").run(laptop, start=1)
    world.at(1.9, world.partition, "laptop")
    world.at(2.1, world.pause, "laptop")
    world.at(50, world.heal)
    world.at(100, world.resume, "laptop")
    with world:
        world.run(101)
        assert lines == ["server b'hello'"]
        world.run()


def test_the_kernel_of_a_frozen_host_goes_on() -> None:
    world, lines = pair()

    def server() -> None:
        connection, _ = socket.create_server(("", 80)).accept()
        connection.sendall(b"x" * 1000)
        time.sleep(3)
        print("unsent", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[24:28] == bytes(4))

    def laptop() -> None:
        with socket.create_connection(("server", 80)) as sock:
            time.sleep(30)
            print(len(sock.recv(2000)))

    world.host("server").run(server)
    world.host("laptop").run(laptop, start=1)
    world.at(1.012, world.freeze, "laptop")
    world.at(20, world.thaw, "laptop")
    with world:
        world.run(100)
    assert lines == ["server unsent True", "laptop 1000"]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_crash_and_the_end_of_a_run_reach_sleeping_hosts(frozen: bool) -> None:
    world, _ = pair()

    def program() -> None:
        try:
            time.sleep(10_000)
        finally:
            print("over")

    hold = world.freeze if frozen else world.pause
    world.host("laptop").run(program)
    world.host("server").run(program, daemon=True)
    world.at(1, hold, "laptop")
    world.at(1, hold, "server")
    world.at(2, world.hosts["laptop"].restart)
    world.at(2.5, hold, "laptop")
    with world:
        world.run(3, deadlock=False)
        assert [process.alive for process in world.processes] == [False, True, True]
        world.terminate()
    assert all(not process.alive for process in world.processes)
    assert world.hosts["laptop"].slept == (0.0 if frozen else 1.5)


def test_a_program_that_would_start_waits_for_its_host() -> None:
    world, _ = pair()
    seen: list[float] = []
    world.host("laptop").run(lambda: seen.append(time.clock_gettime(time.CLOCK_BOOTTIME)), start=2)
    world.at(1, world.pause, "laptop")
    world.at(8, world.resume, "laptop")
    with world:
        world.run()
    assert seen == [1008.0]


def test_one_seed_gives_one_trace_with_sleeps_at_any_time() -> None:
    for seed in range(6):
        hashes = []
        for _ in range(2):
            world, lines = pair(seed)
            world.link("laptop", latency="10ms", loss="2%", rate="2Mbit", jitter="3ms")

            def server() -> None:
                connection, _ = socket.create_server(("", 80)).accept()
                connection.sendall(bytes(200_000))
                connection.close()

            def laptop() -> None:
                with socket.create_connection(("server", 80)) as sock:
                    size = 0
                    while data := sock.recv(10_000):
                        size += len(data)
                    print(size)

            world.host("server").run(server)
            world.host("laptop").run(laptop, start=0.1)
            moments = world.generator("sleep")
            for name in ("laptop", "server"):
                when = moments.uniform(0.1, 1)
                world.at(when, world.pause, name)
                world.at(when + moments.uniform(0.01, 30), world.resume, name)
            with world:
                world.run(400)
            assert lines == ["laptop 200000"]
            hashes.append(world.trace.hexdigest())
        assert hashes[0] == hashes[1]


def test_a_host_that_restarts_while_it_sleeps_sends_what_its_new_stack_has_to_say() -> None:
    """Its old stack was about to, at the same moment."""
    with World(1) as world:
        host, other = world.host("host"), world.host("other")
        world.at(1, host.pause)
        world.at(2, host.restart)

        def greet() -> None:
            endpoint = host.stack.udp_endpoint(4)
            endpoint.send_to(b"hello", Name(world.addresses("other")[0], 9))

        host.hub.call_at(2, greet)
        other.run(lambda: time.sleep(5))
        world.run(10)
        assert other.counters()["UdpNoPorts"] == 1
