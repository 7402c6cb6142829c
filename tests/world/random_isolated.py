"""Random worlds come to the same with hosts in processes of their own: all, or some of them, one or two at a time.

`python -m tests.world.random_isolated FIRST COUNT [--jobs N] [--table FILE]` runs seeds, as `make long` does.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.long_runs import run_many
from tests.world import random_orders
from tests.world.random_worlds import told

HOSTS = ("server", "router", "a", "b", "c")


def compared(seed: int, apart: Sequence[str] = (), workers: int = 1) -> dict[str, Any]:
    """What must be the same. At one instant, the order of lines and packets of several hosts is not."""
    found = told(seed, apart=apart, workers=workers)
    del found["crossed"]
    found["lines"] = sorted(found["lines"])
    return found


def some(seed: int) -> list[str]:
    """Some of the hosts."""
    chance = random.Random(f"{seed}/apart")
    return [name for name in HOSTS if chance.random() < 0.5]


@dataclass
class Outcome:
    """Of one seed."""

    packets: int = 0
    faults: list[str] = field(default_factory=list)


def run(seed: int) -> Outcome:
    """Run a seed in three ways; of every fifth a longer world as well, in four."""
    together = random_orders.told(seed)
    outcome = Outcome(together[2])
    for workers in (1, 2):
        if random_orders.told(seed, apart=True, workers=workers) != together:
            outcome.faults.append(f"seed {seed} of the worlds of many events at one instant, {workers} at a time")
    if not seed % 5:
        _run_longer(seed, outcome)
    return outcome


def _run_longer(seed: int, outcome: Outcome) -> None:
    usual = compared(seed)
    outcome.packets += usual["packets"]
    for apart, workers in ((HOSTS, 1), (HOSTS, 2), (some(seed), 2)):
        found = compared(seed, apart, workers)
        differs = [name for name in usual if found[name] != usual[name]]
        if differs:
            where = f"{' '.join(apart)} apart, {workers} at a time"
            outcome.faults.append(f"seed {seed}, {where}: {', '.join(differs)} differ from all hosts together")


def table(outcomes: Sequence[Outcome], seconds: float) -> str:
    """What came of all seeds."""
    rows = (
        ("worlds (seeds)", f"{len(outcomes):,}"),
        ("packets", f"{sum(outcome.packets for outcome in outcomes):,}"),
        ("runs with hosts apart that differed", f"{sum(len(outcome.faults) for outcome in outcomes)}"),
        ("wall time", f"{seconds:,.0f} s"),
    )
    return "\n".join(("| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)))


if __name__ == "__main__":
    sys.exit(run_many(__doc__, "isolated", run, table))
