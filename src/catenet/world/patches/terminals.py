"""Terminals: a simulated process has none, so calls on its standard streams and files fail with ENOTTY."""

from __future__ import annotations

import errno
import os
import termios
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

TERMIOS: Final = "tcgetattr tcsetattr tcsendbreak tcdrain tcflush tcflow tcgetwinsize tcsetwinsize"


def _no_terminal(process: Process, descriptor: Any, *args: Any) -> Any:
    raise termios.error(errno.ENOTTY, os.strerror(errno.ENOTTY))


def _no_terminal_of_os(process: Process, descriptor: Any, *args: Any) -> Any:
    os.fstat(descriptor)
    raise os_error(errno.ENOTTY)


def apply(patcher: Patcher) -> None:
    """Patch `termios` and the functions of `os` on terminals."""
    for name in TERMIOS.split():
        patcher.function(termios, name, _no_terminal)
    for name in ("tcgetpgrp", "tcsetpgrp", "ttyname"):
        patcher.function(os, name, _no_terminal_of_os)
