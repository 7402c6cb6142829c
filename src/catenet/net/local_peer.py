"""Who is at the other end of a Unix socket, by the kernel's word (Linux unix(7), socket(7)).

The kernel notes the credentials of whoever calls `connect`, at that moment. They say nothing of who holds the socket
later: a program that passes it on (SCM_RIGHTS), or keeps it while it takes another user, lends its own name. A process
identifier alone may be another process's by the time it is looked up; `PeerProcess` asks the kernel for a descriptor
of the very process (SO_PEERPIDFD, Linux 6.5).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, overload

__all__ = ["HasOptions", "LocalPeer", "PeerProcess", "local_peer"]

SO_PEERCRED: Final = getattr(socket, "SO_PEERCRED", 17)
SO_PEERSEC: Final = 31
SO_PEERGROUPS: Final = 59
SO_PEERPIDFD: Final = 77

_CREDENTIALS: Final = struct.Struct("iII")
_NOBODY: Final = 0xFFFF_FFFF
_PYTHON_MOST: Final = 1024
"""Longest value that `socket.getsockopt` reads."""
_MOST_GROUPS: Final = 65_536
"""NGROUPS_MAX (linux/limits.h)."""
_OVERFLOW: Final = 65_534
"""DEFAULT_OVERFLOWUID and DEFAULT_OVERFLOWGID (linux/highuid.h)."""


class HasOptions(Protocol):
    """A socket, as transports of event loops show it."""

    def fileno(self) -> int:
        """Its descriptor."""

    @overload
    def getsockopt(self, level: int, option: int, /) -> int: ...
    @overload
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


class PeerProcess:
    """The process that connected, for as long as the connection is open."""

    __slots__ = ("_is_open", "_sock")

    def __init__(self, sock: HasOptions, is_open: Callable[[], bool]) -> None:
        self._sock = sock
        self._is_open = is_open

    def open(self) -> int:
        """Return a descriptor of the process (pidfd_open(2)); whoever asks closes it.

        Raises `ProcessLookupError` once the process has been waited for (before Linux 6.16) or the connection is
        closed, and `OSError` where the kernel cannot say.
        """
        if not self._is_open():  # its number may be another socket's by now
            raise ProcessLookupError(errno.ESRCH, "the connection is closed")
        return self._sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)

    def fileno(self) -> int:
        """Return the descriptor of the connection itself. Raises `ProcessLookupError` once it is closed."""
        if not self._is_open():
            raise ProcessLookupError(errno.ESRCH, "the connection is closed")
        return self._sock.fileno()

    def running(self) -> bool | None:
        """Whether the process that connected still runs; None: the kernel cannot say."""
        try:
            descriptor = self.open()
        except ProcessLookupError:
            return False
        except OSError as error:
            return False if error.errno in (errno.ESRCH, errno.EINVAL) else None
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return not poller.poll(0)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class LocalPeer:
    """Who called `connect` on a Unix socket.

    Attributes:
        pid: of the process then; None: it is in a process namespace that this one does not see (the kernel says 0).
        uid, gid: effective ones, at that moment; None: they mean nothing in this user namespace (the kernel says
            65534, which where not every user is mapped cannot be told from a real user of that number).
        groups: supplementary ones that mean something here, in order.
        label: of a security module (SO_PEERSEC); empty without one.
        process: to ask whether it is still the same process.
    """

    pid: int | None
    uid: int | None
    gid: int | None
    groups: tuple[int, ...] = ()
    label: str = ""
    process: PeerProcess | None = field(default=None, compare=False, repr=False)

    @property
    def foreign(self) -> bool:
        """Whether it belongs to another user or process namespace, so that its numbers do not say who it is."""
        return self.pid is None or self.uid is None or self.gid is None


def local_peer(sock: HasOptions, is_open: Callable[[], bool] = lambda: True) -> LocalPeer | None:
    """Return what the kernel says of the peer of a connected Unix socket, None where it says nothing.

    `is_open`: whether `sock` is still the same socket, for `PeerProcess`.
    """
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(found)
    except (OSError, struct.error):
        return None
    if uid == _NOBODY:  # a socket that nobody has connected
        return None
    return LocalPeer(
        pid or None,
        _meaning(uid, "uid"),
        _meaning(gid, "gid"),
        tuple(group for group in _groups(sock) if _meaning(group, "gid") is not None),
        _label(sock),
        PeerProcess(sock, is_open),
    )


def _meaning(number: int, kind: str) -> int | None:
    return None if number == _unmapped(kind) else number


@functools.cache
def _unmapped(kind: str) -> int | None:
    """The number that stands for all `kind`s that are not mapped here; None where all are (user_namespaces(7))."""
    try:
        ranges = Path(f"/proc/self/{kind}_map").read_text().split()
        if ranges == ["0", "0", str(_NOBODY)]:
            return None
        return int(Path(f"/proc/sys/kernel/overflow{kind}").read_text())
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else _OVERFLOW  # a kernel without user namespaces, or no /proc
    except (OSError, ValueError):
        return _OVERFLOW


def _groups(sock: HasOptions) -> tuple[int, ...]:
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _PYTHON_MOST)
    except OSError as error:
        if error.errno != errno.ERANGE:
            return ()
        found = _long_option(sock.fileno(), SO_PEERGROUPS, 4 * _MOST_GROUPS)
    return struct.unpack(f"{len(found) // 4}I", found)


def _long_option(descriptor: int, option: int, size: int) -> bytes:
    """Read what is longer than Python reads; nothing if the kernel refuses."""
    value, length = ctypes.create_string_buffer(size), ctypes.c_uint32(size)
    call = ctypes.CDLL(None, use_errno=True).getsockopt
    if call(descriptor, socket.SOL_SOCKET, option, value, ctypes.byref(length)):
        return b""
    return value.raw[: length.value]


def _label(sock: HasOptions) -> str:
    try:
        found = sock.getsockopt(socket.SOL_SOCKET, SO_PEERSEC, _PYTHON_MOST)
    except OSError:
        return ""
    return found.rstrip(b"\0\n").decode("utf-8", "replace")
