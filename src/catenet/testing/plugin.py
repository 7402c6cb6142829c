"""A plugin for pytest: the fixture `world`, tests over many seeds, and the line that replays the one that failed.

Loaded by pytest wherever Catenet is installed; nothing of Catenet is imported until a test asks for a world.

    @pytest.mark.catenet(seeds=20)
    def test_orders(world):
        world.host("shop").run("shop.py", daemon=True)
        world.host("client").run("client.py", start=1)
        world.run()
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from catenet.world import World


MARKER: Final = (
    'catenet(seeds, **options): run the test once for each seed (a number of them, "1..20", or a list of them),'
    " up to the first that fails; options are those of catenet.world.World"
)

REPLAY: Final = "catenet replay"
"""Name of the property of a report that has the line."""

SEED: Final = pytest.StashKey[int | str]()
FAILED: Final = pytest.StashKey[dict[str, int | str]]()
_OF_SEED: Final = re.compile(r"seed[^\]]*?(?=-(?!\d)|\])")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("catenet", "simulated worlds")
    group.addoption("--catenet-replay", metavar="SEED", default=None, help="run tests with a world for this seed only")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)
    config.stash[FAILED] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each seed."""
    marker = metafunc.definition.get_closest_marker("catenet")
    if marker is None or "world" not in metafunc.fixturenames:
        return
    if marker.args:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: write @pytest.mark.catenet(seeds=...)")
    if "seeds" not in marker.kwargs:
        return
    replayed = _replayed(metafunc.config)
    try:
        seeds = _seeds(marker.kwargs["seeds"]) if replayed is None else [replayed]
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: {error}") from None
    metafunc.parametrize("world", seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


def _replayed(config: pytest.Config) -> int | str | None:
    """The seed that the command line names."""
    text: str | None = config.getoption("--catenet-replay")
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


def _seeds(given: int | str | Iterable[int | str]) -> list[int | str]:
    """The seeds that a marker names. Raises TypeError, ValueError."""
    if isinstance(given, str):
        found = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", given)
        if found is None:
            raise ValueError(f"{given!r} is no range of seeds, as 1..100")
        given = range(int(found[1]), int(found[2]) + 1)
    seeds = [*range(1, given + 1)] if isinstance(given, int) else [*given]
    if not seeds:
        raise ValueError(f"there is no seed in {given!r}")
    return [*seeds]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give the test a world, which is closed when it ends. Scripts are sought beside the test."""
    from catenet.world import World

    marker = request.node.get_closest_marker("catenet")
    options: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    options.pop("seeds", None)
    options.setdefault("directory", request.path.parent)
    seed = options.pop("seed", 0)
    replayed = _replayed(request.config)
    seed = getattr(request, "param", seed if replayed is None else replayed)
    request.node.stash[SEED] = seed
    known = [*inspect.signature(World).parameters, "seeds"]
    for name in options:
        if name not in known:
            raise TypeError(f"pytest.mark.catenet: no option {name!r}; there are {', '.join(known)}")
    with World(seed, **options) as made:
        yield made


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the seeds after one that failed."""
    failed = item.config.stash[FAILED].get(_without_seed(item))
    if failed is not None:
        pytest.skip(f"seed {failed} failed")


def _without_seed(item: pytest.Item) -> str:
    """What the same test with other seeds has in common."""
    return _OF_SEED.sub("seed", item.nodeid) if _is_one_of_many(item) else f"{item.nodeid} alone"


def _is_one_of_many(item: pytest.Item) -> bool:
    return "world" in getattr(getattr(item, "callspec", None), "params", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report of a failure how to see it again."""
    report = yield
    if report.failed and SEED in item.stash:
        seed = item.stash[SEED]
        if _is_one_of_many(item):
            item.config.stash[FAILED].setdefault(_without_seed(item), seed)
        line = f"replay: {_hash_seed()}{shlex.join(['pytest', item.nodeid, '--catenet-replay', str(seed)])}"
        report.user_properties.append((REPLAY, line))
    return report


def _hash_seed() -> str:
    """The hash seed, if it is a number: the order of sets follows from it in tests, whose interpreter is pytest's."""
    value = os.environ.get("PYTHONHASHSEED", "")
    return f"PYTHONHASHSEED={value} " if value.isdecimal() else ""


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the lines of all failures."""
    reports = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
    properties = [each for report in reports for each in getattr(report, "user_properties", ())]  # none of collections
    lines = [str(value) for name, value in properties if name == REPLAY]
    if lines:
        terminalreporter.write_sep("=", "catenet")
        for line in dict.fromkeys(lines):
            terminalreporter.write_line(line)
