"""From what endpoints say went wrong to the errno that Linux gives."""

from __future__ import annotations

import errno
import os
from typing import Final

from catenet.stack.endpoint import Fault, StackError

__all__ = ["CallNotModelled", "NotModelled", "error_of", "os_error"]

ERRNO: Final[dict[Fault, int]] = {
    Fault.ACCESS: errno.EACCES,
    Fault.ADDRESS_FAMILY: errno.EAFNOSUPPORT,
    Fault.ADDRESS_IN_USE: errno.EADDRINUSE,
    Fault.ADDRESS_NOT_AVAILABLE: errno.EADDRNOTAVAIL,
    Fault.ALREADY_CONNECTED: errno.EISCONN,
    Fault.ALREADY_IN_PROGRESS: errno.EALREADY,
    Fault.BROKEN_PIPE: errno.EPIPE,
    Fault.CONNECTION_ABORTED: errno.ECONNABORTED,
    Fault.CONNECTION_REFUSED: errno.ECONNREFUSED,
    Fault.CONNECTION_RESET: errno.ECONNRESET,
    Fault.DESTINATION_REQUIRED: errno.EDESTADDRREQ,
    Fault.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    Fault.INVALID: errno.EINVAL,
    Fault.IN_PROGRESS: errno.EINPROGRESS,
    Fault.MESSAGE_TOO_LONG: errno.EMSGSIZE,
    Fault.NETWORK_DOWN: errno.ENETDOWN,
    Fault.NETWORK_UNREACHABLE: errno.ENETUNREACH,
    Fault.NOT_CONNECTED: errno.ENOTCONN,
    Fault.NO_BUFFERS: errno.ENOBUFS,
    Fault.NO_PROTOCOL_OPTION: errno.ENOPROTOOPT,
    Fault.NO_SUCH_ENTRY: errno.ENOENT,
    Fault.OPERATION_NOT_SUPPORTED: errno.EOPNOTSUPP,
    Fault.PROTOCOL_ERROR: errno.EPROTO,
    Fault.TIMED_OUT: errno.ETIMEDOUT,
    Fault.TRY_AGAIN: errno.EAGAIN,
}


class NotModelled(RuntimeError):
    """A program asked for something that a simulated host does not have; the message names it and what to use."""


class CallNotModelled(OSError, NotModelled):
    """As `NotModelled`, of a call: ENOSYS, so that libraries do what they do on a system that does not have it."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.errno = errno.ENOSYS


def os_error(number: int) -> OSError:
    """Return the OSError (of the subclass that fits) that the kernel's call would raise for errno `number`."""
    return OSError(number, os.strerror(number))


def error_of(fault: Fault | StackError) -> OSError:
    """Return the OSError for what an endpoint said."""
    return os_error(ERRNO[fault.fault if isinstance(fault, StackError) else fault])
