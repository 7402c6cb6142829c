"""Privilege separation: a small process that stays root, and starts others as the users who are connected.

The process that talks to strangers asks the broker for a worker by passing it a connected Unix socket (SCM_RIGHTS,
unix(7)). The broker asks the kernel who connected that socket, and believes nobody else: a server that has been taken
over can act as those who are connected to it, and as nobody more. The worker takes that user, group and groups for
good, and then carries out what it is asked over a socket of its own.

Broker and workers are forks of the program as it was when the broker began: begin before secrets are read. They run no
event loop. A library that starts threads in every fork (as grpcio's does) would have the broker fork beside them, where
fork(2) may wait for ever: such a broker does not begin.
"""

from __future__ import annotations

import array
import ctypes
import gc
import io
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from catenet.net.local_peer import LocalPeer, local_peer
from catenet.net.privileges import Account, PrivilegeError, become

__all__ = [
    "Broker",
    "Refused",
    "Terms",
    "kill_order",
    "question",
    "read_answer",
    "receive_descriptors",
    "send_descriptors",
]

_ASK: Final = b"S"
_KILL: Final = b"K"
_GIVEN: Final = b"O"
_REFUSED: Final = b"E"
_BUSY: Final = b"B"
_READY: Final = b"R"
_NUMBER: Final = struct.Struct("!I")
_WORKER: Final = struct.Struct("!III")
"""Number of the question, process and user of the worker."""
_MESSAGE: Final = 4096
_PR_SET_DUMPABLE: Final = 4
_LOOK: Final = 1.0
_BEGINNING: Final = 30.0
"""Seconds for the broker to say that it has begun: it may never do so where a library waits for its own in fork(2)."""
_ENDING: Final = 5.0
_THREADS: Final = (
    "a library has started threads in the workers' broker, which may not fork then: call start() before the library is "
    "used, or keep it from doing so (grpcio: GRPC_ENABLE_FORK_SUPPORT=0 in the environment)"
)

Serve = Callable[[socket.socket], None]
"""What a worker does with its end of the socket, until that is closed."""


class Refused(Exception):
    """The broker starts no worker; the text says why. `busy`: there are as many as may be."""

    def __init__(self, text: str, busy: bool = False) -> None:
        super().__init__(text)
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom the broker starts workers: `root` too, how many for one user and for all."""

    root: bool = False
    most_each: int = 4
    most: int = 64


class Broker:
    """The server's side: `sock` is to the broker's process.

    Raises `PrivilegeError` if this process may not become other users, unless `own` is set: then workers are only
    for callers that are this process's own user; and if it does not begin within half a minute, or with threads that a
    library has started in it.
    """

    def __init__(self, serve: Serve, terms: Terms, own: bool = False) -> None:
        if os.geteuid() != 0 and not own:
            raise PrivilegeError(f"only root may run handlers as their callers; this is user {os.geteuid()}")
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        self.pid = os.fork()
        if not self.pid:
            _in_child(theirs, lambda: _Starter(theirs, serve, terms).run(), alone=True)
        theirs.close()
        if not _readable(self.sock, _BEGINNING):
            why = f"the workers' broker has not begun within {_BEGINNING:g} s"
        elif (said := self.sock.recv(_MESSAGE)) == _READY:
            return
        else:
            why = said[1:].decode("utf-8", "replace") or "the workers' broker has ended as it began"
        self.close()
        raise PrivilegeError(why)

    def close(self) -> None:
        """End the broker, and with it all workers; one that does not end within seconds is killed."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        if not self._ended():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.sock.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _ended(self) -> bool:
        """Wait for the end of what the broker says, which is its own end: nobody else has its socket."""
        while _readable(self.sock, _ENDING):
            try:
                data, descriptors = receive_descriptors(self.sock, _MESSAGE)
            except OSError:
                return True
            for descriptor in descriptors:
                os.close(descriptor)
            if not data:
                return True
        return False


def question(number: int) -> bytes:
    """What asks the broker for a worker; goes with the connected socket."""
    return _ASK + _NUMBER.pack(number)


def kill_order(pid: int) -> bytes:
    """What lets the broker end a worker."""
    return _KILL + _NUMBER.pack(pid)


def read_answer(data: bytes, descriptors: list[int], number: int, uid: int | None) -> tuple[int, socket.socket] | None:
    """Return process and socket of the worker that the broker has started. Raises `Refused`.

    None: this answers an earlier question, which nobody waits for any more. One for another user is none.
    """
    kind, known = data[:1], len(data) >= 1 + _NUMBER.size
    late = known and _NUMBER.unpack_from(data, 1)[0] != number
    if kind == _GIVEN and len(data) == 1 + _WORKER.size and len(descriptors) == 1 and not late:
        _, pid, found = _WORKER.unpack(data[1:])
        if found == uid:
            return pid, socket.socket(fileno=descriptors[0])
    for descriptor in descriptors:
        os.close(descriptor)
    if late:
        return None
    refused = known and kind in (_REFUSED, _BUSY)
    raise Refused(
        data[1 + _NUMBER.size :].decode("utf-8", "replace") if refused else "the broker has ended", kind == _BUSY
    )


