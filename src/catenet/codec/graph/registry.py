"""The allow-list: which classes a document may name, what their fields are, and how their objects are made.

Nothing is looked up by name but in this list, and no constructor is called: an object is made empty, its fields are
set, and at the end it is told (`__received__`, or the class's `__post_init__` if it has fields that are not sent).
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from catenet.codec.graph.checks import Check, Todo, checks_of, look
from catenet.codec.graph.exact import Exact, exact_of
from catenet.codec.graph.integers import FloatWidth, IntWidth, NotSent

__all__ = ["Look", "Registry", "Shape", "check_fields"]

Types = Iterable[Any] | Mapping[str, Any]

Look = tuple[str, int, Check, Exact]
_ABSENT: Final = object()


class Shape:
    """How objects of one class are taken apart and made."""

    def __init__(self, name: str, cls: type) -> None:
        self.name = name
        self.cls = cls
        self.is_enum = issubclass(cls, enum.Enum)
        self.is_tuple = issubclass(cls, tuple)
        self.hook = ""
        """The method that is called when the whole graph is there."""
        self.dynamic = False
        """Whether objects tell their fields, because the class does not declare any."""
        self.sent: tuple[str, ...] = ()
        self.defaults: dict[str, Callable[[], Any]] = {}
        """How to make a field that does not come; those that are not sent may have none."""
        self.widths: tuple[str, ...] = ()
        self.checks: list[tuple[str, Check, Exact]] = []
        """Of each field whose hint says anything: what it must be, and what it may be without a closer look."""
        hashes: Any = cls.__hash__
        self.by_identity = hashes is object.__hash__
        self.generated_hash = False
        self.new: Callable[[], Any] = partial(object.__new__, cls)
        self.set: Callable[[Any, str, Any], None] = object.__setattr__
        self._local: tuple[str, ...] = ()
        self._got: tuple[str, ...] | None = None
        self._get: Callable[[Any], tuple[Any, ...]] = tuple
        """What takes several fields at once, those of `_got`."""
        if not self.is_enum:
            self._describe()

    def _describe(self) -> None:
        cls = self.cls
        if self.is_tuple:
            declared = list(cls._fields)  # type: ignore[attr-defined]
            self.defaults = {name: _constant(value) for name, value in cls._field_defaults.items()}  # type: ignore[attr-defined]
        elif dataclasses.is_dataclass(cls):
            declared = self._dataclass()
        elif hasattr(cls, "__attrs_attrs__"):
            declared = self._attrs()
        elif hasattr(cls, "__struct_fields__"):
            declared = self._struct()
        else:
            self.dynamic = True
            declared = []
        unsent = set(self._local)
        self.sent = tuple(name for name in declared if name not in unsent)
        self._choose_hook()

    def _choose_hook(self) -> None:
        cls = self.cls
        if hasattr(cls, "__received__"):
            self.hook = "__received__"
        elif self._local:
            takes_more = any(
                field._field_type is dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]
                for field in getattr(cls, "__dataclass_fields__", {}).values()
            )
            names = () if takes_more else ("__post_init__", "__attrs_post_init__")
            self.hook = next((name for name in names if hasattr(cls, name)), "")

    def _dataclass(self) -> list[str]:
        found = dataclasses.fields(self.cls)
        for field in found:
            if field.default is not dataclasses.MISSING:
                self.defaults[field.name] = _constant(field.default)
            elif field.default_factory is not dataclasses.MISSING:
                self.defaults[field.name] = field.default_factory
        self._local = tuple(field.name for field in found if field.metadata.get("send") is False)
        parameters = self.cls.__dataclass_params__  # type: ignore[attr-defined]
        self.generated_hash = bool((parameters.eq and parameters.frozen) or parameters.unsafe_hash)
        return [field.name for field in found]

    def _attrs(self) -> list[str]:
        found = self.cls.__attrs_attrs__  # type: ignore[attr-defined]
        for field in found:
            default = field.default
            if type(default).__name__ == "Factory":
                if not default.takes_self:
                    self.defaults[field.name] = default.factory
            elif repr(default) != "NOTHING":
                self.defaults[field.name] = _constant(default)
        self._local = tuple(field.name for field in found if field.metadata.get("send") is False)
        self.generated_hash = not self.by_identity
        return [field.name for field in found]

    def _struct(self) -> list[str]:
        import msgspec

        found = msgspec.structs.fields(self.cls)
        for field in found:
            if field.default is not msgspec.NODEFAULT:
                self.defaults[field.name] = _constant(field.default)
            elif field.default_factory is not msgspec.NODEFAULT:
                self.defaults[field.name] = field.default_factory
        self.generated_hash = not self.by_identity
        # A struct has no way to be made empty. A twin without `__post_init__` has the same layout; the placeholder is
        # a container, so that the garbage collector knows the object.
        names = tuple(field.name for field in found)
        meta: Any = type(msgspec.Struct)
        twin = meta("Twin", (msgspec.Struct,), {"__annotations__": dict.fromkeys(names, object)})
        placeholder: list[Any] = []
        cls = self.cls

        def new() -> Any:
            made = twin(*(placeholder for _ in names))
            made.__class__ = cls
            return made

        self.new = new
        self.set = msgspec.structs.force_setattr
        return list(names)

    def annotate(self, known: Mapping[str, type]) -> None:
        """Read the type hints, which may name other classes of the list."""
        if self.is_enum:
            return
        try:
            hints = typing.get_type_hints(self.cls, localns=dict(known), include_extras=True)
        except Exception:  # whatever evaluating a text may raise: then the fields are not checked
            hints = {}
        unsent = {name for name, hint in hints.items() if any(isinstance(one, NotSent) for one in _extras(hint))}
        if unsent:
            self._local = (*self._local, *unsent)
            self.sent = tuple(name for name in self.sent if name not in unsent)
            self._choose_hook()
        widths = []
        for name in self.sent:
            width = next((one for one in _extras(hints.get(name)) if isinstance(one, (IntWidth, FloatWidth))), None)
            widths.append(width.wire if width else "")
        self.widths = tuple(widths) if any(widths) else ()
        self.checks = [
            (name, check, exact_of(hints[name], self._none_by_default(name)))
            for name in (hints if self.dynamic else self.sent)
            if name in hints and (check := checks_of(hints[name], self._none_by_default(name))) is not None
        ]

    def _none_by_default(self, name: str) -> bool:
        make = self.defaults.get(name)
        return isinstance(make, _Constant) and make.value is None

    def names_of(self, value: Any) -> tuple[str, ...]:
        """Return the fields that an object has; of a class that declares none, what is in its dictionary and slots."""
        if not self.dynamic:
            return self.sent
        names = [*getattr(value, "__dict__", ())]
        for base in type(value).__mro__:
            slots = base.__dict__.get("__slots__", ())
            names += [slots] if isinstance(slots, str) else slots
        unsent = set(self._local)
        return tuple(name for name in dict.fromkeys(names) if name not in unsent and self.may_set(name))

    def may_set(self, name: str) -> bool:
        """Whether a document may set this attribute of a class without declared fields: data, nothing of Python's."""
        if name in self._local or not name.isidentifier() or (name.startswith("__") and name.endswith("__")):
            return False
        found = _lookup(self.cls, name)
        if found is _ABSENT or isinstance(found, types.MemberDescriptorType):
            return True
        return not callable(found) and not hasattr(type(found), "__get__") and not hasattr(type(found), "__set__")

    def values_of(self, value: Any, names: tuple[str, ...]) -> list[Any]:
        """Return the fields of an object; `Shape.absent` for those it does not have."""
        try:
            if names is self._got:
                return list(self._get(value))
            if len(names) > 1:
                self._got, self._get = names, operator.attrgetter(*names)
                return list(self._get(value))
            return [getattr(value, name) for name in names]
        except AttributeError:
            return [getattr(value, name, _ABSENT) for name in names]

    absent: Final = _ABSENT

    def looks(self, fields: tuple[str, ...]) -> list[Look]:
        """Return what to check of objects that give these fields: name, position, check, what needs no check."""
        places = {name: position for position, name in enumerate(fields)}
        return [(name, places[name], check, exact) for name, check, exact in self.checks if name in places]


