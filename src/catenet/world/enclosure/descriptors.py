"""Descriptors that came from whoever started the process: what leads out by them is closed."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import Final

__all__ = ["close_inherited"]

STANDARD: Final = 2
KEPT: Final = (stat.S_IFREG, stat.S_IFIFO)
"""Files and pipes are what a shell hands over on purpose (`<(command)`, `3>file`)."""


def close_inherited() -> None:
    """Close sockets, folders, devices and the like that the process has not opened itself, but the standard streams.

    What the interpreter opens is closed when another program is executed (PEP 446), and what it inherited is not.
    """
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor <= STANDARD:
            continue
        try:
            own = fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        except OSError:  # that of the listing itself
            continue
        if not own and kind not in KEPT:
            os.close(descriptor)
