"""A process beside closed ones, which answers those who make a socket: it is refused, and said who has asked.

The kernel asks (seccomp_unotify(2)), so no other call is any slower, and libraries that block signals, or hold the
interpreter's lock, are named as well. Where closed processes have a namespace for what comes of them, this is
its first process: with it all of them end, also those that C code has made and whose parents are gone.

It is forked before anything is closed, runs none of the programs' code, and takes nothing from them but numbers and
names, of bounded size. It ends with the process that has made it, by the end of a pipe: Landlock lets no signal
of a closed process reach it.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from catenet.world.enclosure.callers import Caller, find_caller
from catenet.world.enclosure.filtering import refusal_of
from catenet.world.enclosure.kernel import prctl

__all__ = ["Doorkeeper", "Notice"]

PR_SET_PDEATHSIG: Final = 1
RECEIVE: Final = 0xC050_2100
SEND: Final = 0xC018_2101
"""SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND."""
QUESTION: Final = struct.Struct("=QIIiIQ6Q")
ANSWER: Final = struct.Struct("=QqiI")

IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD)
MOST_NAMES: Final = 10_000
LONGEST_NAME: Final = 256
MOST_LOOKS: Final = 1000
"""So many calls are looked into, at most: a library that tries for ever is known by then."""

Notice = Callable[[str | None, Caller], None]
"""Says that a library has asked for a socket, on a host (None: of nobody, or of the closed process itself)."""


class Doorkeeper:
    """The closed process's side."""

    def __init__(self, notice: Notice) -> None:
        """Fork it; OSError. Only before anything is closed."""
        self._reader, self._names = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        closed = os.getpid()
        self.pid = os.fork()
        """Its number."""
        if self.pid == 0:
            try:
                ours.close()
                os.close(self._names)
                _be(theirs, self._reader, closed, notice)
            finally:
                os._exit(1)
        theirs.close()
        os.close(self._reader)
        self._channel: socket.socket | None = ours

    def listen(self, descriptor: int | None) -> None:
        """Hand over by what it is asked; None: it is never asked, and only the first process of its namespace."""
        assert self._channel is not None
        with self._channel as channel, contextlib.suppress(OSError):
            socket.send_fds(channel, [b"\0"], [] if descriptor is None else [descriptor])
        if descriptor is not None:
            os.close(descriptor)
        self._channel = None

    def introduce(self, name: str) -> None:
        """Say by which name this process, a child of the closed one, is known with all that comes of it. Only once."""
        text = f"{os.getpid()} {name}".encode()[: LONGEST_NAME - 1] + b"\n"
        with contextlib.suppress(OSError):
            os.write(self._names, text)
            os.close(self._names)

    def end(self) -> None:
        """End it, and what is left in its namespace of processes; in the closed process, whose children have ended."""
        if self._channel is not None:
            self._channel.close()
        with contextlib.suppress(OSError):
            os.close(self._names)
            os.waitpid(self.pid, 0)


def _be(channel: socket.socket, reader: int, closed: int, notice: Notice) -> NoReturn:
    """The doorkeeper's own life."""
    prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    data, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    channel.close()
    if not data:
        os._exit(0)
    _Desk(descriptors[0] if descriptors else None, reader, closed, notice).serve()


class _Desk:
    """Answers questions, one after the other."""

    def __init__(self, listener: int | None, reader: int, closed: int, notice: Notice) -> None:
        self._listener = listener
        self._reader = reader
        self._closed = closed
        self._notice = notice
        self._names: dict[int, str] = {}
        self._text = b""
        self._told: set[tuple[str | None, str]] = set()
        self._looks = 0

    def serve(self) -> NoReturn:
        """As long as the closed process lives."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        while True:
            for descriptor, events in poll.poll():
                if descriptor == self._reader:
                    self._read_names()
                elif events & select.POLLIN:
                    with contextlib.suppress(OSError):  # who has asked may be gone
                        self._answer(descriptor)
                else:  # all that could ask have ended
                    poll.unregister(descriptor)

    def _read_names(self) -> None:
        data = os.read(self._reader, 1 << 16)
        if not data:
            os._exit(0)
        *lines, self._text = (self._text + data).split(b"\n")
        self._text = self._text[-LONGEST_NAME:]
        for line in lines:
            number, _, name = line.partition(b" ")
            if number.isdigit() and len(number) < 10 and len(self._names) < MOST_NAMES:
                self._names[int(number)] = name[:LONGEST_NAME].decode("utf-8", "replace")

    def _answer(self, listener: int) -> None:
        question = array.array("B", bytes(QUESTION.size))
        fcntl.ioctl(listener, RECEIVE, question, True)
        cookie, thread, _, _, _, _, family, *_ = QUESTION.unpack(question)
        self._looks += 1
        try:
            if self._looks <= MOST_LOOKS:
                self._tell(thread, family & 0xFFFF_FFFF)
        finally:
            answer = ANSWER.pack(cookie, 0, -refusal_of(family & 0xFFFF_FFFF), 0)
            fcntl.ioctl(listener, SEND, array.array("B", answer), True)

    def _tell(self, number: int, family: int) -> None:
        found = self._find(number)
        if found is None:
            return  # it is about to end
        caller = find_caller(*found)
        if family == socket.AF_UNIX and not caller.directly:
            return  # the C library asks a service of its own, and goes on without
        host = self._host(found[0])
        if (host, caller.describe()) not in self._told:
            self._told.add((host, caller.describe()))
            self._notice(host, caller)

    def _find(self, number: int) -> tuple[int, int] | None:
        """Numbers in `/proc` of the process and the thread that have a number in this process's namespace."""
        if _is_here(number) and _number_here(f"/proc/{number}") == number:
            return int(_field(f"/proc/{number}", "Tgid")[0]), number
        for process in _processes():
            for thread in _threads(process):
                if _number_here(f"/proc/{process}/task/{thread}") == number and _is_here(process):
                    return process, thread
        return None

    def _host(self, process: int) -> str | None:
        """Whose process it is, by those that it comes of."""
        while process > 1 and process != self._closed:
            name = self._names.get(_number_here(f"/proc/{process}"))
            if name is not None:
                return name
            process = int(_field(f"/proc/{process}", "PPid")[-1])
        return None


def _processes() -> Iterator[int]:
    yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


def _threads(process: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{process}/task")]
    except OSError:
        return []


def _field(folder: str, name: str) -> list[str]:
    """A field of a process's or a thread's status (proc_pid_status(5)); ["0"] when it has none."""
    with contextlib.suppress(OSError), open(f"{folder}/status", errors="replace") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return line.split()[1:]
    return ["0"]


def _number_here(folder: str) -> int:
    """The number that a process or thread has in the innermost namespace that it is in."""
    return int(_field(folder, "NSpid")[-1])


def _is_here(process: int) -> bool:
    """Whether a process is in this one's namespace."""
    try:
        return os.readlink(f"/proc/{process}/ns/pid") == os.readlink("/proc/self/ns/pid")
    except OSError:
        return False
