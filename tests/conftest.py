"""What every test can ask for: real peers, root, and network namespaces of its own."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from tests.peers import of_test, program

# No test depends on a time: a busy machine is no failure. Examples are the same in every run, so that a change is
# judged by what it changes; `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile("catenet", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "catenet"))

# A shell lets what it has put into the background ignore Ctrl-C, and the programs of tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where Python is told to write no bytecode beside sources, as in many containers, each process that the tests start
# would compile the package anew, which takes as long as all else that it does: bytecode is kept elsewhere.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# grpcio would start its threads anew in each fork of this process; a fork of that fork could wait for them for ever.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Collections of garbage that start by themselves took a fifth of the time of tests that make many objects.
gc.set_threshold(50_000, 20, 100)

NO_SKIP = os.environ.get("CATENET_NO_SKIP") == "1"
"""Set by the CI script, which installs every peer: there a skipped test is a failed test."""

_numbers = itertools.count()


def _what_is_missing_for_root() -> str | None:
    if os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    if shutil.which("ip") is None:
        return "needs the ip command (iproute2)"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for name in mark.args:
            if program(name) is None:
                pytest.skip(f"needs the {name} command")
    if item.get_closest_marker("root") and (missing := _what_is_missing_for_root()):
        pytest.skip(missing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none is left alone at the end of a parallel run."""
    longest: dict[Path, float] = {}
    for item in items:
        for mark in item.iter_markers("slow"):
            longest[item.path] = max(longest.get(item.path, 0.0), *mark.args, 5.0)
    items.sort(key=lambda item: -longest.get(item.path, 0.0))


_freeze_for: list[Path] = []
_LOGGERS = (None, "catenet", "catenet.ntp", "catenet.tftp")
"""Those whose levels verbs set."""


def _freeze(path: Path) -> None:
    """With each file: what the run has gathered so far stays, so no collection of garbage looks at it again.

    A world collects garbage at fixed numbers of turns and whenever a process ends. With thousands of tests in memory
    nine tenths of the time of its tests went there.
    """
    if _freeze_for != [path]:
        _freeze_for[:] = [path]
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    _freeze(item.path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with of_test(item.nodeid, any(item.get_closest_marker(name) for name in ("peer", "root"))):
        try:
            return (yield)
        finally:
            # What a verb that a test has called does with signals and logs shall not reach the next one.
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where nothing may be: {report.longrepr}"
    return report


class Namespace:
    """A network namespace made for one test; commands run inside it, traffic never leaves it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._children: list[subprocess.Popen[str]] = []

    def create(self) -> None:
        """Make it, with its loopback up."""
        subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True, text=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, words: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.name, *words]

    def run(
        self, *words: str, timeout: float = 60, check: bool = True, **kwargs: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(words), timeout=timeout, check=check, text=True, capture_output=True, **kwargs
        )

    def start(self, *words: str, **kwargs: Any) -> subprocess.Popen[str]:
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.STDOUT)
        child = subprocess.Popen(self.command(words), text=True, **kwargs)
        self._children.append(child)
        return child

    def wait_for_udp(self, port: int) -> None:
        """Wait until a socket is bound to a port: a program may join its group before."""
        while f"{port:04X} " not in self.run("cat", "/proc/net/udp", "/proc/net/udp6").stdout:
            pass

    def close(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.terminate()
        for child in self._children:
            try:
                child.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.communicate()
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


@pytest.fixture
def namespaces() -> Iterator[Callable[[], Namespace]]:
    """Make network namespaces, with loopback up; they go with the test. Use with the mark `root`."""
    made: list[Namespace] = []

    def make() -> Namespace:
        namespace = Namespace(f"catenet-{os.getpid()}-{next(_numbers)}")
        made.append(namespace)
        namespace.create()
        return namespace

    yield make
    for namespace in made:
        namespace.close()


@pytest.fixture
def namespace(namespaces: Callable[[], Namespace]) -> Namespace:
    """One network namespace. Use with the mark `root`."""
    return namespaces()
