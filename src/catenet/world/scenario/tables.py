"""TOML tables of a world file, read with every mistake at its line: what all kinds of tables have in common."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from catenet.world.scenario.units import nearest, repeated

__all__ = [
    "MAX_SIZE",
    "KeyPath",
    "Place",
    "Tables",
    "WorldFileError",
    "errors_at",
    "parse_tables",
    "text",
    "texts",
    "truth",
]

KeyPath: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[Path, int]
"""File and line."""
T = TypeVar("T")

MAX_DIGITS: Final = 300
"""Of an integer; what is longer no float holds, and of some lengths Python neither reads nor shows it."""


class WorldFileError(ValueError):
    """The file does not describe a world; the message is one line that names file and line."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.line = line


@contextmanager
def errors_at(place: Place | None) -> Iterator[None]:
    """Raise a `ValueError` as a `WorldFileError` at the place from which what fails was read, if it was."""
    try:
        yield
    except WorldFileError:
        raise
    except ValueError as error:
        if place is None:
            raise
        raise WorldFileError(*place, str(error)) from None


def parse_tables(raw: bytes, path: Path) -> Tables:
    """Read the text of a file that came from `path`; WorldFileError."""
    if len(raw) > MAX_SIZE:
        raise WorldFileError(path, 1, f"more than {MAX_SIZE >> 20} MiB, which no world takes")
    try:
        source = raw.decode()
        _check_keys(source, path)
        document = tomllib.loads(source)
    except WorldFileError:
        raise
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise WorldFileError(path, line, "not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column \d+\)| \(at end of document\)", str(error))
        line = int(place[1]) if place and place[1] else raw.count(b"\n") + 1
        message = str(error)[: place.start()] if place else str(error)
        raise WorldFileError(path, line, message[:1].lower() + message[1:]) from None
    except (ValueError, RecursionError) as error:
        # What tomllib does not tell as its own: a number longer than Python converts, and nesting without end.
        deep = isinstance(error, RecursionError)
        what = "tables and lists are nested too deep" if deep else f"a number has more than {MAX_DIGITS} digits"
        raise WorldFileError(path, _line_of_excess(source, deep), what) from None
    return Tables(document, _lines_of_keys(source), path)


def _check_keys(source: str, path: Path) -> None:
    """Refuse a key of so many parts that tomllib, which looks at all of them for each, takes minutes."""
    for number, line in enumerate(source.splitlines(), 1):
        if line.partition("=")[0].count(".") > MAX_PARTS:
            raise WorldFileError(path, number, "tables and lists are nested too deep")


def _line_of_excess(source: str, deep: bool) -> int:
    """Line of the first number that is too long, or of the most brackets."""
    lines = source.splitlines()
    if deep:
        return max(range(len(lines)), key=lambda index: lines[index].count("[") + lines[index].count("{")) + 1
    return next((number for number, line in enumerate(lines, 1) if _LONG_NUMBER.search(line)), 1)


MAX_SIZE: Final = 16 << 20
"""Bytes of a file."""
MAX_PARTS: Final = 200
"""Of a key with dots."""
_LONG_NUMBER: Final = re.compile(rf"\d(_?\d){{{MAX_DIGITS}}}")
_HEADER = re.compile(r"\s*\[(\[)?\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _lines_of_keys(source: str) -> dict[KeyPath, int]:
    """Line number of every key and table. Keys of inline tables are not found: their table's line will do."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(source.splitlines(), 1):
        if (key := _KEY.match(line)) is not None:
            path = table + tuple(word.strip("\"'") for word in _WORD.findall(key[1]))
        elif (header := _HEADER.match(line)) is not None:
            path = tuple(word.strip("\"'") for word in _WORD.findall(header[2]))
            if header[1]:
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
        else:
            continue
        for end in range(1, len(path) + 1):
            lines.setdefault(path[:end], number)
    return lines


class Tables:
    """A document, and where in its file each key stands."""

    def __init__(self, document: dict[str, Any], lines: dict[KeyPath, int], path: Path) -> None:
        self.document = document
        self.path = path
        self._lines = lines
        self._check_numbers(document, ())

    def value(
        self, table: dict[str, Any], path: KeyPath, key: str, parse: Callable[[object], T], otherwise: Any
    ) -> Any:
        """What a key says, as `parse` reads it; `otherwise` if it is not there."""
        if key not in table:
            return otherwise
        try:
            return parse(table[key])
        except ValueError as error:
            raise self.error((*path, key), f"{key}: {error}") from None

    def table(self, parent: dict[str, Any], path: KeyPath, name: str) -> dict[str, Any]:
        """A table within a table; an empty one if it is not there."""
        table = parent.get(name, {})
        if not isinstance(table, dict):
            raise self.error((*path, name), f"{name} must be a table, not {table!r}")
        return table

    def array(self, name: str) -> Iterable[tuple[dict[str, Any], KeyPath]]:
        """The tables of an array, each with its path."""
        tables = self.document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self.error((name,), f"{name} must be tables, each under its own [[{name}]]")
        for index, table in enumerate(tables):
            yield table, (name, index)

    def check_keys(self, table: dict[str, Any], path: KeyPath, known: tuple[str, ...], what: str = "key") -> None:
        """Fail at a key that is not known."""
        for key in table:
            if key not in known:
                raise self.error((*path, key), f"unknown {what} {key!r}{nearest(key, known)}")

    def _check_numbers(self, value: object, path: KeyPath) -> None:
        """No integer is longer than can be shown in a message, wherever it stands; hexadecimal ones are read whole."""
        if isinstance(value, dict):
            for key, entry in value.items():
                self._check_numbers(entry, (*path, key))
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                self._check_numbers(entry, (*path, index))
        elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise self.error(path, f"a number has more than {MAX_DIGITS} digits")

    def error(self, path: KeyPath, message: str) -> WorldFileError:
        """The error at a key, or at the nearest table around it that has a line."""
        return WorldFileError(*self.place(path), message)

    def place(self, path: KeyPath) -> Place:
        """Where a key stands, or the nearest table around it that has a line."""
        while path and path not in self._lines:
            path = path[:-1]
        return self.path, self._lines.get(path, 1)

    def check_distinct(self, names: Iterable[str], path: KeyPath, key: str) -> None:
        """Fail if a name comes twice."""
        if (name := repeated(names)) is not None:
            raise self.error(path, f"{key} names {name!r} twice")


def text(value: object) -> str:
    """A text that is not empty; ValueError."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a text, not {value!r}")
    return value


def texts(value: object) -> tuple[str, ...]:
    """One text or a list of texts."""
    return tuple(text(entry) for entry in (value if isinstance(value, list) else [value]))


def truth(value: object) -> bool:
    """True or false; ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value
