"""The plugin for pytest: seeds, replay, beside xdist and asyncio."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.testing.plugin import _seeds

pytestmark = pytest.mark.slow(8)

TESTS = """
    import asyncio, random
    import pytest

    @pytest.fixture(params=["x", "y-seed"])
    def kind(request): return request.param

    @pytest.mark.catenet(seeds=9)
    def test_many(world, kind):
        def draw():
            assert random.randrange(5) != 2
        world.host("a").run(draw)
        world.run()

    @pytest.mark.catenet(seeds=[3, "text"], epoch=86_400.0)
    def test_options(world):
        world.host("a").run("clock.py")
        world.run()
        assert world.seed in (3, "text", 2)

    def test_alone(world):
        assert world.seed == 0

    @pytest.mark.asyncio
    @pytest.mark.catenet(seeds="4..5")
    async def test_coroutine(world):
        await asyncio.sleep(0)
        slept = []
        async def sleep():
            await asyncio.sleep(100)
            slept.append(world.now)
        world.host("a").run(sleep)
        world.run()
        await asyncio.sleep(0)
        assert slept == [100] and world.seed == 4
    """

CONFIGURATION = """
    [pytest]
    addopts = -p no:anyio -p no:cacheprovider --strict-markers
    asyncio_default_fixture_loop_scope = function
    """


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("\n".join(line.strip() for line in CONFIGURATION.splitlines()))
    (tmp_path / "test_them.py").write_text("\n".join(line[4:] for line in TESTS.splitlines()))
    (tmp_path / "clock.py").write_text("import time\nassert time.gmtime()[:3] == (1970, 1, 2)\n")
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "catenet.testing.plugin", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | variables,
        text=True,
        capture_output=True,
        timeout=120,
    )
    return done.stdout + done.stderr


def test_a_test_runs_for_its_seeds_up_to_the_first_that_fails(folder: Path) -> None:
    pytest.importorskip("pytest_asyncio")
    printed = run(folder, PYTHONHASHSEED="5")
    assert "3 failed" in printed, printed
    for kind in ("x", "y-seed"):
        ids = {f"[seed5-{kind}]", f"[{kind}-seed5]"}
        assert any(f"test_many{name} PASSED" in printed for name in ids)
    assert printed.count("SKIPPED") == 6  # 7 to 9, of both kinds
    assert "replay: PYTHONHASHSEED=5 pytest 'test_them.py::test_coroutine[seed5]' --catenet-replay 5" in printed
    assert "test_options[seedtext] PASSED" in printed and "test_alone PASSED" in printed


def test_its_line_replays_the_seed_alone_also_on_workers(folder: Path) -> None:
    pytest.importorskip("pytest_asyncio")
    printed = run(folder, "-n", "2", "-k", "many", "--dist", "loadfile")
    lines = sorted(line for line in printed.splitlines() if line.startswith("replay: "))
    assert len(lines) == 2 and all(line.endswith("--catenet-replay 6") for line in lines), printed
    node = lines[0].split("'")[1]
    again = run(folder, node, "--catenet-replay", "6")
    assert "1 failed" in again and "passed" not in again
    other = run(folder, "--catenet-replay", "2")
    assert "2 failed" in other  # the test without seeds, and that which wants another
    assert "test_alone FAILED" in other and "test_coroutine[seed2] FAILED" in other


def test_what_cannot_be_collected_or_is_misspelt_is_an_error_of_the_test(folder: Path) -> None:
    (folder / "test_them.py").write_text("import no_such_module\n")
    (folder / "test_marker.py").write_text(
        "import pytest\n@pytest.mark.catenet(sedes=3)\ndef test_it(world): pass\n"
        "@pytest.mark.catenet(quiet='2s')\ndef test_quiet(world): assert world.ending.quiet == 2\n"
    )
    printed = run(folder, "--continue-on-collection-errors")
    assert "No module named 'no_such_module'" in printed and "INTERNALERROR" not in printed
    assert "pytest.mark.catenet: no option 'sedes'; there are seed, output, " in printed
    assert "1 passed, 2 errors" in printed and "AttributeError" not in printed


def test_seeds_in_every_form() -> None:
    assert _seeds(3) == [1, 2, 3]
    assert _seeds("5..7") == [5, 6, 7]
    assert _seeds(range(2)) == [0, 1]
    assert _seeds(["a", 1]) == ["a", 1]
    for wrong in (0, "7", "5..4", [], ()):
        with pytest.raises(ValueError):
            _seeds(wrong)
