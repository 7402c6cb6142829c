"""The name of a host and the environment of C: as programs set and find them, on the kernel and in a world."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.world import World

PROGRAM = """
import json, os, socket, subprocess, sys

seen = []

def outcome(call, *args):
    try:
        return call(*args)
    except (OSError, ValueError, TypeError) as error:
        return [type(error).__name__, getattr(error, "errno", None)]

def name():
    with open("/proc/sys/kernel/hostname") as file:
        return [socket.gethostname(), os.uname().nodename, file.read()]

def in_child(run):
    pid = os.fork()
    if not pid:
        run()
        os._exit(0)
    os.waitpid(pid, 0)

for each in ("a-name", "x" * 64, "x" * 65, b"in.bytes", 5, "with\\0zero", "\\xe9"):
    seen.append([outcome(socket.sethostname, each), name()])
in_child(lambda: socket.sethostname("by-a-child"))
seen.append(name())
reader, writer = os.pipe()
in_child(lambda: os.write(writer, json.dumps([os.setuid(12), outcome(socket.sethostname, "no"), name()]).encode()))
seen.append(json.loads(os.read(reader, 1000)))

def found():
    show = "import os; print({name: os.environ.get(name) for name in ('ONE', 'TWO', 'THREE', 'FOUR')})"
    return subprocess.run([sys.executable, "-c", show], capture_output=True, text=True).stdout

os.environ["TWO"] = os.environ["THREE"] = "2"
os.putenv("ONE", "1")
os.putenv(b"TWO", b"two")
seen.append([os.environ.get("ONE"), os.environ["TWO"], found()])
os.unsetenv("THREE")
os.unsetenv("FOUR")
seen.append([os.environ["THREE"], found()])
os.environ["ONE"] = "again"
del os.environ["TWO"]
os.environ["THREE"] = ""
seen.append([found(), "ONE" in os.environ])
in_child(lambda: os.putenv("FOUR", "of a child"))
seen.append(found())
for name in ("", "=a", "a=b", "a=", "a\\0", 5):
    seen.append([outcome(os.putenv, name, "value"), outcome(os.unsetenv, name)])
seen.append(outcome(os.putenv, "FOUR", "a\\0"))
print(json.dumps(seen))
"""


@pytest.mark.root
def test_programs_set_what_the_kernel_lets_them_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    real = subprocess.run(
        ["unshare", "--uts", sys.executable, "program.py"], capture_output=True, text=True, timeout=60, check=True
    )
    lines: list[str] = []
    with World(isolation="process", directory=tmp_path, output=lambda host, stream, line: lines.append(line)) as world:
        world.host("machine").run("program.py")
        world.run()
    assert [json.loads(line) for line in lines] == [json.loads(real.stdout)]


@pytest.mark.root
def test_the_name_of_a_host_lasts_until_it_boots(tmp_path: Path) -> None:
    lines: list[str] = []

    def program() -> None:
        import socket

        print(socket.gethostname(), socket.getfqdn())
        socket.sethostname("renamed")
        print(socket.gethostname(), socket.gethostbyname("machine"))

    with World(isolation="shared", output=lambda host, stream, line: lines.append(line)) as world:
        host, other = world.host("machine"), world.host("other")
        host.run(program)
        other.run(lambda: print(__import__("socket").gethostname()), start=1)
        world.at(2, host.crash)
        world.at(3, host.restart)
        world.run()
    assert lines == ["machine machine", "renamed 10.0.0.1", "other", "machine machine", "renamed 10.0.0.1"]
