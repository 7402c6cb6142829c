"""Roots in which `/tmp` is another folder, one for each host: whoever names it literally meets nobody there.

A mount takes rights that a closed process has no more, and hosts are forked after it is closed, also at a boot after a
crash. So all roots are made before, in a mount namespace of the process: copies of the whole tree, each with a file
system in memory at `/tmp`. A host's process goes into its own by chroot(2), which takes no more than CAP_SYS_CHROOT,
and then has that call refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from catenet.world.enclosure import filtering, privileges
from catenet.world.enclosure.kernel import architecture, chroot, mount, unshare

__all__ = ["enter_root", "make_roots", "temporary_of"]

CLONE_NEWNS: Final = 0x0002_0000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x2_0000, 0x4_0000
TEMPORARY: Final = "/tmp"  # what programs name
PLACES: Final = ("/sys/kernel/debug", "/sys/fs/pstore", "/proc/tty", "/proc/fs", "/dev/mqueue", "/sys/fs/cgroup")
"""Where roots are put: out of sight, and where Landlock lets nobody write, which looks at all that is above a file."""

# The interpreter's own functions, bound before any world.
_chdir, _getcwd = os.chdir, os.getcwd


def make_roots(names: Iterable[str], stay: Iterable[str]) -> dict[str, str]:
    """Make a root for each name, and return their paths; OSError, with nothing changed for programs of this process.

    `stay` are files that keep their names: of those below `/tmp` every root has the first folder of their path.
    Needs CAP_SYS_ADMIN, in the user namespace that `namespaces.leave_network` may have given.
    """
    kept = _entries(stay)
    if not privileges.has(privileges.SYS_ADMIN):
        raise PermissionError("no right to mount")
    if architecture() is None:
        raise OSError(0, "its system calls are not known on this machine")
    place = next((each for each in PLACES if os.path.isdir(each)), None)
    if place is None or os.path.islink(TEMPORARY):
        raise FileNotFoundError("no place for other roots")
    unshare(CLONE_NEWNS)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("catenet", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    mount("none", place, "", MS_UNBINDABLE)  # or each root would have copies of those before it
    return {name: _make_root(f"{place}/{number}", kept) for number, name in enumerate(names)}


def _make_root(root: str, kept: Iterable[str]) -> str:
    os.mkdir(root)
    mount("/", root, "", MS_BIND | MS_REC)
    mount("catenet", temporary_of(root), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for entry in kept:
        target = f"{root}{entry}"
        if os.path.islink(entry):
            os.symlink(os.readlink(entry), target)
            continue
        if os.path.isdir(entry):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
        mount(entry, target, "", MS_BIND | MS_REC)
    return root


def temporary_of(root: str) -> str:
    """The `/tmp` of a root."""
    return f"{root}{TEMPORARY}"


def _entries(paths: Iterable[str]) -> list[str]:
    """What of `/tmp` has to stay there; OSError if that is `/tmp` itself."""
    found: dict[str, None] = {}
    for path in paths:
        for each in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
            if each == TEMPORARY:
                raise FileExistsError(f"the run is in {TEMPORARY} itself")
            if each.startswith(f"{TEMPORARY}/"):
                entry = "/".join(each.split("/")[:3])
                if os.path.lexists(entry):
                    found[entry] = None
    return list(found)


def enter_root(root: str | None) -> None:
    """Go into a root, if one is given, in the same working directory; no other can be had from then on. OSError."""
    if root is not None:
        directory = _getcwd()
        chroot(root)
        _chdir(directory)
    machine = architecture()
    assert machine is not None
    filtering.refuse_roots(machine)
