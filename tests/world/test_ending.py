"""When a run is over, when it is a deadlock, and that only the world's time decides."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from catenet.world import DeadlockError, StillRunning, World
from catenet.world.engine.runner import Runner, build_world
from catenet.world.scenario.worldfile import WorldFileError, read_world

pytestmark = pytest.mark.slow(10)


def listen(port: int = 7000, version: int = 4) -> socket.socket:
    return socket.create_server(("", port), family=socket.AF_INET if version == 4 else socket.AF_INET6)


def bound(port: int = 7000) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", port))
    return sock


def local(kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind("\0name")
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


OPEN: dict[str, Callable[[], socket.socket]] = {
    "TCP over IPv4": listen,
    "TCP over IPv6": lambda: listen(version=6),
    "UDP": bound,
    "UDP on a port of the ephemeral range": lambda: bound(40_000),
    "AF_UNIX stream": lambda: local(socket.SOCK_STREAM),
    "AF_UNIX datagram": lambda: local(socket.SOCK_DGRAM),
}
"""Sockets that others can come to."""


def run(*programs: Callable[[], object], **options: Any) -> tuple[float, list[tuple[int | None, float | None]]]:
    """Run programs, each on a host of its own; return when the world was over, and each status with its time."""
    with World(seed=1, **options) as world:
        for number, program in enumerate(programs):
            world.host(f"h{number}").run(program)
        ended = world.run()
        assert world.over
        return ended, [(process.status, process.ended_at) for process in world.processes]


def other() -> None:
    time.sleep(2.2)


@pytest.mark.parametrize("kind", OPEN)
def test_a_program_with_an_open_socket_works_on_when_the_others_have_ended(kind: str) -> None:
    def peer() -> None:
        with OPEN[kind]():
            for number in range(100):
                time.sleep(1)
                print("working", number)

    assert run(peer, other, output=lambda *line: None) == (100.0, [(0, 100.0), (0, 2.2)])


def test_a_node_that_sleeps_silently_or_waits_for_its_timer_comes_to_its_end() -> None:
    def sleeper() -> None:
        with listen():
            time.sleep(20)

    async def timer() -> None:
        async with await asyncio.start_server(lambda *_: None, "", 7):
            await asyncio.sleep(25)

    assert run(sleeper, lambda: asyncio.run(timer()), other)[1] == [(0, 20.0), (0, 25.0), (0, 2.2)]


def test_a_client_that_is_called_back_is_waited_for() -> None:
    """As an FTP client in active mode: it listens, and is idle while the server works."""

    def client() -> None:
        with listen(20) as listener, socket.create_connection(("h1", 21)) as control:
            control.sendall(b"PORT 20")
            with listener.accept()[0] as data:
                assert data.recv(10) == b"the file"
            assert control.recv(10) == b"done"

    def server() -> None:
        with listen(21) as listener:
            control, peer = listener.accept()
            control.recv(10)
            time.sleep(29)
            with socket.create_connection((peer[0], 20)) as data:
                data.sendall(b"the file")
            time.sleep(29)
            control.sendall(b"done")
            listener.accept()

    ended, (client_end, server_end, _) = run(client, server, other)
    assert client_end == (0, 58.0)
    assert server_end == (None, None)
    assert ended == pytest.approx(88, abs=0.1)


def test_who_waits_for_datagrams_gets_what_is_still_on_its_way(version: int) -> None:
    """The latency is longer than a world is quiet."""
    got: list[object] = []
    family = socket.AF_INET if version == 4 else socket.AF_INET6

    def receiver() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 7000))
            got.append((sock.recv(10), time.monotonic()))
            sock.settimeout(4)
            with pytest.raises(TimeoutError):
                sock.recv(10)
            got.append(time.monotonic())

    def sender() -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"late", socket.getaddrinfo("receiver", 7000, family)[0][4])

    for properties in (
        {"latency": "50s"},
        {"latency": "50s", "jitter": "1s"},
        {"latency": "50s", "loss": "0.001%"},
        {"latency": "50s", "rate": "1kbit"},
        {"latency": "50s", "rate": "1kbit", "queue": "codel"},
    ):
        got.clear()
        with World(seed=1) as world:
            world.host("receiver").run(receiver)
            world.host("sender").run(sender, start=0.1)
            world.link("receiver", "sender", **properties)
            world.run()
            assert world.processes[0].status == 0
        assert got[0][0] == b"late"
        assert 1049 < got[0][1] < 1051.5
        assert got[1] == got[0][1] + 4


def test_a_crash_is_no_end() -> None:
    def peer() -> None:
        with listen():
            for _ in range(10):
                time.sleep(1)
                print("working")

    with World(seed=1, output=lambda *line: None) as world:
        first, second = world.host("first"), world.host("second")
        first.run(peer)
        second.run(peer)
        world.at(3.0, second.crash)
        world.at(60.0, second.restart)
        assert world.run() == 70.0
        assert [process.status for process in world.processes] == [0, 137, 0]


def test_servers_alone_are_a_deadlock_also_after_a_crash() -> None:
    with World(seed=1) as world:
        world.host("server").run(lambda: listen().accept())
        client = world.host("client")
        client.run(time.sleep, 100)
        world.at(5.0, client.crash)
        with pytest.raises(DeadlockError, match=r"server: .*accept on tcp 0\.0\.0\.0:7000 LISTEN"):
            world.run()
        assert world.now == 5.0


# How long it takes.


def poll_for_ever() -> None:
    """As `socketserver` does, and every event loop that is no asyncio's."""
    with listen() as listener:
        while True:
            select.select([listener], [], [], 0.5)


