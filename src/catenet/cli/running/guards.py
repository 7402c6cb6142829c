"""What guards the machine and the user from a simulation's programs: closed doors, and an end to standing still."""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli.running.isolating import has_hosts_apart
from catenet.cli.running.outsiders import ByPipe, say_so

if TYPE_CHECKING:
    from catenet.cli.console import Console
    from catenet.world.engine.stalling import Watch
    from catenet.world.scenario.worldfile import WorldPlan
    from catenet.world.world import World

__all__ = ["close_process", "watching"]


def close_process(console: Console, verbose: bool, *, children: bool) -> ByPipe | None:
    """Close this process: what a program does by itself must not leave it either. Say so if it cannot be done.

    Returns what is to listen to notices when there is a world.
    """
    from catenet.world.enclosure.closing import close_network
    from catenet.world.observe.control import reserve

    with contextlib.suppress(OSError):
        reserve()
    by_pipe = None if children else ByPipe(console.complain)
    closed = close_network(
        children=children, notice=partial(say_so, console.complain) if by_pipe is None else by_pipe.notice
    )
    if not closed.shut:
        console.complain(
            "programs are kept from the machine's network by Python alone, so C code can reach it: the system "
            f"allows nothing better ({closed.why})"
        )
    elif verbose:
        console.complain(f"closed by {closed.describe()}" + (f" ({closed.why})" if closed.why else ""))
    return by_pipe if closed.asks else None


@contextlib.contextmanager
def watching(
    args: argparse.Namespace, world: World, console: Console, plan: WorldPlan, folder: Path
) -> Iterator[Watch | None]:
    """Watch over programs that stand still in real time; `folder` goes with a run that must be ended at once.

    Where hosts have processes of their own, these watch, and end with all that their programs have left behind.
    """
    from catenet.world.enclosure.closing import end_children
    from catenet.world.enclosure.memory import bound_memory, unbound_memory
    from catenet.world.engine.stalling import STALL, Watch
    from catenet.world.observe.control import forget

    limit = STALL if plan.stall is None else plan.stall
    if args.own_process and has_hosts_apart(plan):
        # No watch here: this process forks hosts, and no thread must be in the midst of anything then.
        world.isolation.stall = None if math.isinf(limit) else limit
        bound_memory()
        try:
            yield None
        finally:
            unbound_memory()
            end_children()
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
