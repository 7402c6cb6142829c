"""Users and groups of a process (credentials(7)): a program that changes them changes its own, never the interpreter's.

A process starts with the interpreter's credentials. Files are the machine's: they are opened with the interpreter's
rights, whatever the process has set.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.errors import os_error
from catenet.world.enclosure.namespaces import groups
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["Credentials", "apply", "identifier", "may_signal", "real_group", "real_user"]

UNCHANGED: Final = 0xFFFF_FFFF
"""Identifier -1 as an unsigned number: "leave this one as it is"."""
MOST_GROUPS: Final = 65_536
"""NGROUPS_MAX (linux/limits.h)."""

_getresuid, _getresgid = os.getresuid, os.getresgid


class Credentials:
    """Identifiers of one process: `user` and `group` are lists of the real, the effective and the saved one."""

    __slots__ = ("group", "groups", "user")

    def __init__(self) -> None:
        self.user = list(_getresuid())
        self.group = list(_getresgid())
        self.groups = groups()

    def copy(self) -> Credentials:
        """The same identifiers, for a child."""
        other = Credentials.__new__(Credentials)
        other.user, other.group, other.groups = list(self.user), list(self.group), list(self.groups)
        return other

    @property
    def is_root(self) -> bool:
        """Whether the process may do what needs a capability."""
        return self.user[1] == 0

    def set(self, kind: str, identifier: int) -> None:
        """setuid(2), setgid(2): all three for root, else the effective one; EINVAL, EPERM."""
        ids: list[int] = getattr(self, kind)
        if identifier == UNCHANGED:
            raise os_error(errno.EINVAL)
        if self.is_root:
            ids[:] = [identifier] * 3
        elif identifier in (ids[0], ids[2]):
            ids[1] = identifier
        else:
            raise os_error(errno.EPERM)

    def set_pair(self, kind: str, real: int, effective: int) -> None:
        """setreuid(2), setregid(2); EPERM."""
        ids: list[int] = getattr(self, kind)
        if not self.is_root and (real not in (UNCHANGED, *ids[:2]) or effective not in (UNCHANGED, *ids)):
            raise os_error(errno.EPERM)
        follows = real != UNCHANGED or effective not in (UNCHANGED, ids[0])
        ids[:2] = [old if new == UNCHANGED else new for old, new in zip(ids, (real, effective), strict=False)]
        if follows:
            ids[2] = ids[1]

    def set_three(self, kind: str, *wanted: int) -> None:
        """setresuid(2), setresgid(2); EPERM."""
        ids: list[int] = getattr(self, kind)
        if not self.is_root and any(each not in (UNCHANGED, *ids) for each in wanted):
            raise os_error(errno.EPERM)
        ids[:] = [old if new == UNCHANGED else new for old, new in zip(ids, wanted, strict=True)]

    def set_groups(self, groups: list[int]) -> None:
        """setgroups(2); EPERM."""
        if not self.is_root:
            raise os_error(errno.EPERM)
        self.groups = sorted(groups)


def may_signal(sender: Process, target: Process) -> bool:
    """Whether a process may send another one a signal (kill(2))."""
    own, other = _of(sender), _of(target)
    return own.is_root or not {own.user[0], own.user[1]}.isdisjoint((other.user[0], other.user[2]))


def real_user(process: Process) -> int:
    """The real user of a process."""
    return _of(process).user[0]


def real_group(process: Process) -> int:
    """The real group of a process."""
    return _of(process).group[0]


def _of(process: Process) -> Credentials:
    if process.credentials is None:
        process.credentials = Credentials()
    return process.credentials


def identifier(value: Any, kind: str) -> int:
    """Convert a user's or group's number as CPython does: TypeError, OverflowError; -1 becomes UNCHANGED."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"{kind} should be integer, not {type(value).__name__}")
    number = int(value.__index__())
    if number < -1:
        raise OverflowError(f"{kind} is less than minimum")
    if number > UNCHANGED:
        raise OverflowError(f"{kind} is greater than maximum")
    return number & UNCHANGED


def _group_list(groups: Any) -> list[int]:
    """The argument of `os.setgroups`: TypeError, ValueError, OSError(EINVAL)."""
    if not isinstance(groups, Sequence):
        raise TypeError("setgroups argument must be a sequence")
    if len(groups) > MOST_GROUPS:
        raise ValueError("too many groups")
    if not all(hasattr(each, "__index__") for each in groups):
        raise TypeError("groups must be integers")
    numbers = [identifier(each, "gid") for each in groups]
    if UNCHANGED in numbers:
        raise os_error(errno.EINVAL)
    return numbers


def _setter(kind: str, label: str, change: Callable[..., None]) -> Callable[..., None]:
    """A function of `os` that takes identifiers of one kind and hands them to `change`."""

    def simulated(process: Process, *values: Any) -> None:
        change(_of(process), kind, *[identifier(value, label) for value in values])

    return simulated


def _getter(read: Callable[[Credentials], Any]) -> Callable[[Process], Any]:
    return lambda process: read(_of(process))


def _change_effective(credentials: Credentials, kind: str, identifier: int) -> None:
    credentials.set_three(kind, UNCHANGED, identifier, UNCHANGED)


def _init_groups(process: Process, username: str, group: Any) -> None:
    number = identifier(group, "gid")
    _of(process).set_groups(os.getgrouplist(username, number))


def apply(patcher: Patcher) -> None:
    """Patch the functions of `os` on users and groups."""
    for kind, label, letter in (("user", "uid", "u"), ("group", "gid", "g")):
        functions: dict[str, Callable[..., Any]] = {
            f"get{letter}id": _getter(lambda ids, kind=kind: getattr(ids, kind)[0]),  # type: ignore[misc]
            f"gete{letter}id": _getter(lambda ids, kind=kind: getattr(ids, kind)[1]),  # type: ignore[misc]
            f"getres{letter}id": _getter(lambda ids, kind=kind: tuple(getattr(ids, kind))),  # type: ignore[misc]
            f"set{letter}id": _setter(kind, label, Credentials.set),
            f"sete{letter}id": _setter(kind, label, _change_effective),
            f"setre{letter}id": _setter(kind, label, Credentials.set_pair),
            f"setres{letter}id": _setter(kind, label, Credentials.set_three),
        }
        for name, simulated in functions.items():
            patcher.forward(os, name, simulated)
    patcher.forward(os, "getgroups", _getter(lambda ids: list(ids.groups)))
    patcher.forward(os, "setgroups", lambda process, groups: _of(process).set_groups(_group_list(groups)))
    patcher.forward(os, "initgroups", _init_groups)
