"""What a user sees of a run that closes itself, and of one that cannot."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import os, socket
one, other = socket.socketpair()
one.sendmsg([b"by a message"])
print(os.getuid(), sorted(os.getgroups()), os.stat("mine").st_uid, other.recvmsg(100)[0].decode())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may use, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o777)
        (path / "program.py").write_text(PROGRAM)
        (path / "mine").touch(0o666)
        yield path


def run(folder: Path, situation: str, *options: str) -> subprocess.CompletedProcess[str]:
    somebody = [] if situation == "here" else [sys.executable, str(HERE / "situation.py"), situation]
    return subprocess.run(
        [*somebody, sys.executable, "-m", "catenet", "run", *options, str(folder / "program.py")],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_verbose_says_what_is_closed(folder: Path) -> None:
    done = run(folder, "here", "-v")
    assert done.returncode == 0, done.stderr
    assert f"| {os.getuid()} {sorted(os.getgroups())} {os.getuid()} by a message" in done.stdout
    closed = next(line for line in done.stderr.splitlines() if line.startswith("closed by "))
    assert "a filter of system calls" in closed
    assert "by Python alone" not in done.stderr


@pytest.mark.root
def test_an_unprivileged_user_stays_who_it_is(folder: Path) -> None:
    """Also in a user namespace, where files of others seem to be nobody's."""
    os.chown(folder / "mine", 12345, 12345)
    done = run(folder, "nobody")
    assert "| 65534 [4, 65534] 65534 by a message" in done.stdout, done.stdout + done.stderr


@pytest.mark.root
def test_one_line_says_that_nothing_could_be_had(folder: Path) -> None:
    done = run(folder, "nothing")
    assert done.returncode == 0, done.stderr
    line = "programs are kept from the machine's network by Python alone, so C code can reach it"
    assert next(text for text in done.stderr.splitlines() if line in text).endswith(
        "network namespace: operation not permitted; Landlock: operation not permitted; "
        "seccomp: operation not permitted)"
    )


def test_who_runs_a_world_keeps_the_network() -> None:
    """Only a command line closes its process."""
    program = (
        "import sys\nfrom catenet.cli import main\nimport socket\n"
        "assert main(['run', sys.argv[1]]) == 0\n"
        "socket.create_connection(('127.0.0.1', int(sys.argv[2]))).close()\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as name:
        (Path(name) / "program.py").write_text("print('ran')\n")
        words = [str(Path(name) / "program.py"), str(listener.getsockname()[1])]
        subprocess.run([sys.executable, "-c", program, *words], check=True, timeout=120, capture_output=True)
        listener.settimeout(60)
        listener.accept()[0].close()
