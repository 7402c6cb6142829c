"""The table of patches against the interpreter that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.world.patches.table.report import inserted


@pytest.fixture(scope="module")
def differences() -> dict[str, list[str]]:
    """What the walk found, by kind."""
    script = Path(__file__).with_name("interpreter_walk.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        "not in the table",
        "not in the interpreter",
        "listed twice",
        "treated differently under another name",
        "not replaced",
        "replaced",
        "not patched in place",
        "not exchanged",
        "not refused",
        "refused in other words",
        "not refused within",
    ],
)
def test_the_walk_finds_no_name_that_is(kind: str, differences: dict[str, list[str]]) -> None:
    assert differences.get(kind, []) == []


def test_the_documentation_shows_the_table() -> None:
    """`python -m catenet.world.patches.table.report docs/compatibility.md` brings it up to date."""
    document = Path(__file__).parents[2] / "docs" / "compatibility.md"
    assert inserted(document.read_text()) == document.read_text()
