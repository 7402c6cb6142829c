"""Programs in whose place others begin: what they print on the kernel and on a simulated host is compared.

Each stage runs the next one by another call; `execs.py NAME` says with which, `execs.py` alone runs all.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

PYTHON = sys.executable
SCRIPT = os.path.abspath(__file__)


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call, or the error that it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)


def status(pid: int) -> int:
    """How a child has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wrong_arguments() -> None:
    anything: Any = "x", 5
    for call in (
        lambda: os.execv("/no/such", ["x"]),
        lambda: os.execve("/no/such", ["x"], {}),
        lambda: os.execv("/", ["x"]),
        lambda: os.execve("/", ["x"], {}),
        lambda: os.execv(SCRIPT, ["x"]),
        lambda: os.execv(PYTHON, []),
        lambda: os.execv(PYTHON, [""]),
        lambda: os.execv(PYTHON, anything[0]),
        lambda: os.execve(PYTHON, [], {}),
        lambda: os.execve(PYTHON, ["x"], anything[1]),
        lambda: os.execve(PYTHON, ["x"], {"a=b": "c"}),
        lambda: os.execvp("no-such-program-at-all", ["x"]),
        lambda: os.execvp("", ["x"]),
        lambda: os.execv(PYTHON + "/x", ["x"]),
        lambda: os.posix_spawn("/no/such", ["x"], {}),
        lambda: os.posix_spawnp("no-such-program", ["x"], {}),
        lambda: os.posix_spawn(PYTHON, [], {}),
        lambda: os.posix_spawn(PYTHON, ["x"], {}, file_actions=[(77, 1)]),
        lambda: os.spawnv(os.P_WAIT, "/no/such", ["x"]),
    ):
        print(outcome(call))


def spawned() -> None:
    code = "import os, sys; os.write(int(sys.argv[1]), b'by ' + os.environb[b'NAME']); sys.exit(5)"
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    words = [PYTHON, "-c", code, str(writer)]
    environment = {"NAME": "posix_spawn", "PATH": os.environ["PATH"]}
    print(status(os.posix_spawn(PYTHON, words, environment)), os.read(reader, 100))
    words[-1] = "1"
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader), (os.POSIX_SPAWN_CLOSE, writer)]
    print(status(os.posix_spawnp("echo", ["echo", "words"], environment, file_actions=actions)), os.read(reader, 100))
    print(status(os.posix_spawn(PYTHON, words, environment, file_actions=actions, setsid=True)), os.read(reader, 100))
    os.set_inheritable(writer, False)
    print(
        status(
            os.posix_spawn(
                PYTHON,
                [PYTHON, "-c", f"import os\ntry: os.fstat({writer})\nexcept OSError: print('gone', flush=True)"],
                environment,
            )
        )
    )
    bad = [(os.POSIX_SPAWN_OPEN, 1, "/no/such/file", os.O_RDONLY, 0)]
    print(outcome(os.posix_spawn, PYTHON, words, environment, file_actions=bad))
    code = "import signal as s; print(s.getsignal(10) == s.SIG_DFL, sorted(s.pthread_sigmask(0, ())), flush=True)"
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    print(status(os.posix_spawn(PYTHON, [PYTHON, "-c", code], environment)))
    signals: dict[str, Any] = {"setsigdef": [signal.SIGUSR1], "setsigmask": [signal.SIGUSR2]}
    print(status(os.posix_spawn(PYTHON, [PYTHON, "-c", code], environment, **signals)))


def other_spawns() -> None:
    code = "import os, sys; print(os.environ.get('NAME'), sys.argv, flush=True); sys.exit(3)"
    print(os.spawnv(os.P_WAIT, PYTHON, [PYTHON, "-c", code, "v"]))
    print(status(os.spawnl(os.P_NOWAIT, PYTHON, PYTHON, "-c", code, "l")))
    print(os.spawnve(os.P_WAIT, PYTHON, [PYTHON, "-c", code], {"NAME": "value"}))
    print(os.spawnlp(os.P_WAIT, "true", "true"), os.spawnvp(os.P_WAIT, "false", ["false"]))
    print(os.spawnvpe(os.P_WAIT, "printenv", ["printenv", "NAME"], {**os.environ, "NAME": "by printenv"}))


def in_a_child() -> None:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.dup2(writer, 1)
        os.execlp("echo", "echo", "by", "exec in a child")
    os.close(writer)
    print(os.read(reader, 100), os.wait()[1])


def again() -> None:
    """The first program is replaced; what is inheritable stays open, signals that it ignored stay ignored."""
    server = socket.create_server(("127.0.0.1", 0))
    server.set_inheritable(True)
    _, writer = os.pipe()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, print)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    child = os.fork()
    if child == 0:
        with socket.socket(fileno=server.detach()) as listener, listener.accept()[0] as connection:
            connection.sendall(b"by a child of the first program")
        os._exit(9)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    try:
        print("begun, ", end="", flush=True)
        print("lost", end="")
        os.execle(
            PYTHON,
            PYTHON,
            SCRIPT,
            "again2",
            str(server.fileno()),
            str(writer),
            str(os.getpid()),
            str(child),
            {**os.environ, "NAME": "new"},
        )
    finally:
        print("never shown")


def again2(number: str, gone: str, pid: str, child: str) -> None:
    print("and ended by another program", os.getpid() == int(pid), os.environ["NAME"], sys.argv[1])
    print(outcome(os.fstat, int(gone)))
    for each in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        print(signal.getsignal(each))
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []), threading.active_count())
    with socket.socket(fileno=int(number)) as server:
        with socket.create_connection(server.getsockname()) as client:
            print(client.recv(100), status(int(child)))
    try:
        signal.signal(signal.SIGALRM, lambda *args: (_ for _ in ()).throw(KeyError("alarm")))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.pause()
    except KeyError as error:
        print(error)
    sys.stdout.flush()
    os.execvp("sh", ["sh", "-c", f"{PYTHON} {SCRIPT} again3"])


def again3() -> None:
    print("by a shell", sys.argv[1], os.fstat(0).st_mode >> 12 > 0)
    sys.exit(3)


ALL = (wrong_arguments, spawned, other_spawns, in_a_child, again)

if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](*sys.argv[2:])
    else:
        for each in ALL:
            print(each.__name__)
            sys.stdout.flush()
            each()
