"""Close a process: no network, no other processes, nothing of the machine but files.

Four walls, each of which stands alone where the system forbids the others, and none of which can be taken down again:

* namespaces of its own: there is no network to reach, and no abstract Unix socket (`namespaces.py`);
* rights given up (`privileges.py`);
* Landlock: no TCP, no kernel files and devices, no look into other processes (`landlock.py`);
* a filter of system calls: no socket is made, no process, no clock set (`filtering.py`).

`leave_network` does the first alone, for a process that still needs its rights for a while, as to mount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from catenet.world.enclosure import descendants, descriptors, filtering, landlock, namespaces, privileges, roots
from catenet.world.enclosure.kernel import architecture

__all__ = ["Closed", "close_network", "enter_root", "is_shut", "make_roots"]


@dataclass(slots=True)
class Closed:
    """What was done to this process, and why the rest could not be."""

    network: bool = False
    """Whether it is in a network of its own."""
    calls: bool = False
    """Whether system calls are refused."""
    landlock: int = 0
    """The kernel's version of Landlock; 0: it has none."""
    roots: dict[str, str] = field(default_factory=dict)
    """Roots with a `/tmp` of their own, by name of the host."""
    why: str = ""

    @property
    def shut(self) -> bool:
        """Whether programs in C reach no network."""
        return self.network or self.calls

    def describe(self) -> str:
        """One line for people."""
        walls = [
            *(["a network namespace"] if self.network else []),
            *(["a filter of system calls"] if self.calls else []),
            *([f"Landlock {self.landlock}"] if self.landlock else []),
            *(["a mount namespace"] if self.roots else []),
        ]
        return ", ".join(walls) or "nothing"


_closed = Closed()


def is_shut() -> bool:
    """Whether programs that this process starts reach no network."""
    return _closed.shut


def leave_network() -> Closed:
    """Go into a network of this process's own, and of all that comes of it, where nothing can be reached. Only once."""
    if not _closed.network:
        try:
            namespaces.leave_network()
        except OSError as error:
            _note("network namespace", error)
        else:
            _closed.network = True
    return _closed


def make_roots(names: Iterable[str], stay: Iterable[str]) -> dict[str, str]:
    """Make roots for hosts (`roots.make_roots`) in a process that is closed then; none where the system forbids it."""
    leave_network()
    try:
        _closed.roots = roots.make_roots(names, stay)
    except OSError as error:
        _note("a /tmp for each host", error)
    return _closed.roots


def enter_root(name: str) -> None:
    """Have a process that was forked go into the root of a host, for good, or into none; OSError."""
    if _closed.roots and _closed.calls:
        roots.enter_root(_closed.roots.get(name))


def close_network(*, children: bool = False) -> Closed:
    """Close this process for good, as far as the system lets it. Only once.

    The process is to have one thread yet. With `children` it may have child processes, which are as closed, and which
    it has to end when it ends (`descendants.end_descendants`).
    """
    if _closed.calls:
        return _closed
    leave_network()
    descriptors.close_inherited()
    machine = architecture()
    try:
        if children:
            descendants.adopt_orphans()
        privileges.give_up(*([privileges.SYS_CHROOT] if _closed.roots else []))
    except OSError as error:
        _note("no_new_privs", error)
        return _closed
    if machine is None:
        _note("system calls", OSError(0, "their numbers are not known on this machine"))
        return _closed
    try:
        _closed.landlock = landlock.restrict(machine, children, map(roots.temporary_of, _closed.roots.values()))
    except OSError as error:
        _note("Landlock", error)
    try:
        filtering.refuse_calls(machine, children, bool(_closed.roots))
    except OSError as error:
        _note("seccomp", error)
    else:
        _closed.calls = True
    return _closed


def _note(what: str, error: OSError) -> None:
    text = f"{what}: {(error.strerror or str(error)).lower()}"
    _closed.why = f"{_closed.why}; {text}" if _closed.why else text
