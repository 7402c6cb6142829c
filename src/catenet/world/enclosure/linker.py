"""Where C libraries are, from the dynamic linker's cache: `ctypes.util.find_library` would run programs.

The format is that of glibc's sysdeps/generic/dl-cache.h; other C libraries have no cache.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from typing import Final

__all__ = ["find_library"]

CACHE: Final = "/etc/ld.so.cache"
MAGIC: Final = b"glibc-ld.so.cache1.1"
HEADER: Final = struct.Struct("=20sIIB3xI12x")
ENTRY: Final = struct.Struct("=iIIIQ")
KINDS: Final = {"x86_64": 0x0303, "aarch64": 0x0A03}
"""Flags of libraries for this machine's 64-bit programs (FLAG_ELF_LIBC6 and the processor's)."""


def find_library(name: str, cache: str = CACHE) -> str | None:
    """Return the file name of a C library, as `libssl.so.3` for `ssl`; None if there is none, or no cache."""
    try:
        with open(cache, "rb") as file:
            data = file.read()
    except OSError:
        return None
    start = data.find(MAGIC)  # behind an older cache, perhaps
    kind = KINDS.get(os.uname().machine)
    if start < 0 or kind is None or sys.maxsize < 1 << 32:
        return None
    data = data[start:]
    wanted = re.compile(rb"lib%s\.[^\s\0]+" % re.escape(os.fsencode(name)))
    try:
        _, count, _, _, _ = HEADER.unpack_from(data)
        for number in range(count):
            flags, key, _, _, _ = ENTRY.unpack_from(data, HEADER.size + number * ENTRY.size)
            found = wanted.match(data, key) if flags == kind else None
            if found is not None and data[found.end() : found.end() + 1] == b"\0":
                return os.fsdecode(found.group())
    except (struct.error, OverflowError):
        pass
    return None
