"""execve(2): another program takes the place of the one that has called it.

A Python program runs in the interpreter that is there, with its own modules, streams, environment and globals;
installed libraries are loaded anew where they can be (`libraries.py`). Another program runs as it is, in no time
(`others.py`).
"""

from __future__ import annotations

import errno
import gc
import os
import random
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from catenet.posix.errors import CallNotModelled, os_error
from catenet.world.engine.children import client as this
from catenet.world.engine.children.forking import move
from catenet.world.engine.children.libraries import forget_state
from catenet.world.engine.children.others import run_other
from catenet.world.engine.children.process import ChildProcess
from catenet.world.engine.children.shell.running import run_shell
from catenet.world.engine.current import current
from catenet.world.engine.program import Program, make_program
from catenet.world.engine.streams import Streams
from catenet.world.engine.task import Task
from catenet.world.patches.process_globals import ProcessGlobals, swap_globals

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["SHELLS", "execute"]

SHELLS: Final = ("sh", "bash", "dash")
"""Programs that the shell of a host takes the place of, by name."""

SHEBANG_SIZE: Final = 256
"""Bytes of a script's first line that the kernel reads (BINPRM_BUF_SIZE)."""

USAGE: Final = "usage: {} [option] ... [-c cmd | -m mod | file | -] [arg] ..."

ELF: Final = b"\x7fELF"

ALONE: Final = "bBdEhiIOOPqRsSuvVx"
"""Options of the interpreter without an argument."""
WITH_ARGUMENT: Final = "WX"

_INTERPRETER: Final = os.path.realpath(sys.executable)

_kept: Final[list[object]] = []
"""What is of programs whose place another one has taken: it does not go on, and its destructors may not run."""


def execute(
    process: Process, path: str, words: Sequence[str], environment: Mapping[bytes, bytes], kept: Iterable[int] = ()
) -> NoReturn:
    """Run the program `path` with arguments `words` in the place of the one that runs.

    Descriptors other than the standard streams are closed, but for those in `kept`. Where the kernel is, it stays: the
    program begins in a process of the machine of its own. Raises OSError: ENOENT, EACCES, ENOEXEC.
    """
    arguments = python_words(path, words)
    shell = _shell(path, words) if arguments is None and os.path.basename(path) in SHELLS else None
    if this.client is None:
        _leave_kernel(process)
    client = this.client
    assert client is not None
    streams = process.streams
    kept = list(kept)
    kernel = process.host.kernel
    streams.keep(kept)
    held = [number for number in (*streams.redirected.values(), *kept) if kernel.is_open_here(number)]
    program = shell if arguments is None else _program(arguments, path)
    interpreter = words[0] if words and _is_interpreter(path) else sys.executable
    command = list(words) if arguments is None else [interpreter, *arguments]
    client.call("exec", held, command)
    kernel.keep(process, held)
    kernel.inheritable = set(kept)
    if program is None:
        run_other(process, client, path, words, environment)
    _replace(process, client, program, command, environment)


def _leave_kernel(process: Process) -> None:
    """Go on in a process of the machine of its own; where the kernel is, nothing of the program goes on."""
    task = current.task
    assert task is not None
    if not move(process):
        assert isinstance(process, ChildProcess)
        _kept.append(task)
        process.leave(task)
        task.suspend()


def python_words(path: str, words: Sequence[str]) -> list[str] | None:
    """Arguments that our interpreter would have if it ran this; None for another program. Raises OSError."""
    try:
        os.stat(path)
    except OSError as error:
        raise os_error(error.errno or errno.ENOENT) from None
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise os_error(errno.EACCES)
    if _is_interpreter(path):
        return list(words[1:])
    with open(path, "rb") as file:
        head = file.read(SHEBANG_SIZE)
    if head[:2] != b"#!":
        if head[:4] != ELF:
            raise os_error(errno.ENOEXEC)
        return None
    found = head[2:].partition(b"\n")[0].decode("utf-8", "replace").split(None, 1)
    rest = found[1].split() if len(found) > 1 else []
    if found and Path(found[0]).name == "env" and rest:
        return [path, *words[1:]] if _is_interpreter(_which(rest[0])) else None
    return [*rest, path, *words[1:]] if found and _is_interpreter(found[0]) else None


def _which(name: str) -> str:
    for folder in os.get_exec_path():
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return ""


