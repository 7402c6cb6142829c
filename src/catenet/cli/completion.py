"""Completion of command lines by the Tab key, for bash, zsh and fish.

The shell asks the command itself, by argcomplete's protocol, so that what is offered is what this version takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Sequence

from catenet.cli import UsageError

__all__ = ["answer_shell", "shell_code"]

_EXTRA = "completion needs a library that is not installed; try pip install 'catenet[completion]'"


def shell_code(shell: str) -> str:
    """Return what `shell` (bash, zsh or fish) must read for `catenet` to be completed.

    Raises:
        UsageError: argcomplete is not installed.
    """
    if importlib.util.find_spec("argcomplete") is None:
        raise UsageError(_EXTRA)
    from argcomplete.shell_integration import shellcode

    return shellcode(["catenet"], shell=shell)


def answer_shell(parser_of: Callable[[Sequence[str]], argparse.ArgumentParser]) -> None:
    """Write what the word at the cursor can become where the shell reads it, and end the process.

    `parser_of` makes the parser for the words before the cursor. Without argcomplete, or where the environment does not
    hold a line, nothing happens.
    """
    if importlib.util.find_spec("argcomplete") is None or "COMP_LINE" not in os.environ:
        return
    import argcomplete
    from argcomplete.lexers import split_line

    line = os.environ["COMP_LINE"][: int(os.environ.get("COMP_POINT", "-1"))]
    words = split_line(line)[3]
    argcomplete.autocomplete(parser_of(words[1:]))
