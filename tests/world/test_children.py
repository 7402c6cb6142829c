"""Programs that fork: what they do on the real kernel they do on a simulated host, in virtual time."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.world import child_scenarios, program_scenarios

from catenet.posix.errors import NotModelled
from catenet.world import World
from catenet.world.engine.children import forking, others, service
from catenet.world.engine.children.wire import LARGEST, LONGEST, PRIVATE, Wire, WireError, plain

FOLDER = Path(__file__).parent
REALLY: dict[str, Callable[..., Any]] = {"listdir": os.listdir, "readlink": os.readlink}
"""What these are outside of worlds."""


def compared(script: str) -> dict[str, dict[str, Any]]:
    """The results of a file's scenarios, on the kernel and in worlds."""
    runs = {
        where: subprocess.Popen(
            [sys.executable, FOLDER / script, where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for where in ("real", "simulated")
    }
    found = {}
    for where, run in runs.items():
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, err
        found[where] = json.loads(out)
    return found


@pytest.fixture(scope="module")
def of_forks() -> dict[str, dict[str, Any]]:
    """The results of programs that fork."""
    return compared("child_scenarios.py")


@pytest.fixture(scope="module")
def of_programs() -> dict[str, dict[str, Any]]:
    """The results of programs that start others."""
    return compared("program_scenarios.py")


@pytest.mark.parametrize("name", [each.__name__ for each in child_scenarios.SCENARIOS])
def test_forks_as_on_the_real_kernel(name: str, of_forks: dict[str, dict[str, Any]]) -> None:
    assert of_forks["simulated"][name] == of_forks["real"][name]


@pytest.mark.parametrize("name", [each.__name__ for each in program_scenarios.SCENARIOS])
def test_starts_programs_as_on_the_real_kernel(name: str, of_programs: dict[str, dict[str, Any]]) -> None:
    assert of_programs["simulated"][name] == of_programs["real"][name]


def alone(*programs: Callable[..., object], fails: bool = False) -> list[str]:
    """What programs of one host print that may fork."""
    lines: list[str] = []
    with World(output=lambda host, stream, line: lines.append(line)) as world:
        host = world.host("a")
        host.owns_process = True
        for program in programs:
            host.run(program)
        world.run(check=not fails)
    return lines


# The same trace as with threads.


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(64):
                time.sleep(0.003)
                connection.sendall(data)


def by_threads() -> None:
    listener = socket.create_server(("0.0.0.0", 9001))
    for _ in range(3):
        threading.Thread(target=serve, args=(listener,)).start()


def by_children() -> None:
    listener = socket.create_server(("0.0.0.0", 9001))
    for _ in range(3):
        if os.fork() == 0:
            serve(listener)
    time.sleep(1e6)


def ask(server: str, count: int) -> None:
    for _ in range(2):
        with socket.create_connection((server, 9001)) as connection:
            for number in range(count):
                connection.sendall(b"%d" % number * 9)
                assert connection.recv(64)


def trace_of(server: Callable[[], None]) -> str:
    with World(seed=3) as world:
        host = world.host("server")
        host.owns_process = True
        host.run(server, daemon=True)
        for number in range(5):
            world.host(f"client{number}").run(ask, "server", 10, start=1.0)
        for name in world.hosts:
            world.link(name, latency=0.005, loss=0.02, jitter=0.001)
        world.run()
        return world.trace.hexdigest()


def test_a_prefork_server_sends_the_packets_of_one_with_threads() -> None:
    assert len({trace_of(by_threads), trace_of(by_children), trace_of(by_children)}) == 1


# Nothing is left behind.


def real_children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def fork_and_wait() -> None:
    for _ in range(3):
        if os.fork() == 0:
            os.fork()
            time.sleep(1e6)
    time.sleep(1e6)


def test_a_crash_kills_the_children() -> None:
    before = real_children()
    with World() as world:
        host = world.host("a")
        host.owns_process = True
        host.run(fork_and_wait, daemon=True)
        world.run(1)
        assert len(real_children() - before) == 3
        assert sum(process.alive for process in host.processes) == 7
        host.crash()
        world.run(1.5)
        assert not any(process.alive for process in host.processes)
        host.restart()
        world.run(2)
        assert sum(process.alive for process in host.processes) == 7
    assert real_children() == before
    assert not PRIVATE


def test_no_child_outlives_the_world_that_is_killed() -> None:
    script = """
import os, time
from catenet.world import World
def program():
    if os.fork() == 0:
        if os.fork() == 0:
            while True:
                pass  # computes for ever
        time.sleep(1e6)
    time.sleep(1e6)
with World() as world:
    world.host("a").owns_process = True
    world.host("a").run(program)
    print("runs", flush=True)
    world.run()
"""
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert run.stdout is not None
    run.stdout.readline()
    while len(session(run.pid)) < 3:
        time.sleep(0.01)
    run.kill()
    run.wait()
    while session(run.pid):  # until the kernel has killed them: else this never ends
        time.sleep(0.01)


def session(number: int) -> list[int]:
    """Processes of a session of the machine that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == number and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def test_children_have_no_descriptors_of_the_engine() -> None:
    lines = alone(count_sockets)
    assert len(set(lines)) == 1 and len(lines) == 3


def real_links() -> list[str]:
    """Where the descriptors of this process of the machine lead."""
    found = []
    for number in REALLY["listdir"]("/proc/self/fd"):
        try:
            found.append(REALLY["readlink"](f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # by which they were listed
    return found


def count_sockets() -> None:
    """Print how many sockets of the machine each of three children has."""
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(1)
            print(sum("socket:" in link for link in real_links()), flush=True)
            os._exit(0)
    for _ in range(3):
        os.wait()


def test_a_child_that_dies_on_the_machine_has_died() -> None:
    def program() -> None:
        pid = os.fork()
        if pid == 0:
            faulthandler.disable()
            ctypes.string_at(0)
        print(os.waitpid(pid, 0)[1])

    assert alone(program) == [str(int(signal.SIGSEGV))]


def test_output_is_that_of_the_child() -> None:
    def program() -> None:
        print("begun by the parent, ", end="")
        if os.fork() == 0:
            print("by the child")
            raise SystemExit(0)
        os.wait()
        print("ended by the parent")

    assert alone(program) == ["by the child", "begun by the parent, ended by the parent"]


def test_the_world_says_what_children_wait_for() -> None:
    def program() -> None:
        reader, _ = os.pipe()
        if os.fork() == 0:
            os.read(reader, 1)
        os.wait()

    with pytest.raises(Exception, match="read on pipe") as raised:
        alone(program)
    assert "waits in waitpid" in str(raised.value)


def test_status_of_descriptors_that_are_no_files() -> None:
    def program() -> None:
        for descriptor in (*os.pipe(), *[each.detach() for each in socket.socketpair()]):
            status = os.fstat(descriptor)
            print(status.st_mode >> 12, status.st_mtime_ns)

    assert alone(program) == ["1 0", "1 0", "12 0", "12 0"]


# Refusals and limits.


def test_hosts_that_share_a_process_do_not_fork(internet: Any) -> None:
    messages: list[str] = []

    def program() -> None:
        try:
            os.fork()
        except NotModelled as error:
            messages.append(str(error))

    internet.client.run(program)
    internet.run()
    assert len(messages) == 1 and 'isolation = "process"' in messages[0]


def test_a_host_has_a_limit_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "MOST_CHILDREN", 4)

    def program() -> None:
        for _ in range(5):
            try:
                if os.fork() == 0:
                    time.sleep(1)
                    os._exit(0)
            except BlockingIOError as error:
                print(error.errno)

    assert alone(program) == ["11", "11"]


def wires(limit: int = LARGEST) -> tuple[Wire, Wire]:
    one, other = socket.socketpair()
    return Wire(one.detach()), Wire(other.detach(), limit)


def test_what_is_no_message_is_refused() -> None:
    for data in (b"\x04\0\0\0abcd", b"\x01\0\0\0N", b"\xff\xff\xff\xff", b"\x02\0\0\0)\0"):
        child, kernel = wires(LONGEST)
        os.write(child.descriptor, data)
        with pytest.raises(WireError):
            kernel.receive()
        child.close(), kernel.close()
    assert not PRIVATE


def test_messages_come_whole_and_in_order() -> None:
    one, other = wires()
    sender = threading.Thread(
        target=lambda: [one.queue((number, bytes(50_000))) for number in range(40)] and one.flush()
    )
    sender.start()
    assert [other.receive() for _ in range(40)] == [(number, bytes(50_000)) for number in range(40)]
    sender.join()
    one.close()
    assert other.receive() is None
    other.close()


def test_values_travel_plainly() -> None:
    value = {"a": (socket.AF_INET, bytearray(b"x")), signal.SIGTERM: [{3, 1}, memoryview(b"y"), None, True, 1.5]}
    assert plain(value) == {"a": (2, b"x"), 15: [[1, 3], b"y", None, True, 1.5]}
    with pytest.raises(TypeError):
        plain(object())


@pytest.mark.parametrize(
    "request_", [("no such",), ("file", 5, "__class__", ()), ("function", "os.system", ("true",), {})]
)
def test_a_child_that_breaks_the_rules_is_killed(request_: tuple[Any, ...]) -> None:
    def program() -> None:
        from catenet.world.engine.children import client

        reader, _ = os.pipe()
        pid = os.fork()
        if pid == 0:
            request = (*request_[:1], reader, *request_[2:]) if request_[0] == "file" else request_
            assert client.client is not None
            client.client.call(*request)
        print(os.waitpid(pid, 0)[1])

    assert alone(program) == [str(int(signal.SIGKILL))]
    assert service.ASKED.keys().isdisjoint(service.TOLD)


# Programs.


def test_programs_that_are_not_python_have_no_network() -> None:
    def program() -> None:
        print(subprocess.check_output(["cat", "/proc/net/dev"], text=True))

    lines = [line.partition(":")[0].strip() for line in alone(program) if ":" in line]
    assert lines == ["lo"]


def test_where_the_network_cannot_be_closed_only_programs_of_a_list_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "_unshare", lambda flags: -1)

    def program() -> None:
        print(subprocess.check_output(["echo", "harmless"], text=True), end="")
        done = subprocess.run(["getconf", "--no-such-option"], capture_output=True, check=False)
        print(done.returncode)
        done = subprocess.run(["sed", "--version"], capture_output=True, text=True, check=False)
        print(done.returncode, done.stderr, end="")
        try:
            subprocess.run("cat <<X\na\nX", shell=True, check=False)
        except NotModelled as error:
            print(error)

    lines = alone(program)
    assert lines[:2] == ["harmless", "2"]
    assert lines[2].startswith("126 ") and "not run, for it might reach" in lines[2]
    assert "does not know here-documents" in lines[3]


def test_a_program_that_runs_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "LONGEST_RUN", 0.0)

    def program() -> None:
        done = subprocess.run(["tail", "-f", "/dev/null"], capture_output=True, text=True, check=False)
        print(done.returncode, done.stderr, end="")

    (line,) = alone(program)
    assert line.startswith("-9 /") and line.endswith("tail: ended by catenet: it has run for 0 s of real time")


def test_programs_take_the_worlds_time() -> None:
    def program() -> None:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(3600)"], check=True)
        subprocess.run(["sleep", "60"], check=True)
        subprocess.run(["true"], check=True)
        print(time.monotonic())
        shown = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True, check=True).stdout
        print(float(shown) == time.time(), subprocess.getoutput("date -u -d @0 +%Y"))

    assert alone(program) == ["4660.0", "True 1970"]


@pytest.mark.root
def test_programs_of_root_have_rights_to_files_alone() -> None:
    def program() -> None:
        print(subprocess.run(["date", "-s", "@5"], capture_output=True, text=True, check=False).returncode)
        status = subprocess.check_output(["cat", "/proc/self/status"], text=True)
        print(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")))

    assert alone(program) == ["1", f"{0b11111:016x}"]


def test_hosts_that_share_a_process_start_no_programs(internet: Any) -> None:
    messages: list[str] = []

    def program() -> None:
        for start in (lambda: subprocess.run(["true"], check=False), lambda: os.popen("true")):
            try:
                start()
            except NotModelled as error:
                messages.append(str(error))

    internet.client.run(program)
    internet.run()
    assert len(messages) == 2 and 'isolation = "process"' in messages[0]


def same_as_on_the_kernel(script: str, *args: str, fails: bool = False) -> None:
    """Assert that a program prints the same on a host that has a process of its own."""
    path = str(FOLDER / "programs" / script)
    commands = [[path, *args], ["-m", "catenet", "run", "--isolation", "process", path, *args]]
    real, simulated = (
        subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=100, check=False)
        for words in commands
    )
    lines = [line.removeprefix("host  | ") for line in simulated.stdout.splitlines() if line.startswith("host  | ")]
    assert lines == real.stdout.splitlines()
    assert "Traceback" not in simulated.stderr + real.stderr
    assert [bool(real.returncode), bool(simulated.returncode)] == [fails, fails]


def test_programs_begin_in_the_place_of_others_as_on_the_kernel() -> None:
    same_as_on_the_kernel("execs.py", fails=True)


# multiprocessing.


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_as_in_the_interpreter(method: str) -> None:
    same_as_on_the_kernel("pools.py", method)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_memory_is_shared_by_its_name_as_in_the_interpreter(method: str) -> None:
    same_as_on_the_kernel("memory.py", method)


# What is below /proc.


def test_proc_tells_of_the_host_what_the_kernel_tells_of_itself() -> None:
    same_as_on_the_kernel("proc.py")


def test_processes_that_a_program_leaves_are_not_the_interpreters() -> None:
    """It would wait for them at its end, or kill what has their number on the machine."""

    def program() -> None:
        context = multiprocessing.get_context("fork")
        context.Process(target=time.sleep, args=(100,), daemon=True).start()
        os._exit(0)

    alone(program)
    assert multiprocessing.active_children() == []


def test_handlers_of_libraries_may_wait_in_the_copy_that_becomes_the_child() -> None:
    script = """
import os, threading, time
def begin_again():
    threading.Thread(target=lambda: None, daemon=True).start()
os.register_at_fork(after_in_child=begin_again)
from catenet.world import World
def program():
    for number in range(3):
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(1)
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
            os._exit(number)
    print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3)))
