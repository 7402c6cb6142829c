"""Close a process: no network, no other processes, nothing of the machine but files.

Four walls, each of which stands alone where the system forbids the others, and none of which can be taken down again:

* namespaces of its own: there is no network to reach, no abstract Unix socket, no process to signal (`namespaces.py`);
* rights given up (`privileges.py`);
* Landlock: no TCP, no kernel files and devices, no look into other processes (`landlock.py`);
* a filter of system calls: no socket is made, no process, no clock set (`filtering.py`).

A process beside it (`doorkeeper.py`) says which library has asked for a socket, and ends what comes of the closed one.

`leave_network` does the first alone, for a process that still needs its rights for a while, as to mount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from catenet.world.enclosure import descendants, descriptors, filtering, landlock, namespaces, privileges, roots
from catenet.world.enclosure.doorkeeper import Doorkeeper, Notice
from catenet.world.enclosure.kernel import Architecture, architecture
from catenet.world.enclosure.memory import unbound_memory

__all__ = [
    "Closed",
    "close_child",
    "close_network",
    "end_children",
    "enter_root",
    "is_shut",
    "make_roots",
]


@dataclass(slots=True)
class Closed:
    """What was done to this process, and why the rest could not be."""

    network: bool = False
    """Whether it is in a network of its own."""
    processes: bool = False
    """Whether what comes of it is in a namespace of processes of its own."""
    asks: bool = False
    """Whether the doorkeeper is asked for sockets."""
    tried: bool = False
    """Whether `close_network` has done what it can."""
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
            *(["a process namespace"] if self.processes else []),
            *(["a filter of system calls"] if self.calls else []),
            *([f"Landlock {self.landlock}"] if self.landlock else []),
            *(["a mount namespace"] if self.roots else []),
        ]
        return ", ".join(walls) or "nothing"


_closed = Closed()
_keeper: Doorkeeper | None = None


def is_shut() -> bool:
    """Whether programs that this process starts reach no network."""
    return _closed.shut


def leave_network(*, children: bool = False) -> Closed:
    """Go into a network of this process's own, and of all that comes of it, where nothing can be reached. Only once.

    With `children` into a namespace of processes too, whose first one has to be started next.
    """
    if not _closed.network:
        try:
            namespaces.leave_network(children)
        except OSError as error:
            _note("network namespace", error)
        else:
            _closed.network = True
            _closed.processes = children
    return _closed


def make_roots(names: Iterable[str], stay: Iterable[str]) -> dict[str, str]:
    """Make roots for hosts (`roots.make_roots`); none where the system forbids it.

    The process is to be closed next, with children and a doorkeeper.
    """
    leave_network(children=True)
    try:
        _closed.roots = roots.make_roots(names, stay)
    except OSError as error:
        _note("a /tmp for each host", error)
    return _closed.roots


def enter_root(name: str) -> None:
    """Have a process that was forked go into the root of a host, for good, or into none; OSError."""
    if _closed.roots and _closed.calls:
        roots.enter_root(_closed.roots.get(name))


def close_network(*, children: bool = False, notice: Notice | None = None) -> Closed:
    """Close this process for good, as far as the system lets it. Only once.

    The process is to have one thread yet. With `children` it may have child processes, which are as closed, and which
    it has to end when it ends (`end_children`). With `notice` a doorkeeper calls that, in a process of
    its own, and this one has no threads later if it has `children`.
    """
    if _closed.tried:
        return _closed
    _closed.tried = True
    leave_network(children=children and notice is not None)
    descriptors.close_inherited()
    if notice is not None:
        _start_keeper(notice)
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
    if notice is not None:
        _ask_for_sockets(machine)
    try:
        filtering.refuse_calls(machine, children, _closed.asks, bool(_closed.roots))
    except OSError as error:
        _note("seccomp", error)
    else:
        _closed.calls = True
    return _closed


def close_child(name: str) -> None:
    """Close a process that was forked from one that may be closed, for something called `name`, with what comes of it.

    It may have child processes. It signals these alone, and is their parent when they lose theirs.
    """
    unbound_memory()
    machine = architecture()
    try:
        if not _closed.tried:
            close_network(children=True)
            return
        descendants.adopt_orphans()
        if machine is not None and _closed.landlock:
            landlock.restrict_signals(machine)
    except OSError as error:
        _note("Landlock", error)
    finally:
        if _keeper is not None:
            _keeper.introduce(name)


def end_children() -> None:
    """End all processes that come of this one, which is closed with children, and wait until they have."""
    descendants.end_descendants(0 if _keeper is None else _keeper.pid)
    if _keeper is not None:
        _keeper.end()


def _start_keeper(notice: Notice) -> None:
    global _keeper
    try:
        _keeper = Doorkeeper(notice)
    except OSError as error:
        _note("doorkeeper", error)


def _ask_for_sockets(machine: Architecture) -> None:
    if _keeper is None:
        return
    listener = None
    try:
        listener = filtering.ask_for_sockets(machine)
        _closed.asks = True
    except OSError:  # then nobody says who has asked
        pass
    _keeper.listen(listener)


def _note(what: str, error: OSError) -> None:
    text = f"{what}: {(error.strerror or str(error)).lower()}"
    _closed.why = f"{_closed.why}; {text}" if _closed.why else text
