"""The process that a script is: its descriptors, numbered as the script numbers them, and how its calls wait."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from catenet.posix.file import File
from catenet.posix.kernel import Kernel
from catenet.posix.sockets import SocketFile
from catenet.testing.packetdrill.calls.zeros import ZeroFile
from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.environment import Environment
from catenet.testing.packetdrill.machine import Machine
from catenet.wire.address import format_address

__all__ = ["Process", "ZeroFile", "os_error"]

_Value = TypeVar("_Value")


def os_error(number: int) -> OSError:
    """The OSError of an errno."""
    return OSError(number, os.strerror(number))


class Process:
    """Descriptors and the machine they are on. `complaints` collects what a call gave back wrongly."""

    def __init__(self, machine: Machine, environment: Environment, config: Config) -> None:
        self.machine = machine
        self.environment = environment
        self.config = config
        self.complaints: list[str] = []
        self.epoll_data: dict[tuple[int, int], int] = {}
        self._files: dict[int, File] = {}
        self._shadowed: list[File] = []

    @property
    def kernel(self) -> Kernel:
        """The host's kernel."""
        return self.machine.kernel

    def install(self, fd: int, file: File) -> int:
        """Give a file the number that the script expects; an open one that had it goes on without a number."""
        if fd in self._files:
            self._shadowed.append(self._files[fd])
        self._files[fd] = file.acquire()
        return fd

    def file(self, fd: int) -> File:
        """Open file of a descriptor; EBADF."""
        found = self._files.get(fd)
        if found is None:
            raise os_error(errno.EBADF)
        return found

    def socket(self, fd: int) -> SocketFile:
        """Socket of a descriptor; EBADF, ENOTSOCK."""
        found = self.file(fd)
        if not isinstance(found, SocketFile):
            raise os_error(errno.ENOTSOCK)
        return found

    def close(self, fd: int) -> None:
        """Close a descriptor; EBADF."""
        self.file(fd)
        self._files.pop(fd).release()

    def complain(self, what: str, expected: object, actual: object) -> None:
        """Note that an output of the call is not as expected."""
        if expected != actual:
            self.complaints.append(f"{what}: expected {expected}, got {actual}")

    def wait(
        self, name: str, file: File, attempt: Callable[[], _Value | None], *, flags: int = 0, send: bool = False
    ) -> _Value:
        """Do what may block: at once, or as soon as it can be done, or EAGAIN when the socket does not block."""
        timeout: float | None = None
        if file.nonblocking or flags & 0x40:  # MSG_DONTWAIT
            timeout = 0
        elif isinstance(file, SocketFile):
            timeout = file.send_timeout if send else file.receive_timeout
        try:
            return self.kernel.wait(name, file, attempt, timeout)
        except TimeoutError as error:
            if error.errno is None:  # SO_RCVTIMEO and SO_SNDTIMEO, not the connection's own
                raise os_error(errno.EAGAIN) from None
            raise

    # --- what "..." stands for ---

    def _text(self, address: bytes | None) -> str:
        assert address is not None
        text = format_address(address)
        return f"::ffff:{text}" if self.config.ip_version == "ipv4-mapped-ipv6" else text

    def local_name(self) -> tuple[str, int]:
        """The address that a script binds to."""
        return self._text(self.config.local_ip), self.config.bind_port

    def remote_name(self) -> tuple[str, int]:
        """The address that a script connects to."""
        return self._text(self.config.remote_ip), self.config.connect_port
