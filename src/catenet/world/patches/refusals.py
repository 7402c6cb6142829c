"""What a simulated host does not have, refused with the name of the call and what to use instead.

Behind the refusals by name stands an audit hook: the interpreter reports every real socket, process and look-up of a
name before it happens, and inside of a process none may happen, whichever way a program got there. C extensions that
call the operating system themselves (pycurl, psycopg's libpq, grpcio's core, uvloop) report nothing; those that are
known are refused where they begin.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from catenet.posix.errors import CallNotModelled, NotModelled
from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher, copy_identity
from catenet.world.patches.table import LIBRARIES, STANDARD_LIBRARY
from catenet.world.patches.table.row import OWN_PROCESS, REFUSED

__all__ = ["PYTHON_MODULES", "apply", "permitted"]

OWN_CLOCKS: Final = "use time.clock_settime, signal.setitimer or signal.alarm, which set the host's"
PYTHON_MODULES: Final = (
    "use the Python modules socket, select and asyncio, or run the other program on a host of the world"
)

FORBIDDEN_EVENTS: Final = frozenset(
    [
        "socket.__new__",
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.getnameinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.gethostname",
        "socket.sethostname",
        "subprocess.Popen",
        "os.fork",
        "os.forkpty",
        "os.system",
        "os.posix_spawn",
        "os.exec",
        "os.spawn",
        "os.startfile",
        "pty.spawn",
    ]
)
"""Audit events (PEP 578) that must not happen inside of a process."""

SYMBOL_EVENTS: Final = frozenset(["ctypes.dlsym", "ctypes.dlsym/handle"])
CLOCK_SYMBOLS: Final = frozenset(
    [
        "clock_settime",
        "settimeofday",
        "stime",
        "adjtime",
        "adjtimex",
        "ntp_adjtime",
        "clock_adjtime",
        "alarm",
        "ualarm",
        "setitimer",
        "timer_create",
        "timerfd_create",
    ]
)
"""C functions that set the machine's clock or the interpreter's timers: `ctypes` must not find them in a process."""

LEAVING_SYMBOLS: Final = frozenset(
    [
        "syscall",
        "socket",
        "socketpair",
        "connect",
        "bind",
        "listen",
        "accept",
        "accept4",
        "send",
        "sendto",
        "sendmsg",
        "sendmmsg",
        "recv",
        "recvfrom",
        "recvmsg",
        "recvmmsg",
        "getaddrinfo",
        "getnameinfo",
        "gethostbyname",
        "gethostbyname2",
        "gethostbyaddr",
        "sethostname",
        "fork",
        "vfork",
        "clone",
        "clone3",
        "forkpty",
        "execve",
        "execv",
        "execvp",
        "execvpe",
        "execl",
        "execlp",
        "execle",
        "execveat",
        "fexecve",
        "posix_spawn",
        "posix_spawnp",
        "system",
        "popen",
    ]
)
"""C functions that reach the machine's network or start programs on it, as FORBIDDEN_EVENTS has those of Python."""

THREAD_SYMBOLS: Final = frozenset(
    [
        "pthread_cancel",
        "pthread_clockjoin_np",
        "pthread_create",
        "pthread_detach",
        "pthread_getaffinity_np",
        "pthread_getattr_np",
        "pthread_getcpuclockid",
        "pthread_getname_np",
        "pthread_getschedparam",
        "pthread_join",
        "pthread_kill",
        "pthread_setaffinity_np",
        "pthread_setname_np",
        "pthread_setschedparam",
        "pthread_sigqueue",
        "pthread_timedjoin_np",
        "pthread_tryjoin_np",
        "thrd_create",
        "thrd_detach",
        "thrd_join",
    ]
)
"""C functions that make or take a thread of the C library; identifiers of a program's threads are none of those.

One that could be made and not be waited for would outlive what its program keeps for it.
"""

RTC_TYPE: Final = ord("p")
IOC_WRITE: Final = 1
"""An ioctl(2) of this type that writes sets a machine's clock in hardware (linux/rtc.h, asm-generic/ioctl.h)."""

WATCHED: Final = FORBIDDEN_EVENTS | SYMBOL_EVENTS | {"fcntl.ioctl"}

_hooked = False
_armed = False
_permitted: list[str] = []
"""Events that the engine itself is about to cause."""


def _is_free(instead: str) -> bool:
    """Whether what is refused is so only on hosts that share a process, and this is none."""
    task = current.task
    return task is None or (instead is OWN_PROCESS and task.process.host.owns_process)


def _refusal(name: str, instead: str, original: Any) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        if _is_free(instead):
            return original(*args, **kwargs)
        raise CallNotModelled(f"{name} is not modelled on a simulated host; {instead}")

    return copy_identity(refuse, original)


