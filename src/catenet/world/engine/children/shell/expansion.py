"""Words of the shell as the arguments that they stand for (POSIX.1-2024, 2.6)."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from catenet.world.engine.children.shell.arithmetic import evaluate
from catenet.world.engine.children.shell.syntax import Arithmetic, Line, Parameter, Part, Substitution, Text, Word

__all__ = ["ExpansionError", "Variables", "fields", "text_of"]

PATTERN: Final = frozenset("*?[")
BLANKS: Final = " \t\n"

_Segment: TypeAlias = "tuple[str, bool]"
"""Characters, and whether they were quoted."""


class ExpansionError(Exception):
    """A word stands for nothing; the text is the shell's."""


class Variables:
    """What a shell knows: variables, which of them programs inherit, positional and special parameters."""

    def __init__(self, values: dict[str, str], name: str, arguments: list[str]) -> None:
        self.values = values
        self.exported = set(values)
        self.name = name
        self.arguments = arguments
        self.status = 0
        self.pid = os.getpid()
        self.last_background = 0
        self.output: Callable[[Line], str] = lambda line: ""
        """What commands write to their standard output."""

    def get(self, name: str) -> str | None:
        """The value of a parameter; None when it is unset."""
        special = {"?": str(self.status), "$": str(self.pid), "#": str(len(self.arguments)), "0": self.name, "-": ""}
        if name in special:
            return special[name]
        if name == "!":
            return str(self.last_background) if self.last_background else None
        if name in "@*":
            return self.separator().join(self.arguments) if self.arguments else None
        if name.isdigit():
            return self.arguments[int(name) - 1] if int(name) <= len(self.arguments) else None
        return self.values.get(name)

    def set(self, name: str, value: str) -> None:
        """Give a variable a value."""
        self.values[name] = value

    def separator(self) -> str:
        """What `$*` has between the parameters."""
        return self.values.get("IFS", BLANKS)[:1]


def text_of(word: Word, variables: Variables) -> str:
    """A word that is one, whatever is in it: a value to be assigned, where output goes."""
    return "".join(_value(part, variables) for part in _home(word, variables))


def fields(word: Word, variables: Variables) -> list[str]:
    """The arguments that a word stands for."""
    return [found for field in _split(_home(word, variables), variables) for found in _paths(field)]


def _home(word: Word, variables: Variables) -> Word:
    """A leading tilde is the home directory."""
    first = word[0] if word else None
    if isinstance(first, Text) and not first.quoted and first.value.partition("/")[0] == "~":
        home = variables.get("HOME") or "~"
        return Text(home, True), Text(first.value[1:], False), *word[1:]
    return word


def _split(word: Word, variables: Variables) -> list[list[_Segment]]:
    found: list[list[_Segment]] = []
    current: list[_Segment] | None = None
    for part in word:
        if isinstance(part, Parameter) and part.name == "@" and part.quoted and not part.operator:
            for number, argument in enumerate(variables.arguments):
                if number and current is not None:
                    found.append(current)
                    current = None
                current = [*(current or []), (argument, True)]
        elif isinstance(part, Text):
            if part.value or part.quoted:
                current = [*(current or []), (part.value, part.quoted)]
        elif part.quoted:
            current = [*(current or []), (_value(part, variables), True)]
        else:
            pieces, begins, ends = _pieces(_value(part, variables), variables.values.get("IFS", BLANKS))
            if begins and current is not None:
                found.append(current)
                current = None
            for number, piece in enumerate(pieces):
                if number and current is not None:
                    found.append(current)
                    current = None
                current = [*(current or []), (piece, False)]
            if ends and current is not None:
                found.append(current)
                current = None
    return found if current is None else [*found, current]


def _pieces(value: str, separators: str) -> tuple[list[str], bool, bool]:
    """A value cut at separators, and whether there are some before and behind it."""
    if not separators:
        return ([value] if value else []), False, False
    blanks = "".join(char for char in separators if char in BLANKS)
    stripped = value.strip(blanks) if blanks else value
    begins = value[:1] in set(blanks) and bool(value)
    ends = value[-1:] in set(separators) and bool(value)
    others = set(separators) - set(blanks)
    if not others:
        return stripped.split() if set(blanks) == set(BLANKS) else _cut(stripped, set(blanks)), begins, ends
    pieces: list[str] = [""]
    for char in stripped:
        if char in others:
            pieces.append("")
        else:
            pieces[-1] += char
    if len(pieces) > 1 and not pieces[-1]:
        pieces.pop()
    return [each for piece in pieces for each in (_cut(piece, set(blanks)) or [""])], begins, ends


def _cut(value: str, separators: Iterable[str]) -> list[str]:
    for separator in separators:
        value = value.replace(separator, "\0")
    return [piece for piece in value.split("\0") if piece]


def _paths(field: list[_Segment]) -> list[str]:
    """The files that a field is the pattern of; itself when it is none, or there are none."""
    plain = "".join(text for text, _ in field)
    if all(quoted or PATTERN.isdisjoint(text) for text, quoted in field):
        return [plain]
    pattern = "".join(glob.escape(text) if quoted else text for text, quoted in field)
    return sorted(glob.glob(pattern)) or [plain]


def _value(part: Part, variables: Variables) -> str:
    if isinstance(part, Text):
        return part.value
    if isinstance(part, Substitution):
        return variables.output(part.body).rstrip("\n")
    if isinstance(part, Arithmetic):
        text = text_of(part.word, variables)
        try:
            return str(evaluate(text, variables.values))
        except ZeroDivisionError:
            raise ExpansionError(f'arithmetic expression: division by zero: "{text}"') from None
        except ValueError as error:
            raise ExpansionError(str(error)) from None
    return _parameter(part, variables)


def _parameter(part: Parameter, variables: Variables) -> str:
    value = variables.get(part.name)
    operator = part.operator
    if operator == "length":
        return str(len(value or ""))
    if operator[:1] in ("#", "%") and operator:
        return _trimmed(value or "", operator, text_of(part.word, variables))
    missing = not value if operator[:1] == ":" else value is None
    match operator[-1:]:
        case "-" if missing:
            return text_of(part.word, variables)
        case "=" if missing:
            variables.set(part.name, text_of(part.word, variables))
            return variables.get(part.name) or ""
        case "?" if missing:
            raise ExpansionError(f"{part.name}: {text_of(part.word, variables) or 'parameter not set'}")
        case "+":
            return "" if missing else text_of(part.word, variables)
    return value or ""


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """A value without the shortest (longest, where the operator is doubled) beginning or end of a pattern."""
    places = range(len(value) + 1)
    if operator[0] == "#":
        for place in places if operator == "#" else reversed(places):
            if fnmatch.fnmatchcase(value[:place], pattern):
                return value[place:]
    else:
        for place in reversed(places) if operator == "%" else places:
            if fnmatch.fnmatchcase(value[place:], pattern):
                return value[:place]
    return value
