"""`threading.local` for interpreters whose own cannot be exchanged at a switch (see `world/task.py`)."""

from __future__ import annotations

import _thread
import weakref
from typing import Any

from catenet.world.current import current

__all__ = ["GreenLocal"]

_real_ident = _thread.get_ident


class GreenLocal:
    """Attributes that each thread has for itself, be it a task of a process or a real thread.

    A task's values live in the task and die with it; those of real threads in a real `threading.local`.
    """

    __slots__ = ("__dict__", "__weakref__", "_green_init", "_green_key", "_green_real")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> GreenLocal:
        """Keep the arguments for each thread's first look."""
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = object.__new__(cls)
        set_slot = object.__setattr__
        key = object()
        set_slot(self, "_green_key", key)
        set_slot(self, "_green_init", (args, kwargs))
        set_slot(self, "_green_real", _RealValues())
        _values(self, run_init=False)
        return self

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_green_"):
            return object.__getattribute__(self, name)
        values = _values(self)
        if name == "__dict__":
            return values
        if name in values:
            return values[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        found = getattr(type(self), name, None)
        if hasattr(type(found), "__set__"):
            found.__set__(self, value)  # type: ignore[union-attr]
            return
        _values(self)[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del _values(self)[name]
        except KeyError:
            raise AttributeError(name) from None


class _RealValues(_thread._local):
    """Values of real threads."""

    def __init__(self) -> None:
        self.values: dict[str, Any] | None = None


def _values(local: GreenLocal, run_init: bool = True) -> dict[str, Any]:
    """Values of the thread that runs; its first look runs the subclass's `__init__`, as the standard class does."""
    task = current.task
    if task is None:
        real = object.__getattribute__(local, "_green_real")
        if real.values is None:
            real.values = {}
            _initialise(local, run_init)
        found: dict[str, Any] = real.values
        return found
    store = task.green_locals
    if store is None:
        store = task.green_locals = weakref.WeakKeyDictionary()
    values: dict[str, Any] | None = store.get(local)
    if values is None:
        values = store[local] = {}
        _initialise(local, run_init)
    return values


def _initialise(local: GreenLocal, run_init: bool) -> None:
    if run_init:
        args, kwargs = object.__getattribute__(local, "_green_init")
        type(local).__init__(local, *args, **kwargs)
