"""Landlock: which files, ports and processes are out of reach (landlock(7), linux/landlock.h).

It allows by hierarchies of files, and takes nothing out of one. So folders at the top are allowed one by one, but the
kernel's own files, devices, and the folder of system services. Files directly at the top, and in the folders that are
not allowed, are neither written nor made, renamed or removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Container, Iterable, Iterator
from typing import Final

from catenet.world.enclosure.kernel import Architecture, system_call

__all__ = ["restrict", "restrict_signals"]

WRITE_FILE: Final = 1 << 1
REMOVE: Final = 1 << 4 | 1 << 5
"""Folders and files, also by a rename."""
MAKE_DEVICES: Final = 1 << 6 | 1 << 11
MAKE: Final = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12
"""Folders, files, sockets, FIFOs, symbolic links, also by a link or a rename."""
REFER: Final = 1 << 13
TRUNCATE: Final = 1 << 14
DEVICE_CONTROL: Final = 1 << 15
OF_FILES: Final = WRITE_FILE | TRUNCATE | DEVICE_CONTROL
BIND_AND_CONNECT: Final = 3
ABSTRACT_SOCKETS: Final = 1
SIGNALS: Final = 2
SCOPES: Final = 6
"""The first version that knows these two."""

ASK_VERSION: Final = 1
BENEATH: Final = 1
"""LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_RULE_PATH_BENEATH."""

CLOSED: Final = frozenset(["proc", "sys", "dev", "run"])
DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "console")
SERVICES: Final = frozenset(["systemd", "initctl"])
OWN: Final = "/proc/self"
"""A process's own settings and memory are its own affair."""


def restrict(machine: Architecture, children: bool, besides: Iterable[str] = ()) -> int:
    """Restrict this thread and all that comes of it, for good; return the kernel's version of Landlock. OSError.

    Needs `no_new_privs`. Signals reach what comes of this thread alone. With `children` nobody writes to his own
    settings in `/proc`: what is allowed would be those of this process, to all of them. `besides` are more folders
    that may be written.
    """
    numbers = machine.numbers
    version = _version(machine)
    files = _rights(version)
    words = [files]
    if version >= 4:
        words.append(BIND_AND_CONNECT)
    if version >= SCOPES:
        words.append(ABSTRACT_SOCKETS | SIGNALS)
    rules = _make(machine, words)
    try:
        for path in (*_open_to_writing(children), *besides) if files else ():
            with contextlib.suppress(OSError):
                _allow(numbers["landlock_add_rule"], rules, path, files & ~MAKE_DEVICES)
        system_call(numbers["landlock_restrict_self"], rules, 0)
    finally:
        os.close(rules)
    return version


def restrict_signals(machine: Architecture) -> None:
    """Have signals reach what comes of this thread alone, though more was allowed before; OSError.

    Any domain refuses moves from one folder to another unless it allows them: this one does, everywhere.
    """
    if _version(machine) >= SCOPES:
        rules = _make(machine, [REFER, 0, SIGNALS])
        try:
            _allow(machine.numbers["landlock_add_rule"], rules, "/", REFER)
            system_call(machine.numbers["landlock_restrict_self"], rules, 0)
        finally:
            os.close(rules)


def _version(machine: Architecture) -> int:
    return system_call(machine.numbers["landlock_create_ruleset"], None, 0, ASK_VERSION)


def _make(machine: Architecture, words: list[int]) -> int:
    """A set of rules: rights to files, to ports, scopes."""
    size = 8 * len(words)
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words), size)
    return system_call(machine.numbers["landlock_create_ruleset"], attributes, size, 0)


def _rights(version: int) -> int:
    """What is decided about files; the first version would let nothing be moved from one folder to another."""
    if version < 2:
        return 0
    rights = WRITE_FILE | REMOVE | MAKE | MAKE_DEVICES | REFER
    if version >= 3:
        rights |= TRUNCATE
    return rights | DEVICE_CONTROL if version >= 5 else rights


def _open_to_writing(children: bool) -> Iterator[str]:
    """What may be written as ever."""
    yield from _folders("/", CLOSED)
    for name in DEVICES:
        yield f"/dev/{name}"
    if not children:
        yield OWN
    with contextlib.suppress(OSError):
        yield from _folders("/run", SERVICES)


def _folders(parent: str, but: Container[str]) -> Iterator[str]:
    """Folders in another. What a symbolic link names is open if it lies in one of them."""
    with os.scandir(parent) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and entry.name not in but:
                yield entry.path


def _allow(number: int, rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= OF_FILES
        system_call(number, rules, BENEATH, ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12), 0)
    finally:
        os.close(place)
