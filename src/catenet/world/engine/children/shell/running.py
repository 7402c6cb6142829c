"""Running command lines: each command is a process of the host, forked and waited for as a shell does."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from catenet.posix.errors import CallNotModelled
from catenet.world.engine.children.shell.builtins import BUILTINS, Exit, LeaveLoop, Replace
from catenet.world.engine.children.shell.expansion import ExpansionError, Variables, fields, text_of
from catenet.world.engine.children.shell.syntax import (
    AndOr,
    Command,
    For,
    Group,
    If,
    Line,
    Loop,
    Pipeline,
    Redirection,
    ShellSyntaxError,
    Simple,
    Word,
    parse,
)

__all__ = ["run_shell"]

MISUSED: Final = 2
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
SILENT: Final = (signal.SIGINT, signal.SIGPIPE)
"""Signals by which a command may end without a word of the shell."""
SAVED_FROM: Final = 10
FLAGS: Final = {
    ">": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">|": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    ">>": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "<": os.O_RDONLY,
    "<>": os.O_RDWR | os.O_CREAT,
}


def run_shell(shell: str, text: str, name: str, arguments: list[str]) -> NoReturn:
    """Run a command line to its end in a process of its own: SystemExit with its status."""
    for number in (signal.SIGINT, signal.SIGPIPE):
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGPIPE:
            signal.signal(number, signal.SIG_DFL)
    values = dict(os.environ)
    values.setdefault("PWD", os.getcwd())
    raise SystemExit(_Shell(os.path.basename(shell), Variables(values, name, arguments)).run(text))


class _Shell:
    """One process of a shell."""

    def __init__(self, kind: str, variables: Variables) -> None:
        self.kind = kind
        self.variables = variables
        self.loops = 0
        """Loops that are under way."""
        self.substituted = 0
        """Status of the last command substitution of a command."""
        variables.output = self._output_of

    def run(self, text: str) -> int:
        """Run the text that the shell was given."""
        try:
            return self.line(parse(text), last=True)
        except Exit as end:
            return end.status
        except (ShellSyntaxError, ExpansionError, CallNotModelled) as error:
            self.complain(str(error))
            return MISUSED

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        os.write(2, f"{self.variables.name}: 1: {text}\n".encode(errors="surrogateescape"))

    def line(self, line: Line, *, last: bool = False) -> int:
        """Run a list; with `last`, nothing comes after it, so that its last command may take the shell's place."""
        for number, item in enumerate(line):
            if item.background:
                self._background(item.command)
            else:
                self.variables.status = self._and_or(item.command, last=last and number == len(line) - 1)
        return self.variables.status

    def _background(self, command: AndOr) -> None:
        pid = os.fork()
        if not pid:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            if null:
                os.close(null)
            self._end_as(lambda: self._and_or(command, last=True))
        self.variables.last_background = pid
        self.variables.status = 0

    def _and_or(self, command: AndOr, *, last: bool) -> int:
        status = 0
        for number, (operator, pipeline) in enumerate(command.parts):
            if (operator == "&&" and status) or (operator == "||" and not status):
                continue
            ends = last and number == len(command.parts) - 1
            status = self.variables.status = self._pipeline(pipeline, last=ends)
        return status

    def _pipeline(self, pipeline: Pipeline, *, last: bool) -> int:
        if len(pipeline.commands) == 1:
            status = self._command(pipeline.commands[0], last=last and not pipeline.negated)
        else:
            status = self._piped(pipeline.commands)
        return int(not status) if pipeline.negated else status

    def _piped(self, commands: Sequence[Command]) -> int:
        before, pids = -1, []
        for number, command in enumerate(commands):
            reader, writer = os.pipe() if number < len(commands) - 1 else (-1, -1)
            pid = os.fork()
            if not pid:
                for descriptor, place in ((before, 0), (writer, 1)):
                    if descriptor >= 0:
                        os.dup2(descriptor, place)
                        os.close(descriptor)
                if reader >= 0:
                    os.close(reader)
                self._end_as(lambda command=command: self._command(command, last=True))  # type: ignore[misc]
            pids.append(pid)
            for descriptor in (before, writer):
                if descriptor >= 0:
                    os.close(descriptor)
            before = reader
        return [self._wait(pid) for pid in pids][-1]

    def _end_as(self, run: Callable[[], int]) -> NoReturn:
        """In a child: end with the status of what is run."""
        status = MISUSED
        try:
            status = run()
        except Exit as end:
            status = end.status
        except (ExpansionError, ShellSyntaxError, CallNotModelled) as error:
            self.complain(str(error))
        finally:
            os._exit(status)

    def _wait(self, pid: int) -> int:
        """The status of a child as `$?` shows it."""
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            return os.WEXITSTATUS(status)
        number = os.WTERMSIG(status)
        if number not in SILENT:
            os.write(2, f"{signal.strsignal(number)}\n".encode())
        return 128 + number

    def _output_of(self, line: Line) -> str:
        """What `$(…)` stands for."""
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reader)
            os.dup2(writer, 1)
            os.close(writer)
            self._end_as(lambda: self.line(line, last=True))
        os.close(writer)
        found = b""
        while data := os.read(reader, 1 << 16):
            found += data
        os.close(reader)
        self.substituted = self._wait(pid)
        return found.replace(b"\0", b"").decode(errors="surrogateescape")

    # Commands.

    def _command(self, command: Command, *, last: bool) -> int:
        if isinstance(command, Simple):
            return self._simple(command, last=last)
        if isinstance(command, Group) and command.apart and not last:
            pid = os.fork()
            if not pid:
                self._end_as(lambda: self._command(command, last=True))
            return self._wait(pid)
        return self._redirected(command.redirections, lambda: self._compound(command))

    def _compound(self, command: Command) -> int:
        match command:
            case Group(body=body):
                return self.line(body)
            case If(branches=branches, otherwise=otherwise):
                for condition, body in branches:
                    if not self.line(condition):
                        return self.line(body)
                return self.line(otherwise) if otherwise else 0
            case Loop():
                return self._loop(command)
            case For(name=name, words=words):
                listed = self.variables.arguments if words is None else self._fields(words)
                return self._each(command.body, name, list(listed))
        raise AssertionError(command)

    def _loop(self, loop: Loop) -> int:
        status = 0
        while (self.line(loop.condition) == 0) == loop.while_true:
            status, goes_on = self._turn(loop.body)
            if not goes_on:
                break
        return status

    def _each(self, body: Line, name: str, values: list[str]) -> int:
        status = 0
        for value in values:
            self.variables.set(name, value)
            status, goes_on = self._turn(body)
            if not goes_on:
                break
        return status

    def _turn(self, body: Line) -> tuple[int, bool]:
        """Run a loop's body once: the status, and whether the loop goes on."""
        self.loops += 1
        try:
            return self.line(body), True
        except LeaveLoop as leave:
            if leave.levels > 1 and self.loops > 1:
                raise LeaveLoop(leave.levels - 1, goes_on=leave.goes_on) from None
            return 0, leave.goes_on
        finally:
            self.loops -= 1

    def _fields(self, words: Sequence[Word]) -> list[str]:
        return [field for word in words for field in fields(word, self.variables)]

    def _simple(self, command: Simple, *, last: bool) -> int:
        self.substituted = 0
        words = self._fields(command.words)
        assigned = {name: text_of(word, self.variables) for name, word in command.assignments}
        if not words:
            self.variables.values.update(assigned)
            return self._redirected(command.redirections, lambda: self.substituted)
        builtin = BUILTINS.get(words[0])
        if builtin is not None:
            try:
                return self._redirected(command.redirections, lambda: builtin(self, words, assigned))
            except Replace as replaced:
                status = self._take_place(replaced.words, assigned, command.redirections)
                if replaced.words:
                    raise Exit(status) from None
                return status
        pid = 0 if last else os.fork()
        if not pid:
            self._end_as(lambda: self._take_place(words, assigned, command.redirections))
        return self._wait(pid)

    def _take_place(self, words: list[str], assigned: dict[str, str], redirections: Sequence[Redirection]) -> int:
        """Run a program in the place of the shell; the status when there is none."""
        try:
            for redirection in redirections:
                self._redirect(redirection)
        except OSError as error:
            self.complain(str(error.args[1]))
            return MISUSED
        if not words:
            return 0
        variables = self.variables
        environment = {name: variables.values[name] for name in variables.exported if name in variables.values}
        environment |= assigned
        folders = environment.get("PATH", os.defpath).split(os.pathsep)
        paths = [words[0]] if "/" in words[0] else [os.path.join(folder or ".", words[0]) for folder in folders]
        found = None
        sys.stdout.flush()
        for path in paths:
            try:
                os.execve(path, words, environment)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    found = error
        missing = "not found" if found is None else os.strerror(found.errno or 0)
        self.complain(f"{words[0]}: {missing}")
        return NOT_FOUND if found is None else NOT_EXECUTABLE

    # Redirections.

    def _redirected(self, redirections: Sequence[Redirection], run: Callable[[], int]) -> int:
        """Run something in the shell itself with its descriptors redirected, and put them back."""
        saved: list[tuple[int, int]] = []
        try:
            for redirection in redirections:
                saved.append((redirection.number, _saved(redirection.number)))
                self._redirect(redirection)
            return run()
        except OSError as error:
            self.complain(str(error.args[1]))
            return MISUSED
        finally:
            for number, kept in reversed(saved):
                if kept < 0:
                    _close(number)
                else:
                    os.dup2(kept, number)
                    os.close(kept)

    def _redirect(self, redirection: Redirection) -> None:
        """Do one; the OSError's text says what is wrong."""
        target = text_of(redirection.target, self.variables)
        if redirection.operator in (">&", "<&"):
            if target == "-":
                _close(redirection.number)
            elif not target.isdigit():
                raise OSError(errno.EBADF, f"Bad fd number: {target}")
            elif int(target) != redirection.number:
                try:
                    os.dup2(int(target), redirection.number)
                except OSError as error:
                    raise OSError(error.errno, f"{target}: {os.strerror(error.errno or 0)}") from None
            return
        try:
            opened = os.open(target, FLAGS[redirection.operator], 0o666)
        except OSError as error:
            what = "open" if redirection.operator == "<" else "create"
            reason = os.strerror(error.errno or 0)
            if error.errno == errno.ENOENT:
                reason = "No such file" if what == "open" else "Directory nonexistent"
            raise OSError(error.errno, f"cannot {what} {target}: {reason}") from None
        if opened != redirection.number:
            os.dup2(opened, redirection.number)
            os.close(opened)


def _saved(number: int) -> int:
    """Another descriptor of what one stands for; -1 for one that is not open."""
    try:
        return os.dup(number)
    except OSError:
        return -1


def _close(number: int) -> None:
    try:
        os.close(number)
    except OSError:
        pass
