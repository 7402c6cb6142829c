"""Beside a closed run stands a process that says who has asked for a socket, and ends what C code has started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from catenet.world.enclosure.callers import Caller, find_caller

HERE = Path(__file__).parent

BY_C = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.dlsym.restype = ctypes.c_void_p
def c(name):
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, use_errno=True)(
        libc.dlsym(None, name.encode()))
"""
"""Functions of C by their addresses, which nobody has been told of by name."""

SOCKET = """
for _ in range(3):
    print(c("socket")(2, 1, 0), ctypes.get_errno())
"""

COPIES = """
import os, signal, sys
print("signalled", c("kill")(int(sys.argv[1]), 0, 0), c("kill")(int(sys.argv[1]), 15, 0))
for _ in range(2):
    if c("fork")(0, 0, 0) == 0:
        c("setsid")(0, 0, 0)
        while True:
            c("pause")(0, 0, 0)
"""

MESSAGES = {
    "a tuple of gigabytes": "b'(' + (2**31 - 1).to_bytes(4, 'little')",
    "no message": "b'?' * 100",
    "an early end": "b''",
}
HOSTILE = """
import os
c("getpid")(0, 0, 0)
body = {body}
for number in range(3, 300):
    try:
        kind = os.readlink(f"/proc/self/fd/{{number}}")
    except OSError:
        continue
    if kind.startswith("pipe:") and body:
        data = len(body).to_bytes(4, "little") + body
        libc.write.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
        libc.write(number, data, len(data))
    elif kind.startswith("pipe:"):
        libc.close(number)
c("pause")(0, 0, 0)
"""


def start(folder: Path, source: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Run a world of a host with a program, and of one that sleeps."""
    folder.chmod(0o755)
    (folder / "program.py").write_text(BY_C + source)
    (folder / "other.py").write_text("import time\ntime.sleep(5)\nprint('goes on')\n")
    words = " ".join([str(folder / "program.py"), *arguments])
    (folder / "world.toml").write_text(f"[hosts.one]\nrun = '{words}'\n[hosts.two]\nrun = 'other.py'\n")
    command = [sys.executable, "-m", "catenet", "run", *options, str(folder / "world.toml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left(folder: Path) -> list[str]:
    """Processes of a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder / "world.toml") in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


OWNERS = """
import os
found = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2 and
         os.path.exists(f"/proc/self/fd/{name}")]
print("sockets", [text for text in found if text.startswith("socket:")])
def by_c(name, *arguments):
    function = ctypes.CFUNCTYPE(ctypes.c_int, *map(type, arguments), use_errno=True)(libc.dlsym(None, name.encode()))
    return function(*arguments)
def opened(path, flags):  # for Python, `/proc` is the host's
    return by_c("open", ctypes.c_char_p(path.encode()), ctypes.c_int(flags))
status = ctypes.create_string_buffer(4096)
by_c("read", ctypes.c_int(opened("/proc/self/status", os.O_RDONLY)), ctypes.c_void_p(ctypes.addressof(status)),
     ctypes.c_size_t(4095))
parent = status.value.decode().split("PPid:")[1].split()[0]
for name in ("oom_score_adj", "mem", "comm"):
    found = opened(f"/proc/{parent}/{name}", os.O_WRONLY)
    print(name, int(parent) > 1, found, ctypes.get_errno())
"""


def test_a_host_has_nothing_of_the_worlds_process(tmp_path: Path) -> None:
    run = start(tmp_path, OWNERS)
    out, err = run.communicate(timeout=240)
    found = re.findall(r"^one +\| (.*)$", out, re.MULTILINE)
    assert found == ["sockets []", *(f"{name} True -1 13" for name in ("oom_score_adj", "mem", "comm"))], out + err


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_the_library_and_the_host_are_named_once(tmp_path: Path, isolation: str) -> None:
    run = start(tmp_path, SOCKET, options=("--isolation", isolation))
    out, err = run.communicate(timeout=240)
    assert re.findall(r"^one +\| (.*)$", out, re.MULTILINE) == ["-1 64"] * 3, err
    notices = [line for line in err.splitlines() if "asked the machine for a socket" in line]
    assert len(notices) == 1, err
    assert re.match(r"one: a C function that was called by (libffi|_ctypes)\S* asked", notices[0])
    assert notices[0].endswith("or run the other program on a host of the world")
    assert left(tmp_path) == []


@pytest.mark.parametrize("killed", [False, True])
def test_copies_end_with_the_run(tmp_path: Path, killed: bool) -> None:
    """Those that C code has made, which no parent waits for and no signal was asked for."""
    spin = "print('spins', flush=True)\nwhile True: pass\n" if killed else ""
    run = start(tmp_path, COPIES + spin, str(os.getpid()))
    if killed:
        while len(left(tmp_path)) < 6:  # the run, the doorkeeper, two hosts, two copies
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
    out, err = run.communicate(timeout=240)
    if not killed:
        assert re.search(r"^one +\| signalled -1 -1$", out, re.MULTILINE), out + err
        assert run.returncode == 0, err
    while left(tmp_path):  # `run.kill` ends this one at once, the others in their time
        assert killed
        time.sleep(0.01)


def test_a_copy_that_holds_a_dead_hosts_pipe(tmp_path: Path) -> None:
    """What the host says cannot end with the host then: its end is heeded itself."""
    run = start(tmp_path, COPIES + "os.kill = None\nc('raise')(11, 0, 0)\n", str(os.getpid()))
    out, err = run.communicate(timeout=240)
    assert run.returncode == 1
    assert "Segmentation fault: all programs of this host have ended" in err
    assert re.search(r"^two +\| goes on$", out, re.MULTILINE), out + err
    assert left(tmp_path) == []


@pytest.mark.parametrize("what", MESSAGES)
def test_a_host_that_lies_ends_alone(tmp_path: Path, what: str) -> None:
    run = start(tmp_path, HOSTILE.format(body=MESSAGES[what]))
    out, err = run.communicate(timeout=240)
    assert run.returncode == 1
    assert re.search(r"^one +\| .*: all programs of this host have ended$", err, re.MULTILINE), err
    assert re.search(r"^two +\| goes on$", out, re.MULTILINE), out + err
    assert "Traceback" not in err
    assert left(tmp_path) == []


def test_who_waits_in_a_call() -> None:
    program = "import ctypes; print('waits', flush=True); ctypes.CDLL(None).pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while Path(f"/proc/{child.pid}/syscall").read_text().split()[0] == "running":
            time.sleep(0.01)
        found = find_caller(child.pid, child.pid)
        child.send_signal(signal.SIGKILL)
    assert re.match("libffi|_ctypes", found.library)
    assert found.directly
    assert find_caller(child.pid, child.pid) == Caller()


@pytest.mark.parametrize(
    ("caller", "text"),
    [
        (Caller(), "a C library"),
        (Caller("librdkafka.so.1", "confluent_kafka"), "librdkafka.so.1 of confluent_kafka"),
        (Caller("_zmq", "zmq"), "_zmq"),
        (Caller("libtcl8.6.so"), "libtcl8.6.so"),
        (Caller("_cffi_backend"), "a C function that was called by _cffi_backend"),
    ],
)
def test_names(caller: Caller, text: str) -> None:
    assert caller.describe() == text


def test_memory_is_bounded() -> None:
    program = (
        "from catenet.world.enclosure.memory import bound_memory, unbound_memory\n"
        "bound_memory()\n"
        "try:\n    bytearray(3 << 30)\nexcept MemoryError:\n    print('bounded')\n"
        "unbound_memory()\n"
        "import mmap; mmap.mmap(-1, 3 << 30).close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "bounded\n"
