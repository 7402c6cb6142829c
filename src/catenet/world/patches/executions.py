"""`os.execv`, `os.execve`, `os.posix_spawn` and `os.posix_spawnp`, on which the other functions of their kind stand.

`os.execl`, `os.spawnv` and the rest are Python above these and `os.fork`, and run as they are.
"""

from __future__ import annotations

import errno
import operator
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from catenet.posix.arguments import lone_int, plain_text
from catenet.posix.errors import CallNotModelled
from catenet.world.engine.children.executing import SHELLS, execute
from catenet.world.engine.children.forking import fork
from catenet.world.patches.patching import Patcher
from catenet.world.patches.shell import without_shell
from catenet.world.patches.signals import signal_set
from catenet.world.patches.table.row import OWN_PROCESS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

NOT_FOUND: Final = 127
"""Exit status of a process in which no program could begin."""
ERROR_SIZE: Final = 4

TAKES_ANY_TRUTH: Final = sys.version_info >= (3, 12)
"""Whether the interpreter takes any value for a switch of posix_spawn(3), and not only a number."""


def _words(call: str, args: Any) -> list[str]:
    """The arguments of a program, as CPython checks them."""
    if not isinstance(args, tuple | list):
        raise TypeError(f"{call} must be a tuple or list")
    if not args:
        raise ValueError(f"{call} must not be empty")
    words = [plain_text(word) for word in args]
    if not words[0]:
        raise ValueError(f"{call} first element cannot be empty")
    return words


def _environment(call: str, env: Any) -> dict[bytes, bytes]:
    if not isinstance(env, Mapping) and not (hasattr(env, "keys") and hasattr(env, "values")):
        raise TypeError(f"{call}: environment must be a mapping object")
    pairs = zip(env.keys(), env.values(), strict=True)
    found = {os.fsencode(plain_text(name)): os.fsencode(plain_text(value)) for name, value in pairs}
    if any(b"=" in name[1:] or not name for name in found):
        raise ValueError("illegal environment variable name")
    return found


def _check(process: Process, name: str) -> None:
    if not process.host.owns_process:
        raise CallNotModelled(f"os.{name} is not modelled on a simulated host; {OWN_PROCESS}")


def _run(process: Process, paths: Sequence[str], words: list[str], environment: Mapping[bytes, bytes]) -> NoReturn:
    """Run the first of these programs that there is, in the place of the one that runs; raises OSError."""
    if os.path.basename(paths[0]) in SHELLS:
        direct = without_shell(words, os.get_exec_path())
        words, paths = (direct[0], [direct[1]]) if direct is not None else (words, paths)
    code = errno.ENOENT
    for path in paths:
        try:
            execute(process, path, words, environment, process.host.kernel.inheritable)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                code = error.errno or code
            elif len(paths) == 1:
                raise
    raise OSError(code, os.strerror(code))


def _places(name: str) -> list[str]:
    return [os.path.join(folder, name) for folder in os.get_exec_path()]


def _execv(process: Process, path: Any, args: Any) -> NoReturn:
    """`os.execv`."""
    _check(process, "execv")
    path = plain_text(path)
    _run(process, [path], _words("execv() arg 2", args), process.globals.variables)


def _execve(process: Process, path: Any, args: Any, env: Any) -> NoReturn:
    """`os.execve`, also of an open file."""
    _check(process, "execve")
    words = _words("execve: argv", args)
    environment = _environment("execve", env)
    place = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else plain_text(path)
    try:
        _run(process, [place], words, environment)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from None


# posix_spawn(3).


