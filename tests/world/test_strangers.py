"""Pairs of programs of others: what the long run stands on, and one of them that needs nothing installed."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from tests.world.strangers import running
from tests.world.strangers.environments import ENVIRONMENTS, REQUIREMENTS
from tests.world.strangers.roster import PAIRS
from tests.world.strangers.shape import shape_of

from catenet.wire.pcapng import PcapngWriter

PROGRAMS = Path(running.__file__).parent / "programs"


def names_of(program: str) -> set[str]:
    """Names of functions, and other names for them, at the top of a program."""
    found = set()
    for node in ast.parse((PROGRAMS / f"{program}.py").read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


def test_every_pair_has_its_server_and_its_client() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
    for pair in PAIRS:
        names = names_of(pair.program)
        assert f"serve_{pair.name}" in names and {f"ask_{pair.name}", f"open_{pair.name}"} & names, pair
        assert pair.environment in ENVIRONMENTS


def test_every_program_is_of_a_pair() -> None:
    for program in {pair.program for pair in PAIRS}:
        served = {name.removeprefix("serve_") for name in names_of(program) if name.startswith("serve_")}
        assert served - {"collector"} == {pair.name for pair in PAIRS if pair.program == program}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_are_locked(environment: str) -> None:
    for line in (REQUIREMENTS / f"{environment}.txt").read_text().splitlines():
        assert re.fullmatch(r"[\w.-]+==[\w.+]+", line), line


def test_a_pair_is_asked_before_between_and_after_the_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "interpreter", lambda environment: Path(sys.executable))
    pair = next(pair for pair in PAIRS if pair.name == "xmlrpc")
    place = running.make_place(tmp_path / "place")
    status, text = running.run_in_world(pair, place, {}, 100)
    assert status == 0, text
    assert [f"answered in window {number}" in text for number in range(3)] == [True] * 3
    assert "10.000 s: cut off: client" in text and "60.000 s: crash of server" in text


def test_a_shape_is_times_and_lengths(tmp_path: Path) -> None:
    """Of two captures that differ in bytes alone the shape is one."""
    shapes = []
    for number, data in enumerate((b"abc", b"xyz", b"abcd")):
        path = tmp_path / str(number)
        with path.open("wb") as file:
            writer = PcapngWriter(file)
            writer.write(writer.add_interface("host"), 1.5, data)
        shapes.append(shape_of(path))
    assert shapes[0] == shapes[1] != shapes[2]
