"""Hosts in processes of their own: the same packets and lines as together, and nothing of one in another."""

from __future__ import annotations

import importlib
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.world import random_orders
from tests.world.random_isolated import HOSTS, compared, some

from catenet.link.properties import LinkProperties
from catenet.world import World
from catenet.world.engine.errors import DeadlockError, ProcessFailed
from catenet.world.engine.isolation.messages import Channel
from catenet.world.observe.sockets import list_sockets

Line = tuple[str, str, str]

ECHO = """
import socket
with socket.create_server(("", 80)) as server:
    while True:
        with server.accept()[0] as connection:
            while data := connection.recv(65536):
                connection.sendall(data)
"""

ASK = """
import socket, sys, time
for number in range(int(sys.argv[1])):
    with socket.create_connection(("server", 80), timeout=5) as connection:
        connection.sendall(b"x" * 10000)
        left = 10000
        while left:
            left -= len(connection.recv(65536))
    print("got", number, f"{time.monotonic():.6f}")
    time.sleep(0.1)
"""


@cache
def usual(seed: int) -> dict[str, Any]:
    return compared(seed)


@pytest.mark.parametrize("seed", [*range(1, 21), 102])
def test_much_at_one_instant_is_the_same_apart(seed: int) -> None:
    assert random_orders.told(seed, apart=True, workers=2) == random_orders.told(seed)


@pytest.mark.parametrize("seed", range(101, 107))
def test_random_worlds_are_the_same_apart(seed: int) -> None:
    """All hosts, one or two at a time, or some."""
    apart, workers = [(HOSTS, 1), (HOSTS, 2), (some(seed), 2)][seed % 3]
    assert compared(seed, apart, workers) == usual(seed)


def outcome(prepare: Callable[[World], None], isolation: str, **options: Any) -> tuple[Any, list[Line]]:
    """What came of a world, and what its programs said, by host."""
    lines: list[Line] = []
    with World(1, output=lambda *line: lines.append(line), isolation=isolation, **options) as world:
        prepare(world)
        world.run(check=False)
        world.terminate()
    ends = [(process.host.name, process.name, process.status, process.ended_at) for process in world.processes]
    return (world.now, world.trace.hexdigest(), ends), sorted(lines, key=lambda line: line[0])


def run(*programs: tuple[str, list[str]]) -> tuple[list[Line], dict[str, int | None]]:
    """Run programs apart; their lines by host, and how they ended."""
    lines: list[Line] = []
    with World(1, output=lambda *line: lines.append(line), isolation="process") as world:
        for host, command in programs:
            world.host(host).run(command)
        world.run(check=False)
    return sorted(lines, key=lambda line: line[0]), {each.host.name: each.status for each in world.processes}


def clients(world: World) -> None:
    world.host("server").run(["-c", ECHO], daemon=True)
    for number in range(3):
        world.host(f"client{number}").run(["-c", ASK, "5"], start=number / 10)
    for name in world.hosts:
        world.link(name, latency=0.003, loss=0.01, rate=10e6)


@pytest.mark.parametrize("workers", [1, 2])
def test_command_lines_are_the_same_apart(workers: int) -> None:
    assert outcome(clients, "process", workers=workers) == outcome(clients, "shared")


def accidents(world: World) -> None:
    clients(world)
    world.at(0.2, world.hosts["server"].crash)
    world.at(0.4, world.hosts["server"].restart)
    world.at(0.6, world.partition, "client0")
    world.at(1.0, world.heal)
    world.at(1.1, world.link, "client1", latency=0.02, rate=1e6)
    world.at(1.2, world.hosts["client2"].pause)
    world.at(2.2, world.hosts["client2"].resume)
    world.at(2.3, world.hosts["client1"].freeze)
    world.at(2.5, world.hosts["client1"].thaw)
    world.at(2.6, world.renumber, "server")


def test_accidents_are_the_same_apart() -> None:
    assert outcome(accidents, "process") == outcome(accidents, "shared")


PASS_ON = """
import random, socket, sys, time
own, *others = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.bind(("", 9))
    chance, end = random.Random(own), time.monotonic() + 1
    while time.monotonic() < end:
        one.settimeout(chance.uniform(0.001, 0.1))
        try:
            message, sender = one.recvfrom(100)
        except TimeoutError:
            one.sendto(own.encode(), (chance.choice(others), 9))
        else:
            print(message, sender, f"{time.monotonic():.9f}")
            if len(message) < 4:
                one.sendto(message + own.encode(), (chance.choice(others), 9))
"""


