"""Command lines of a shell, before a process is made for them: some need no shell, some no host's shell knows."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from typing import Final

from catenet.world.engine.children.shell.builtins import BUILTINS
from catenet.world.engine.children.shell.syntax import RESERVED, ShellSyntaxError, parse

__all__ = ["without_shell"]

SHELL_WORDS: Final = frozenset("|&;<>()$`*?[]#~{}\\\n")
"""Characters by which a command line needs a shell."""
QUOTED: Final = re.compile(r"""'[^']*'|"[^"$`\\]*\"""")
"""What means itself, whatever is in it."""


def without_shell(words: Sequence[str], folders: Sequence[str]) -> tuple[list[str], str] | None:
    """The words of a command line, and the program in one of some folders, if no shell is needed to run it.

    CallNotModelled for a command line that the shell of a host does not know.
    """
    if len(words) < 3 or words[1] != "-c":
        return None
    line = words[2]
    try:
        parse(line)
        found = shlex.split(line) if SHELL_WORDS.isdisjoint(QUOTED.sub("", line)) and len(words) == 3 else []
    except (ShellSyntaxError, ValueError):
        return None  # the shell says so
    if found[:1] == ["exec"]:
        found = found[1:]
    if not found or "=" in found[0] or found[0] in BUILTINS or found[0] in RESERVED:
        return None
    places = [found[0]] if "/" in found[0] else [os.path.join(folder, found[0]) for folder in folders]
    place = next((path for path in places if os.access(path, os.X_OK) and not os.path.isdir(path)), None)
    return None if place is None else (found, place)