def send_descriptors(sock: socket.socket, data: bytes, descriptors: list[int]) -> int:
    """Send data with descriptors; return how much of it was sent."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    return sock.sendmsg([data], rights)


def receive_descriptors(sock: socket.socket, size: int, most: int = 1) -> tuple[bytes, list[int]]:
    """Receive data, and at most so many descriptors; none of those is inherited by programs that are started."""
    room = socket.CMSG_SPACE(most * 4)
    data, control, flags, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, value in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(value[: len(value) - len(value) % found.itemsize])
    if flags & socket.MSG_CTRUNC or len(found) > most:
        for descriptor in found:
            os.close(descriptor)
        raise OSError("more descriptors than were asked for")
    return data, found.tolist()


def _readable(sock: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _in_child(keep: socket.socket, work: Callable[[], None], alone: bool = False) -> None:
    """Run in a forked child with nothing of the parent's but standard output and `keep`, and end.

    `alone`: refuse where a library has started threads in the child, before it loses what these use: some abort then.
    """
    status = 1
    try:
        if alone and len(os.listdir("/proc/self/task")) > 1:
            keep.send(_REFUSED + _THREADS.encode())
            return
        signal.set_wakeup_fd(-1)
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(signo, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the server decides
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        gc.freeze()  # what is garbage of the parent's would close descriptors that are others' by then
        _let_go_of_all_but(keep.fileno())
        # The program's own objects may write to descriptors that are closed now.
        sys.stdout, sys.stderr = _text_to(1), _text_to(2)
        keep.setblocking(True)
        work()
        status = 0
    except PrivilegeError as error:
        sys.stderr.write(f"catenet: {error}\n")
    except BaseException as error:
        sys.stderr.write(f"catenet: a worker ended: {type(error).__name__}: {error}\n")
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


def _let_go_of_all_but(kept: int) -> None:
    """Put the null device in place of every descriptor but standard output and `kept`.

    To close them would free their numbers for ours, and what libraries do after each fork (uvloop's loops begin their
    descriptors anew) would then close ours by their old numbers.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in (1, 2, kept, null):
            with suppress(OSError):  # that of the listing is closed
                os.fstat(descriptor)
                os.dup2(null, descriptor, inheritable=descriptor == 0)
    os.close(null)


def _text_to(descriptor: int) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)


class _Starter:
    """The broker itself: small, without threads, and it runs nothing of what callers send."""

    def __init__(self, sock: socket.socket, serve: Serve, terms: Terms) -> None:
        self._sock = sock
        self._serve = serve
        self._terms = terms
        self._users: dict[int, int] = {}  # process to user

    def run(self) -> None:
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        self._sock.send(_READY)
        while True:
            ready = poller.poll(_LOOK * 1000)
            self._reap()
            if not ready:
                continue
            data, descriptors = receive_descriptors(self._sock, _MESSAGE)
            if not data:
                break
            self._answer(data, descriptors)
        for pid in self._users:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _answer(self, data: bytes, descriptors: list[int]) -> None:
        if data[:1] == _KILL and len(data) == 1 + _NUMBER.size:
            pid = _NUMBER.unpack(data[1:])[0]
            if pid in self._users:  # its own children only
                os.kill(pid, signal.SIGKILL)
        elif data[:1] == _ASK and len(data) == 1 + _NUMBER.size and descriptors:
            try:
                pid, ours = self._start(descriptors[0])
            except (Refused, OSError) as error:
                busy = isinstance(error, Refused) and error.busy
                self._sock.send((_BUSY if busy else _REFUSED) + data[1:] + str(error).encode()[:1000])
            else:
                worker = _WORKER.pack(_NUMBER.unpack(data[1:])[0], pid, self._users[pid])
                with ours:
                    send_descriptors(self._sock, _GIVEN + worker, [ours.fileno()])
        for descriptor in descriptors:
            os.close(descriptor)

    def _start(self, descriptor: int) -> tuple[int, socket.socket]:
        peer = self._check(descriptor)
        assert peer.uid is not None and peer.gid is not None
        account = Account(peer.uid, peer.gid, peer.groups, f"user {peer.uid}")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if not pid:
            _in_child(theirs, lambda: self._work(account, theirs))
        theirs.close()
        self._users[pid] = peer.uid
        return pid, ours

    def _check(self, descriptor: int) -> LocalPeer:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            peer = local_peer(sock) if sock.family == socket.AF_UNIX else None
        if peer is None or peer.uid is None or peer.gid is None:
            raise Refused("the kernel does not know who is connected")
        if peer.uid == 0 and not self._terms.root:
            raise Refused("the caller is root")
        if peer.uid != os.geteuid() and os.geteuid() != 0:
            raise Refused(f"only root may become user {peer.uid}; this is user {os.geteuid()}")
        self._reap()
        if len(self._users) >= self._terms.most:
            raise Refused(f"{self._terms.most} workers run", busy=True)
        if list(self._users.values()).count(peer.uid) >= self._terms.most_each:
            raise Refused(f"{self._terms.most_each} workers of one user run", busy=True)
        return peer

    def _work(self, account: Account, sock: socket.socket) -> None:
        os.setsid()
        os.umask(0o077)
        if account.uid != 0 and os.geteuid() == 0:
            become(account)
        # Its own user must not read or steer it (ptrace(2)): what it answers is believed a little.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        os.chdir("/")
        self._serve(sock)

    def _reap(self) -> None:
        while self._users:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._users.pop(pid, None)
