"""Where programs of a run can make, rename and remove files: where they may write, and nowhere else, root included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHUT = ("/", "/run", "/dev", "/sys/fs/cgroup")
"""Folders of the machine that hold what is no file, or what is not a program's."""

INTRUDES = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def by_c(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function.__name__)
name, victim, *places = sys.argv[1:]
for place in places:
    with open("mine", "w"):
        pass
    os.makedirs("folder", exist_ok=True)
    new, old = os.path.join(place, name), os.path.join(place, victim)
    ways = {
        "open": lambda: open(new, "w"),
        "mkdir": lambda: os.mkdir(new),
        "symlink": lambda: os.symlink("/etc", new),
        "mkfifo": lambda: by_c(libc.mkfifo, new.encode(), 0o666),
        "mknod": lambda: by_c(libc.mknod, new.encode(), 0o100666, 0),
        "socket": lambda: by_c(libc.mknod, new.encode(), 0o140666, 0),
        "link": lambda: os.link("mine", new),
        "move in": lambda: os.rename("mine", new),
        "move a folder in": lambda: os.rename("folder", new),
        "replace": lambda: os.replace("mine", old),
        "unnamed file": lambda: os.open(place, os.O_TMPFILE | os.O_WRONLY),
        "program": lambda: subprocess.run(["mkdir", new], check=True, stderr=subprocess.DEVNULL),
        "write": lambda: open(old, "a"),
        "rename": lambda: os.rename(old, new),
        "move out": lambda: os.rename(old, "taken"),
        "unlink": lambda: os.unlink(old),
        "rmdir": lambda: os.rmdir(old + ".folder"),
    }
    for way, function in ways.items():
        try:
            function()
        except Exception:
            print("refused")
        else:
            print("OPEN", place, way)
"""

WORKS = """
import ctypes, os, pathlib, shutil, sys, tempfile
name, *places = sys.argv[1:]
for place in (*places, pathlib.Path.home(), tempfile.gettempdir()):
    own = pathlib.Path(place) / name
    one, other = own / "one", own / "other"
    one.mkdir(parents=True)
    other.mkdir()
    (one / "file").write_text("text")
    os.rename(one / "file", other / "file")
    os.link(other / "file", one / "link")
    os.symlink("link", one / "symbolic")
    assert ctypes.CDLL(None).mkfifo(bytes(one / "fifo"), 0o666) == 0
    (one / "fifo").unlink()
    os.rename(one, other / "one")
    os.rename(other / "one", own / "again")
    os.truncate(own / "again" / "link", 2)
    with tempfile.NamedTemporaryFile(dir=own) as file, tempfile.TemporaryFile(dir=own) as unnamed:
        unnamed.write(b"x")
    print((other / "file").read_text(), (own / "again" / "symbolic").read_text(), *sorted(os.listdir(own)))
    shutil.move(own, pathlib.Path.home() / "moved")
    shutil.rmtree(pathlib.Path.home() / "moved")
with open("/dev/null", "w") as file:
    file.write("x")
"""

SITUATIONS = ["here", *(pytest.param(name, marks=pytest.mark.root) for name in ("nobody", "container"))]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may use, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


@pytest.fixture
def victim(folder: Path) -> Iterator[str]:
    """The name of a file, and with `.folder` of a folder, which are in all places where this process may make them."""
    name = f"catenet-victim-{folder.name}"
    with ExitStack() as stack:
        for place in map(Path, SHUT):
            with suppress(OSError):
                (place / name).touch()
                stack.callback((place / name).unlink, missing_ok=True)
                (place / f"{name}.folder").mkdir()
                stack.callback((place / f"{name}.folder").rmdir)
        yield name


def made(folder: Path) -> list[Path]:
    """What is there by this test."""
    return sorted(path for place in SHUT for path in Path(place).glob(f"catenet-*-{folder.name}*"))


def run(folder: Path, situation: str, isolation: str, source: str, *arguments: str) -> list[str]:
    """Lines of a host that runs a program."""
    somebody = [] if situation == "here" else [sys.executable, str(HERE / "situation.py"), situation]
    (folder / "program.py").write_text(source)
    (folder / "world.toml").write_text(f"[hosts.a]\nrun = 'program.py {' '.join(arguments)}'\n")
    done = subprocess.run(
        [*somebody, sys.executable, "-m", "catenet", "run", "--isolation", isolation, "world.toml"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.partition("| ")[2] for line in done.stdout.splitlines() if "| " in line]


@pytest.mark.parametrize("isolation", ["process", "shared"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_nothing_is_made_or_removed_in_folders_of_the_machine(
    folder: Path, victim: str, situation: str, isolation: str
) -> None:
    name = f"catenet-test-{folder.name}"
    before = made(folder)
    lines = run(folder, situation, isolation, INTRUDES, name, victim, *SHUT)
    assert [line for line in lines if line != "refused"] == []
    assert len(lines) == 17 * len(SHUT)
    assert made(folder) == before


@pytest.mark.parametrize("isolation", ["process", "shared"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_files_are_made_moved_and_removed_where_writing_is_open(folder: Path, situation: str, isolation: str) -> None:
    places = (str(folder), "/dev/shm", "/tmp", "/var/tmp")
    lines = run(folder, situation, isolation, WORKS, f"catenet-test-{folder.name}", *places)
    assert lines == ["te te again other"] * 6, lines
