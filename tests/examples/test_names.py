"""The world of names: an unmodified program fetches pages by name, whatever happens to packets and servers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from tests import commands

EXAMPLE = Path(__file__).parents[2] / "examples" / "names"


@pytest.mark.parametrize("seed", [9, 1, 2])
def test_pages_are_fetched_by_name(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "catenet", "run", str(EXAMPLE / "world.toml"), "--seed", str(seed)]
    done = commands.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.findall(r"^shopper +\| (.*) \(\d", done.stdout, re.MULTILINE)
    kinds = ["front", "store", "front", "careless", "nowhere"]
    assert len(said) == 3 * len(kinds)
    patterns = {
        "front": r"this is front, you asked for www\.(shop\.com|charity\.org)",
        "store": r"this is store [12], you asked for pictures\.shop\.com",
        "careless": r"www\.careless\.org: Temporary failure in name resolution",
        "nowhere": r"nowhere\.shop\.com: Name or service not known",
    }
    for line, kind in zip(said, 3 * kinds, strict=True):
        assert re.fullmatch(patterns[kind], line), line
    assert {"store 1", "store 2"} == {found[0] for line in said if (found := re.search(r"store \d", line))}
    assert "crash of ns1" in done.stdout
