"""Rights that a process gives up: capabilities (capabilities(7)), and what programs it executes would gain."""

from __future__ import annotations

import contextlib
import ctypes
import struct
from typing import Final

from catenet.world.enclosure.kernel import library, prctl

__all__ = ["DAC_OVERRIDE", "SYS_ADMIN", "SYS_CHROOT", "give_up", "has"]

CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_CHROOT, SYS_ADMIN = 0, 1, 3, 4, 18, 21
KEPT: Final = 1 << CHOWN | 1 << DAC_OVERRIDE | 1 << FOWNER | 1 << FSETID
"""What root's rights to files are."""

PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAPBSET_DROP: Final = 24
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
VERSION: Final = 0x2008_0522
MOST: Final = 64


def has(capability: int) -> bool:
    """Whether the process has a capability."""
    return bool(_capabilities()[0] >> capability & 1)


def give_up(*besides: int) -> None:
    """Keep what is about files alone, for good, also in programs that are executed; `besides` only in this one."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):  # it ends with the first one that the kernel does not know
        for capability in range(MOST):
            if not KEPT >> capability & 1:
                prctl(PR_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    kept = KEPT | sum(1 << capability for capability in besides)
    _set_capabilities(_capabilities()[1] & kept)


def _capabilities() -> tuple[int, int]:
    """Effective and permitted ones."""
    data = ctypes.create_string_buffer(24)
    _call("capget", data)
    low_effective, low_permitted, _, effective, permitted, _ = struct.unpack("6I", data.raw)
    return effective << 32 | low_effective, permitted << 32 | low_permitted


def _set_capabilities(kept: int) -> None:
    low, high = kept & 0xFFFF_FFFF, kept >> 32
    _call("capset", ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0), 24))


def _call(name: str, data: ctypes.Array[ctypes.c_char]) -> None:
    if library()[name](ctypes.create_string_buffer(struct.pack("Ii", VERSION, 0), 8), data):
        raise OSError(ctypes.get_errno(), name)
