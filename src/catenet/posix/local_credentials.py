"""Who has sent something over a local socket: SCM_CREDENTIALS (unix(7)) for sockets that ask for it."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from catenet.posix.control import SCM_CREDENTIALS, Ancillary
from catenet.posix.errors import os_error

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel
    from catenet.posix.sockets import SocketFile

__all__ = ["PASSES", "Credentials", "credentials_of", "current_credentials", "shown_credentials", "wants_credentials"]

PASSES: Final = "SO_PASSCRED"
NOBODY: Final = (0, 65_534, 65_534)
"""What is shown of a sender who was not noted: no process, and the users that nobody has (overflowuid)."""

Credentials: TypeAlias = "tuple[int, int, int]"
"""Process, user and group."""

_CREDENTIALS: Final = struct.Struct("=iII")


def wants_credentials(file: SocketFile) -> bool:
    """Whether a socket asks who sends."""
    return bool(file.kept_options) and bool(file.kept_options.get(PASSES))


def current_credentials(kernel: Kernel) -> Credentials:
    """Of the process that runs."""
    owner = kernel.runtime.owner()
    return 0 if owner is None else owner.pid, os.getuid(), os.getgid()


def credentials_of(kernel: Kernel, control: Iterable[Ancillary]) -> Credentials | None:
    """What a sender says of itself; EINVAL, EPERM for what only root may say, ESRCH for a process that is not."""
    found: Credentials | None = None
    for level, kind, data in control:
        if level != socket.SOL_SOCKET or kind != SCM_CREDENTIALS:
            continue
        if len(data) != _CREDENTIALS.size:
            raise os_error(errno.EINVAL)
        found = _CREDENTIALS.unpack(data)
        _check(kernel, found)
    return found


def _check(kernel: Kernel, said: Credentials) -> None:
    pid, user, group = said
    own = current_credentials(kernel)
    true = pid == own[0] and user in os.getresuid() and group in os.getresgid()
    if not true and not kernel.runtime.may_use_raw_sockets():
        raise os_error(errno.EPERM)
    if pid != own[0] and own[0]:
        os.kill(pid, 0)


def shown_credentials(found: Credentials | None) -> Ancillary:
    """As ancillary data."""
    return socket.SOL_SOCKET, SCM_CREDENTIALS, _CREDENTIALS.pack(*(found or NOBODY))
