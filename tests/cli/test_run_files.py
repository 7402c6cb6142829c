"""`catenet run`: the temporary directory and the home of each host."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pytest
from tests.cli.test_run import catenet_here

pytestmark = pytest.mark.slow(9)

PROGRAM = """
import os, pathlib, socket, sys, tempfile, time

name, other = sys.argv[1:]
temporary, home = pathlib.Path(tempfile.gettempdir()), pathlib.Path.home()
files = [temporary / "catenet-test", home / "catenet-test", pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "catenet-test"]
for file in files:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(name)
drawn = [tempfile.mkstemp()[1], tempfile.mkdtemp(), tempfile.NamedTemporaryFile(delete=False).name]
user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
user.bind(("", 9))
time.sleep(1)
user.sendto(repr((drawn, [str(file) for file in files])).encode(), (other, 9))
user.recv(9999)
print("read", *(file.read_text() for file in files))
print("beside", *sorted(file.name for file in temporary.iterdir() if str(file) not in drawn))
print("places", temporary, home, os.path.expanduser("~/x"))
print("drawn", *drawn)
"""

WORLD = """
[world]
files = "FILES"
[link]
latency = "5ms"
[hosts.a]
run = "program.py a b"
[hosts.b]
run = "program.py b a"
"""


def folder_of(path: Path, files: str = "own") -> Path:
    (path / "program.py").write_text(PROGRAM)
    (path / "world.toml").write_text(WORLD.replace("FILES", files))
    return path


def said(output: str, host: str, word: str) -> list[str]:
    """What a host has said behind a word."""
    found = re.search(rf"^{host} +\| {word} (.*)$", output, re.MULTILINE)
    assert found is not None, output
    return found[1].split()


def test_two_hosts_write_the_same_file_each_its_own(tmp_path: Path) -> None:
    """The same packets too, of which names of files are part, with any number of workers and in one process."""
    folder = folder_of(tmp_path)
    traces, lines = set(), set()
    for options in (["--check", "--workers", "2"], ["--workers", "1"], ["--isolation", "shared"]):
        done = catenet_here("run", "world.toml", "--json", "figures.json", *options, cwd=folder)
        assert done.returncode == 0, done.stderr
        for host in "ab":
            assert said(done.stdout, host, "read") == [host] * 3
            assert said(done.stdout, host, "beside") == ["catenet-test"]
            temporary, home, below = said(done.stdout, host, "places")
            assert below == f"{home}/x"
            assert all(place.startswith(f"{temporary}/tmp") for place in said(done.stdout, host, "drawn"))
            assert not Path(temporary).exists() and not Path(home).exists()
        assert said(done.stdout, "a", "places")[:2] != said(done.stdout, "b", "places")[:2]
        traces.add(json.loads((folder / "figures.json").read_text())["trace_sha256"])
        lines.add(tuple(sorted(line for line in done.stdout.splitlines() if re.match(r"[ab] +\|", line))))
    assert len(traces) == len(lines) == 1


def test_files_of_the_machine_are_asked_for_in_the_world_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, "machine")
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for each in (home, temporary):
        each.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    done = catenet_here("run", "world.toml", "--workers", "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    for host in "ab":
        assert said(done.stdout, host, "places") == [str(temporary), str(home), f"{home}/x"]
    assert (home / "catenet-test").exists() and (temporary / "catenet-test").exists()


def test_one_host_may_have_the_machines_and_a_program_its_own_directory(tmp_path: Path) -> None:
    """Also where all hosts have one `tempfile`: what one program sets is not what another has looked up."""
    (tmp_path / "program.py").write_text(
        """
import os, sys, tempfile
before = tempfile.gettempdir()
if sys.argv[1:]:
    os.mkdir(sys.argv[1])
    os.environ["TMPDIR"] = os.path.abspath(sys.argv[1])
    assert tempfile.gettempdir() == before
    tempfile.tempdir = None
    print("again", tempfile.gettempdir())
print("first", before)
"""
    )
    (tmp_path / "world.toml").write_text(
        """
[hosts.a]
run = "program.py chosen"
[hosts.b]
run = "program.py"
start = "1s"
[hosts.c]
run = "program.py"
start = "1s"
files = "machine"
"""
    )
    for mode in ("process", "shared"):
        done = catenet_here("run", "world.toml", "--isolation", mode, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert said(done.stdout, "a", "again") == [str(tmp_path / "chosen")]
        assert [said(done.stdout, host, "first")[0].endswith(f"/_tmp/{host}") for host in "ab"] == [True, True]
        assert said(done.stdout, "c", "first") == [tempfile.gettempdir()]
        (tmp_path / "chosen").rmdir()


def test_a_single_program_has_the_files_of_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "program.py").write_text("import os, tempfile; print('has', tempfile.gettempdir(), os.environ['HOME'])")
    done = catenet_here("run", "program.py", cwd=tmp_path)
    assert said(done.stdout, "host", "has") == [tempfile.gettempdir(), str(tmp_path)]


def test_another_word_is_refused_with_the_nearest(tmp_path: Path) -> None:
    done = catenet_here("run", "world.toml", cwd=folder_of(tmp_path, "machin"))
    assert done.returncode == 2
    assert "world.toml:3: files: it must be 'own' or 'machine', not 'machin'; did you mean 'machine'?" in done.stderr