def joined(seed: int) -> Callable[[World], None]:
    """Hosts that pass messages on, by networks and by links of their own, of which either may be the shorter way."""

    def prepare(world: World) -> None:
        chance, names = random.Random(seed), ("a", "b", "c", "d")
        for name in names:
            world.host(name, link=LinkProperties(latency=chance.choice((0.0, 0.002, 0.03))))
        for one, other in combinations(names, 2):
            if chance.random() < 0.5:
                world.link(one, other, latency=chance.choice((0.0, 0.001, 0.05)))
        for name in names:
            world.host(name).run(["-c", PASS_ON, name, *(each for each in names if each != name)])

    return prepare


@pytest.mark.parametrize("seed", range(8))
def test_hosts_run_ahead_as_far_as_the_shortest_way_allows(seed: int) -> None:
    found = outcome(joined(seed), "process")
    assert found == outcome(joined(seed), "shared") and len(found[1]) > 20


def test_a_function_and_a_command_line_in_one_world() -> None:
    """The function sees the test's own objects, and the command line is in a process of its own."""
    seen: list[int] = []
    lines: list[Line] = []
    with World(1, output=lambda *line: lines.append(line), isolation="process") as world:
        world.host("server").run(["-c", "import os; print(os.getppid() * 0 + id(object) * 0); " + ECHO], daemon=True)

        def ask() -> None:
            import socket

            with socket.create_connection(("server", 80)) as connection:
                connection.sendall(b"hello")
                seen.append(len(connection.recv(100)))

        world.host("client").run(ask, start=0.1)
        world.run()
        assert world.hosts["server"].elsewhere and not world.hosts["client"].elsewhere
    assert seen == [5] and lines == [("server", "stdout", "0")]


# What belongs to one program stays with it.


def test_what_a_library_has_once_in_a_process_each_host_has_for_itself() -> None:
    """As a reactor that can be started once: here an attribute of an installed module."""
    code = "import json; first = not hasattr(json, 'reactor'); json.reactor = 1; print(first)"
    lines, statuses = run(("a", ["-c", code]), ("b", ["-c", code]))
    assert lines == [("a", "stdout", "True"), ("b", "stdout", "True")]
    assert statuses == {"a": 0, "b": 0}


def test_two_django_sites_have_their_own_settings() -> None:
    code = (
        "import sys; from django.conf import settings; settings.configure(SITE=sys.argv[1]);"
        "import django; django.setup(); print(settings.SITE)"
    )
    lines, statuses = run(("a", ["-c", code, "one"]), ("b", ["-c", code, "other"]))
    assert lines == [("a", "stdout", "one"), ("b", "stdout", "other")]
    assert statuses == {"a": 0, "b": 0}


