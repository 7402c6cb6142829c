"""fork(2) on a host: in the process that holds the kernel, and in its children."""

from __future__ import annotations

import array
import errno
import socket
from posix import close
from posix import fork as fork_really
from typing import TYPE_CHECKING, Final

from catenet.posix.errors import CallNotModelled, os_error
from catenet.world.engine.children import client as this
from catenet.world.engine.children.process import ChildProcess
from catenet.world.engine.children.service import ASKED, GIVEN, TOLD, serve
from catenet.world.engine.children.wire import LONGEST, Wire, WireError
from catenet.world.engine.current import current
from catenet.world.patches.refusals import permitted

if TYPE_CHECKING:
    from catenet.world.engine.process import Process
    from catenet.world.engine.task import Task

__all__ = ["ask_for_descriptor", "fork", "move"]

MOST_CHILDREN: Final = 1000
"""Processes of one host that run at once, at most: one more is refused with EAGAIN, as RLIMIT_NPROC does."""

DESCRIPTOR_SIZE: Final = array.array("i").itemsize

_born: Final[list[ChildProcess]] = []
"""Children of this process whose ends on the machine are not taken yet."""

_passed: Final[dict[ChildProcess, int]] = {}
"""Descriptors that children are to get: those of new children, whose parents they are, and others."""


def fork(process: Process) -> int:
    """System call `fork`: the number of the child, 0 in the child. NotModelled where several hosts share a process."""
    if this.client is not None:
        return _fork_in_child(process, this.client)
    if not process.host.owns_process:
        raise CallNotModelled(
            'os.fork is not modelled on a host that shares its process with others; give it isolation = "process", '
            "or run the other program on a host of the world (Host.run)"
        )
    _check_room(process)
    pid = process.host.new_pid()
    divided = _divide(process, pid)
    if divided is None:
        return 0
    child = ChildProcess(process, pid, *divided, serve)
    child.is_ours = True
    _born.append(child)
    process.host.adopt(child)
    return pid


def move(process: Process) -> bool:
    """Have a process that runs where the kernel is go on in one of the machine of its own; True there.

    Where it has been, it is a `ChildProcess` from then on, whose main task is to serve it.
    """
    divided = _divide(process, process.pid)
    if divided is None:
        return True
    _born.append(ChildProcess.take_place(process, *divided, serve))
    return False


def _divide(process: Process, pid: int) -> tuple[Wire, int] | None:
    """Fork on the machine; returns the way to the child and its number there, None in the child."""
    _born[:] = [child for child in _born if not child.reap(wait=False)]
    ours, theirs = _connected_pair()
    call = this.Fork(process, theirs, pid)
    try:
        with permitted("os.fork"):
            real = fork_really()
    except OSError:
        call.end()
        close(ours)
        close(theirs)
        raise
    if real == 0:
        call.become_child()
        close(ours)
        return None
    call.end()
    close(theirs)
    return Wire(ours, LONGEST), real


def _check_room(process: Process) -> None:
    if sum(each.alive for each in process.host.processes) >= MOST_CHILDREN:
        raise os_error(errno.EAGAIN)


def _connected_pair() -> tuple[int, int]:
    """Two connected descriptors of the machine, which no program knows."""
    task, current.task = current.task, None
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return ours.detach(), theirs.detach()
    finally:
        current.task = task


# By a child: the kernel makes the connection, the child the process.


def ask_for_descriptor(client: this.Client, what: str, *args: object) -> int:
    """Get a descriptor of the machine from the process that has the kernel, by a word of `service.GIVEN`."""
    client.call("give", what, *args)
    client.send(("channel",))
    return _receive_descriptor(client.descriptor)


def _fork_in_child(process: Process, client: this.Client) -> int:
    pid: int = client.call("fork")
    client.send(("channel",))
    descriptor = _receive_descriptor(client.descriptor)
    call = this.Fork(process, descriptor, pid)
    try:
        with permitted("os.fork"):
            real = fork_really()
    except OSError:
        call.end()
        close(descriptor)
        client.tell("born", pid, 0)
        raise
    if real == 0:
        call.become_child()
        return 0
    call.end()
    close(descriptor)
    client.tell("born", pid, real)
    return pid


def _receive_descriptor(wire: int) -> int:
    task, current.task = current.task, None
    try:
        end = socket.socket(fileno=wire)
        try:
            _, descriptors, _, _ = socket.recv_fds(end, 1, 1)
        finally:
            end.detach()
    finally:
        current.task = task
    if not descriptors:
        this.leave()
    return descriptors[0]


def _serve_fork(process: ChildProcess, task: Task) -> int:
    _check_room(process)
    ours, theirs = _connected_pair()
    pid = process.host.new_pid()
    child = ChildProcess(process, pid, Wire(ours, LONGEST), 0, serve)
    _passed[process] = theirs
    process.host.adopt(child)
    return pid


def _give(process: ChildProcess, task: Task, what: str, *args: object) -> None:
    given = GIVEN.get(what)
    if given is None:
        raise WireError(f"nothing to give: {what!r}")
    _passed[process] = given(process, *args)


def _pass_descriptor(process: ChildProcess, task: Task) -> None:
    descriptor = _passed.pop(process, None)
    if descriptor is None:
        raise WireError("no descriptor to pass")
    outer, current.task = current.task, None
    try:
        end = socket.socket(fileno=process.wire.descriptor)
        try:
            socket.send_fds(end, [b"\0"], [descriptor])
        finally:
            end.detach()
            close(descriptor)
    finally:
        current.task = outer


ASKED["fork"] = _serve_fork
ASKED["give"] = _give
TOLD["channel"] = _pass_descriptor