def _is_interpreter(path: str) -> bool:
    return bool(path) and os.path.realpath(path) == _INTERPRETER


def _program(arguments: list[str], path: str) -> Program:
    """The program of an interpreter's command line."""
    words = list(arguments)
    while words and words[0][0] == "-" and words[0] not in ("-", "-c", "-m"):
        option = words.pop(0)
        if option in ("-V", "--version"):
            return _of(lambda module: print("Python", sys.version.partition(" ")[0]), words)
        if option in ("-h", "-?", "--help"):
            return _of(lambda module: print(USAGE.format(path)), words)
        if option[1:2] in WITH_ARGUMENT and len(option) == 2 and words:
            words.pop(0)
        elif option[1:2] not in WITH_ARGUMENT and option[-1:] in "cm" and set(option[1:-1]) <= set(ALONE):
            words.insert(0, f"-{option[-1]}")
    if not words or words[0] == "-":
        return _of(_run_input, words or [""])
    try:
        return make_program(words, (), Path(os.getcwd()))
    except ValueError as error:
        reason = str(error)
        file = os.path.join(os.getcwd(), words[0])
        if words[0][0] != "-":
            reason = f"can't open file {file!r}: [Errno 2] No such file or directory"

        def fail(module: types.ModuleType) -> None:
            print(f"{path}: {reason}", file=sys.stderr)
            raise SystemExit(2)

        return _of(fail, words)


def _shell(path: str, words: Sequence[str]) -> Program:
    """The program of a shell's command line: `sh -c line`, `sh file`, `sh`."""
    rest = list(words[1:])
    if rest[:1] == ["-c"] and len(rest) > 1:
        line, name, arguments = rest[1], rest[2] if len(rest) > 2 else words[0], rest[3:]
        return _of(lambda module: run_shell(path, line, name, arguments), [*words])
    if rest and rest[0][:1] in "-+":
        raise CallNotModelled(f"the shell of a simulated host takes no options but -c (`{' '.join(words)}`)")

    def run(module: types.ModuleType) -> None:
        text = Path(rest[0]).read_text(errors="surrogateescape") if rest else sys.stdin.read()
        run_shell(path, text, rest[0] if rest else words[0], rest[1:])

    return _of(run, [*words])


def _of(run: Any, words: list[str]) -> Program:
    return Program("python", tuple(words), os.getcwd(), run)


def _run_input(module: types.ModuleType) -> None:
    """`python` without a program, which reads it from standard input."""
    exec(compile(sys.stdin.read(), "<stdin>", "exec", dont_inherit=True), module.__dict__)


def _replace(
    process: Process,
    client: this.Client,
    program: Program,
    words: list[str],
    environment: Mapping[bytes, bytes],
) -> NoReturn:
    """Begin the program in a thread of its own, and leave the one that runs for good."""
    old = current.task
    assert old is not None
    _kept.extend([old, *process.tasks.values(), process.streams, process.globals])
    process.program = program
    process.name = program.label
    process.restart_in_place()
    streams = Streams(process._emit, process.streams.unread_input())
    streams.go_on(process.streams)
    process.streams = streams
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    _take_globals(process, program, words, main, environment)
    forget_state()
    gc.freeze()  # a program that is no more has no destructors
    name = f"{process.host.name}/{process.pid}/{process.executions}"
    process.random = random.Random(process.world.generator(f"program/{name}").getrandbits(256))
    process.entropy = process.world.generator(f"entropy/{name}")
    task = process.main = Task(process, lambda: program.run(main), old.ident, "MainThread")
    process.tasks = {task.ident: task}
    client.begin_again(task)
    old.suspend()
    raise AssertionError("a program went on in whose place there is another")


def _take_globals(
    process: Process,
    program: Program,
    words: list[str],
    main: types.ModuleType,
    environment: Mapping[bytes, bytes],
) -> None:
    before = process.globals
    path = list(sys.path)
    if before.program is not None and before.program in path:
        path.remove(before.program)
    if program.directory is not None:
        path[:0] = [program.directory]
    new = ProcessGlobals(list(program.argv), words, path, main, dict(environment), program.directory)
    new.directory, new.placed = before.directory, before.placed
    new.umask, new.outer_umask = before.umask, before.outer_umask
    swap_globals(before, new)
    new.entered = True
    process.globals = new
