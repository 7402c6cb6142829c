"""Metadata as `grpc.aio` has it: a mapping in which a name may have several values."""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Metadata"]


class Metadata(abc.Collection[tuple[str, str | bytes]]):
    """Pairs of names and values, in order of their names' first coming.

    `metadata[name]` is the first value; `get_all(name)` are all.
    """

    def __init__(self, *pairs: tuple[str, str | bytes]) -> None:
        self._values: dict[str, list[str | bytes]] = {}
        for name, value in pairs:
            self.add(name, value)

    @classmethod
    def from_tuple(cls, raw_metadata: Iterable[tuple[str, str | bytes]] | None) -> Metadata:
        """Return metadata of these pairs."""
        return cls(*raw_metadata) if raw_metadata else cls()

    def add(self, key: str, value: str | bytes) -> None:
        """Add a value to those of `key`."""
        self._values.setdefault(key, []).append(value)

    def __len__(self) -> int:
        return sum(map(len, self._values.values()))

    def __getitem__(self, key: str) -> str | bytes:
        try:
            return self._values[key][0]
        except (KeyError, IndexError):
            raise KeyError(repr(key)) from None

    def __setitem__(self, key: str, value: str | bytes) -> None:
        if self._values.get(key):
            self._values[key][0] = value
        else:
            self._values[key] = [value]

    def __delitem__(self, key: str) -> None:
        values = self._values.get(key)
        if not values:
            raise KeyError(repr(key))
        del values[0]

    def delete_all(self, key: str) -> None:
        """Remove all values of `key`."""
        del self._values[key]

    def __iter__(self) -> Iterator[tuple[str, str | bytes]]:
        for key, values in self._values.items():
            for value in values:
                yield key, value

    def keys(self) -> abc.KeysView[str]:
        """Return the names."""
        return self._values.keys()

    def values(self) -> abc.ValuesView[list[str | bytes]]:
        """Return the lists of values."""
        return self._values.values()

    def items(self) -> abc.ItemsView[str, list[str | bytes]]:
        """Return the names, each with its list of values."""
        return self._values.items()

    def get(self, key: str, default: str | bytes | None = None) -> str | bytes | None:
        """Return the first value of `key`, or `default`."""
        values = self._values.get(key)
        return values[0] if values else default

    def get_all(self, key: str) -> list[str | bytes]:
        """Return all values of `key`."""
        return self._values.get(key, [])

    def set_all(self, key: str, values: list[str | bytes]) -> None:
        """Replace all values of `key`."""
        self._values[key] = values

    def __contains__(self, key: object) -> bool:
        return bool(self._values.get(key))  # type: ignore[call-overload]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Metadata):
            return self._values == other._values
        if isinstance(other, tuple):
            return tuple(self) == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Metadata:
        if isinstance(other, Metadata | tuple):
            return Metadata(*self, *other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({tuple(self)!r})"
