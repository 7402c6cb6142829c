"""A command that is forked from a process with the package loaded does what one that is exec'd does."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests import commands
from tests.commands import CATENET

BOTH = pytest.mark.parametrize("real", [True, False], ids=["exec", "fork"])

SCRIPT = """
import os, sys, threading
print(__name__, sys.argv, sys.path[0] == os.path.dirname(os.path.realpath(__file__)), os.getcwd() == os.environ["HERE"])
print(sorted(name for name in os.environ if name.startswith("A_")), os.getsid(0) == os.getpid(), oct(os.umask(0)))
print(sys.stdin.encoding, sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdin.isatty())
print([stream.line_buffering for stream in (sys.stdout, sys.stderr)], type(sys.stdout.buffer).__name__)
print(sys.stdin.read().upper(), file=sys.stderr)
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:4], os.read(int(sys.argv[2]), 10))
print(threading.active_count(), "tests" in sys.modules, sys.flags.interactive, sys.orig_argv[1:])
threading.Thread(target=lambda: print("a thread's last words")).start()
import atexit
atexit.register(print, "and those at the exit")
sys.exit(sys.argv[1] if sys.argv[1] == "text" else int(sys.argv[1]))
"""


def outcome(done):
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("status", ["0", "3", "text"])
def test_a_script_finds_the_same_either_way(status, tmp_path):
    (tmp_path / "a.py").write_text(SCRIPT)
    found = []
    for real in (True, False):
        reading, writing = os.pipe()
        os.write(writing, b"passed")
        done = commands.run(
            [sys.executable, "a.py", status, str(reading)], real=real, cwd=tmp_path, input="said\r\n", text=True,
            capture_output=True, start_new_session=True, pass_fds=[reading], timeout=60,
            env={**os.environ, "HERE": str(tmp_path), "A_B": "\udcff"},
        )  # fmt: skip
        os.close(reading)
        os.close(writing)
        found.append(outcome(done))
    assert found[0] == found[1]
    assert "a thread's last words\nand those at the exit" in found[0][1]


WORDS = [
    "--version",
    "--help",
    "get --help",
    "gett x",
    "run none.py",
    "run a.py",
    "get http://127.0.0.1:1/ -s",
    "resolve +short x. @127.0.0.1:1 --timeout 0.1 --attempts 1",
    "connect tcp://127.0.0.1:1",
    "settings tcp_wmem",
    "rpc serve nothing:X",
]


@pytest.mark.parametrize("words", WORDS)
def test_a_command_says_the_same_either_way(words, tmp_path):
    (tmp_path / "a.py").write_text("import os\nprint(os.getpid())\n1 / 0\n")
    exact = [
        outcome(commands.run([*CATENET, *words.split()], real=real, cwd=tmp_path, capture_output=True, timeout=60))
        for real in (True, False)
    ]
    if words.startswith("run a"):  # how long it took
        exact = [(status, out.partition(b" in 0.")[0], err.partition(b" in 0.")[0]) for status, out, err in exact]
    assert exact[0] == exact[1]


@BOTH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(real, number, tmp_path):
    (tmp_path / "a.py").write_text("import time\nprint('runs', flush=True)\ntime.sleep(1000)\n")
    words = [sys.executable, "a.py"]
    with commands.Popen(
        words, real=real, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "runs\n"
        assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == child.poll() == -number
    assert err.endswith("KeyboardInterrupt\n") == (number == signal.SIGINT)


def test_an_output_that_breaks(tmp_path):
    """The status is 120 when it breaks at the end, 1 when nothing is buffered and `print` raises."""
    (tmp_path / "a.py").write_text("print('x')\n")
    statuses = []
    for real in (True, False):
        reading, writing = os.pipe()
        os.close(reading)
        done = commands.run([sys.executable, "a.py"], real=real, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE)
        os.close(writing)
        assert b"BrokenPipeError" in done.stderr
        statuses.append(done.returncode)
    assert statuses in ([120, 120], [1, 1])


@BOTH
def test_a_folder_that_is_not_there(real, tmp_path):
    with pytest.raises(FileNotFoundError):
        commands.run([*CATENET, "--version"], real=real, cwd=tmp_path / "none")


def test_what_is_left_ends_with_the_tests(tmp_path):
    """The process of tests ends, and so do the server of commands and the child, which would run on."""
    (tmp_path / "a.py").write_text("import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(1000)\n")
    program = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from tests import commands
child = commands.Popen([sys.executable, "a.py"], stdout=subprocess.PIPE)
sys.stdout.buffer.write(child.stdout.readline())
sys.stdout.flush()
os._exit(0)
"""
    root = str(os.path.realpath(f"{__file__}/../../.."))
    words = [sys.executable, "-c", program, root]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=100, check=True)
    for number in map(int, done.stdout.split()):
        until = time.monotonic() + 60
        while os.path.exists(f"/proc/{number}") and ") Z " not in open(f"/proc/{number}/stat").read():
            assert time.monotonic() < until
            time.sleep(0.02)
