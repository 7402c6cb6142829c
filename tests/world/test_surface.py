"""Descriptors, threads, signals and time zones are on a simulated host as on the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.world.surface_scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]


def run(where: str, name: str) -> Any:
    """The result of a scenario, `real` or `simulated`, in an interpreter of its own."""
    words = [sys.executable, "-m", "tests.world.surface_scenarios", where, name]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, start_new_session=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", SCENARIOS)
def test_as_on_the_kernel(name: str) -> None:
    assert run("simulated", name) == run("real", name)
