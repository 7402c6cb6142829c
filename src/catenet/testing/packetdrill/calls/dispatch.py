"""From the name of a system call to who makes it, and from its outcome to whether the script is content."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from catenet.testing.packetdrill.calls import options, sockets, transfer, waiting
from catenet.testing.packetdrill.calls.process import Process
from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.environment import Environment
from catenet.testing.packetdrill.machine import Machine
from catenet.testing.packetdrill.symbols import evaluate
from catenet.testing.packetdrill.syntax import Call, Ellipsis_, Expression

__all__ = ["Calls", "Outcome", "Work"]

_System: TypeAlias = Callable[[Process, Call], int]


def _allow(process: Process, call: Call) -> int:
    """A call that changes nothing here, as those about capabilities."""
    return 0


_CALLS: Final[dict[str, _System]] = {
    "socket": sockets.make_socket,
    "bind": sockets.bind_socket,
    "listen": sockets.listen_socket,
    "accept": sockets.accept_socket,
    "connect": sockets.connect_socket,
    "close": sockets.close_file,
    "shutdown": sockets.shutdown_socket,
    "fcntl": sockets.control_file,
    "open": sockets.open_file,
    "read": transfer.read_file,
    "recv": transfer.read_file,
    "readv": transfer.read_vector,
    "recvfrom": transfer.receive_from,
    "recvmsg": transfer.receive_message,
    "write": transfer.write_file,
    "send": transfer.send_socket,
    "writev": transfer.write_vector,
    "sendto": transfer.send_to,
    "sendmsg": transfer.send_message,
    "sendfile": transfer.send_file,
    "pipe": transfer.make_pipes,
    "splice": transfer.splice_files,
    "setsockopt": options.set_option,
    "getsockopt": options.get_option,
    "ioctl": options.control_device,
    "poll": waiting.poll_files,
    "epoll_create": waiting.make_epoll,
    "epoll_create1": waiting.make_epoll,
    "epoll_ctl": waiting.control_epoll,
    "epoll_wait": waiting.wait_epoll,
    "cap_set": _allow,
}

_MAKES_DESCRIPTOR: Final = frozenset(("socket", "accept", "open", "epoll_create", "epoll_create1"))


@dataclass(slots=True)
class Outcome:
    """What a call returned: -1 and an errno by name, or a number; `complaints` about what it gave back besides."""

    value: int
    errno: str | None
    complaints: list[str]
    nonsense: str | None = None
    """Why the call makes no sense at all: the script's fault."""


@dataclass(slots=True)
class Work:
    """A call ready to be made, and what the runner must know of it."""

    run: Callable[[], Outcome]
    script_fd: int | None = None
    connects: int | None = None
    """Descriptor of a socket that this call may connect."""
    disconnects: bool = False
    protocol: int = 0


class Calls:
    """Makes the calls of one script."""

    def __init__(self, machine: Machine, environment: Environment, config: Config) -> None:
        self._process = Process(machine, environment, config)

    def prepare(self, call: Call) -> Work:
        """Get a call ready.

        Raises:
            ValueError: unknown call, or arguments that make no sense.
        """
        system = _CALLS.get(call.name)
        if system is None:
            raise ValueError(f"unknown system call (known are {', '.join(_CALLS)})")
        work = Work(lambda: self._make(system, call))
        first: Expression = call.arguments[0] if call.arguments else Ellipsis_()
        if call.name == "socket":
            work.protocol = sockets.socket_protocol(call)
        elif not isinstance(first, Ellipsis_) and call.name not in ("open", "pipe", "poll", "epoll_create"):
            work.script_fd = evaluate(first)
        if call.name in ("connect", "sendto", "sendmsg"):
            work.connects = work.script_fd
            work.disconnects = call.name == "connect" and sockets.is_unspecified(call)
        return work

    def _make(self, system: _System, call: Call) -> Outcome:
        process = self._process
        complaints: list[str] = []
        process.complaints = complaints
        try:
            return Outcome(system(process, call), None, complaints)
        except OSError as error:
            return Outcome(-1, errno.errorcode.get(error.errno or 0, str(error)), complaints)
        except ValueError as error:
            return Outcome(-1, None, complaints, str(error))

    def expected(self, call: Call) -> int:
        """Number that the script expects a call to return."""
        return 0 if isinstance(call.result, Ellipsis_) else evaluate(call.result)

    def check(self, call: Call, outcome: Outcome) -> str | None:
        """Return what is wrong with the outcome of a call; None for nothing."""
        got = f"{outcome.value}" + (f" {outcome.errno}" if outcome.errno else "")
        expected = self.expected(call)
        wanted = f"{expected}" + (f" {call.errno}" if call.errno else "")
        right = outcome.value == expected or isinstance(call.result, Ellipsis_)
        if call.name in _MAKES_DESCRIPTOR and expected >= 0:
            right = outcome.value >= 0
        if right and call.errno is not None:
            right = outcome.errno == _canonical(call.errno)
        if not right:
            return f"{call.name} returned {got}, expected {wanted}"
        if outcome.complaints:
            return f"{call.name}: {outcome.complaints[0]}"
        return None

    def values_for_code(self, fd: int) -> dict[str, int]:
        """What code blocks can look at."""
        return options.tcp_info_values(self._process, fd)


def _canonical(name: str) -> str:
    """The one name of an errno that has two (EWOULDBLOCK is EAGAIN)."""
    number = getattr(errno, name, None)
    if number is None:
        return name
    return errno.errorcode[number]
