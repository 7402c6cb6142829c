"""The interpreter's globals as one process has them, exchanged when another process gets its turn.

`sys.argv`, `sys.orig_argv`, `sys.path`, `__main__`, the environment, the event loop policy, the working directory,
the file mode mask, and the modules that a program imports from its own directory.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import types
from asyncio import events
from typing import Any, Final

__all__ = ["ProcessGlobals", "environment", "foresee", "modules_from", "swap_globals"]

_chdir = os.chdir
_fchdir = os.fchdir
_umask = os.umask
_putenv = os.putenv
_unsetenv = os.unsetenv
_tzset = time.tzset

# An exchange is made about twice per packet. Going through the dictionaries behind the names takes a third of the time.
_sys: Final = vars(sys)
_events: Final = vars(events)
_modules: Final = sys.modules
_environ: Final = vars(os.environ)
_environb: Final = vars(os.environb)

OUTER_ZONE: Final = os.environb.get(b"TZ")
"""The interpreter's time zone."""


class ProcessGlobals:
    """The globals of one process, or of the code around the world.

    `original` is the whole command line, the interpreter first; `program` is the directory of the program.
    """

    __slots__ = (
        "argv",
        "directory",
        "entered",
        "environ",
        "libraries",
        "main",
        "modules",
        "original",
        "outer_umask",
        "path",
        "placed",
        "policy",
        "private",
        "program",
        "umask",
        "variables",
        "zone",
        "zoned",
    )

    def __init__(
        self,
        argv: list[str],
        original: list[str],
        path: list[str],
        main: types.ModuleType,
        environ: dict[Any, Any],
        program: str | None = None,
    ) -> None:
        # Whatever a program puts in their place.
        self.argv: Any = argv
        self.original: Any = original
        self.path: Any = path
        self.main: Any = main
        self.environ: Any = environ
        self.program = program
        self.variables: dict[bytes, bytes] = dict(environ)
        """What C sees as the environment, and programs inherit: `os.environ` as `os.putenv` is told of it."""
        self.entered = False
        self.policy: Any = None
        self.placed = False
        """Whether it has a working directory or a file mode mask of its own."""
        self.directory: str | None = None
        self.umask = -1
        """Its file mode mask; -1: the interpreter's."""
        self.outer_umask = -1
        """The interpreter's file mode mask, to be restored when the process leaves."""
        self.zone: bytes | None = None
        """The time zone (TZ) that it goes by, once `zoned` says that it has chosen one."""
        self.zoned = False
        self.libraries: dict[str, Any] = {}
        """What libraries keep once in an interpreter, and have once in each process (`libraries.py`)."""
        self.modules: dict[str, types.ModuleType] = {}
        self.private: dict[str, None] = {}

    @staticmethod
    def of_interpreter() -> ProcessGlobals:
        """Return the globals that are installed now."""
        return ProcessGlobals(_sys["argv"], _sys["orig_argv"], _sys["path"], _modules["__main__"], _environ["_data"])

    def refresh(self) -> None:
        """Note the interpreter's environment, which `swap_globals` assumes to be unchanged."""
        self.environ = _environ["_data"]

    def change_directory(self, path: Any) -> None:
        """Give the process a working directory of its own; the process is in place."""
        _chdir(path)
        self.directory = os.getcwd()
        self.placed = True

    def open_directory(self, descriptor: int) -> None:
        """As `change_directory`, to the directory that a descriptor of a real file stands for."""
        _fchdir(descriptor)
        self.directory = os.getcwd()
        self.placed = True

    def change_umask(self, mask: int) -> int:
        """Give the process a file mode mask of its own and return the one before; the process is in place."""
        before = _umask(mask)
        if self.umask < 0:
            self.outer_umask = before
        self.umask = mask & 0o777
        self.placed = True
        return before

    def change_zone(self, zone: bytes | None) -> None:
        """Let the process go by a time zone (tzset(3)); the process is in place."""
        self.zone = zone
        self.zoned = self.placed = True
        _set_zone(zone)

    def enter_place(self) -> None:
        """Go to the directory of the process, and set its file mode mask and time zone."""
        if self.zoned:
            _set_zone(self.zone)
        if self.directory is not None:
            _chdir(self.directory)
        if self.umask >= 0:
            _umask(self.umask)

    def leave_place(self, home: str) -> None:
        """Go back to the directory `home`, and restore the interpreter's file mode mask and time zone."""
        if self.zoned:
            _set_zone(OUTER_ZONE)
        if self.directory is not None:
            _chdir(home)
        if self.umask >= 0:
            _umask(self.outer_umask)

    def hide(self, directory: str) -> None:
        """Keep what the outside has imported from a program's directory out of the program's sight."""
        found = _foreseen.pop(directory, None)
        if found is None or found[0] != _loaded():
            names = modules_from(directory)
        else:
            names = found[1]
        for name in names:
            self.private[name] = None
            self.modules[name] = sys.modules.pop(name)