with World(output=lambda host, stream, line: print(line)) as world:
    for name in "ab":
        world.host(name).owns_process = True
        world.host(name).run(program)
        world.host(name).run(program)
    world.run()
"""
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=60, check=False)
    assert done.stdout.split("\n") == [*"7" * 12, *["[0, 1, 2]"] * 4, ""], done.stderr


def test_a_handler_that_was_there_before_the_world_calls_as_the_grandchild(tmp_path: Path) -> None:
    """As asyncio's does since CPython 3.12; the answer went to the parent, whose connection the copy still has."""
    (tmp_path / "nested.py").write_text(
        "import os\n"
        "if not (child := os.fork()):\n"
        "    if not (grandchild := os.fork()):\n"
        "        os._exit(4)\n"
        "    print(os.waitpid(grandchild, 0)[1] >> 8, flush=True)\n"
        "    os._exit(3)\n"
        "print(os.waitpid(child, 0)[1] >> 8)\n"
    )
    script = (
        "import os, signal\n"
        "def handler():\n"
        "    sum(range(3_000_000))  # the parent asks first\n"
        "    signal.set_wakeup_fd(-1)\n"
        "os.register_at_fork(after_in_child=handler)\n"
        "from catenet.world import World\n"
        "with World(isolation='process') as world:\n"
        "    world.host('machine').run('nested.py')\n"
        "    world.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert [line for line in done.stdout.splitlines() if "|" in line] == ["machine | 4", "machine | 3"], done.stderr
