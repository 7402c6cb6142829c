"""`socket`: the class and the functions of the module.

`socket.socket` stays the class that it is, so that `isinstance`, subclassing and names bound elsewhere keep their
meaning. Only what it makes changes: inside of a process `__new__` gives an instance of `posix.pysocket.Socket`, or, for
a subclass of the program's own, of that subclass with `Socket` behind it. The C class behind both makes nothing inside
of a process: the audit hook of `refusals` stops it.
"""

from __future__ import annotations

import _socket
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from catenet.posix.arguments import c_long, seconds_of
from catenet.posix.errors import os_error
from catenet.posix.kernel import Kernel
from catenet.posix.pysocket import Socket, create_pair
from catenet.posix.services import getprotobyname, getservbyname, getservbyport
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

_simulated: dict[type, type] = {socket.socket: Socket}
"""For each class that a program makes sockets of, the one that is made."""

_plain_new = _socket.socket.__new__
_plain_init = socket.socket.__init__


def current_kernel() -> Kernel:
    """Kernel of the host whose program runs; ProcessKilled when the program has been killed."""
    task = current.task
    if task is None:
        raise RuntimeError("a simulated socket cannot be made outside of any simulated process")
    if task.process.dying:
        task.check_alive()
    return task.process.host.kernel


def _default_timeout() -> float | None:
    task = current.task
    return None if task is None else task.process.default_timeout


def simulated_class(cls: type) -> type:
    """The class that stands for `cls` inside of a process."""
    found = _simulated.get(cls)
    if found is None:
        found = _simulated[cls] = type(cls.__name__, (cls, Socket), {"__slots__": (), "__module__": cls.__module__})
    return found


def _new(cls: type, *args: Any, **kwargs: Any) -> Any:
    if current.task is not None and not issubclass(cls, Socket):
        cls = simulated_class(cls)
    return _plain_new(cls)


def _init(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    if isinstance(self, Socket):
        Socket.__init__(self, family, type, proto, fileno)
    else:
        _plain_init(self, family, type, proto, fileno)


def _set_default_timeout(process: Process, timeout: float | None) -> None:
    process.default_timeout = seconds_of(timeout)


def _close(process: Process, descriptor: int) -> None:
    number = c_long(descriptor)
    if not process.host.kernel.is_open_here(number):
        raise os_error(errno.EBADF)
    process.host.kernel.close(number)


def _duplicate(process: Process, descriptor: int) -> int:
    return process.host.kernel.duplicate(c_long(descriptor))


def _set_hostname(process: Process, name: str) -> None:
    raise PermissionError(1, "Operation not permitted")


def _resolver_function(name: str) -> Any:
    def simulated(process: Process, *args: Any) -> Any:
        if process.dying:
            current_kernel()
        return getattr(process.host.kernel.resolver, name)(*args)

    return simulated


def _without_process(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does not depend on the host."""
    return lambda process, *args: function(*args)


def _getaddrinfo(
    process: Process, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> Any:
    return current_kernel().resolver.getaddrinfo(host, port, family, type, proto, flags)


def _apply_names(patcher: Patcher, module: Any) -> None:
    patcher.function(module, "getaddrinfo", _getaddrinfo)
    for name in ("getnameinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        patcher.function(module, name, _resolver_function(name))
    for simulated in (getservbyname, getservbyport, getprotobyname):
        patcher.function(module, simulated.__name__, _without_process(simulated))
    patcher.function(module, "gethostname", lambda process: process.host.name)
    patcher.function(module, "sethostname", _set_hostname)
    patcher.function(
        module,
        "if_nameindex",
        lambda process: [(interface.index, interface.name) for interface in process.host.kernel.interfaces()],
    )
    for name, method in (("if_nametoindex", "interface_index"), ("if_indextoname", "interface_name")):
        patcher.function(module, name, _resolver_function(method))


def apply(patcher: Patcher) -> None:
    """Patch `socket`."""
    Socket.current_kernel = staticmethod(current_kernel)
    Socket.default_timeout = staticmethod(_default_timeout)
    patcher.attribute(socket.socket, "__new__", staticmethod(_new))
    patcher.attribute(socket.socket, "__init__", _init)
    for module in (_socket, socket):
        _apply_names(patcher, module)
        patcher.function(module, "socketpair", lambda process, *args, **kwargs: create_pair(*args, **kwargs))
        patcher.function(module, "getdefaulttimeout", lambda process: process.default_timeout)
        patcher.function(module, "setdefaulttimeout", _set_default_timeout)
        patcher.function(module, "close", _close)
        patcher.function(module, "dup", _duplicate)
    patcher.function(socket, "getfqdn", lambda process, name="": process.host.kernel.resolver.getfqdn(name))
