"""The system-call side of one simulated host: its descriptors, its names, and where its programs wait.

Every call that blocks ends in `Runtime.park`, of the runner of the programs. Nothing here knows how waiting is done.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from io import FileIO
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from catenet.posix.epoll import Epoll
from catenet.posix.errors import os_error
from catenet.posix.event_counter import EventCounter
from catenet.posix.file import FIRST_DESCRIPTOR, File
from catenet.posix.inet_datagram import InetDatagram
from catenet.posix.inet_stream import InetStream
from catenet.posix.local import LocalSocket, join
from catenet.posix.local_names import LocalNames
from catenet.posix.names import Names, NoNames, Resolver
from catenet.posix.pipe import make_pipe
from catenet.posix.real_file import RealFile, is_open
from catenet.posix.runtime import Owner, Runtime
from catenet.posix.semaphore import Semaphore
from catenet.posix.sockets import SocketFile
from catenet.wire.dns.stub_cache import StubCache

if TYPE_CHECKING:
    from catenet.stack.interface import Interface
    from catenet.stack.stack import Stack
    from catenet.wire.dns.stub import StubConfig

__all__ = ["FIRST_DESCRIPTOR", "Kernel"]

SOCK_MAX: Final = 11
SOCK_TYPE_MASK: Final = 0xF
IPPROTO_UDPLITE: Final = 136
PROTOCOL_MAX: Final = 263
"""IPPROTO_MAX."""
FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)

Result = TypeVar("Result")


class Kernel:
    """One host's system calls. `epoch` is what the host's clock of the day shows at time 0 of its runtime.

    `real_time` says whether peers wait in real time, so that what is sent goes out before the program goes on.
    """

    def __init__(
        self,
        stack: Stack,
        hostname: str = "localhost",
        names: Names | None = None,
        runtime: Runtime | None = None,
        *,
        epoch: float = 0.0,
        real_time: bool = False,
        first_descriptor: int | None = None,
        name_service: StubConfig | None = None,
    ) -> None:
        self.stack = stack
        self.hostname = hostname
        self.names: Names = NoNames() if names is None else names
        self.name_service = name_service
        """Name servers that are asked for what the table does not have; None for a host with its table alone."""
        self.stub_cache: StubCache | None = None
        self.runtime: Runtime = Runtime() if runtime is None else runtime
        self.epoch = epoch
        self.real_time = real_time
        self.next_descriptor = FIRST_DESCRIPTOR if first_descriptor is None else first_descriptor
        self.local_names = LocalNames()
        self.resolver = Resolver(self)
        self._table: dict[int, tuple[File, Owner | None]] = {}
        self._tables: dict[Owner, dict[int, File]] = {}
        """Descriptors of processes that came by fork(2): a number may stand for several processes."""
        self.inheritable: set[int] = set()
        """Descriptors that stay open in a program that takes the place of the one that runs (no FD_CLOEXEC)."""
        self.low: set[int] = set()
        """Descriptors by dup2(2) below FIRST_DESCRIPTOR, where numbers are otherwise the machine's."""
        self.shared_memory: dict[str, FileIO] = {}
        """Objects of shm_open(3) by name: files of the machine, which who runs the programs has made."""
        self._semaphores: dict[str, Semaphore] = {}
        self._reclaimed: set[int] = set()
        """Closed by the end of their process: its objects close them once more when they are collected."""
        self._ignores_broken_pipes = False
        self.use_name_servers(name_service)

    def use_name_servers(self, config: StubConfig | None) -> None:
        """Ask these name servers from now on; what others said is forgotten."""
        self.name_service = config
        self.stub_cache = StubCache() if config is not None and config.cache else None

    # Descriptors. They are never used twice, so that a stale number can only fail; forked processes share numbers.

    def install(self, file: File) -> int:
        """Give `file` a new descriptor, which belongs to the process that runs."""
        owner = self.runtime.owner()
        number = self.next_descriptor
        self.next_descriptor = number + 1
        own = self._tables.get(owner) if self._tables and owner is not None else None
        if own is None:
            self._table[number] = (file.acquire(), owner)
        else:
            own[number] = file.acquire()
        return number

    def file(self, descriptor: int) -> File:
        """Return the open file that a descriptor stands for; OSError(EBADF) when none."""
        entry = self._table.get(descriptor)
        if self._tables and (own := self._own_table()) is not None:
            file = own.get(descriptor)
            if file is None:
                raise os_error(errno.EBADF)
            return file
        if entry is None:
            self.runtime.owner()
            raise os_error(errno.EBADF)
        return entry[0]

    def _own_table(self) -> dict[int, File] | None:
        """The table of the process that runs, if it came by fork."""
        owner = self.runtime.running()
        return None if owner is None else self._tables.get(owner)

    def runs_child(self) -> bool:
        """Whether the process that runs came by fork."""
        return bool(self._tables) and self._own_table() is not None

    def fork(self, parent: Owner, child: Owner) -> None:
        """Give a new process what another one has open: the same open files by the same numbers (fork(2))."""
        own = self._tables.get(parent)
        if own is None:
            own = {number: file for number, (file, owner) in self._table.items() if owner is parent}
        self._tables[child] = {number: file.acquire() for number, file in own.items()}

    def separate(self, owner: Owner) -> None:
        """Give a process a table of its own, with what it has open, as one that came by fork has."""
        own = self._tables[owner] = {}
        for number in [number for number, (_, holder) in self._table.items() if holder is owner]:
            own[number] = self._table.pop(number)[0]

    def keep(self, owner: Owner, kept: Iterable[int]) -> None:
        """Close all that a process that came by fork has open, but for some descriptors (execve(2))."""
        own = self._tables[owner]
        wanted = set(kept)
        for number in [number for number in own if number not in wanted]:
            own.pop(number).release()

    def close(self, descriptor: int) -> None:
        """System call `close`."""
        if self._tables and (own := self._own_table()) is not None:
            file = own.pop(descriptor, None)
            if file is None:
                raise os_error(errno.EBADF)
            file.release()
            return
        entry = self._table.pop(descriptor, None)
        if self.low:
            self.low.discard(descriptor)
        if entry is not None:
            entry[0].release()
            if self.inheritable:
                self.inheritable.discard(descriptor)
        elif descriptor in self._reclaimed:
            self._reclaimed.remove(descriptor)
        else:
            self.runtime.owner()
            raise os_error(errno.EBADF)

    def close_found(self, descriptor: int) -> bool:
        """Whether it is the garbage collector that wants to close a descriptor; then the runtime does, in its time."""
        entry = self._table.get(descriptor)
        return entry is not None and self.runtime.has_found(descriptor, entry[1])

    def close_of(self, owner: Owner, descriptors: Iterable[int]) -> None:
        """Close those of these descriptors that a process still has open."""
        for descriptor in descriptors:
            entry = self._table.get(descriptor)
            if entry is not None and entry[1] is owner:
                self.close(descriptor)

    def duplicate(self, descriptor: int) -> int:
        """System call `dup`."""
        return self.install(self.file(descriptor))

    def duplicate_to(self, descriptor: int, target: int) -> None:
        """System call `dup2`, also to a number below those that files get; EBADF, also for one that is too high."""
        file = self.file(descriptor)
        if not 0 <= target < self.next_descriptor:
            raise os_error(errno.EBADF)
        if descriptor == target:
            return
        owner = self.runtime.owner()
        own = None if owner is None else self._tables.get(owner)
        file.acquire()
        if own is not None:
            replaced = own.pop(target, None)
            own[target] = file
        else:
            entry = self._table.pop(target, None)
            replaced = None if entry is None else entry[0]
            self._table[target] = (file, owner)
        self._reclaimed.discard(target)
        if target < FIRST_DESCRIPTOR:
            self.low.add(target)
        if replaced is not None:
            replaced.release()

    def is_open_here(self, descriptor: int) -> bool:
        """Whether a number stands for a file of this kernel, and not for one of the machine."""
        return descriptor >= FIRST_DESCRIPTOR or descriptor in self.low

    def set_inheritable(self, descriptor: int, inheritable: bool) -> None:
        """Say whether a descriptor stays open in another program; OSError(EBADF)."""
        self.file(descriptor)
        if inheritable:
            self.inheritable.add(descriptor)
        else:
            self.inheritable.discard(descriptor)

    def get_inheritable(self, descriptor: int) -> bool:
        """Whether a descriptor stays open in another program; OSError(EBADF)."""
        self.file(descriptor)
        return descriptor in self.inheritable

    def numbers(self) -> list[int]:
        """Descriptors that the process that runs has open."""
        owner = self.runtime.owner()
        own = None if owner is None else self._tables.get(owner)
        return [number for number, (_, holder) in self._table.items() if holder is owner] if own is None else list(own)

    def abandon(self) -> None:
        """Take the files of a copy of this kernel out of use, without closing anything: the kernel is elsewhere."""
        for _, file, _ in self.open_files():
            file.references = 0

    def close_owned(self, owner: Owner) -> None:
        """Close all that a process has open: it has ended."""
        for file in self._tables.pop(owner, {}).values():
            file.release()
        for descriptor in [number for number, (_, holder) in self._table.items() if holder is owner]:
            entry = self._table.pop(descriptor, None)
            if entry is not None:
                entry[0].release()
                self._reclaimed.add(descriptor)
                self.low.discard(descriptor)

    def discard(self) -> None:
        """Forget all descriptors without closing anything: the host has lost its power."""
        self._reclaimed.update(self._table)
        self._table.clear()
        self._tables.clear()

    def open_files(self) -> list[tuple[int, File, Owner | None]]:
        """All descriptors in order, with their files and owners, for reports."""
        found = [(number, file, owner) for number, (file, owner) in self._table.items()]
        for holder, own in self._tables.items():
            found += [(number, file, holder) for number, file in own.items()]
        return found

    # Making files.

    def epoll(self) -> Epoll:
        """System call `epoll_create` without a descriptor."""
        return Epoll()

    def pipe(self) -> tuple[File, File]:
        """System call `pipe` without descriptors: the end to read and the one to write."""
        return make_pipe(self.broken_pipe)

    def socket(self, family: int, kind: int, protocol: int = 0) -> SocketFile:
        """System call `socket` without a descriptor; EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, EPERM for raw."""
        self.runtime.owner()
        if kind & ~SOCK_TYPE_MASK:
            raise os_error(errno.EINVAL)
        if family not in FAMILIES:
            raise os_error(errno.EAFNOSUPPORT)
        if kind >= SOCK_MAX:
            raise os_error(errno.EINVAL)
        if family == socket.AF_UNIX:
            return self._local_socket(kind, protocol)
        if not 0 <= protocol < PROTOCOL_MAX:
            raise os_error(errno.EINVAL)
        version = 4 if family == socket.AF_INET else 6
        if kind == socket.SOCK_STREAM:
            if protocol not in (0, socket.IPPROTO_TCP):
                raise os_error(errno.EPROTONOSUPPORT)
            return InetStream(self, family, self.stack.tcp_endpoint(version))
        if kind == socket.SOCK_DGRAM:
            if protocol in (0, socket.IPPROTO_UDP):
                return InetDatagram(self, family, socket.IPPROTO_UDP, self.stack.udp_endpoint(version))
            if protocol == IPPROTO_UDPLITE:
                return InetDatagram(self, family, protocol, self.stack.udp_lite_endpoint(version))
            if protocol == (socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6):
                return InetDatagram(self, family, protocol, self.stack.echo_endpoint(version))
            raise os_error(errno.EPROTONOSUPPORT)
        if kind == socket.SOCK_RAW:
            if not protocol:
                raise os_error(errno.EPROTONOSUPPORT)
            if not self.runtime.may_use_raw_sockets():
                raise os_error(errno.EPERM)
            return InetDatagram(self, family, protocol, self.stack.raw_endpoint(version, protocol), kind)
        raise os_error(errno.ESOCKTNOSUPPORT)

    def _local_socket(self, kind: int, protocol: int) -> LocalSocket:
        if protocol not in (0, socket.AF_UNIX):
            raise os_error(errno.EPROTONOSUPPORT)
        if kind == socket.SOCK_RAW:  # as in BSD
            kind = int(socket.SOCK_DGRAM)
        if kind not in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            raise os_error(errno.ESOCKTNOSUPPORT)
        return LocalSocket(self, kind, protocol)

    def semaphore(self, name: str, value: int, maximum: int, unnamed: bool) -> File:
        """sem_open(3) of a new semaphore, without a descriptor; EEXIST. `unnamed`: nobody finds it by its name."""
        if name in self._semaphores:
            raise os_error(errno.EEXIST)
        made = Semaphore(value, maximum)
        if not unnamed:
            self._semaphores[name] = made
            made.acquire()
        return made

    def named_semaphore(self, name: str) -> File:
        """sem_open(3) of one that there is; ENOENT."""
        if name not in self._semaphores:
            raise os_error(errno.ENOENT)
        return self._semaphores[name]

    def unlink_semaphore(self, name: str) -> bool:
        """sem_unlink(3); False when there is none of this name."""
        found = self._semaphores.pop(name, None)
        if found is not None:
            found.release()
        return found is not None

    def socket_file(self, descriptor: int) -> SocketFile:
        """Return the socket that a descriptor stands for; EBADF, ENOTSOCK."""
        if not self.is_open_here(descriptor) and is_open(descriptor):
            raise os_error(errno.ENOTSOCK)
        file = self.file(descriptor)
        if not isinstance(file, SocketFile):
            raise os_error(errno.ENOTSOCK)
        return file

    def any_file(self, descriptor: int) -> File:
        """As `file`, also for a file of the machine or a standard stream, to ask what is ready; OSError(EBADF)."""
        if descriptor >= FIRST_DESCRIPTOR:
            return self.file(descriptor)
        led = self.runtime.redirected(descriptor)
        return self.file(led) if self.is_open_here(led) else RealFile(led, held=False).acquire()

    def event_counter(self, value: int, semaphore: bool) -> File:
        """System call `eventfd` without a descriptor."""
        return EventCounter(value, semaphore=semaphore)

    def socketpair(self, family: int, kind: int, protocol: int = 0) -> tuple[SocketFile, SocketFile]:
        """System call `socketpair`; as `socket`, and EOPNOTSUPP for families other than AF_UNIX."""
        one, other = self.socket(family, kind, protocol), self.socket(family, kind, protocol)
        if not isinstance(one, LocalSocket) or not isinstance(other, LocalSocket):
            raise os_error(errno.EOPNOTSUPP)
        join(one, other)
        return one, other

    def interfaces(self) -> list[Interface]:
        """Interfaces in the order of their indices."""
        return [self.stack.interfaces[index] for index in sorted(self.stack.interfaces)]

    # Waiting.

    def wait(
        self, call: str, file: File, attempt: Callable[..., Result | None], timeout: float | None, *args: Any
    ) -> Result:
        """Call `attempt(*args)` until it returns something else than None.

        `timeout` None waits without end, 0 raises BlockingIOError at once, more than 0 raises TimeoutError after so
        many seconds.
        """
        result = attempt(*args)
        return self.retry(call, file, attempt, timeout, *args) if result is None else result

    def retry(
        self, call: str, file: File, attempt: Callable[..., Result | None], timeout: float | None, *args: Any
    ) -> Result:
        """As `wait`, when a first attempt has just failed."""
        deadline = self._deadline(timeout)
        remaining = timeout
        while True:
            in_time = self.runtime.park(call, (file,), remaining)
            result = attempt(*args)
            if result is not None:
                return result
            remaining = self._remaining(deadline, in_time)

    def receive(self, file: SocketFile, size: int, flags: int, timeout: float | None) -> bytes:
        """As `retry`, for system call `recv`, which is the one that programs wait in most."""
        deadline = self._deadline(timeout)
        remaining = timeout
        while True:
            in_time = self.runtime.park("recv", (file,), remaining)
            data = file.receive(size, flags)
            if data is not None:
                return data
            remaining = self._remaining(deadline, in_time)

    def _deadline(self, timeout: float | None) -> float:
        """Return the deadline of a call that has found nothing ready; raises at once with a timeout of 0."""
        if timeout is None:
            return inf
        if timeout == 0:
            self.runtime.spin()
            raise os_error(errno.EAGAIN)
        return self.runtime.monotonic() + timeout

    def _remaining(self, deadline: float, in_time: bool) -> float | None:
        """Return how long a call that has woken up without a result goes on waiting."""
        if not in_time:
            raise TimeoutError("timed out")
        return None if deadline == inf else max(0.0, deadline - self.runtime.monotonic())

    def wake_by_signal(self, owner: Owner, descriptor: int, number: int) -> None:
        """Write a signal's number to the descriptor of `signal.set_wakeup_fd`, as the interpreter's C handler does."""
        own = self._tables.get(owner)
        entry = self._table.get(descriptor)
        file = own.get(descriptor) if own is not None else None if entry is None else entry[0]
        if file is None:
            return
        self._ignores_broken_pipes = True  # a broken descriptor would signal for ever
        try:
            file.write(bytes([number]))
        except OSError:
            pass
        finally:
            self._ignores_broken_pipes = False

    def broken_pipe(self) -> None:
        """Send SIGPIPE to the program that runs: it has written to a pipe or stream without a reader."""
        if not self._ignores_broken_pipes:
            self.runtime.broken_pipe()