class _RefusedClass:
    """Takes the place of a class that cannot be used inside of a process."""

    def __init__(self, name: str, instead: str, original: Any) -> None:
        self._message = f"{name} is not modelled on a simulated host; {instead}"
        self._instead = instead
        self._original = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _is_free(self._instead):
            raise CallNotModelled(self._message)
        return self._original(*args, **kwargs)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._original)

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._original)

    def __mro_entries__(self, bases: tuple[type, ...]) -> tuple[type, ...]:
        return (self._original,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def _refuse(patcher: Patcher, module: types.ModuleType, name: str, instead: str) -> None:
    """Refuse a function or class of a module, or, by `Class.method`, one method of a class."""
    owner, dot, method = name.partition(".")
    original = getattr(module, owner, None)
    if isinstance(original, _RefusedClass):
        original = original._original
    if original is None:
        return
    label = f"{module.__name__}.{owner}"
    if dot:
        label += "" if method == "__init__" else f".{method}"
        patcher.attribute(original, method, _refusal(label, instead, getattr(original, method)))
    else:
        make: Any = _RefusedClass if isinstance(original, type) else _refusal
        patcher.replace(module, owner, make(label, instead, original))


def _has_no_descriptor(event: str, args: Any) -> bool:
    """Whether a call has no descriptor to reach anything by: its arguments are being checked (`posix/arguments.py`)."""
    return event == "socket.sendmsg" and _socket.socket.fileno(args[0]) < 0


def _audit(event: str, args: Any) -> None:
    # Also when the interpreter ends and has taken the names of this module away.
    if not _armed or event not in WATCHED or current.task is None or event in _permitted:
        return
    if event in SYMBOL_EVENTS:
        _refuse_symbols(args)
    elif event == "fcntl.ioctl":
        _refuse_rtc(args)
    elif not _has_no_descriptor(event, args) and not (event == "subprocess.Popen" and _is_free(OWN_PROCESS)):
        raise CallNotModelled(
            f"a program on a simulated host was about to leave it (audit event {event!r}); {PYTHON_MODULES}"
        )


@contextmanager
def permitted(event: str) -> Iterator[None]:
    """Let the engine do in a process, for it, what the process itself may not."""
    _permitted.append(event)
    try:
        yield
    finally:
        _permitted.remove(event)


class _NoSymbol(NotModelled, AttributeError):
    """A symbol that a C library does not have for programs: who asks by `getattr` with a default gets the default."""


def _refuse_symbols(args: tuple[Any, ...]) -> None:
    """Refuse to look up what would set the machine's clock or leave the host: `ctypes` names it before it calls it."""
    for arg in args:
        name = arg.decode("ascii", "replace") if isinstance(arg, bytes) else arg
        if isinstance(name, str) and (why := _why_no_symbol(name)):
            raise _NoSymbol(why)


def _why_no_symbol(name: str) -> str:
    """Why a program may not have a function of a C library; empty when it may."""
    plain = name.lstrip("_").removeprefix("libc_").removesuffix("64").removesuffix("_r")
    if plain in CLOCK_SYMBOLS:
        return f"{name} would set a clock of the real machine; {OWN_CLOCKS}"
    if plain in LEAVING_SYMBOLS:
        return f"{name} of a C library would leave the simulated host; {PYTHON_MODULES}"
    if name in THREAD_SYMBOLS:
        return f"{name} of a C library knows no thread of a simulated process; use threading"
    return ""


def _guarded_call(original: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a C function that a library has looked up outside of all processes.

    Functions that take a thread answer ESRCH, as they do of one that has ended. Whoever looks them up in a process
    does without them; who has them already (trio names its threads) goes on as well.
    """

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if current.task is not None and (why := _why_no_symbol(name := getattr(self, "__name__", ""))):
            if name in THREAD_SYMBOLS:
                return errno.ESRCH
            raise CallNotModelled(why)
        return original(self, *args, **kwargs)

    return call


def _guard_symbols(patcher: Patcher) -> None:
    """Guard the C functions of libraries that are loaded outside of processes; each has a class for its functions."""

    def guard(cls: Any) -> None:
        patcher.attribute(cls, "__call__", _guarded_call(cls.__call__))

    initialise = ctypes.CDLL.__init__

    def load(self: Any, *args: Any, **kwargs: Any) -> None:
        initialise(self, *args, **kwargs)
        if current.task is None:
            guard(self._FuncPtr)

    for cls in ctypes._CFuncPtr.__subclasses__():  # type: ignore[attr-defined]
        if cls.__qualname__.startswith("CDLL."):
            guard(cls)
    patcher.attribute(ctypes.CDLL, "__init__", copy_identity(load, initialise))


def _refuse_rtc(args: tuple[Any, ...]) -> None:
    """Refuse to set the machine's clock in hardware."""
    request = args[1] & 0xFFFF_FFFF
    if request >> 8 & 0xFF == RTC_TYPE and request >> 30 & IOC_WRITE:
        raise CallNotModelled(f"ioctl {request:#x} would set a clock of the real machine; {OWN_CLOCKS}")


def _arm(armed: bool) -> None:
    global _hooked, _armed
    _armed = armed
    if armed and not _hooked:
        sys.addaudithook(_audit)
        _hooked = True


def apply(patcher: Patcher) -> None:
    """Patch what is refused."""
    for row in (*STANDARD_LIBRARY, *LIBRARIES):
        if row.treatment is REFUSED:
            for name in row.entries():
                refuse = partial(_refuse, name=name, instead=row.note)
                patcher.on_import(row.module, refuse, again=row in LIBRARIES)
    _guard_symbols(patcher)
    _arm(True)
    patcher.on_restore(lambda: _arm(False))
