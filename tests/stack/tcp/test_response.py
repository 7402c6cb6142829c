"""The mean window of Reno and CUBIC against the papers' formulas, in the experiment of the benchmarks."""

from __future__ import annotations

import pytest
from benchmarks.fairness import response


@pytest.mark.parametrize(("algorithm", "period"), [("reno", 100), ("reno", 500), ("cubic", 100), ("cubic", 1000)])
def test_mean_window_is_that_of_the_formula(algorithm, period):
    assert abs(response(algorithm, period, 8)["off"]) < 15