def accept_for_ever() -> None:
    with listen() as listener:
        while True:
            listener.accept()


def receive_for_ever() -> None:
    with bound() as sock:
        sock.settimeout(3)
        while True:
            try:
                sock.recv(10)
            except TimeoutError:
                continue


@pytest.mark.parametrize("service", [poll_for_ever, accept_for_ever, receive_for_ever])
@pytest.mark.parametrize("quiet", [None, 0, 0.25, 5, 100])
def test_a_service_is_given_up_when_it_has_been_quiet(service: Callable[[], None], quiet: float | None) -> None:
    ended, ends = run(service, other, quiet=quiet)
    assert ended == pytest.approx(2.2 + (30 if quiet is None else quiet))
    assert ends == [(None, None), (0, 2.2)]


def test_without_services_the_end_of_the_last_program_is_the_end() -> None:
    assert run(other, lambda: time.sleep(1))[0] == 2.2


def test_quiet_begins_with_the_last_packet_and_line() -> None:
    def server() -> None:
        with listen() as listener:
            peer, _ = listener.accept()
            for _ in range(3):
                time.sleep(20)
                peer.send(b"x")
            for _ in range(3):
                time.sleep(20)
                print("at work")
            listener.accept()

    def client() -> None:
        with socket.create_connection(("h0", 7000)):
            time.sleep(0.1)

    lines: list[str] = []
    with World(seed=1, output=lambda host, stream, line: lines.append(line)) as world:
        world.host("h0").run(server)
        world.host("h1").run(client, start=1)
        with pytest.raises(Exception, match=r"BrokenPipe|Reset|status 1"):
            world.run()
        assert 40 <= world.now <= 42
    with World(seed=1, output=lambda host, stream, line: lines.append(line)) as world:
        world.host("h0").run(server)
        world.host("h1").run(lambda: (socket.create_connection(("h0", 7000)), time.sleep(100)), start=1)
        assert world.run() == pytest.approx(121 + 30, abs=1)


TICKS: dict[str, Callable[[float, int], None]] = {}


def ticking(function: Callable[[float, int], None]) -> Callable[[float, int], None]:
    TICKS[function.__name__] = function
    return function


@ticking
def sleeps(interval: float, times: int) -> None:
    for _ in range(times):
        time.sleep(interval)


@ticking
def waits_for_an_event(interval: float, times: int) -> None:
    event = threading.Event()
    for _ in range(times):
        event.wait(interval)


@ticking
def sleeps_in_a_loop(interval: float, times: int) -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda *_: None, "", 7):
            for _ in range(times):
                await asyncio.sleep(interval)

    asyncio.run(main())


@ticking
def has_an_alarm(interval: float, times: int) -> None:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
    for _ in range(times):
        signal.pause()


