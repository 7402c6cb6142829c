"""Programs that others have written have one trace, whatever surrounds the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.world.pairs import FEW, PAIRS, run_pairs

pytestmark = pytest.mark.slow(8)


def test_pairs_have_one_trace_in_whatever_surroundings(tmp_path: Path) -> None:
    traces = run_pairs(FEW, tmp_path)
    assert traces[0] == traces[1] == traces[2]


def test_there_are_pairs_enough() -> None:
    assert set(FEW) <= set(PAIRS)
    assert len(set(PAIRS)) == len(PAIRS) > 50
