"""Command lines of the shell as trees (POSIX.1-2024, Shell Command Language, 2.10).

Understood are lists, pipelines, redirections, subshells, groups, `if`, `while`, `until`, `for`, and in words quoting,
parameters, command substitution and arithmetic. What is not (`case`, functions, here-documents) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from catenet.posix.errors import CallNotModelled

__all__ = [
    "NAME",
    "RESERVED",
    "AndOr",
    "Arithmetic",
    "Command",
    "For",
    "Group",
    "If",
    "Item",
    "Line",
    "Loop",
    "Parameter",
    "Part",
    "Pipeline",
    "Redirection",
    "ShellSyntaxError",
    "Simple",
    "Substitution",
    "Text",
    "Word",
    "parse",
]


class ShellSyntaxError(ValueError):
    """The line is no command line; the text is the shell's."""


@dataclass(frozen=True)
class Text:
    """Characters that mean themselves; unquoted ones may be a pattern."""

    value: str
    quoted: bool


@dataclass(frozen=True)
class Parameter:
    """`$name`, `${name}`, `${name:-word}`, `${#name}` (operator "#")."""

    name: str
    operator: str
    word: Word
    quoted: bool


@dataclass(frozen=True)
class Substitution:
    """`$(…)`, or the same in backquotes."""

    body: Line
    quoted: bool


@dataclass(frozen=True)
class Arithmetic:
    """`$((…))`."""

    word: Word
    quoted: bool


Part: TypeAlias = "Text | Parameter | Substitution | Arithmetic"
Word: TypeAlias = "tuple[Part, ...]"


@dataclass(frozen=True)
class Redirection:
    """`2>file`: descriptor, operator, where to."""

    number: int
    operator: str
    target: Word


@dataclass(frozen=True)
class Simple:
    """Assignments, and the words of a command."""

    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class Group:
    """`{ …; }`, or with `apart` the subshell `( … )`."""

    body: Line
    apart: bool
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class If:
    """Conditions with what each leads to, and what else."""

    branches: tuple[tuple[Line, Line], ...]
    otherwise: Line
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class Loop:
    """`while`, or `until`: as long as the condition's success is `while_true`."""

    condition: Line
    body: Line
    while_true: bool
    redirections: tuple[Redirection, ...]


@dataclass(frozen=True)
class For:
    """`for name in words`; without words, the positional parameters."""

    name: str
    words: tuple[Word, ...] | None
    body: Line
    redirections: tuple[Redirection, ...]


Command: TypeAlias = "Simple | Group | If | Loop | For"


@dataclass(frozen=True)
class Pipeline:
    """Commands whose output is the next one's input."""

    commands: tuple[Command, ...]
    negated: bool


@dataclass(frozen=True)
class AndOr:
    """Pipelines, each with the operator before it: "", "&&" or "||"."""

    parts: tuple[tuple[str, Pipeline], ...]


@dataclass(frozen=True)
class Item:
    """One entry of a list, `&` behind it or not."""

    command: AndOr
    background: bool


Line: TypeAlias = "tuple[Item, ...]"

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
REDIRECTION: Final = re.compile(r"(\d*)(>>|>\||>&|<&|<>|<<|>|<)")
SPECIAL: Final = "@*#?-$!0123456789"
EXPANSION: Final = re.compile(r":?[-=+?]|##?|%%?")
SPACE: Final = " \t"
END_OF_WORD: Final = " \t\n;&|<>()"
RESERVED: Final = frozenset(
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "{", "}", "!", "case", "esac", "in"]
)
CLOSING: Final = frozenset(["then", "elif", "else", "fi", "do", "done", "}", "esac"])
UNKNOWN: Final = frozenset(["case", "function", "select", "[[", "time"])


def _refuse(what: str) -> CallNotModelled:
    return CallNotModelled(
        f"the shell of a simulated host does not know {what}; give the program and its arguments as a list, and do in "
        "Python what the shell would do"
    )