def test_command_lines_have_nothing_of_what_built_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the state of libraries that a test has loaded, nor its handlers of logging."""
    (tmp_path / "once_library.py").write_text("state = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    library = importlib.import_module("once_library")
    library.state.append("of the test")
    monkeypatch.setattr(sys.modules[__name__], "library", library, raising=False)  # as a test's module binds it
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        code = "import logging, once_library; print(once_library.state, logging.root.handlers)"
        assert run(("a", ["-c", code])) == ([("a", "stdout", "[] []")], {"a": 0})
        assert library.state == ["of the test"] and handler in logging.root.handlers
        lines: list[Line] = []
        with World(1, output=lambda *line: lines.append(line)) as world:
            world.host("b", isolation="process").run(lambda: print(library.state))
            world.run()
        assert lines == [("b", "stdout", "['of the test']")]
    finally:
        logging.root.removeHandler(handler)
        del sys.modules["once_library"]


def test_logging_is_configured_by_each_for_itself() -> None:
    code = (
        "import logging, sys; logging.basicConfig(format=sys.argv[1] + ' %(message)s', force=True); logging.error('oh')"
    )
    lines, _ = run(("a", ["-c", code, "first"]), ("b", ["-c", code, "second"]))
    assert lines == [("a", "stderr", "first oh"), ("b", "stderr", "second oh")]


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.closerange(3, 4096)",
        "import os; os.umask(0o777)",
        "import os; os.setuid(12345)",
        "import os; os.setsid()",
        "import ctypes; ctypes.CDLL(None).umask(0o777)",
        "import sys; sys.setrecursionlimit(50)",
        "import builtins; del builtins.len",
        "import os, sys; sys.modules.clear()",
        "import gc; gc.disable(); gc.set_threshold(1)",
    ],
)
def test_what_one_program_does_to_its_process_is_nothing_to_others(code: str) -> None:
    lines, statuses = run(("a", ["-c", code]), ("server", ["-c", ECHO]), ("b", ["-c", ASK, "1"]))
    assert ("b", "stdout", "got 0 1000.000000") in lines
    assert statuses["b"] == 0


def looks_inside(world: World) -> None:
    """Programs with a debugger, with questions to a person, and with a tracer."""
    stop = "import pdb\nx = 41\npdb.Pdb().set_trace()\nprint('after', x)"  # `breakpoint` is pytest's in a test
    world.host("a").run(["-c", stop], stdin="p x + 1\nx = 7\nc\n")
    world.host("b").run(["-c", "print('hello', input('name? '))"], stdin="somebody\n")
    trace = "import sys\nseen = []\nsys.settrace(lambda f, e, a: seen.append((f.f_code.co_name, e)))\ndef f(): pass\n"
    world.host("c").run(["-c", trace + "f()\nsys.settrace(None)\nprint(seen)"])


def test_debuggers_questions_and_tracers_work_apart() -> None:
    found, lines = outcome(looks_inside, "process")
    assert (found, lines) == outcome(looks_inside, "shared")
    texts = [text for _, _, text in lines]
    assert "(Pdb) 42" in texts and "(Pdb) (Pdb) after 7" in texts
    assert texts[-2:] == ["name? hello somebody", "[('f', 'call')]"]


def test_a_segmentation_fault_ends_its_host_and_no_other() -> None:
    crash = "import time; time.sleep(1); import ctypes; print('now', flush=True); ctypes.string_at(0)"
    crash = f"import faulthandler; faulthandler.disable(); {crash}"
    lines, statuses = run(("a", ["-c", crash]), ("b", ["-c", "import time; time.sleep(2); print('still here')"]))
    assert lines[-1] == ("b", "stdout", "still here")
    assert "Segmentation fault" in lines[-2][2]
    assert statuses == {"a": 128 + signal.SIGSEGV, "b": 0}


def test_a_host_that_is_to_be_restarted_boots_again_after_a_fault() -> None:
    code = (
        "import ctypes, os, time; first = not os.path.exists(os.environ['SEEN']); open(os.environ['SEEN'], 'w');"
        "time.sleep(1); print(first); import faulthandler; faulthandler.disable(); first and ctypes.string_at(0)"
    )
    lines: list[Line] = []
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"catenet-seen-{os.getpid()}"
    with World(1, output=lambda *line: lines.append(line), isolation="process") as world:
        host = world.host("a")
        host.environment["SEEN"] = str(folder)
        host.run(["-c", code], restart="on-failure")
        world.run(check=False)
        statuses = [process.status for process in world.processes]
    folder.unlink()
    assert (statuses, lines[-1]) == ([139, 0], ("a", "stdout", "False"))


@pytest.mark.parametrize("latency", [0.0, 0.01])
def test_what_a_host_has_said_before_its_process_ends_is_shown_at_its_time(latency: float) -> None:
    """In the order of time among what others say, with its programs, which end when they had their last turn."""
    crash = (
        "import ctypes, faulthandler, time; faulthandler.disable(); print('one', flush=True); time.sleep(2);"
        "print('two', flush=True); ctypes.string_at(0)"
    )
    other = "import time\nfor number in range(5): time.sleep(0.75); print(number)"
    lines: list[Line] = []
    with World(1, output=lambda *line: lines.append(line), isolation="process") as world:
        world.network("net", "10.0.0.0/24")
        for name, code in (("a", crash), ("b", other), ("c", "print('c')")):
            link = LinkProperties(latency=latency)
            world.host(name, network="net", link=link).run(["-c", code])
        world.run(check=False)
        ends = {each.host.name: (each.started_at, each.status, each.ended_at) for each in world.processes}
    assert [text for _, _, text in lines if text != "c"] == [
        *("one", "0", "1", "two", "Segmentation fault: all programs of this host have ended", "2", "3", "4"),
    ]
    assert ends == {"a": (0.0, 139, 2.0), "b": (0.0, 0, 3.75), "c": (0.0, 0, 0.0)}


def test_nothing_is_said_twice_by_a_host_whose_process_ends() -> None:
    """Also programs that have ended before it, in the same turn of the world's, and after a restart."""
    code = (
        "import ctypes, faulthandler, subprocess, sys; faulthandler.disable();"
        "subprocess.run([sys.executable, '-c', 'print(1)']); print(2, flush=True); ctypes.string_at(0)"
    )
    lines: list[Line] = []
    with World(1, output=lambda *line: lines.append(line), isolation="process") as world:
        world.host("a").run(["-c", code], restart="on-failure")
        world.run(until=0.15, check=False)
        statuses = [process.status for process in world.processes]
    assert [text for _, stream, text in lines if stream == "stdout"] == ["1", "2"] * 2
    assert statuses == [139, 0] * 2


