"""Command lines of a shell that need none: there is no shell on a host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from catenet.posix.errors import CallNotModelled

__all__ = ["SHELLS", "without_shell"]

SHELLS: Final = ("sh", "bash", "dash")
SHELL_WORDS: Final = frozenset("|&;<>()$`*?[]#~{}\n")
"""Characters by which a command line needs a shell."""
QUOTED: Final = re.compile(r"""'[^']*'|"[^"$`\\]*\"""")
"""What means itself, whatever is in it."""


def without_shell(words: Sequence[str]) -> list[str]:
    """The words of a command line of the shell that needs none; NotModelled for others."""
    line = words[2] if len(words) > 2 and words[1] == "-c" else ""
    found = shlex.split(line) if SHELL_WORDS.isdisjoint(QUOTED.sub("", line)) else []
    if found[:1] == ["exec"]:
        found = found[1:]
    if not found or "=" in found[0]:
        raise CallNotModelled(
            f"the shell is not modelled on a simulated host (`{' '.join(words)}`); give the program and its arguments "
            "as a list, and do in Python what the shell would do"
        )
    return found
