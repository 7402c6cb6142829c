"""Programs in a world that would leave it: by Python, by its library, by libraries in C."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.world.enclosure.outside import Outside, outside

HERE = Path(__file__).parent
PROGRAM = HERE / "ways_by_programs.py"
LIBRARIES = ("confluent_kafka", "curl_cffi", "gevent", "primp", "psycopg2", "pycares", "pycurl", "pymssql")
ALONE = ["greenlet-of-nobody", "modules-again"]
"""They spoil the interpreter for others that share it."""

SITUATIONS = ["here", *(pytest.param(name, marks=pytest.mark.root) for name in ("nobody", "container"))]
WITH_CHILDREN = {"fork", "fork-exec", "multiprocessing-helper", "asyncio-program", "cffi", "posix-spawn"}
"""Ways that are open on a host with a process of its own: they come to a child of that process."""


def ways() -> list[str]:
    """Names of the ways, from the source."""
    found = ast.parse(PROGRAM.read_text()).body
    functions = [node for node in found if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return [function.name.replace("_", "-") for function in functions]


def leave(place: Outside, situation: str, names: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run a world with a host for each way."""
    sleep = 500_000 + os.getpid()
    facts = json.dumps(json.dumps({**place.facts(), "sleep": sleep}))
    world = place.folder / "socket.world.toml"
    world.write_text(
        "[world]\nduration = '10min'\n"
        + "".join(f"[hosts.{name}]\nrun = '''{PROGRAM} {name} {facts}'''\nservice = false\n" for name in names)
    )
    somebody = [] if situation == "here" else [sys.executable, str(HERE / "situation.py"), situation]
    done = subprocess.run(
        [*somebody, sys.executable, "-m", "catenet", "run", *options, str(world)],
        cwd=place.folder,
        env={**os.environ, "HOME": str(place.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert sleepers(sleep) == []
    return done


def sleepers(seconds: int) -> list[str]:
    """Processes that a program has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", str(seconds).encode()]:
            found.append(str(path))
    return found


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_program_leaves_its_world(situation: str) -> None:
    names = [name for name in ways() if name not in ALONE]
    with outside() as place:
        done = leave(place, situation, names, "--isolation", "shared")
        assert place.visitors() == []
    lines = dict(re.findall(r"^([\w-]+) +\| ((?:returned|refused|OPEN).*)$", done.stdout, re.MULTILINE))
    assert lines.keys() == set(names), done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if "| OPEN" in line] == []
    for library in filter(importlib.util.find_spec, LIBRARIES):
        assert "is not modelled on a simulated host; " in lines[library.replace("_", "-")], lines


@pytest.mark.parametrize("name", ALONE)
def test_alone(name: str) -> None:
    """A program that takes the engine's place may end the run, and gets nowhere all the same."""
    with outside() as place:
        leave(place, "here", [name])
        assert place.visitors() == []


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_program_leaves_a_process_of_its_own(situation: str) -> None:
    """There it may have children, but they are as closed, and end with the run."""
    names = [name for name in ways() if name not in ALONE]
    with outside() as place:
        done = leave(place, situation, names, "--isolation", "process")
        assert place.visitors() == []
    found = re.findall(r"^([\w-]+) +\| (returned|refused|OPEN)", done.stdout, re.MULTILINE)
    assert dict(found).keys() == set(names), done.stdout + done.stderr
    assert {name for name, what in found if what == "OPEN"} <= WITH_CHILDREN