# What a world says of hosts that are elsewhere.


def test_a_failure_is_told() -> None:
    with World(1, output=lambda *line: None, isolation="process") as world:
        world.host("a").run(["-c", "raise SystemExit(3)"])
        with pytest.raises(ProcessFailed, match=r"a: -c \(pid 1000\) ended with status 3"):
            world.run()


def test_a_deadlock_is_told_with_its_places() -> None:
    with World(1, output=lambda *line: None, isolation="process") as world:
        world.host("a").run(["-c", "import threading; threading.Event().wait()"])
        world.host("b").run(["-c", "import socket; socket.create_server(('', 80)).accept()"])
        with pytest.raises(DeadlockError) as caught:
            world.run()
    told = str(caught.value).splitlines()
    assert "a: -c (pid 1000) waits in" in told[1] and "b: -c (pid 1000) waits in accept on" in told[2]


def test_sockets_are_listed() -> None:
    with World(1, output=lambda *line: None, isolation="process") as world:
        world.host("server").run(["-c", ECHO], daemon=True)
        world.host("client").run(["-c", "import time; time.sleep(9)"])
        world.run(until=1.0)
        assert [(row.host, row.state, row.local) for row in list_sockets(world)] == [("server", "LISTEN", "0.0.0.0:80")]


def test_a_world_with_isolated_hosts_is_complete() -> None:
    with World(1, output=lambda *line: None, isolation="process") as world:
        world.host("a").run(["-c", "import time; time.sleep(9)"])
        world.run(until=1.0)
        with pytest.raises(RuntimeError, match="complete"):
            world.host("b")


@pytest.mark.parametrize(("options", "said"), [({"isolation": "proces"}, "process"), ({"workers": 0}, "at least 1")])
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        World(1, **options)


WHO = """
import socket, time
for _ in range(6):
    for name in ("a", "b"):
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        print(name, *sorted({each[4][0] for each in found if ":" not in each[4][0]}))
    with socket.socket(type=socket.SOCK_DGRAM) as mine:
        mine.sendto(b"hello", ("gate", 9))
    time.sleep(20)
"""


def asking(world: World) -> None:
    world.network("net", "192.168.1.0/24", "fd01::/64", configure=("slaac", "dhcp"), lifetime=60)
    world.network("core")
    world.host("gate", network=["net", "core"], forwarding=True).run(["-c", "import time; time.sleep(130)"])
    for name in ("b", "a"):
        world.host(name, network="net").run(["-c", WHO])
    for name in world.hosts:
        world.link(name, latency=0.004, loss=0.01)
    world.at(15.0, world.hosts["gate"].crash)
    world.at(16.0, world.hosts["gate"].restart)
    world.at(18.0, world.hosts["a"].restart)
    world.at(50.0, world.renumber, "net", ["192.168.7.0/24", "fd07::/64"])


