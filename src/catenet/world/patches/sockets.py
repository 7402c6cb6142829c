"""`socket`: the class and the functions of the module.

`socket.socket` stays the class that it is, and a program's sockets are of exactly this class: `type(sock) is
socket.socket`, subclasses, names bound elsewhere and the methods of the C type below it, called unbound, all hold. What
changes is what these C methods do: of a socket that a process has made they are those of `posix.pysocket.Socket`, of
others the interpreter's. The C part of such a socket is never initialised and has no descriptor.

The class has slots and no dictionary, and one slot has to hold the `Socket`: it is that of `_closed`, a truth value,
which the `Socket` keeps instead. So a simulated socket is found, and collected, as if the class had always had it.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from catenet.posix.arguments import c_long, seconds_of
from catenet.posix.errors import os_error
from catenet.posix.kernel import Kernel
from catenet.posix.pysocket import Socket, create_pair
from catenet.posix.services import getprotobyname, getservbyname, getservbyport
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

SLOT: Final = "_catenet"
"""Attribute of a socket object that is its `Socket`, or anything else when the interpreter serves it."""
METHODS: Final = (
    "accept bind close connect connect_ex detach fileno getblocking getpeername getsockname getsockopt gettimeout "
    "listen recv recvfrom recvmsg recvmsg_into send sendall sendmsg sendto setblocking setsockopt settimeout shutdown"
)
WITH_KEYWORDS: Final = "recv_into recvfrom_into sendmsg_afalg"
MEMBERS: Final = "family type proto timeout"
HOST_NAME_MAX: Final = 64


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


def _method(original: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """A method of the C type that is the simulated one for simulated sockets."""

    def method(self: Any, /, *args: Any) -> Any:
        try:
            found = self._catenet
        except AttributeError:
            return original(self, *args)
        return simulated(found, *args) if type(found) is Socket else original(self, *args)

    return copy_identity(method, original)


def _method_with_keywords(original: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """As `_method`, for the few that take arguments by name."""

    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        found = getattr(self, SLOT, None)
        return simulated(found, *args, **kwargs) if type(found) is Socket else original(self, *args, **kwargs)

    return copy_identity(method, original)


def _member(original: Any, simulated: property) -> property:
    """A read-only member of the C type; the descriptors of both sides know how to read it."""

    def get(self: Any) -> Any:
        found = getattr(self, SLOT, None)
        return simulated.__get__(found) if type(found) is Socket else original.__get__(self)

    return property(get, doc=original.__doc__)


def _initialiser(original: Callable[..., None]) -> Callable[..., None]:
    """`_socket.socket.__init__`, which the Python part of the class calls."""

    def initialise(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        if current.task is None:
            original(self, family, type, proto, fileno)
        else:
            self._catenet = made = Socket(family, type, proto, fileno)
            made.owner = self.__class__

    return copy_identity(initialise, original)


def _closed(slot: Any) -> property:
    """`socket.socket._closed`, whose slot may hold a `Socket`."""

    def get(self: Any) -> Any:
        found = slot.__get__(self)
        return found.closed if type(found) is Socket else found

    def put(self: Any, value: object) -> None:
        found = getattr(self, SLOT, None)
        if type(found) is Socket:
            found.closed = value
        else:
            slot.__set__(self, value)

    return property(get, put)


class _Elsewhere:
    """The `Socket`s of objects whose class has no slot for one yet, or never: data descriptor of the C type.

    Other classes than `socket.socket` come of a copy of its module (eventlet executes one), and get their slot with
    their first object; of the rest those are found by `id` that can be referred to weakly (gevent makes such).
    """

    def __init__(self, patcher: Patcher) -> None:
        self._patcher = patcher
        self._found: dict[int, tuple[Socket, weakref.ref[Any]]] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        entry = self._found.get(id(instance))
        return None if entry is None else entry[0]

    def __set__(self, instance: Any, value: Socket) -> None:
        for cls in type(instance).__mro__:
            slot = vars(cls).get("_closed")
            if isinstance(slot, types.MemberDescriptorType):
                _give_slot(self._patcher, cls, slot)
                setattr(instance, SLOT, value)
                return
        key = id(instance)
        self._found[key] = value, weakref.ref(instance, lambda _: self._found.pop(key, None))


def _give_slot(patcher: Patcher, cls: Any, slot: Any) -> None:
    """Let objects of a class that is made as `socket.socket` hold a `Socket`."""
    patcher.attribute(cls, SLOT, slot)
    patcher.attribute(cls, "_closed", _closed(slot))


def _apply_class(patcher: Patcher) -> None:
    patcher.member(_socket.socket, SLOT, _Elsewhere(patcher))
    _give_slot(patcher, socket.socket, vars(socket.socket)["_closed"])
    c_type = vars(_socket.socket)
    for name in METHODS.split():
        inner = "_accept" if name == "accept" else name
        patcher.method(_socket.socket, inner, _method(c_type[inner], getattr(Socket, name)))
    for name in WITH_KEYWORDS.split():
        if name in c_type:
            patcher.method(_socket.socket, name, _method_with_keywords(c_type[name], getattr(Socket, name)))
    for name in MEMBERS.split():
        patcher.method(_socket.socket, name, _member(c_type[name], getattr(Socket, name)))
    patcher.method(_socket.socket, "__init__", _initialiser(_socket.socket.__init__))


def _socketpair(process: Process, *args: Any, **kwargs: Any) -> tuple[socket.socket, socket.socket]:
    one, other = create_pair(*args, **kwargs)
    return _object_of(one), _object_of(other)


def _object_of(found: Socket) -> socket.socket:
    """The object that programs have of a socket."""
    made: Any = socket.socket.__new__(socket.socket)
    made._catenet = found
    made._io_refs = 0
    return cast("socket.socket", made)


def _set_default_timeout(process: Process, timeout: float | None) -> None:
    process.default_timeout = seconds_of(timeout)


def _close(process: Process, descriptor: int) -> None:
    number = c_long(descriptor)
    if not process.host.kernel.is_open_here(number):
        raise os_error(errno.EBADF)
    process.host.kernel.close(number)


def _duplicate(process: Process, descriptor: int) -> int:
    return process.host.kernel.duplicate(c_long(descriptor))


def _set_hostname(process: Process, name: Any) -> None:
    """`socket.sethostname`, until the host boots again; its name in the network stays. EPERM, EINVAL."""
    raw = os.fsencode(name)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    kernel = process.host.kernel
    if not kernel.runtime.may_use_raw_sockets():
        raise os_error(errno.EPERM)
    if len(raw) > HOST_NAME_MAX:
        raise os_error(errno.EINVAL)
    kernel.hostname = os.fsdecode(raw)


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
    patcher.forward(module, "gethostname", lambda process: process.host.kernel.hostname)
    patcher.forward(module, "sethostname", _set_hostname)
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
    _apply_class(patcher)
    for module in (_socket, socket):
        _apply_names(patcher, module)
        patcher.function(module, "socketpair", _socketpair)
        patcher.function(module, "getdefaulttimeout", lambda process: process.default_timeout)
        patcher.function(module, "setdefaulttimeout", _set_default_timeout)
        patcher.function(module, "close", _close)
        patcher.function(module, "dup", _duplicate)
    patcher.function(socket, "getfqdn", lambda process, name="": process.host.kernel.resolver.getfqdn(name))
