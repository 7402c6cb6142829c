"""Commands that a shell does itself, for they are about the shell (POSIX.1-2024, 2.15 and others)."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from catenet.posix.errors import CallNotModelled
from catenet.world.engine.children.shell.syntax import NAME, parse

if TYPE_CHECKING:
    from catenet.world.engine.children.shell.expansion import Variables
    from catenet.world.engine.children.shell.syntax import Line

__all__ = ["BUILTINS", "Exit", "LeaveLoop", "Replace"]

ESCAPES: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


class Exit(Exception):
    """The shell ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status & 0xFF


class LeaveLoop(Exception):
    """`break`, or with `goes_on` `continue`, out of so many loops."""

    def __init__(self, levels: int, *, goes_on: bool) -> None:
        super().__init__(levels)
        self.levels = levels
        self.goes_on = goes_on


class Replace(Exception):
    """`exec`: a program takes the place of the shell."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(words)
        self.words = words


class _Shell(Protocol):
    kind: str
    loops: int
    variables: Variables

    def complain(self, text: str) -> None: ...

    def line(self, line: Line, *, last: bool = False) -> int: ...


Builtin = Callable[[Any, list[str], dict[str, str]], int]


def _write(text: str) -> int:
    data = text.encode(errors="surrogateescape")
    while data:
        data = data[os.write(1, data) :]
    return 0


def _echo(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    """Dash knows escapes and no option but -n, bash escapes with -e."""
    rest, escapes, end = words[1:], shell.kind != "bash", "\n"
    while rest and re.fullmatch("-n" if escapes and shell.kind != "bash" else "-[neE]+", rest[0]):
        end = "" if "n" in rest[0] else end
        escapes = escapes or "e" in rest[0]
        rest = rest[1:]
    text = " ".join(rest)
    if escapes:
        text, stop, _ = text.partition("\\c")
        text = re.sub(r"\\(0[0-7]{0,3}|.)", _unescaped, text)
        end = "" if stop else end
    return _write(text + end)


def _unescaped(found: re.Match[str]) -> str:
    escape = found.group(1)
    if escape[0] == "0":
        return chr(int(escape, 8) & 0xFF)
    return ESCAPES.get(escape, found.group())


def _number(words: list[str], default: int) -> int:
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else default


def _exit(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    if len(words) > 1 and not words[1].isdigit():
        shell.complain(f"{words[0]}: Illegal number: {words[1]}")
        raise Exit(2)
    raise Exit(_number(words, shell.variables.status))


def _change_directory(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    variables = shell.variables
    to = words[1] if len(words) > 1 else variables.get("HOME") or ""
    shown = to == "-"
    to = variables.get("OLDPWD") or "" if shown else to
    try:
        os.chdir(to or ".")
    except OSError:
        shell.complain(f"cd: can't cd to {to}")
        return 2
    before = variables.get("PWD") or ""
    variables.set("OLDPWD", before)
    variables.set("PWD", os.path.normpath(os.path.join(before, to)))
    return _write(to + "\n") if shown else 0


def _export(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if NAME.fullmatch(name) is None:
            shell.complain(f"export: {name}: bad variable name")
            raise Exit(2)
        if equals:
            shell.variables.set(name, value)
        shell.variables.exported.add(name)
    return 0


def _unset(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    for name in words[1:]:
        shell.variables.values.pop(name, None)
        shell.variables.exported.discard(name)
    return 0


def _wait(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    pids = [int(word) for word in words[1:] if word.isdigit()]
    status = 0
    try:
        if not pids:
            while True:
                os.wait()
        for pid in pids:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            status = code if code >= 0 else 128 - code
    except ChildProcessError:
        status = 127 if pids else 0
    return status


def _kill(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    number, rest = int(signal.SIGTERM), words[1:]
    if rest[:1] == ["-s"]:
        rest = ["-" + rest[1], *rest[2:]]
    if rest and rest[0].startswith("-") and len(rest) > 1:
        name = rest.pop(0)[1:].upper().removeprefix("SIG")
        found = int(name) if name.isdigit() else getattr(signal, f"SIG{name}", None)
        if found is None:
            shell.complain(f"kill: invalid signal number or name: {name}")
            return 2
        number = int(found)
    status = 0
    for word in rest:
        try:
            os.kill(int(word), number)
        except OSError as error:
            shell.complain(f"kill: {os.strerror(error.errno or 0)}")
            status = 1
    return status


def _read(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    """One line of standard input, byte by byte, for the rest is for who reads next."""
    raw = "-r" in words[1:]
    names = [word for word in words[1:] if word != "-r"]
    line, ended = b"", False
    while not ended:
        byte = os.read(0, 1)
        if not byte:
            break
        ended = byte == b"\n" and (raw or not line.endswith(b"\\"))
        line = line[:-1] if byte == b"\n" and not ended else line if ended else line + byte
    text = line.decode(errors="surrogateescape").strip(" \t")
    parts = text.split(None, len(names) - 1) if names else []
    for number, name in enumerate(names):
        shell.variables.set(name, parts[number] if number < len(parts) else "")
    return 0 if ended else 1


def _shift(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    count = _number(words, 1)
    if count > len(shell.variables.arguments):
        shell.complain("shift: can't shift that many")
        raise Exit(2)
    del shell.variables.arguments[:count]
    return 0


def _set(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    rest = words[1:]
    if rest[:1] == ["--"] or (rest and rest[0][:1] not in "-+"):
        shell.variables.arguments[:] = rest[1:] if rest[0] == "--" else rest
        return 0
    raise CallNotModelled(f"the shell of a simulated host does not know `{' '.join(words)}`")


def _evaluate(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    return shell.line(parse(" ".join(words[1:])))


def _mask(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    if len(words) > 1:
        os.umask(int(words[1], 8))
        return 0
    mask = os.umask(0)
    os.umask(mask)
    return _write(f"{mask:04o}\n")


def _leave(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    if not shell.loops:
        return 0
    raise LeaveLoop(_number(words, 1), goes_on=words[0] == "continue")


def _replace(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    raise Replace(words[1:])


def _unknown(shell: _Shell, words: list[str], assigned: dict[str, str]) -> int:
    raise CallNotModelled(f"the shell of a simulated host does not know `{words[0]}`")


UNKNOWN: Final = (
    ".", "alias", "bg", "command", "fg", "getopts", "hash", "jobs", "local", "readonly", "return", "source", "times",
    "trap", "type", "ulimit",
)  # fmt: skip
"""Commands of shells that this one does not have."""

BUILTINS: Final[dict[str, Builtin]] = {
    ":": lambda shell, words, assigned: 0,
    "true": lambda shell, words, assigned: 0,
    "false": lambda shell, words, assigned: 1,
    "pwd": lambda shell, words, assigned: _write(os.getcwd() + "\n"),
    "echo": _echo,
    "exit": _exit,
    "cd": _change_directory,
    "export": _export,
    "unset": _unset,
    "wait": _wait,
    "kill": _kill,
    "read": _read,
    "shift": _shift,
    "set": _set,
    "eval": _evaluate,
    "umask": _mask,
    "break": _leave,
    "continue": _leave,
    "exec": _replace,
    **dict.fromkeys(UNKNOWN, _unknown),
}
"""By name."""
