"""Processes that do something at the same time, each a fresh interpreter.

Not forks: the process of the tests has threads, and a lock that one of them holds at that moment stays held in a
child.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

__all__ = ["at_once"]

PATIENCE = 120
"""Seconds that a busy machine may take."""


def at_once(preparation: str, work: str, words: Sequence[Sequence[str]]) -> list[str]:
    """Run a program once for each list of arguments; all begin with `work` when each has done its preparation.

    Returns what they have printed. One that fails fails the test.
    """
    program = f"{preparation}\nprint('ready', flush=True)\ninput()\n{work}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, *each], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for each in words
    ]
    try:
        for child in children:
            assert child.stdout is not None and child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        printed = [child.communicate(timeout=PATIENCE)[0] for child in children]
        assert [child.returncode for child in children] == [0] * len(children)
        return printed
    finally:
        for child in children:
            child.kill()
            child.communicate()