def _spawn(
    process: Process, call: str, path: Any, args: Any, env: Any, attributes: Mapping[str, Any], *, search: bool
) -> int:
    """Fork, prepare the child and run a program in it; what fails there is raised here, as the number of an error."""
    _check(process, call)
    words = _words(f"{call}: argv", args)
    environment = _environment(call, env)
    prepare = _preparing(**attributes)
    name = plain_text(path)
    paths = _places(name) if search and "/" not in name else [name]
    reader, writer = os.pipe()
    pid = fork(process)
    if not pid:
        code = errno.EINVAL
        try:
            prepare()
            _run(process, paths, words, environment)
        except OSError as error:
            code = error.errno or code
        finally:
            os.write(writer, code.to_bytes(ERROR_SIZE, "little"))
            os._exit(NOT_FOUND)
    os.close(writer)
    failure = os.read(reader, ERROR_SIZE)
    os.close(reader)
    if failure:
        os.waitpid(pid, 0)
        code = int.from_bytes(failure, "little")
        raise OSError(code, os.strerror(code), path)
    return pid


ACTIONS: Final[dict[int, tuple[Callable[[Any], Any], ...]]] = {
    os.POSIX_SPAWN_OPEN: (lone_int, plain_text, lone_int, operator.index),
    os.POSIX_SPAWN_CLOSE: (lone_int,),
    os.POSIX_SPAWN_DUP2: (lone_int, lone_int),
}
"""Kinds of actions, and what checks each of their arguments."""


def _act(actions: Iterable[Any]) -> None:
    """What is done with descriptors before the program begins, in this order."""
    for kind, number, *rest in actions:
        if kind == os.POSIX_SPAWN_OPEN:
            opened = os.open(rest[0], rest[1], rest[2])
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        elif kind == os.POSIX_SPAWN_CLOSE:
            try:
                os.close(number)
            except OSError:
                pass  # as glibc has it, for a number within the limit
        elif kind == os.POSIX_SPAWN_DUP2:
            if rest[0] == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(number, rest[0])


def _check_actions(actions: Any) -> list[Any]:
    """Actions as `_act` takes them; TypeError, ValueError."""
    found = []
    for action in actions or ():
        if not isinstance(action, tuple) or not action:
            raise TypeError("Each file_actions element must be a non-empty tuple")
        kind, *rest = action
        try:
            checks = ACTIONS[operator.index(kind)]
        except KeyError:
            raise TypeError("Unknown file_actions identifier") from None
        if len(checks) != len(rest):
            raise TypeError(f"a file_actions element of this kind takes {len(checks)} arguments ({len(rest)} given)")
        found.append((kind, *[check(value) for check, value in zip(checks, rest, strict=True)]))
    return found


def _preparing(
    file_actions: Any = None,
    setpgroup: int | None = None,
    resetids: Any = False,
    setsid: Any = False,
    setsigmask: Iterable[int] = (),
    setsigdef: Iterable[int] = (),
    scheduler: Any = None,
) -> Callable[[], None]:
    actions, mask, defaults = _check_actions(file_actions), signal_set(setsigmask), signal_set(setsigdef)
    group = None if setpgroup is None else lone_int(setpgroup)
    if not TAKES_ANY_TRUTH:
        resetids, setsid = lone_int(resetids), lone_int(setsid)
    if scheduler is not None:
        raise CallNotModelled("the scheduler of os.posix_spawn is not modelled; programs of a host are infinitely fast")

    def prepare() -> None:
        if setsid:
            os.setsid()
        if group is not None:
            os.setpgid(0, group)
        if resetids:
            os.setegid(os.getgid())
            os.seteuid(os.getuid())
        for number in sorted(defaults):
            signal.signal(number, signal.SIG_DFL)
        if mask:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _act(actions)

    return prepare


def _posix_spawn(process: Process, path: Any, argv: Any, env: Any, /, **attributes: Any) -> int:
    """`os.posix_spawn`."""
    return _spawn(process, "posix_spawn", path, argv, env, attributes, search=False)


def _posix_spawnp(process: Process, path: Any, argv: Any, env: Any, /, **attributes: Any) -> int:
    """`os.posix_spawnp`."""
    return _spawn(process, "posix_spawnp", path, argv, env, attributes, search=True)


def apply(patcher: Patcher) -> None:
    """Patch what programs of others begin by."""
    functions: dict[str, Callable[..., Any]] = {
        "execv": _execv,
        "execve": _execve,
        "posix_spawn": _posix_spawn,
        "posix_spawnp": _posix_spawnp,
    }
    patcher.functions(os, functions)
