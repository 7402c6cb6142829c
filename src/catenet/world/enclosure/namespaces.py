"""Namespaces of one's own: a network without devices, System V's and POSIX's shared objects, processes (namespaces(7)).

Without the capability that it takes, a user namespace gives it (user_namespaces(7)). In that there is one user and one
group, those of the process by their own numbers. Files of all others seem to belong to nobody (65534); what the process
may do with them stays as it was.
"""

from __future__ import annotations

import os
from typing import Final

from catenet.world.enclosure import privileges
from catenet.world.enclosure.kernel import unshare

__all__ = ["groups", "leave_network"]

CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWPID: Final = 0x2000_0000
CLONE_NEWNET: Final = 0x4000_0000

_getgroups = os.getgroups
_groups: list[int] | None = None


def groups() -> list[int]:
    """getgroups(2) as it was before: in a user namespace foreign groups have no numbers."""
    return _getgroups() if _groups is None else list(_groups)


def leave_network(children: bool = False) -> None:
    """Go into namespaces of one's own; OSError when the system forbids it. Then nothing has changed.

    With `children`, processes that come of this one are in a namespace of theirs, in which they see no others. They end
    with the first of them, and from now on this process makes no threads.
    """
    global _groups
    wanted = CLONE_NEWNET | CLONE_NEWIPC | (CLONE_NEWPID if children else 0)
    if privileges.has(privileges.SYS_ADMIN):
        unshare(wanted)
        return
    if privileges.has(privileges.DAC_OVERRIDE):
        # In a user namespace it would lose its right to files of others, which programs run as root count on.
        raise PermissionError("root without CAP_SYS_ADMIN")
    maps = {"uid_map": os.geteuid(), "gid_map": os.getegid()}
    if not all(os.access(f"/proc/self/{name}", os.W_OK) for name in maps):
        raise PermissionError("/proc cannot be written")
    known = _getgroups()
    unshare(CLONE_NEWUSER | wanted)
    _groups = known
    _write("setgroups", "deny")
    for name, identifier in maps.items():
        _write(name, f"{identifier} {identifier} 1")


def _write(name: str, text: str) -> None:
    file = os.open(f"/proc/self/{name}", os.O_WRONLY)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
