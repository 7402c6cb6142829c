"""Sources of entropy that programs have without asking for chance: the same in every run (docs/determinism.md)."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from catenet.world import World


def seen(program: Callable[[], object], seed: int = 1) -> object:
    found: list[object] = []
    with World(seed) as world:
        world.host("a").run(lambda: found.append(program()))
        world.run()
    return found[0]


def twice(program: Callable[[], object]) -> object:
    first = seen(program)
    assert seen(program) == first
    return first


def test_directories_are_listed_in_the_order_of_names(tmp_path: Path) -> None:
    names = [f"{secrets.token_hex(4)}.txt" for _ in range(30)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.txt").touch()

    def program() -> list[object]:
        import glob

        with os.scandir(tmp_path) as entries:
            scanned = [entry.name for entry in entries]
        assert os.listdir(tmp_path) == scanned == [path.name for path in tmp_path.iterdir()] == sorted([*names, "sub"])
        assert os.listdir(os.fsencode(tmp_path))[0] == sorted(names)[0].encode()
        found = sorted(names)
        assert [os.path.basename(path) for path in glob.glob(f"{tmp_path}/*.txt")] == found
        assert [path.name for path in tmp_path.glob("*.txt")] == found
        assert [files for _, _, files in os.walk(tmp_path)] == [found, ["x.txt"]]
        assert next(os.scandir(tmp_path)).name == scanned[0]
        shutil.rmtree(tmp_path / "sub")
        return sorted(os.listdir(tmp_path)) == found

    assert seen(program)


def test_files_have_the_same_numbers(tmp_path: Path) -> None:
    """By whatever way a program asks, and whatever the file system gave."""

    def program() -> list[int]:
        first, second = tmp_path / "first", tmp_path / "second"
        with first.open() as file:
            numbers = [first.stat().st_ino, os.fstat(file.fileno()).st_ino]
        os.link(first, tmp_path / "third")
        with os.scandir(tmp_path) as entries:
            numbers += [number for entry in entries for number in (entry.inode(), entry.stat().st_ino)]
        assert numbers == [numbers[0]] * 4 + [second.stat().st_ino] * 2 + [numbers[0]] * 2
        assert numbers[0] != second.lstat().st_ino
        assert os.path.samefile(first, tmp_path / "third") and not os.path.samefile(first, second)
        return numbers

    found = []
    for names in (("first", "second"), ("second", "between", "first")):
        for name in names:
            (tmp_path / name).touch()
        (tmp_path / "between").unlink(missing_ok=True)
        found.append(seen(program))
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    assert found[0] == found[1]


def test_psutil_finds_the_programs_own_process() -> None:
    psutil = pytest.importorskip("psutil")

    def program() -> tuple[int, bool]:
        process = psutil.Process()
        assert process.memory_info().rss > 0 and process.is_running() and process.cpu_affinity()
        return process.pid, process == psutil.Process(os.getpid())

    number, same = seen(program)  # type: ignore[misc]
    assert same and number != os.getpid()


def test_processors_and_load_are_every_hosts() -> None:
    def program() -> object:
        import multiprocessing
        from concurrent.futures import ThreadPoolExecutor

        counted = os.cpu_count(), multiprocessing.cpu_count(), len(os.sched_getaffinity(0))
        with ThreadPoolExecutor() as pool:
            threads = pool._max_workers
        named = os.sysconf("SC_NPROCESSORS_ONLN"), os.sysconf(os.sysconf_names["SC_NPROCESSORS_CONF"])
        assert os.sysconf("SC_PAGESIZE") > 1000
        return counted, threads, named, os.getloadavg()

    assert seen(program) == ((4, 4, 4), 8, (4, 4), (0.0, 0.0, 0.0))


def test_what_a_program_has_used_is_the_same() -> None:
    def program() -> object:
        import resource

        sum(range(100_000))
        return os.times(), resource.getrusage(resource.RUSAGE_SELF), os.getpgrp(), os.getsid(0), os.getpid()

    twice(program)


def test_sql_draws_from_the_programs_entropy() -> None:
    def program() -> object:
        import sqlite3

        connection = sqlite3.connect(":memory:")
        connection.execute("create table t (x)")
        connection.executemany("insert into t values (?)", [(number,) for number in range(20)])
        order = [row[0] for row in connection.execute("select x from t order by random()")]
        drawn = connection.execute("select random(), hex(randomblob(8)), length(randomblob(0))").fetchone()
        assert order != sorted(order) and drawn[2] == 1 and len(drawn[1]) == 16
        return order, drawn

    assert twice(program) != seen(program, seed=2)


def test_numpys_generators_draw_from_it_too() -> None:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("numpy.random")  # which draws when it is imported

    def program() -> object:
        return numpy.random.default_rng().integers(0, 1 << 60, 4).tolist(), numpy.random.SeedSequence().entropy

    assert twice(program) != seen(program, seed=2)


def test_names_of_threads_files_and_hosts() -> None:
    def program() -> object:
        import platform
        import socket
        import tempfile
        import threading
        import uuid

        thread = threading.Thread(target=lambda: None)
        thread.start()
        names = thread.name, thread.ident, thread.native_id, threading.get_ident()
        thread.join()
        candidates = next(tempfile._RandomNameSequence())
        return names, platform.node(), socket.gethostname(), uuid.uuid1(), uuid.uuid4(), uuid.getnode(), candidates

    assert "a" in str(twice(program))


def test_uuids_of_the_function_of_c_are_the_hosts() -> None:
    """As libuuid makes them: two are never the same, and no daemon vouches for them."""
    seen: list[list[object]] = []

    def program() -> None:
        import uuid

        of_c = [uuid.UUID(bytes=_uuid.generate_time_safe()[0]) for _ in range(2)]
        made = [*of_c, uuid.uuid1()]
        assert len(set(made)) == 3 and {each.version for each in made} == {1}
        seen.append([*map(str, made), {each.node for each in made} == {uuid.getnode()}, uuid.uuid1().is_safe.name])

    _uuid = pytest.importorskip("_uuid")
    for _ in range(2):
        with World(seed=3) as world:
            world.host("a").run(program)
            world.run()
    assert seen[0] == seen[1]
    assert seen[0][3:] == [True, "unsafe"]
