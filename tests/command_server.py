"""A process with the package loaded, from which commands are forked (`tests/commands.py`).

Its argument is the descriptor of a connection. It has one thread, so that no lock is held in a child. A request comes
as one message, with the descriptors of the child: where its number and its status go, its streams, and others. At the
end of the connection the children that are left end.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, Final

from catenet.world.engine.layout import settle

MOST: Final = 1 << 18
"""Bytes of a request."""
DESCRIPTORS: Final = 64
"""Most that a request has."""
LAST_DESCRIPTOR: Final = 65536
NOT_LOADED: Final = ("catenet.__main__", "catenet.rpc.grpc", "catenet.testing")


def load() -> None:
    """Import what commands import, but for what stands in for other packages."""
    import catenet

    for module in pkgutil.walk_packages(catenet.__path__, "catenet.", onerror=lambda _: None):
        if not module.name.startswith(NOT_LOADED):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


class Server:
    """The children and whom to tell of their ends."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.children: dict[int, tuple[int, socket.socket]] = {}
        """By the descriptor that becomes readable when one ends."""

    def run(self) -> dict[str, Any] | None:
        """Serve until the connection ends; in a child, what it is to do."""
        while True:
            requests = self.connection.fileno()
            ready, _, _ = select.select([requests, *self.children], [], [])
            for descriptor in ready:
                if descriptor != requests:
                    self._ended(descriptor)
            if requests in ready:
                request = self._receive()
                if request is None:
                    self._end()
                    return None
                if self._fork(request):
                    return request

    def _receive(self) -> dict[str, Any] | None:
        text, passed, _, _ = self.connection.recvmsg(MOST, socket.CMSG_SPACE(4 * DESCRIPTORS))
        if not text:
            return None
        descriptors = array.array("i")
        for _, _, data in passed:
            descriptors.frombytes(data)
        return {**json.loads(text), "passed": list(descriptors)}

    def _fork(self, request: dict[str, Any]) -> bool:
        """Whether this is the child."""
        pid = os.fork()
        if not pid:
            return True
        status, *passed = request["passed"]
        for descriptor in passed:
            os.close(descriptor)
        teller = socket.socket(fileno=status)
        self.children[os.pidfd_open(pid)] = (pid, teller)
        teller.send(pid.to_bytes(4, "big"))
        return False

    def _ended(self, descriptor: int) -> None:
        pid, teller = self.children.pop(descriptor)
        _, status = os.waitpid(pid, 0)
        os.close(descriptor)
        with teller, contextlib.suppress(OSError):  # nobody wants to know
            teller.send(status.to_bytes(4, "big"))

    def _end(self) -> None:
        for descriptor, (pid, _) in list(self.children.items()):
            os.kill(pid, signal.SIGKILL)
            self._ended(descriptor)


def become(request: dict[str, Any]) -> None:
    """Be the process that an exec would have made."""
    if request["new_session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    numbers = request["descriptors"]
    above = 256 + max(numbers)
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in request["passed"][1:]]
    os.closerange(3, above)
    for descriptor, number in zip(kept, numbers, strict=True):
        os.dup2(descriptor, number)
    os.closerange(above, LAST_DESCRIPTOR)
    os.chdir(request["directory"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    open_streams()
    words = request["words"]
    sys.orig_argv = words
    if words[1] == "-m":
        sys.argv = ["-m", *words[3:]]
        sys.path[0] = os.getcwd()
    else:
        sys.argv = words[1:]
        sys.path[0] = os.path.dirname(os.path.realpath(words[1]))
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]


def open_streams() -> None:
    """Make the interpreter's streams anew, as it makes them at its start (`create_stdio` of CPython)."""
    unbuffered = sys.stdout.write_through  # type: ignore[union-attr]
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        before = getattr(sys, name)
        buffering = 0 if descriptor and unbuffered else -1
        raw: Any = open(descriptor, "wb" if descriptor else "rb", buffering, closefd=False)
        stream: Any = io.TextIOWrapper(
            raw,
            before.encoding,
            before.errors,
            "\n" if descriptor else None,
            line_buffering=not unbuffered and (descriptor == 2 or raw.isatty()),
            write_through=bool(descriptor) and unbuffered,
        )
        stream.mode = before.mode
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def carry_out(words: list[str]) -> int | str | None:
    """Run the module or script; what it says to exit with. What else it raises ends the process as ever."""
    try:
        if words[1] == "-m":
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[1], run_name="__main__")
    except SystemExit as stop:
        return stop.code if stop.code is None or isinstance(stop.code, int) else str(stop.code)
    return None


def end(code: int | str | None) -> None:
    """End as an interpreter does (`Py_FinalizeEx`), but for taking all modules apart, which writes to all of memory.

    Where anything is amiss, the interpreter itself does it.
    """
    if isinstance(code, str):
        sys.exit(code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        sys.exit(code)
    os._exit((code or 0) & 0xFF)


def main() -> None:
    """Load, serve, and in a child run the command.

    `catenet run` has the interpreter executed once more, with a hash seed and addresses that are always the same. Here
    it is the server that has them, so that its children need not.
    """
    settle()
    connection = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the tests end it
    gc.disable()
    load()
    gc.collect()
    gc.freeze()
    gc.enable()
    connection.send(b"ready")
    request = Server(connection).run()
    if request is not None:
        become(request)
        end(carry_out(request["words"]))


if __name__ == "__main__":
    main()