@ticking
def watches_the_clock(interval: float, times: int) -> None:
    end = time.monotonic() + interval * times
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("tick", TICKS)
def test_a_program_that_computes_by_its_own_timers_is_waited_for_but_not_for_ever(tick: str) -> None:
    """Nobody said that it is a service; of one that was called a service nobody waits for timers."""

    def program(times: int) -> None:
        with listen():
            TICKS[tick](1, times)

    ended, ends = run(lambda: program(60), other)
    assert ended == pytest.approx(60, abs=0.01)
    assert ends[0][0] == 0
    ended, ends = run(lambda: program(1_000), other)
    assert ended == pytest.approx(2.2 + 300)
    assert ends[0] == (None, None)
    with World(seed=1) as world:
        world.host("server").run(program, 1_000, daemon=True)
        world.host("client").run(other)
        assert world.run() == pytest.approx(2.2 + 30)


def test_what_is_no_service_is_waited_for_whatever_it_does() -> None:
    """It hides, it is said to be none, or its socket is not one that others can come to."""

    def listener() -> None:
        with listen():
            time.sleep(1_000)

    def asker() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 0))
            sock.settimeout(1_000)
            with pytest.raises(TimeoutError):
                sock.recv(1)

    def connected() -> None:
        with bound() as sock:
            sock.connect(("10.0.0.1", 9))
            time.sleep(1_000)

    with World(seed=1) as world:
        for number, program in enumerate((listener, asker, connected)):
            world.host(f"h{number}").run(program, daemon=False if program is listener else None)
        assert world.run() == 1_000.0
        assert [process.status for process in world.processes] == [0, 0, 0]


def test_a_program_that_becomes_a_service_is_quiet_from_then_on() -> None:
    def late() -> None:
        time.sleep(100)
        listen().accept()

    assert run(late, other)[0] == 130.0


def test_restarted_for_ever_is_a_service_unless_it_is_said_to_be_none() -> None:
    with World(seed=1) as world:
        world.host("a").run(time.sleep, 1_000, restart="always")
        world.host("b").run(other)
        assert world.run() == pytest.approx(32.2)
    with World(seed=1) as world:
        world.host("a").run(time.sleep, 1_000, restart="always", daemon=False)
        world.host("b").run(other)
        assert world.run(until=2_500.0) == 2_500.0
        assert not world.finished


def test_a_run_goes_on_after_its_end() -> None:
    with World(seed=1) as world:
        world.host("a").run(poll_for_ever)
        world.host("b").run(other)
        assert world.run() == pytest.approx(32.2)
        assert world.run(until=40.0) == 40.0
        assert world.run() == pytest.approx(62.2)
        world.host("b").run(other)
        assert world.run() == pytest.approx(62.2 + 2.2 + 30)
    with World(seed=1) as world:
        assert world.run(until=5.0) == 5.0  # nothing to end, so time passes


# Deadlocks.


def hang(thread: bool = False) -> None:
    if thread:
        threading.Thread(target=hang, name="helper").start()
    left, right = socket.socketpair()
    with left, right:
        left.recv(1)


async def hang_in_tasks() -> None:
    async def part(event: asyncio.Event) -> None:
        await event.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(part(asyncio.Event()), name="first part")
        group.create_task(part(asyncio.Event()), name="second part")


@pytest.mark.parametrize("until", [None, 50.0])
def test_programs_that_hang_are_a_deadlock_with_a_time_limit_or_without(until: float | None) -> None:
    with World(seed=1) as world:
        host = world.host("host")
        host.run(hang, True, start=3.0)
        host.run(hang_in_tasks)
        host.run(lambda: listen().accept())
        host.run(lambda: 1 / 0)
        with pytest.raises(DeadlockError, match=r"at 3\.000000 s") as report:
            world.run(until)
        assert world.now == 3.0
        assert isinstance(report.value.__cause__, ZeroDivisionError)
        assert isinstance(report.value, StillRunning)
        text = str(report.value)
        for expected in (
            r"host: hang \(pid 1003\) waits in recv on local socket at .*test_ending\.py:\d+ in hang",
            r"host: hang \(pid 1003\) waits in recv on local socket \(thread helper\) at .*test_ending\.py:\d+ in hang",
            r"host: hang_in_tasks \(pid 1000\) waits in epoll_wait on epoll of .*",
            r"  task first part waits at .*test_ending\.py:\d+ in part",
            r"  task second part waits at .*test_ending\.py:\d+ in part",
            r"waits in accept on tcp 0\.0\.0\.0:7000 LISTEN at .*test_ending\.py:\d+ in <lambda>",
            r"host: <lambda> \(pid 1002\) had ended with status 1",
        ):
            assert len(re.findall(expected, text)) == 1, (expected, text)
        if until is not None:
            assert world.run(until, check=False, deadlock=False) == until


