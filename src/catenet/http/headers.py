"""Header fields as programs use them: names in any case, values as text, repeated fields kept in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from catenet.http.message import Fields

__all__ = ["Headers", "HeadersLike"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
# Repetitions of these cannot be joined with commas: their values hold commas (RFC 9110 section 5.3).
_NOT_JOINED = frozenset(("set-cookie", "www-authenticate", "proxy-authenticate"))


class Headers(Mapping[str, str]):
    """An ordered multi-dict of fields; names compare without case and keep the one they were given in.

    `headers[name]` joins repeated fields with `, ` (RFC 9110 section 5.2); `get_all` gives them apart. Text is what the
    bytes are in ISO-8859-1, as HTTP has them; a value outside of it is sent as UTF-8.
    """

    __slots__ = ("_items",)

    def __init__(self, items: HeadersLike | None = None) -> None:
        self._items: list[tuple[str, str, str]] = []  # lower case, as given, value
        if items is not None:
            for name, value in _pairs(items):
                self.add(name, value)

    # Bytes.

    @classmethod
    def from_fields(cls, fields: Fields) -> Headers:
        """Return what a machine of HTTP received: names in lower case, nothing to check."""
        made = cls.__new__(cls)
        made._items = [(text := name.decode("latin-1"), text, value.decode("latin-1")) for name, value in fields]
        return made

    def to_fields(self) -> Fields:
        """Return the same as a machine of HTTP takes it: bytes, names in lower case."""
        return tuple((name.encode("ascii"), _bytes(value)) for name, _, value in self._items)

    # Reading.

    def __getitem__(self, name: str) -> str:
        key = name.lower()
        values = [value for other, _, value in self._items if other == key]
        if not values:
            raise KeyError(name)
        return values[0] if key in _NOT_JOINED else ", ".join(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(other == name.lower() for other, _, _ in self._items)

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for key, name, _ in self._items:
            if key not in seen:
                seen.add(key)
                yield name

    def __len__(self) -> int:
        return len({key for key, _, _ in self._items})

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields called `name`, in order."""
        key = name.lower()
        return [value for other, _, value in self._items if other == key]

    def tokens(self, name: str) -> list[str]:
        """Return the elements of a comma-separated list in all fields called `name`, in lower case."""
        return [
            element for value in self.get_all(name) for part in value.split(",") if (element := part.strip().lower())
        ]

    def multi_items(self) -> list[tuple[str, str]]:
        """Return every field, repeated ones too, in order."""
        return [(name, value) for _, name, value in self._items]

    # Changing.

    def add(self, name: str, value: str) -> None:
        """Append a field; raise `ValueError` for what may not stand in a field (RFC 9110 section 5.1 and 5.5)."""
        if not _TOKEN(name):
            raise ValueError(f"header name {name!r} is no token")
        if _CONTROLS(value):
            raise ValueError(f"value of header {name} has a control character: {value!r}")
        self._items.append((name.lower(), name, value.strip(" \t")))

    def __setitem__(self, name: str, value: str) -> None:
        key = name.lower()
        at = next((index for index, item in enumerate(self._items) if item[0] == key), len(self._items))
        self.add(name, value)
        item = self._items.pop()
        self._items = [kept for kept in self._items if kept[0] != key]
        self._items.insert(at, item)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.discard(name)

    def discard(self, *names: str) -> None:
        """Remove all fields called one of `names`, if there are any."""
        keys = {name.lower() for name in names}
        self._items = [item for item in self._items if item[0] not in keys]

    def setdefault(self, name: str, value: str) -> str:
        """Return the value; append the field with `value` if there is none."""
        if name not in self:
            self.add(name, value)
        return self[name]

    def update(self, items: HeadersLike) -> None:
        """Replace the fields that `items` name by those of `items`."""
        pairs = _pairs(items)
        self.discard(*(name for name, _ in pairs))
        for name, value in pairs:
            self.add(name, value)

    def copy(self) -> Headers:
        """Return a copy that changes by itself."""
        made = Headers()
        made._items = list(self._items)
        return made

    # Comparing and showing.

    def __eq__(self, other: object) -> bool:
        """Equal names have equal values in equal order; the order of different names does not count."""
        if isinstance(other, Headers):
            return self._by_name() == other._by_name()
        return isinstance(other, Mapping) and self._by_name() == Headers(other)._by_name()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({[(name, _shown(key, value)) for key, name, value in self._items]!r})"

    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key, _, value in self._items:
            found.setdefault(key, []).append(value)
        return found


HeadersLike: TypeAlias = Headers | Mapping[str, str] | Iterable[tuple[str, str]]
"""What `Headers` can be made of."""


def _pairs(items: HeadersLike) -> list[tuple[str, str]]:
    if isinstance(items, Headers):
        return items.multi_items()
    return list(items.items()) if isinstance(items, Mapping) else list(items)


def _bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def _shown(key: str, value: str) -> str:
    return "***" if key in ("authorization", "proxy-authorization", "cookie", "set-cookie") else value
