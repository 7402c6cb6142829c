"""Programs that use the package, as processes, without loading it anew for each.

`Popen` and `run` are those of `subprocess`, but `python -m catenet WORDS…` and `python SCRIPT WORDS…` are not exec'd:
they are forked from a process that has the package loaded (`tests/command_server.py`), which each process of tests
starts once. A child has the streams, working directory, environment and session that it would have, and runs the
module or script as `__main__`. Starting an interpreter and loading the package takes 200 to 400 ms of processor, this
20 to 100.

Three things are exec'd all the same: what depends on how an interpreter starts, where variables of Python or of the
locale differ from the tests' own; what a test asks for with `real=True`, as one of each verb does; and all other
programs. `tests/cli/test_commands.py` compares both ways. An interpreter that ends takes its modules apart, which a
child leaves out unless an exception ends it. For `catenet run` the server has the fixed hash seed and addresses.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["CATENET", "Popen", "run"]

CATENET: Final = [sys.executable, "-m", "catenet"]

_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC", "OPENSSL", "SSL_")
"""Variables whose names begin so act when an interpreter and its libraries start."""
_NOT_ASKED_FOR: Final = (None, None, False, None, None, None, -1, -1)
"""Arguments of `Popen` that are left out: executable, preexec_fn, shell, gid, gids, uid, umask, process_group."""

_lock: Final = threading.Lock()
_variables: Final = dict(os.environ)
"""As they are before any test."""
_servers: Final[list[socket.socket]] = []


def _server() -> socket.socket:
    """The connection to the server of this process; the first call starts it."""
    with _lock:
        if not _servers:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.command_server", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    cwd=Path(__file__).parents[1],
                    env=_variables,
                )
            assert ours.recv(16) == b"ready"
            atexit.register(process.wait)
            atexit.register(ours.close)  # which ends it, and comes first
            _servers.append(ours)
        return _servers[0]


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START)}


def _umask() -> int:
    """The file mode mask of this process, without changing it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))


class Popen(subprocess.Popen[Any]):
    """See the module's docstring."""

    _status: socket.socket | None = None
    """Where the server tells the child's status; None: it was exec'd."""

    def __init__(self, args: Any, *, real: bool = False, **options: Any) -> None:
        self._real = real
        super().__init__(args, **options)

    def _is_forked(self, args: Any, environment: Mapping[str, str]) -> bool:
        if self._real or not isinstance(args, list) or len(args) < 2 or args[0] != sys.executable:
            return False
        if args[1:3] != ["-m", "catenet"] and not str(args[1]).endswith(".py"):
            return False
        return _at_start(environment) == _at_start(_variables)

    def _execute_child(
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, cwd: Any, env: Any,
        startupinfo: Any, creationflags: Any, shell: Any, p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int,
        errread: int, errwrite: int, restore_signals: Any, gid: Any, gids: Any, uid: Any, umask: Any,
        start_new_session: Any, process_group: Any,
    ) -> None:  # fmt: skip
        environment = {os.fsdecode(k): os.fsdecode(v) for k, v in (os.environ if env is None else env).items()}
        rest = (executable, preexec_fn, shell, gid, gids, uid, umask, process_group)
        if rest != _NOT_ASKED_FOR or not self._is_forked(args, environment):
            super()._execute_child(  # type: ignore[misc]
                args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell, p2cread,
                p2cwrite, c2pread, c2pwrite, errread, errwrite, restore_signals, gid, gids, uid, umask,
                start_new_session, process_group,
            )  # fmt: skip
            return
        directory = os.path.join(os.getcwd(), os.fsdecode(cwd or ""))
        os.stat(directory)  # one that is not there is the caller's error
        request = {
            "words": [os.fsdecode(word) for word in args],
            "directory": directory,
            "umask": _umask(),
            "environment": environment,
            "new_session": bool(start_new_session),
            "descriptors": [0, 1, 2, *pass_fds],
        }
        streams = [fd if fd >= 0 else number for number, fd in enumerate((p2cread, c2pwrite, errwrite))]
        self._fork(request, [*streams, *pass_fds])
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> None:
        self._status, theirs = socket.socketpair()
        with theirs:
            passed = array.array("i", [theirs.fileno(), *descriptors])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)]
            _server().sendmsg([json.dumps(request).encode()], rights)
        self.pid = int.from_bytes(self._status.recv(4), "big")
        assert self.pid, "the server of commands has ended"

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._status is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc, no-any-return]
        try:
            told = self._status.recv(4, socket.MSG_DONTWAIT if wait_flags else 0)
        except BlockingIOError:
            return 0, 0
        self._status.close()
        assert told, "the server of commands has ended"
        return self.pid, int.from_bytes(told, "big")

    def _internal_poll(self, *args: Any, **options: Any) -> int | None:
        if self._status is None:
            return super()._internal_poll(*args, **options)  # type: ignore[misc, no-any-return]
        if self.returncode is None and self._waitpid_lock.acquire(False):  # type: ignore[attr-defined]
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid:
                        self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def run(
    args: Any,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run`."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(args, **options) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
        done = subprocess.CompletedProcess(args, process.wait(), out, err)
    if check:
        done.check_returncode()
    return done
