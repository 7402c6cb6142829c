"""Standard streams that whoever started the process has closed.

The next file that is opened would get such a descriptor, and what is printed would go into it.
"""

from __future__ import annotations

import os
import sys
from typing import Final

__all__ = ["open_closed"]

_CLOSED: Final = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
"""Of each descriptor its stream, how /dev/null is opened there, and how the stream is.

The wrong direction: to read from it or to write to it fails, as for a descriptor that is closed. What goes to standard
error is dropped, because whoever closed it wants to hear nothing.
"""


def open_closed() -> frozenset[int]:
    """Open /dev/null on the standard descriptors that are closed, with the streams for them; return which they were."""
    closed = [descriptor for descriptor, (name, _, _) in enumerate(_CLOSED) if _is_closed(name, descriptor)]
    for descriptor in closed:
        name, flags, mode = _CLOSED[descriptor]
        nothing = os.open(os.devnull, flags)
        if nothing == descriptor:
            os.set_inheritable(nothing, True)
        else:
            os.dup2(nothing, descriptor)
            os.close(nothing)
        setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 - for the life of the process
    return frozenset(closed)


def _is_closed(name: str, descriptor: int) -> bool:
    """Whether the interpreter has found it closed, and it is so still."""
    if getattr(sys, name) is not None:
        return False
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False