def test_programs_that_have_not_ended_in_time_are_named_if_asked_for() -> None:
    def slow() -> None:
        time.sleep(1_000)

    with World(seed=1) as world:
        world.host("server").run(poll_for_ever)
        world.host("client").run(slow)
        assert world.run(until=100.0) == 100.0
        with pytest.raises(
            StillRunning, match=r"(?s)at 200\.0.*client: slow \(pid 1000\) waits in sleep at .* in slow"
        ):
            world.run(until=200.0, complete=True)
        world.run(until=2_000.0, complete=True)
        assert world.now == pytest.approx(1_030)


def test_a_report_of_many_is_cut() -> None:
    with World(seed=1) as world:
        host = world.host("host")
        for _ in range(150):
            host.run(hang)
        with pytest.raises(DeadlockError, match="and 50 lines more"):
            world.run(10.0)


# Thread pools.

POOLS = {
    "idle workers": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        print(pool.submit(lambda: 42).result())
        """,
    "work that is queued": """
        import time
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        for number in range(3):
            pool.submit(lambda number=number: (time.sleep(0.01), print(number)))
        print("main ends")
        """,
    "work that submits more": """
        import time
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(1)
        def more():
            time.sleep(0.01)
            try:
                pool.submit(print, "never")
            except RuntimeError as error:
                print(error)
        pool.submit(more)
        """,
    "asyncio.to_thread": """
        import asyncio
        loop = asyncio.new_event_loop()
        print(loop.run_until_complete(asyncio.to_thread(lambda: 42)))
        """,
    "a loop that never ran": """
        import asyncio
        loop = asyncio.new_event_loop()
        loop.run_in_executor(None, print, "in a thread")
        """,
    "an exit by exception": """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        pool.submit(print, "worked")
        raise SystemExit(3)
        """,
    "a pool in a module, and exit handlers": """
        import atexit
        import pooled
        atexit.register(lambda: print("exit handler"))
        print(pooled.pool.submit(lambda: 42).result())
        """,
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_left_open_end_as_in_python(tmp_path: Path, name: str) -> None:
    """CPython is the oracle: the same lines, the same status."""
    (tmp_path / "program.py").write_text(textwrap.dedent(POOLS[name]))
    (tmp_path / "pooled.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)\n"
    )
    real = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert real.stderr == ""
    lines: list[tuple[str, str]] = []
    with World(seed=1, directory=tmp_path, output=lambda host, *line: lines.append(line)) as world:
        world.host("host").run("program.py")
        world.run(10.0, check=False)
        assert world.processes[0].status == real.returncode
    assert lines == [("stdout", line) for line in real.stdout.splitlines()]


def test_the_end_of_one_process_closes_no_pool_of_another() -> None:
    lines: list[str] = []

    def long() -> None:
        with ThreadPoolExecutor(2) as pool:
            for number in range(3):
                time.sleep(1)
                print(pool.submit(lambda number=number: number).result())

    def short() -> None:
        pool = ThreadPoolExecutor(2)
        pool.submit(time.sleep, 0.5)
        globals()["_kept"] = pool

    with World(seed=1, output=lambda host, stream, line: lines.append(line)) as world:
        host = world.host("host")
        host.run(long)
        host.run(short)
        world.run()
    assert lines == ["0", "1", "2"]
    assert world.processes[1].ended_at == 0.5


# Only the world's time decides.

WORLD = """
[world]
quiet = "7s"
[link]
latency = "20ms"
loss = "3%"
[hosts.server]
run = "server.py"
[hosts.peer]
run = "peer.py"
[hosts.client]
run = "client.py"
start = "1s"
[[events]]
at = "3s"
crash = "peer"
for = "5s"
"""

SERVER = """
import asyncio
async def serve(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await asyncio.sleep(0.3)
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "", 7):
        for _ in range(12):
            await asyncio.sleep(5)
        print("one minute")
        await asyncio.Event().wait()
asyncio.run(main())
"""

PEER = """
import socket, time
with socket.create_server(("", 7000)):
    for number in range(9):
        time.sleep(4)
        print("working", number)
"""

CLIENT = """
import asyncio
async def main():
    reader, writer = await asyncio.open_connection("server", 7)
    for number in range(20):
        writer.write(bytes(300))
        await reader.readexactly(300)
    writer.close()
asyncio.run(main())
"""


def absurd(kind: str) -> Callable[[], float]:
    """A wall clock that tells nothing: each reading is far from the last, or none is."""
    chance = random.Random(kind)
    if kind == "stands still":
        return lambda: 0.0
    if kind == "runs backward":
        return itertools.count(0, -1_000_000).__next__
    if kind == "races":
        return itertools.count(0, 1_000_000).__next__
    return lambda: chance.choice((-1e18, 0.0, 1e-9, 1.0, 1e18, float("inf")))


def test_the_end_is_the_same_whatever_the_wall_clock_shows(tmp_path: Path) -> None:
    for name, text in {"world.toml": WORLD, "server.py": SERVER, "peer.py": PEER, "client.py": CLIENT}.items():
        (tmp_path / name).write_text(text)

    def report(wall: Callable[[], float]) -> dict[str, Any]:
        plan = read_world(tmp_path / "world.toml")
        lines: list[object] = []
        world = World(plan.seed, directory=plan.folder, quiet=plan.quiet, output=lambda *line: lines.append(line))
        build_world(plan, world, lines.append)
        looks: list[float] = []
        """Where a run is looked at, objects are made: were it where the clock says, ids would depend on it."""
        figures = Runner(world, wall=wall, progress=looks.append).run(None).to_json()
        del figures["wall_seconds"]
        return {**figures, "lines": lines, "looks": looks}

    expected = report(time.perf_counter)
    assert [process["end"] for process in expected["processes"]] == ["stopped", "crashed", "exited", "exited"]
    assert expected["programs_ended"] == pytest.approx(8 + 36)
    assert expected["virtual_seconds"] == pytest.approx(60 + 7, abs=0.1)
    for kind in ("stands still", "runs backward", "races", "random", "random as well"):
        assert report(absurd(kind)) == expected, kind


def test_a_file_says_how_long_quiet_is(tmp_path: Path) -> None:
    path = tmp_path / "world.toml"
    path.write_text("[world]\nquiet = '1min 5s'\n[hosts.a]\n")
    assert read_world(path).quiet == 65.0
    path.write_text("[world]\nquiet = '5 parsecs'\n[hosts.a]\n")
    with pytest.raises(WorldFileError, match=r"world\.toml:2: quiet: unknown unit of time"):
        read_world(path)
    with pytest.raises(ValueError, match="a duration cannot be negative: -1"):
        World(quiet=-1)
    with World(quiet="2s") as world:
        assert world.ending.quiet == 2.0


def test_the_interpreter_ends_in_silence_whatever_loops_programs_left_open() -> None:
    """Loops of dead processes, of living ones, and of the outside, all found by the last collection."""
    script = textwrap.dedent(
        """
        import asyncio
        from catenet.world import World
        kept = [asyncio.new_event_loop()]
        def program(forget):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(asyncio.sleep(1))
            if not forget:
                kept.append(loop)
            loop.run_in_executor(None, len, "")
        world = World()
        world.host("a").run(program, False)
        world.host("a").run(program, True)
        world.run()
        kept.append(asyncio.new_event_loop())
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_workers_of_a_pool_that_a_daemonic_thread_started_are_waited_for_and_forgotten():
    """The interpreter waits for all workers, daemonic or not; and at its own end it knows none of a world's."""
    from concurrent.futures import thread as pools

    before, done = set(pools._threads_queues), []

    def program():
        pool = ThreadPoolExecutor(1)

        def work():
            time.sleep(5)
            done.append(time.monotonic())

        threading.Thread(target=lambda: pool.submit(work), daemon=True).start()
        time.sleep(1)

    ends = run(program)[1]
    assert ends[0][0] == 0
    assert len(done) == 1
    assert set(pools._threads_queues) <= before
