"""The words of a command line, in dig's order: what stands before the first name counts for all names."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.cli.resolve.multicast import everybody, is_local
from catenet.cli.resolve.servers import Habits, NameServer, name_server, system_servers
from catenet.cli.resolve.switches import GLOBAL, Options, apply
from catenet.wire.address import parse_address

if TYPE_CHECKING:
    from catenet.wire.dns.message import Question

__all__ = ["WATCH", "WORD_OPTIONS", "Ask", "Plan", "make_plan"]

WATCH: Final = "--watch"

WORD_OPTIONS: Final = {
    "-x": "ADDRESS",
    "-q": "NAME",
    "-t": "TYPE",
    "-c": "CLASS",
    "-p": "PORT",
    "-f": "FILE",
}
"""Options that stand among the words, because their place matters or because dig has them glued (`-tMX`)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question: what, of whom, how. `serial`: of the version that an IXFR is to begin with."""

    question: Question
    servers: tuple[NameServer, ...]
    options: Options
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command line asks for.

    Attributes:
        asks: the questions.
        watch: seconds between rounds, 0 for when TTLs run out, None for one round.
        port: of servers that nobody names.
    """

    asks: tuple[Ask, ...]
    watch: float | None = None
    port: int = 53


@dataclass(slots=True)
class _Group:
    """A name with what was said about it."""

    options: Options
    name: bytes | None = None
    types: list[tuple[int, int | None]] = field(default_factory=list)
    usual: int | None = None
    rclass: int | None = None
    servers: list[str] = field(default_factory=list)


def make_plan(words: Sequence[str], options: Options, version: int | None, version_option: str = "") -> Plan:
    """What the words of a command line mean.

    Args:
        words: names, types, classes, `@server`, `+switch`, and the options of `WORD_OPTIONS`.
        options: as the long options have set them.
        version: IP version of the servers, None for both.
        version_option: what says so.

    Raises:
        UsageError: a mistake.
    """
    reader = _Reader(options, version, version_option)
    reader.read(words)
    return Plan(tuple(reader.finish()), reader.watch, reader.port or 53)


_SPAN: Final = re.compile(r"\d+(\.\d+)?(ms|s|m|min|h)?")


