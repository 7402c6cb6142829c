"""How fields of Python objects go into messages and come out of them (`codec/schema.py` has the types)."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from catenet.codec.packed import CODES, PackedMessage

__all__ = ["Field", "Kind", "Map", "Oneof", "Repeated", "Run", "Single"]

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is in protobuf. `to` and `back` convert single values, None: as they are; `fill` is for messages."""

    type: int
    type_name: str = ""
    to: Convert | None = None
    back: Convert | None = None
    fill: Callable[[Any, Any], None] | None = None


class Field:
    """How a field goes into a message, and out of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        raise NotImplementedError

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has; nothing if that is the class's default."""
        raise NotImplementedError


class Single(Field):
    """One value."""

    def __init__(self, name: str, kind: Kind, optional: bool, default: Callable[[], Any] | None) -> None:
        super().__init__(name)
        self._kind, self._optional, self._default = kind, optional, default
        self._has_presence = optional or default is not None or kind.fill is not None

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        if value is None and self._optional:
            if self._default is not None and self._default() is not None:
                raise ValueError("None would be taken for the default")
            return
        if self._kind.fill is not None:
            child = getattr(message, self.name)
            child.SetInParent()
            self._kind.fill(value, child)
        else:
            setattr(message, self.name, value if self._kind.to is None else self._kind.to(value))

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has."""
        if self._has_presence and not message.HasField(self.name):
            if self._default is not None:
                return
            if self._optional:
                values[self.name] = None
                return
        value = getattr(message, self.name)
        values[self.name] = value if self._kind.back is None else self._kind.back(value)


class Repeated(Field):
    """A list of values."""

    def __init__(self, name: str, kind: Kind, made: Callable[[Iterable[Any]], Any]) -> None:
        super().__init__(name)
        self._kind, self._made = kind, made

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        if isinstance(value, (str, bytes)):
            raise TypeError(f"must be a list, not {type(value).__name__}")
        items = getattr(message, self.name)
        if self._kind.fill is not None:
            for item in value:
                self._kind.fill(item, items.add())
        else:
            items.extend(value if self._kind.to is None else map(self._kind.to, value))

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has."""
        found = getattr(message, self.name)
        values[self.name] = self._made(found if self._kind.back is None else map(self._kind.back, found))


class Run(Field):
    """Numbers of fixed width: as they lie in memory where they are in the message itself (`codec.packed`)."""

    def __init__(self, name: str, form: Any) -> None:
        super().__init__(name)
        self._form = form

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        if isinstance(message, PackedMessage):
            setattr(message, self.name, value)
        else:
            getattr(message, self.name).extend(value)

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has."""
        found = getattr(message, self.name)
        if not isinstance(found, memoryview):
            kind = message.DESCRIPTOR.fields_by_name[self.name].type
            found = memoryview(array.array(CODES[kind], found))
        values[self.name] = found if self._form is memoryview else _array_from(self._form, found)


def _array_from(form: Any, view: memoryview) -> Any:
    if form is array.array:
        return array.array(view.format, view)
    import numpy

    return numpy.frombuffer(view, view.format) if len(view) else numpy.empty(0, view.format)


class Map(Field):
    """Values by their keys."""

    def __init__(self, name: str, kind: Kind) -> None:
        super().__init__(name)
        self._kind = kind

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        entries = getattr(message, self.name)
        for key, item in value.items():
            if self._kind.fill is not None:
                self._kind.fill(item, entries[key])
            else:
                entries[key] = item if self._kind.to is None else self._kind.to(item)

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has."""
        found, back = getattr(message, self.name), self._kind.back
        values[self.name] = {key: found[key] if back is None else back(found[key]) for key in found}


class Oneof(Field):
    """One of several types."""

    def __init__(self, name: str, kinds: list[tuple[str, type, Kind]]) -> None:
        super().__init__(name)
        self._kinds = kinds

    def put(self, message: Any, value: Any) -> None:
        """Set it in a message that is empty."""
        if value is None:
            return
        for name, cls, kind in self._kinds:
            if type(value) is cls or (isinstance(value, cls) and cls is not int):
                Single(name, kind, False, None).put(message, value)
                return
        raise TypeError(f"must be one of {', '.join(cls.__name__ for _, cls, _ in self._kinds)}")

    def take(self, message: Any, values: dict[str, Any]) -> None:
        """Note what the object has."""
        chosen = message.WhichOneof(self.name)
        values[self.name] = None
        for name, _, kind in self._kinds:
            if name == chosen:
                value = getattr(message, name)
                values[self.name] = value if kind.back is None else kind.back(value)
