"""Opening devices in another network namespace (network_namespaces(7)). Linux only, needs CAP_SYS_ADMIN."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["network_namespace"]

CLONE_NEWNET: Final = 0x40000000
NAMED: Final = Path("/run/netns")


@contextlib.contextmanager
def network_namespace(name: str | None) -> Iterator[None]:
    """Be in the namespace `name` (as `ip netns` calls it), or of the process with this number; None: stay.

    Only the calling thread moves, and comes back. OSError when there is no such namespace or no privilege.
    """
    if name is None:
        yield
        return
    path = Path("/proc", name, "ns", "net") if name.isdecimal() else NAMED / name
    with path.open("rb") as target, Path("/proc/thread-self/ns/net").open("rb") as home:
        _set_namespace(target.fileno(), name)
        try:
            yield
        finally:
            _set_namespace(home.fileno(), name)


def _set_namespace(descriptor: int, name: str) -> None:
    # os.setns came with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