@pytest.mark.parametrize("workers", [1, 2])
def test_hosts_get_addresses_from_a_host_apart_that_knows_its_leases_after_a_crash(workers: int) -> None:
    (_, *found), lines = outcome(asking, "process", workers=workers)
    (_, *together), usual_lines = outcome(asking, "shared")
    assert (found, lines) == (together, usual_lines)
    texts = [text for host, _, text in lines if host == "a"]
    first, last = texts[0], texts[-2]
    assert first.startswith("a 192.168.1.") and last.startswith("a 192.168.7.")
    assert texts[2] == first  # of the boot after, from a server that has booted too


# Processes.


def test_no_process_outlives_its_world_though_it_computes(tmp_path: Path) -> None:
    """The world's process is killed and can do nothing more; the host's is in an endless loop."""
    told = tmp_path / "pid"
    busy = f"import ctypes; open({str(told)!r}, 'w').write(str(ctypes.CDLL(None).getpid()))\nwhile True: pass"
    code = (
        "from catenet.world import World\n"
        f"with World(1, isolation='process') as world: world.host('a').run(['-c', {busy!r}]); world.run()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(lambda: told.exists() and told.read_text() != "")
        child = int(told.read_text())
        assert child != parent.pid
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: not is_running(child))


def test_processes_end_with_their_world() -> None:
    before = children()
    with World(1, output=lambda *line: None, isolation="process") as world:
        for name in "abc":
            world.host(name).run(["-c", "import time; time.sleep(9)"])
        world.run(until=1.0)
        assert len(children() - before) == 3
        world.hosts["a"].crash()
        assert len(children() - before) == 2
    assert children() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_host_that_does_not_answer_is_ended_by_an_interrupt(number: int, tmp_path: Path) -> None:
    """After a while, in which it could: the other host gets the signal in the world, and ends in order."""
    told = tmp_path / "pid"
    busy = f"import ctypes; open({str(told)!r}, 'w').write(str(ctypes.CDLL(None).getpid()))\nwhile True: pass"
    calm = "import time\ntry: time.sleep(9)\nexcept KeyboardInterrupt: print('stopped')"
    code = f"""
import signal
from catenet.world import World
from catenet.world.engine.isolation import coordinator
coordinator.GRACE = 0.3
signal.signal(signal.SIGTERM, lambda *of: signal.raise_signal(signal.SIGINT))
with World(1, output=lambda *line: print(*line), isolation="process") as world:
    world.host("a").run(["-c", {calm!r}])
    world.host("b").run(["-c", {busy!r}])
    try:
        world.run()
    except KeyboardInterrupt:
        world.terminate(signal.SIGINT)
print([(process.host.name, process.status) for process in world.processes])
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        wait_for(lambda: told.exists() and told.read_text() != "")
        parent.send_signal(number)
        said = parent.communicate(timeout=60)[0].splitlines()
    assert said == ["b stderr Killed: all programs of this host have ended", "a stdout stopped", said[-1]]
    assert eval(said[-1]) == [("a", 0), ("b", 137)]
    assert not is_running(int(told.read_text()))


def children() -> set[str]:
    """Processes of which this one is the parent."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass within a minute")


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 16_381, 60_000])
def test_messages_of_any_size_come_whole(size: int) -> None:
    one, other = os.pipe(), os.pipe()
    here, there = Channel(one[0], other[1]), Channel(other[0], one[1])
    message = (1, 2.5, float("inf"), None, True, "text", b"x" * size, [("a", {"b": 1})])
    there.say(message)
    assert here.hear() == message
    there.close()
    with pytest.raises(EOFError):
        here.hear()
    with pytest.raises(EOFError):
        here.say(message)
    here.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.partition("a"),
        lambda world: world.heal(),
        lambda world: world.link("a", latency="5ms"),
        lambda world: world.renumber("a", "10.0.0.99/24"),
        lambda world: world.pause("a"),
        lambda world: world.freeze("a"),
        lambda world: world.at(9.0, world.heal),
        lambda world: world.hosts["a"].run("-c pass"),
    ],
)
def test_a_change_that_isolated_hosts_would_not_learn_of_is_refused(change: Callable[[World], None]) -> None:
    with World(isolation="process") as world:
        world.host("a").run("-c", "import time; time.sleep(5)")
        world.host("b")
        world.at(0.5, world.partition, "a")
        world.run(until=1.0)
        with pytest.raises(RuntimeError, match=r"World\.at"):
            change(world)