class _Reader:
    def __init__(self, options: Options, version: int | None, version_option: str) -> None:
        self._all = _Group(options)
        self._groups: list[_Group] = []
        self._version, self._version_option = version, version_option
        self.port: int | None = None
        self._global: list[str] = []
        self.watch: float | None = None

    def read(self, words: Sequence[str], nested: bool = False) -> None:
        left = deque(words)
        while left:
            word = left.popleft()
            option = word[:2]
            if word.partition("=")[0] == WATCH:
                self._watch(word, left)
            elif option in WORD_OPTIONS:
                value = word[2:] or (left.popleft() if left else "")
                if not value:
                    raise UsageError(f"{option} needs a value: {option} {WORD_OPTIONS[option]}")
                self._option(option, value, nested)
            elif word.startswith("@"):
                self._now.servers.append(word[1:])
            elif word.startswith("+"):
                self._switch(word[1:])
            elif not self._type_or_class(word):
                self._name(word)

    def _watch(self, word: str, left: deque[str]) -> None:
        text = word.removeprefix(WATCH).removeprefix("=")
        if not text and left and _SPAN.fullmatch(left[0]):
            text = left.popleft()
        try:
            self.watch = duration(text) if text else 0.0
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{WATCH}: {error}") from None
        if text and self.watch <= 0:
            raise UsageError(f"{WATCH}: must be more than 0")

    @property
    def _now(self) -> _Group:
        return self._groups[-1] if self._groups else self._all

    def _switch(self, word: str) -> None:
        name, self._now.options = apply(self._now.options, word)
        if name in GLOBAL:
            self._global.append(word)

    def _option(self, option: str, value: str, nested: bool) -> None:
        if option == "-x":
            from catenet.wire.dns import numbers

            self._add(_reverse_name(value))
            self._now.usual = numbers.PTR
        elif option == "-q":
            self._name(value)
        elif option == "-t":
            kind = _type(value)
            if kind is None:
                raise UsageError(f"-t: {value!r} is not a record type")
            self._now.types.append(kind)
        elif option == "-c":
            rclass = _class(value)
            if rclass is None:
                raise UsageError(f"-c: {value!r} is not a class")
            self._now.rclass = rclass
        elif option == "-p":
            if not (value.isascii() and value.isdecimal() and 0 < int(value) <= 65535):
                raise UsageError(f"-p: {value!r} is no port")
            self.port = int(value)
        elif nested:
            raise UsageError("-f within a file")
        else:
            self._file(value)

    def _file(self, path: str) -> None:
        for number, line in _lines(path):
            try:
                self.read(shlex.split(line, comments=False), nested=True)
            except (UsageError, ValueError) as error:
                raise UsageError(f"{path}:{number}: {error}") from None

    def _type_or_class(self, word: str) -> bool:
        kind = _type(word)
        if kind is not None:
            self._now.types.append(kind)
            return True
        rclass = _class(word)
        if rclass is not None:
            self._now.rclass = rclass
        return rclass is not None

    def _name(self, text: str) -> None:
        from catenet.wire.dns.name import name_from_text

        if not text:
            raise UsageError("an empty name; the root is '.'")
        try:
            self._add(name_from_text(text))
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _add(self, name: bytes) -> None:
        self._groups.append(_Group(self._all.options, name))

    def finish(self) -> list[Ask]:
        if not self._groups:
            if not self._all.types:
                raise UsageError("no name to ask for; see 'catenet resolve --help'")
            self._groups.append(_Group(self._all.options, b"\0"))
        for group in self._groups:
            for word in self._global:
                _, group.options = apply(group.options, word)
        asks: list[Ask] = []
        for group, servers in zip(self._groups, self._servers(), strict=True):
            asks += self._asks(group, servers)
        return asks

    def _servers(self) -> Iterator[list[str]]:
        """Of each name those behind it, else those before all, else those of the next name that has some."""
        for index, group in enumerate(self._groups):
            others = [*self._groups[index + 1 :], *reversed(self._groups[:index])]
            fallback = next((other.servers for other in others if other.servers), [])
            yield group.servers or self._all.servers or fallback

    def _asks(self, group: _Group, texts: list[str]) -> Iterator[Ask]:
        from catenet.wire.dns import numbers
        from catenet.wire.dns.message import Question

        habits = Habits(self._version, self.port, self._version_option)
        servers = [name_server(text, group.options, habits) for text in texts]
        rclass = group.rclass or self._all.rclass or numbers.IN
        assert group.name is not None
        if group.options.mdns and (servers or group.options.trace):
            raise UsageError("--mdns: there are no servers to be named, nor a root to begin at")
        if group.options.mdns or (not servers and not group.options.trace and is_local(group.name)):
            servers = [everybody()]
        elif not servers and not group.options.trace:
            servers = system_servers(group.options, habits)
        usual = [(numbers.A, None)] if group.usual is None else [(group.usual, None)]
        for kind, serial in group.types or (self._all.types if group.usual is None else ()) or usual:
            yield Ask(Question(group.name, kind, rclass), tuple(servers), group.options, serial)


def _lines(path: str) -> Iterator[tuple[int, str]]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"-f {path}: {str(reason).lower()}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and line.lstrip()[0] not in "#;":
            yield number, line


def _type(word: str) -> tuple[int, int | None] | None:
    """Number of a type that is named, and the serial of `IXFR=N`; what could be a name as well (`mx.`) has a dot."""
    from catenet.wire.dns.numbers import IXFR, type_from_text

    name, equals, serial = word.partition("=")
    if equals and name.upper() == "IXFR":
        if not (serial.isascii() and serial.isdecimal() and int(serial) < 1 << 32):
            raise UsageError(f"{word}: {serial!r} is no serial number")
        return IXFR, int(serial)
    try:
        kind = type_from_text(word)
    except ValueError as error:
        if re.fullmatch(r"(?i:type)\d+", word):
            raise UsageError(str(error)) from None
        return None
    if kind == IXFR:
        raise UsageError("IXFR needs the serial number that you have: IXFR=SERIAL")
    return kind, None


def _class(word: str) -> int | None:
    from catenet.wire.dns.numbers import class_from_text

    try:
        return class_from_text(word)
    except ValueError as error:
        if re.fullmatch(r"(?i:class)\d+", word):
            raise UsageError(str(error)) from None
        return None


def _reverse_name(text: str) -> bytes:
    from catenet.wire.dns.name import reverse_name

    try:
        return reverse_name(parse_address(text))
    except ValueError as error:
        raise UsageError(f"-x: {error}") from None
