"""System calls about processes, users, limits, terminals and signals: as on Linux, and without effect outside."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Client, Listener, Pipe
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World

PATH = Path(__file__).with_name("system_scenarios.py")


def load() -> Any:
    spec = importlib.util.spec_from_file_location("system_scenarios", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCENARIOS = load().SCENARIOS


def run(where: str, name: str) -> Any:
    """The result of a scenario, `real` or `simulated`."""
    done = subprocess.run(
        [sys.executable, PATH, where, name], capture_output=True, text=True, timeout=60, start_new_session=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCENARIOS)
def test_as_on_the_real_kernel(name: str) -> None:
    assert run("simulated", name) == [run("real", name), []]


def test_kill_reaches_only_processes_of_the_host(internet: Any) -> None:
    received: list[str] = []

    def wait(name: str) -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: received.append(name))
        time.sleep(10)

    def kill_all() -> None:
        time.sleep(1)
        os.kill(-1, signal.SIGUSR1)

    for name in ("one", "two"):
        internet.client.run(wait, name)
    internet.server.run(wait, "elsewhere")
    internet.client.run(kill_all)
    internet.run()
    assert sorted(received) == ["one", "two"]


def test_kill_by_another_user_is_not_permitted() -> None:
    script = """
import os, signal, time
from catenet.world import World
def kill():
    os.setresuid(5, 5, 5)
    try:
        os.kill(os.getpid() - 1, signal.SIGTERM)
    except PermissionError:
        print("not permitted")
with World() as world:
    world.host("a").run(time.sleep, 5)
    world.host("a").run(kill)
    world.run()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    privileged = os.geteuid() == 0
    assert (done.returncode == 0) is privileged, done.stderr
    assert ("a | not permitted" in done.stdout) is privileged


def test_standard_streams_by_descriptor(internet: Any) -> None:
    seen: list[Any] = []

    def program() -> None:
        seen.append((os.read(0, 5), os.read(0, 100), os.read(0, 1), os.isatty(0), os.isatty(1)))
        os.write(1, b"by descriptor\n")
        os.writev(2, [b"in ", b"parts\n"])
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        try:
            print("nobody reads it")
        except OSError as error:
            seen.append(error.errno)

    internet.client.run(program, stdin="typed\nmore")
    internet.run()
    assert seen == [(b"typed", b"\nmore", b"", False, False), errno.EBADF]
    assert internet.printed("client") == ["by descriptor"]
    assert internet.printed("client", "stderr") == ["in parts"]
    os.fstat(1)  # the interpreter's is open


def test_platform_shows_the_host(internet: Any) -> None:
    names: list[tuple[str, str, str]] = []

    def program() -> None:
        platform.processor(), platform.architecture()
        names.append((platform.node(), platform.uname().node, platform.machine()))

    machine = platform.machine()
    for host in (internet.client, internet.server):
        host.run(program)
    internet.run()
    assert names == [(name, name, machine) for name in ("client", "server")]
    assert platform.node() not in ("client", "server")


def test_connections_of_multiprocessing_cross_the_network(internet: Any, version: int) -> None:
    received: list[Any] = []
    address = (internet.address(version), 6000)
    family = "AF_INET"

    def serve() -> None:
        with Listener(address, family) as listener, listener.accept() as connection:
            connection.send(connection.recv() * 2)

    def ask() -> None:
        time.sleep(1)
        with Client(address, family) as connection:
            connection.send([b"x" * 100_000])
            received.append(connection.recv() == [b"x" * 100_000] * 2)

    if version == 4:  # the library has no IPv6
        internet.server.run(serve)
        internet.client.run(ask)
        internet.run()
        assert received == [True]


def test_pipes_of_multiprocessing_join_threads(internet: Any) -> None:
    received: list[Any] = []

    def program(duplex: bool) -> None:
        one, other = Pipe(duplex)
        thread = threading.Thread(target=lambda: received.append(one.recv()))
        thread.start()
        time.sleep(0.1)
        other.send({"duplex": duplex})
        thread.join()

    for duplex in (True, False):
        internet.client.run(program, duplex)
    internet.run()
    assert received == [{"duplex": True}, {"duplex": False}]


def test_flock_waits_for_the_program_that_has_it(tmp_path: Path) -> None:
    import fcntl

    order: list[tuple[str, float]] = []

    def hold(name: str, seconds: float) -> None:
        with open(tmp_path / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            order.append((name, round(time.monotonic() - 1000, 1)))
            time.sleep(seconds)

    with World() as world:
        world.host("a").run(hold, "first", 5.0)
        world.host("b").run(hold, "second", 1.0, start=1.0)
        world.run(until=20)
    assert order == [("first", 0.0), ("second", 5.0)]


def test_yielding_for_ever_lets_time_pass() -> None:
    """A program that waits for another one by `time.sleep(0)` or `os.sched_yield` alone does not stop the world."""
    seen: list[float] = []

    def program(give_way: Any) -> None:
        done: list[int] = []
        thread = threading.Thread(target=lambda: (time.sleep(0.2), done.append(1)))
        thread.start()
        while not done:
            give_way()
        seen.append(time.monotonic() - 1000)

    with World() as world:
        world.host("a").run(program, lambda: time.sleep(0))
        world.host("b").run(program, os.sched_yield)
        world.run(until=20)
    assert seen == [pytest.approx(0.2, abs=0.01)] * 2
