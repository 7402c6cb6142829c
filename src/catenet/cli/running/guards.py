"""What guards the machine and the user from a simulation's programs: closed doors, and an end to standing still."""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli.running.isolating import has_hosts_apart

if TYPE_CHECKING:
    from catenet.cli.console import Console
    from catenet.world.engine.stalling import Watch
    from catenet.world.scenario.worldfile import WorldPlan
    from catenet.world.world import World

__all__ = ["close_process", "watching"]


def close_process(console: Console, verbose: bool, *, children: bool) -> None:
    """Close this process: what a program does by itself must not leave it either. Say so if it cannot be done."""
    from catenet.world.enclosure.closing import close_network
    from catenet.world.observe.control import reserve

    with contextlib.suppress(OSError):
        reserve()
    closed = close_network(children=children)
    if not closed.shut:
        console.complain(
            "programs are kept from the machine's network by Python alone, so C code can reach it: the system "
            f"allows nothing better ({closed.why})"
        )
    elif verbose:
        console.complain(f"closed by {closed.describe()}" + (f" ({closed.why})" if closed.why else ""))


@contextlib.contextmanager
def watching(
    args: argparse.Namespace, world: World, console: Console, plan: WorldPlan, folder: Path
) -> Iterator[Watch | None]:
    """Watch over programs that stand still in real time; `folder` goes with a run that must be ended at once.

    Where hosts have processes of their own, these watch, and end with all that their programs have left behind.
    """
    from catenet.world.enclosure.descendants import end_descendants
    from catenet.world.engine.stalling import STALL, Watch
    from catenet.world.observe.control import forget

    limit = STALL if plan.stall is None else plan.stall
    if args.own_process and has_hosts_apart(plan):
        # No watch here: this process forks hosts, and no thread must be in the midst of anything then.
        world.isolation.stall = None if math.isinf(limit) else limit
        try:
            yield None
        finally:
            end_descendants()
        return
    if math.isinf(limit) or not args.own_process:
        yield None
        return

    def clean_up() -> None:
        forget()
        shutil.rmtree(folder, ignore_errors=True)

    watch = Watch(world, limit, console.complain, clean_up)
    try:
        yield watch
    finally:
        watch.end()
