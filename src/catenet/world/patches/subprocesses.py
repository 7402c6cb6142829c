"""`subprocess`, and what else starts programs by `_posixsubprocess.fork_exec`: the program runs in a forked child."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from catenet.posix.arguments import INT_MAX, plain_text
from catenet.posix.errors import CallNotModelled
from catenet.world.engine.children.executing import SHELLS, execute
from catenet.world.engine.children.forking import fork
from catenet.world.patches.credentials import identifier
from catenet.world.patches.patching import Patcher
from catenet.world.patches.shell import without_shell
from catenet.world.patches.table.row import OWN_PROCESS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

FAILED: Final = 255


def _fork_exec(
    process: Process,
    args: Sequence[Any],
    executables: Sequence[Any],
    close_fds: bool,
    pass_fds: Sequence[int],
    cwd: Any,
    env: Sequence[bytes] | None,
    *rest: Any,
) -> int:
    """`_posixsubprocess.fork_exec`: the number of a child that runs the first of `executables` that there is."""
    if not process.host.owns_process:
        raise CallNotModelled(f"_posixsubprocess.fork_exec is not modelled on a simulated host; {OWN_PROCESS}")
    _check(pass_fds, cwd, rest)
    words = [plain_text(word) for word in args]
    paths = [plain_text(path) for path in executables]
    environment = process.globals.variables if env is None else _environment(env)
    if os.path.basename(paths[0]) in SHELLS:
        direct = without_shell(words, _folders(environment))
        words, paths = (direct[0], [direct[1]]) if direct is not None else (words, paths)
    pid = fork(process)
    if not pid:
        _begin(process, words, paths, close_fds, pass_fds, cwd, environment, *rest)
    return pid


def _begin(
    process: Process,
    words: list[str],
    paths: list[str],
    close_fds: bool,
    pass_fds: Sequence[int],
    cwd: Any,
    environment: Mapping[bytes, bytes],
    *rest: Any,
) -> NoReturn:
    """What a child does before its program begins (`child_exec` of CPython); the pipe for that tells what fails."""
    streams, errpipe = rest[:6], rest[7]
    failure = b""
    try:
        try:
            _place(streams, cwd)
        except OSError as error:
            failure = b"OSError:%X:noexec" % (error.errno or 0)
            raise
        _take_identity(*rest[8:])
        inherited = () if close_fds else process.host.kernel.inheritable
        kept = [number for number in (*pass_fds, *inherited) if number != errpipe]
        code = errno.ENOENT
        for path in paths:
            try:
                execute(process, path, words, environment, kept)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                    code = error.errno or code
        failure = b"OSError:%X:" % code
    except OSError as error:
        failure = failure or b"OSError:%X:" % (error.errno or 0)
    except Exception:
        failure = b"SubprocessError:0:Exception occurred in preexec_fn."
    finally:
        os.write(errpipe, failure)
        os._exit(FAILED)
    raise AssertionError


def _check(pass_fds: Any, cwd: Any, rest: Sequence[Any]) -> None:
    """Arguments as `fork_exec` checks them before it forks; TypeError, ValueError, OverflowError."""
    before = -1
    for number in pass_fds:
        if not isinstance(number, int) or not before < number <= INT_MAX:
            raise ValueError("bad value(s) in fds_to_keep")
        before = number
    if cwd is not None:
        plain_text(cwd)
    gid, groups, uid = _identity(rest[10:])[1:4]
    for kind, value in (("gid", gid), ("uid", uid)):
        if value is not None and value is not False:
            identifier(value, kind)
    for number in groups or ():
        try:
            identifier(number, "gid")
        except (TypeError, OverflowError) as error:
            raise ValueError("invalid group id") from error


def _identity(rest: Sequence[Any]) -> tuple[Any, ...]:
    """Process group, group, groups, user, mask and function of the arguments of the running version of Python."""
    rest = rest[: len(rest) - 1] if isinstance(rest[-1], bool) else rest
    return tuple(rest) if len(rest) == 6 else (-1, *rest)


def _folders(environment: Mapping[bytes, bytes]) -> list[str]:
    """Where programs are sought, as the child sees it."""
    return os.fsdecode(environment.get(b"PATH", os.fsencode(os.defpath))).split(os.pathsep)


def _environment(env: Sequence[bytes]) -> dict[bytes, bytes]:
    pairs = [os.fsencode(plain_text(entry)).partition(b"=") for entry in env]
    return {name: value for name, _, value in pairs}


def _place(streams: Sequence[int], cwd: Any) -> None:
    """Standard streams and the working directory. `streams` are the two ends of each of three pipes, -1 for none."""
    own = streams[0], streams[3], streams[5]
    sources = [
        number if number < 0 or number > 2 or number == place else os.dup(number) for place, number in enumerate(own)
    ]
    for place, number in enumerate(sources):
        if number >= 0:
            os.dup2(number, place)
    if cwd is not None:
        os.chdir(cwd)


def _take_identity(restore_signals: bool, start_new_session: bool, *rest: Any) -> None:
    """Signals, session, group, users, file mode mask, and the function that the program is to call before."""
    group, gid, groups, uid, umask, preexec = _identity(rest)
    if umask >= 0:
        os.umask(umask)
    if restore_signals:
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    if start_new_session:
        os.setsid()
    if group >= 0:
        os.setpgid(0, group)
    if groups is not None:
        os.setgroups(groups)
    if gid is not None:
        os.setregid(gid, gid)
    if uid is not None:
        os.setreuid(uid, uid)
    if preexec is not None:
        preexec()


def _system(process: Process, command: str) -> int:
    """`os.system`."""
    if not process.host.owns_process:
        raise CallNotModelled(f"os.system is not modelled on a simulated host; {OWN_PROCESS}")
    code = subprocess.call(command, shell=True)
    return code << 8 if code >= 0 else -code


def _apply_subprocess(patcher: Patcher, module: types.ModuleType) -> None:
    """`subprocess` starts programs by `fork_exec` alone (posix_spawn(3) is the machine's); it waits by `os.waitpid`."""
    patcher.attribute(module, "_USE_POSIX_SPAWN", False)
    if hasattr(module, "_del_safe"):
        patcher.attribute(module._del_safe, "waitpid", os.waitpid)
        return
    poll = module.Popen._internal_poll

    def _internal_poll(self: Any, _deadstate: Any = None) -> Any:
        return poll(self, _deadstate, os.waitpid)  # which the interpreter has bound before

    patcher.attribute(module.Popen, "_internal_poll", _internal_poll)


def apply(patcher: Patcher) -> None:
    """Patch `_posixsubprocess`."""
    start: Callable[..., int] = _fork_exec
    patcher.on_import("_posixsubprocess", lambda patcher, module: patcher.function(module, "fork_exec", start))
    patcher.function(os, "system", _system)
    patcher.on_import("subprocess", _apply_subprocess)
