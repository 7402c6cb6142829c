"""Patching and restoring standard modules: attributes, methods of C types, bound names, later imports.

All that is replaced is noted, so that `restore` leaves nothing behind. What loaded modules have bound is found by
`bindings.py` and replaced where it is the very object.
"""

from __future__ import annotations

import _imp
import ctypes
import functools
import gc
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from catenet.world.engine.current import current
from catenet.world.patches.bindings import Bindings

__all__ = ["FORWARDED", "Forwarded", "Patcher", "asked", "copy_identity", "dispatch"]

_modified = ctypes.pythonapi.PyType_Modified
_modified.argtypes = [ctypes.py_object]
_modified.restype = None

MISSING: Final = object()

SUPPORTS: Final = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")

Hooks: TypeAlias = "dict[str, list[Callable[[Patcher, types.ModuleType], None]]]"


def dispatch(original: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `simulated(process, …)` inside of a process and the original outside."""

    def function(*args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is None:
            return original(*args, **kwargs)
        return simulated(task.process, *args, **kwargs)

    return copy_identity(function, original)


class Forwarded:
    """A function of a process that only the process with its host's kernel can serve; its children ask for it."""

    __slots__ = ("restore", "simulated")

    def __init__(self, simulated: Callable[..., Any], restore: Callable[[Any], Any] | None) -> None:
        self.simulated = simulated
        self.restore = restore
        """What makes of a plain result what programs get."""


FORWARDED: Final[dict[str, Forwarded]] = {}
"""Such functions by module and name, while they are patched."""

asked: list[Callable[[str, tuple[Any, ...], dict[str, Any]], Any]] = []
"""In a child: what asks for such a function."""


def _dispatch_or_ask(original: Callable[..., Any], name: str, forwarded: Forwarded) -> Callable[..., Any]:
    """As `dispatch`; in a child, what the process with the kernel answers."""
    simulated = forwarded.simulated

    def function(*args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is None:
            return original(*args, **kwargs)
        if asked:
            result = asked[0](name, args, kwargs)
            return result if forwarded.restore is None else forwarded.restore(result)
        return simulated(task.process, *args, **kwargs)

    return copy_identity(function, original)


def copy_identity(function: Callable[..., Any], original: Any) -> Callable[..., Any]:
    """Copy the name, the documentation and, of a Python function, the signature of an original to its replacement."""
    try:
        functools.update_wrapper(function, original)
        del function.__wrapped__  # type: ignore[attr-defined]
    except AttributeError:
        pass
    if isinstance(original, types.FunctionType):
        function.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return function


class _Builtin(functools.partial):  # type: ignore[type-arg]
    """A replacement of a function written in C: as an attribute of a class, it makes no method.

    Programs have `clock = time.monotonic` in their classes. It pickles by its name, as the original does.
    """

    __name__: str
    __qualname__: str

    def __reduce__(self) -> Any:
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"


def _like(new: Any, original: Any) -> Any:
    """What takes the place of `original`."""
    if isinstance(original, types.BuiltinFunctionType) and isinstance(new, types.FunctionType):
        return copy_identity(_Builtin(new), original)
    return new


class Patcher:
    """Patches modules and classes, and can restore them."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._originals: dict[tuple[str, str], Any] = {}
        self._modules: dict[str, types.ModuleType] = {}
        self._replaced: dict[int, tuple[Any, Any]] = {}
        self._hooks: Hooks = {}
        self._lasting: Hooks = {}

    def replace(self, module: types.ModuleType, name: str, new: Any) -> None:
        """Replace a module's attribute, and note it for `rebind`."""
        original = getattr(module, name, MISSING)
        if original is MISSING:
            return
        new = _like(new, original)
        self._originals[module.__name__, name] = original
        self._modules[module.__name__] = module
        self._replaced[id(original)] = (original, new)
        self.attribute(module, name, new)
        if module is os:
            self._list(original, new)

    def _list(self, original: Any, new: Any) -> None:
        """Say of a replacement what `os.supports_dir_fd` and its like say of the original."""
        for listed in (getattr(os, supports) for supports in SUPPORTS):
            if original in listed:
                listed.add(new)
                self.on_restore(functools.partial(listed.discard, new))

    def function(self, module: types.ModuleType, name: str, simulated: Callable[..., Any]) -> None:
        """Replace a module's function by one that dispatches to `simulated(process, …)`."""
        original: Any = getattr(module, name, MISSING)
        if original is not MISSING:
            self.replace(module, name, dispatch(original, simulated))

    def functions(self, module: types.ModuleType, simulated: Mapping[str, Callable[..., Any]]) -> None:
        """Replace several functions of a module, by their names."""
        for name, each in simulated.items():
            self.function(module, name, each)

    def forward(
        self,
        module: types.ModuleType,
        name: str,
        simulated: Callable[..., Any],
        restore: Callable[[Any], Any] | None = None,
    ) -> None:
        """As `function`, for what children of a process ask the kernel's process for, with plain values."""
        original: Any = getattr(module, name, MISSING)
        if original is not MISSING:
            full = f"{module.__name__}.{name}"
            FORWARDED[full] = forwarded = Forwarded(simulated, restore)
            self._undo.append(functools.partial(FORWARDED.pop, full))
            self.replace(module, name, _dispatch_or_ask(original, full, forwarded))

    def original(self, module: types.ModuleType, name: str) -> Any:
        """Return the original of a module's attribute."""
        return self._originals.get((module.__name__, name), getattr(module, name))

    def attribute(self, owner: Any, name: str, new: Any) -> None:
        """Replace an attribute of a module or a Python class."""
        had = vars(owner).get(name, MISSING)
        setattr(owner, name, new)
        self._undo.append(lambda: delattr(owner, name) if had is MISSING else setattr(owner, name, had))

    def method(self, cls: type, name: str, new: Any) -> Any:
        """Replace a method of a C type, whose namespace cannot be assigned to, and return the original."""
        original = vars(cls).get(name)
        if original is not None:
            self.member(cls, name, new)
            self._replaced[id(original)] = (original, new)
        return original

    def member(self, cls: type, name: str, new: Any) -> None:
        """Set what a C type has by a name, or add it."""
        namespace = next(part for part in gc.get_referents(cls.__dict__) if isinstance(part, dict))
        original = namespace.get(name, MISSING)
        namespace[name] = new
        _modified(cls)

        def undo() -> None:
            if original is MISSING:
                del namespace[name]
            else:
                namespace[name] = original
            _modified(cls)

        self._undo.append(undo)

    def on_import(self, name: str, hook: Callable[[Patcher, types.ModuleType], None], *, again: bool = False) -> None:
        """Call `hook(patcher, module)` now when the module is loaded, else when it will be.

        With `again` also whenever it is loaded anew, as by a program that takes the place of another (`executing`).
        """
        module = sys.modules.get(name)
        if module is None and name in sys.builtin_module_names:
            module = importlib.import_module(name)  # its loader is one for all, so that nothing can be hooked to it
        if module is not None:
            hook(self, module)
        if again:
            self._lasting.setdefault(name, []).append(hook)
        elif module is None:
            self._hooks.setdefault(name, []).append(hook)

    def rebind(self) -> None:
        """Replace what loaded modules have bound."""
        Bindings(self._replaced, self._undo).exchange_in_modules(list(sys.modules.items()))

    def rebind_in(self, function: Any) -> None:
        """Replace what a function has bound that is a program, for no module may refer to it."""
        Bindings(self._replaced, self._undo).exchange_in(function)

    def add_finders(self, *finders: Any) -> None:
        """Put finders in front of the interpreter's."""
        self._undo.append(functools.partial(sys.meta_path.__setitem__, slice(None), list(sys.meta_path)))
        sys.meta_path[:0] = [*finders, _HookFinder(self._hooks, self._lasting, self)]

    def patch_new_c_modules(self) -> None:
        """Let further copies of modules in C (`import select` after `del sys.modules["select"]`) have our functions.

        Some are built in, others are files, and which depends on how the interpreter was built.
        """
        create, execute = _imp.create_builtin, _imp.exec_dynamic

        def create_builtin(spec: importlib.machinery.ModuleSpec, /) -> types.ModuleType:
            module = create(spec)
            self._patch_copy(module, spec.name)
            return module

        def exec_dynamic(module: types.ModuleType, /) -> int:
            status = execute(module)
            self._patch_copy(module, module.__name__)
            return status

        self.attribute(_imp, "create_builtin", create_builtin)
        self.attribute(_imp, "exec_dynamic", exec_dynamic)

    def _patch_copy(self, module: types.ModuleType, full_name: str) -> None:
        for owner, name in self._originals:
            if owner == full_name and module is not self._modules[owner]:
                setattr(module, name, getattr(self._modules[owner], name))

    def on_restore(self, action: Callable[[], object]) -> None:
        """Call `action` when everything is restored."""
        self._undo.append(action)

    def restore(self) -> None:
        """Restore everything, in reverse order."""
        while self._undo:
            self._undo.pop()()
        self._originals.clear()
        self._modules.clear()
        self._replaced.clear()
        self._hooks.clear()
        self._lasting.clear()


class _HookFinder:
    """Finds modules that a hook waits for, and runs the hook once they are loaded."""

    def __init__(self, hooks: Hooks, lasting: Hooks, patcher: Patcher) -> None:
        self._hooks = hooks
        self._lasting = lasting
        self._patcher = patcher

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        hooks, lasting = self._hooks.pop(name, []), self._lasting.pop(name, [])
        if not hooks and not lasting:
            return None
        try:
            spec = importlib.util.find_spec(name)
        finally:
            if lasting:
                self._lasting[name] = lasting
        if spec is None or spec.loader is None:
            if hooks:
                self._hooks[name] = hooks
            return spec

        def run(module: types.ModuleType) -> None:
            for hook in (*hooks, *lasting):
                hook(self._patcher, module)

        _hook_loader(spec.loader, run)
        return spec


def _hook_loader(loader: Any, hook: Callable[[types.ModuleType], None]) -> None:
    """Let a loader run the hook after it has executed its module."""
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        loader.exec_module = execute
        execute(module)
        hook(module)

    loader.exec_module = exec_module
