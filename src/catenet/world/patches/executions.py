"""`os.execv`, `os.execve`, `os.posix_spawn` and `os.posix_spawnp`, on which the other functions of their kind stand.

`os.execl`, `os.spawnv` and the rest are Python above these and `os.fork`, and run as they are.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from catenet.posix.errors import CallNotModelled
from catenet.world.engine.children.executing import execute
from catenet.world.engine.children.forking import fork
from catenet.world.patches.patching import Patcher
from catenet.world.patches.shell import SHELLS, without_shell
from catenet.world.patches.table.row import OWN_PROCESS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

NOT_FOUND: Final = 127
"""Exit status of a process in which no program could begin."""
ERROR_SIZE: Final = 4


def _words(call: str, args: Any) -> list[str]:
    """The arguments of a program, as CPython checks them."""
    if not isinstance(args, tuple | list):
        raise TypeError(f"{call} must be a tuple or list")
    if not args:
        raise ValueError(f"{call} must not be empty")
    words = [os.fsdecode(word) for word in args]
    if not words[0]:
        raise ValueError(f"{call} first element cannot be empty")
    return words


def _environment(call: str, env: Any) -> dict[bytes, bytes]:
    if not isinstance(env, Mapping) and not (hasattr(env, "keys") and hasattr(env, "values")):
        raise TypeError(f"{call}: environment must be a mapping object")
    found = {os.fsencode(name): os.fsencode(value) for name, value in zip(env.keys(), env.values(), strict=True)}
    if any(b"=" in name[1:] or not name for name in found):
        raise ValueError("illegal environment variable name")
    return found


def _own_environment() -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}


def _check(process: Process, name: str) -> None:
    if not process.host.owns_process:
        raise CallNotModelled(f"os.{name} is not modelled on a simulated host; {OWN_PROCESS}")


def _run(process: Process, paths: Sequence[str], words: list[str], environment: Mapping[bytes, bytes]) -> NoReturn:
    """Run the first of these programs that there is, in the place of the one that runs; raises OSError."""
    if os.path.basename(paths[0]) in SHELLS:
        words = without_shell(words)
        paths = [words[0]] if "/" in words[0] else _places(words[0])
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
    path = os.fsdecode(path)
    _run(process, [path], _words("execv() arg 2", args), _own_environment())


def _execve(process: Process, path: Any, args: Any, env: Any) -> NoReturn:
    """`os.execve`, also of an open file."""
    _check(process, "execve")
    words = _words("execve: argv", args)
    environment = _environment("execve", env)
    place = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fsdecode(path)
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
    name = os.fsdecode(path)
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
    found = []
    for action in actions or ():
        if not isinstance(action, tuple) or not action:
            raise TypeError("Each file_actions element must be a non-empty tuple")
        if action[0] not in (os.POSIX_SPAWN_OPEN, os.POSIX_SPAWN_CLOSE, os.POSIX_SPAWN_DUP2):
            raise TypeError("Unknown file_actions identifier")
        found.append(action)
    return found


def _preparing(
    file_actions: Any = None,
    setpgroup: int | None = None,
    resetids: bool = False,
    setsid: bool = False,
    setsigmask: Iterable[int] = (),
    setsigdef: Iterable[int] = (),
    scheduler: Any = None,
) -> Callable[[], None]:
    actions, mask, defaults = _check_actions(file_actions), list(setsigmask), list(setsigdef)
    if scheduler is not None:
        raise CallNotModelled("the scheduler of os.posix_spawn is not modelled; programs of a host are infinitely fast")

    def prepare() -> None:
        if setsid:
            os.setsid()
        if setpgroup is not None:
            os.setpgid(0, setpgroup)
        if resetids:
            os.setegid(os.getgid())
            os.seteuid(os.getuid())
        for number in defaults:
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
    for name, simulated in functions.items():
        patcher.function(os, name, simulated)