def parse(text: str) -> Line:
    """Read a command line; ShellSyntaxError, and CallNotModelled for what no host's shell knows."""
    parser = _Parser(text)
    line = parser.list_of(frozenset())
    if parser.at < len(text):
        raise parser.unexpected()
    return line


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def unexpected(self, expected: str = "") -> ShellSyntaxError:
        """What is wrong here, as dash says it."""
        found = re.compile(r"&&|\|\||;;|[;&|()<>\n]|[^ \t\n;&|()<>]+").match(self.text, self.at)
        what = "end of file" if found is None else "newline" if found.group() == "\n" else f'"{found.group()}"'
        behind = f' (expecting "{expected}")' if expected else ""
        return ShellSyntaxError(f"Syntax error: {what} unexpected{behind}")

    def starts(self, words: str) -> bool:
        """Whether this comes next; it is passed then."""
        found = self.text.startswith(words, self.at)
        self.at += len(words) if found else 0
        return found

    def peek(self) -> str:
        """The next character; "" at the end."""
        return self.text[self.at : self.at + 1]

    def skip(self, also: str = "") -> None:
        """Pass blanks, comments, continued lines, and what else is given."""
        while self.at < len(self.text):
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.peek() == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.peek() in SPACE + also:
                self.at += 1
            else:
                return

    def word_ahead(self) -> str:
        """The plain word that comes next, which may be a reserved one."""
        found = re.match(r"[A-Za-z\[]+|[{}!](?=[ \t\n;&|)]|$)", self.text[self.at :])
        if found is None:
            return ""
        end = self.at + found.end()
        return found.group() if end == len(self.text) or self.text[end] in END_OF_WORD else ""

    def expect(self, reserved: str) -> None:
        """Pass a reserved word, which has to come now."""
        self.skip()
        if self.word_ahead() != reserved:
            raise self.unexpected(reserved)
        self.at += len(reserved)

    # Lists.

    def list_of(self, until: frozenset[str], closing: str = "") -> Line:
        """Commands up to one of some reserved words, a closing parenthesis, or the end."""
        items: list[Item] = []
        while True:
            self.skip("\n")
            if self.at >= len(self.text) or (closing and self.peek() == closing) or self.word_ahead() in until:
                return tuple(items)
            command = self.and_or()
            self.skip()
            if self.text.startswith((";;", "&&"), self.at):
                raise self.unexpected()
            background = self.starts("&")
            items.append(Item(command, background))
            if not background and not self.starts(";") and not self.starts("\n"):
                return tuple(items)

    def body(self, *until: str) -> Line:
        """A list that may not be empty, up to a reserved word."""
        found = self.list_of(frozenset(until))
        if not found or self.word_ahead() not in until:
            raise self.unexpected(until[-1] if found else "")
        return found

    def and_or(self) -> AndOr:
        """Pipelines with `&&` and `||` between them."""
        parts = [("", self.pipeline())]
        while True:
            self.skip()
            operator = self.text[self.at : self.at + 2]
            if operator not in ("&&", "||"):
                return AndOr(tuple(parts))
            self.at += 2
            self.skip("\n")
            parts.append((operator, self.pipeline()))

    def pipeline(self) -> Pipeline:
        """Commands with `|` between them."""
        negated = False
        self.skip()
        while self.word_ahead() == "!":
            self.at += 1
            negated = not negated
            self.skip()
        commands = [self.command()]
        while True:
            self.skip()
            if self.peek() != "|" or self.text.startswith("||", self.at):
                return Pipeline(tuple(commands), negated)
            self.at += 1
            self.skip("\n")
            commands.append(self.command())

    # Commands.

    def command(self) -> Command:
        """One command, with its redirections."""
        self.skip()
        word = self.word_ahead()
        if word in UNKNOWN:
            raise _refuse(f"`{word}`")
        if word in CLOSING:
            raise self.unexpected()
        if self.starts("("):
            body = self.list_of(frozenset(), ")")
            if not body or not self.starts(")"):
                raise self.unexpected(")" if body else "")
            return Group(body, True, self.redirections())
        if word == "{":
            self.at += 1
            body = self.body("}")
            self.expect("}")
            return Group(body, False, self.redirections())
        if word == "if":
            return self.conditional()
        if word in ("while", "until"):
            self.at += len(word)
            condition = self.body("do")
            return Loop(condition, self.loop_body(), word == "while", self.redirections())
        return self.loop_over_words() if word == "for" else self.simple()

    def conditional(self) -> If:
        """`if … then … elif … else … fi`."""
        branches: list[tuple[Line, Line]] = []
        otherwise: Line = ()
        self.expect("if")
        while True:
            condition = self.body("then")
            self.expect("then")
            branches.append((condition, self.body("elif", "else", "fi")))
            if self.word_ahead() != "elif":
                break
            self.expect("elif")
        if self.word_ahead() == "else":
            self.expect("else")
            otherwise = self.body("fi")
        self.expect("fi")
        return If(tuple(branches), otherwise, self.redirections())

    def loop_body(self) -> Line:
        """`do … done`."""
        self.expect("do")
        body = self.body("done")
        self.expect("done")
        return body

    def loop_over_words(self) -> For:
        """`for name in words; do … done`."""
        self.expect("for")
        self.skip()
        found = NAME.match(self.text, self.at)
        if found is None:
            raise ShellSyntaxError("Syntax error: Bad for loop variable")
        self.at = found.end()
        self.skip("\n")
        words: tuple[Word, ...] | None = None
        if self.word_ahead() == "in":
            self.at += 2
            listed = []
            self.skip()
            while self.peek() and self.peek() not in ";\n":
                listed.append(self.word())
                self.skip()
            words = tuple(listed)
        self.skip()
        self.starts(";")
        self.skip("\n")
        return For(found.group(), words, self.loop_body(), self.redirections())

    def simple(self) -> Simple:
        """Assignments, words and redirections, in any order as far as that is allowed."""
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirections: list[Redirection] = []
        while True:
            self.skip()
            redirection = self.redirection()
            if redirection is not None:
                redirections.append(redirection)
                continue
            if not self.peek() or self.peek() in END_OF_WORD:
                break
            assigned = ASSIGNMENT.match(self.text, self.at) if not words else None
            if assigned is not None:
                self.at = assigned.end()
                assignments.append((assigned.group(1), self.word()))
            else:
                words.append(self.word())
        if self.peek() == "(" and words:
            raise _refuse("functions")
        if not (assignments or words or redirections):
            raise self.unexpected()
        return Simple(tuple(assignments), tuple(words), tuple(redirections))

    def redirections(self) -> tuple[Redirection, ...]:
        """What follows a compound command."""
        found: list[Redirection] = []
        while True:
            self.skip()
            redirection = self.redirection()
            if redirection is None:
                return tuple(found)
            found.append(redirection)

    def redirection(self) -> Redirection | None:
        """`[n]>word` and its like, if that comes next."""
        found = REDIRECTION.match(self.text, self.at)
        if found is None:
            return None
        number, operator = found.groups()
        if operator == "<<":
            raise _refuse("here-documents")
        self.at = found.end()
        self.skip()
        if not self.peek() or self.peek() in END_OF_WORD:
            raise self.unexpected()
        default = 0 if operator[0] == "<" else 1
        return Redirection(int(number) if number else default, operator, self.word())

    # Words.

    def word(self) -> Word:
        """Parts up to a blank or an operator."""
        parts: list[Part] = []
        while self.peek() and self.peek() not in END_OF_WORD:
            self.part(parts, quoted=False, stops=END_OF_WORD)
        return tuple(parts)

    def quoted_until(self, end: str) -> Word:
        """Parts as between double quotes, up to what ends them."""
        parts: list[Part] = [Text("", True)]
        while self.peek() != end:
            if not self.peek():
                raise ShellSyntaxError("Syntax error: Unterminated quoted string")
            self.part(parts, quoted=True, stops=end)
        self.at += 1
        return tuple(parts)

    def part(self, parts: list[Part], *, quoted: bool, stops: str) -> None:
        """Read one part of a word."""
        char = self.peek()
        if char == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            self.at += 2
            if following == "\n":
                return
            kept = quoted and following not in '$`"\\' + stops
            parts.append(Text("\\" + following if kept or not following else following, True))
        elif char == "'" and not quoted:
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise ShellSyntaxError("Syntax error: Unterminated quoted string")
            parts.append(Text(self.text[self.at + 1 : end], True))
            self.at = end + 1
        elif char == '"' and not quoted:
            self.at += 1
            parts.extend(self.quoted_until('"'))
        elif char == "$":
            self.at += 1
            parts.append(self.dollar(quoted))
        elif char == "`":
            self.at += 1
            parts.append(self.backquoted(quoted))
        else:
            end = self.at + 1
            while end < len(self.text) and self.text[end] not in "\\'\"$`" + stops:
                end += 1
            parts.append(Text(self.text[self.at : end], quoted))
            self.at = end

    def dollar(self, quoted: bool) -> Part:
        """What follows a dollar sign."""
        if self.starts("(("):
            word = self.arithmetic()
            return Arithmetic(word, quoted)
        if self.starts("("):
            body = self.list_of(frozenset(), ")")
            if not self.starts(")"):
                raise self.unexpected(")")
            return Substitution(body, quoted)
        if self.starts("{"):
            return self.braced(quoted)
        found = NAME.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            return Parameter(found.group(), "", (), quoted)
        if self.peek() and self.peek() in SPECIAL:
            self.at += 1
            return Parameter(self.text[self.at - 1], "", (), quoted)
        return Text("$", quoted)

    def arithmetic(self) -> Word:
        """What is between `$((` and `))`."""
        parts: list[Part] = []
        depth = 0
        while depth or not self.text.startswith("))", self.at):
            if not self.peek():
                raise ShellSyntaxError("Syntax error: Missing '))'")
            depth += {"(": 1, ")": -1}.get(self.peek(), 0)
            if self.peek() in "()":
                parts.append(Text(self.peek(), True))
                self.at += 1
            else:
                self.part(parts, quoted=True, stops="()")
        self.at += 2
        return tuple(parts)

    def braced(self, quoted: bool) -> Parameter:
        """What follows `${`."""
        length = self.text.startswith("#", self.at) and not self.text.startswith("#}", self.at)
        self.at += length
        found = NAME.match(self.text, self.at) or re.compile(r"\d+|[@*#?$!-]").match(self.text, self.at)
        if found is None:
            raise ShellSyntaxError("Bad substitution")
        self.at = found.end()
        if length or self.peek() == "}":
            if not self.starts("}"):
                raise ShellSyntaxError("Bad substitution")
            return Parameter(found.group(), "length" if length else "", (), quoted)
        operator = EXPANSION.match(self.text, self.at)
        if operator is None:
            raise ShellSyntaxError("Bad substitution")
        self.at = operator.end()
        parts: list[Part] = []
        while self.peek() != "}":
            if not self.peek():
                raise ShellSyntaxError("Syntax error: Missing '}'")
            self.part(parts, quoted=False, stops="}")
        self.at += 1
        return Parameter(found.group(), operator.group(), tuple(parts), quoted)

    def backquoted(self, quoted: bool) -> Substitution:
        """A command between backquotes, in which backslashes quote backquotes, dollar signs and themselves."""
        found = re.compile(r"((?:[^\\`]|\\.)*)`", re.DOTALL).match(self.text, self.at)
        if found is None:
            raise ShellSyntaxError("Syntax error: EOF in backquote substitution")
        self.at = found.end()
        return Substitution(parse(re.sub(r"\\([\\`$])", r"\1", found.group(1))), quoted)
