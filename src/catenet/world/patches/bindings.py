"""What was bound before the standard modules were patched: names, defaults, closures, attributes, tables.

A library that is imported before the first world has the interpreter's functions in places that no later look-up
reaches: trio has methods of `_socket.socket` in closures, others `clock=time.monotonic` among a function's defaults, a
class's attributes or a table of functions. All that can be reached from the namespaces of loaded modules is looked
through once, and what is the very object that was replaced is exchanged.

Of the standard library's and of our own modules only the namespaces are: the rest of the former looks its functions
up when it calls them, but for what `libraries.py` names, and ours drive worlds and mean the interpreter's own.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

__all__ = ["Bindings"]

OWN: Final = "catenet"
OWN_LAYERS: Final = tuple(f"catenet.{layer}" for layer in ("world", "posix", "stack", "link", "wire", "cli", "testing"))
"""Modules whose names stay as they are: they drive worlds and mean the interpreter's own."""

ABSENT: Final = object()
PLAIN: Final = frozenset([type(None), bool, int, float, complex, str, bytes, types.CodeType, types.ModuleType])
"""Types of what refers to nothing that could be exchanged."""
FUNCTIONS: Final = (types.FunctionType, types.MethodType, functools.partial, tuple)

Undo: TypeAlias = "list[Callable[[], object]]"


def _is_looked_through(name: object) -> bool:
    """Whether more than the namespace of a module is looked through; also whether the classes of one are."""
    if not isinstance(name, str):
        return False
    root = name.partition(".")[0]
    return root != OWN and root not in sys.stdlib_module_names


class Bindings:
    """Exchanges objects wherever they are bound.

    Args:
        replaced: By the `id` of an object, the object and what takes its place.
        undo: What brings each back is appended to it.
    """

    def __init__(self, replaced: dict[int, tuple[Any, Any]], undo: Undo) -> None:
        self._replaced = replaced
        self._undo = undo
        self._seen: dict[int, Any] = {}
        """By `id`, and kept, so that no other object gets it meanwhile."""
        self._work: list[Any] = []
        self._functions_only = False

    def exchange_in_modules(self, modules: Iterable[tuple[str, Any]]) -> None:
        """Exchange in modules, by their names."""
        found = [(name, vars(module)) for name, module in modules if isinstance(module, types.ModuleType)]
        self._seen.update((id(namespace), namespace) for _, namespace in found)
        for name, namespace in found:
            if not name.startswith(OWN_LAYERS):
                self._exchange_items(namespace, deep=_is_looked_through(name))
        self._look_through()

    def exchange_in(self, function: Any) -> None:
        """Exchange in a function and the functions that it refers to, as in a program that is one inside another."""
        self._functions_only = True
        self._work.append(function)
        self._look_through()

    def _look_through(self) -> None:
        seen = self._seen
        while self._work:
            value = self._work.pop()
            if id(value) not in seen:
                seen[id(value)] = value
                self._look_into(value)

    def _new(self, value: Any) -> Any:
        """Return what takes the place of a value, or the value."""
        pair = self._replaced.get(id(value))
        if pair is not None and pair[0] is value:
            return pair[1]
        kind = type(value)
        if kind is tuple:
            items = tuple([self._new(item) for item in value])
            return value if all(map(_is, items, value)) else items
        if kind is staticmethod or kind is classmethod:
            inner = self._new(value.__func__)
            return value if inner is value.__func__ else kind(inner)
        return value

    def _exchanged(self, value: Any, put: Callable[..., object], *where: Any) -> None:
        """Exchange a value by `put(*where, value)`, or note that it is to be looked into."""
        if type(value) in PLAIN:
            return
        new = self._new(value)
        if new is value:
            self._work.append(value)
        else:
            put(*where, new)
            self._undo.append(functools.partial(put, *where, value))

    def _exchange_items(self, namespace: dict[Any, Any], *, deep: bool = True) -> None:
        for name, value in list(namespace.items()):
            if deep:
                self._exchanged(value, dict.__setitem__, namespace, name)
            elif id(value) in self._replaced and (new := self._new(value)) is not value:
                namespace[name] = new
                self._undo.append(functools.partial(namespace.__setitem__, name, value))

    # By type.

    def _look_into(self, value: Any) -> None:
        if self._functions_only and not isinstance(value, FUNCTIONS):
            return
        if isinstance(value, type):
            self._look_into_class(value)
        elif isinstance(value, types.FunctionType):
            self._look_into_function(value)
        elif isinstance(value, functools.partial):
            self._look_into_partial(value)
        elif isinstance(value, dict):
            self._exchange_items(value)
            if type(value) is not dict:
                self._look_into_object(value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._exchanged(item, list.__setitem__, value, index)
        elif isinstance(value, tuple | set | frozenset):
            self._work.extend(value)
        elif isinstance(value, staticmethod | classmethod):
            self._work.append(value.__func__)
        elif isinstance(value, types.MethodType):
            self._work += [value.__func__, value.__self__]
        elif isinstance(value, property):
            self._work += [value.fget, value.fset, value.fdel]
        elif not isinstance(value, types.ModuleType):
            self._look_into_object(value)

    def _look_into_class(self, cls: type) -> None:
        if not _is_looked_through(cls.__module__):
            return
        for name, value in list(vars(cls).items()):
            self._exchanged(value, type.__setattr__, cls, name)

    def _look_into_function(self, function: types.FunctionType) -> None:
        namespace = function.__globals__
        if str(namespace.get("__name__", "")).partition(".")[0] == OWN:
            return  # also a replacement, whose original is in its closure
        if function.__defaults__:
            self._exchanged(function.__defaults__, setattr, function, "__defaults__")
        for inner in (function.__kwdefaults__, function.__dict__, namespace):
            if inner:
                self._work.append(inner)  # namespaces of modules have been seen; classes are made in others
        for cell in function.__closure__ or ():
            try:
                held = cell.cell_contents
            except ValueError:
                continue  # not assigned yet
            self._exchanged(held, setattr, cell, "cell_contents")

    def _look_into_partial(self, found: Any) -> None:
        if str(type(found).__module__).partition(".")[0] == OWN:
            return
        parts = found.func, found.args, found.keywords
        func, args = self._new(found.func), self._new(found.args)
        keywords = {name: self._new(value) for name, value in found.keywords.items()}
        if not all(map(_is, (func, args, *keywords.values()), (*parts[:2], *found.keywords.values()))):
            found.__setstate__((func, args, keywords, vars(found)))
            self._undo.append(functools.partial(found.__setstate__, (*parts, vars(found))))
        self._work += [func, args, *keywords.values()]

    def _look_into_object(self, value: Any) -> None:
        """Look into the attributes of an object whose class is looked through, in its dictionary and its slots."""
        if not (_is_looked_through(type(value).__module__) or isinstance(value, types.SimpleNamespace)):
            return
        for cls in type(value).__mro__:
            for slot in vars(cls).values():
                if isinstance(slot, types.MemberDescriptorType) and _is_looked_through(cls.__module__):
                    held = _slot(slot, value)
                    if held is not ABSENT:
                        self._exchanged(held, _set_slot, slot, value)
        try:
            namespace = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        if type(namespace) is dict:
            self._work.append(namespace)


def _is(one: object, other: object) -> bool:
    return one is other


def _slot(slot: Any, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except (AttributeError, TypeError):
        return ABSENT


def _set_slot(slot: Any, value: Any, new: Any) -> None:
    try:
        slot.__set__(value, new)
    except (AttributeError, TypeError):
        pass  # a member of a class in C, which cannot be assigned to
