"""A `/tmp` for each host that has a process of its own, for programs that name it literally."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.world.scenario.worldfile import WorldPlan

__all__ = ["give_temporary"]

_NAMED: Final = re.compile(r"(/tmp/[^/\s'\"=:,;]+)(/?)[^\s'\"=:,;]*")


def give_temporary(plan: WorldPlan, folder: Path) -> None:
    """Make them, in a process that is not closed yet; `folder` is the run's. Without the right to do so, none is."""
    from catenet.world.enclosure.closing import make_roots

    names = [
        host.name
        for host in plan.hosts
        if host.run and (host.files or plan.files) == "own" and (host.isolation or plan.isolation) == "process"
    ]
    if names:
        make_roots(names, [str(folder), *_in_use(plan)])


def _in_use(plan: WorldPlan) -> Iterator[str]:
    """What programs have to find where it is: their own folders, the interpreter, and folders that they are told of."""
    yield from (os.getcwd(), str(plan.folder.absolute()), sys.prefix, sys.base_prefix, sys.executable, *sys.path)
    for text in (*os.environ.values(), *(str(line) for host in plan.hosts for line in host.run)):
        for entry, slash in _NAMED.findall(text):
            if slash or os.path.isdir(entry) or entry.endswith(".py"):
                yield entry
