"""Hosts with processes of their own have a `/tmp` of their own, where mounts can be had; elsewhere the run says so."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from catenet.world.enclosure import roots

HERE = Path(__file__).parent

NOTE = """
import os, socket, subprocess, sys, time
name = socket.gethostname()
for _ in range(2):
    with open(sys.argv[1], "a") as file:
        file.write(name + " ")
    time.sleep(1)
print(open(sys.argv[1]).read())
child = [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", sys.argv[1]]
print(subprocess.run(child, capture_output=True, text=True).stdout)
print(os.getcwd() == os.path.dirname(os.path.abspath(__file__)), os.path.exists(os.environ["STATE_DIRECTORY"]))
"""

WORLD = """
[hosts.a]
run = "note.py /tmp/{name}"
[hosts.b]
run = "note.py /tmp/{name}"
[[events]]
at = "0.5s"
crash = "b"
for = "0.2s"
"""

BREAKS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: libc.chroot(b"/"), lambda: libc.unshare(0x20000), lambda: libc.umount2(b"/tmp", 2)):
    print(call(), ctypes.get_errno())
for path in ("/proc/sys/kernel/core_pattern", "/dev/kmsg"):
    try:
        print(open(path, "w"))
    except OSError as error:
        print(error.errno)
print(os.path.exists("/sys/kernel/debug/0"), os.path.exists("/proc/tty/0"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may use, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


def run(folder: Path, situation: str, *words: str) -> tuple[list[str], str]:
    """Lines of hosts, and standard error."""
    somebody = [] if situation == "here" else [sys.executable, str(HERE / "situation.py"), situation]
    done = subprocess.run(
        [*somebody, sys.executable, "-m", "catenet", "run", *words, "world.toml"],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(line for line in done.stdout.splitlines() if line[:2] in ("a ", "b ")), done.stderr


def told(**texts: str) -> list[str]:
    """The lines of `NOTE`, by host."""
    return sorted(f"{name}     | {line}" for name, text in texts.items() for line in (text, text, "", "True True"))


@pytest.mark.root
@pytest.mark.parametrize("situation", ["here", "nobody"])
def test_two_hosts_write_one_name_and_each_has_its_own_file(folder: Path, situation: str) -> None:
    """Also after a crash, and in processes that programs start; as root, and in a user namespace."""
    name = f"catenet-test-{folder.name}"
    (folder / "note.py").write_text(NOTE)
    (folder / "world.toml").write_text(WORLD.format(name=name))
    lines, said = run(folder, situation, "-v")
    assert "a mount namespace" in said
    assert lines == told(a="a a ", b="b b b ")
    assert not Path("/tmp", name).exists()


@pytest.mark.root
def test_without_the_right_to_mount_the_name_is_the_machines_and_the_run_says_so(folder: Path) -> None:
    file = Path("/tmp", f"catenet-test-{folder.name}")
    (folder / "note.py").write_text("import sys; print('x', file=open(sys.argv[1], 'a'))")
    (folder / "world.toml").write_text(WORLD.format(name=file.name))
    try:
        _, said = run(folder, "container", "-v")
        assert "a /tmp for each host: no right to mount" in said
        assert file.read_text() == "x\nx\n"
    finally:
        file.unlink(missing_ok=True)


@pytest.mark.root
def test_no_other_root_can_be_had_and_the_kernels_files_stay_shut(folder: Path) -> None:
    (folder / "breaks.py").write_text(BREAKS)
    (folder / "world.toml").write_text("[hosts.a]\nrun = 'breaks.py'\n")
    lines, _ = run(folder, "here")
    assert sorted(lines) == sorted(["a     | -1 1"] * 3 + ["a     | 13"] * 2 + ["a     | False False"])


@pytest.mark.root
def test_a_world_in_the_literal_folder_itself_keeps_it() -> None:
    with pytest.raises(FileExistsError, match="the run is in /tmp itself"):
        roots.make_roots(["a"], ["/tmp"])
