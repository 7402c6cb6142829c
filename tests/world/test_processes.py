"""How processes begin, live apart from each other, and end."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from catenet.world import DeadlockError, ProcessFailed, World


def write(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("code", "status", "stderr"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("import sys; sys.exit('sorry')", 1, "sorry"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
        ("import os; os._exit(7)", 7, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
        ("import signal; signal.alarm(2); signal.pause()", 142, ""),
        ("import nothing_of_this_name", 1, "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def f(:", 1, "SyntaxError: invalid syntax"),
    ],
)
def test_exit_status(internet: Any, code: str, status: int, stderr: str) -> None:
    internet.client.run(["-c", code])
    internet.world.run(10, check=False)
    assert [process.status for process in internet.world.processes] == [status]
    assert (internet.printed("client", "stderr") or [""])[-1] == stderr


def test_a_script_has_what_python_gives_it(internet: Any, tmp_path: Path) -> None:
    write(tmp_path, "helper.py", "import sys\nVALUE = [__name__]")
    write(
        tmp_path,
        "main.py",
        """import os, sys, helper
assert __name__ == "__main__" and sys.modules["__main__"].__dict__ is globals()
print(sys.argv[1:], os.path.basename(__file__), helper.VALUE, input("? "))
os.environ["ONLY_HERE"] = "yes"
""",
    )
    internet.client.run(f"{tmp_path}/main.py --flag 'two words'", "end", stdin="typed\nmore")
    internet.run()
    assert internet.printed("client") == ["? ['--flag', 'two words', 'end'] main.py ['helper'] typed"]
    assert "ONLY_HERE" not in os.environ and "helper" not in sys.modules


def test_programs_have_their_own_modules(internet: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path, f"{name}/config.py", f"NAME = {name!r}\ncalls = []")
        write(tmp_path, f"{name}/package/__init__.py", "from . import part") if (tmp_path / name / "package").mkdir(
            parents=True
        ) is None else None
        write(tmp_path, f"{name}/package/part.py", "import config\nNAME = config.NAME")
        write(
            tmp_path,
            f"{name}/main.py",
            "import time, config\ntime.sleep(1)\nimport config as again, package\n"
            "config.calls.append(1)\nassert again is config\nprint(config.NAME, package.part.NAME, len(config.calls))",
        )
    for name in ("one", "two", "one"):
        internet.client.run(f"{tmp_path}/{name}/main.py")
    internet.run()
    assert sorted(internet.printed("client")) == ["one one 1", "one one 1", "two two 1"]
    assert "config" not in sys.modules


def test_environment_directory_and_random_are_the_processs_own(internet: Any, tmp_path: Path) -> None:
    outside = os.getcwd()
    for number in range(2):
        write(
            tmp_path,
            f"{number}.py",
            f"import os, random, time\nos.environ['WHO'] = '{number}'\nrandom.seed({number})\n"
            f"os.makedirs('{tmp_path}/d{number}'); os.chdir('{tmp_path}/d{number}')\n"
            "time.sleep(1)\nprint(os.environ['WHO'], os.path.basename(os.getcwd()), random.random(), os.getpid())",
        )
        internet.client.run(f"{tmp_path}/{number}.py")
    internet.run()
    assert internet.printed("client") == ["0 d0 0.8444218515250481 1000", "1 d1 0.13436424411240122 1001"]
    assert os.getcwd() == outside


def test_exit_handlers_and_threads_end_the_process(internet: Any) -> None:
    seen: list[str] = []

    def program() -> None:
        atexit.register(seen.append, "first registered")
        atexit.register(seen.append, "last registered")
        threading.Thread(target=lambda: (time.sleep(5), seen.append(f"thread at {time.monotonic():.0f}"))).start()
        threading.Thread(target=lambda: (time.sleep(500), seen.append("never")), daemon=True).start()
        seen.append("main ends")

    internet.client.run(program)
    internet.run()
    assert seen == ["main ends", "thread at 1005", "last registered", "first registered"]
    assert internet.world.now == 5.0


def test_a_failure_of_a_callable_is_the_callers(internet: Any) -> None:
    def program() -> None:
        time.sleep(1)
        raise LookupError("nowhere")

    internet.client.run(program)
    with pytest.raises(ProcessFailed, match=r"client: program \(pid 1000\) ended with status 1") as failure:
        internet.world.run()
    assert isinstance(failure.value.__cause__, LookupError)


def test_deadlock_is_reported_with_calls_and_sockets(internet: Any) -> None:
    def server() -> None:
        socket.create_server(("", 80)).accept()

    def waiter() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 53))
            sock.recv(10)

    async def sleeper() -> None:
        await asyncio.Event().wait()

    internet.server.run(server)
    internet.client.run(waiter)
    internet.client.run(sleeper)
    with pytest.raises(DeadlockError) as report:
        internet.world.run()
    text = str(report.value)
    assert "server: server (pid 1000) waits in accept on tcp 0.0.0.0:80 LISTEN" in text
    assert "client: waiter (pid 1000) waits in recv on udp 0.0.0.0:53" in text
    assert "client: sleeper (pid 1001) waits in epoll_wait on epoll of" in text


def test_locks_across_threads_deadlock_visibly(internet: Any) -> None:
    lock = threading.Lock()

    def program() -> None:
        with lock, lock:
            raise AssertionError("a lock was taken twice")

    internet.client.run(program)
    with pytest.raises(DeadlockError, match=r"waits in lock.acquire"):
        internet.world.run()


def test_services_may_run_on_when_the_world_ends(internet: Any) -> None:
    def service() -> None:
        while True:
            time.sleep(1)

    internet.server.run(service, daemon=True)
    internet.client.run(time.sleep, 10)
    assert internet.world.run() == 40.0
    internet.client.run(time.sleep, 5)
    assert internet.world.run() == 75.0


def test_terminate_lets_programs_clean_up(internet: Any) -> None:
    seen: list[str] = []

    def polite() -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(4))
        try:
            time.sleep(1000)
        finally:
            time.sleep(1)
            seen.append("cleaned up")

    def stubborn() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
        seen.append("never")

    internet.client.run(polite)
    internet.client.run(stubborn)
    internet.client.run(time.sleep, 1000)
    internet.world.run(5)
    internet.world.terminate(grace=3)
    assert seen == ["cleaned up"]
    assert [process.status for process in internet.world.processes] == [4, 137, 143]


def test_a_signal_interrupts_and_the_call_goes_on(internet: Any) -> None:
    seen: list[float] = []

    def program() -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(time.monotonic()))
        signal.setitimer(signal.ITIMER_REAL, 0)
        threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        time.sleep(5)
        seen.append(time.monotonic())

    internet.client.run(program)
    internet.run()
    assert seen == [1002.0, 1005.0]


# Crashes.


def test_a_crash_takes_the_host_down_without_a_word(internet: Any, version: int) -> None:
    seen: list[str] = []

    def server() -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.create_server(("", 80), family=family) as listener:
            while True:
                connection, _ = listener.accept()
                seen.append("accepted")
                connection.recv(10)
                seen.append("told")

    def client() -> None:
        sock = socket.create_connection((internet.address(version), 80))
        time.sleep(5)
        sock.settimeout(5)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        time.sleep(20)
        with pytest.raises(ConnectionResetError):
            for _ in range(100):
                sock.send(b"x")
                time.sleep(1)
        with socket.create_connection((internet.address(version), 80)):
            seen.append("connected again")

    internet.server.run(server, daemon=True)
    internet.client.run(client, start=0.1)
    internet.world.at(3.0, internet.server.crash)
    internet.world.at(20.0, internet.server.restart)
    internet.run()
    assert seen[:2] == ["accepted", "connected again"]
    assert [process.status for process in internet.server.processes] == [137, None]


def test_a_crash_rolls_back_what_was_not_committed(internet: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "scores.db")

    def server() -> None:
        database = sqlite3.connect(path)
        database.execute("create table if not exists scores (n integer)")
        count = database.execute("select count(*) from scores").fetchone()[0]
        database.execute("insert into scores values (1)")
        database.commit()
        database.execute("insert into scores values (2)")
        print("rows at start", count)
        time.sleep(100)
        database.commit()

    internet.server.run(server, daemon=True)
    internet.world.at(5.0, internet.server.restart)
    internet.client.run(time.sleep, 10)
    internet.run()
    assert internet.printed("server") == ["rows at start 0", "rows at start 1"]


def test_a_program_that_swallows_everything_still_dies(internet: Any) -> None:
    rounds: list[int] = []

    def immortal() -> None:
        while True:
            try:
                rounds.append(1)
                time.sleep(1)
            except BaseException:
                continue

    internet.server.run(immortal, daemon=True)
    internet.client.run(time.sleep, 10)
    internet.world.at(5.0, internet.server.crash)
    internet.run()
    assert internet.server.processes[0].status == 137
    assert len(rounds) < 1000


def test_a_world_waits_for_a_restart_that_is_to_come() -> None:
    seen: list[float] = []
    with World(seed=1) as world:
        host = world.host("host")
        host.run(lambda: seen.append(world.now))
        world.at(1.0, host.crash)
        world.at(5.0, host.restart)
        world.at(7.0, host.run, lambda: seen.append(world.now))
        world.at(9.0, seen.append, 9.0)
        assert world.run() == 7.0
    assert seen == [0.0, 5.0, 7.0]


def test_actions_run_outside_of_whatever_process_ran_last() -> None:
    seen: list[object] = []
    directory = os.getcwd()

    def program() -> None:
        os.chdir("/")
        sys.argv = ["program"]

        async def main() -> None:
            await asyncio.sleep(2)

        asyncio.run(main())

    def action() -> None:
        seen.extend((os.getcwd(), sys.argv[0] != "program", asyncio._get_running_loop()))
        asyncio.run(asyncio.sleep(0))

    with World(seed=1) as world:
        world.host("host").run(program)
        world.at(1.0, action)
        world.run()
    assert seen == [directory, True, None]


def test_nobody_hears_of_coroutines_that_a_crash_has_killed(caplog: pytest.LogCaptureFixture) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "0.0.0.0")
        async with server:
            await server.serve_forever()

    with World(seed=1) as world:
        host = world.host("host")
        host.run(lambda: asyncio.run(serve()), daemon=True)
        host.run(lambda: threading.Thread(target=lambda: asyncio.run(serve())).start(), start=0.5, daemon=True)
        world.at(1.0, host.crash)
        world.host("other").run(time.sleep, 2)
        world.run()
    gc.collect()
    assert caplog.records == []


def test_nobody_hears_of_pools_and_tasks_that_a_crash_has_killed(caplog: pytest.LogCaptureFixture) -> None:
    """A worker waits for work; a task ends while the coroutine that would await it is ended too."""

    class Work:
        async def __aenter__(self) -> None:
            await asyncio.to_thread(len, "")
            self.task = asyncio.create_task(asyncio.sleep(100))

        async def __aexit__(self, *_: object) -> None:
            self.task.cancel()
            await asyncio.sleep(0)

    async def work() -> None:
        async with Work():
            await asyncio.sleep(100)

    with World(seed=1) as world:
        host = world.host("host")
        host.run(lambda: asyncio.run(work()), daemon=True)
        world.at(1.0, host.crash)
        world.host("other").run(time.sleep, 2)
        world.run()
    gc.collect()
    assert caplog.records == []


def test_restart_policies(internet: Any) -> None:
    def fail() -> None:
        print("failed at", time.monotonic())
        raise SystemExit(1)

    internet.server.run(fail, restart="on-failure", daemon=True)
    internet.server.run(print, "once", restart="on-failure")
    internet.server.run(fail)
    internet.world.run(3, check=False)
    lines = internet.printed("server")
    assert lines.count("once") == 1
    assert [line for line in lines if "failed" in line] == [
        f"failed at {when}" for when in ("1000.0", "1000.0", "1000.1", "1000.3", "1000.7", "1001.5")
    ]


def test_partition_and_heal(internet: Any) -> None:
    seen: list[float] = []

    def server() -> None:
        connection, _ = socket.create_server(("", 80)).accept()
        connection.sendall(connection.recv(10))

    def client() -> None:
        sock = socket.create_connection(("server", 80))
        time.sleep(2)
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        seen.append(time.monotonic())

    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.world.at(1.0, internet.world.partition, "server")
    internet.world.at(10.0, internet.world.heal)
    internet.run()
    assert 1010 < seen[0] < 1040


# Time.


def test_clocks_are_virtual(internet: Any) -> None:
    import datetime

    def program() -> None:
        began = time.time()
        assert time.strftime("%Y-%m-%d", time.gmtime()) == "2025-01-01"
        assert datetime.datetime.now(datetime.UTC).isoformat().startswith("2025-01-01T00:00:00")
        time.sleep(86_400)
        assert time.time() - began == 86_400
        assert datetime.date.today().isoformat() == "2025-01-02"
        assert datetime.datetime.now().year == 2025
        assert time.monotonic_ns() == 87_400 * 10**9

    real = time.time()
    internet.client.run(program)
    internet.run(until=100_000)
    assert time.time() - real < 60
    assert datetime.datetime.now().year > 2025


def test_a_program_that_spins_does_not_stop_the_world(internet: Any) -> None:
    def program() -> None:
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            while time.monotonic() < end + 0.05:
                try:
                    sock.recv(1)
                except BlockingIOError:
                    continue

    internet.client.run(program)
    internet.run()
    assert 0.1 <= internet.world.now < 0.2


def test_a_world_cannot_run_within_a_world(internet: Any) -> None:
    def program() -> None:
        with pytest.raises(RuntimeError, match="within a world"):
            World().run()

    internet.client.run(program)
    internet.run()


def test_what_cannot_be_run_is_refused() -> None:
    host = World().host("a")
    for command, message in (("", "empty"), ("nothing.py", "no program 'nothing.py'"), ("-m", "lacks its argument")):
        with pytest.raises(ValueError, match=message):
            host.run(command)
    with pytest.raises(ValueError, match="restart must be"):
        host.run(print, restart="perhaps")  # type: ignore[arg-type]


def test_catenet_is_a_command_of_every_host(internet: Any) -> None:
    internet.client.run("catenet get data:,hello%0A")
    internet.run()
    assert internet.printed("client") == ["hello"]


def test_the_machines_proxies_are_not_the_hosts(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:3128")
    internet.client.run(["-c", "import os; print([name for name in os.environ if name.lower().endswith('_proxy')])"])
    internet.run()
    assert internet.printed("client") == ["[]"]


def test_a_world_may_run_inside_of_a_running_event_loop(internet: Any) -> None:
    async def program() -> None:
        await asyncio.sleep(1)

    async def outside() -> None:
        loop = asyncio.get_running_loop()
        internet.client.run(program)
        internet.run()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0.001)

    asyncio.run(outside())
    assert internet.world.now == 1


def test_a_fault_free_transfer_fills_the_link(internet: Any, version: int) -> None:
    """10 MB over 100 Mbit/s and 20 ms: at least 80 % of the rate once slow start is over."""
    size, seen = 10_000_000, {}

    def server() -> None:
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        connection, _ = socket.create_server(("", 80), family=family).accept()
        received = 0
        while data := connection.recv(65_536):
            received += len(data)
            seen.setdefault(received // 1_000_000, time.monotonic())
        assert received == size

    def client() -> None:
        with socket.create_connection((internet.address(version), 80)) as sock:
            sock.sendall(bytes(size))

    for host in ("server", "client"):
        internet.world.link(host, latency="5ms", rate="100Mbit")
    internet.server.run(server)
    internet.client.run(client, start=0.1)
    internet.run()
    rate = 8_000_000 * 8 / (seen[10] - seen[2])
    assert rate >= 0.8 * 100e6


def test_closing_a_world_collects_once_for_all_of_its_processes():
    """A collection looks at every object of the world, so one for each process would be quadratic."""
    world = World(seed=1)
    for number in range(30):
        world.host(f"h{number}").run(lambda: time.sleep(100))
    world.run(until=1.0)
    full = []
    gc.callbacks.append(lambda phase, info: full.append(info) if phase == "start" and info["generation"] == 2 else None)
    try:
        world.close()
    finally:
        gc.callbacks.pop()
    assert len(full) <= 2
