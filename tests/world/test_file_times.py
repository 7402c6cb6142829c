"""Times of files are the world's, and the same in every run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from catenet.world import World
from catenet.world.engine.realtime import RealClock

BEGIN = 1_735_689_600  # 2025-01-01, the default epoch of worlds


def seen(program: Any, *, epoch: float = BEGIN) -> Any:
    found: list[Any] = []
    with World(1, epoch=epoch) as world:
        world.host("a").run(lambda: found.append(program()))
        world.run()
    return found[0]


def test_what_a_program_writes_has_the_time_that_its_clock_shows(tmp_path: Path) -> None:
    def program() -> list[float]:
        times = []

        def note(name: str) -> None:
            times.append(os.stat(tmp_path / name).st_mtime - BEGIN)

        time.sleep(10)
        with open(tmp_path / "text", "w") as file:
            note("text")
            file.write("x" * 100)
            time.sleep(10)
            file.flush()
            note("text")
            time.sleep(10)
            file.write("more")
        note("text")
        time.sleep(10)
        (tmp_path / "binary").write_bytes(b"x")
        note("binary")
        time.sleep(10)
        with open(tmp_path / "binary", "ab", buffering=0) as raw:
            raw.write(b"y")
        note("binary")
        time.sleep(10)
        descriptor = os.open(tmp_path / "low", os.O_WRONLY | os.O_CREAT)
        note("low")
        time.sleep(10)
        os.write(descriptor, b"z")
        note("low")
        os.close(descriptor)
        time.sleep(10)
        (tmp_path / "low").touch()
        note("low")
        os.utime(tmp_path / "low", (BEGIN + 1, BEGIN + 2))
        note("low")
        time.sleep(10)
        (tmp_path / "folder").mkdir()
        note("folder")
        os.replace(tmp_path / "text", tmp_path / "folder" / "text")
        note("folder/text")
        with open(tmp_path / "binary", "r+b") as both:
            assert both.read() == b"xy"
        note("binary")
        return times

    assert seen(program) == [10, 20, 30, 40, 50, 60, 70, 80, 2, 90, 30, 50]
    assert (tmp_path / "folder" / "text").stat().st_mtime == BEGIN + 30  # on the disk as well


def test_nothing_is_from_a_time_to_come(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new")
    old.write_text("old")
    os.utime(old, (1000, 1000))

    def program() -> object:
        time.sleep(5)
        entries = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(tmp_path)}
        with open(new) as file:
            by_descriptor = os.fstat(file.fileno())
        status = new.stat()
        assert status == by_descriptor and status[8] == status.st_mtime and status.st_size == 3
        assert (status.st_atime, status.st_mtime_ns, status.st_ctime) == (BEGIN, BEGIN * 10**9, BEGIN)
        assert os.lstat(new).st_mtime == os.path.getmtime(new) == BEGIN and status.st_blksize > 0
        return entries

    real = new.stat().st_mtime_ns
    assert seen(program) == {"new": BEGIN * 10**9, "old": 1000 * 10**9}
    assert new.stat().st_mtime_ns == real
    assert seen(lambda: new.stat().st_mtime_ns, epoch=time.time() + 1000) == real


def test_logs_are_rotated_when_their_time_has_come(tmp_path: Path) -> None:
    def program() -> list[str]:
        import logging.handlers

        for _ in range(2):  # as two runs of a program, a day apart
            handler = logging.handlers.TimedRotatingFileHandler(tmp_path / "log", when="H", utc=True)
            for _ in range(3):
                handler.emit(logging.makeLogRecord({"msg": time.strftime("%H:%M")}))
                time.sleep(1800)
            handler.close()
            time.sleep(84_600)
        return sorted(path.name for path in tmp_path.iterdir())

    dates = ("2025-01-01_00", "2025-01-01_01", "2025-01-02_01")  # the second from the file's time
    assert seen(program) == ["log", *(f"log.{date}" for date in dates)]


def test_open_is_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def program() -> object:
        found = []
        with open(path, "x", encoding="utf-16", newline="\r\n") as text:
            text.write("ä\n")
            found.append((text.name, text.mode, text.encoding, text.buffer.raw.mode, text.line_buffering))
        with open(path, "r+b", 1000) as both:
            found.append((both.read(), both.seek(0), both.write(b"!"), both.raw.mode, both.name == path))
        with open(path, "w+", 1) as text:
            found.append((text.write("a\nb"), text.seek(0), text.readlines(), text.line_buffering, text.truncate(1)))
        with open(os.open(path, os.O_RDWR), "ab", closefd=True) as end:
            found.append((end.write(b"end"), end.tell(), isinstance(end.name, int)))
        for wrong in ("rw", "wb+t", "z", "ww", ""):
            with pytest.raises(ValueError):
                open(path, wrong)
        for words in ({"encoding": "utf-8"}, {"newline": ""}, {"errors": "strict"}):
            with pytest.raises(ValueError):
                open(path, "wb", **words)
        for buffering, error in ((0, ValueError), ("1", TypeError)):
            with pytest.raises(error):
                open(path, "w", buffering)
        with pytest.raises(LookupError):
            open(path, "w", encoding="nonsense")
        lost = tmp_path / "no" / "x"
        for name, error in ((path, FileExistsError), (tmp_path, FileExistsError), (lost, FileNotFoundError)):
            with pytest.raises(error):
                open(name, "x")
        with pytest.raises(IsADirectoryError):
            open(tmp_path, "w")
        with open("/dev/null", "w") as null:
            null.write("x")
        return [str(path) if entry is path else entry for entry in found]

    inside = seen(program)
    path.unlink()
    assert inside == program()


def test_worlds_in_real_time_leave_times_alone(tmp_path: Path) -> None:
    found: list[float] = []

    def program() -> None:
        (tmp_path / "file").write_text("x")
        found.append((tmp_path / "file").stat().st_mtime)

    with World(1, clock=RealClock()) as world:
        world.host("a").run(program)
        world.run()
    assert abs(found[0] - time.time()) < 1000


UNCLOSED = """
import gzip, io, pathlib
kept = open("text", "w")
kept.write("text")
data = io.open("data", "ab")
data.write(b"data")
path = pathlib.Path("path").open("x")
path.write("path")
closed = open("closed", "w")
closed.close()
"""


@pytest.mark.parametrize("isolation", ["shared", "process"])
def test_files_that_are_not_closed_are_written_at_the_end(tmp_path: Path, isolation: str) -> None:
    """As the interpreter does, which frees what a program has left."""
    (tmp_path / "program.py").write_text(UNCLOSED + "raise SystemExit(3)\n")
    with World(1, directory=tmp_path, isolation=isolation) as world:
        world.host("a").run(["-c", f"import os; os.chdir({str(tmp_path)!r})\n" + (tmp_path / "program.py").read_text()])
        world.run(check=False)
        assert [process.status for process in world.processes] == [3]
    assert {name: (tmp_path / name).read_text() for name in ("text", "data", "path", "closed")} == {
        "text": "text",
        "data": "data",
        "path": "path",
        "closed": "",
    }
