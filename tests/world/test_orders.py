"""The trace of a world does not depend on the order in which hosts were made, or have their turns at one instant."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache

import pytest
from tests.world.random_orders import Told, told

from catenet.world import World

SEEDS = range(1, 101)


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """What other tests have left is no work for the garbage collector, which every world calls."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@cache
def usual(seed: int) -> Told:
    return told(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_order_of_making_and_running_changes_nothing(seed: int) -> None:
    assert told(seed, 1) == usual(seed)


def test_the_random_worlds_have_what_could_make_a_difference() -> None:
    worlds = [usual(seed) for seed in SEEDS[:20]]
    assert sum(packets for _, _, packets, *_ in worlds) > 1000
    assert sum(lost for *_, lost in worlds) > 10


def send(target: str, port: int, *texts: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for text in texts:
            sender.sendto(text, (target, port))


def test_what_arrives_at_one_instant_comes_by_host_and_port_of_the_sender() -> None:
    """Whoever is made first, and whoever is woken first."""
    for names in (["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]):
        got: list[bytes] = []

        def listen(got: list[bytes] = got) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
                receiver.bind(("", 9))
                while len(got) < 6:
                    got.append(receiver.recv(100))

        with World(1) as world:
            world.host("server", "10.0.0.9").run(listen)
            for name in names:
                host = world.host(name, f"10.0.0.{ord(name)}")
                host.run(send, "10.0.0.9", 9, f"{name}1".encode(), f"{name}2".encode(), start=1.0)
            world.run(until=1.0)
        assert got == [b"a1", b"a2", b"b1", b"b2", b"c1", b"c2"]


def test_what_arrives_comes_before_timers_of_the_same_instant() -> None:
    """The timer was set long before the packet was sent."""
    seen: list[bytes] = []

    def wait() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 9))
            time.sleep(1.0)
            receiver.setblocking(False)
            seen.append(receiver.recv(100))

    with World(1) as world:
        for name in ("a", "b"):
            world.host(name)
            world.link(name, latency=0.25)
        world.hosts["a"].run(wait)
        world.hosts["b"].run(send, "a", 9, b"now", start=0.5)
        world.run()
    assert seen == [b"now"]


def test_without_latency_an_answer_is_another_round_of_the_same_instant() -> None:
    done: list[tuple[float, str]] = []

    def echo() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 9))
            while True:
                receiver.sendto(*receiver.recvfrom(100))

    def ask() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(3):
                sender.sendto(b"x", ("server", 9))
                sender.recv(100)
                done.append((time.monotonic() - 1000, str(number)))

    with World(1) as world:
        world.host("server").run(echo, daemon=True)
        client = world.host("client")
        client.run(ask, start=1.0)
        client.run(lambda: done.append((time.monotonic() - 1000, "timer")), start=1.0)
        world.run()
    assert done == [(1.0, "timer"), (1.0, "0"), (1.0, "1"), (1.0, "2")]


def test_an_action_comes_before_all_else_at_its_time() -> None:
    seen: list[str] = []
    with World(1) as world:
        host = world.host("a")
        host.run(seen.append, "program", start=1.0)
        world.at(1.0, seen.append, "action")
        world.at(1.0, seen.append, "another")
        world.run()
    assert seen == ["action", "another", "program"]


def test_an_action_for_now_comes_when_the_instant_is_over() -> None:
    """The answer comes in a later round, and still before."""
    seen: list[str] = []

    def listen() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 9))
            receiver.recv(100)
            seen.append(f"packet {time.monotonic() - 1000}")

    with World(1) as world:
        world.host("b").run(listen)

        def act() -> None:
            send("b", 9, b"x")
            world.at(0.5, lambda: seen.append(f"action {world.now}"))

        world.host("a").run(act, start=1.0)
        world.host("a").run(time.sleep, 2)
        world.run()
    assert seen == ["packet 1.0", "action 1.0"]


def test_the_end_of_a_run_finishes_its_instant() -> None:
    """The last program ends when it sends: what others do at that instant still happens, SIGTERM comes after."""
    order: list[str] = []

    def serve() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", 9))
            try:
                while True:
                    data, _peer = receiver.recvfrom(100)
                    order.append(data.decode())
                    if data != b"back":
                        receiver.sendto(b"back", ("relay", 9))
            finally:
                order.append("over")

    with World(1, quiet=0) as world:
        for name in ("relay", "server"):
            world.host(name).run(serve, daemon=True)
        world.host("client").run(send, "server", 9, b"there", start=1.0)
        world.run()
        assert (world.now, order) == (1.0, ["there", "back"])
        world.terminate()
    assert order == ["there", "back", "over", "over"]


def drop_connections() -> None:
    """Sockets that only the garbage collector can find."""

    class Box:
        pass

    for _ in range(3):
        box = Box()
        box.me = box  # type: ignore[attr-defined]
        box.connection = socket.create_connection(("server", 9))  # type: ignore[attr-defined]
        del box
        for _ in range(5000):
            time.sleep(0.001)
    time.sleep(5)


@pytest.mark.parametrize("naps", [0, 7_000, 23_000])
def test_what_garbage_is_found_when_is_a_matter_of_its_process(naps: int) -> None:
    ends: list[float] = []

    def serve() -> None:
        with socket.create_server(("", 9)) as listener:
            while True:
                threading.Thread(target=watch, args=listener.accept()[:1]).start()

    def watch(connection: socket.socket) -> None:
        with connection:
            connection.recv(1)
            ends.append(round(time.monotonic() - 1000, 3))

    def be_busy() -> None:
        for _ in range(naps):
            time.sleep(0.0005)

    with World(seed=1) as world:
        world.host("server").run(serve, daemon=True)
        world.host("client").run(drop_connections)
        world.host("busy").run(be_busy)
        world.run()
    assert ends == [10.812] * 3


def test_threads_of_a_process_have_the_identifiers_that_it_gives() -> None:
    """Whatever other processes start, and whenever; no two in a world have the same."""
    idents: dict[str, list[int]] = {}

    def start(name: str) -> None:
        own = idents.setdefault(name, [threading.get_ident()])
        for _ in range(3):
            thread = threading.Thread(target=lambda: own.append(threading.get_ident()))
            thread.start()
            thread.join()

    def run(*names: str) -> dict[str, list[int]]:
        idents.clear()
        with World() as world:
            for name in names:
                world.host(name).run(start, name)
            world.run()
        return dict(idents)

    alone, together = run("a"), run("b", "a", "c")
    assert alone["a"] == together["a"]
    assert len({ident for own in together.values() for ident in own}) == 12