def _set_zone(zone: bytes | None) -> None:
    """Set what the C library takes for the time zone; None: the machine's."""
    if zone is None:
        _unsetenv(b"TZ")
    else:
        _putenv(b"TZ", zone)
    _tzset()


def swap_globals(last: ProcessGlobals, context: ProcessGlobals) -> None:
    """Store the interpreter's globals in `last` and install those of `context`."""
    last.argv, last.path, last.policy = _sys["argv"], _sys["path"], _events["_event_loop_policy"]
    _sys["argv"], _sys["path"] = context.argv, context.path
    last.original, _sys["orig_argv"] = _sys["orig_argv"], context.original
    _environ["_data"] = _environb["_data"] = context.environ
    if context.policy is not last.policy:
        _events["_event_loop_policy"] = context.policy
    last.main = _modules["__main__"]
    if context.main is not last.main:
        _modules["__main__"] = context.main
    if last.private:
        for name in last.private:
            module = _modules.pop(name, None)
            if module is not None:
                last.modules[name] = module
    if context.modules:
        _modules.update(context.modules)


def modules_from(directory: str) -> list[str]:
    """Names of the loaded modules that come from a directory, other than those of this package."""
    directory = os.path.normpath(directory)
    roots = {name: _comes_from(module, directory) for name, module in list(_modules.items()) if "." not in name}
    roots["__main__"] = roots["catenet"] = False
    return [name for name in list(_modules) if roots.get(name.partition(".")[0], False)]


_foreseen: Final[dict[str, tuple[tuple[int, str], list[str]]]] = {}
"""By directory, what was loaded when modules from there were looked for, and their names."""


def foresee(found: dict[str, list[str]]) -> None:
    """Tell a process that was forked what `modules_from` has found before, for the first program of each directory.

    To look at all modules writes to their reference counts, which there copies a page of memory for nearly each.
    """
    for directory, names in found.items():
        _foreseen[directory] = _loaded(), [name for name in names if name in _modules]


def _loaded() -> tuple[int, str]:
    """Something that changes when a module is loaded."""
    return len(_modules), next(reversed(_modules))


def _comes_from(module: types.ModuleType | None, directory: str) -> bool:
    """Whether a top-level module is a file in the directory, or a package in it."""
    origin = getattr(module, "__file__", None)
    return isinstance(origin, str) and directory in _homes(origin)


@functools.lru_cache(10_000)  # it is asked for all modules of the interpreter whenever a process begins
def _homes(origin: str) -> tuple[str, ...]:
    home, file = os.path.split(os.path.normpath(origin))  # a tenth of what pathlib takes, in each host's process
    return (home, os.path.dirname(home)) if file.startswith("__init__.") else (home,)


def environment() -> dict[Any, Any]:
    """Return a copy of the interpreter's environment without proxies, which no simulated host can reach."""
    return {name: value for name, value in _environ["_data"].items() if not name.lower().endswith(b"_proxy")}
