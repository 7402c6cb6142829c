"""Libraries in an interpreter that has run something else before: a program loads its own, as a new one would.

What cannot be loaded twice stays: the standard library, packages with C extensions, this one, and what those refer to,
for a library that stays must meet the classes of others that it knows. What of the standard library's state is a
program's own (`logging`, `multiprocessing`) is put back.
"""

from __future__ import annotations

import logging
import sys
import types
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

__all__ = ["forget_state", "modules_to_forget"]

OWN: Final = "catenet"
LASTING: Final = frozenset(sys.stdlib_module_names) | {"__main__", "__mp_main__"}


_kept: Final[list[object]] = []
"""What was forgotten: others' destructors may not run here, they would close what is shared with another process."""


def forget_state(modules: Iterable[str] | None = None) -> None:
    """Take modules out of `sys.modules` that can be loaded again, and put the standard library's state back.

    `modules` are what `modules_to_forget` has found. Who forks many does that before: to look at all that modules have
    bound writes to the objects' reference counts, which in a process that was forked copies 7 MB.
    """
    for name in modules_to_forget() if modules is None else modules:
        _kept.append(sys.modules.pop(name, None))
    logging.disable(logging.NOTSET)
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in (logging.root, *loggers):
        _kept.extend(logger.handlers)
        logger.handlers.clear()
        logger.filters.clear()
        logger.propagate, logger.disabled = True, False
        logger.setLevel(logging.WARNING if logger is logging.root else logging.NOTSET)


def modules_to_forget() -> list[str]:
    """Names of loaded modules that can be loaded again."""
    packages = _packages()
    stay: set[str] = set()
    found = [name for name, modules in packages.items() if name == OWN or any(map(_is_compiled, modules))]
    while found:
        name = found.pop()
        if name not in stay:
            stay.add(name)
            found += packages.keys() & _references(packages[name])
    gone = {*packages, "multiprocessing"} - stay
    return [name for name in sys.modules if name.partition(".")[0] in gone or name == "concurrent.futures.process"]


def _packages() -> dict[str, list[types.ModuleType]]:
    """Loaded modules that are not of the standard library, by the name of the package that they are in."""
    packages: dict[str, list[types.ModuleType]] = {}
    for name, module in list(sys.modules.items()):
        root = name.partition(".")[0]
        if root not in LASTING and issubclass(type(module), types.ModuleType):
            packages.setdefault(root, []).append(module)
    return packages


def _is_compiled(module: types.ModuleType) -> bool:
    namespace = _namespace(module)
    origin = namespace.get("__file__")
    if origin is None and "__path__" in namespace:  # of folders alone
        return False
    return not isinstance(origin, str) or origin.endswith(tuple(EXTENSION_SUFFIXES))


def _references(modules: list[types.ModuleType]) -> set[str]:
    """Packages whose modules, classes, functions and objects these have bound."""
    names = (_home(value) for module in modules for value in list(_namespace(module).values()))
    return {name.partition(".")[0] for name in names if isinstance(name, str)}


# Without a word to the objects themselves: some are proxies, some modules load themselves when they are asked.


def _namespace(module: types.ModuleType) -> dict[str, object]:
    found: dict[str, object] = object.__getattribute__(module, "__dict__")
    return found


def _home(value: object) -> object:
    """The name of the module that a value is, or that it comes from."""
    kind = type(value)
    if issubclass(kind, types.ModuleType):
        return object.__getattribute__(value, "__dict__").get("__name__")
    if issubclass(kind, type):
        return type.__getattribute__(value, "__module__")
    if issubclass(kind, types.FunctionType):
        return value.__module__
    return type.__getattribute__(kind, "__module__")
