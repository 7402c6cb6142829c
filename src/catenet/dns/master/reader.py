"""Reading master files (RFC 1035 5, RFC 2308 4, RFC 3597 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from catenet.dns.fields import duration, nearest
from catenet.dns.master.data import data_from_words
from catenet.dns.master.gather import Gathering, LooseSets, Store
from catenet.dns.master.generate import numbers_of_range, substitute
from catenet.dns.master.tokens import Entry, ZoneError, next_entry, split_pairs
from catenet.dns.rrset import MOST_TTL, RRset
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.numbers import (
    CLASSES,
    HTTPS,
    IN,
    SOA,
    SVCB,
    TYPES,
    class_from_text,
    class_to_text,
    type_from_text,
)

__all__ = ["Source", "origin_of", "read_into", "read_records", "source_of_path", "source_of_text"]

_SIMPLE: Final = re.compile(
    r"""
    (@ | [^\s;"()\\$@]*) [ \t]+
    (?: (\d{1,9}) [ \t]+ )?
    (?: [Ii][Nn] [ \t]+ (?: (\d{1,9}) [ \t]+ )? )?
    ([A-Za-z]+[0-9]*) [ \t]+
    ([^;"()\\\n]+) (?: \n | \Z )
    """,
    re.VERBOSE,
)
"""A record on one line without anything that needs care: nearly all lines of large zones."""
_DIRECTIVES: Final = ("$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE")
MOST_INCLUDES: Final = 20
"""Files within files."""
_TYPES: Final = {name: number for number, name in TYPES.items()}
_UNSTORED: Final = frozenset((41, 249, 250, 251, 252, 253, 254, 255))
"""Types that exist in messages only."""
_LENGTHS: Final = [bytes((size,)) for size in range(64)]


class Source(NamedTuple):
    """A text and what it is called in messages."""

    text: str
    """Its bytes decoded as Latin-1."""
    file: str
    path: Path | None = None
    """Where it is, from where it includes others; None for what may include nothing."""


class _Reader:
    """Goes through a file and the files that it includes."""

    def __init__(self, origin: bytes | None, store: Store, default_ttl: int | None) -> None:
        self.file = ""
        self.line = 0
        self.gathering = Gathering(store, self, self.warn)
        self._add = self.gathering.add
        self._origin = origin
        self._owner: bytes | None = None
        self._default_ttl = default_ttl
        """What $TTL said."""
        self._last_ttl: int | None = None
        """Of the last record that said it (RFC 1035 5.1)."""
        self._depth = 0
        self.warnings: list[ZoneError] = []

    def error(self, message: str) -> ZoneError:
        """What is wrong here."""
        return ZoneError(self.file, self.line, message)

    def warn(self, message: str) -> None:
        """Note what is odd here."""
        self.warnings.append(self.error(message))

    def read(self, source: Source) -> None:
        """All entries of a file. Raises ZoneError for the first that is wrong."""
        text, file = source.text, source.file
        self.file = file
        at, line, size = 0, 1, len(text)
        simple = _SIMPLE.match
        while at < size:
            self.line = line
            match = simple(text, at)
            try:
                if match is not None and self._read_simple(match):
                    at = match.end()
                    line += 1
                    continue
                entry = next_entry(text, at, line, file)
                if entry.words:
                    self._read_entry(entry, source)
            except ZoneError:
                raise
            except ValueError as error:
                raise self.error(_readable(str(error))) from None
            at, line = entry.end, line + entry.lines

    # Records.

    def _read_simple(self, match: re.Match[str]) -> bool:
        """Take a record on one line; False for what needs a closer look."""
        owner, before, behind, mnemonic, data = match.groups()
        kind = _TYPES.get(mnemonic) or _TYPES.get(mnemonic.upper())
        origin = self._origin
        if kind is None or origin is None or kind in _UNSTORED or (before and behind):
            return False
        if owner:
            name = self._name(owner, origin)
            self._owner = name
        elif self._owner is None:
            return False
        else:
            name = self._owner
        if before or behind:
            ttl = self._last_ttl = int(before or behind)
            if ttl > MOST_TTL:
                return False
        elif self._default_ttl is not None:
            ttl = self._default_ttl
        else:
            return False
        self._add(name, kind, ttl, data_from_words(kind, data.split(), origin))
        return True

    @staticmethod
    def _name(text: str, origin: bytes) -> bytes:
        """A name that has nothing to be escaped."""
        if text != "@" and text.isascii():
            parts = text.encode("ascii").split(b".")
            if len(parts) == 1 and 0 < len(text) < 64 and len(text) + len(origin) < 255:
                return _LENGTHS[len(text)] + parts[0] + origin
        return name_from_text(text, origin)

    def _read_entry(self, entry: Entry, source: Source) -> None:
        words = entry.words
        if entry.has_owner:
            first = words[0]
            if first.startswith("$") and first.upper() != "$":
                self._directive(words, source)
                return
            self._owner = self._read_name(first)
            words = words[1:]
            if not words:
                raise ValueError(f"the name {first!r} without type and data")
        elif self._owner is None:
            raise ValueError("the first record has no owner; begin the line with a name, or @")
        self._record(self._owner, words)

    def _read_name(self, word: str) -> bytes:
        if word.startswith('"'):
            raise ValueError(f"{word[1:]!r} is quoted, where a name belongs")
        if self._origin is None:
            if not word.endswith("."):
                raise ValueError(f"{word!r} is relative to no origin; begin with $ORIGIN, or end names with a dot")
            return name_from_text(word)
        return name_from_text(word, self._origin)

    def _record(self, owner: bytes | None, words: list[str]) -> None:
        """What follows an owner: TTL and class in either order, both may be missing; type; data."""
        assert owner is not None
        ttl: int | None = None
        rclass: int | None = None
        at = 0
        while at < len(words):
            word = words[at]
            if ttl is None and word[0].isdecimal():
                ttl = duration(word)
                if ttl > MOST_TTL:
                    raise ValueError(f"TTL {word} is more than {MOST_TTL} seconds (RFC 2181 8)")
            elif rclass is None and (found := _class_of(word)) is not None:
                rclass = found
            else:
                break
            at += 1
        if at == len(words):
            raise ValueError("a record without type and data")
        if rclass not in (None, IN):
            raise ValueError(f"class {class_to_text(rclass or 0)}; zones are of class IN")
        kind = _type_of(words[at])
        words = words[at + 1 :] if kind in (SVCB, HTTPS) else split_pairs(words[at + 1 :])
        if self._origin is None:
            # Nobody said what names are relative to: the zone, as if its name had been given (RFC 1035 5.1).
            if kind != SOA:
                raise ValueError("a record before the SOA record, and without $ORIGIN")
            self._origin = owner
        data = data_from_words(kind, words, self._origin)
        self._add(owner, kind, self._ttl(ttl, kind, data), data)

    def _ttl(self, ttl: int | None, kind: int, data: bytes) -> int:
        if ttl is not None:
            self._last_ttl = ttl
            return ttl
        if self._default_ttl is not None:
            return self._default_ttl
        if self._last_ttl is not None:
            return self._last_ttl
        if kind == SOA:
            self._default_ttl = int.from_bytes(data[-4:], "big")
            self.warn(f"no TTL; the minimum of the SOA record is taken, {self._default_ttl}")
            return self._default_ttl
        raise ValueError("no TTL: write it into the record, or $TTL before it")

    # Directives.

    def _directive(self, words: list[str], source: Source) -> None:
        name, rest = words[0].upper(), words[1:]
        if name == "$ORIGIN" and len(rest) == 1:
            self._origin = self._read_name(rest[0])
        elif name == "$TTL" and len(rest) == 1:
            self._default_ttl = duration(rest[0])
            if self._default_ttl > MOST_TTL:
                raise ValueError(f"TTL {rest[0]} is more than {MOST_TTL} seconds (RFC 2181 8)")
        elif name == "$INCLUDE" and 1 <= len(rest) <= 2:
            self._include(rest, source)
        elif name == "$GENERATE" and len(rest) >= 4:
            self._generate(rest)
        elif name in _DIRECTIVES:
            takes = {"$INCLUDE": "FILE [ORIGIN]", "$GENERATE": "RANGE NAME [TTL] [CLASS] TYPE DATA", "$TTL": "TIME"}
            raise ValueError(f"{name} takes {takes.get(name, 'a name')!r}")
        else:
            near = nearest(name, _DIRECTIVES) or f"; there are {', '.join(_DIRECTIVES)}"
            raise ValueError(f"unknown directive {words[0]}{near}")

    def _include(self, words: list[str], source: Source) -> None:
        """Read another file; its origin and last owner do not outlast it (RFC 1035 5.1)."""
        if source.path is None:
            raise ValueError("$INCLUDE in a text that is no file")
        if self._depth == MOST_INCLUDES:
            raise ValueError(f"more than {MOST_INCLUDES} files within files; does one include itself?")
        origin, owner, line = self._origin, self._owner, self.line
        path = source.path.parent / words[0].removeprefix('"')
        included = source_of_path(path, ZoneError(self.file, line, f"$INCLUDE of {str(path)!r}"))
        if len(words) == 2:
            self._origin = self._read_name(words[1])
        self._depth += 1
        self.read(included)
        self._depth -= 1
        self.file, self.line = source.file, line
        self._origin, self._owner = origin, owner

    def _generate(self, words: list[str]) -> None:
        """`$GENERATE RANGE NAME [TTL] [CLASS] TYPE DATA`; data of several words may be in quotes."""
        numbers, left = numbers_of_range(words[0]), words[1]
        at = 2
        while at < len(words) - 1 and (words[at][0].isdecimal() or _class_of(words[at]) is not None):
            at += 1
        head = words[2 : at + 1]
        right = words[at + 1 :]
        template = right[0][1:] if len(right) == 1 else " ".join(_requoted(word) for word in right)
        if len(right) == 1 and not right[0].startswith('"'):
            template = right[0]
        if not right:
            raise ValueError("$GENERATE takes 'RANGE NAME [TTL] [CLASS] TYPE DATA'")
        for number in numbers:
            owner = self._read_name(substitute(left, number))
            data = next_entry(" " + substitute(template, number), 0, self.line, self.file).words
            self._record(owner, head + data)


def _readable(message: str) -> str:
    """A message with words of the file as they were written: UTF-8, and without the quote that marks a quoted one."""
    try:
        message = message.encode("latin-1").decode()
    except ValueError:
        pass
    return message.replace("'\"", "'")


def _requoted(word: str) -> str:
    return word + '"' if word.startswith('"') else word


def _class_of(word: str) -> int | None:
    upper = word.upper()
    if upper in ("IN", "CH", "HS") or upper.startswith("CLASS"):
        try:
            return class_from_text(word)
        except ValueError:
            return None
    return None


def _type_of(word: str) -> int:
    try:
        kind = type_from_text(word)
    except ValueError:
        if word.upper() in CLASSES.values():
            raise ValueError(f"a second class, {word}, where the type belongs") from None
        near = nearest(word, (*TYPES.values(), *CLASSES.values()))
        raise ValueError(f"unknown record type {word!r}{near}") from None
    if kind in _UNSTORED or not kind:
        raise ValueError(f"{word.upper()} is no type of data in a zone")
    return kind


def source_of_path(path: Path, error: ZoneError | None = None) -> Source:
    """The text of a file. Raises ZoneError for one that cannot be read, where `error` says if given."""
    try:
        text = path.read_bytes().decode("latin-1")
    except (OSError, ValueError) as found:
        reason = getattr(found, "strerror", None) or str(found)
        if error is not None:
            raise ZoneError(error.file, error.line, f"{error.message}: {reason}") from None
        raise ZoneError(str(path), 0, reason) from None
    return Source(text, str(path), path)


def read_into(store: Store, source: Source, origin: bytes | None, default_ttl: int | None = None) -> list[ZoneError]:
    """Read records into a store; returns what is odd but no error. Raises ZoneError for what is wrong."""
    reader = _Reader(origin, store, default_ttl)
    reader.read(source)
    reader.gathering.finish()
    return reader.warnings


def read_records(source: Path | str, origin: bytes = b"\0", default_ttl: int | None = None) -> Iterator[RRset]:
    """Record sets of a master file (a path), or of a text, in the order in which they begin.

    For root hints and trust anchors, which need no SOA record and have no apex. `default_ttl`: seconds, for records
    that say none. Raises ZoneError.
    """
    store = LooseSets()
    where = source_of_path(source) if isinstance(source, Path) else source_of_text(source)
    read_into(store, where, origin, default_ttl)
    return iter(store)


def source_of_text(text: str, file: str = "<text>") -> Source:
    """A text as a source: what is outside of ASCII counts as UTF-8."""
    return Source(text.encode().decode("latin-1"), file)


def origin_of(path: Path) -> bytes | None:
    """The zone's name as a file's name says it: `example.org.zone`, `db.example.org`; None if it says none."""
    stem = path.name.removeprefix("db.")
    for ending in (".signed", ".txt", ".zone", ".db"):
        stem = stem.removesuffix(ending)
    try:
        return name_from_text(stem)
    except ValueError:
        return None
