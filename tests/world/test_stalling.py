"""A program that stands still in real time is named, with its line, and ends the run at a limit."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from catenet.cli import main

LIMIT = "0.6s"

PROGRAMS = {
    "loop": """
        def work():
            while True:
                pass  # here
        work()
        """,
    "sleep of C": """
        import ctypes
        ctypes.CDLL(None).sleep(1000)  # here
        """,
    "ignores everything": """
        import ctypes
        while True:
            try:
                ctypes.CDLL(None).sleep(1000)  # here
            except BaseException:
                pass
        """,
}


def run(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "still.py").write_text(textwrap.dedent(source))
    (folder / "other.py").write_text("import time\ntime.sleep(5)\nprint('goes on')\n")
    (folder / "world.toml").write_text(
        "[hosts.quick]\nrun = 'other.py'\n[hosts.slow]\nrun = 'still.py'\nstart = '1s'\n"
    )
    command = [sys.executable, "-m", "catenet", "run", *options, str(folder / "world.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_run_says_who_stands_still_and_ends(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, PROGRAMS[name], "--stall", LIMIT, "--isolation", "shared")
    lines = textwrap.dedent(PROGRAMS[name]).splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.endswith("# here"))
    notes = [text for text in done.stderr.splitlines() if text.startswith("slow: still.py, at ")]
    assert done.returncode == 1, done.stderr
    assert len(notes) == 2, done.stderr
    assert all(f"still.py:{line} in " in text or f"still.py:{line - 1} in " in text for text in notes), done.stderr
    assert "has stood still for 0.1 s of real time" in notes[0]
    assert notes[1].endswith("has stood still for 0.6 s of real time: the run ends (--stall)")


@pytest.mark.parametrize("held", [False, True])
def test_an_isolated_host_ends_alone(tmp_path: Path, held: bool) -> None:
    """What holds the interpreter's lock too: it holds that of its own process."""
    source = "import re\nre.match('(a*)*b', 'a' * 60)\n" if held else "while True:\n    pass\n"
    done = run(tmp_path, source, "--stall", LIMIT, "--isolation", "process")
    assert done.returncode == 1, done.stderr
    assert re.search(r"^quick +\| goes on$", done.stdout, re.MULTILINE), done.stderr
    assert re.search(r"^slow +\| .*: all programs of this host have ended$", done.stderr, re.MULTILINE), done.stderr
    line = 'still.py", line 2' if held else "has stood still for 0.6 s of real time: its host ends (--stall)"
    assert line in done.stderr


def test_what_holds_the_interpreter_is_ended_too(tmp_path: Path) -> None:
    """Nothing written in Python can run meanwhile: the interpreter's C code says where."""
    done = run(tmp_path, "import re\n\nre.match('(a*)*b', 'a' * 60)\n", "--stall", LIMIT, "--isolation", "shared")
    assert done.returncode < 0
    assert f'{tmp_path / "still.py"}", line 3' in done.stderr


def test_debuggers_and_work_in_many_turns(tmp_path: Path) -> None:
    """Who waits for a person, or gets on in short steps, does not stand still."""
    source = """
        import bdb, ctypes, time, types
        for _ in range(6):
            ctypes.CDLL(None).usleep(150_000)
            time.sleep(0.1)
        def wait():
            ctypes.CDLL(None).usleep(4_500_000)
        types.FunctionType(wait.__code__.replace(co_filename=bdb.__file__), globals())()
        print("done")
        """
    done = run(tmp_path, source, "--stall", "2s")
    assert done.returncode == 0, done.stderr
    assert "slow  | done" in done.stdout
    assert "the run ends" not in done.stderr


def test_never(tmp_path: Path) -> None:
    (tmp_path / "world.toml").write_text("[world]\nstall = 'never'\n[hosts.quick]\nrun = 'other.py'\n")
    (tmp_path / "other.py").write_text("print('done')\n")
    assert main(["run", str(tmp_path / "world.toml")]) == 0


@pytest.mark.parametrize("value", ["'0s'", "'soon'", "-1"])
def test_a_limit_that_is_none(tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "world.toml").write_text(f"[world]\nstall = {value}\n[hosts.quick]\nrun = 'other.py'\n")
    (tmp_path / "other.py").touch()
    assert main(["run", str(tmp_path / "world.toml")]) == 2
    assert "world.toml:2: " in capsys.readouterr().err


TO_ITSELF = """
    import socket, time
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in ends:
        end.bind(("127.0.0.1", 0))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        ends[0].sendto(b"x", ends[1].getsockname())
        ends[1].recv(1)
    """


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_who_goes_on_without_letting_time_pass_is_named_too(tmp_path: Path, isolation: str) -> None:
    """On the kernel each round trip takes a while; over a link without latency it takes none of the world's time."""
    done = run(tmp_path, TO_ITSELF, "--stall", "1.8s", "--isolation", isolation)
    notes = [text for text in done.stderr.splitlines() if text.startswith("slow: still.py has gone on at 1.000 s")]
    assert done.returncode == 1 and len(notes) == 2, done.stderr
    assert notes[0].endswith("letting no time pass, for 0.3 s of real time")
    what = "its host ends" if isolation == "process" else "the run ends"
    assert notes[1].endswith(f"letting no time pass, for 1.8 s of real time: {what} (--stall)")


FLOODS = {
    "prints": "while True:\n    print('y' * 100)\n",
    "sends": """
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            s.sendto(bytes(60000), ("quick", 9))
    """,
}


@pytest.mark.parametrize("name", FLOODS)
def test_what_has_the_engine_work_without_end_is_ended_too(tmp_path: Path, name: str) -> None:
    """It is mostly found within the engine, which answers the world meanwhile or not."""
    done = run(tmp_path, FLOODS[name], "--stall", LIMIT, "--isolation", "process")
    assert done.returncode == 1
    assert re.search(
        r"^slow: still.py.* for [\d.]+ s of real time: its host ends \(--stall\)$", done.stderr, re.MULTILINE
    )
    assert re.search(r"^quick +\| goes on$", done.stdout, re.MULTILINE), done.stderr
