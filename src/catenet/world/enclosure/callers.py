"""Which library has made a system call, by the stack of the thread that waits in it (proc(5)).

The C library makes the call itself; who called that stands on the stack. Words there that point into a library's code
are where it goes on, or were once: the nearest one is that of whoever calls the C library's functions that make
no other calls, as `socket` does, and a good guess for others.
"""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

__all__ = ["Caller", "find_caller"]

DEEPEST: Final = 64 << 10
"""Bytes of the stack that are looked through."""

C_LIBRARY: Final = re.compile(r"(?:ld-|lib(?:c|pthread|resolv|anl|dl|rt|nss_\w+)[-.]|ld\.so|\[v)")
CHECKSUM: Final = re.compile(r"-[0-9a-f]{8,}(?=\.)")
"""What tools put into the names of libraries that they pack with others."""
SUFFIX: Final = re.compile(r"\.(?:cpython-\w+|abi3|pypy\w+)[\w-]*\.so$")
INSTALLED: Final = re.compile(r".*/(?:site|dist)-packages/([^/]+)/")
BY_NUMBER: Final = re.compile(r"libffi|_ctypes|_cffi_backend")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has made a call; both are empty when that could not be found."""

    library: str = ""
    """Name of the file, without what build tools have added."""
    package: str = ""
    """The installed package that it belongs to; empty when none."""
    directly: bool = True
    """Whether the C library has not made the call for itself, as it asks for names."""

    def describe(self) -> str:
        """Name it."""
        if not self.library:
            return "a C library"
        if BY_NUMBER.match(self.library):
            return f"a C function that was called by {self.library}"
        if self.package and self.package.strip("_") not in self.library:
            return f"{self.library} of {self.package}"
        return self.library


def find_caller(process: int, thread: int) -> Caller:
    """Find who has made the system call in which a thread waits."""
    try:
        stack, code = _registers(process, thread)
        starts, ends, names = _code_of(process)
        memory = os.open(f"/proc/{process}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            words = os.pread(memory, DEEPEST, stack)
        finally:
            os.close(memory)
    except (OSError, ValueError):
        return Caller()
    addresses = [code, *(word for (word,) in struct.iter_unpack("=Q", words[: len(words) & ~7]))]
    directly, seen = True, 0
    for address in addresses:
        place = bisect_right(starts, address) - 1
        if place < 0 or address >= ends[place] or not (name := names[place]):
            continue
        if not C_LIBRARY.match(os.path.basename(name)):
            return _caller(name, directly)
        seen += 1
        directly = seen < 2
    return Caller()


def _registers(process: int, thread: int) -> tuple[int, int]:
    """Stack pointer and program counter of a thread in a system call."""
    with open(f"/proc/{process}/task/{thread}/syscall") as file:
        words = file.read().split()
    return int(words[-2], 16), int(words[-1], 16)


def _code_of(process: int) -> tuple[list[int], list[int], list[str]]:
    """Where code is in a process's memory, in order: starts, ends and names of files; empty for memory of no file."""
    starts, ends, names = [], [], []
    with open(f"/proc/{process}/maps", errors="replace") as file:
        for line in file:
            fields = line.rstrip("\n").split(None, 5)
            if "x" in fields[1]:
                start, _, end = fields[0].partition("-")
                starts.append(int(start, 16))
                ends.append(int(end, 16))
                names.append(fields[5] if len(fields) > 5 else "")
    return starts, ends, names


def _caller(path: str, directly: bool) -> Caller:
    found = INSTALLED.match(path)
    package = found.group(1).removesuffix(".libs") if found else ""
    name = os.path.basename(path.removesuffix(" (deleted)"))
    return Caller(SUFFIX.sub("", CHECKSUM.sub("", name)), package, directly)