def check_fields(shape: Shape, looks: list[Look], values: list[Any], todo: Todo) -> None:
    """Check the fields of an object; raise `ValueError` for one that is wrong. What is inside is put off to `todo`."""
    for name, position, check, exact in looks:
        value = values[position]
        if type(value) not in exact.types and value is not _ABSENT and not exact.holds(value):
            look(f"{shape.name}.{name}", value, check, todo)


def _lookup(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return _ABSENT


def _extras(hint: Any) -> tuple[Any, ...]:
    """The metadata of `Annotated`, also within a union with None."""
    found: tuple[Any, ...] = getattr(hint, "__metadata__", ())
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for one in typing.get_args(hint):
            found += getattr(one, "__metadata__", ())
    return found


class _Constant:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        return self.value


def _constant(value: Any) -> _Constant:
    return _Constant(value)


class Registry:
    """The classes that may be sent, by class and by name.

    A class is named as its `__qualname__` after the last `<locals>.`; a mapping of names to classes says otherwise.
    """

    def __init__(self, allowed: Types, builtin: frozenset[type]) -> None:
        self.by_class: dict[type, Shape] = {}
        self.by_name: dict[str, Shape] = {}
        named = allowed.items() if isinstance(allowed, Mapping) else [("", one) for one in allowed]
        for name, one in named:
            cls = typing.get_origin(one) or one
            if not isinstance(cls, type):
                raise TypeError(f"types: {one!r} is no class")
            if cls in builtin or cls in self.by_class:
                continue
            self._add(name or cls.__qualname__.rpartition("<locals>.")[2], cls)
        known = {shape.cls.__name__: shape.cls for shape in self.by_class.values()}
        for shape in self.by_class.values():
            shape.annotate(known)

    def _add(self, name: str, cls: type) -> None:
        if name in self.by_name:
            raise ValueError(f"types: two classes are called {name}; give a mapping of names to classes")
        refused = (type, BaseException, types.FunctionType, types.ModuleType, types.CodeType)
        if cls is object or (isinstance(cls, type) and issubclass(cls, refused)) or cls.__module__ in _NEVER:
            raise TypeError(f"types: {cls.__qualname__} cannot be sent")
        if not issubclass(cls, enum.Enum) and _is_odd(cls):
            raise TypeError(f"types: {cls.__qualname__} cannot be sent: its objects are more than fields")
        self.by_class[cls] = self.by_name[name] = Shape(name, cls)

    def named(self, name: str) -> Shape:
        """Return a class by its name in a document; raise `TypeError` for one that is not in the list."""
        shape = self.by_name.get(name)
        if shape is None:
            raise TypeError(f"type {name!r} is not allowed")
        return shape

    def of(self, cls: type) -> Shape:
        """Return what is known of a class; raise `TypeError` for one that is not in the list."""
        shape = self.by_class.get(cls)
        if shape is None:
            raise TypeError(f"type {cls.__module__}.{cls.__qualname__} is not allowed: name it in types")
        return shape


_NEVER: Final = frozenset(
    ("builtins", "types", "os", "posix", "sys", "subprocess", "functools", "operator", "importlib")
)


def _is_odd(cls: type) -> bool:
    """Whether objects hold more than attributes: what derives from list, int, io.FileIO, ..."""
    if issubclass(cls, tuple):
        return not hasattr(cls, "_fields")
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and issubclass(cls, msgspec.Struct):
        return False
    return any("__new__" in base.__dict__ and not base.__flags__ & _HEAP for base in cls.__mro__ if base is not object)


_HEAP: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
