"""What a whole process may set for the sake of speed; a library does not do it by itself."""

from __future__ import annotations

import ctypes

__all__ = ["keep_large_blocks", "release_memory"]

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_large_blocks(size: int = 64 << 20) -> bool:
    """Let malloc keep freed blocks up to `size` bytes instead of returning them to the kernel.

    A message of 4 MB passes through some five blocks of its size (pieces joined, decoded, encoded, sent); by default
    glibc maps and unmaps each, and the page faults cost more than all copying: measured, 20 ms of system time per echo
    became 4. Returns whether it was possible (glibc only).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, size // 2)) and bool(mallopt(_M_TRIM_THRESHOLD, size))


def release_memory() -> bool:
    """Give back to the kernel what malloc holds and nobody uses. Returns whether it was possible (glibc only)."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
